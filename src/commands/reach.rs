//! Who reaches a gateway that does not listen on loopback only.

use std::net::{IpAddr, SocketAddr};

/// More than these are not listed.
const SHOWN: usize = 6;

/// Where clients on this machine reach a gateway: they cannot dial 0.0.0.0 everywhere.
pub fn url(bound: SocketAddr) -> String {
    let ip = if bound.ip().is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { bound.ip() };
    format!("http://{}", SocketAddr::new(ip, bound.port()))
}

/// In words: at which addresses others now reach `what`.
pub fn told(bound: SocketAddr, what: &str) -> String {
    sentence(bound, what, &own_addresses())
}

fn sentence(bound: SocketAddr, what: &str, own: &[IpAddr]) -> String {
    let mut places: Vec<String> = if bound.ip().is_unspecified() {
        // `::` takes IPv4 too, unless the system was told otherwise.
        let reaches = |ip: &&IpAddr| bound.is_ipv6() || ip.is_ipv4();
        own.iter().filter(reaches).map(|ip| SocketAddr::new(*ip, bound.port()).to_string()).collect()
    } else {
        vec![bound.to_string()]
    };
    if places.is_empty() {
        places.push(bound.to_string());
    }
    if places.len() > SHOWN {
        let more = places.len() - SHOWN;
        places.truncate(SHOWN);
        places.push(format!("{more} more"));
    }
    format!(
        "everyone who reaches this machine at {} and knows the key can use {what}; what is said is not encrypted",
        places.join(", ")
    )
}

/// The addresses of this machine that others may reach: neither loopback nor those that count on one link only.
fn own_addresses() -> Vec<IpAddr> {
    let Ok(networks) = sysinfo::Networks::new_with_refreshed_list() else { return Vec::new() };
    let all = networks.values().flat_map(|network| network.ip_networks().iter().map(|network| network.addr));
    let link_local = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let mut own: Vec<IpAddr> = all.filter(|ip| !ip.is_loopback() && !ip.is_unspecified() && !link_local(ip)).collect();
    own.sort();
    own.dedup();
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_listed_that_others_reach() {
        let own: Vec<IpAddr> = ["10.1.2.3", "fd00::5"].map(|ip| ip.parse().unwrap()).to_vec();
        let of = |bound: &str| sentence(bound.parse().unwrap(), "it", &own);
        assert!(of("0.0.0.0:40").contains("at 10.1.2.3:40 and knows"), "{}", of("0.0.0.0:40"));
        assert!(of("[::]:40").contains("at 10.1.2.3:40, [fd00::5]:40 and knows"), "{}", of("[::]:40"));
        assert!(of("10.1.2.3:7").contains("at 10.1.2.3:7 and knows"));
        let many: Vec<IpAddr> = (1..=9).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        assert!(sentence("0.0.0.0:1".parse().unwrap(), "it", &many).contains("10.0.0.6:1, 3 more and"));
        assert!(own_addresses().iter().all(|ip| !ip.is_loopback()));
    }
}
