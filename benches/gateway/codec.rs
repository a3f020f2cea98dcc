//! What reading and writing a request costs by itself: CPU time of each step, without sockets.

use llmup::protocol::names::Names;
use llmup::protocol::{Id, Target, Vendor, head::Head, protocol};

use super::bodies;

/// CPU time of this thread, from the scheduler.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux only");
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Microseconds per call.
fn time(mut step: impl FnMut()) -> f64 {
    const CALLS: u32 = 300;
    let mut best = f64::MAX;
    for _ in 0..7 {
        let begin = cpu_ns();
        for _ in 0..CALLS {
            step();
        }
        best = best.min((cpu_ns() - begin) as f64 / 1e3 / f64::from(CALLS));
    }
    best
}

pub fn main() {
    println!(
        "| request of 150 KB, µs | bytes | head | decode | + names | + encode to Chat |\n|---|---|---|---|---|---|"
    );
    for (name, id) in
        [("chat", Id::Chat), ("messages", Id::Messages), ("responses", Id::Responses), ("gemini", Id::Gemini)]
    {
        let body = bodies::large(name).into_bytes();
        let inbound = protocol(id).inbound().unwrap();
        let outbound = protocol(Id::Chat).outbound().unwrap();
        let target = Target { model: "m", vendor: Vendor::Vllm, context: 131_072 };
        let head = time(|| drop(std::hint::black_box(Head::scan(&body))));
        let decode = time(|| drop(std::hint::black_box(inbound.decode_request(&body).unwrap())));
        let named = time(|| {
            let mut request = inbound.decode_request(&body).unwrap();
            std::hint::black_box(inbound.stream_encoder(&request));
            std::hint::black_box(Names::apply(&mut request, outbound.names()));
        });
        let encode = time(|| {
            let mut request = inbound.decode_request(&body).unwrap();
            std::hint::black_box(inbound.stream_encoder(&request));
            Names::apply(&mut request, outbound.names());
            std::hint::black_box(outbound.encode_request(&request, &target));
        });
        println!("| {name} | {} | {head:.0} | {decode:.0} | {named:.0} | {encode:.0} |", body.len());
    }
}
