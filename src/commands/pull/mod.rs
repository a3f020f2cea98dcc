//! `llmup pull`: says what MODEL means, asks the hub, shows sizes and room, downloads. `start` comes here, too, when
//! the weights of its profile are not on this machine.

mod report;
mod what;

use std::path::{Path, PathBuf};

use crate::cli::PullArgs;
use crate::commands::interrupted::drive;
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

use what::What;

/// How a pull ended without an error.
#[derive(Debug)]
pub enum Ended {
    /// All is here; what an engine is given.
    Whole(PathBuf),
    /// The user did not want it.
    Refused,
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
pub fn variant(name: &str, variant: &Variant, paths: &Paths, agree: impl Fn(&str) -> Result<bool>) -> Result<Ended> {
    let orders = what::orders(name, variant, None, paths, &RealHost)?;
    drive(async {
        let progress = Progress::new();
        let settings = Settings::default();
        let (order, standing) = standing(&orders, &RealHost, &settings, &progress).await?;
        let manifest = match standing {
            Standing::Whole(manifest) => manifest,
            Standing::Open(open) => {
                open.check_room()?;
                progress.finish();
                if !agree(&report::question(&order, &open))? {
                    return Ok(Ended::Refused);
                }
                output::note(&report::about(&order, &open));
                let progress = Progress::new();
                open.fetch(&progress).await?.0
            }
        };
        progress.finish();
        Ok(Ended::Whole(manifest.weights(&order.dir)))
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
    drive(async {
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
        Ok(Exit::Ok.code())
    })
}

fn ollama(args: &PullArgs, tag: &str) -> Result<u8> {
    let Some(server) = start::ollama::running() else {
        let message = format!("{tag} is pulled by Ollama, and none is running");
        return Err(Plain::new(Exit::Missing, message, "start it: `ollama serve`").into());
    };
    let (here, bytes) = drive(async {
        if args.dry_run {
            return Ok((server.has(tag).await?, 0));
        }
        let progress = Progress::new();
        let bytes = server.pull(tag, &progress).await?;
        progress.finish();
        Ok((true, bytes))
    })?;
    report::ollama(args, tag, here, bytes);
    Ok(Exit::Ok.code())
}

/// The hub a choice on the command line names.
fn hub_of(choice: crate::cli::SourceChoice) -> Option<HubId> {
    match choice {
        crate::cli::SourceChoice::Hf => Some(HubId::HuggingFace),
        crate::cli::SourceChoice::Modelscope => Some(HubId::ModelScope),
        crate::cli::SourceChoice::Ollama => None,
    }
}
