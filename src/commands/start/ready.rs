//! The box in the end: where the model is and the one command to run next.

use super::detach::detached;
use crate::client::shell::Shell;
use crate::client::{CLIENTS, started};
use crate::error::paste;
use crate::host::Os;
use crate::output::{self, Style, on_stderr};
use crate::state::{Engine, Instance, Model, Phase, Sizes};
use crate::words;

/// Set for a start that `llmup run` needs: the client comes next, so nobody is told what to type.
pub const FOR_A_CLIENT: &str = "LLMUP_FOR_A_CLIENT";

/// Columns of the terminal behind standard error; 80 without one.
pub fn width() -> usize {
    let (_, columns) = console::Term::stderr().size();
    if output::watched() { usize::from(columns).clamp(40, 160) } else { 100 }
}

/// A model that another llmup serves.
#[derive(Debug, Clone, Copy)]
pub struct Elsewhere<'a> {
    /// Its name.
    pub name: &'a str,
    /// Clients have to be told the name: without it they get another model.
    pub to_be_named: bool,
}

/// Shows the box of the llmup that this command is, or of another one that serves the model `elsewhere`.
pub fn show(instance: &Instance, shell: Shell, elsewhere: Option<Elsewhere<'_>>) {
    if std::env::var_os(FOR_A_CLIENT).is_some() {
        let named = elsewhere.and_then(|Elsewhere { name, .. }| instance.models().find(|model| model.name == name));
        let model = named.unwrap_or(&instance.model);
        return output::note(&format!("{} is {}", model.name, standing(model)));
    }
    let key = shown_key(instance);
    let mut lines = if instance.others.is_empty() {
        let Model { name, context, engine, .. } = &instance.model;
        let (context, engine) = (format!("{context} tokens, {}", source(&instance.model)), engine_of(engine));
        vec![
            format!("{name} is {}", standing(&instance.model)),
            String::new(),
            format!("URL      {}", instance.url),
            format!("key      {key}"),
            format!("context  {context}"),
            format!("engine   {engine}"),
        ]
    } else {
        let names: Vec<&str> = instance.models().map(|model| model.name.as_str()).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let mut lines = vec![
            format!("{} models are served", names.len()),
            String::new(),
            format!("URL      {}", instance.url),
            format!("key      {key}"),
        ];
        lines.extend(instance.models().map(|model| {
            let Model { name, context, .. } = model;
            format!("  {name:width$}  {context} tokens, {}", standing(model))
        }));
        lines
    };
    lines.extend([String::new(), "Run this next, in another terminal:".to_owned()]);
    let named = elsewhere.filter(|elsewhere| elsewhere.to_be_named).map(|elsewhere| elsewhere.name);
    let clients: Vec<&str> = started().map(|client| client.id()).collect();
    lines.extend(next(&shell.program(&program()), &clients, named));
    if let (None, Some(other)) = (elsewhere, instance.others.first()) {
        let Model { name, .. } = &instance.model;
        let another = to_run(&shell.program(&program()), CLIENTS[0].id(), Some(&other.name));
        lines.push(format!("Clients get {name}; to have another one: {another}"));
    }
    let end = match (elsewhere, detached(), instance.others.is_empty()) {
        (Some(Elsewhere { name, .. }), ..) => {
            format!("It runs in another llmup (pid {}). To end it: {} stop {name}", instance.process.pid, program())
        }
        (None, true, true) => format!("It runs on by itself. To end it: {} stop {}", program(), instance.model.name),
        (None, true, false) => format!("They run on by themselves. To end them: {} stop --all", program()),
        (None, false, _) => "Ctrl-C stops everything.".to_owned(),
    };
    lines.extend([String::new(), end]);
    box_of(&lines);
}

/// Where the word on a model's context comes from.
fn source(model: &Model) -> String {
    let context = |sizes: &Option<Sizes>| sizes.as_ref().and_then(|sizes| sizes.context);
    match (context(&model.measured), context(&model.planned)) {
        (None, _) => "as planned".to_owned(),
        (Some(real), Some(planned)) if real != planned => format!("as the engine confirmed; planned were {planned}"),
        (Some(_), _) => "as the engine confirmed".to_owned(),
    }
}

fn engine_of(engine: &Engine) -> String {
    if engine.name.is_empty() { "none yet".to_owned() } else { format!("{}, port {}", engine.name, engine.port) }
}

/// How far a model is, for the box.
fn standing(model: &Model) -> &'static str {
    match model.phase {
        Phase::Ready => "ready",
        Phase::Loading => "loading",
        Phase::Asleep => "started when it is asked for",
        Phase::Gone => "not to be had",
    }
}

/// The key for a human's eyes. What is no terminal ends up in a log.
pub fn shown_key(instance: &Instance) -> &str {
    if output::watched() { &instance.key } else { "not shown here; `llmup env CLIENT` has it" }
}

/// The same as data. What stands at the top is about the model of that name, else the first.
pub fn as_json(instance: &Instance, name: Option<&str>) -> serde_json::Value {
    let models: Vec<serde_json::Value> = instance.models().map(model_json).collect();
    let named = instance.models().find(|model| Some(model.name.as_str()) == name);
    let mut all = model_json(named.unwrap_or(&instance.model));
    if let Some(map) = all.as_object_mut() {
        map.insert("status".into(), "ready".into());
        map.insert("url".into(), instance.url.as_str().into());
        map.insert("key".into(), instance.key.as_str().into());
        map.insert("pid".into(), instance.process.pid.into());
        map.insert("models".into(), models.into());
    }
    all
}

fn model_json(model: &Model) -> serde_json::Value {
    serde_json::json!({
        "model": model.name, "phase": model.phase, "context": model.context, "engine": model.engine.name,
        "engine_port": model.engine.port, "log": model.engine.log,
        "planned": model.planned, "measured": model.measured,
    })
}

/// What starts each client, some to a line.
pub fn next_commands(shell: Shell) -> Vec<String> {
    let ids: Vec<&str> = started().map(|client| client.id()).collect();
    next(&shell.program(&program()), &ids, None)
}

/// The same for these clients; with the model, where they would get another one.
fn next(program: &str, ids: &[&str], model: Option<&str>) -> Vec<String> {
    let (first, others) = ids.split_at(ids.len().min(3));
    let mut lines: Vec<String> = first.iter().map(|id| format!("  {}", to_run(program, id, model))).collect();
    if !others.is_empty() {
        lines.push(format!("  or one of {}", others.join(", ")));
    }
    lines
}

/// The command that starts one client.
fn to_run(program: &str, client: &str, model: Option<&str>) -> String {
    let model = model.map(|model| format!(" --model {}", paste::word(model, Os::current()))).unwrap_or_default();
    format!("{program} run {client}{model}")
}

/// Shows lines in a box.
pub fn box_of(lines: &[String]) {
    let lines: Vec<_> = lines.iter().map(|line| words::say(line)).collect();
    let inner = lines.iter().map(|line| words::width(line)).max().unwrap_or(0);
    // A box that would be broken by the terminal's edge is no box: then the lines stand alone, to be copied whole.
    if inner + 4 > width() || !output::watched() {
        for line in &lines {
            output::note(line);
        }
        return;
    }
    output::note(&format!("╭{}╮", "─".repeat(inner + 2)));
    for (at, line) in lines.iter().enumerate() {
        let pad = " ".repeat(inner - words::width(line));
        let text = if at == 0 { on_stderr(Style::Good, line) } else { line.to_string() };
        output::note(&format!("│ {text}{pad} │"));
    }
    output::note(&format!("╰{}╯", "─".repeat(inner + 2)));
}

/// `llmup` where it is on PATH, else the path of this very binary.
fn program() -> String {
    let own = std::env::current_exe().ok();
    let on_path = which::which("llmup").ok();
    let same = |a: &std::path::Path, b: &std::path::Path| a.canonicalize().ok() == b.canonicalize().ok();
    match (own, on_path) {
        (Some(own), Some(found)) if same(&own, &found) => "llmup".to_owned(),
        (Some(own), _) => {
            let here = std::env::current_dir().ok();
            let short = here.and_then(|h| own.strip_prefix(h).map(|p| std::path::Path::new(".").join(p)).ok());
            short.unwrap_or(own).display().to_string()
        }
        _ => "llmup".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_next_is_short_however_many_clients_there_are() {
        assert_eq!(next("llmup", &["a", "b"], None), ["  llmup run a", "  llmup run b"]);
        let many = next("llmup", &["a", "b", "c", "d", "e"], None);
        assert_eq!(many, ["  llmup run a", "  llmup run b", "  llmup run c", "  or one of d, e"]);
        let named = next("llmup", &["a", "b"], Some("qwen3-8b"));
        assert_eq!(named, ["  llmup run a --model qwen3-8b", "  llmup run b --model qwen3-8b"]);
    }

    #[test]
    fn a_program_in_a_folder_with_spaces_is_quoted_for_each_shell() {
        for (shell, program, quoted) in [
            (Shell::Bash, "/opt/my tools/llmup", "'/opt/my tools/llmup'"),
            (Shell::Fish, "./target/debug/llmup", "./target/debug/llmup"),
            (Shell::Powershell, r"C:\Users\it's\llmup.exe", r"& 'C:\Users\it''s\llmup.exe'"),
            (Shell::Cmd, r"C:\my tools\llmup.exe", r#""C:\my tools\llmup.exe""#),
            (Shell::Nu, "/opt/my tools/llmup", r#"^"/opt/my tools/llmup""#),
        ] {
            assert_eq!(shell.program(program), quoted);
        }
    }
}
