use clap::Parser;

use super::super::launch;
use super::super::retry::tests::plan;
use super::super::target::Target;
use super::*;
use crate::cli::{Cli, Command, StartArgs};
use crate::engine::find::Origin;
use crate::host::Ran;
use crate::model::Format;
use crate::paths::Paths;

fn args(line: &str) -> StartArgs {
    match Cli::parse_from(line.split(' ')).command {
        Command::Start(args) => args,
        other => panic!("{other:?}"),
    }
}

fn target(path: &str) -> Target {
    let weights =
        Weights { format: Format::Safetensors, path: Some(path.into()), tag: None, ..crate::model::ollama_tag("x") };
    Target { name: "glm".into(), weights, profile: None, profiles: Vec::new(), demo: None, missing: None }
}

fn found() -> Found {
    Found {
        engine: EngineId::Vllm,
        origin: Origin::Managed,
        program: r"C:\Windows\System32\wsl.exe".into(),
        prefix_args: ["-d", "Ubuntu", "--exec", "/home/me/venv/bin/vllm"].map(String::from).to_vec(),
        version: Some("0.33.0".into()),
        build: Some("cuda".into()),
    }
}

fn command_of(line: &str, path: &str, engine: Option<&Found>) -> CommandLine {
    let plan = LaunchPlan { wsl: Some("Ubuntu".into()), ..plan() };
    let paths = Paths { data: r"C:\Users\me\llmup".into(), config: "c".into() };
    let (args, target) = (args(line), target(path));
    let choice = Choice { args: &args, target: &target, plan: &plan, engine, known: None };
    launch::command(choice, &paths, 4001, Some("k"))
}

fn words(command: &CommandLine) -> Vec<&str> {
    command.args.iter().map(|arg| arg.to_str().unwrap()).collect()
}

#[test]
fn the_command_is_linuxs_from_the_paths_to_the_variables() {
    let line = r"llmup start glm -- --chat-template D:\my\glm.jinja --x=E:/y --z=5 D:models";
    let command = command_of(line, r"D:\models\glm 4.7", Some(&found()));
    assert_eq!(command.program.to_str(), Some(r"C:\Windows\System32\wsl.exe"));
    let args = words(&command);
    assert_eq!(args[..6], ["-d", "Ubuntu", "--exec", "/home/me/venv/bin/vllm", "serve", "/mnt/d/models/glm 4.7"]);
    assert_eq!(args[args.len() - 5..], ["--chat-template", "/mnt/d/my/glm.jinja", "--x=/mnt/e/y", "--z=5", "D:models"]);
    assert!(!command.env.iter().any(|(name, _)| name == "VLLM_CACHE_ROOT"));
    let crossing = command.env.iter().find(|(name, _)| name == "WSLENV").unwrap().1.to_str().unwrap().to_owned();
    for name in ["VLLM_API_KEY/u", "HF_HUB_OFFLINE/u", "LLMUP_CHILD/u", "CUDA_VISIBLE_DEVICES/u"] {
        let set = command.env.iter().any(|(own, _)| name.starts_with(own.as_str())) || name.starts_with("LLMUP");
        assert_eq!(crossing.split(':').any(|entry| entry == name), set, "{name} in {crossing}");
    }
    let inside = command_of("llmup start glm", r"\\wsl.localhost\Ubuntu\home\me\glm", Some(&found()));
    assert_eq!(words(&inside)[5], "/home/me/glm");
}

#[test]
fn what_is_not_installed_is_shown_as_it_will_be() {
    let command = command_of("llmup start glm", "DIR", None);
    assert_eq!(command.program.to_str(), Some("wsl.exe"));
    assert_eq!(words(&command)[..6], ["-d", "Ubuntu", "--exec", "vllm", "serve", "DIR"]);
}

#[test]
fn elsewhere_nothing_changes() {
    let plain = Found { program: "/venv/bin/vllm".into(), prefix_args: Vec::new(), ..found() };
    let command = command_of(r"llmup start glm -- D:\x", r"D:\models\glm", Some(&plain));
    assert_eq!(words(&command)[..2], ["serve", r"D:\models\glm"]);
    assert_eq!(words(&command).last(), Some(&r"D:\x"));
    assert!(command.env.iter().all(|(name, _)| name != "WSLENV"));
}

/// A Windows with this `.wslconfig`.
struct Windows(&'static str);

impl crate::host::StandIn for Windows {
    fn run(&self, _: &Path, _: &[&str], _: Duration) -> std::io::Result<Ran> {
        panic!("a dry run starts no distribution")
    }
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        assert!(path.ends_with(".wslconfig"), "{}", path.display());
        Ok(self.0.into())
    }
    fn env(&self, name: &str) -> Option<String> {
        (name == "USERPROFILE").then(|| "/users/me".to_owned())
    }
    fn os(&self) -> Os {
        Os::Windows
    }
}

fn dry_check(plan: &LaunchPlan, engine: &Found, path: &str, config: &'static str) -> Result<()> {
    let (args, target) = (args("llmup start glm --dry-run"), target(path));
    check(Choice { args: &args, target: &target, plan, engine: Some(engine), known: None }, &Windows(config))
}

#[test]
fn what_stands_in_the_way_is_said_before_anything_starts() {
    let said = |path: &str, config: &'static str| {
        let plan = LaunchPlan { wsl: Some("Ubuntu".into()), ..plan() };
        dry_check(&plan, &found(), path, config).map_err(|error| {
            assert_eq!(error.exit(), Exit::Config);
            error.to_string()
        })
    };
    assert_eq!(said(r"D:\models\glm", ""), Ok(()));
    assert!(said(r"\\nas\models\glm", "").unwrap_err().contains("network share"));
    assert!(said(r"\\wsl$\Debian\home\me\glm", "").unwrap_err().contains("distribution Debian"));
    let off = "[wsl2]\nlocalhostForwarding=false\n";
    assert!(said(r"D:\models\glm", off).unwrap_err().contains("localhostForwarding=false"));
    let plain = Found { program: "/venv/bin/vllm".into(), prefix_args: Vec::new(), ..found() };
    assert!(dry_check(&plan(), &plain, "/m", off).is_ok());
}
