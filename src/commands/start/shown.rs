//! What is said of a plan: in a dry run all of it, before a start two lines.

use super::decide::decide;
use super::target;
use super::{Choice, Chosen, DEFAULT_PORT, launch, options, ready, run};
use crate::cli::StartArgs;
use crate::engine::driver;
use crate::error::Result;
use crate::exit::Exit;
use crate::hardware::Hardware;
use crate::output;
use crate::paths::Paths;
use crate::plan;
use crate::words;

/// Shows how a model would be started, here or on `other` hardware (with the words that name it), and starts nothing.
pub fn plan(args: StartArgs, other: Option<(Hardware, Vec<String>)>, paths: &Paths) -> Result<u8> {
    let args = StartArgs { dry_run: true, ..args };
    let Some((hardware, words)) = other else { return run(args, paths) };
    let mut target = target::resolve(&args, paths)?;
    // What is installed there is not known.
    match decide(&args, &mut target, &hardware, Some(&words), &[])? {
        Ok(mut plan) => {
            options::check(&args, &target.name, &plan)?;
            // What is only assumed about main memory matters where the plan puts something there.
            if plan.per_gpu.iter().any(|bill| bill.place == plan::MEMORY) {
                plan.warnings.extend(hardware.problems.iter().cloned());
            }
            let choice = Choice { args: &args, target: &target, plan: &plan, engine: None, known: None };
            if let Some(value) = show(choice, paths) {
                output::json(&value);
            }
        }
        Err(error) if args.json => return Ok(crate::commands::plan::refuse(&target.name, &error)),
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Ok.code())
}

/// The dry run.
pub(super) fn show_all(args: &StartArgs, models: &[Chosen], paths: &Paths) {
    let values: Vec<serde_json::Value> = models
        .iter()
        .enumerate()
        .filter_map(|(at, model)| {
            if at > 0 && !args.json {
                output::line("");
            }
            show(model.choice(), paths)
        })
        .collect();
    match &values[..] {
        [] => {}
        [one] => output::json(one),
        several => output::json(&serde_json::Value::from(several)),
    }
}

/// One plan; as data, where that is wanted.
fn show(choice: Choice<'_>, paths: &Paths) -> Option<serde_json::Value> {
    let Choice { args, target, plan, .. } = choice;
    let port = match args.engine_port {
        crate::cli::EnginePort::Fixed(port) => port,
        // Any free one is taken at the start; this one stands for it.
        crate::cli::EnginePort::Auto => DEFAULT_PORT + 1,
    };
    let command = launch::command(choice, paths, port, None);
    if args.json {
        let mut value = serde_json::to_value(plan).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            let argv = std::iter::once(command.program.to_string_lossy().into_owned())
                .chain(command.args.iter().map(|a| a.to_string_lossy().into_owned()));
            let env = command.env.iter().map(|(k, v)| (k.clone(), v.to_string_lossy().into_owned().into()));
            map.insert("model".into(), target.name.clone().into());
            map.insert("command".into(), argv.collect::<Vec<_>>().into());
            map.insert("env".into(), serde_json::Value::Object(env.collect()));
            let tokens = plan.per_gpu.iter().filter_map(|bill| bill.kv_tokens).min();
            let at_once = tokens.map(|tokens| tokens as f64 / plan.max_model_len.max(1) as f64);
            map.insert("max_concurrency".into(), at_once.into());
            map.insert("weights".into(), serde_json::to_value(&target.weights).unwrap_or_default());
        }
        return Some(value);
    }
    output::data(&plan::text::render(plan, &target.name, &command.shown(), ready::width()));
    if let Some(variant) = &target.missing {
        let source = match (&variant.hugging_face, &variant.model_scope) {
            (Some(repo), _) => repo.clone(),
            (None, Some(repo)) => format!("{repo} on ModelScope"),
            _ => variant.ollama.clone().unwrap_or_else(|| "elsewhere".into()),
        };
        let told =
            format!("weights\n  not on this machine; this is the plan for the {} of {source}", variant.quantization);
        output::line(&words::say(&told));
    }
    None
}

/// What was found and chosen, before anything happens.
pub(super) fn say(models: &[Chosen], hardware: &Hardware) {
    let gpus: Vec<&str> = hardware.devices.iter().filter(|d| d.usable).map(|d| d.name.as_str()).collect();
    let gpus = if gpus.is_empty() { "no usable GPU".to_owned() } else { gpus.join(", ") };
    let about = format!(
        "{}, {} threads, {} of memory; {gpus}",
        hardware.cpu.name.trim(),
        hardware.cpu.threads,
        output::bytes(hardware.memory.total_bytes)
    );
    output::told("found ", &about);
    for Chosen { target, plan, .. } in models {
        let engine = plan.reasons.first().map(|r| r.because.as_str()).unwrap_or_default();
        output::told("chosen", &format!("{} for {}: {engine}", driver(plan.engine).id(), target.name));
        output::note(&format!("       context of {} tokens", plan.max_model_len));
        for warning in &plan.warnings {
            output::warning(warning);
        }
    }
}
