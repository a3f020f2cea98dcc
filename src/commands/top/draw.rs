//! Draws a [`View`]. Only ASCII and modifiers carry meaning; colours come on top where they may.

mod tables;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::keys::{Deed, Pane, Ui};
use super::text::{cut, plain};
use super::view::View;

/// Less than this shows nothing of use.
const LEAST: (u16, u16) = (24, 6);

const KEYS: &[(&str, &str)] = &[
    ("up, down", "select a model (also k, j)"),
    ("s", "stop the selected model; asks first"),
    ("r", "restart its engine; asks first"),
    ("l", "the end of its engine's log"),
    ("?", "this"),
    ("q", "quit"),
];

const WORDS: &[&str] = &[
    "IN/S and OUT/S are tokens a second over the last",
    "10 seconds, counted when an answer ends; CACHED",
    "is the share of all prompts that was not computed",
    "again. FIRST is until the first byte.",
];

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, view: &View, ui: &Ui) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        put(frame, area, 0, Line::raw(cut("make it larger", area.width.into())));
        return;
    }
    match &ui.pane {
        Pane::Help => help(frame, area),
        Pane::Log { of, lines } => log(frame, area, &of.model, lines),
        Pane::Overview | Pane::Asking(..) => overview(frame, area, view, ui),
    }
}

/// How many lines a frame has in which nothing is left out.
pub fn height(view: &View) -> u16 {
    let rows = 4 + view.devices.len() + 1 + 2 + view.models.len().max(1) + 2 + view.requests.len();
    u16::try_from(rows).unwrap_or(u16::MAX).max(LEAST.1)
}

fn overview(frame: &mut Frame<'_>, area: Rect, view: &View, ui: &Ui) {
    let paint = Paint(ui.colour);
    let (width, height) = (area.width, usize::from(area.height));
    let mut lines = vec![title(view, width, paint)];
    lines.extend(tables::devices(view, width, (height / 3).max(2), paint));
    lines.push(Line::default());
    // The requests get what the models leave, but a few lines in any case.
    let left = height.saturating_sub(lines.len() + 1);
    let few = (left / 3).clamp(2, 8).min(view.requests.len() + 1);
    lines.extend(tables::models(view, ui, width, left.saturating_sub(few + 1).max(2), paint));
    let left = height.saturating_sub(lines.len() + 1);
    if left > 2 && !view.requests.is_empty() {
        lines.push(Line::default());
        lines.extend(tables::requests(view, width, left - 1, paint));
    }
    for (row, line) in (0..area.height.saturating_sub(1)).zip(lines) {
        put(frame, area, row, line);
    }
    put(frame, area, area.height - 1, foot(view, ui, width, paint));
}

fn title(view: &View, width: u16, paint: Paint) -> Line<'static> {
    let ready = view.models.iter().filter(|row| row.state == "ready").count();
    let in_flight: u64 = view.models.iter().filter_map(|row| row.in_flight).sum();
    let models = match view.models.len() {
        0 => "nothing is running".to_owned(),
        1 => format!("1 model, {ready} ready, {in_flight} in flight"),
        models => format!("{models} models, {ready} ready, {in_flight} in flight"),
    };
    let name = "llmup top";
    let models = cut(&models, usize::from(width).saturating_sub(name.len() + 2));
    Line::from(vec![Span::styled(name, paint.strong()), Span::raw("  "), Span::raw(models)])
}

fn foot(view: &View, ui: &Ui, width: u16, paint: Paint) -> Line<'static> {
    let width = usize::from(width);
    if let Pane::Asking(deed, which) = &ui.pane {
        let model = &which.model;
        let question = match deed {
            Deed::Restart => format!("restart the engine of {model}? (y/n)"),
            Deed::Stop => format!("stop {model} and everything it started? (y/n)"),
        };
        return Line::styled(cut(&question, width), paint.warn().add_modifier(Modifier::REVERSED));
    }
    if let Some(said) = ui.said.as_ref().or(view.problem.as_ref()) {
        return Line::styled(cut(said, width), paint.warn());
    }
    if ui.still {
        return Line::default();
    }
    let keys = match width {
        0..50 => "q quit  s stop  r restart  ? help",
        _ => "q quit   s stop   r restart   l log   ? help",
    };
    Line::styled(cut(keys, width), paint.faint())
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let mut lines = vec![Line::styled("llmup top: keys", Modifier::BOLD), Line::default()];
    lines.extend(KEYS.iter().map(|(key, what)| Line::raw(format!("  {key:<9} {what}"))));
    lines.push(Line::default());
    lines.extend(WORDS.iter().map(|line| Line::raw(format!("  {line}"))));
    for (row, line) in (0..area.height).zip(lines) {
        put(frame, area, row, line);
    }
}

fn log(frame: &mut Frame<'_>, area: Rect, model: &str, lines: &[String]) {
    let width = usize::from(area.width);
    let head = cut(&format!("the log of {model}; any key goes back"), width);
    put(frame, area, 0, Line::styled(head, Modifier::BOLD));
    let room = usize::from(area.height - 1);
    let from = lines.len().saturating_sub(room);
    if lines.is_empty() {
        put(frame, area, 1, Line::raw("nothing is in it yet"));
    }
    for (row, line) in (1..).zip(&lines[from..]) {
        put(frame, area, row, Line::raw(cut(&plain(line), width)));
    }
}

fn put(frame: &mut Frame<'_>, area: Rect, row: u16, line: Line<'_>) {
    if row < area.height {
        frame.render_widget(Paragraph::new(line), Rect { y: area.y + row, height: 1, ..area });
    }
}

/// Styles; without colours only what every terminal can show.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn coloured(self, colour: Color) -> Style {
        if self.0 { Style::new().fg(colour) } else { Style::new() }
    }

    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    fn warn(self) -> Style {
        self.coloured(Color::Yellow)
    }

    fn bad(self) -> Style {
        self.coloured(Color::Red)
    }

    /// How full something is, percent.
    fn filled(self, percent: Option<f64>) -> Style {
        match percent {
            Some(p) if p >= 95.0 => self.bad(),
            Some(p) if p >= 80.0 => self.warn(),
            Some(_) => self.good(),
            None => Style::new(),
        }
    }
}
