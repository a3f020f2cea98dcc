//! What `explain` finds and how it looks.

use clap::CommandFactory;

use super::*;
use crate::wrapped::width;

fn all() -> &'static [Finding] {
    profile::findings().unwrap()
}

#[test]
fn the_pages_of_the_documentation_are_current() {
    let update = std::env::var_os("LLMUP_UPDATE_SNAPSHOTS").is_some_and(|v| v != "0");
    for (name, chinese) in [("troubleshooting.md", false), ("troubleshooting.zh-CN.md", true)] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        let now = markdown(all(), chinese);
        if update {
            std::fs::write(&path, &now).unwrap();
        }
        let stands = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
        let write = "write it anew with `LLMUP_UPDATE_SNAPSHOTS=1 cargo test --lib explain`";
        assert!(stands == now, "docs/{name} is not what profiles/findings says: {write}");
    }
}

/// Each `llmup …` that a cure names is a command of llmup, with flags it has.
#[test]
fn every_command_a_cure_names_is_there() {
    let cli = crate::cli::Cli::command();
    let mut seen = 0;
    for finding in all() {
        for command in finding.en.cure.iter().flat_map(|cure| cure.split('`').skip(1).step_by(2)) {
            let Some(rest) = command.strip_prefix("llmup ") else { continue };
            let mut words = rest.split(' ');
            let mut at = &cli;
            let mut word = words.next();
            while let Some(sub) = word.and_then(|name| at.find_subcommand(name)) {
                at = sub;
                word = words.next();
            }
            assert!(at.get_name() != cli.get_name(), "{}: {command} is no command", finding.code);
            for flag in
                word.into_iter().chain(words).take_while(|word| *word != "--").filter_map(|w| w.strip_prefix("--"))
            {
                let known = at.get_arguments().any(|arg| arg.get_long() == Some(flag));
                assert!(known, "{}: {command} has no --{flag}", finding.code);
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn a_finding_fits_the_terminal_in_both_languages() {
    for columns in [60, 80, 100] {
        for finding in all() {
            for chinese in [false, true] {
                let text = shown(finding, &all().iter().take(3).collect::<Vec<_>>(), chinese, columns, false);
                for line in text.lines() {
                    // A command is not cut, so that it can be pasted.
                    assert!(width(line) <= columns || line.contains('`'), "{}: {line}", finding.code);
                }
                assert!(!text.contains('\u{1b}') && text.starts_with(&finding.code));
            }
        }
    }
}

#[test]
fn the_list_has_every_code_once() {
    let text = list(all(), false, 80, false);
    for finding in all() {
        assert_eq!(text.matches(&finding.code).count(), 1, "{}", finding.code);
    }
    for (chinese, columns) in [(false, 60), (false, 80), (true, 60), (true, 80)] {
        assert!(list(all(), chinese, columns, false).lines().all(|line| width(line) <= columns));
    }
}

#[test]
fn codes_and_the_words_of_logs_lead_to_the_same_finding() {
    let first = |asked: &str| find(asked).unwrap().first().map_or("", |finding| finding.code.as_str());
    assert_eq!(first("e11"), "LLMUP-E011");
    assert_eq!(first("LLMUP-E011"), "LLMUP-E011");
    let line = "(EngineCore pid=9) ERROR 01-02 03:04:05 [x.py:1] ValueError: No available memory for the cache blocks.";
    assert_eq!(first(line), "LLMUP-E011");
    assert_eq!(first("E999"), "", "a code that is none is not taken for words");
    assert_eq!(first("--gpu-memory-utilization less free than desired"), "LLMUP-E012");
    assert!(unknown("x").hints[0].contains("`llmup explain`"));
}
