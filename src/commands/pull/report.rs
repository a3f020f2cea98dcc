//! What a pull says: before, after, and as JSON.

use serde_json::{Value, json};

use crate::cli::PullArgs;
use crate::fetch::Outcome;
use crate::output::{self, Style, on_stderr};
use crate::pull::{HubId, Manifest, Open, Order};

/// Repository, size and room in a line.
pub(super) fn about(order: &Order, open: &Open) -> String {
    let mut text = format!(
        "{} {} from {}, {}{} in {} file{}",
        on_stderr(Style::Strong, "pull  "),
        open.manifest.repo,
        order.hub.driver().title(),
        output::bytes(open.bytes()),
        open.manifest.quantization.as_deref().map(|q| format!(" ({q})")).unwrap_or_default(),
        open.manifest.files.len(),
        if open.manifest.files.len() == 1 { "" } else { "s" },
    );
    if open.here > 0 {
        text.push_str(&format!("; {} are here already", output::bytes(open.here)));
    }
    text.push_str(&format!("\n       to {}", order.dir.display()));
    if let Some(free) = open.free {
        text.push_str(&format!(" ({} free)", output::bytes(free)));
    }
    text
}

/// What `start` asks.
pub(super) fn question(order: &Order, open: &Open) -> String {
    let free = open.free.map(|free| format!(", {} free", output::bytes(free))).unwrap_or_default();
    format!(
        "The weights of {} are not here. Download {} from {} into {}{free}?",
        order.name,
        output::bytes(open.to_come()),
        order.hub.driver().title(),
        order.dir.display(),
    )
}

/// What would be downloaded.
pub(super) fn dry_run(args: &PullArgs, order: &Order, open: &Open) {
    let fits = open.check_room().is_ok();
    if args.json {
        let mut value = described(order, &open.manifest, "missing");
        if let Some(map) = value.as_object_mut() {
            map.insert("to_come_bytes".into(), open.to_come().into());
            map.insert("free_bytes".into(), open.free.into());
            map.insert("fits".into(), fits.into());
        }
        return output::json(&value);
    }
    output::note(&about(order, open));
    for file in &open.manifest.files {
        output::line(&format!("{:>10}  {}", output::bytes(file.size), file.path));
    }
    output::line(&format!("{:>10}  to come", output::bytes(open.to_come())));
    if !fits {
        output::warning("there is not enough room");
    }
}

/// That all is here, and what to do with it.
pub(super) fn whole(args: &PullArgs, order: &Order, manifest: &Manifest, outcome: Option<Outcome>) {
    if args.json {
        let mut value = described(order, manifest, if outcome.is_some() { "pulled" } else { "present" });
        if let Some(map) = value.as_object_mut() {
            map.insert("path".into(), manifest.weights(&order.dir).to_string_lossy().into());
            map.insert("fetched_bytes".into(), outcome.map_or(0, |outcome| outcome.fetched).into());
        }
        return output::json(&value);
    }
    let path = manifest.weights(&order.dir);
    let (word, state) = match outcome {
        Some(_) if manifest.files.iter().all(|file| file.digest.is_some()) => ("pulled", "checked by size and hash"),
        Some(_) => ("pulled", "checked by size, and by hash where the hub gives one"),
        None => ("here  ", "whole already; nothing was downloaded"),
    };
    let size = output::bytes(manifest.bytes());
    output::note(&format!("{} {} ({size}), {state}", on_stderr(Style::Good, word), manifest.repo));
    output::line(&path.to_string_lossy());
    let name = &order.name;
    let plain = !name.contains(['/', ':']) && args.to.is_none() && args.include.is_empty();
    let command = if plain {
        format!("llmup start {name}")
    } else {
        let public = manifest.repo.rsplit('/').next().unwrap_or(name).to_lowercase();
        format!("llmup start {public} --model-dir {}", shown(&path.to_string_lossy()))
    };
    output::note(&format!("       start it: {command}"));
}

/// A path in quotes where a shell wants them.
fn shown(path: &str) -> String {
    if path.contains(' ') { format!("\"{path}\"") } else { path.to_owned() }
}

fn described(order: &Order, manifest: &Manifest, status: &str) -> Value {
    let hub = match order.hub {
        HubId::HuggingFace => "hf",
        HubId::ModelScope => "modelscope",
    };
    json!({
        "status": status, "model": order.name, "source": hub, "repo": manifest.repo, "revision": manifest.revision,
        "commit": manifest.commit, "dir": order.dir, "quantization": manifest.quantization, "form": manifest.form,
        "bytes": manifest.bytes(), "files": manifest.files,
    })
}

/// What Ollama did.
pub(super) fn ollama(args: &PullArgs, tag: &str, here: bool, bytes: u64) {
    let status = match (args.dry_run, here) {
        (false, _) => "pulled",
        (true, true) => "present",
        (true, false) => "missing",
    };
    if args.json {
        return output::json(&json!({"status": status, "model": tag, "source": "ollama", "bytes": bytes}));
    }
    output::note(&format!("{} {tag}, in Ollama's own store", on_stderr(Style::Good, status)));
    if status != "missing" {
        output::note(&format!("       start it: llmup start {tag} --engine ollama"));
    }
}
