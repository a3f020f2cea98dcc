//! Who may depend on whom: the arrows of ARCHITECTURE.md, checked against every `use crate::`.

use std::path::Path;

const FOUNDATION: &[&str] = &["error", "exit", "output", "progress", "paths", "fs", "host", "words", "wrapped", "wsl"];

/// Which modules may be used from a top-level module, besides itself. `None`: all.
fn allowed(module: &str) -> Option<Vec<&'static str>> {
    let extra: &[&str] = match module {
        "main" | "lib" | "commands" | "cli" => return None,
        "plan" => &["engine", "hardware", "model", "profile"],
        "engine" => &["hardware", "model", "profile", "fetch"],
        "pull" => &["fetch"],
        "gateway" => &["protocol"],
        // Where a running llmup takes orders stands in its state file.
        "control" => &["state"],
        // Pure: not even the foundation.
        "protocol" => return Some(Vec::new()),
        _ => &[],
    };
    Some(FOUNDATION.iter().chain(extra).copied().collect())
}

#[test]
fn no_new_arrow_between_modules() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut files = 0;
    visit(&src, &mut |path| {
        files += 1;
        let relative = path.strip_prefix(&src).unwrap();
        let top = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let top = top.trim_end_matches(".rs");
        let Some(allowed) = allowed(top) else { return };
        let text = std::fs::read_to_string(path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let Some(rest) = line.split("crate::").nth(1).filter(|_| !line.trim_start().starts_with("//")) else {
                continue;
            };
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list.split(',').map(|n| n.trim().split("::").next().unwrap_or("")).collect(),
                None => vec![rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or("")],
            };
            for name in names {
                let name = name.trim_end_matches(['}', ';']);
                let known = src.join(name).exists() || src.join(format!("{name}.rs")).exists();
                if known && !name.is_empty() && name != top && !allowed.contains(&name) {
                    wrong.push(format!("{}:{}: {top} uses {name}", relative.display(), number + 1));
                }
            }
        }
    });
    assert!(files > 50, "only {files} files were read");
    assert!(wrong.is_empty(), "new arrows:\n{}", wrong.join("\n"));
}

fn visit(dir: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, each);
        } else if path.extension().is_some_and(|e| e == "rs") {
            each(&path);
        }
    }
}
