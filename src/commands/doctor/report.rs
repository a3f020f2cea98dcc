//! The report as a human reads it.

use std::io::IsTerminal;

use super::fix::Fix;
use super::{Finding, Section, Status, count};
use crate::commands::columns;
use crate::output::{Style, paint, watched};
use crate::words;
use crate::wrapped::{self, fold};

/// How the report may look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Whether colour is wanted.
    pub(super) terminal: bool,
    /// Whether signs beyond ASCII can be shown.
    pub(super) unicode: bool,
    /// Columns there are.
    pub(super) columns: usize,
}

impl Look {
    pub(super) fn of_stdout() -> Look {
        Look { terminal: std::io::stdout().is_terminal(), unicode: Self::unicode(), columns: columns::of_output() }
    }

    /// For what is said while something is put in order.
    pub(super) fn of_stderr() -> Look {
        let columns = columns::of_errors().unwrap_or_else(columns::of_output);
        Look { terminal: watched(), unicode: Self::unicode(), columns }
    }

    fn unicode() -> bool {
        // Elsewhere than on Windows the locale says what the terminal shows; Windows Terminal names itself.
        if cfg!(windows) {
            std::env::var_os("WT_SESSION").is_some()
        } else {
            let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
                .iter()
                .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
                .unwrap_or_default()
                .to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
    }

    /// What stands before a cure.
    fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }
}

fn title(section: Section) -> &'static str {
    match section {
        Section::Hardware => "Hardware",
        Section::Engines => "Engines",
        Section::Models => "Models",
        Section::Ports => "Ports and proxies",
        Section::Running => "Running",
        Section::Clients => "Clients",
        Section::Environment => "Settings and environment",
        Section::Gateway => "Through the gateway",
    }
}

/// The findings by section, and a last line that counts.
pub(super) fn render(findings: &[Finding], look: Look) -> String {
    let mut text = String::new();
    let mut section = None;
    let findings = &gathered(findings);
    for finding in findings {
        if section != Some(finding.section) {
            if section.is_some() {
                text.push('\n');
            }
            section = Some(finding.section);
            text.push_str(&paint(Style::Strong, &words::say(title(finding.section)), look.terminal));
            text.push('\n');
        }
        text.push_str(&one(finding, look));
    }
    text.push_str(&format!("\n{}\n", words::say(&counted(findings))));
    // The worst first: that is what one asks about.
    let first =
        |status| findings.iter().filter(move |finding| finding.status == status).find_map(|finding| finding.code);
    let code = first(Status::Problem).or_else(|| first(Status::Warning));
    if let Some(code) = code {
        let more = format!("what a code means: `llmup explain {code}`");
        text.push_str(&format!("{}\n", words::say(&more)));
    }
    text
}

/// How many problems and warnings there are, in words.
pub(super) fn counted(findings: &[Finding]) -> String {
    let problems = match count(findings, Status::Problem) {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    let warnings = match count(findings, Status::Warning) {
        1 => "1 warning".to_owned(),
        n => format!("{n} warnings"),
    };
    format!("{problems}, {warnings}")
}

/// Clients that are not here in one line: there are many, and nobody needs all.
fn gathered(findings: &[Finding]) -> Vec<Finding> {
    const ABSENT: &str = "LLMUP-C001";
    const ENOUGH: usize = 3;
    let absent = |finding: &&Finding| finding.code == Some(ABSENT);
    let names: Vec<&str> =
        findings.iter().filter(absent).filter_map(|f| f.text.strip_suffix(" is not installed")).collect();
    if names.len() <= ENOUGH {
        return findings.to_vec();
    }
    let text = format!("not installed: {}", names.join(", "));
    let cure = Some("how each is installed: `llmup doctor --json`; nobody needs all of them".to_owned());
    let mut gathered: Vec<Finding> = findings.to_vec();
    let first = findings.iter().position(|finding| absent(&finding)).unwrap_or(0);
    let at = findings.iter().rposition(|finding| finding.section == Section::Clients).map_or(first, |last| last + 1);
    gathered.insert(at, Finding { text, cure, evidence: Vec::new(), ..findings[first].clone() });
    let mut place = 0;
    gathered.retain(|finding| {
        place += 1;
        place == at + 1 || finding.code != Some(ABSENT)
    });
    gathered
}

/// One finding: what, what from where something is wrong, and the cure. Colours come after the folding: they have no
/// width.
fn one(finding: &Finding, look: Look) -> String {
    let wrong = finding.status != Status::Ok;
    let (style, sign, plain) = match finding.status {
        Status::Ok => (Style::Good, "✓", "ok"),
        Status::Warning => (Style::Warn, "!", "! "),
        Status::Problem => (Style::Bad, "✗", "x "),
    };
    let sign = if look.unicode { sign } else { plain };
    let indent = " ".repeat(3 + wrapped::width(sign));
    let code = finding.code.filter(|_| wrong).map(|code| format!("({code})")).unwrap_or_default();
    let line = format!("{} {code}", words::say(&finding.text));
    let mut text = fold(line.trim_end(), look.columns, &format!("  {sign} "), &indent);
    if !code.is_empty()
        && let Some(at) = text.rfind(&code)
    {
        text.replace_range(at.., &paint(Style::Faint, &code, look.terminal));
    }
    let mut text = text.replacen(sign, &paint(style, sign, look.terminal), 1) + "\n";
    if wrong {
        for evidence in &finding.evidence {
            let line = fold(&words::say(evidence), look.columns, "      ", "      ");
            text.push_str(&format!("{}\n", paint(Style::Faint, &line, look.terminal)));
        }
    }
    if let Some(cure) = &finding.cure {
        let arrow = look.arrow();
        let indent = " ".repeat(7 + wrapped::width(arrow));
        let line = fold(&words::say(cure), look.columns, &format!("      {arrow} "), &indent);
        text.push_str(&format!("{}\n", line.replacen(arrow, &paint(Style::Faint, arrow, look.terminal), 1)));
    }
    text
}

/// What was put in order, or how it is: two lines or more, without a final newline.
pub(super) fn fixed(fix: &Fix, look: Look) -> String {
    let (style, word) = if fix.done { (Style::Good, "fixed") } else { (Style::Strong, "to do") };
    let word = words::say(word).into_owned();
    let indent = " ".repeat(wrapped::width(&word) + 2);
    let what = fold(&words::say(&fix.what), look.columns, &format!("{word}  "), &indent);
    let arrow = look.arrow();
    let deeper = " ".repeat(indent.len() + wrapped::width(arrow) + 1);
    let said = fold(&words::say(&fix.said), look.columns, &format!("{indent}{arrow} "), &deeper);
    let what = what.replacen(&word, &paint(style, &word, look.terminal), 1);
    format!("{what}\n{}", said.replacen(arrow, &paint(Style::Faint, arrow, look.terminal), 1))
}
