//! Variables that no program can change in the shell it was started from: the line to paste there.

use std::path::PathBuf;

use super::Step;
use crate::client::shell::{self, Shell};
use crate::client::{Export, Origin};
use crate::commands::doctor::{Finding, Scene, Status};
use crate::commands::gateway_choice;

/// Files that shells read when they start, from the user's home.
const STARTUP: [&str; 9] = [
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".config/fish/config.fish",
    ".config/nushell/env.nu",
];

/// Every variable once, however many clients it leads elsewhere.
pub(super) fn steps<'s>(findings: &[Finding], scene: &Scene) -> Vec<Step<'s>> {
    let shell = shell::detect(&*scene.host, &shell::ancestors());
    of_shell(findings, scene, shell)
}

pub(super) fn of_shell<'s>(findings: &[Finding], scene: &Scene, shell: Shell) -> Vec<Step<'s>> {
    let mut steps = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.status != Status::Ok) {
        let (Some(code), Some(Origin::Variable(name))) = (finding.code, &finding.origin) else { continue };
        if seen.contains(&name.as_str()) {
            continue;
        }
        seen.push(name);
        let mut how = in_this_shell(&[Export::unset(name.clone())], shell);
        if let Some((file, line)) = set_in(scene, name) {
            how = format!("{how}; it is set in {}, line {line}", file.display());
        }
        steps.push(Step::Tell { code, client: finding.client, what: finding.text.clone(), how });
    }
    if let Some(finding) = findings.iter().find(|finding| finding.code == Some("LLMUP-C004")) {
        let how = in_this_shell(&gateway_choice::direct("http://127.0.0.1", &*scene.host), shell);
        steps.push(Step::Tell { code: "LLMUP-C004", client: None, what: finding.text.clone(), how });
    }
    steps
}

/// One line for the shell that does all of that.
fn in_this_shell(exports: &[Export], shell: Shell) -> String {
    let lines = shell::render(exports, shell).unwrap_or_default();
    let line = lines.lines().map(str::to_owned).reduce(|first, second| match second.strip_prefix("export ") {
        // One `export` takes many.
        Some(second) => format!("{first} {second}"),
        None => shell.then(&first, &second),
    });
    match line {
        Some(line) => format!("in this shell: `{line}`"),
        None => "take it out of this shell".to_owned(),
    }
}

/// Where a startup file sets a variable, as far as its lines tell.
fn set_in(scene: &Scene, name: &str) -> Option<(PathBuf, usize)> {
    STARTUP.iter().find_map(|file| {
        let path = scene.places.home.join(file);
        let text = scene.host.read(&path).ok()?;
        let at = String::from_utf8_lossy(&text).lines().position(|line| sets(line, name))?;
        Some((path, at + 1))
    })
}

/// Whether a line of a shell gives that variable a value: `export NAME=`, `set -gx NAME`, `$env.NAME =`.
fn sets(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with('#') {
        return false;
    }
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let whole = !before.ends_with(part) && !after.starts_with(part) && !before.ends_with('$');
        whole && (after.trim_start().starts_with('=') || before.starts_with("set "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_sets_a_variable_is_told_from_one_that_uses_it() {
        for line in ["export A_URL=x", "  A_URL='x'; B=1", "set -gx A_URL x", "$env.A_URL = 'x'", "B=1 A_URL=2"] {
            assert!(sets(line, "A_URL"), "{line}");
        }
        for line in ["# export A_URL=x", "echo $A_URL", "export MY_A_URL=x", "A_URLS=x", "unset A_URL", "echo A_URL"] {
            assert!(!sets(line, "A_URL"), "{line}");
        }
    }
}
