//! How wide the terminal is.

use std::io::IsTerminal;

use console::Term;

use crate::output;
use crate::wrapped::{LEAST, MOST};

/// Where nobody says.
const USUAL: usize = 80;

/// Columns of standard output: the terminal's, or else those of `COLUMNS`, or 80.
pub fn of_output() -> usize {
    let terminal = std::io::stdout().is_terminal().then(|| ratatui::crossterm::terminal::size().ok()).flatten();
    let named = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.map(|(columns, _)| usize::from(columns)).or_else(named).unwrap_or(USUAL).clamp(LEAST, MOST)
}

/// Columns of the terminal behind standard error; `None` without one.
pub fn of_errors() -> Option<usize> {
    let (_, columns) = output::watched().then(|| Term::stderr().size())?;
    Some(usize::from(columns).clamp(LEAST, MOST))
}
