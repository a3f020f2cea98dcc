//! From a failed engine's log to the line that matters, what to do, and — where the engine names a number — what to
//! retry with. The line is rarely the last one: engines end with a summary that says "see above".

use super::number_after;

/// What a log says about a failure.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// The engine's own words, one line.
    pub line: String,
    /// What to do next.
    pub hint: Option<String>,
    /// What would cure it, with the engine's numbers.
    pub remedy: Option<Remedy>,
    /// The port was taken between our check and the engine's bind.
    pub port_taken: bool,
}

/// What a start that failed for memory says it needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Remedy {
    /// This context fits, tokens: vLLM's "estimated maximum model length", rounded down to a whole block.
    Context(u64),
    /// Less was free on the GPU than the share asks for: this share of its memory is free, 0..1.
    FreeShare(f64),
    /// The weights leave the cache this much less than nothing, GiB (0 when the engine did not say how much).
    MoreShare(f64),
    /// The memory went out while CUDA graphs were captured.
    NoGraphs,
    /// It went out elsewhere.
    LessMemory,
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
        "larger than the maximum number of tokens that can be stored in KV cache",
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
        "out of memory occurred when warming up sampler",
        "fewer requests at once need less: `-- --max-num-seqs 64`, or lower `--gpu-memory-utilization`",
    ),
    (
        // CUDA, HIP and NPU alike.
        "out of memory. Tried to allocate",
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
            let remedy = remedy(line, &lines);
            return Some(Diagnosis { hint: Some((*hint).to_owned()), remedy, ..plain(line) });
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
    Diagnosis { line: shown, hint: None, remedy: None, port_taken: false }
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

/// Tokens in one block of vLLM's cache on GPUs, unless the log names another: a context is a whole number of them.
const BLOCK: u64 = 16;

fn remedy(line: &str, log: &[&str]) -> Option<Remedy> {
    let longest = number_after(line, "estimated maximum model length is ")
        .or_else(|| number_after(line, "can be stored in KV cache ("));
    if let Some(longest) = longest {
        let block = log.iter().rev().find_map(|l| number_after(l, "Setting attention block size to "));
        let block = block.filter(|n| *n > 0).unwrap_or(BLOCK);
        return Some(longest / block * block).filter(|n| *n > 0).map(Remedy::Context);
    }
    if line.contains("is less than desired GPU memory utilization") {
        // "Free memory on device cuda:0 (3.1/23.5 GiB) on startup is less than …"
        let (free, rest) = line.split_once("Free memory on device")?.1.split_once('(')?.1.split_once('/')?;
        let total = rest.split(' ').next()?;
        let (free, total): (f64, f64) = (free.trim().parse().ok()?, total.trim().parse().ok()?);
        let share = free / total;
        return (share.is_finite() && share > 0.0 && share <= 1.0).then_some(Remedy::FreeShare(share));
    }
    if line.contains("No available memory for the cache blocks") {
        let told = log.iter().filter_map(|l| l.split("Available KV cache memory: ").nth(1)?.split(' ').next());
        let least = told.filter_map(|n| n.parse::<f64>().ok()).filter(|n| n.is_finite()).fold(0.0, f64::min);
        return Some(Remedy::MoreShare(-least));
    }
    if line.contains("out of memory. Tried to allocate") {
        let at = |mark: &str| log.iter().position(|l| l.contains(mark));
        let failed = log.iter().position(|l| *l == line)?;
        let capturing = at("Capturing CUDA graph").is_some_and(|began| began < failed)
            && at("Graph capturing finished").is_none_or(|done| done > failed);
        return Some(if capturing { Remedy::NoGraphs } else { Remedy::LessMemory });
    }
    line.contains("warming up sampler").then_some(Remedy::LessMemory)
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

    fn cure(log: &str) -> Option<Remedy> {
        vllm(log).unwrap().remedy
    }

    #[test]
    fn the_context_that_fits_is_a_whole_number_of_blocks() {
        let log = "ValueError: To serve at least one request … the estimated maximum model length is 19,337. Try …";
        assert_eq!(cure(log), Some(Remedy::Context(19_328)));
        let hybrid = format!("INFO 01-02 03:04:05 [i.py:1] Setting attention block size to 1,000 tokens\n{log}");
        assert_eq!(cure(&hybrid), Some(Remedy::Context(19_000)));
        assert_eq!(cure("ValueError: the estimated maximum model length is 7."), None, "less than a block");
        let old = "ValueError: The model's max seq len (9000) is larger than the maximum number of tokens that can be \
                   stored in KV cache (4272). Try …";
        assert_eq!(cure(old), Some(Remedy::Context(4272)));
    }

    #[test]
    fn a_gpu_in_use_tells_the_share_that_is_free() {
        let log = "ValueError: Free memory on device cuda:1 (6.0/24.0 GiB) on startup is less than desired GPU memory \
                   utilization (0.92, 22.08 GiB). Decrease …";
        assert_eq!(cure(log), Some(Remedy::FreeShare(0.25)));
        for broken in ["(6.0/0 GiB)", "(x/24.0 GiB)", "(30.0/24.0 GiB)", "6.0"] {
            assert_eq!(cure(&log.replace("(6.0/24.0 GiB)", broken)), None, "{broken}");
        }
    }

    #[test]
    fn a_cache_without_room_tells_how_much_is_missing() {
        let log = "(Worker_TP0 pid=1) INFO 01-02 03:04:05 [g.py:1] Available KV cache memory: -0.5 GiB\n\
                   (Worker_TP1 pid=2) INFO 01-02 03:04:05 [g.py:1] Available KV cache memory: -1.25 GiB\n\
                   ValueError: No available memory for the cache blocks. Try increasing …";
        assert_eq!(cure(log), Some(Remedy::MoreShare(1.25)));
    }

    #[test]
    fn memory_that_goes_out_while_graphs_are_captured_is_told_apart() {
        let oom = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 512.00 MiB.";
        let capture = "\rCapturing CUDA graphs (decode, FULL):  40%|████      | 4/10 [00:01<00:02]";
        assert_eq!(cure(&format!("{capture}\n{oom}\n")), Some(Remedy::NoGraphs));
        assert_eq!(cure(&format!("{oom}\n")), Some(Remedy::LessMemory));
        let done = "INFO 01-02 03:04:05 [g.py:1] Graph capturing finished in 3 secs, took 0.2 GiB";
        assert_eq!(cure(&format!("{capture}\n{done}\n{oom}\n")), Some(Remedy::LessMemory));
        assert_eq!(cure(&oom.replace("CUDA", "HIP")), Some(Remedy::LessMemory));
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
