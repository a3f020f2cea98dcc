//! From a plan to a running engine: its command line, its log, its phases on the screen, what a failure means.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::standstill::standstill;
use super::{Choice, in_wsl, nap, watchdog};
use crate::engine::diagnose::Remedy;
use crate::engine::{Accelerator, CommandLine, Diagnosis, Engine, EngineId, KnownFlags, Launch, driver};
use crate::error::{Explain, meaning};
use crate::exit::Exit;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::supervisor::{self, Child, ExitStatus, Spec, health, tail::Tail};

/// The engine came up and failed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It ended before it was ready.
    #[error("{engine} {}", how.told(*serving))]
    Ended {
        /// The engine.
        engine: &'static str,
        /// It had been ready.
        serving: bool,
        /// How it ended.
        how: NotReady,
        /// Its words.
        diagnosis: Option<Box<Diagnosis>>,
        /// A command that would work.
        advice: Option<String>,
        /// The end of its log, when no line tells.
        last: Vec<String>,
        /// Its log file.
        log: PathBuf,
    },
}

impl LaunchError {
    /// What would cure it, with the engine's numbers.
    pub fn remedy(&self) -> Option<Remedy> {
        let LaunchError::Ended { diagnosis, .. } = self;
        diagnosis.as_ref().and_then(|d| d.remedy)
    }

    /// With this hint before all others.
    #[must_use]
    pub fn advised(mut self, hint: Option<String>) -> LaunchError {
        let LaunchError::Ended { advice, .. } = &mut self;
        *advice = hint;
        self
    }

    /// The same end, but after the engine had been ready.
    pub fn while_serving(self) -> LaunchError {
        let LaunchError::Ended { engine, how, diagnosis, advice, last, log, .. } = self;
        LaunchError::Ended { engine, serving: true, how, diagnosis, advice, last, log }
    }
}

impl Explain for LaunchError {
    fn exit(&self) -> Exit {
        Exit::EngineFailed
    }

    fn evidence(&self) -> Vec<String> {
        let LaunchError::Ended { diagnosis, last, .. } = self;
        diagnosis.as_ref().map_or_else(|| last.clone(), |d| vec![d.line.clone()])
    }

    fn hints(&self) -> Vec<String> {
        let LaunchError::Ended { diagnosis, advice, how, log, serving, .. } = self;
        let hint = diagnosis.as_ref().and_then(|d| d.hint.clone());
        let patience = matches!(how, NotReady::Still(_)).then(watchdog::wait_longer);
        let log = format!("the whole log: {}", log.display());
        let code = match (diagnosis.as_ref().and_then(|d| d.code), how) {
            (None, NotReady::Still(_)) => Some("LLMUP-E009"),
            (None, NotReady::Exited(_)) if *serving => Some("LLMUP-E032"),
            (code, _) => code,
        };
        let more = code.map(meaning);
        advice.clone().into_iter().chain(hint).chain(patience).chain(more).chain([log]).collect()
    }
}

/// Why an engine is not ready, and will not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// It exited.
    Exited(ExitStatus),
    /// It lives, and has done nothing for so many seconds.
    Still(u64),
}

impl NotReady {
    fn told(self, serving: bool) -> String {
        let when = if serving { "while serving" } else { "before it was ready" };
        match self {
            NotReady::Exited(status) => format!("ended {when} ({status})"),
            NotReady::Still(seconds) => format!(
                "hangs while it starts: for {seconds} s it has written no line, moved no byte and spent no processor time"
            ),
        }
    }
}

impl From<ExitStatus> for NotReady {
    fn from(status: ExitStatus) -> NotReady {
        NotReady::Exited(status)
    }
}

/// The engine's exact command line, without those of llmup's own flags that the engine does not know (see
/// [`left_out`]).
pub(super) fn command(choice: Choice<'_>, paths: &Paths, port: u16, key: Option<&str>) -> CommandLine {
    let Choice { args, plan, engine, .. } = choice;
    let mut command = own_command(choice, paths, port, key);
    if args.sleep && plan.engine == EngineId::Vllm {
        nap::enable(&mut command);
    }
    command.args = understood(command.args, choice).0;
    // Last, so that they win.
    let inside = in_wsl::distribution(plan, engine);
    command.args.extend(args.engine_args.iter().map(|arg| in_wsl::word(arg, inside)));
    command
}

/// Flags of llmup's own and of the model's profile that the engine does not know.
pub(super) fn left_out(choice: Choice<'_>, paths: &Paths) -> Vec<String> {
    understood(own_command(choice, paths, 0, None).args, choice).1
}

/// `args` without the flags the engine does not know, and those. What comes first is for its interpreter.
fn understood(mut args: Vec<OsString>, choice: Choice<'_>) -> (Vec<OsString>, Vec<String>) {
    let Some(known) = choice.known else { return (args, Vec::new()) };
    let prefix = choice.engine.map_or(0, |found| found.prefix_args.len()).min(args.len());
    let (kept, left_out) = known.without_unknown(args.split_off(prefix));
    args.extend(kept);
    (args, left_out)
}

/// The command without the user's flags.
fn own_command(choice: Choice<'_>, paths: &Paths, port: u16, key: Option<&str>) -> CommandLine {
    let Choice { target, plan, engine, known, .. } = choice;
    let engine_driver = driver(plan.engine);
    let inside = in_wsl::distribution(plan, engine);
    let own = inside.map(|distribution| in_wsl::weights(&target.weights, distribution));
    let (program, prefix_args) = match (engine, inside) {
        (Some(found), _) => (found.program.clone(), found.prefix_args.clone()),
        // As it will be once it is installed there.
        (None, Some(distribution)) => in_wsl::to_be(plan.engine.program(), distribution),
        (None, None) => (PathBuf::from(plan.engine.program()), Vec::new()),
    };
    let mut command = engine_driver.command(&Launch {
        program,
        prefix_args,
        // Where nothing is installed, the plan's own word.
        cpu_build: engine.map_or(plan.accelerator == Accelerator::Cpu, |f| f.build.as_deref() == Some("cpu")),
        weights: own.as_ref().unwrap_or(&target.weights),
        served_name: &target.name,
        context: plan.max_model_len,
        port,
        accelerator: plan.accelerator,
        visible: &plan.visible,
        tensor_parallel: plan.tensor_parallel,
        utilization: plan.utilization,
        kv_cache_gib: plan.kv_cache_gib,
        recipe: &plan.recipe,
        extra: &[],
        cache_dir: paths.data.join("cache"),
        key,
    });
    let ours = engine.is_some_and(|found| !found.prefix_args.is_empty());
    if plan.engine == EngineId::LlamaCpp && (ours || known.is_some_and(KnownFlags::traces)) {
        // Level 4 of 5 tells the sizes of its buffers. In older builds every level above 0 shows prompts.
        command.args.extend(["-lv".into(), "4".into()]);
    }
    if inside.is_some() {
        in_wsl::cross(&mut command);
    }
    command
}

/// Where the engine listens.
pub fn address(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Where the engine of a model writes.
pub fn log(paths: &Paths, model: &str) -> PathBuf {
    paths.logs().join(format!("{}.log", super::file_name(model)))
}

/// Starts the engine.
pub async fn spawn(command: CommandLine, log: PathBuf) -> Result<Child, supervisor::SupervisorError> {
    let mut spec = Spec::new(command.program, log);
    spec.args = command.args;
    spec.env = command.env.into_iter().map(|(name, value)| (name.into(), value)).collect();
    supervisor::spawn(spec).await
}

/// Waits until the engine, shown as `who`, answers, and shows its phases meanwhile. Fails when it ends first, or stands
/// still: then it still lives.
pub async fn wait_ready(
    (engine, who): (&'static dyn Engine, &str),
    child: &Child,
    port: u16,
    log: &std::path::Path,
    progress: &Progress,
) -> Result<(), NotReady> {
    progress.step(&format!("{who}: starting"));
    let up = tokio::sync::Notify::new();
    let follow = async {
        let mut tail = Tail::new(log);
        loop {
            for line in tail.next().await {
                if in_wsl::opens_port(engine.id(), &line.text) {
                    up.notify_one();
                }
                if let Some(phase) = engine.phase(&line.text) {
                    progress.step(&format!("{who}: {phase}"));
                }
            }
        }
    };
    let heard = async {
        up.notified().await;
        tokio::time::sleep(in_wsl::HEARD).await;
        progress.note(&in_wsl::unheard(port));
        std::future::pending().await
    };
    let path = engine.health_path();
    let ready = health::wait_ready(|| health::answers(address(port), path), child.exited());
    tokio::select! {
        () = follow => Ok(()),
        () = heard => Ok(()),
        ready = ready => ready.map(drop).map_err(NotReady::from),
        seconds = standstill(child.pid(), log) => Err(NotReady::Still(seconds)),
    }
}

/// What a log says about the end it tells of. Reads at most its last 4 MiB.
pub fn ended(engine: &'static dyn Engine, how: impl Into<NotReady>, log: PathBuf) -> LaunchError {
    let text = read_end(&log);
    let diagnosis = engine.diagnose(&text).map(Box::new);
    let advice = None;
    let mut last: Vec<String> =
        text.lines().rev().filter(|l| !l.trim().is_empty()).take(5).map(|l| l.chars().take(300).collect()).collect();
    last.reverse();
    LaunchError::Ended { engine: engine.id().name(), serving: false, how: how.into(), diagnosis, advice, last, log }
}

/// The end of a log as text.
pub fn read_end(log: &std::path::Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    const MOST: u64 = 4 << 20;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(log)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(MOST)))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// How long an engine may take to end after it was asked: vLLM needs 1.4 s idle, and hangs for ever with an open
/// stream, so the gateway is drained first.
pub const GRACE: Duration = Duration::from_secs(8);
