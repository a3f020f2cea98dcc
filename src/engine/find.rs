//! Which engines are on this machine: those llmup installed, those of the user's virtual environments, those on
//! PATH. Cheap on purpose: vLLM's version comes from its metadata, because `vllm --version` costs 20 CPU-seconds
//! (it imports torch); llama-server's `--version` takes 0.05 s.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::id::EngineId;
use super::install::manifest::Manifest;
use crate::host::{Host, Os};
use crate::paths::Paths;
use crate::wsl;
use crate::wsl::path::{Kind, WindowsPath};

/// How long `--version` may take.
const VERSION_LIMIT: Duration = Duration::from_secs(3);
/// How long a running Ollama may take to answer.
const OLLAMA_LIMIT: Duration = Duration::from_millis(500);
/// Where Ollama listens unless told otherwise.
const OLLAMA_DEFAULT: &str = "127.0.0.1:11434";

/// Where an engine was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Installed by llmup.
    Managed,
    /// On PATH.
    Path,
    /// In a virtual environment named by a variable.
    Venv,
}

/// An engine that can be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Which engine.
    pub engine: EngineId,
    /// Where it was found.
    pub origin: Origin,
    /// What to run.
    pub program: PathBuf,
    /// Arguments that always come first.
    pub prefix_args: Vec<String>,
    /// Its version, when it could be learnt cheaply.
    pub version: Option<String>,
    /// What it was built for, when known: `cpu`, `cuda`, `rocm`, `vulkan`, `metal`, `ascend`, `sycl`, ….
    pub build: Option<String>,
}

impl Found {
    /// The distribution of WSL it runs in, on Windows; `None`: it runs where llmup does.
    pub fn distribution(&self) -> Option<&str> {
        wsl::command::distribution_of(&self.program, &self.prefix_args)
    }

    /// Its program, as people look for it.
    pub fn place(&self) -> String {
        match (self.distribution(), self.prefix_args.get(3)) {
            (Some(name), Some(program)) => format!("{program} in WSL, {name}"),
            _ => self.program.display().to_string(),
        }
    }
}

/// Every engine on this machine, the most deliberate choice first: `LLMUP_<ENGINE>_VENV`, the active virtual
/// environment, PATH, then what llmup installed (newest first).
pub fn find(host: &dyn Host, paths: &Paths) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    let mut add = |found: Found| {
        let known = |f: &Found| {
            f.engine == found.engine && f.prefix_args == found.prefix_args && same(&f.program, &found.program)
        };
        if !all.iter().any(known) {
            all.push(found);
        }
    };
    for engine in EngineId::ALL {
        let own = format!("LLMUP_{}_VENV", engine.name().to_uppercase().replace('-', "_"));
        for variable in [own.as_str(), "VIRTUAL_ENV", "CONDA_PREFIX"] {
            let Some(venv) = host.env(variable).filter(|v| !v.is_empty()) else { continue };
            if let Some(found) = in_wsl(host, engine, &venv) {
                add(found);
            } else if let Some(program) = program_in_venv(host, Path::new(&venv), engine.program()) {
                add(describe(host, engine, Origin::Venv, program));
            }
        }
        if let Some(program) = host.which(engine.program()) {
            add(describe(host, engine, Origin::Path, program));
        }
    }
    for found in managed(host, paths) {
        add(found);
    }
    all
}

/// What llmup installed, newest version first.
pub fn managed(host: &dyn Host, paths: &Paths) -> Vec<Found> {
    let mut all: Vec<Found> = host
        .entries(&paths.engines())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|dir| Some(managed_in(&dir, &Manifest::read(host, &dir)?)))
        .collect();
    all.sort_by_key(|found| std::cmp::Reverse(numbers(found.version.as_deref().unwrap_or_default())));
    all
}

/// The engine of a managed folder.
pub(super) fn managed_in(dir: &Path, manifest: &Manifest) -> Found {
    Found {
        engine: manifest.engine,
        origin: Origin::Managed,
        program: manifest.program_in(dir),
        prefix_args: manifest.prefix_args_in(dir),
        version: Some(manifest.version.clone()),
        build: Some(manifest.build.clone()),
    }
}

/// vLLM in an environment inside WSL, on Windows: `/home/me/venv`, or as Windows sees it, `\\wsl$\Ubuntu\home\me\venv`.
fn in_wsl(host: &dyn Host, engine: EngineId, venv: &str) -> Option<Found> {
    if host.os() != Os::Windows || engine != EngineId::Vllm {
        return None;
    }
    let named = match wsl::path::kind(venv) {
        Kind::Whole(WindowsPath::Distribution { name, .. }) => Some(name),
        _ if venv.starts_with('/') => None,
        _ => return None,
    };
    let distribution = match named {
        Some(name) => name,
        None => wsl::standing(host)?.usable()?.to_owned(),
    };
    let mounts = wsl::Mounts::default();
    let linux = if venv.starts_with("/") && !venv.starts_with("//") {
        venv.trim_end_matches('/').to_owned()
    } else {
        wsl::path::to_linux(venv, &mounts, None).ok()?
    };
    let seen = PathBuf::from(wsl::path::to_windows(&linux, &mounts, &distribution)?);
    let program = seen.join("bin").join(engine.program());
    host.exists(&program).then_some(())?;
    let (version, build) = vllm_version(host, &program);
    let mut prefix_args = wsl::command::prefix(&distribution).to_vec();
    prefix_args.push(format!("{linux}/bin/{}", engine.program()));
    Some(Found { engine, origin: Origin::Venv, program: wsl::list::program(host)?, prefix_args, version, build })
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The numbers in a version, to sort by.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn program_in_venv(host: &dyn Host, venv: &Path, name: &str) -> Option<PathBuf> {
    let candidates = match host.os() {
        Os::Windows => vec![venv.join("Scripts").join(format!("{name}.exe")), venv.join(format!("{name}.exe"))],
        _ => vec![venv.join("bin").join(name)],
    };
    candidates.into_iter().find(|path| host.exists(path))
}

fn describe(host: &dyn Host, engine: EngineId, origin: Origin, program: PathBuf) -> Found {
    let (version, build) = match engine {
        EngineId::Vllm => vllm_version(host, &program),
        EngineId::LlamaCpp => run_version(host, &program, llama_version),
        EngineId::Ollama => run_version(host, &program, |text| (ollama_version(text), None)),
    };
    Found { engine, origin, program, prefix_args: Vec::new(), version, build }
}

type Described = (Option<String>, Option<String>);

fn run_version(host: &dyn Host, program: &Path, parse: impl Fn(&str) -> Described) -> Described {
    match host.run(program, &["--version"], VERSION_LIMIT) {
        Ok(ran) => parse(&format!("{}\n{}", ran.stderr, ran.stdout)),
        Err(_) => (None, None),
    }
}

/// `version: 0.7.0 (build 11669, …)`, or older: `version: 6210 (abc1234)`; the lines of loaded back ends before it.
fn llama_version(text: &str) -> Described {
    let version = text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("version:")?.trim();
        let build = rest.split_once("(build ").and_then(|(_, b)| b.split([',', ')', ' ']).next());
        let shown = build.or_else(|| rest.split_whitespace().next())?;
        Some(format!("b{shown}"))
    });
    (version, llama_build(text).map(str::to_owned))
}

/// What llama.cpp's back ends say of themselves before the version: `load_backend: loaded Vulkan backend from …`,
/// `ggml_cuda_init: found 1 ROCm devices` (the CUDA sources serve AMD and Moore Threads too), `ggml_vulkan: Found 2
/// Vulkan devices`. Where the only back end that is loaded is the processor's, it is that.
fn llama_build(text: &str) -> Option<&'static str> {
    const BUILDS: [&str; 7] = ["rocm", "musa", "sycl", "cann", "cuda", "metal", "vulkan"];
    let lower = text.to_lowercase();
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let mut named = Vec::new();
    for line in lower.lines() {
        let words = words(line);
        let after = |mark: &str, skip: usize| {
            let at = words.iter().position(|word| word == mark)?;
            words.get(at + skip).cloned()
        };
        named.extend(after("loaded", 1).filter(|_| line.contains("backend")));
        named.extend(after("found", 2).filter(|_| line.contains("device")));
    }
    let build =
        BUILDS.into_iter().find(|name| named.iter().any(|word| word == name || word.trim_end_matches(':') == *name));
    let cpu = named.iter().any(|word| word.starts_with("cpu")).then_some("cpu");
    // Older ones only have a name somewhere.
    build.or(cpu).or_else(|| BUILDS.into_iter().find(|name| lower.contains(name)))
}

/// `ollama version is 0.33.0`, or with a warning first: `Warning: client version is 0.33.0`.
fn ollama_version(text: &str) -> Option<String> {
    let at = text.find("version is ")?;
    text[at + "version is ".len()..].split_whitespace().next().map(str::to_owned)
}

/// vLLM's version from `vllm-*.dist-info/METADATA` of the environment the program stands in.
fn vllm_version(host: &dyn Host, program: &Path) -> Described {
    // A link on PATH (pipx, uv tool) points into the environment.
    let real = program.canonicalize().ok();
    let version = [Some(program), real.as_deref()].into_iter().flatten().find_map(|program| {
        let env = program.parent()?.parent()?;
        site_packages(host, env).iter().find_map(|site| distribution_version(host, site, "vllm"))
    });
    // A plug-in beside it makes it one for that vendor, whatever vLLM itself was built for.
    const PLUGINS: [(&str, &str); 5] = [
        ("vllm-ascend", "ascend"),
        ("vllm-metax", "maca"),
        ("vllm-musa", "musa"),
        ("vllm-mlu", "mlu"),
        ("vllm-metal", "metal"),
    ];
    let plugin = [Some(program), real.as_deref()].into_iter().flatten().find_map(|program| {
        let sites = site_packages(host, program.parent()?.parent()?);
        let there = |name: &str| sites.iter().any(|site| distribution_version(host, site, name).is_some());
        PLUGINS.into_iter().find(|(name, _)| there(name)).map(|(_, build)| build)
    });
    // `0.33.0+cpu`, `0.18.0+rocm700`, `0.30.0+xpu`; Hygon's are `0.28.1+dtk2604.torch2110`.
    const WORDS: [(&str, &str); 4] = [("cpu", "cpu"), ("rocm", "rocm"), ("xpu", "xpu"), ("dtk", "dcu")];
    let word = |v: &str| WORDS.into_iter().find(|(word, _)| v.contains(word)).map_or("cuda", |(_, build)| build);
    let build = version.as_deref().map(|v| plugin.unwrap_or_else(|| word(v)));
    (version.clone(), build.map(str::to_owned))
}

/// The folders of an environment in which packages may lie.
pub(super) fn site_packages(host: &dyn Host, env: &Path) -> Vec<PathBuf> {
    let mut sites = vec![env.join("Lib").join("site-packages")];
    for lib in ["lib", "lib64"] {
        for python in host.entries(&env.join(lib)).unwrap_or_default() {
            if python.file_name().is_some_and(|n| n.to_string_lossy().starts_with("python")) {
                sites.push(python.join("site-packages"));
                sites.push(python.join("dist-packages"));
            }
        }
    }
    sites
}

/// The version of an installed distribution, without running Python.
pub(super) fn distribution_version(host: &dyn Host, site: &Path, name: &str) -> Option<String> {
    let prefix = format!("{}-", name.replace('-', "_"));
    host.entries(site).ok()?.into_iter().find_map(|entry| {
        let folder = entry.file_name()?.to_string_lossy().into_owned();
        if !folder.starts_with(&prefix) || !folder.ends_with(".dist-info") {
            return None;
        }
        let metadata = host.read(&entry.join("METADATA")).ok()?;
        let metadata = String::from_utf8_lossy(&metadata);
        let field = |key: &str| metadata.lines().find_map(|l| l.strip_prefix(key)).map(|v| v.trim().to_owned());
        field("Version:")
    })
}

/// The version of an Ollama that answers at `base` (`host:port` or a URL) within 500 ms; an empty `base` means
/// `OLLAMA_HOST`, or 127.0.0.1:11434.
pub fn running_ollama(base: &str) -> Option<String> {
    let from_env = std::env::var("OLLAMA_HOST").unwrap_or_default();
    let address = ollama_address(if base.is_empty() { &from_env } else { base });
    let start = Instant::now();
    let left = || OLLAMA_LIMIT.checked_sub(start.elapsed()).filter(|left| !left.is_zero());
    let mut stream = address.to_socket_addrs().ok()?.find_map(|at| TcpStream::connect_timeout(&at, left()?).ok())?;
    stream.set_write_timeout(Some(left()?)).ok()?;
    let request = format!("GET /api/version HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while answer.len() < 16 * 1024 {
        stream.set_read_timeout(Some(left()?)).ok()?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&piece[..n]),
            Err(_) => break,
        }
        if let Some(version) = ollama_answer(&answer) {
            return Some(version);
        }
    }
    ollama_answer(&answer)
}

/// `{"version":"…"}` somewhere in a 200 answer; the body may be chunked.
fn ollama_answer(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200").then_some(())?;
    let json = &body[body.find('{')?..=body.rfind('}')?];
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    Some(value.get("version")?.as_str()?.to_owned())
}

/// `host:port` of what people write into `OLLAMA_HOST`.
pub fn ollama_address(text: &str) -> String {
    let text = text.trim();
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.split('/').next().unwrap_or_default();
    if bare.is_empty() {
        return OLLAMA_DEFAULT.to_owned();
    }
    // Servers are told to listen everywhere as 0.0.0.0, which is no address to connect to on every system.
    let bare = bare.replacen("0.0.0.0", "127.0.0.1", 1);
    let has_port = bare.rsplit_once(':').is_some_and(|(_, p)| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
        && (!bare.starts_with('[') || bare.contains("]:"));
    match (has_port, bare.starts_with(':')) {
        (true, true) => format!("127.0.0.1{bare}"),
        (true, false) => bare,
        (false, _) => format!("{}:11434", bare.trim_end_matches(':')),
    }
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
