//! The box in the end: where the model is and the one command to run next.

use super::detach::detached;
use crate::client::shell::Shell;
use crate::client::{CLIENTS, Client};
use crate::output::{self, Style, on_stderr};
use crate::state::{Instance, Sizes};

/// Columns of the terminal behind standard error; 80 without one.
pub fn width() -> usize {
    let (_, columns) = dialoguer::console::Term::stderr().size();
    if output::watched() { usize::from(columns).clamp(40, 160) } else { 100 }
}

/// Shows the box.
pub fn show(instance: &Instance, shell: Shell) {
    let context = |sizes: &Option<Sizes>| sizes.as_ref().and_then(|sizes| sizes.context);
    let source = match (context(&instance.measured), context(&instance.planned)) {
        (None, _) => "as planned".to_owned(),
        (Some(real), Some(planned)) if real != planned => format!("as the engine confirmed; planned were {planned}"),
        (Some(_), _) => "as the engine confirmed".to_owned(),
    };
    let mut lines = vec![
        format!("{} is ready", instance.model),
        String::new(),
        format!("URL      {}", instance.url),
        format!("key      {}", shown_key(instance)),
        format!("context  {} tokens, {source}", instance.context),
        format!("engine   {}, port {}", instance.engine.name, instance.engine.port),
        String::new(),
        "Run this next, in another terminal:".to_owned(),
    ];
    lines.extend(next_commands(shell));
    let end = if detached() {
        format!("It runs on by itself. To end it: {} stop {}", program(), instance.model)
    } else {
        "Ctrl-C stops everything.".to_owned()
    };
    lines.extend([String::new(), end]);
    box_of(&lines);
}

/// The key for a human's eyes. What is no terminal ends up in a log.
pub fn shown_key(instance: &Instance) -> &str {
    if output::watched() { &instance.key } else { "not shown here; `llmup env CLIENT` has it" }
}

/// The same as data.
pub fn as_json(instance: &Instance) -> serde_json::Value {
    serde_json::json!({
        "status": "ready", "url": instance.url, "key": instance.key, "model": instance.model,
        "context": instance.context, "engine": instance.engine.name, "engine_port": instance.engine.port,
        "log": instance.engine.log, "pid": instance.process.pid,
        "planned": instance.planned, "measured": instance.measured,
    })
}

/// What connects each client, a line each.
pub fn next_commands(shell: Shell) -> Vec<String> {
    let program = program();
    CLIENTS.iter().map(|client| format!("  {}", next(&program, *client, shell))).collect()
}

/// Shows lines in a box.
pub fn box_of(lines: &[String]) {
    let inner = lines.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    // A box that would be broken by the terminal's edge is no box: then the lines stand alone, to be copied whole.
    if inner + 4 > width() || !output::watched() {
        for line in lines {
            output::note(line);
        }
        return;
    }
    output::note(&format!("╭{}╮", "─".repeat(inner + 2)));
    for (at, line) in lines.iter().enumerate() {
        let pad = " ".repeat(inner - line.chars().count());
        let text = if at == 0 { on_stderr(Style::Good, line) } else { line.clone() };
        output::note(&format!("│ {text}{pad} │"));
    }
    output::note(&format!("╰{}╯", "─".repeat(inner + 2)));
}

/// The command that connects a client in the user's shell.
fn next(program: &str, client: &dyn Client, shell: Shell) -> String {
    let load = shell.how_to_load(&format!("{} env {}", shell.program(program), client.id()));
    shell.then(&load, client.programs().first().copied().unwrap_or(client.id()))
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
    use crate::client::find;

    #[test]
    fn a_program_in_a_folder_with_spaces_is_quoted_for_each_shell() {
        let claude = find("claude").unwrap();
        let unix = |shell| next("/opt/my tools/llmup", claude, shell);
        assert_eq!(unix(Shell::Bash), "eval \"$('/opt/my tools/llmup' env claude)\" && claude");
        assert_eq!(unix(Shell::Fish), "'/opt/my tools/llmup' env claude | source; claude");
        assert_eq!(
            next("./target/debug/llmup", claude, Shell::Zsh),
            "eval \"$(./target/debug/llmup env claude)\" && claude"
        );
        let windows = |shell| next(r"C:\Users\Грета\it's\llmup.exe", claude, shell);
        assert_eq!(
            windows(Shell::Powershell),
            r"& 'C:\Users\Грета\it''s\llmup.exe' env claude | Out-String | Invoke-Expression; claude"
        );
        assert_eq!(
            windows(Shell::Cmd),
            r#"(for /f "delims=" %i in ('^""C:\Users\Грета\it's\llmup.exe" env claude^"') do @%i) & claude"#
        );
        assert!(windows(Shell::Nu).contains(r#"(^"C:\\Users\\Грета\\it's\\llmup.exe" env claude --json"#));
        assert_eq!(
            next(r".\llmup.exe", claude, Shell::Cmd),
            r#"(for /f "delims=" %i in ('.\llmup.exe env claude') do @%i) & claude"#
        );
    }
}
