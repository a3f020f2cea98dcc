//! From a failed engine's log to the line that matters, what to do, and — where the engine names a number — what to
//! retry with. The line is rarely the last one: engines end with a summary that says "see above".

/// What a log says about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The engine's own words, one line.
    pub line: String,
    /// What to do next.
    pub hint: Option<String>,
    /// vLLM's "estimated maximum model length is N": the context to retry with, tokens.
    pub retry_context: Option<u64>,
    /// The port was taken between our check and the engine's bind.
    pub port_taken: bool,
}

/// `(mark in the line, hint)`, most telling first. Texts: vLLM 0.32.0 (CPU) and 0.33.0 sources.
const VLLM: &[(&str, &str)] = &[
    (
        "unrecognized arguments:",
        "this version of vLLM does not know that flag; remove it, or see `vllm serve --help=all`",
    ),
    (
        "estimated maximum model length is",
        "start with a smaller context: `--context N`, or a larger `--gpu-memory-utilization`",
    ),
    (
        "No available memory for the cache blocks",
        "the weights leave no room for the KV cache: raise `--gpu-memory-utilization`, spread over more GPUs with `--tensor-parallel-size`, or take a smaller quantisation",
    ),
    (
        "is less than desired GPU memory utilization",
        "another program holds memory on the GPU (see `nvidia-smi`): end it, or lower `--gpu-memory-utilization`",
    ),
    (
        "CUDA out of memory",
        "lower `--gpu-memory-utilization` or add `-- --enforce-eager`; see which programs use the GPU with `nvidia-smi`",
    ),
    (
        "invalid tool call parser",
        "that parser is not in this version of vLLM: update the engine with `llmup engine install vllm`, or pass another after `--`",
    ),
    (
        "Reasoning parser",
        "that parser is not in this version of vLLM: update the engine with `llmup engine install vllm`, or pass another after `--`",
    ),
    (
        "greater than the derived max_model_len",
        "the model was not made for so long a context; use a smaller `--context`",
    ),
    ("must be divisible by tensor parallel size", "choose a `--tensor-parallel-size` that divides the number of heads"),
    (
        "not divisible by weight quantization block",
        "lower `--tensor-parallel-size`, or add `-- --enable-expert-parallel`",
    ),
    (
        "does not recognize this architecture",
        "this model is newer than the installed engine: `llmup engine install vllm`",
    ),
    (
        "are not supported for now",
        "vLLM does not know this architecture: update it with `llmup engine install vllm`, or use a GGUF of the model with llama.cpp",
    ),
    ("Error while deserializing header", "a weight file is damaged or cut short: download it again"),
    (
        "ensure the presence of a 'config.json'",
        "the directory holds no config.json: pass the folder of the model with `--model-dir`",
    ),
    ("Cannot find an appropriate cached snapshot folder", "the model path does not exist: check `--model-dir`"),
    (
        "on kv cache allocation is less than requested",
        "the KV cache asks for more memory than is free: use a smaller `--context`",
    ),
];

/// Ends of chains that only point upwards.
const SUMMARIES: &[&str] = &[
    "Engine core initialization failed",
    "WorkerProc initialization failed",
    "See stack trace for root cause",
    "EngineDeadError",
];

/// vLLM's log.
pub(super) fn vllm(log: &str) -> Option<Diagnosis> {
    let lines: Vec<&str> = log.split(['\n', '\r']).map(without_prefix).filter(|l| !l.is_empty()).collect();
    if let Some(line) = lines.iter().find(|l| l.contains("Address already in use")) {
        return Some(Diagnosis { port_taken: true, ..plain(line) });
    }
    for (mark, hint) in VLLM {
        if let Some(line) = lines.iter().find(|l| l.contains(mark) && !is_code(l)) {
            return Some(Diagnosis { hint: Some((*hint).to_owned()), retry_context: estimated(line), ..plain(line) });
        }
    }
    let telling = |l: &&&str| is_error(l) && !SUMMARIES.iter().any(|s| l.contains(s));
    lines.iter().find(telling).or_else(|| lines.iter().find(|l| is_error(l))).map(|l| plain(l))
}

/// llama-server's log.
pub(super) fn llama_cpp(log: &str) -> Option<Diagnosis> {
    let find = |mark: &str| log.lines().find(|l| l.contains(mark));
    if let Some(line) = find("couldn't bind HTTP server socket") {
        return Some(Diagnosis { port_taken: true, ..plain(line) });
    }
    const MARKS: &[(&str, &str)] = &[
        ("invalid argument:", "this build of llama.cpp does not know that flag; see `llama-server --help`"),
        (
            "unknown model architecture",
            "this model is newer than the installed llama.cpp: `llmup engine install llama-cpp`",
        ),
        ("invalid magic", "the file is not a GGUF; check the path"),
        ("unable to allocate", "there is too little memory: use a smaller `--context` or a smaller quantisation"),
        ("out of memory", "there is too little memory: use a smaller `--context` or a smaller quantisation"),
        (
            "failed to load model",
            "the file cannot be loaded: is it whole, and a GGUF this build knows? Download it again if in doubt",
        ),
    ];
    MARKS
        .iter()
        .find_map(|(mark, hint)| find(mark).map(|line| Diagnosis { hint: Some((*hint).to_owned()), ..plain(line) }))
        .or_else(|| log.lines().find(|l| is_error(l) || l.starts_with("error")).map(plain))
}

/// Ollama's log.
pub(super) fn ollama(log: &str) -> Option<Diagnosis> {
    if let Some(line) = log.lines().find(|l| l.contains("address already in use")) {
        return Some(Diagnosis { port_taken: true, ..plain(line) });
    }
    log.lines().find(|l| l.starts_with("Error:")).map(plain)
}

fn plain(line: &str) -> Diagnosis {
    const LONGEST: usize = 400;
    let line = line.trim();
    let mut end = line.len().min(LONGEST);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let shown = if end < line.len() { format!("{}…", &line[..end]) } else { line.to_owned() };
    Diagnosis { line: shown, hint: None, retry_context: None, port_taken: false }
}

/// Takes `(EngineCore pid=1) ERROR 11-20 19:12:06 [core.py:1510] ` off a line. The blanks after it are kept: they
/// tell a traceback's source lines from its message.
fn without_prefix(line: &str) -> &str {
    let rest = match line.strip_prefix('(').and_then(|l| l.split_once(") ")) {
        Some((process, rest)) if process.contains("pid=") => rest,
        _ => line,
    };
    let level = ["ERROR ", "WARNING ", "INFO ", "CRITICAL "].iter().find_map(|l| rest.strip_prefix(l));
    match level.and_then(|l| l.split_once("] ")) {
        Some((_, message)) => message,
        None => rest,
    }
}

/// A source line inside a traceback (`    raise ValueError(`), not a message.
fn is_code(line: &str) -> bool {
    line.starts_with("    ") || line.trim_start().starts_with("File \"")
}

/// `SomeError: text`, possibly with its module path.
fn is_error(line: &str) -> bool {
    let Some((name, _)) = line.split_once(": ") else { return false };
    (name.ends_with("Error") || name.ends_with("Exception"))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c))
}

fn estimated(line: &str) -> Option<u64> {
    let rest = line.split("estimated maximum model length is ").nth(1)?;
    let digits: String = rest.chars().filter(|c| *c != ',').take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_cause_is_taken_not_the_summary_below_it() {
        let log = "(APIServer pid=7) INFO 01-02 03:04:05 [a.py:1] hello\n\
                   (EngineCore pid=8) ERROR 01-02 03:04:06 [core.py:9]     raise OddError(\n\
                   (EngineCore pid=8) ERROR 01-02 03:04:06 [core.py:9] odd.OddError: the moon is full\n\
                   RuntimeError: Engine core initialization failed. See root cause above.\n";
        assert_eq!(vllm(log).unwrap().line, "odd.OddError: the moon is full");
    }

    #[test]
    fn the_estimated_length_is_what_to_retry_with() {
        let log = "ValueError: To serve at least one request … the estimated maximum model length is 19328. Try …";
        let diagnosis = vllm(log).unwrap();
        assert_eq!(diagnosis.retry_context, Some(19328));
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let log = format!("ValueError: {}", "é".repeat(1000));
        assert!(vllm(&log).unwrap().line.ends_with('…'));
    }

    /// Recorded logs: the line the user is shown, by a part of it.
    #[test]
    fn recorded_logs_show_their_telling_line() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/engine_logs");
        if !dir.is_dir() {
            eprintln!("skipped: no recorded engine logs beside this checkout");
            return;
        }
        let expected: &[(&str, &str)] = &[
            ("vllm_bad_tool_parser", "invalid tool call parser: nosuch"),
            ("vllm_bad_reasoning_parser", "Reasoning parser 'nosuch' not found"),
            ("vllm_unknown_flag", "unrecognized arguments: --no-such-flag"),
            ("vllm_truncated_weights", "SafetensorError: Error while deserializing header"),
            ("vllm_kv_too_big", "Available memory on node 0"),
            ("vllm_kv_bytes_too_small", "estimated maximum model length is 19328"),
            ("vllm_maxlen_gt_derived", "greater than the derived max_model_len"),
            ("vllm_tp_not_dividing_heads", "must be divisible by tensor parallel size"),
            ("vllm_unsupported_arch", "are not supported for now"),
            ("vllm_unsupported_model_type", "does not recognize this architecture"),
            ("vllm_missing_dir", "Cannot find an appropriate cached snapshot folder"),
            ("vllm_empty_dir", "ensure the presence of a 'config.json'"),
            ("vllm_port_in_use", "Address already in use"),
            ("llama_badflag", "invalid argument: --nope"),
            ("llama_missing", "failed to load model"),
            ("llama_notgguf", "invalid magic"),
            ("llama_port_in_use", "couldn't bind HTTP server socket"),
        ];
        for (name, part) in expected {
            let log = std::fs::read(dir.join(format!("{name}.log"))).unwrap();
            let log = String::from_utf8_lossy(&log);
            let found = if name.starts_with("vllm") { vllm(&log) } else { llama_cpp(&log) };
            let found = found.unwrap_or_else(|| panic!("{name}: nothing found"));
            assert!(found.line.contains(part), "{name}: {}", found.line);
            assert_eq!(found.port_taken, name.ends_with("port_in_use"), "{name}");
        }
    }
}
