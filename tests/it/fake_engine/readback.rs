//! What an engine says of itself after its start, everywhere it is used.

use std::time::Duration;

use serde_json::json;

use super::{AUTH, Bench, KEY, LONG, MESSAGE};
use crate::support::{finish, http};

#[test]
fn the_engines_context_replaces_the_planned_one_everywhere() {
    // vLLM does not run on Windows.
    let engines = if cfg!(windows) { &["llama-cpp"][..] } else { &["vllm", "llama-cpp"] };
    for engine in engines {
        let bench = Bench::new(engine);
        let requests = bench.path("requests");
        let mut llmup = bench.start(&[("FAKE_CONTEXT", "24576"), ("FAKE_REQUESTS", &requests)]);
        let ready = llmup.ready(LONG);
        assert_eq!(ready["context"], 24_576, "{engine}");
        let planned = ready["planned"]["context"].as_u64().unwrap();
        assert!(planned > 24_576, "{engine}: {ready}");
        // The box.
        let said = llmup.err_with("as the engine confirmed");
        assert!(said.contains(&format!("24576 tokens, as the engine confirmed; planned were {planned}")), "{said}");
        // The state file, and `status` that reads it.
        let status = bench.home.run(&["status", "--json"]);
        assert_eq!(status.code, Some(0), "{}", status.err);
        let running = &super::json(&status.out)["running"][0];
        assert_eq!(
            (&running["context"], &running["measured"]["context"]),
            (&json!(24_576), &json!(24_576)),
            "{running}"
        );
        assert_eq!(running["planned"]["context"], planned);
        let deviation = running["deviation"]["context"].as_f64().unwrap();
        assert!((deviation - (24_576.0 / planned as f64 - 1.0)).abs() < 0.001, "{running}");
        assert!(running["measured"]["kv_bytes"].is_u64() && running["measured"]["weights_bytes"].is_u64(), "{running}");
        assert!(!status.out.contains(KEY), "the key is shown");
        let text = bench.home.run(&["status"]).out;
        assert!(text.contains("context, tokens") && text.contains("24576"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80 || line.contains("log")), "{text}");
        // Clients.
        let env = bench.home.run(&["env", "claude", "--shell", "bash"]).out;
        assert!(env.contains("24576"), "{env}");
        // The gateway: what it tells, and what it lets through.
        let (_, models) = http(&bench.url, "GET", "/v1/models", &[AUTH], "");
        assert!(models.contains("24576") && !models.contains(&planned.to_string()), "{models}");
        let body = MESSAGE.replace("\"max_tokens\":99", "\"max_tokens\":100000");
        assert_eq!(bench.post("/v1/messages", &body).0, 200);
        let passed = std::fs::read_to_string(&requests).unwrap();
        assert!(!passed.contains("100000"), "a limit beyond the context reached the engine: {passed}");
        bench.end(&mut llmup);
        bench.clean(Duration::ZERO);
        let none = bench.home.run(&["status"]);
        assert_eq!((none.code, none.out.as_str()), (Some(0), ""), "{}", none.err);
        assert!(none.err.contains("`llmup start"), "{}", none.err);
    }
}

#[test]
fn a_model_that_is_partly_on_the_processor_is_told_with_its_share() {
    for (vram, said) in [("620", Some("keeps 62 % of the model on the GPU")), ("1000", None), ("0", None)] {
        let bench = Bench::new("ollama");
        let port = bench.port.to_string();
        let args = ["start", "new:1b", "--json", "--engine", "ollama", "--port", &port, "--api-key", KEY];
        let mut command = bench.home.faked(&["ollama"], &args);
        command.env("OLLAMA_HOST", "127.0.0.1:9").env("FAKE_VRAM", vram);
        let mut llmup = bench.home.start(command);
        let ready = llmup.ready(LONG);
        assert_eq!(ready["measured"]["total_bytes"], 1000, "{ready}");
        let err = llmup.err_with("Ctrl-C stops");
        match said {
            Some(said) => assert!(err.contains(said), "{err}"),
            None => assert!(!err.contains("of the model on the GPU"), "{err}"),
        }
        let text = finish(bench.home.llmup(&["status"])).out;
        assert!(text.contains("on the GPU"), "{text}");
        bench.end(&mut llmup);
        bench.clean(Duration::from_secs(5));
    }
}
