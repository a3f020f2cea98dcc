//! Which flags the installed version of an engine accepts. A flag that is gone ends the server at once, after vLLM
//! has spent half a minute on importing torch; so it is looked up before the start, without running vLLM at all.
//!
//! * vLLM: the sources of the installed package. `add_argument("--name", …)` in `engine/arg_utils.py` and `cli_args.py`,
//!   and the fields of the `…FrontendArgs` classes there. Checked against `vllm serve --help=all` of 0.32.0: the same
//!   flags, except the `--no-` forms, which follow from them.
//! * llama.cpp: `--help`, 0.05 s, kept in a file until the program changes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::find::{Found, site_packages};
use super::id::EngineId;
use crate::fs;
use crate::host::Host;

/// How long `--help` may take.
const HELP_LIMIT: Duration = Duration::from_secs(3);
/// Source files larger than this are not what they should be (vLLM 0.32's largest has 139 KB).
const LARGEST_SOURCE: usize = 4 << 20;
/// No version of either engine had so few flags: fewer mean that the source was not understood.
const FEWEST: usize = 40;

/// The flags one installed version accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFlags {
    engine: EngineId,
    names: BTreeSet<String>,
    traces: bool,
}

impl KnownFlags {
    /// Those of an engine that was found; `None` when they cannot be learnt, or when the engine takes none. `cache` is
    /// a folder for what costs time.
    pub fn of(found: &Found, host: &dyn Host, cache: &Path) -> Option<KnownFlags> {
        match found.engine {
            EngineId::Vllm => KnownFlags::new(found.engine, vllm(host, &found.program)?, false),
            EngineId::LlamaCpp => KnownFlags::from_help(&help(found, host, cache)?),
            EngineId::Ollama => None,
        }
    }

    /// Those llama.cpp's help lists.
    fn from_help(text: &str) -> Option<KnownFlags> {
        KnownFlags::new(EngineId::LlamaCpp, of_help(text), text.contains("- 4: trace"))
    }

    fn new(engine: EngineId, names: BTreeSet<String>, traces: bool) -> Option<KnownFlags> {
        let sound = names.len() >= FEWEST && names.contains("--host") && names.contains("--port");
        sound.then_some(KnownFlags { engine, names, traces })
    }

    /// llama.cpp: level 4 of `-lv` is "trace", which shows the sizes of buffers and no prompts.
    pub fn traces(&self) -> bool {
        self.traces
    }

    /// All of them, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether the engine takes `arg` (a flag, perhaps with `=value`) for a flag it knows.
    pub fn knows(&self, arg: &str) -> bool {
        let name = name(self.engine, arg);
        if self.engine != EngineId::Vllm {
            return self.names.contains(&name);
        }
        if self.names.contains(&name) || matches!(name.as_str(), "-h" | "--help") {
            return true;
        }
        if name.strip_prefix("--no-").is_some_and(|rest| self.names.contains(&format!("--{rest}"))) {
            return true;
        }
        // `-O3`, and argparse's abbreviations when only one flag begins so.
        let level = name.strip_prefix("-O").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let mut begin = self.names.iter().filter(|known| name.len() > 3 && known.starts_with(&name));
        (level && self.names.contains("-O")) || (begin.next().is_some() && begin.next().is_none())
    }

    /// The known flag whose name is nearest to `arg`, when one is near.
    pub fn nearest(&self, arg: &str) -> Option<&str> {
        const NEAR: f64 = 0.85;
        let wanted = name(self.engine, arg);
        let wanted = wanted.split('=').next().unwrap_or_default();
        let long = self.names.iter().filter(|known| known.starts_with("--"));
        let scored = long.map(|known| (strsim::jaro_winkler(wanted, known), known));
        let best = scored.filter(|(score, _)| *score >= NEAR).max_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map(|(_, known)| known.as_str())
    }

    /// The flags among `args` that it does not know, in order.
    pub fn unknown<'a>(&self, args: &'a [String]) -> Vec<&'a str> {
        args.iter().map(String::as_str).filter(|arg| is_flag(arg) && !self.knows(arg)).collect()
    }

    /// `args` without the flags it does not know and their values, and the names of those left out.
    pub fn without_unknown(&self, args: Vec<OsString>) -> (Vec<OsString>, Vec<String>) {
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        let mut leaving = false;
        for arg in args {
            let flag = arg.to_str().filter(|text| is_flag(text));
            if let Some(flag) = flag {
                leaving = !self.knows(flag);
                if leaving {
                    left_out.push(flag.split('=').next().unwrap_or(flag).to_owned());
                }
            }
            if !leaving {
                kept.push(arg);
            }
        }
        (kept, left_out)
    }
}

/// Whether an argument is a flag and not a value: `-1` and `- a list` are values.
pub fn is_flag(arg: &str) -> bool {
    let name = arg.split('=').next().unwrap_or_default();
    let mut rest = name.trim_start_matches('-').chars();
    let dashes = name.len() - name.trim_start_matches('-').len();
    matches!(dashes, 1 | 2) && rest.next().is_some_and(char::is_alphabetic) && !name.contains(char::is_whitespace)
}

/// A flag's name as its engine compares it.
fn name(engine: EngineId, arg: &str) -> String {
    // llama.cpp takes no `--flag=value`: with it the name is another one.
    let bare = if engine == EngineId::Vllm { arg.split(['=', '.']).next().unwrap_or(arg) } else { arg };
    let bare = if engine == EngineId::Vllm { bare.trim_end_matches('+') } else { bare };
    if bare.starts_with("--") { bare.replace('_', "-") } else { bare.to_owned() }
}

/// vLLM's, from the package beside the program.
fn vllm(host: &dyn Host, program: &Path) -> Option<BTreeSet<String>> {
    let real = program.canonicalize().ok();
    let read = |path: PathBuf| {
        let bytes = host.read(&path).ok().filter(|bytes| bytes.len() <= LARGEST_SOURCE)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    [Some(program), real.as_deref()].into_iter().flatten().find_map(|program| {
        let env = program.parent()?.parent()?;
        site_packages(host, env).into_iter().find_map(|site| {
            let package = site.join("vllm");
            let engine = read(package.join("engine").join("arg_utils.py"))?;
            let entry = package.join("entrypoints");
            // It moved in 2026.
            let server = ["launchers", "openai"].iter().find_map(|dir| read(entry.join(dir).join("cli_args.py")))?;
            let mut names = arguments(&engine);
            names.extend(arguments(&server));
            names.extend(fields(&server));
            Some(names)
        })
    })
}

/// The names in `add_argument("--name", "-n", …)` calls.
fn arguments(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for call in source.split("add_argument(").skip(1) {
        let mut rest = call.trim_start();
        while let Some(text) = rest.strip_prefix(['"', '\'']) {
            let Some(end) = text.find(['"', '\'']) else { break };
            if is_flag(&text[..end]) {
                names.insert(text[..end].to_owned());
            }
            let Some(more) = text[end + 1..].trim_start().strip_prefix(',') else { break };
            rest = more.trim_start();
        }
    }
    names
}

/// The fields of the classes whose name ends in `FrontendArgs`: each is a flag.
fn fields(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let (mut inside, mut documentation) = (false, false);
    for line in source.lines() {
        if !documentation && !line.is_empty() && !line.starts_with([' ', '\t', ')', '#']) {
            inside = line.strip_prefix("class ").is_some_and(|rest| {
                rest.split(['(', ':']).next().is_some_and(|class| class.trim().ends_with("FrontendArgs"))
            });
        }
        let was_text = documentation;
        if line.matches("\"\"\"").count() % 2 == 1 {
            documentation = !documentation;
        }
        let Some(field) = line.strip_prefix("    ").filter(|_| inside && !was_text) else { continue };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if let Some((name, _)) = field.split_once(": ")
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(plain)
        {
            names.insert(format!("--{}", name.replace('_', "-")));
        }
    }
    names
}

/// llama.cpp's help, from the file kept of it or from the program.
fn help(found: &Found, host: &dyn Host, cache: &Path) -> Option<String> {
    let version = found.version.as_deref().unwrap_or("unknown");
    let version: String = version.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).collect();
    let kept = cache.join(format!("flags-{}-{version}.txt", found.engine));
    let script = found.prefix_args.iter().map(PathBuf::from).filter(|path| path.is_absolute());
    let stamp = stamp(std::iter::once(found.program.clone()).chain(script));
    if let Some(text) = host.read(&kept).ok().and_then(|bytes| String::from_utf8(bytes).ok())
        && let Some((first, rest)) = text.split_once('\n')
        && stamp.as_deref() == Some(first)
    {
        return Some(rest.to_owned());
    }
    let mut args: Vec<&str> = found.prefix_args.iter().map(String::as_str).collect();
    args.push("--help");
    let ran = host.run(&found.program, &args, HELP_LIMIT).ok().filter(|ran| ran.code == Some(0))?;
    if let Some(stamp) = stamp {
        // Only a saving of time: nothing is lost when it cannot be written.
        let _ = fs::create_dir(cache);
        let _ = fs::write_private(&kept, format!("{stamp}\n{}", ran.stdout).as_bytes());
    }
    Some(ran.stdout)
}

/// What changes when one of these files does: path, size and time of each.
fn stamp(files: impl Iterator<Item = PathBuf>) -> Option<String> {
    let mut stamp = String::new();
    for path in files {
        let about = std::fs::metadata(&path).ok()?;
        let time = about.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        stamp += &format!("{} {} {} ", path.display(), about.len(), time.as_nanos());
    }
    Some(stamp.replace(['\n', '\r'], " "))
}

/// The names at the beginning of each line of a help: `-c,    --ctx-size N     size of the prompt context`.
fn of_help(help: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in help.lines().filter(|line| line.starts_with('-')) {
        for word in line.split_whitespace() {
            let name = word.trim_end_matches(',');
            if !is_flag(name) {
                break;
            }
            names.insert(name.to_owned());
            if !word.ends_with(',') {
                break;
            }
        }
    }
    names
}

#[cfg(test)]
#[path = "known_flags_tests.rs"]
mod tests;
