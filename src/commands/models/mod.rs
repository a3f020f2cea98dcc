//! `llmup models`: what llmup knows, and with `--fits` what of it would run on this machine.

mod fits;
mod here;
mod table;

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::ModelsArgs;
use crate::engine::{Accelerator, find};
use crate::error::Result;
use crate::exit::Exit;
use crate::hardware;
use crate::host::RealHost;
use crate::output;
use crate::paths::Paths;
use crate::plan::Installed;
use crate::profile::{self, Found, ModelProfile, Origin};

use fits::{Candidate, Fit};
use here::Here;
use table::{Align, Column};

/// A profile as programs get it.
#[derive(Debug, Serialize)]
struct Known<'a> {
    /// `built-in`, or the path of the user's file.
    origin: String,
    /// Where its weights are, when they are on this machine.
    here: Option<PathBuf>,
    #[serde(flatten)]
    profile: &'a ModelProfile,
}

/// Runs the subcommand; gives the exit code. A broken file of the user's is told and does not hide the others.
pub fn run(args: &ModelsArgs, paths: &Paths) -> Result<u8> {
    let listing = profile::list(&paths.user_profiles())?;
    for error in &listing.broken {
        output::warning(error);
    }
    let here: Vec<Here> = listing.found.iter().map(|f| here::find(&f.profile, paths, &RealHost)).collect();
    match (args.fits, args.json) {
        (false, true) => {
            let known = listing.found.iter().zip(&here).map(|(found, here)| known(found, here));
            output::json(&known.collect::<Vec<_>>());
        }
        (false, false) => output::data(&list(&listing.found, &here, table::width())),
        (true, json) => {
            let mut candidates = on_this_machine(&listing.found, paths);
            for candidate in &mut candidates {
                let own = listing.found.iter().zip(&here).find(|(f, _)| f.profile.name == candidate.name);
                candidate.here = own.and_then(|(_, here)| here.path.clone());
                candidate.here_as = own.map(|(_, here)| here.forms.clone()).unwrap_or_default();
            }
            if json {
                output::json(&candidates);
            } else {
                output::data(&fitting(&candidates, table::width()));
            }
        }
    }
    Ok(Exit::Ok.code())
}

fn known<'a>(found: &'a Found, here: &Here) -> Known<'a> {
    let origin = match &found.origin {
        Origin::BuiltIn => "built-in".to_owned(),
        Origin::User(path) => path.display().to_string(),
    };
    Known { origin, here: here.path.clone(), profile: &found.profile }
}

fn on_this_machine(found: &[Found], paths: &Paths) -> Vec<Candidate> {
    // Both look at the machine for tens of milliseconds and do not need each other.
    let (hardware, engines) = std::thread::scope(|scope| {
        let engines = scope.spawn(|| find::find(&RealHost, paths));
        let hardware = hardware::detect(&RealHost);
        (hardware, engines.join().unwrap_or_default())
    });
    let mut installed: Vec<Installed> = Vec::new();
    for engine in &engines {
        let built = Installed::of(engine);
        if !installed.iter().any(|i| (i.engine, i.accelerator) == (built.engine, built.accelerator)) {
            installed.push(built);
        }
    }
    fits::ranked(found.iter().map(|f| &f.profile), &hardware, &installed)
}

/// Everything that is known, a line each.
fn list(found: &[Found], here: &[Here], width: usize) -> String {
    let mut columns = vec![
        Column::new("MODEL", Align::Left, 0),
        Column::new("SIZE", Align::Right, 1),
        Column::new("ACTIVE", Align::Right, 5),
        Column::new("CONTEXT", Align::Right, 2),
        Column::new("CAN", Align::Left, 3),
        Column::new("AS", Align::Left, 4),
    ];
    // Where nothing is here there is nothing to say.
    if here.iter().any(|here| !here.forms.is_empty()) {
        columns.push(Column::new("HERE", Align::Left, 1));
    }
    let row = |(found, here): (&Found, &Here)| {
        let profile = &found.profile;
        let yours = if found.origin == Origin::BuiltIn { "" } else { " (yours)" };
        vec![
            format!("{}{yours}", profile.name),
            profile.parameters_b.map(billions).unwrap_or_default(),
            profile.active_b.map(billions).unwrap_or_default(),
            profile.context_max.map(tokens).unwrap_or_default(),
            profile.capabilities.join(" "),
            forms(profile),
            here.forms.join(" "),
        ]
    };
    let mut out = table::render(&columns, &found.iter().zip(here).map(row).collect::<Vec<_>>(), width);
    out.push_str("\nstart one: llmup start MODEL; what would run here: llmup models --fits\n");
    out
}

/// What would run, best first, and how many would not.
fn fitting(candidates: &[Candidate], width: usize) -> String {
    let mut columns = vec![
        Column::new("MODEL", Align::Left, 0),
        Column::new("FIT", Align::Left, 1),
        Column::new("AS", Align::Left, 2),
        Column::new("CONTEXT", Align::Right, 3),
        Column::new("WEIGHTS", Align::Right, 4),
        Column::new("ON", Align::Left, 5),
        Column::new("CAN", Align::Left, 6),
    ];
    if candidates.iter().any(|c| !c.here_as.is_empty()) {
        columns.push(Column::new("HERE", Align::Left, 2));
    }
    let row = |c: &Candidate| {
        vec![
            c.name.clone(),
            c.fit.word().to_owned(),
            c.quantization.clone().unwrap_or_default(),
            c.context.map(tokens).unwrap_or_default(),
            c.weights_bytes.map(|n| gigabytes(n, c.weights_estimated)).unwrap_or_default(),
            on(c),
            c.capabilities.join(" "),
            c.here_as.join(" "),
        ]
    };
    let runs: Vec<_> = candidates.iter().filter(|c| matches!(c.fit, Fit::Fits | Fit::Tight)).map(row).collect();
    let mut out = String::new();
    if runs.is_empty() {
        out.push_str("no model that llmup knows fits this machine; `llmup start demo --yes` always does\n");
    } else {
        out.push_str(&table::render(&columns, &runs, width));
    }
    let counted = |fit: Fit| candidates.iter().filter(|c| c.fit == fit).count();
    let mut rest = Vec::new();
    if counted(Fit::No) > 0 {
        rest.push(format!("{} do not fit", counted(Fit::No)));
    }
    if counted(Fit::Unknown) > 0 {
        rest.push(format!("of {} no form is for this machine or no size is known", counted(Fit::Unknown)));
    }
    if !rest.is_empty() {
        out.push_str(&format!(
            "\n{} more: {}; why: llmup models --fits --json\n",
            counted(Fit::No) + counted(Fit::Unknown),
            rest.join(", ")
        ));
    }
    let nearest =
        candidates.iter().filter(|c| c.fit == Fit::No).filter_map(|c| Some((c.missing_bytes?, c))).min_by_key(|n| n.0);
    if let Some((missing, candidate)) = nearest {
        out.push_str(&format!("nearest: {}, {} short\n", candidate.name, output::bytes(missing)));
    }
    if runs.iter().flatten().any(|cell| cell.starts_with('~')) {
        out.push_str("~ is estimated from the number of parameters\n");
    }
    out
}

/// What would run it, where: `vllm, 2 GPUs`, `llama-cpp, cpu`, `ollama, GPU + cpu`.
fn on(candidate: &Candidate) -> String {
    let Some((engine, accelerator)) = candidate.engine.zip(candidate.accelerator) else { return String::new() };
    let gpus = match candidate.gpus {
        0 | 1 => "GPU".to_owned(),
        n => format!("{n} GPUs"),
    };
    match (accelerator, candidate.offloaded) {
        (_, true) => format!("{engine}, {gpus} + cpu"),
        (Accelerator::Cpu, _) => format!("{engine}, cpu"),
        (_, false) => format!("{engine}, {gpus}"),
    }
}

/// `30.5B`, `1.6T`.
fn billions(count: f64) -> String {
    let (value, unit) = if count >= 1000.0 { (count / 1000.0, "T") } else { (count, "B") };
    let text = format!("{value:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// `128K`, `1M`: units of 1024, as contexts are counted.
fn tokens(count: u64) -> String {
    match count {
        0..1024 => count.to_string(),
        1024..1_048_576 => format!("{}K", count / 1024),
        _ => format!("{}M", count / 1_048_576),
    }
}

fn gigabytes(bytes: u64, estimated: bool) -> String {
    let gb = bytes as f64 / 1e9;
    let sign = if estimated { "~" } else { "" };
    if gb < 10.0 { format!("{sign}{gb:.1} GB") } else { format!("{sign}{gb:.0} GB") }
}

/// The forms a model comes in, each once, in their order: `bf16 fp8 q4_k_m`.
fn forms(profile: &ModelProfile) -> String {
    let mut forms: Vec<&str> = Vec::new();
    for variant in &profile.variants {
        if !forms.contains(&variant.quantization.as_str()) {
            forms.push(&variant.quantization);
        }
    }
    forms.join(" ")
}

#[cfg(test)]
mod tests;
