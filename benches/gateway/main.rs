//! What the gateway costs beside a bare pass-through of the same stack, in one interleaved run.
//!
//! `scripts/bench` builds and runs it. The mock engine, the yardstick (hyper server and hyper client, two threads,
//! nothing else) and `llmup` are processes of their own, so that the CPU time of each is read from its schedstat: it
//! survives a busy machine, wall times do not. Every round runs every case on every target; ratios are taken within a
//! round, and their median is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a measuring program: it stops when something is wrong

mod bodies;
mod codec;
mod load;
mod mock;
mod process;
mod yard;

use std::collections::BTreeMap;

use load::{Case, Cost};
use process::Process;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("mock") => mock::main(),
        Some("yard") => yard::main(&args[2]),
        Some("codec") => codec::main(),
        _ => compare(&args[1..]),
    }
}

/// Where a request goes in a case.
struct Target<'a> {
    name: &'a str,
    address: String,
    path: &'a str,
    process: Option<&'a Process>,
}

fn compare(args: &[String]) {
    let option = |name: &str| args.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
    let rounds: usize = option("--rounds").map_or(5, |n| n.parse().unwrap());
    let only = option("--only");
    let binaries: Vec<String> =
        option("--llmup").unwrap_or_else(|| "target/release/llmup".to_owned()).split(',').map(str::to_owned).collect();
    let mock = Process::own(&["mock"]);
    let yard = Process::own(&["yard", &mock.port.to_string()]);
    let nginx = Process::nginx(mock.port);
    let gateways: Vec<Process> = binaries.iter().map(|binary| Process::llmup(binary, mock.port)).collect();
    for (binary, gateway) in binaries.iter().zip(&gateways) {
        println!("{binary}: ready after {} ms, {:.1} MB idle", gateway.ready.as_millis(), gateway.rss_mb());
    }

    let mut seen: BTreeMap<(usize, String), Vec<(Cost, Cost)>> = BTreeMap::new();
    let cases = load::cases();
    for round in 0..rounds {
        for (at, case) in cases.iter().enumerate() {
            if only.as_ref().is_some_and(|only| !case.name.contains(only.as_str())) {
                continue;
            }
            let mut targets = vec![
                Target { name: "mock", address: mock.address(), path: case.paths[0].1, process: None },
                Target { name: "yard", address: yard.address(), path: case.paths[0].1, process: Some(&yard) },
            ];
            if let Some(nginx) = &nginx {
                let path = case.paths[0].1;
                targets.push(Target { name: "nginx", address: nginx.address(), path, process: Some(nginx) });
            }
            for (binary, gateway) in binaries.iter().zip(&gateways) {
                for (name, path) in &case.paths {
                    let name = if binaries.len() == 1 { *name } else { Box::leak(format!("{name} {binary}").into()) };
                    targets.push(Target { name, address: gateway.address(), path, process: Some(gateway) });
                }
            }
            // Another order in each round: nobody always runs into the same neighbour.
            let length = targets.len();
            targets[1..].rotate_left(round % (length - 1));
            let costs: Vec<Cost> = targets.iter().map(|target| run(case, target)).collect();
            let yard = costs[targets.iter().position(|t| t.name == "yard").unwrap()];
            for (target, cost) in targets.iter().zip(costs) {
                seen.entry((at, target.name.to_owned())).or_default().push((cost, yard));
            }
        }
    }
    print_table(&cases, &seen);
}

fn run(case: &Case, target: &Target<'_>) -> Cost {
    let before = target.process.map_or(0, Process::cpu_ns);
    let mut cost = load::run(case, &target.address, target.path, target.process);
    cost.cpu_us = (target.process.map_or(0, Process::cpu_ns) - before) as f64 / 1e3 / cost.units as f64;
    cost
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print_table(cases: &[Case], seen: &BTreeMap<(usize, String), Vec<(Cost, Cost)>>) {
    println!(
        "| case | target | CPU µs | × yard | delay p50 µs | first byte p50 µs | RSS MB |\n|---|---|---|---|---|---|---|"
    );
    for ((at, target), costs) in seen {
        let of = |pick: fn(&(Cost, Cost)) -> f64| median(costs.iter().map(pick).collect());
        println!(
            "| {} | {target} | {:.2} | {:.2} | {:.0} | {:.0} | {:.1} |",
            cases[*at].name,
            of(|c| c.0.cpu_us),
            of(|c| c.0.cpu_us / c.1.cpu_us),
            of(|c| c.0.delay_us),
            of(|c| c.0.first_us),
            of(|c| c.0.rss_mb),
        );
    }
}
