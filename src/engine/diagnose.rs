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
    /// The finding it is, of those in `profiles/findings/`: `LLMUP-E012`. `None`: nothing is known of it.
    pub code: Option<&'static str>,
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

/// What a line says, the code of that finding, and the hint.
type Mark = (&'static str, &'static str, &'static str);

/// The port was taken between our check and the engine's bind.
const PORT_TAKEN: &str = "LLMUP-E005";
/// Only a summary that points upwards is there.
const SUMMARY: &str = "LLMUP-E008";

/// Most telling first. Texts: vLLM 0.32.0 (CPU) and 0.33.0 sources.
const VLLM: &[Mark] = &[
    (
        "unrecognized arguments:",
        "LLMUP-E006",
        "this version of vLLM does not know that flag; remove it, or see `vllm serve --help=all`",
    ),
    (
        "estimated maximum model length is",
        "LLMUP-E010",
        "start with a smaller context: `--context N`, or a larger `--gpu-memory-utilization`",
    ),
    (
        "larger than the maximum number of tokens that can be stored in KV cache",
        "LLMUP-E010",
        "start with a smaller context: `--context N`, or a larger `--gpu-memory-utilization`",
    ),
    (
        "No available memory for the cache blocks",
        "LLMUP-E011",
        "the weights leave no room for the KV cache: raise `--gpu-memory-utilization`, spread over more GPUs with `--tensor-parallel-size`, or take a smaller quantisation",
    ),
    (
        "is less than desired GPU memory utilization",
        "LLMUP-E012",
        "another program holds memory on the GPU (see `nvidia-smi`): end it, or lower `--gpu-memory-utilization`",
    ),
    (
        "out of memory occurred when warming up sampler",
        "LLMUP-E014",
        "fewer requests at once need less: `-- --max-num-seqs 64`, or lower `--gpu-memory-utilization`",
    ),
    (
        // CUDA, HIP and NPU alike.
        "out of memory. Tried to allocate",
        "LLMUP-E013",
        "lower `--gpu-memory-utilization` or add `-- --enforce-eager`; see which programs use the GPU with `nvidia-smi`",
    ),
    (
        // The same where the line was cut off.
        "CUDA out of memory",
        "LLMUP-E013",
        "lower `--gpu-memory-utilization` or add `-- --enforce-eager`; see which programs use the GPU with `nvidia-smi`",
    ),
    (
        "invalid tool call parser",
        "LLMUP-E020",
        "that parser is not in this version of vLLM: update the engine with `llmup engine install vllm`, or pass another after `--`",
    ),
    (
        "Reasoning parser",
        "LLMUP-E021",
        "that parser is not in this version of vLLM: update the engine with `llmup engine install vllm`, or pass another after `--`",
    ),
    (
        "greater than the derived max_model_len",
        "LLMUP-E022",
        "the model was not made for so long a context; use a smaller `--context`",
    ),
    (
        "must be divisible by tensor parallel size",
        "LLMUP-E023",
        "choose a `--tensor-parallel-size` that divides the number of heads",
    ),
    (
        "not divisible by weight quantization block",
        "LLMUP-E024",
        "lower `--tensor-parallel-size`, or add `-- --enable-expert-parallel`",
    ),
    (
        "does not recognize this architecture",
        "LLMUP-E025",
        "this model is newer than the installed engine: `llmup engine install vllm`",
    ),
    (
        "are not supported for now",
        "LLMUP-E026",
        "vLLM does not know this architecture: update it with `llmup engine install vllm`, or use a GGUF of the model with llama.cpp",
    ),
    ("Error while deserializing header", "LLMUP-M003", "a weight file is damaged or cut short: download it again"),
    (
        "ensure the presence of a 'config.json'",
        "LLMUP-M002",
        "the directory holds no config.json: pass the folder of the model with `--model-dir`",
    ),
    (
        "Cannot find an appropriate cached snapshot folder",
        "LLMUP-M001",
        "the model path does not exist: check `--model-dir`",
    ),
    (
        "on kv cache allocation is less than requested",
        "LLMUP-E015",
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
        return Some(taken(line));
    }
    for (mark, code, hint) in VLLM {
        if let Some(line) = lines.iter().find(|l| l.contains(mark) && !is_code(l)) {
            return Some(Diagnosis { remedy: remedy(line, &lines), ..known(line, code, hint) });
        }
    }
    let telling = |l: &&&str| is_error(l) && !SUMMARIES.iter().any(|s| l.contains(s));
    let summary = || lines.iter().find(|l| is_error(l)).map(|l| Diagnosis { code: Some(SUMMARY), ..plain(l) });
    lines.iter().find(telling).map(|l| plain(l)).or_else(summary)
}

/// Most telling first. Texts: llama.cpp b11669.
const LLAMA_CPP: &[Mark] = &[
    (
        "error while handling argument",
        "LLMUP-E007",
        "the value behind that flag is none it can read; see `llama-server --help`",
    ),
    ("invalid argument:", "LLMUP-E006", "this build of llama.cpp does not know that flag; see `llama-server --help`"),
    (
        "unknown model architecture",
        "LLMUP-E025",
        "this model is newer than the installed llama.cpp: `llmup engine install llama-cpp`",
    ),
    ("invalid magic", "LLMUP-M004", "the file is not a GGUF; check the path"),
    (
        "unable to allocate",
        "LLMUP-E016",
        "there is too little memory: use a smaller `--context` or a smaller quantisation",
    ),
    ("out of memory", "LLMUP-E016", "there is too little memory: use a smaller `--context` or a smaller quantisation"),
    (
        "failed to load model",
        "LLMUP-M005",
        "the file cannot be loaded: is it whole, and a GGUF this build knows? Download it again if in doubt",
    ),
];

/// Texts: Ollama 0.33-rc.
const OLLAMA: &[Mark] = &[
    ("unknown flag:", "LLMUP-E006", "this version of Ollama does not know that flag; see `ollama serve --help`"),
    (
        "unsupported architecture",
        "LLMUP-E027",
        "Ollama cannot convert these weights: run the folder with vLLM, or a GGUF of the model with llama.cpp",
    ),
    (
        "pull model manifest: file does not exist",
        "LLMUP-E028",
        "there is no such name or tag: what this Ollama has shows `ollama list`",
    ),
];

/// llama-server's log.
pub(super) fn llama_cpp(log: &str) -> Option<Diagnosis> {
    let find = |mark: &str| log.lines().find(|l| l.contains(mark));
    if let Some(line) = find("couldn't bind HTTP server socket") {
        return Some(taken(line));
    }
    marked(LLAMA_CPP, log).or_else(|| log.lines().find(|l| is_error(l) || l.starts_with("error")).map(plain))
}

/// Ollama's log.
pub(super) fn ollama(log: &str) -> Option<Diagnosis> {
    if let Some(line) = log.lines().find(|l| l.contains("address already in use")) {
        return Some(taken(line));
    }
    marked(OLLAMA, log).or_else(|| log.lines().find(|l| l.starts_with("Error:")).map(plain))
}

/// The first mark, in their order, that any line has.
fn marked(marks: &[Mark], log: &str) -> Option<Diagnosis> {
    marks
        .iter()
        .find_map(|(mark, code, hint)| log.lines().find(|l| l.contains(mark)).map(|line| known(line, code, hint)))
}

fn known(line: &str, code: &'static str, hint: &str) -> Diagnosis {
    Diagnosis { hint: Some(hint.to_owned()), code: Some(code), ..plain(line) }
}

fn taken(line: &str) -> Diagnosis {
    Diagnosis { port_taken: true, code: Some(PORT_TAKEN), ..plain(line) }
}

fn plain(line: &str) -> Diagnosis {
    const LONGEST: usize = 400;
    let line = line.trim();
    let mut end = line.len().min(LONGEST);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let shown = if end < line.len() { format!("{}…", &line[..end]) } else { line.to_owned() };
    Diagnosis { line: shown, hint: None, code: None, remedy: None, port_taken: false }
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
#[path = "diagnose_tests.rs"]
mod tests;
