use std::collections::BTreeMap;
use std::io;

use super::*;
use crate::engine::find::Origin;
use crate::host::Ran;

/// A machine with these files, whose programs answer `--help` with `help`.
#[derive(Default)]
struct Machine {
    files: BTreeMap<PathBuf, String>,
    help: String,
}

impl crate::host::StandIn for Machine {
    fn run(&self, program: &Path, args: &[&str], _: Duration) -> io::Result<Ran> {
        assert_ne!(program.file_name().unwrap(), "vllm", "vllm --help costs 20 CPU-seconds");
        assert_eq!(args.last(), Some(&"--help"));
        Ok(Ran { code: Some(0), stdout: self.help.clone(), stderr: String::new() })
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).map(|t| t.clone().into_bytes()).ok_or(io::ErrorKind::NotFound.into())
    }
    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let inside = |f: &PathBuf| f.strip_prefix(dir).ok()?.components().next().map(|c| dir.join(c));
        let mut found: Vec<PathBuf> = self.files.keys().filter_map(inside).collect();
        found.dedup();
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
    }
}

fn found(engine: EngineId, program: &str) -> Found {
    let (version, build) = (Some("1.2".into()), None);
    Found { engine, origin: Origin::Path, program: program.into(), prefix_args: Vec::new(), version, build }
}

/// Enough flags to be believed.
fn filler(line: impl Fn(usize) -> String) -> String {
    (0..FEWEST).map(line).collect()
}

const ENGINE_SOURCE: &str = r#"
class EngineArgs:
    model: str = "x"
    def add_cli_args(parser):
        group.add_argument(
            "--tensor-size", "-ts",
            **kwargs["tensor_size"],
        )
        group.add_argument("--enforce-calm", help="Not a flag: --never-mind", default="--other")
        group.add_argument('--spec-config', '-sc')
        group.add_argument("model_tag", type=str)
        group.add_argument("-O", "--level")
"#;

const SERVER_SOURCE: &str = r#"
class Plain:
    hidden_one: int = 3

@config
class SomeFrontendArgs(BaseFrontendArgs):
    """Arguments for a server.

    note: this is text
    """
    host: str | None = None
    """Host name."""
    port: int = 8000
    """Example: a port
    warning: this is text too"""
    log_level: Literal[
        "low", "high"
    ] = "low"

    def method(self):
        local: int = 1

def make(parser):
    parser.add_argument("--headless", action="store_true")
"#;

fn machine(dir: &str) -> Machine {
    let package = PathBuf::from("/env/lib/python3.12/site-packages/vllm");
    let mut files = BTreeMap::new();
    let more = filler(|n| format!("        group.add_argument(\"--made-up-{n}\")\n"));
    files.insert(package.join("engine/arg_utils.py"), format!("{ENGINE_SOURCE}{more}"));
    files.insert(package.join(format!("entrypoints/{dir}/cli_args.py")), SERVER_SOURCE.to_owned());
    Machine { files, help: String::new() }
}

fn vllm_flags(machine: &Machine) -> Option<KnownFlags> {
    KnownFlags::of(&found(EngineId::Vllm, "/env/bin/vllm"), machine, Path::new("/nowhere"))
}

#[test]
fn vllm_is_read_from_its_source_wherever_its_server_arguments_lie() {
    for dir in ["launchers", "openai"] {
        let known = vllm_flags(&machine(dir)).unwrap();
        let own: Vec<&str> = known.names().filter(|n| !n.contains("made-up")).collect();
        let expected = [
            "--enforce-calm",
            "--headless",
            "--host",
            "--level",
            "--log-level",
            "--port",
            "--spec-config",
            "--tensor-size",
            "-O",
            "-sc",
            "-ts",
        ];
        assert_eq!(own, expected, "{dir}");
    }
    assert_eq!(vllm_flags(&Machine::default()), None);
    let mut broken = machine("openai");
    broken.files.insert("/env/lib/python3.12/site-packages/vllm/engine/arg_utils.py".into(), "add_argument(\"".into());
    assert_eq!(vllm_flags(&broken), None, "too few to be believed");
}

#[test]
fn a_flag_is_known_in_every_spelling_its_engine_takes() {
    let known = vllm_flags(&machine("openai")).unwrap();
    for flag in [
        "--tensor-size",
        "--tensor_size=4",
        "-ts",
        "--no-enforce-calm",
        "--spec-config.method",
        "--spec-config.list+",
        "-O3",
        "--enforce",
        "--help",
    ] {
        assert!(known.knows(flag), "{flag}");
    }
    for flag in
        ["--made-u", "--tensor-sizes", "--no-such", "-x", "-O3x", "--hidden-one", "--note", "--warning", "--local"]
    {
        assert!(!known.knows(flag), "{flag}");
    }
    assert_eq!(known.nearest("--tensr-size").as_deref(), Some("--tensor-size"));
    assert_eq!(known.nearest("--zzz"), None);
    assert_eq!(known.nearest("--port-of-no-return"), None, "only the beginning is the same");
    let args: Vec<String> = ["--level", "-1", "--tesnor-size", "2", "- text", "--", "-"].map(str::to_owned).into();
    assert_eq!(known.unknown(&args), ["--tesnor-size"]);
}

#[test]
fn what_is_left_out_goes_with_its_value() {
    let known = vllm_flags(&machine("openai")).unwrap();
    let args = ["serve", "dir", "--host", "h", "--gone", "-1", "--port", "1", "--lost=x", "--headless"];
    let (kept, left_out) = known.without_unknown(args.map(OsString::from).into());
    assert_eq!(kept, ["serve", "dir", "--host", "h", "--port", "1", "--headless"]);
    assert_eq!(left_out, ["--gone", "--lost"]);
}

const TOOL_TABLE: &str = "\
_TOOL_PARSERS_TO_REGISTER = {
    \"one\": (
        \"one_tool_parser\",
    ),
    \"two\": (  # name
        \"file\",
    ),
    \"three\": (\"a\", \"b\"),
    \"forty-two\": (),
    \"five\": (),
}
    \"not_this\": (),
";

#[test]
fn names_of_parsers_are_looked_up_too() {
    let mut machine = machine("launchers");
    let package = PathBuf::from("/env/lib/python3.12/site-packages/vllm");
    let more = "def f(p):\n    p.add_argument(\"--tool-call-parser\")\n    p.add_argument(\"--enable-auto-tool-choice\")\n    \
                p.add_argument(\"--tool-parser-plugin\")\n";
    machine.files.get_mut(&package.join("entrypoints/launchers/cli_args.py")).unwrap().push_str(more);
    let ask = |machine: &Machine, line: &str| {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        vllm_flags(machine).unwrap().unknown(&args)
    };
    assert!(ask(&machine, "--tool-call-parser six").is_empty(), "no table, no opinion");
    machine.files.insert(package.join("tool_parsers/__init__.py"), TOOL_TABLE.to_owned());
    assert!(ask(&machine, "--tool-call-parser two --tool_call_parser=forty-two").is_empty());
    assert_eq!(ask(&machine, "--tool-call-parser not_this"), ["--tool-call-parser not_this"]);
    assert_eq!(ask(&machine, "--tool_call_parser=tree"), ["--tool_call_parser tree"]);
    assert!(ask(&machine, "--tool-call-parser six --tool-parser-plugin six.py").is_empty());
    let known = vllm_flags(&machine).unwrap();
    assert_eq!(known.nearest("--tool-call-parser tree").as_deref(), Some("--tool-call-parser three"));
    let args = ["--port", "1", "--tool-call-parser", "six", "--enable-auto-tool-choice", "--headless"];
    let (kept, left_out) = known.without_unknown(args.map(OsString::from).into());
    assert_eq!(kept, ["--port", "1", "--headless"]);
    assert_eq!(left_out, ["--tool-call-parser six"]);
}

#[test]
fn llama_cpp_is_asked_for_its_help_once() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("llama-server");
    std::fs::write(&program, "v1").unwrap();
    let help = "----- common params -----\n\n-h,    --help, --usage    print --nothing\n\
                -c,    --ctx-size N       size\n                       --not-this\n--host HOST, --other\n--port PORT  p\n";
    let help = format!("{help}{}", filler(|n| format!("--made-up-{n} N   text\n")));
    let mut found = found(EngineId::LlamaCpp, "");
    found.program.clone_from(&program);
    let ask = |help: &str| {
        let host = Machine { files: BTreeMap::new(), help: help.to_owned() };
        KnownFlags::of(&found, &Kept(host), &dir.path().join("cache"))
    };
    let known = ask(&help).unwrap();
    let own: Vec<&str> = known.names().filter(|n| !n.contains("made-up")).collect();
    assert_eq!(own, ["--ctx-size", "--help", "--host", "--port", "--usage", "-c", "-h"]);
    assert!(known.knows("--ctx_size") && !known.knows("--ctx-size=4"), "it takes no =");
    assert_eq!(known.unknown(&["--ctx-size=4".to_owned(), "--ctx=4".to_owned()]), ["--ctx-size=4", "--ctx"]);
    assert_eq!(known.nearest("--ctx-size=4").as_deref(), Some("--ctx-size 4"));
    assert_eq!(ask("").as_ref(), Some(&known), "from the file");
    std::fs::write(&program, "v2 is longer").unwrap();
    assert_eq!(ask(""), None, "another program is asked again");
}

/// Reads files of the real machine.
struct Kept(Machine);

impl crate::host::StandIn for Kept {
    fn base(&self) -> &dyn Host {
        &self.0
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

/// Recorded help texts, where the checkout has them beside it.
#[test]
fn recorded_help_is_read_whole() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/engine_help");
    let Ok(help) = std::fs::read_to_string(dir.join("llama_server_help.txt")) else {
        eprintln!("skipped: no recorded help beside this checkout");
        return;
    };
    let known = KnownFlags::from_help(&help).unwrap();
    assert!(known.traces());
    for flag in
        ["-m", "--host", "--port", "--alias", "-c", "-np", "-ngl", "--jinja", "--metrics", "-lv", "-ncmoe", "-fit"]
    {
        assert!(known.knows(flag), "{flag}");
    }
    // An installation to compare with the help of its version, when one is named.
    let Some(venv) = std::env::var_os("LLMUP_VLLM_VENV") else { return };
    let found = found(EngineId::Vllm, &Path::new(&venv).join("bin").join("vllm").display().to_string());
    let known = KnownFlags::of(&found, &crate::host::RealHost, dir.as_path()).unwrap();
    let help = std::fs::read_to_string(dir.join("vllm_serve_help.txt")).unwrap();
    // "  --api-server-count API_SERVER_COUNT, -asc API_SERVER_COUNT"
    let words = help.lines().filter(|l| l.starts_with("  -")).flat_map(str::split_whitespace);
    let listed: BTreeSet<&str> = words.map(|w| w.trim_end_matches(',')).filter(|w| is_flag(w)).collect();
    assert!(listed.len() > 300, "{}", listed.len());
    let silent: Vec<&&str> = listed.iter().filter(|flag| !known.knows(flag)).collect();
    assert!(silent.is_empty(), "in the help only: {silent:?}");
    let invented: Vec<&str> = known.names().filter(|name| !listed.contains(*name)).collect();
    assert!(invented.is_empty(), "in the source only: {invented:?}");
    let parsers = help.split("--tool-call-parser {").nth(1).and_then(|rest| rest.split('}').next()).unwrap();
    let parsers: BTreeSet<String> = parsers.split(',').map(|p| p.split_whitespace().collect()).collect();
    assert_eq!(known.values[TOOL_PARSER], parsers);
    assert!(known.values["--reasoning-parser"].len() > 30);
}
