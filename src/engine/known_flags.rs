//! Which flags the installed version of an engine accepts. A flag that is gone ends the server at once, after vLLM
//! has spent half a minute on importing torch; so it is looked up before the start, without running vLLM at all.
//!
//! * vLLM: the sources of the installed package. `add_argument("--name", …)` in `engine/arg_utils.py` and `cli_args.py`,
//!   and the fields of the `…FrontendArgs` classes there. Checked against `vllm serve --help=all` of 0.32.0: the same
//!   flags, except the `--no-` forms, which follow from them. The names of parsers come from the tables in
//!   `tool_parsers/__init__.py` and `reasoning/__init__.py`, the same as its help and its refusals list.
//! * llama.cpp: `--help`, 0.05 s, kept in a file until the program changes.

use std::collections::{BTreeMap, BTreeSet};
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
/// The flag that `--enable-auto-tool-choice` needs.
const TOOL_PARSER: &str = "--tool-call-parser";
/// No version of either engine had so few flags: fewer mean that the source was not understood.
const FEWEST: usize = 40;

/// The flags one installed version accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFlags {
    engine: EngineId,
    names: BTreeSet<String>,
    /// The values of flags that take names of parsers, where they could be read.
    values: BTreeMap<&'static str, BTreeSet<String>>,
    traces: bool,
}

impl KnownFlags {
    /// Those of an engine that was found; `None` when they cannot be learnt, or when the engine takes none. `cache` is
    /// a folder for what costs time.
    pub fn of(found: &Found, host: &dyn Host, cache: &Path) -> Option<KnownFlags> {
        match found.engine {
            EngineId::Vllm => {
                let (names, values) = vllm(host, &found.program)?;
                Some(KnownFlags { values, ..KnownFlags::new(found.engine, names, false)? })
            }
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
        sound.then_some(KnownFlags { engine, names, values: BTreeMap::new(), traces })
    }

    /// llama.cpp: level 4 of `-lv` is "trace", which shows the sizes of buffers and no prompts.
    pub fn traces(&self) -> bool {
        self.traces
    }

    /// All of them, in order.
    #[cfg(test)]
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

    /// What is known and nearest to something that is not, when anything is near.
    pub fn nearest(&self, unknown: &str) -> Option<String> {
        if let Some((flag, value)) = unknown.split_once(' ') {
            let values = self.values.get(name(self.engine, flag).as_str())?;
            return nearest(value, 0.8, values.iter()).map(|near| format!("{flag} {near}"));
        }
        if let Some((flag, value)) = unknown.split_once('=') {
            return Some(format!("{flag} {value}"));
        }
        let wanted = name(self.engine, unknown);
        nearest(&wanted, 0.85, self.names.iter().filter(|known| known.starts_with("--"))).cloned()
    }

    /// What among `args` it does not know, in order: `--flag`, or `--flag value` when only the value is unknown.
    pub fn unknown(&self, args: &[String]) -> Vec<String> {
        // A plugin brings parsers of its own.
        let plugin = args.iter().any(|arg| arg.contains("parser-plugin") || arg.contains("parser_plugin"));
        let next = args.iter().map(String::as_str).skip(1).map(Some).chain([None]);
        let flags = args.iter().map(String::as_str).zip(next).filter(|(arg, _)| is_flag(arg));
        let wrong = flags.filter_map(|(arg, next)| self.wrong(arg, next));
        wrong.filter(|what| !(plugin && what.contains(' '))).collect()
    }

    /// `args` without what it does not know, and what that was, as [`KnownFlags::unknown`] says it.
    pub fn without_unknown(&self, args: Vec<OsString>) -> (Vec<OsString>, Vec<String>) {
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        let mut leaving = false;
        let mut args = args.into_iter().peekable();
        while let Some(arg) = args.next() {
            if let Some(flag) = arg.to_str().filter(|text| is_flag(text)) {
                let wrong = self.wrong(flag, args.peek().and_then(|next| next.to_str()));
                leaving = wrong.is_some();
                left_out.extend(wrong);
            }
            if !leaving {
                kept.push(arg);
            }
        }
        if left_out.iter().any(|what| what.starts_with(TOOL_PARSER)) {
            // vLLM refuses it alone.
            kept.retain(|arg| arg != "--enable-auto-tool-choice");
        }
        (kept, left_out)
    }

    /// What is wrong with one flag, given what follows it.
    fn wrong(&self, arg: &str, next: Option<&str>) -> Option<String> {
        let bare = arg.split('=').next().unwrap_or(arg);
        if !self.knows(arg) {
            // llama.cpp's `--flag=value`: the name is right, the form is not.
            let form = bare != arg && self.knows(bare);
            return Some(if form { arg } else { bare }.to_owned());
        }
        let values = self.values.get(name(self.engine, arg).as_str())?;
        let value = arg.split_once('=').map(|(_, value)| value).or(next)?;
        (!value.is_empty() && !values.contains(value)).then(|| format!("{bare} {value}"))
    }
}

/// Whether an argument is a flag and not a value: `-1` and `- a list` are values.
pub fn is_flag(arg: &str) -> bool {
    let name = arg.split('=').next().unwrap_or_default();
    let mut rest = name.trim_start_matches('-').chars();
    let dashes = name.len() - name.trim_start_matches('-').len();
    matches!(dashes, 1 | 2) && rest.next().is_some_and(char::is_alphabetic) && !name.contains(char::is_whitespace)
}

fn nearest<'a>(wanted: &str, least: f64, among: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    // A common beginning is not enough: `--no-such-flag` is not `--no-ui`.
    const ALIKE: f64 = 0.55;
    let alike = among.filter(|known| strsim::normalized_damerau_levenshtein(wanted, known) >= ALIKE);
    let scored = alike.map(|known| (strsim::jaro_winkler(wanted, known), known));
    scored.filter(|(score, _)| *score >= least).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, known)| known)
}

/// A flag's name as its engine compares it.
fn name(engine: EngineId, arg: &str) -> String {
    // llama.cpp takes no `--flag=value`: with it the name is another one.
    let bare = if engine == EngineId::Vllm { arg.split(['=', '.']).next().unwrap_or(arg) } else { arg };
    let bare = if engine == EngineId::Vllm { bare.trim_end_matches('+') } else { bare };
    if bare.starts_with("--") { bare.replace('_', "-") } else { bare.to_owned() }
}

type Values = BTreeMap<&'static str, BTreeSet<String>>;

/// vLLM's, from the package beside the program.
fn vllm(host: &dyn Host, program: &Path) -> Option<(BTreeSet<String>, Values)> {
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
            // These tables moved too, and did not always exist.
            let tools = ["tool_parsers", "entrypoints/openai/tool_parsers"];
            let tools = tools.iter().find_map(|dir| table(&read(package.join(dir).join("__init__.py"))?));
            let reasoning = read(package.join("reasoning").join("__init__.py")).and_then(|text| table(&text));
            let values = [(TOOL_PARSER, tools), ("--reasoning-parser", reasoning)];
            Some((names, values.into_iter().filter_map(|(flag, names)| Some((flag, names?))).collect()))
        })
    })
}

/// The keys of the table `_…_PARSERS_TO_REGISTER = {`; `None` without it.
fn table(source: &str) -> Option<BTreeSet<String>> {
    const FEWEST_PARSERS: usize = 5;
    let (_, rest) = source.split_once("_PARSERS_TO_REGISTER = {")?;
    let (inside, _) = rest.split_once("\n}")?;
    let keys = inside.lines().filter_map(|line| line.strip_prefix("    \"")?.split_once("\":"));
    let keys: BTreeSet<String> = keys.map(|(key, _)| key.to_owned()).collect();
    (keys.len() >= FEWEST_PARSERS).then_some(keys)
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
