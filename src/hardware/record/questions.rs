//! What a recording asks beyond what detection asked: every form of every vendor's tool that is here, so that a reader
//! that does not exist yet has something to read.

use std::path::PathBuf;
use std::time::Duration;

use crate::host::{Host, Os};

/// As for detection: a healthy tool answers in seconds, a wedged driver never.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// A tool, where it may be besides PATH, and what it is asked.
struct Questions {
    tool: &'static str,
    elsewhere: &'static [&'static str],
    /// Arguments, and the kind of recording (`llmup hardware --from KIND=PATH`) that reads the answer.
    asked: &'static [(&'static [&'static str], &'static str)],
}

const CSV: &str = "--query-gpu=index,uuid,pci.bus_id,name,memory.total,memory.used,memory.free,compute_cap,\
                   driver_version,mig.mode.current";

const TOOLS: &[Questions] = &[
    Questions {
        tool: "nvidia-smi",
        elsewhere: &[
            "/usr/lib/wsl/lib/nvidia-smi",
            r"C:\Windows\System32\nvidia-smi.exe",
            r"C:\Program Files\NVIDIA Corporation\NVSMI\nvidia-smi.exe",
        ],
        asked: &[
            (&["-q", "-x"], "nvidia-smi-xml"),
            (&[CSV, "--format=csv"], "nvidia-smi-csv"),
            (&["topo", "-m"], "nvidia-smi"),
            (&["-L"], "nvidia-smi"),
            (&[], "nvidia-smi"),
        ],
    },
    Questions {
        tool: "amd-smi",
        elsewhere: &["/opt/rocm/bin/amd-smi"],
        asked: &[
            (&["static", "--asic", "--bus", "--vram", "--json"], "amd-smi-json"),
            (&["metric", "--mem-usage", "--json"], "amd-smi-json"),
            (&["topology", "--json"], ""),
        ],
    },
    Questions {
        tool: "rocm-smi",
        elsewhere: &["/opt/rocm/bin/rocm-smi"],
        asked: &[
            (&["--showproductname", "--showmeminfo", "vram", "--showuniqueid", "--showbus", "--json"], "rocm-smi-json"),
            (&["--showtopo"], ""),
        ],
    },
    Questions {
        tool: "npu-smi",
        elsewhere: &["/usr/local/sbin/npu-smi", "/usr/local/bin/npu-smi"],
        asked: &[(&["info"], "npu-smi"), (&["info", "-m"], "npu-smi-mapping"), (&["info", "-t", "topo"], "")],
    },
    Questions { tool: "xpu-smi", elsewhere: &["/usr/bin/xpu-smi"], asked: &[(&["discovery", "-j"], "xpu-smi-json")] },
    Questions {
        tool: "mthreads-gmi",
        elsewhere: &["/usr/bin/mthreads-gmi", "/usr/local/bin/mthreads-gmi"],
        asked: &[(&[], "mthreads-gmi"), (&["-q"], "")],
    },
    Questions {
        tool: "mx-smi",
        elsewhere: &["/opt/mxdriver/bin/mx-smi", "/opt/maca/bin/mx-smi"],
        asked: &[(&[], "mx-smi"), (&["-L"], "mx-smi")],
    },
    Questions {
        tool: "cnmon",
        elsewhere: &["/usr/bin/cnmon", "/usr/local/neuware/bin/cnmon"],
        asked: &[(&[], "cnmon")],
    },
    Questions {
        tool: "hy-smi",
        elsewhere: &["/opt/hyhal/bin/hy-smi", "/usr/local/hyhal/bin/hy-smi"],
        asked: &[(&["--showmeminfo", "vram", "--showproductname", "--json"], "hy-smi"), (&[], "hy-smi")],
    },
    Questions { tool: "ixsmi", elsewhere: &["/usr/local/corex/bin/ixsmi"], asked: &[(&["-q", "-x"], ""), (&[], "")] },
];

const MAC: &[Questions] = &[
    Questions {
        tool: "sysctl",
        elsewhere: &["/usr/sbin/sysctl"],
        asked: &[(&["hw.memsize", "machdep.cpu.brand_string", "iogpu.wired_limit_mb"], "sysctl")],
    },
    Questions {
        tool: "system_profiler",
        elsewhere: &["/usr/sbin/system_profiler"],
        asked: &[(&["SPDisplaysDataType", "-json"], "system-profiler-json")],
    },
];

fn questions(os: Os) -> impl Iterator<Item = &'static Questions> {
    TOOLS.iter().chain(if os == Os::Macos { MAC } else { &[] })
}

/// Asks every tool that is here, all at once; a [`super::Recorder`] keeps what they say.
pub fn ask_tools(host: &dyn Host) {
    std::thread::scope(|scope| {
        for questions in questions(host.os()) {
            scope.spawn(move || {
                let elsewhere = || questions.elsewhere.iter().map(PathBuf::from).find(|path| host.exists(path));
                let Some(program) = host.which(questions.tool).or_else(elsewhere) else { return };
                for (args, _) in questions.asked {
                    let answer = host.run(&program, args, TIME_LIMIT);
                    // One that hangs on the first question hangs on every one.
                    if answer.is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
                        return;
                    }
                }
            });
        }
    });
}

/// The kind of recording that reads what the program said to these arguments.
pub(super) fn kind_of(program: &str, args: &[String]) -> Option<&'static str> {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let name = name.strip_suffix(".exe").unwrap_or(name);
    let of_tool = TOOLS.iter().chain(MAC).filter(|questions| questions.tool == name);
    let mut kinds = of_tool.flat_map(|questions| questions.asked);
    let (_, kind) = kinds.find(|(asked, _)| asked.iter().eq(args.iter()))?;
    Some(*kind).filter(|kind| !kind.is_empty())
}

/// Reads the variables among `names` that tell something.
pub fn ask_variables(host: &dyn Host, names: impl Iterator<Item = String>) {
    for name in names.filter(|name| is_telling(name)) {
        host.env(&name);
    }
}

/// Variables that change what engines see of the devices, and llmup's own, as far as they hold no secret.
fn is_telling(name: &str) -> bool {
    const STARTS: &[&str] =
        &["CUDA_", "NVIDIA_", "ROCR_", "HIP_", "HSA_", "ASCEND_", "ZE_", "ONEAPI_", "MUSA_", "MLU_", "GGML_", "LLMUP_"];
    const SECRET: &[&str] = &["KEY", "TOKEN", "SECRET", "PASS", "AUTH", "CRED", "URL"];
    let upper = name.to_ascii_uppercase();
    let told = upper.ends_with("_VISIBLE_DEVICES") || STARTS.iter().any(|start| upper.starts_with(start));
    told && !SECRET.iter().any(|word| upper.contains(word))
}
