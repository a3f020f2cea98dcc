//! What `explain` finds and how it looks.

use clap::CommandFactory;

use super::*;
use crate::wrapped::width;

fn all() -> &'static [Finding] {
    profile::findings().unwrap()
}

#[test]
fn the_pages_of_the_documentation_are_current() {
    let update = std::env::var_os("LLMUP_UPDATE_SNAPSHOTS").is_some_and(|v| v != "0");
    for (name, chinese) in [("troubleshooting.md", false), ("troubleshooting.zh-CN.md", true)] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        let now = markdown(all(), chinese);
        if update {
            std::fs::write(&path, &now).unwrap();
        }
        let stands = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
        let write = "write it anew with `LLMUP_UPDATE_SNAPSHOTS=1 cargo test --lib explain`";
        assert!(stands == now, "docs/{name} is not what profiles/findings says: {write}");
    }
}

/// Each `llmup …` that a cure names is a command of llmup, with flags it has.
#[test]
fn every_command_a_cure_names_is_there() {
    let cli = crate::cli::Cli::command();
    let mut seen = 0;
    for finding in all() {
        for command in finding.en.cure.iter().flat_map(|cure| cure.split('`').skip(1).step_by(2)) {
            let Some(rest) = command.strip_prefix("llmup ") else { continue };
            let mut words = rest.split(' ');
            let mut at = &cli;
            let mut word = words.next();
            while let Some(sub) = word.and_then(|name| at.find_subcommand(name)) {
                at = sub;
                word = words.next();
            }
            assert!(at.get_name() != cli.get_name(), "{}: {command} is no command", finding.code);
            for flag in
                word.into_iter().chain(words).take_while(|word| *word != "--").filter_map(|w| w.strip_prefix("--"))
            {
                let known = at.get_arguments().any(|arg| arg.get_long() == Some(flag));
                assert!(known, "{}: {command} has no --{flag}", finding.code);
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn a_finding_fits_the_terminal_in_both_languages() {
    for columns in [60, 80, 100] {
        for finding in all() {
            for chinese in [false, true] {
                let text = shown(finding, &all().iter().take(3).collect::<Vec<_>>(), chinese, columns, false);
                for line in text.lines() {
                    // A command is not cut, so that it can be pasted.
                    assert!(width(line) <= columns || line.contains('`'), "{}: {line}", finding.code);
                }
                assert!(!text.contains('\u{1b}') && text.starts_with(&finding.code));
            }
        }
    }
}

#[test]
fn the_list_has_every_code_once() {
    let text = list(all(), false, 80, false);
    for finding in all() {
        assert_eq!(text.matches(&finding.code).count(), 1, "{}", finding.code);
    }
    for (chinese, columns) in [(false, 60), (false, 80), (true, 60), (true, 80)] {
        assert!(list(all(), chinese, columns, false).lines().all(|line| width(line) <= columns));
    }
}

#[test]
fn codes_and_the_words_of_logs_lead_to_the_same_finding() {
    let first = |asked: &str| find(asked).unwrap().first().map_or("", |finding| finding.code.as_str());
    assert_eq!(first("e11"), "LLMUP-E011");
    assert_eq!(first("LLMUP-E011"), "LLMUP-E011");
    let line = "(EngineCore pid=9) ERROR 01-02 03:04:05 [x.py:1] ValueError: No available memory for the cache blocks.";
    assert_eq!(first(line), "LLMUP-E011");
    assert_eq!(first("E999"), "", "a code that is none is not taken for words");
    assert_eq!(first("--gpu-memory-utilization less free than desired"), "LLMUP-E012");
    assert!(unknown("x").hints[0].contains("`llmup explain`"));
}

/// Lines as engines, clients and systems write them, and what each is.
const LINES: &[(&str, &str)] = &[
    ("M001", "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for"),
    ("M002", "Value error, Invalid directory: ensure the presence of a 'config.json'."),
    ("M003", "SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered"),
    ("M005", "srv load_model: failed to load model, 'acme.gguf'"),
    ("M005", "main: exiting due to model loading error"),
    ("M010", "Error rendering prompt with jinja template: \"System message must be at the beginning.\""),
    ("M011", "Unable to generate parser for this template. Error: JSON schema error at #: unrecognized type objekt"),
    (
        "M011",
        "{'type': 'dict_type', 'loc': 'body.tools.3.function.parameters', 'msg': 'Input should be a valid dictionary'}",
    ),
    ("M011", "{'type': 'literal_error', 'msg': \"Input should be 'function'\"}"),
    ("M011", "'type' of tool must be 'function'"),
    ("M014", "the answer holds <tool_call> as text"),
    ("M016", "acme is not a multimodal model"),
    ("M020", "The model `acme` does not exist. Valid aliases: demo."),
    ("M020", "{\"error\":{\"message\":\"model 'acme' not found\",\"type\":\"not_found_error\"}}"),
    ("M020", "There's an issue with the selected model (acme)."),
    (
        "M023",
        "Error: pull model manifest: Get \"https://hub.example/v2/acme\": dial tcp: lookup hub.example: no such host",
    ),
    ("M024", "suffix is only supported for models with FIM completion rendering"),
    ("E005", "OSError: [Errno 98] Address already in use"),
    ("E005", "start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18"),
    ("E005", "Error: listen tcp 127.0.0.1:18: bind: address already in use"),
    ("E006", "vllm: error: unrecognized arguments: --acme 1"),
    ("E006", "error: invalid argument: --acme"),
    ("E008", "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"),
    ("E010", "the estimated maximum model length is 7777. Try increasing"),
    ("E010", "ValueError: To serve at least one request with the model's max seq len (7777), (0.7 GiB KV"),
    ("E011", "ValueError: No available memory for the cache blocks."),
    (
        "E012",
        "Free memory on device cuda:7 (7/77 GiB) on startup is less than desired GPU memory utilization (0.7, 54 GiB).",
    ),
    ("E013", "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 7 MiB."),
    ("E013", "CUDA out of memory"),
    (
        "E015",
        "'Available memory on node 0 (7/77 GiB) on kv cache allocation is less than requested memory for kv (777 GiB).'",
    ),
    ("E016", "CUDA error: out of memory"),
    ("E020", "KeyError: 'invalid tool call parser: acme (chose from { hermes })'"),
    ("E021", "KeyError: \"Reasoning parser 'acme' not found. Available parsers: qwen3\""),
    (
        "E022",
        "User-specified max_model_len (777) is greater than the derived max_model_len (max_position_embeddings=77",
    ),
    ("E023", "Total number of attention heads (7) must be divisible by tensor parallel size (2)."),
    ("E025", "model type `acme` but Transformers does not recognize this architecture."),
    ("E026", "Model architectures ['AcmeForCausalLM'] are not supported for now. Supported architectures:"),
    ("E027", "Error: unsupported architecture \"AcmeForCausalLM\""),
    ("E028", "Error: pull model manifest: file does not exist"),
    ("E029", "server busy, please try again.  maximum pending requests exceeded"),
    ("E030", "ERROR: No matching distribution found for torch==2.13.0+cpu"),
    ("E032", "API Error: Connection lost mid-response"),
    ("G002", "An attempt was made to access a socket in a way forbidden by its access permissions. (os error 10013)"),
    ("G004", "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)"),
    ("G004", "ERROR: Reconnecting... waiting for network"),
    ("G004", "Error: Cannot connect to API: Unable to connect. Is the computer able to access the url?"),
    ("G004", "[API Error: Connection error. (cause: fetch failed)]"),
    ("G005", "Not logged in · Please run /login"),
    ("G010", "{\"error\":{\"message\":\"Loading model\",\"type\":\"unavailable_error\",\"code\":503}}"),
    ("G011", "This model's maximum context length is 77 tokens. However, your prompt contains at least 78"),
    ("G011", "max_tokens=78 cannot be greater than max_model_len=77."),
    ("G011", "request (78 tokens) exceeds the available context size (77 tokens), try increasing it"),
    ("G011", "exceed_context_size_error"),
    ("H007", "Failed to initialize NVML: Driver/library version mismatch"),
    ("H009", "dcmi model initialized failed, because the device is used. ret is -8020"),
    ("C009", "404 page not found: /v1/v1/messages"),
    ("C010", "Invalid auth method selected."),
    ("C012", "Model metadata for `acme` not found. Defaulting to fallback metadata"),
    ("C013", "unsupported call: acme__close"),
    ("C013", "Codex ran out of room in the model's context window."),
    ("C018", "doesn't recognize the model \"acme\", so it assumes a context window of 1m tokens"),
    ("C018", "Autocompact is thrashing"),
    ("C019", "`wire_api = \"chat\"` is no longer supported."),
    ("C019", "Missing environment variable: `ACME_KEY`."),
    ("C020", "Error: Incomplete JSON segment at the end"),
    ("C021", "%1 is not a valid Win32 application. (os error 193)"),
];

#[test]
fn every_known_text_leads_to_its_finding_for_certain() {
    for (code, line) in LINES {
        let found = find(line).unwrap();
        let first = found.first().unwrap_or_else(|| panic!("nothing is known of {line}"));
        assert_eq!(first.code, format!("LLMUP-{code}"), "{line}");
        assert!(recognised(first, line), "{line} is only guessed");
    }
}

#[test]
fn what_is_only_near_is_told_as_a_guess() {
    for guessed in ["the gateway port is taken", "zebra template", "proxy between client and gateway"] {
        let first = find(guessed).unwrap().into_iter().next();
        assert!(first.is_some_and(|first| !recognised(first, guessed)), "{guessed}");
    }
}
