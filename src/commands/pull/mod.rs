//! `llmup pull`: says what MODEL means, asks the hub, shows sizes and room, downloads. `start` comes here, too, when
//! the weights of its profile are not on this machine.

mod report;
mod what;

use std::path::{Path, PathBuf};

use crate::cli::PullArgs;
use crate::commands::start;
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::fetch::{Outcome, Settings};
use crate::host::{Host, RealHost};
use crate::model;
use crate::output;
use crate::paths::Paths;
use crate::profile::Variant;
use crate::progress::Progress;
use crate::pull::{self, Form, HubId, Manifest, Order, Pick, PullError, Standing};
use crate::supervisor::signal::interrupts;

use what::What;

/// How a pull ended without an error.
#[derive(Debug)]
pub enum Ended {
    /// All is here; what an engine is given.
    Whole(PathBuf),
    /// The user did not want it.
    Refused,
    /// The user ended it; the exit code.
    Interrupted(u8),
}

/// Runs the subcommand; gives the exit code.
pub fn run(args: &PullArgs, paths: &Paths) -> Result<u8> {
    match what::resolve(args, paths, &RealHost)? {
        What::Ollama(tag) => ollama(args, &tag),
        What::Orders(orders) => {
            let settings = Settings { connections: usize::from(args.connections), ..Settings::default() };
            hub(args, orders, &settings)
        }
    }
}

/// Pulls a variant of a profile into llmup's own folder. `agree` is asked once it is known how much has to come.
pub fn variant(name: &str, variant: &Variant, paths: &Paths, agree: impl Fn(&str) -> bool) -> Result<Ended> {
    let orders = what::orders(name, variant, None, paths, &RealHost)?;
    let driven = drive(async {
        let progress = Progress::new();
        let settings = Settings::default();
        let (order, standing) = standing(&orders, &RealHost, &settings, &progress).await?;
        let manifest = match standing {
            Standing::Whole(manifest) => manifest,
            Standing::Open(open) => {
                open.check_room()?;
                progress.finish();
                if !agree(&report::question(&order, &open)) {
                    return Ok(Ended::Refused);
                }
                output::note(&report::about(&order, &open));
                let progress = Progress::new();
                open.fetch(&progress).await?.0
            }
        };
        progress.finish();
        Ok(Ended::Whole(manifest.weights(&order.dir)))
    })?;
    Ok(match driven {
        Driven::Done(ended) => ended,
        Driven::Interrupted(code) => Ended::Interrupted(code),
    })
}

/// Where a variant of a profile belongs.
pub fn variant_dir(name: &str, variant: &Variant, paths: &Paths) -> PathBuf {
    pull::dir(&paths.models(), name, &format!("{}-{}", variant.quantization, variant.format))
}

/// What of its repository a variant is.
pub fn pick(variant: &Variant, include: &[String]) -> Pick {
    let form = if variant.format == "gguf" { Form::Gguf } else { Form::Safetensors };
    let quantization = (form == Form::Gguf).then(|| variant.quantization.clone());
    Pick { form: Some(form), quantization, include: include.to_vec() }
}

/// Whether the weights at a path have headers that make sense, and all their parts.
fn reads(path: &Path) -> bool {
    model::read_path(path).is_ok()
}

/// Asks for the first order; when its hub cannot be reached, for the next, which is the same from another hub. What is
/// here already is asked for where it came from.
async fn standing(
    orders: &[Order],
    host: &dyn Host,
    settings: &Settings,
    progress: &Progress,
) -> Result<(Order, Standing)> {
    let mut orders = orders.to_vec();
    orders.sort_by_key(|order| !Manifest::read(&order.dir).is_some_and(|here| here.hub == order.hub));
    let mut first: Option<PullError> = None;
    let several = orders.len() > 1;
    for mut order in orders {
        match pull::prepare(&mut order, host, settings, progress, &reads).await {
            Ok(standing) => return Ok((order, standing)),
            Err(error) if first.is_none() && several && matches!(error, PullError::Unreachable { .. }) => {
                progress.note(&format!("{error}; trying another hub"));
                first = Some(error);
            }
            Err(error) => return Err(first.unwrap_or(error).into()),
        }
    }
    Err(first.map_or_else(|| nothing_to_pull("this model"), Error::from))
}

fn nothing_to_pull(name: &str) -> Error {
    let hint = format!("name a repository: `llmup pull ORG/{name}`");
    Plain::new(Exit::Config, format!("nobody says where the weights of {name} are"), hint).into()
}

fn hub(args: &PullArgs, orders: Vec<Order>, settings: &Settings) -> Result<u8> {
    let driven = drive(async {
        let progress = Progress::new();
        let (order, standing) = standing(&orders, &RealHost, settings, &progress).await?;
        match standing {
            Standing::Whole(manifest) => {
                progress.finish();
                report::whole(args, &order, &manifest, None);
            }
            Standing::Open(open) if args.dry_run => {
                progress.finish();
                report::dry_run(args, &order, &open);
            }
            Standing::Open(open) => {
                open.check_room()?;
                progress.note(&report::about(&order, &open));
                let (manifest, outcome): (Manifest, Outcome) = open.fetch(&progress).await?;
                progress.finish();
                report::whole(args, &order, &manifest, Some(outcome));
            }
        }
        Ok(())
    })?;
    Ok(match driven {
        Driven::Done(()) => Exit::Ok.code(),
        Driven::Interrupted(code) => code,
    })
}

fn ollama(args: &PullArgs, tag: &str) -> Result<u8> {
    let Some(server) = start::ollama::running() else {
        let message = format!("{tag} is pulled by Ollama, and none is running");
        return Err(Plain::new(Exit::Missing, message, "start it: `ollama serve`").into());
    };
    let driven = drive(async {
        if args.dry_run {
            return Ok((server.has(tag).await?, 0));
        }
        let progress = Progress::new();
        let bytes = server.pull(tag, &progress).await?;
        progress.finish();
        Ok((true, bytes))
    })?;
    match driven {
        Driven::Done((here, bytes)) => {
            report::ollama(args, tag, here, bytes);
            Ok(Exit::Ok.code())
        }
        Driven::Interrupted(code) => Ok(code),
    }
}

/// How a piece of work ended.
enum Driven<T> {
    Done(T),
    Interrupted(u8),
}

/// Runs the work until it ends or the user ends it, which loses nothing.
fn drive<T>(work: impl Future<Output = Result<T>>) -> Result<Driven<T>> {
    let runtime = start::runtime()?;
    let driven = runtime.block_on(async {
        let bug = |e: std::io::Error| Error::from(Plain::new(Exit::Bug, e.to_string(), "run `llmup doctor`"));
        let mut interrupts = interrupts().map_err(bug)?;
        tokio::select! {
            done = work => done.map(Driven::Done),
            interrupt = interrupts.next() => {
                output::note("stopped; what came is kept, the same command goes on from there");
                Ok(Driven::Interrupted(Exit::signal(interrupt.number())))
            }
        }
    });
    // A file may be being hashed; nobody waits for that.
    runtime.shutdown_background();
    driven
}

/// The hub a choice on the command line names.
fn hub_of(choice: crate::cli::SourceChoice) -> Option<HubId> {
    match choice {
        crate::cli::SourceChoice::Hf => Some(HubId::HuggingFace),
        crate::cli::SourceChoice::Modelscope => Some(HubId::ModelScope),
        crate::cli::SourceChoice::Ollama => None,
    }
}
