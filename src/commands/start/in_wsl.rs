//! What `start` does otherwise for vLLM on Windows: it runs in a distribution of WSL 2. Paths become those of Linux,
//! variables cross over by `WSLENV`, and the port is heard only if WSL relays it. The guard that ends it is the
//! supervisor's (`supervisor/inside.rs`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use super::Choice;
use crate::engine::find::Found;
use crate::engine::{CommandLine, EngineId};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::host::{Host, Os};
use crate::model::Weights;
use crate::output;
use crate::plan::LaunchPlan;
use crate::supervisor::MARK;
use crate::wsl::path::Kind;
use crate::wsl::{Mounts, PathError, command, list, path, settings};

/// How long a vLLM that says that it listens may be unheard before that is said.
pub(super) const HEARD: Duration = Duration::from_secs(15);

/// How long the distribution may take to start and to show a file.
const BOOT: Duration = Duration::from_secs(60);

/// Where the distribution mounts drives; asked for once, before the first start.
static MOUNTS: OnceLock<Mounts> = OnceLock::new();

fn mounts() -> &'static Mounts {
    MOUNTS.get_or_init(Mounts::default)
}

/// The engines that can be used: on Windows, of vLLM only those in WSL.
pub(super) fn counts(mut found: Vec<Found>) -> Vec<Found> {
    found.retain(|f| Os::current() != Os::Windows || f.engine != EngineId::Vllm || f.distribution().is_some());
    found
}

/// The distribution that an engine runs in: its own, or of one that is not installed yet the plan's.
pub(super) fn distribution<'a>(plan: &'a LaunchPlan, engine: Option<&'a Found>) -> Option<&'a str> {
    match engine {
        Some(found) => found.distribution(),
        None => plan.wsl.as_deref(),
    }
}

/// Says what stands in the way before anything is installed or started. A dry run does not start the distribution, and
/// takes it for one with the usual mounts.
pub(super) fn check(choice: Choice<'_>, host: &dyn Host) -> Result<()> {
    let Choice { args, target, plan, engine, .. } = choice;
    let Some(distribution) = distribution(plan, engine) else { return Ok(()) };
    if let Some(setting) = settings::unreachable(&settings::of_user(host)) {
        let message = format!("Windows does not reach ports inside WSL: .wslconfig says {setting}");
        let hints = vec![
            "take that line out of `notepad $env:USERPROFILE\\.wslconfig`, or set networkingMode=mirrored".to_owned(),
            "then let WSL read it again: `wsl --shutdown`".to_owned(),
        ];
        return Err(Plain { message, exit: Exit::Config, hints }.into());
    }
    if !args.dry_run && MOUNTS.get().is_none() {
        let _ = MOUNTS.set(ask(distribution, host).unwrap_or_default());
    }
    // Weights that are not here yet have no path.
    if let Some(path) = target.weights.path.as_deref().filter(|_| target.missing.is_none()) {
        linux(path, distribution)?;
    }
    Ok(())
}

fn ask(distribution: &str, host: &dyn Host) -> Option<Mounts> {
    let program = list::program(host)?;
    let prefix = command::prefix(distribution);
    let mut args: Vec<&str> = prefix.iter().map(String::as_str).collect();
    args.extend(["cat", "/etc/wsl.conf"]);
    let ran = host.run(&program, &args, BOOT).ok().filter(|ran| ran.code == Some(0))?;
    Some(Mounts::read("", &ran.stdout))
}

/// A path of this system as the distribution has it.
fn linux(given: &Path, distribution: &str) -> Result<String, PathError> {
    let whole = match given.to_str().map(path::kind) {
        Some(Kind::None) => std::path::absolute(given).unwrap_or_else(|_| given.to_owned()),
        _ => given.to_owned(),
    };
    path::to_linux(&whole.to_string_lossy(), mounts(), Some(distribution))
}

/// The same weights where the distribution has them.
pub(super) fn weights(weights: &Weights, distribution: &str) -> Weights {
    // What cannot be translated was refused by `check`, or stands for weights that are still to come.
    let here =
        |path: &Path| path.is_absolute() || path.exists() || path.to_str().is_some_and(|p| path::kind(p) != Kind::None);
    let path = weights.path.as_deref().map(|path| match here(path) {
        true => linux(path, distribution).map_or_else(|_| path.to_owned(), PathBuf::from),
        false => path.to_owned(),
    });
    Weights { path, ..weights.clone() }
}

/// A word of the user's for the engine: a whole path of Windows is one of Linux there.
pub(super) fn word(word: &str, distribution: Option<&str>) -> OsString {
    let whole = |text: &str| matches!(path::kind(text), Kind::Whole(_));
    let translated = |text: &str| path::to_linux(text, mounts(), distribution).ok().filter(|_| whole(text));
    let (flag, value) = word.split_once('=').filter(|(flag, _)| flag.starts_with('-')).unwrap_or(("", word));
    match translated(value).filter(|_| distribution.is_some()) {
        Some(value) if flag.is_empty() => value.into(),
        Some(value) => format!("{flag}={value}").into(),
        None => word.into(),
    }
}

/// What will be run once the engine is installed.
pub(super) fn to_be(program: &str, distribution: &str) -> (PathBuf, Vec<String>) {
    let mut prefix = command::prefix(distribution).to_vec();
    prefix.push(program.to_owned());
    (PathBuf::from("wsl.exe"), prefix)
}

/// Lets the command's variables cross over, and the mark of its processes. The cache stays where vLLM has it in Linux: a
/// folder of Windows would be slow.
pub(super) fn cross(line: &mut CommandLine) {
    line.env.retain(|(name, _)| name != "VLLM_CACHE_ROOT");
    let now = std::env::var(command::WSLENV).ok();
    command::carry(&mut line.env, now.as_deref(), &[MARK]);
}

/// Whether a log line says that the engine listens, where that may be unheard: uvicorn's words, which vLLM's server is.
pub(super) fn opens_port(engine: EngineId, line: &str) -> bool {
    Os::current() == Os::Windows && engine == EngineId::Vllm && line.contains("Application startup complete")
}

/// What is said then.
pub(super) fn unheard(port: u16) -> String {
    output::warned(format_args!(
        "vLLM listens inside WSL, and Windows does not reach its port {port}: see that .wslconfig does not set \
         localhostForwarding=false under [wsl2], or set networkingMode=mirrored there, then `wsl --shutdown`"
    ))
}

#[cfg(test)]
#[path = "in_wsl_tests.rs"]
mod tests;
