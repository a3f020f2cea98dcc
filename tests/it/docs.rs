//! The documents: their links lead somewhere, their commands are commands of this llmup, and what is there in English is
//! there in Chinese with the same commands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use llmup::cli::Cli;

/// Documents in one language only: tables of measurements.
const ONE_LANGUAGE: &[&str] = &["performance.md", "tested-with.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Both READMEs and everything below docs, with their texts. None where only the sources are.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = vec![root().join("README.md"), root().join("README.zh-CN.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.into_iter().filter_map(|path| Some((path.clone(), std::fs::read_to_string(path).ok()?))).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// The lines inside fences, with their numbers.
fn fenced(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            return None;
        }
        inside.then_some((at + 1, line))
    })
}

/// What stands between backquotes in the lines outside fences, with their numbers.
fn spans(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    text.lines()
        .enumerate()
        .filter(move |(_, line)| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
        .flat_map(|(at, line)| line.split('`').skip(1).step_by(2).map(move |span| (at + 1, span)))
}

/// The command lines of llmup in a line of a shell: at its beginning, behind variables or a prompt, in `$(…)` and in
/// quotes of cmd's `for`.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let mut found = Vec::new();
    for (at, _) in line.match_indices("llmup ") {
        let before = &line[..at];
        let variables = before.split_whitespace().all(|word| word.contains('=') && !word.starts_with('-'));
        let quoted = before.ends_with("('");
        if (variables && (before.is_empty() || before.ends_with(' ')) && !before.starts_with(' '))
            || quoted
            || before.ends_with('(')
        {
            found.push(words(&line[at..], quoted));
        }
    }
    found
}

/// Words up to the end of the command. Backslashes stay: paths of Windows have them.
fn words(text: &str, quoted: bool) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut any = false;
    for c in text.chars() {
        match (quote, c) {
            (None, '\'') if quoted => break,
            (None, '"' | '\'') => (quote, any) = (Some(c), true),
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => word.push(c),
            (None, ')' | '|' | '>' | ';' | '&') => break,
            (None, '#') if word.is_empty() && !any => break,
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() || any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            (None, c) => word.push(c),
        }
    }
    // What a table escapes before its bar.
    let word = word.trim_end_matches('\\').to_owned();
    if !word.is_empty() || any {
        words.push(word);
    }
    words
}

/// Why these words are no command of llmup. In a sentence a command may be named without what it needs.
fn refused(words: &[String], named: bool) -> Option<String> {
    let error = Cli::try_parse_from(words).err()?;
    let wrong = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => false,
        ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument | ErrorKind::ArgumentConflict => true,
        _ => !named,
    };
    wrong.then(|| error.to_string().lines().next().unwrap_or_default().to_owned())
}

#[test]
fn every_command_is_one() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let documents = documents();
    for (path, text) in &documents {
        let lines = fenced(text).map(|found| (found, false)).chain(spans(text).map(|found| (found, true)));
        for ((number, line), named) in lines {
            for words in commands(line) {
                seen += 1;
                wrong.extend(refused(&words, named).map(|why| format!("{}:{number}: {line}\n    {why}", shown(path))));
            }
        }
    }
    assert!(documents.is_empty() || seen > 100, "only {seen} commands were found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_link_leads_to_a_file() {
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for (number, line) in text.lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let file = link.split('#').next().unwrap_or_default();
                if file.is_empty() || file.contains("://") {
                    continue;
                }
                if !path.parent().unwrap().join(file).exists() {
                    wrong.push(format!("{}:{}: {link}", shown(&path), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn both_languages_have_every_document_and_the_same_commands() {
    let documents = documents();
    let names: BTreeSet<&Path> = documents.iter().map(|(path, _)| path.as_path()).collect();
    let mut wrong = Vec::new();
    for (path, text) in &documents {
        let name = path.file_name().unwrap().to_string_lossy();
        if let Some(stem) = name.strip_suffix(".zh-CN.md") {
            if !names.contains(path.with_file_name(format!("{stem}.md")).as_path()) {
                wrong.push(format!("{} has no English twin", shown(path)));
            }
            continue;
        }
        if ONE_LANGUAGE.contains(&&*name) {
            continue;
        }
        let twin = path.with_file_name(name.replace(".md", ".zh-CN.md"));
        let Some((_, other)) = documents.iter().find(|(path, _)| *path == twin) else {
            wrong.push(format!("{} has no Chinese twin", shown(path)));
            continue;
        };
        // What is said to a client may be in the reader's language.
        let said = |word: &String| word.contains(char::is_whitespace) || !word.is_ascii();
        let of = |text: &str| -> Vec<Vec<String>> {
            let all = fenced(text).flat_map(|(_, line)| commands(line));
            all.map(|words| words.into_iter().filter(|word| !said(word)).collect()).collect()
        };
        let (ours, theirs) = (of(text), of(other));
        if let Some((a, b)) = ours.iter().zip(&theirs).find(|(a, b)| a != b) {
            wrong.push(format!("{}: {}\n    its twin: {}", shown(path), a.join(" "), b.join(" ")));
        } else if ours.len() != theirs.len() {
            wrong.push(format!("{}: {} commands, its twin {}", shown(path), ours.len(), theirs.len()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn commands_are_found_where_people_write_them() {
    for (line, found) in [
        ("llmup start demo --yes   # tries everything", vec!["llmup start demo --yes"]),
        ("$ llmup plan m --model-dir 'D:\\my models\\m'", vec!["llmup plan m --model-dir D:\\my models\\m"]),
        ("eval \"$(llmup env claude)\" && claude", vec!["llmup env claude"]),
        ("for /f \"delims=\" %i in ('llmup env claude --shell cmd') do @%i", vec!["llmup env claude --shell cmd"]),
        ("llmup env claude --shell fish \\| source; claude", vec!["llmup env claude --shell fish"]),
        ("let e = (llmup env claude --json \\| from json)", vec!["llmup env claude --json"]),
        ("LLMUP_OFFLINE=1 llmup pull m", vec!["llmup pull m"]),
        ("hint: see `llmup models`", vec![]),
        ("  llmup     pid 31198, up 3 s", vec![]),
    ] {
        let got: Vec<String> = commands(line).iter().map(|words| words.join(" ")).collect();
        assert_eq!(got, found, "{line}");
    }
    for named in [false, true] {
        assert!(refused(&words("llmup start --no-such-flag x", false), named).is_some());
        assert!(refused(&words("llmup status", false), named).is_none());
        assert_eq!(refused(&words("llmup plan", false), named).is_none(), named);
    }
}
