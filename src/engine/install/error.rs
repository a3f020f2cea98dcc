//! Why an installation failed and what to do next.

use std::path::PathBuf;

use crate::engine::accelerator::Accelerator;
use crate::engine::id::EngineId;
use crate::error::Explain;
use crate::exit::Exit;
use crate::fs::FileError;
use crate::output;
use crate::wsl::list::CHOSEN;

/// Why an installation failed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// No Python of a fitting version, and no `uv` that could fetch one.
    #[error("{engine} needs Python {from} to {to}, and none was found{tail}", tail = seen_tail(.seen))]
    NoPython {
        /// For which engine.
        engine: EngineId,
        /// Oldest version that works.
        from: String,
        /// Newest version that works.
        to: String,
        /// Versions that were found and do not fit.
        seen: Vec<String>,
    },
    /// There is no distribution of WSL to install into.
    #[error("{engine} runs in WSL 2 on Windows, and {why}")]
    NoWsl {
        /// Which engine.
        engine: EngineId,
        /// What is missing.
        why: String,
        /// How to get it.
        cure: String,
    },
    /// The distribution does not start, or does not say what it has.
    #[error("the distribution {distribution} of WSL does not answer")]
    Silent {
        /// Which.
        distribution: String,
        /// What `wsl.exe` said.
        said: Vec<String>,
    },
    /// No Python of a fitting version in the distribution, and no `uv`.
    #[error("{engine} needs Python {from} to {to} in the distribution {distribution} of WSL, and none was found{tail}", tail = seen_tail(.seen))]
    NoPythonInside {
        /// For which engine.
        engine: EngineId,
        /// Which distribution.
        distribution: String,
        /// Oldest version that works.
        from: String,
        /// Newest version that works.
        to: String,
        /// Versions that were found and do not fit.
        seen: Vec<String>,
    },
    /// `pip`, `uv` or `python` failed.
    #[error("{step} failed ({tool}, {status})")]
    Tool {
        /// What was being done.
        step: String,
        /// `pip`, `uv`, …
        tool: String,
        /// How it ended.
        status: String,
        /// Its own last relevant lines.
        lines: Vec<String>,
    },
    /// The engine cannot be installed here.
    #[error("llmup cannot install {engine} ({build}) on {platform}")]
    Unsupported {
        /// Which engine.
        engine: EngineId,
        /// For which accelerator.
        build: String,
        /// Operating system and processor.
        platform: String,
        /// The accelerators it can install it for.
        others: Vec<Accelerator>,
    },
    /// A build for GPUs that sees none.
    #[error("llama.cpp's Vulkan build sees no GPU here{}", said.as_ref().map(|said| format!(" ({said})")).unwrap_or_default())]
    NoDevice {
        /// Its own last line.
        said: Option<String>,
    },
    /// Not enough room.
    #[error("{engine} needs {need} on the disk that holds {path}, and {free} are free",
        need = output::bytes(*.need), free = output::bytes(*.free), path = path.display())]
    Space {
        /// Which engine.
        engine: EngineId,
        /// Bytes needed.
        need: u64,
        /// Bytes free.
        free: u64,
        /// Where it would go.
        path: PathBuf,
    },
    /// Another installation is running.
    #[error("another llmup is installing or removing {engine} right now")]
    Busy {
        /// Which engine.
        engine: EngineId,
        /// The lock it holds.
        lock: PathBuf,
    },
    /// The release server did not answer as hoped.
    #[error("cannot download {url}: {reason}")]
    Download {
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The release has no such archive, or no hash for it.
    #[error("release {tag} of llama.cpp has no {what}")]
    Release {
        /// The release.
        tag: String,
        /// What it lacks.
        what: String,
    },
    /// What was downloaded is not what was published.
    #[error("{file} is damaged or was tampered with: its SHA-256 is {got}, the release says {want}")]
    Hash {
        /// The file's name.
        file: String,
        /// As computed.
        got: String,
        /// As published.
        want: String,
    },
    /// The archive cannot be unpacked, or should not.
    #[error("cannot unpack {file}: {reason}")]
    Archive {
        /// The file's name.
        file: String,
        /// What went wrong.
        reason: String,
    },
    /// The built-in list of versions is broken.
    #[error("the built-in list of engine versions cannot be read")]
    Facts(#[from] serde_yaml::Error),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
}

fn seen_tail(seen: &[String]) -> String {
    if seen.is_empty() { String::new() } else { format!(" (found: {})", seen.join(", ")) }
}

impl InstallError {
    /// Whether another build or another source may do.
    pub(super) fn leaves_another_way(&self) -> bool {
        matches!(self, InstallError::Download { .. } | InstallError::Release { .. } | InstallError::NoDevice { .. })
    }
}

impl Explain for InstallError {
    fn exit(&self) -> Exit {
        match self {
            InstallError::Space { .. } => Exit::DoesNotFit,
            InstallError::Busy { .. } => Exit::Taken,
            InstallError::Facts(_) => Exit::Bug,
            InstallError::File(error) => error.exit(),
            _ => Exit::Missing,
        }
    }

    fn finding(&self) -> Option<&'static str> {
        matches!(self, InstallError::NoWsl { .. }).then_some("LLMUP-E031")
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            InstallError::Tool { lines, .. } => lines.clone(),
            InstallError::Silent { said, .. } => said.clone(),
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            InstallError::NoPython { .. } => vec![python_hint().to_owned()],
            InstallError::NoWsl { cure, .. } => vec![
                cure.clone(),
                "or use a GGUF of the model with llama.cpp, which needs no WSL: `llmup engine install llama-cpp`"
                    .to_owned(),
            ],
            InstallError::Silent { distribution, .. } => {
                vec![format!("see whether it starts: `wsl -d {distribution} --exec true`")]
            }
            InstallError::NoPythonInside { distribution, seen, .. } if seen.is_empty() => vec![format!(
                "install it there, as root, which needs no password: `wsl -d {distribution} -u root apt-get install -y python3-venv`"
            )],
            InstallError::NoPythonInside { .. } => vec![
                "install a newer distribution: `wsl --install -d Ubuntu-24.04`".to_owned(),
                format!("or uv in this one, which brings a Python of its own; {CHOSEN} names the one to use"),
            ],
            InstallError::Tool { lines, .. } => tool_hints(&lines.join("\n")),
            InstallError::Unsupported { engine, build, others, .. } => unsupported_hints(*engine, build, others),
            InstallError::NoDevice { .. } => no_device_hints(),
            InstallError::Space { .. } => {
                vec![
                    "free some space, or use a folder on a larger disk: `export LLMUP_DATA_DIR=/path/to/llmup`"
                        .to_owned(),
                ]
            }
            InstallError::Busy { .. } => vec!["wait for it to end, then run the command again".to_owned()],
            InstallError::Download { .. } => vec![
                "check the network and proxy (`HTTPS_PROXY`), then run the command again: it continues".to_owned(),
                "behind a firewall, point LLMUP_RELEASE_URL to a mirror, or put your own llama-server on PATH"
                    .to_owned(),
            ],
            InstallError::Release { .. } => vec!["put your own llama-server on PATH instead".to_owned()],
            InstallError::Hash { .. } | InstallError::Archive { .. } => {
                vec![
                    "the file was thrown away; run the command again, and over another network if it repeats"
                        .to_owned(),
                ]
            }
            InstallError::Facts(_) => Vec::new(),
            InstallError::File(error) => error.hints(),
        }
    }
}

fn python_hint() -> &'static str {
    if cfg!(windows) {
        "install Python: `winget install Python.Python.3.12`"
    } else if cfg!(target_os = "macos") {
        "install Python: `brew install python@3.12`"
    } else {
        "install Python: `sudo apt install python3 python3-venv`, or `sudo dnf install python3`"
    }
}

/// What pip's and uv's own words mean for the user.
fn tool_hints(said: &str) -> Vec<String> {
    let lower = said.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if any(&["ensurepip is not available", "no module named ensurepip", "no module named venv"]) {
        return vec!["this Python lacks venv: `sudo apt install python3-venv`".to_owned()];
    }
    if any(&["no space left", "not enough space"]) {
        return vec!["free some space, or set LLMUP_DATA_DIR (and TMPDIR) to folders on a larger disk".to_owned()];
    }
    if any(&["do not match the hashes", "hash mismatch"]) {
        return vec!["the package index served another file than the pinned one; use another index".to_owned()];
    }
    if any(&["certificate", "ssl"]) {
        return vec!["a proxy rewrites TLS: name its certificate, `export PIP_CERT=/path/to/ca.pem SSL_CERT_FILE=/path/to/ca.pem`".to_owned()];
    }
    if any(&["connection", "resolve", "timed out", "network", "dns", "no matching distribution", "proxy"]) {
        // Both tools name what they did not find.
        let pinned = |word: &&str| word.contains("==");
        let package = said.split([' ', '\n', '`', '(', ')', ',', '"']).find(pinned).unwrap_or("PACKAGE==VERSION");
        return vec![
            "offline or behind a firewall: name a mirror, `export PIP_INDEX_URL=https://mirror.example/simple`"
                .to_owned(),
            format!(
                "or fetch the wheels on a machine like this one that has a network: \
                 `python3 -m pip download {package} --only-binary :all: -d wheels`"
            ),
            "then carry that folder here: `export PIP_FIND_LINKS=/carried/wheels PIP_NO_INDEX=1 UV_OFFLINE=1`"
                .to_owned(),
        ];
    }
    vec!["run the command again: it continues where it stopped".to_owned()]
}

fn unsupported_hints(engine: EngineId, build: &str, others: &[Accelerator]) -> Vec<String> {
    let mut hints = match engine {
        EngineId::Ollama if cfg!(target_os = "linux") => {
            return vec!["install it with its own script: `curl -fsSL https://ollama.com/install.sh | sh`".to_owned()];
        }
        EngineId::Ollama if cfg!(target_os = "macos") => return vec!["install it: `brew install ollama`".to_owned()],
        EngineId::Ollama => return vec!["install it: `winget install Ollama.Ollama`".to_owned()],
        EngineId::Vllm => vec![
            "its makers' build goes into a virtual environment of its own; then name that: `export LLMUP_VLLM_VENV=/path/to/venv`"
                .to_owned(),
            "use llama.cpp here: `llmup engine install llama-cpp`".to_owned(),
        ],
        EngineId::LlamaCpp => by_hand(),
    };
    for other in others.iter().filter(|other| other.name() != build) {
        hints.push(format!(
            "llmup can install the one for {other}: `llmup engine install {engine} --accelerator {other}`"
        ));
    }
    hints
}

/// A llama.cpp of one's own.
pub(super) fn by_hand() -> Vec<String> {
    let mut hints = Vec::new();
    if cfg!(windows) {
        hints.push("get a llama-server with Vulkan: `winget install llama.cpp`".to_owned());
    }
    hints.push(format!("build one for it, as {DOCS} says, and put its folder on PATH: `{}`", on_path()));
    hints
}

/// How llama.cpp is built for each accelerator.
const DOCS: &str = "https://github.com/ggml-org/llama.cpp/blob/master/docs/build.md";

fn on_path() -> &'static str {
    if cfg!(windows) {
        r"$env:Path = 'C:\llama.cpp\build\bin\Release;' + $env:Path"
    } else {
        "export PATH=/path/to/llama.cpp/build/bin:$PATH"
    }
}

/// Vulkan needs a driver of the GPU's maker and the loader that finds it.
fn no_device_hints() -> Vec<String> {
    let again = "then run it again: `llmup engine install llama-cpp`".to_owned();
    if cfg!(windows) {
        return vec!["install the GPU's driver from its maker, which brings Vulkan".to_owned(), again];
    }
    vec![
        "install what Vulkan needs; AMD and Intel: `sudo apt install libvulkan1 mesa-vulkan-drivers`; NVIDIA: `sudo apt install libvulkan1`, its driver has the rest"
            .to_owned(),
        again,
    ]
}
