//! `llmup explain`: what a code means and what cures it; the code of an error by its words; the whole catalogue.

use super::columns::of_output as columns;
use crate::cli::ExplainArgs;
use crate::engine::{EngineId, driver};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::output::{self, Style, paint};
use crate::profile::{self, Finding, LETTERS};
use crate::words::{self, Language};
use crate::wrapped::fold;

/// Words of the frame around a finding, in one language.
struct Frame {
    meaning: &'static str,
    cause: &'static str,
    cure: &'static str,
    says: &'static str,
    sources: &'static str,
    near: &'static str,
    one: &'static str,
}

const ENGLISH: Frame = Frame {
    meaning: "What it means",
    cause: "Where it comes from",
    cure: "What to do",
    says: "Recognised by",
    sources: "Known from",
    near: "Near it",
    one: "one of them: `llmup explain CODE`",
};

const CHINESE: Frame = Frame {
    meaning: "含义",
    cause: "原因",
    cure: "解决办法",
    says: "识别依据",
    sources: "来源",
    near: "相近的条目",
    one: "查看其中一条：`llmup explain CODE`",
};

/// A part of the chain, as a heading.
fn part(letter: char, chinese: bool) -> &'static str {
    match (letter, chinese) {
        ('H', false) => "Hardware and this machine",
        ('H', true) => "硬件与本机",
        ('E', false) => "Engines",
        ('E', true) => "引擎",
        ('M', false) => "Models",
        ('M', true) => "模型",
        ('G', false) => "The gateway",
        ('G', true) => "网关",
        ('C', false) => "Clients",
        (_, true) => "客户端",
        (_, false) => "Others",
    }
}

/// Runs the subcommand.
pub fn run(args: &ExplainArgs) -> Result<u8> {
    let chinese = words::language() == Language::Chinese;
    let all = profile::findings()?;
    let asked = args.what.join(" ");
    if args.markdown {
        output::data(&markdown(all, chinese));
    } else if asked.trim().is_empty() {
        if args.json {
            output::json(&all);
        } else {
            output::data(&list(all, chinese, columns(), output::colourful()));
        }
    } else {
        let found = find(&asked)?;
        let Some((first, near)) = found.split_first() else { return Err(unknown(&asked).into()) };
        if args.json {
            output::json(&found);
        } else {
            if profile::full_code(&asked).is_none() && !recognised(first, &asked) {
                output::note("no text that llmup knows stands in that; by its words the nearest is:\n");
            }
            output::data(&shown(first, near, chinese, columns(), output::colourful()));
        }
    }
    Ok(Exit::Ok.code())
}

/// The finding of that code; or those that words are nearest to, what an engine's diagnosis knows of them first.
fn find(asked: &str) -> Result<Vec<&'static Finding>> {
    if profile::full_code(asked).is_some() {
        return Ok(profile::finding(asked)?.into_iter().collect());
    }
    let mut found = profile::nearest_findings(asked)?;
    if let Some(known) = diagnosed(asked).map(profile::finding).transpose()?.flatten() {
        found.retain(|other| other.code != known.code);
        found.insert(0, known);
    }
    Ok(found)
}

/// What an engine's diagnosis makes of a line of its log.
fn diagnosed(asked: &str) -> Option<&'static str> {
    EngineId::ALL.into_iter().find_map(|engine| driver(engine).diagnose(asked)?.code)
}

/// Whether it is more than a guess.
fn recognised(finding: &Finding, asked: &str) -> bool {
    finding.said_in(asked) || diagnosed(asked) == Some(finding.code.as_str())
}

fn unknown(asked: &str) -> Plain {
    let asked: String = asked.chars().take(60).collect();
    let message = format!("nothing is known of {asked:?}");
    let hints = vec!["every code: `llmup explain`".to_owned(), "look at this machine: `llmup doctor`".to_owned()];
    Plain { message, exit: Exit::Usage, hints }
}

/// Under a title that stands beside a code.
const BESIDE: &str = "              ";

/// Every code with its title, by parts of the chain.
fn list(all: &[Finding], chinese: bool, columns: usize, colour: bool) -> String {
    let mut text = String::new();
    for letter in LETTERS {
        text.push_str(&format!("{}\n", paint(Style::Strong, part(letter, chinese), colour)));
        for finding in all.iter().filter(|finding| finding.letter() == letter) {
            text.push_str(&fold(&finding.told(chinese).title, columns, &format!("  {}  ", finding.code), BESIDE));
            text.push('\n');
        }
        text.push('\n');
    }
    text + if chinese { CHINESE.one } else { ENGLISH.one } + "\n"
}

/// One finding for a terminal.
fn shown(finding: &Finding, near: &[&Finding], chinese: bool, columns: usize, colour: bool) -> String {
    let told = finding.told(chinese);
    let frame = if chinese { &CHINESE } else { &ENGLISH };
    let indent = " ".repeat(finding.code.len() + 2);
    let strong = |text: &str| paint(Style::Strong, text, colour);
    // Colours have no width: they come after the folding.
    let head = fold(&told.title, columns, &format!("{}  ", finding.code), &indent);
    let mut text = head.replacen(&finding.code, &strong(&finding.code), 1) + "\n";
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{}\n{}\n", strong(title), lines.join("\n")));
        }
    };
    section(frame.meaning, vec![fold(&told.meaning, columns, "  ", "  ")]);
    section(frame.cause, vec![fold(&told.cause, columns, "  ", "  ")]);
    section(frame.cure, told.cure.iter().map(|cure| fold(cure, columns, "  - ", "    ")).collect());
    section(frame.says, finding.says.iter().map(|said| fold(said, columns, "  ", "  ")).collect());
    section(frame.sources, vec![fold(&finding.sources.join("; "), columns, "  ", "  ")]);
    section(
        frame.near,
        near.iter()
            .map(|other| fold(&other.told(chinese).title, columns, &format!("  {}  ", other.code), BESIDE))
            .collect(),
    );
    text
}

/// The catalogue as a page of the documentation.
fn markdown(all: &[Finding], chinese: bool) -> String {
    let mut text = String::from(if chinese {
        "# 故障排查\n\n[English](troubleshooting.md)\n\n这里列出 llmup 能识别的每一种问题，每条都有固定不变的代码。`llmup doctor` 检查本机并给出代码；`llmup explain 代码`\
         在终端里显示同样的内容，也可以直接把报错文字交给它：`llmup explain 报错文字`。\n\n<!-- 由 profiles/findings 生成，请勿手工修改 -->\n"
    } else {
        "# Troubleshooting\n\n[中文](troubleshooting.zh-CN.md)\n\nEverything llmup recognises as being wrong, each under a code that never changes \
         its meaning. `llmup doctor` looks\nat this machine and names codes; `llmup explain CODE` says in the terminal what \
         stands here, and finds the code of an error by\nits words: `llmup explain WORDS OF THE ERROR`.\n\n<!-- Made from profiles/findings; not edited by hand. -->\n"
    });
    let frame = if chinese { &CHINESE } else { &ENGLISH };
    for letter in LETTERS {
        text.push_str(&format!("\n## {}\n", part(letter, chinese)));
        for finding in all.iter().filter(|finding| finding.letter() == letter) {
            let told = finding.told(chinese);
            text.push_str(&format!("\n### {} {}\n\n{}\n", finding.code, told.title, told.meaning));
            let colon = if chinese { "：" } else { ": " };
            text.push_str(&format!("\n{}{colon}{}\n\n", frame.cause, told.cause));
            for cure in &told.cure {
                text.push_str(&format!("- {cure}\n"));
            }
            if !finding.says.is_empty() {
                let said: Vec<String> = finding.says.iter().map(|said| format!("`{said}`")).collect();
                text.push_str(&format!("\n{}{colon}{}\n", frame.says, said.join(", ")));
            }
            text.push_str(&format!("\n{}{colon}{}\n", frame.sources, finding.sources.join("; ")));
        }
    }
    text
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
