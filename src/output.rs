//! The only place that prints. Data goes to standard output, everything a human watches goes to standard error.
//! A closed pipe ends the program quietly instead of panicking.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use crate::exit::Exit;
use crate::words::{self, Language};
use crate::wrapped;

/// See [`fill`].
static COLUMNS: OnceLock<usize> = OnceLock::new();

/// Writes data to standard output as it is.
pub fn data(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        if error.kind() != io::ErrorKind::BrokenPipe {
            note(&format!("{} cannot write the output: {error}", on_stderr(Style::Bad, "error:")));
            std::process::exit(Exit::Config.code().into());
        }
        // The reader went away (`llmup … | head`); nobody is left to tell.
        std::process::exit(0);
    }
}

/// Writes one line of data to standard output.
pub fn line(text: &str) {
    data(&format!("{text}\n"));
}

/// Writes a value as indented JSON to standard output.
pub fn json(value: &impl serde::Serialize) {
    // Our own types always serialise; an error here could only be said as text anyway.
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(&text),
        Err(error) => note(&error.to_string()),
    }
}

/// Writes one line for the human to standard error, in the human's language.
pub fn note(text: &str) {
    let text = words::say(text);
    // A sentence, not something that is laid out already.
    let plain = !text.starts_with(char::is_whitespace) && !text.contains(['\n', '\u{1b}', '│']) && !text.contains("  ");
    let text = match COLUMNS.get() {
        Some(columns) if plain && wrapped::width(&text) > *columns => wrapped::fold(&text, *columns, "", "").into(),
        _ => text,
    };
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes to standard error as it is, without ending the line: a question, and what is typed after it.
pub fn prompt(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A line for the human who should know of something that is not as it could be.
pub fn warned(what: impl std::fmt::Display) -> String {
    below(Style::Warn, "note  ", " ", &what.to_string())
}

/// Writes one such line to standard error.
pub fn warning(what: impl std::fmt::Display) {
    note(&warned(what));
}

/// Writes `head text` to standard error, the lines that follow the first one indented below the text.
pub fn told(head: &str, text: &str) {
    note(&below(Style::Strong, head, " ", text));
}

/// The same as text, in the human's language. A terminal breaks lines anywhere; these are broken between words.
fn below(style: Style, head: &str, gap: &str, text: &str) -> String {
    let (label, text) = (words::say(head), words::say(text));
    let indent = wrapped::width(&label) + wrapped::width(gap);
    let text = match COLUMNS.get().filter(|_| !text.contains('\n')) {
        Some(columns) => wrapped::fold(&text, columns.saturating_sub(indent), "", "")
            .replace('\n', &format!("\n{}", " ".repeat(indent))),
        None => text.into_owned(),
    };
    format!("{}{gap}{text}", on_stderr(style, head))
}

/// How many columns the terminal behind standard error has. Unless this is said, lines are written as they are.
pub fn fill(columns: usize) {
    let _ = COLUMNS.set(columns);
}

/// Whether a human watches standard error.
pub fn watched() -> bool {
    io::stderr().is_terminal()
}

/// Whether questions can be asked: both ends are a terminal.
pub fn interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// How text on standard error may look.
#[derive(Debug, Clone, Copy)]
pub enum Style {
    /// Bold.
    Strong,
    /// Grey.
    Faint,
    /// Green.
    Good,
    /// Yellow.
    Warn,
    /// Red.
    Bad,
}

/// Whether standard output is a terminal that may be coloured.
pub fn colourful() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// `text` in that style, when `terminal` is true and `NO_COLOR` is not set; else as it is.
pub fn paint(style: Style, text: &str, terminal: bool) -> String {
    if !terminal || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) {
        return text.to_owned();
    }
    let code = match style {
        Style::Strong => "1",
        Style::Faint => "2",
        Style::Good => "32",
        Style::Warn => "33",
        Style::Bad => "31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Like [`paint`], for standard error, in the human's language: colour would hide the word from [`note`].
pub fn on_stderr(style: Style, text: &str) -> String {
    paint(style, &words::say(text), watched())
}

/// Shows a failure: `error:`, `cause:`, `hint:`.
pub fn failure(error: &crate::error::Error) {
    for (label, text) in error.lines() {
        let style = if label == "error" { Style::Bad } else { Style::Strong };
        note(&labelled(style, label, &text));
    }
}

/// Says what to do next.
pub fn hint(text: &str) {
    note(&labelled(Style::Strong, "hint", text));
}

/// `error: text`, in the human's language.
fn labelled(style: Style, label: &str, text: &str) -> String {
    let (colon, gap) = match words::language() {
        Language::English => (":", " "),
        // A wide colon has its gap within.
        Language::Chinese => ("：", ""),
    };
    below(style, &format!("{}{colon}", words::say(label)), gap, text)
}

/// Bytes for humans: `1.5 GiB`, `12 MiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}
