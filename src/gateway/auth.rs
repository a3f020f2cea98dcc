//! Who may ask: the key in any of the forms clients send it, and no web page behind the user's back.

use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use subtle::ConstantTimeEq;

use super::paths;
use crate::protocol::{Problem, ProblemKind};

/// Refuses requests that a browser sends for a foreign page: a foreign `Origin`, or (DNS rebinding) a foreign `Host`
/// at a loopback listener.
pub(super) fn check_origin(headers: &HeaderMap, loopback: bool) -> Result<(), Problem> {
    let forbidden = |what: &str| {
        Err(Problem::new(
            ProblemKind::Forbidden,
            format!("{what} is not this machine: requests from web pages are refused"),
        ))
    };
    if let Some(origin) = headers.get(ORIGIN) {
        let host = origin.to_str().ok().and_then(|o| o.split_once("://")).map(|(_, authority)| authority);
        if !host.is_some_and(is_loopback) {
            return forbidden("the Origin");
        }
    }
    if loopback
        && let Some(host) = headers.get(HOST)
        && !host.to_str().is_ok_and(is_loopback)
    {
        return forbidden("the Host");
    }
    Ok(())
}

/// Whether `host[:port]` names this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map_or(v6, |(host, _)| host),
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Checks the key: `Authorization: Bearer`, `x-api-key`, `x-goog-api-key` or `?key=`.
pub(super) fn check_key(headers: &HeaderMap, query: Option<&str>, key: Option<&str>) -> Result<(), Problem> {
    let Some(key) = key else { return Ok(()) };
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let opens = |shown: &str| bool::from(shown.as_bytes().ct_eq(key.as_bytes()));
    let bearer = header(AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    // Most show it so, and need not be looked at further.
    if bearer.is_some_and(opens) {
        return Ok(());
    }
    let in_query = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("key=")));
    let decoded = in_query.map(paths::decode);
    let shown = [
        bearer,
        header(HeaderName::from_static("x-api-key")),
        header(HeaderName::from_static("x-goog-api-key")),
        in_query,
        decoded.as_deref(),
    ];
    if shown.into_iter().flatten().any(opens) {
        return Ok(());
    }
    let none = shown.iter().all(Option::is_none);
    let message = if none { "no API key: send the key llmup gave this client" } else { "the API key is wrong" };
    Err(Problem::new(ProblemKind::Unauthenticated, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn all_four_forms_open_and_nothing_else_does() {
        for pair in [
            ("authorization", "Bearer k1"),
            ("authorization", "bearer  k1"),
            ("x-api-key", "k1"),
            ("x-goog-api-key", "k1"),
        ] {
            assert!(check_key(&headers(&[pair]), None, Some("k1")).is_ok(), "{pair:?}");
        }
        assert!(check_key(&headers(&[]), Some("alt=sse&key=k1"), Some("k1")).is_ok());
        assert!(check_key(&headers(&[]), Some("key=k%2B1%3D"), Some("k+1=")).is_ok());
        // A stale key in one place does not shadow the right one in another.
        assert!(check_key(&headers(&[("x-api-key", "old"), ("authorization", "Bearer k1")]), None, Some("k1")).is_ok());
        for (pairs, query) in [
            (vec![], None),
            (vec![("x-api-key", "k2")], None),
            (vec![("authorization", "Basic k1")], None),
            (vec![], Some("monkey=k1")),
        ] {
            assert!(check_key(&headers(&pairs), query, Some("k1")).is_err(), "{pairs:?} {query:?}");
        }
        assert!(check_key(&headers(&[]), None, None).is_ok());
    }

    #[test]
    fn web_pages_are_refused() {
        for host in ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "127.3.2.1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "", "0.0.0.0:1", "192.168.0.2"] {
            assert!(!is_loopback(host), "{host}");
        }
        assert!(check_origin(&headers(&[("origin", "https://evil.example")]), false).is_err());
        assert!(check_origin(&headers(&[("origin", "null")]), false).is_err());
        assert!(check_origin(&headers(&[("origin", "http://localhost:3000")]), true).is_ok());
        assert!(check_origin(&headers(&[("host", "evil.example:8000")]), true).is_err());
        assert!(check_origin(&headers(&[("host", "mybox:8000")]), false).is_ok());
    }
}
