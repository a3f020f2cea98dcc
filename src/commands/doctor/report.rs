//! The report as a human reads it.

use std::io::IsTerminal;

use super::{Finding, Section, Status};
use crate::output::{Style, paint};
use crate::words;

/// How the report may look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Whether colour is wanted.
    pub(super) terminal: bool,
    /// Whether signs beyond ASCII can be shown.
    pub(super) unicode: bool,
}

impl Look {
    pub(super) fn of_stdout() -> Look {
        // Elsewhere than on Windows the locale says what the terminal shows; Windows Terminal names itself.
        let unicode = if cfg!(windows) {
            std::env::var_os("WT_SESSION").is_some()
        } else {
            let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
                .iter()
                .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
                .unwrap_or_default()
                .to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        };
        Look { terminal: std::io::stdout().is_terminal(), unicode }
    }
}

fn title(section: Section) -> &'static str {
    match section {
        Section::Hardware => "Hardware",
        Section::Engines => "Engines",
        Section::Ports => "Ports",
        Section::Environment => "Environment",
        Section::Clients => "Clients",
        Section::Running => "Running",
    }
}

/// The findings by section, and a last line that counts.
pub(super) fn render(findings: &[Finding], look: Look) -> String {
    let mut text = String::new();
    let mut section = None;
    for finding in findings {
        if section != Some(finding.section) {
            if section.is_some() {
                text.push('\n');
            }
            section = Some(finding.section);
            text.push_str(&paint(Style::Strong, &words::say(title(finding.section)), look.terminal));
            text.push('\n');
        }
        let (style, sign, plain) = match finding.status {
            Status::Ok => (Style::Good, "✓", "ok"),
            Status::Warning => (Style::Warn, "!", "! "),
            Status::Problem => (Style::Bad, "✗", "x "),
        };
        let sign = paint(style, if look.unicode { sign } else { plain }, look.terminal);
        text.push_str(&format!("  {sign} {}\n", words::say(&finding.text)));
        if let Some(cure) = &finding.cure {
            let arrow = if look.unicode { "→" } else { "->" };
            text.push_str(&format!("      {} {}\n", paint(Style::Faint, arrow, look.terminal), words::say(cure)));
        }
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let problems = match count(Status::Problem) {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    let warnings = match count(Status::Warning) {
        1 => "1 warning".to_owned(),
        n => format!("{n} warnings"),
    };
    let counted = format!("{problems}, {warnings}");
    text.push_str(&format!("\n{}\n", words::say(&counted)));
    text
}
