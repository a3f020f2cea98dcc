//! `start MODEL` while a llmup of the user's serves at the same port: that one takes the model in ([`super::recruit`]).
//! What has to be asked or downloaded is done here, by the very steps of a start of its own, with the machine as the
//! other one saw it before its engines ran.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::entry::{self, Entry};
use super::serve::{equip, given};
use super::{Chosen, ollama, show_other};
use crate::cli::{EngineChoice, EnginePort, StartArgs};
use crate::commands::running;
use crate::control;
use crate::engine::EngineId;
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::hardware::Hardware;
use crate::output;
use crate::paths::Paths;
use crate::state::{Instance, Model, Phase};

/// A wish of this one word is for a model that is there and does not run.
pub(super) const WAKE: &str = "wake";

/// Has those of these models started that sleep, as far as there is room. Who cannot be asked that leaves them asleep.
pub(super) fn wake(instance: &Instance, models: &[String]) {
    let Some(endpoint) = &instance.control else { return };
    let asleep = |model: &&Model| model.phase == Phase::Asleep && models.contains(&model.name);
    for model in instance.models().filter(asleep) {
        let _ = control::join(endpoint, &serde_json::json!({ WAKE: model.name }));
    }
}

/// What a running llmup tells those who want to join.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub version: String,
    /// Where its gateway listens.
    pub host: IpAddr,
    /// The machine before its engines ran.
    pub hardware: Hardware,
}

/// One model, as the command line asks for it; paths are whole, because the other llmup runs in a folder of its own.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Wish {
    model: String,
    model_dir: Option<PathBuf>,
    engine: Option<String>,
    context: Option<u64>,
    keep: bool,
    /// Seconds.
    ttl: Option<u64>,
    on_demand: bool,
    sleep: bool,
    engine_port: Option<u16>,
    gpu_memory_utilization: Option<f64>,
    tensor_parallel_size: Option<u32>,
    translate: bool,
    engine_args: Vec<String>,
}

impl Wish {
    fn of(args: &StartArgs, is_path: bool) -> Wish {
        let model =
            if is_path { whole(Path::new(&args.model)).to_string_lossy().into_owned() } else { args.model.clone() };
        Wish {
            model,
            model_dir: args.model_dir.as_deref().map(whole),
            engine: args.engine.id().map(|engine| engine.name().to_owned()),
            context: args.context,
            keep: args.keep,
            ttl: args.ttl.map(|ttl| ttl.as_secs()),
            on_demand: args.on_demand,
            sleep: args.sleep,
            engine_port: match args.engine_port {
                EnginePort::Fixed(port) => Some(port),
                EnginePort::Auto => None,
            },
            gpu_memory_utilization: args.gpu_memory_utilization,
            tensor_parallel_size: args.tensor_parallel_size,
            translate: args.translate,
            engine_args: args.engine_args.clone(),
        }
    }

    /// As if the running llmup had been started with it; nobody is asked anything there.
    pub fn args(self, running: &StartArgs) -> StartArgs {
        let engine = match self.engine.as_deref() {
            Some("vllm") => EngineChoice::Vllm,
            Some("llama-cpp") => EngineChoice::LlamaCpp,
            Some("ollama") => EngineChoice::Ollama,
            _ => EngineChoice::Auto,
        };
        StartArgs {
            model: self.model,
            more: Vec::new(),
            config: None,
            model_dir: self.model_dir,
            engine,
            context: self.context,
            keep: self.keep,
            ttl: self.ttl.map(Duration::from_secs),
            on_demand: self.on_demand,
            sleep: self.sleep,
            engine_port: self.engine_port.map_or(EnginePort::Auto, EnginePort::Fixed),
            gpu_memory_utilization: self.gpu_memory_utilization,
            tensor_parallel_size: self.tensor_parallel_size,
            translate: self.translate,
            engine_args: self.engine_args,
            yes: false,
            dry_run: false,
            ..running.clone()
        }
    }
}

/// A path that is there, from the root on. What is none here (one of Windows in WSL) stays as it was typed.
fn whole(path: &Path) -> PathBuf {
    if path.exists() { std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() }
}

/// A llmup of the user's that takes in what is to be started.
pub(super) struct Running {
    instance: Instance,
    pub told: Told,
}

impl Running {
    /// The one at the port this start would listen at, if there is one that takes in others.
    pub fn find(args: &StartArgs, paths: &Paths) -> Result<Option<Running>> {
        if args.dry_run || args.config.is_some() || args.engine_url.is_some() || super::detach::detached() {
            return Ok(None);
        }
        let at = format!(":{}", args.port);
        let instance = running::all(paths)?.into_iter().find(|instance| instance.url.ends_with(&at));
        let Some(instance) = instance else { return Ok(None) };
        // Who does not answer, or takes in nobody, is found when the port is to be taken.
        let told = instance.control.as_ref().and_then(|endpoint| control::joining(endpoint).ok());
        let told = told.and_then(|told| serde_json::from_value::<Told>(told).ok());
        // Two addresses of this machine can have the same port.
        let told =
            told.filter(|told| told.host == args.host || told.host.is_unspecified() || args.host.is_unspecified());
        Ok(told.map(|told| Running { instance, told }))
    }

    /// Refuses what the running one cannot give.
    pub fn check(&self, args: &StartArgs) -> Result<()> {
        let pid = self.instance.process.pid;
        let other = given(args.api_key.as_deref()).is_some_and(|key| key != self.instance.key);
        let contradiction = if self.told.version != env!("CARGO_PKG_VERSION") {
            Some(format!("is of version {}, and this one of {}", self.told.version, env!("CARGO_PKG_VERSION")))
        } else if other {
            Some("has another key than the one that is given here".to_owned())
        } else if args.host != self.told.host && !args.host.is_loopback() {
            Some(format!("listens on {}, not on {}", self.told.host, args.host))
        } else {
            args.engine_args.iter().find(|arg| relative(arg)).map(|arg| {
                format!("runs in a folder of its own, where {arg:?} means another file: give the whole path")
            })
        };
        let Some(contradiction) = contradiction else { return Ok(()) };
        let message = format!("the llmup that serves at port {} (pid {pid}) {contradiction}", args.port);
        let hints = vec![
            "start it beside that one: add `--port 0`".to_owned(),
            "or end that one first: `llmup stop --all`".to_owned(),
        ];
        Err(Plain { message, exit: Exit::Taken, hints }.into())
    }

    /// Hands the models over; returns when they are ready, or start when they are asked for.
    pub fn hand_over(
        self,
        args: &StartArgs,
        (models, names): (Vec<Chosen>, &[String]),
        paths: &Paths,
        entry: Arc<Entry>,
    ) -> Result<u8> {
        let pid = self.instance.process.pid;
        let mut installed = Vec::new();
        for mut model in models {
            let reused = model.plan.engine == EngineId::Ollama && ollama::running().is_some();
            equip(&mut model, reused, &mut installed, (&self.told.hardware, paths))?;
            let is_path = model.target.profile.is_none() && model.one.args.model_dir.is_none();
            let wish = serde_json::to_value(Wish::of(&model.one.args, is_path)).unwrap_or_default();
            for said in self.ask(&wish)? {
                output::note(&format!("{said} by the llmup that runs already (pid {pid})"));
            }
        }
        // From now on it stands in the other one's file.
        drop(entry);
        let now = running::all(paths)?.into_iter().find(|i| i.process == self.instance.process);
        let instance = entry::wait(now.unwrap_or(self.instance), names, paths)?;
        show_other(args, names, &instance, paths)?;
        Ok(Exit::Ok.code())
    }

    fn ask(&self, wish: &serde_json::Value) -> Result<Vec<String>> {
        let pid = self.instance.process.pid;
        let deaf = |source: Option<control::Unanswered>| {
            let why = source.map(|source| format!(": {source}")).unwrap_or_default();
            let message = format!("the llmup that runs already (pid {pid}) does not take it in{why}");
            Plain::new(Exit::EngineFailed, message, "see whether it still runs: `llmup status`")
        };
        let endpoint = self.instance.control.as_ref().ok_or_else(|| deaf(None))?;
        match control::join(endpoint, wish).map_err(|unanswered| deaf(Some(unanswered)))? {
            control::Told::Done(said) => Ok(said),
            control::Told::Refused(lines) => Err(refusal(&lines).into()),
        }
    }
}

/// The other one's refusal in its own words.
fn refusal(lines: &[(String, String)]) -> Plain {
    let of =
        |wanted: &'static str| lines.iter().filter(move |(label, _)| label == wanted).map(|(_, text)| text.clone());
    let code: Option<u8> = of("exit").next().and_then(|code| code.parse().ok());
    let exit = Exit::TABLE.iter().map(|(exit, _)| *exit).find(|exit| Some(exit.code()) == code);
    let message = of("error").chain(of("cause")).chain(of("says")).collect::<Vec<_>>().join(": ");
    Plain { message, exit: exit.unwrap_or(Exit::EngineFailed), hints: of("hint").collect() }
}

/// A file of this folder behind an engine's flag.
fn relative(arg: &str) -> bool {
    let path = Path::new(arg.split_once('=').map_or(arg, |(_, value)| value));
    let has_form = path.components().count() > 1 || path.extension().is_some();
    path.is_relative() && has_form && path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    fn start(line: &str) -> StartArgs {
        use clap::Parser;
        match crate::cli::Cli::try_parse_from(line.split(' ')).map(|cli| cli.command) {
            Ok(crate::cli::Command::Start(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_wish_says_all_that_the_command_line_says_of_the_engine() {
        let flags = "--engine vllm --context 4096 --keep --sleep --on-demand --engine-port 7001 --translate \
                     --gpu-memory-utilization 0.5 --tensor-parallel-size 2 -- --enforce-eager --x=y";
        let line = format!("llmup start glm {flags}");
        let asked = start(&line);
        let wish = serde_json::to_value(Wish::of(&asked, false)).unwrap();
        let running = start("llmup start a --port 4100 --ttl 5m --engine llama-cpp --api-key k --yes");
        let args = serde_json::from_value::<Wish>(wish).unwrap().args(&running);
        let expected = StartArgs { port: 4100, api_key: Some("k".to_owned()), ..asked };
        assert_eq!(format!("{args:?}"), format!("{expected:?}"));
        // Nothing of the first model's sticks to the second.
        let plain = Wish::of(&start("llmup start qwen"), false).args(&running);
        let expected = StartArgs { port: 4100, api_key: Some("k".to_owned()), ..start("llmup start qwen") };
        assert_eq!(format!("{plain:?}"), format!("{expected:?}"));
        let ttl = Wish::of(&start("llmup start qwen --ttl 90s"), false).args(&running).ttl;
        assert_eq!(ttl, Some(Duration::from_secs(90)));
    }

    #[test]
    fn paths_are_whole_and_names_stay_names() {
        let here = std::env::current_dir().unwrap();
        let wish =
            |model: &str, is_path| Wish::of(&StartArgs { model: model.to_owned(), ..start("llmup start x") }, is_path);
        assert_eq!(Path::new(&wish("Cargo.toml", true).model), here.join("Cargo.toml"));
        assert_eq!(wish("src", false).model, "src");
        assert_eq!(wish("llama3.1:8b", true).model, "llama3.1:8b");
        assert!(relative("--chat-template=src/main.rs") && relative("Cargo.toml"));
        assert!(!relative("src") && !relative("--x=y") && !relative("0.5"));
    }

    #[test]
    fn a_refusal_keeps_its_words_and_its_exit_code() {
        let line = |label: &str, text: &str| (label.to_owned(), text.to_owned());
        let told = [line("error", "no room"), line("cause", "none left"), line("hint", "`x`"), line("exit", "5")];
        let refused = refusal(&told);
        assert_eq!((refused.to_string(), refused.exit()), ("no room: none left".to_owned(), Exit::DoesNotFit));
        assert_eq!(refused.hints(), ["`x`"]);
        assert_eq!(refusal(&[]).exit(), Exit::EngineFailed);
    }
}
