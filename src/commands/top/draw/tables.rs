//! The three tables: devices, models, requests. Each gives at most the lines it is told.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::Paint;
use crate::commands::top::keys::Ui;
use crate::commands::top::text::{self, Column, bar, cell, cut, fit};
use crate::commands::top::view::{DeviceRow, Machine, ModelRow, RequestRow, View};

/// Devices, one a line, then the processor with main memory.
pub(super) fn devices(view: &View, width: u16, most: usize, paint: Paint) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let room = most.saturating_sub(1).max(1);
    let shown = if view.devices.len() > room { room - 1 } else { view.devices.len() };
    let label = view.devices.iter().map(|device| device.label.len()).max().unwrap_or(0).clamp(6, 8);
    for device in &view.devices[..shown] {
        lines.push(device_line(device, label, width, paint));
    }
    if shown < view.devices.len() {
        lines.push(Line::raw(cut(&together(&view.devices[shown..]), width.into())));
    }
    lines.push(device_line(&of_machine(&view.machine), label, width, paint));
    lines
}

/// What does not fit, in one line.
fn together(rest: &[DeviceRow]) -> String {
    let busy: Vec<u32> = rest.iter().filter_map(|device| device.busy.map(u32::from)).collect();
    let sum = |of: fn(&DeviceRow) -> Option<u64>| rest.iter().map(of).sum::<Option<u64>>();
    let memory = text::of_bytes(sum(|d| d.used), sum(|d| d.total));
    let mean = busy.iter().sum::<u32>().checked_div(u32::try_from(busy.len()).unwrap_or(0));
    let mean = mean.map(|mean| format!("{mean}% busy, ")).unwrap_or_default();
    format!("and {} more: {mean}memory {memory}", rest.len())
}

fn of_machine(machine: &Machine) -> DeviceRow {
    DeviceRow {
        label: "CPU".to_owned(),
        name: machine.threads.map(|threads| format!("{threads} threads, main memory")).unwrap_or_default(),
        busy: machine.busy,
        used: machine.used,
        total: machine.total,
        celsius: None,
        watts: None,
    }
}

fn device_line(device: &DeviceRow, label: usize, width: u16, paint: Paint) -> Line<'static> {
    let width = usize::from(width);
    let label = cell(&device.label, u16::try_from(label).unwrap_or(8), false);
    // The bars share what there is; the other figures come where both have enough.
    let figures = width >= 60;
    let bars = (width - label.len() - 2 - if figures { 11 } else { 0 }).min(56);
    let (busy_width, memory_width) = (bars * 2 / 5, bars - bars * 2 / 5);
    let busy = device.busy.map(f64::from);
    let share = device.used.zip(device.total).filter(|(_, total)| *total > 0);
    let share = share.map(|(used, total)| used as f64 / total as f64 * 100.0);
    let said = busy.map_or("?".to_owned(), |busy| format!("{busy:.0}%"));
    let memory = text::of_bytes(device.used, device.total);
    let bar = |percent, text: &str, width: usize| bar(percent, text, u16::try_from(width).unwrap_or(0));
    let mut spans = vec![
        Span::styled(label, paint.strong()),
        Span::raw(" "),
        Span::styled(bar(busy, &said, busy_width), paint.good()),
        Span::raw(" "),
        Span::styled(bar(share, &memory, memory_width), paint.filled(share)),
    ];
    if figures {
        let celsius = device.celsius.map(|c| format!("{c}C")).unwrap_or_default();
        let watts = device.watts.map(|w| format!("{w}W")).unwrap_or_default();
        let told = format!(" {} {}", cell(&celsius, 4, true), cell(&watts, 5, true));
        // What has neither (the processor) may use their room.
        let (told, used) = if celsius.is_empty() && watts.is_empty() { (String::new(), 0) } else { (told, 11) };
        let room = width.saturating_sub(device_bars(&spans) + used + 2);
        spans.push(Span::raw(told));
        if room >= 6 {
            spans.push(Span::styled(format!("  {}", cut(&device.name, room)), paint.faint()));
        }
    }
    Line::from(spans)
}

fn device_bars(spans: &[Span<'_>]) -> usize {
    spans.iter().map(Span::width).sum()
}

const MODELS: &[Column] = &[
    Column { name: "MODEL", width: 12, right: false, rank: 0 },
    Column { name: "STATE", width: 7, right: false, rank: 0 },
    Column { name: "REQ", width: 3, right: true, rank: 1 },
    Column { name: "IN/S", width: 5, right: true, rank: 2 },
    Column { name: "OUT/S", width: 5, right: true, rank: 0 },
    Column { name: "CACHED", width: 6, right: true, rank: 3 },
    Column { name: "GPU", width: 5, right: true, rank: 4 },
    Column { name: "MEM", width: 5, right: true, rank: 5 },
    Column { name: "IDLE", width: 4, right: true, rank: 6 },
    Column { name: "CTX", width: 5, right: true, rank: 7 },
    Column { name: "NEW", width: 3, right: true, rank: 10 },
    Column { name: "ENGINE", width: 9, right: false, rank: 8 },
    Column { name: "PORT", width: 5, right: true, rank: 9 },
];

/// Models, and what the selected one has to say besides.
pub(super) fn models(view: &View, ui: &Ui, width: u16, most: usize, paint: Paint) -> Vec<Line<'static>> {
    let longest = view.models.iter().map(|row| Span::raw(row.which.model.as_str()).width()).max().unwrap_or(0);
    // What nothing is told of has no column.
    let told = |name: &str| match name {
        "GPU" => view.models.iter().any(|row| row.device_bytes().is_some()),
        "IDLE" => view.models.iter().any(|row| row.idle.is_some()),
        _ => true,
    };
    let columns = fit(MODELS, width, u16::try_from(longest).unwrap_or(u16::MAX), |at| told(MODELS[at].name));
    let mut lines = vec![heading(MODELS, &columns, paint)];
    let Some(selected) = ui.at(view) else {
        lines.push(Line::raw(cut("nothing is running; for a trial: `llmup start demo`", width.into())));
        return lines;
    };
    // A line for the heading, one for the details.
    let room = most.saturating_sub(2).max(1);
    let from = (selected + 1).saturating_sub(room).min(view.models.len().saturating_sub(room));
    for (at, row) in view.models.iter().enumerate().skip(from).take(room) {
        let mut line = Line::default();
        for (nth, (column, wide)) in columns.iter().enumerate() {
            let cell = cell(&model_cell(row, MODELS[*column].name), *wide, MODELS[*column].right);
            let style = if MODELS[*column].name == "STATE" { of_state(&row.state, paint) } else { Style::new() };
            line.push_span(Span::raw(if nth > 0 { " " } else { "" }));
            line.push_span(Span::styled(cell, style));
        }
        let is_selected = at == selected && !ui.still;
        lines.push(if is_selected { line.patch_style(Modifier::REVERSED) } else { line });
    }
    let row = &view.models[selected];
    if most > 2 && !(ui.still && view.models.len() > 1) {
        lines.push(Line::styled(cut(&details(row), width.into()), paint.faint()));
    }
    lines
}

fn of_state(state: &str, paint: Paint) -> Style {
    match state {
        "ready" => paint.good(),
        "loading" | "waiting" => paint.warn(),
        "gone" | "silent" => paint.bad(),
        _ => Style::new(),
    }
}

fn model_cell(row: &ModelRow, column: &str) -> String {
    let told = match column {
        "MODEL" => Some(row.which.model.clone()),
        "STATE" => Some(row.state.clone()),
        "REQ" => row.in_flight.map(|n| n.to_string()),
        "IN/S" => row.rates.map(|rates| text::rate(rates.prompt)),
        "OUT/S" => row.rates.map(|rates| text::rate(rates.output)),
        "CACHED" => row.cached.map(|share| format!("{:.0}%", share * 100.0)),
        "GPU" => row.device_bytes().map(text::bytes),
        "MEM" => row.memory.map(text::bytes),
        "IDLE" => row.idle.map(text::span),
        "CTX" => row.context.map(text::tokens),
        "NEW" => row.restarts.map(|n| n.to_string()),
        "ENGINE" => Some(row.engine.clone()),
        _ => row.port.map(|port| port.to_string()),
    };
    told.unwrap_or_else(|| "-".to_owned())
}

/// What has no column, or none at this width.
fn details(row: &ModelRow) -> String {
    let mut parts: Vec<String> = row.because.iter().map(|why| format!("{}: {why}", row.state)).collect();
    if !row.engine.is_empty() {
        let pid = row.pid.map(|pid| format!(" pid {pid}")).unwrap_or_default();
        let port = row.port.map(|port| format!(" port {port}")).unwrap_or_default();
        parts.push(format!("{}{pid}{port}", row.engine));
    }
    if row.on_devices.len() > 1 {
        let each: Vec<String> =
            row.on_devices.iter().map(|(label, held)| format!("{label} {}", text::bytes(*held))).collect();
        parts.push(each.join(" "));
    }
    let failed = row.errors.filter(|errors| *errors > 0).map(|errors| format!(", {errors} failed")).unwrap_or_default();
    parts.extend(row.requests.map(|requests| format!("{requests} requests{failed}")));
    match row.restarts {
        Some(0) | None => {}
        Some(1) => parts.push("restarted once".to_owned()),
        Some(times) => parts.push(format!("restarted {times} times")),
    }
    parts.extend(row.last_crash.as_ref().map(|why| format!("last crash: {why}")));
    format!("  {}", parts.join(", "))
}

const REQUESTS: &[Column] = &[
    Column { name: "MODEL", width: 12, right: false, rank: 0 },
    Column { name: "AGO", width: 4, right: true, rank: 0 },
    Column { name: "VIA", width: 9, right: false, rank: 5 },
    Column { name: "ST", width: 4, right: true, rank: 0 },
    Column { name: "PROMPT", width: 6, right: true, rank: 2 },
    Column { name: "CACHED", width: 6, right: true, rank: 4 },
    Column { name: "OUT", width: 5, right: true, rank: 0 },
    Column { name: "FIRST", width: 5, right: true, rank: 3 },
    Column { name: "TOTAL", width: 5, right: true, rank: 1 },
    Column { name: "TOK/S", width: 5, right: true, rank: 6 },
];

/// The last requests, as many as there are lines for.
pub(super) fn requests(view: &View, width: u16, most: usize, paint: Paint) -> Vec<Line<'static>> {
    let rows: Vec<&RequestRow> = view.requests.iter().take(most.saturating_sub(1)).collect();
    let longest = rows.iter().map(|row| Span::raw(row.model.as_str()).width()).max().unwrap_or(0);
    let columns = fit(REQUESTS, width, u16::try_from(longest).unwrap_or(u16::MAX), |_| true);
    let mut lines = vec![heading(REQUESTS, &columns, paint)];
    lines.extend(rows.into_iter().map(|row| request_line(row, &columns, width, paint)));
    lines
}

fn request_line(row: &RequestRow, columns: &[(usize, u16)], width: u16, paint: Paint) -> Line<'static> {
    let mut line = String::new();
    for (nth, (column, wide)) in columns.iter().enumerate() {
        line.push_str(if nth > 0 { " " } else { "" });
        let name = REQUESTS[*column].name;
        if let ("PROMPT" | "OUT", Some(error)) = (name, &row.error) {
            // Nothing was counted: the reason has the room of the figures.
            line.push_str(&cut(error, usize::from(width).saturating_sub(Span::raw(line.as_str()).width())));
            return Line::styled(line, paint.bad());
        }
        line.push_str(&cell(&request_cell(row, name), *wide, REQUESTS[*column].right));
    }
    let style = match row.status.as_str() {
        "left" => paint.warn(),
        status if status.starts_with('2') => Style::new(),
        _ => paint.bad(),
    };
    Line::styled(line, style)
}

fn request_cell(row: &RequestRow, column: &str) -> String {
    let told = match column {
        "MODEL" => Some(row.model.clone()),
        "AGO" => Some(text::span(row.age)),
        "VIA" => Some(row.dialect.clone()),
        "ST" => Some(row.status.clone()),
        "PROMPT" => row.prompt.map(text::tokens),
        "CACHED" => {
            let share = row.prompt.filter(|n| *n > 0).zip(row.cached);
            share.map(|(prompt, cached)| format!("{}%", cached.min(prompt) * 100 / prompt))
        }
        "OUT" => row.output.map(text::tokens),
        "FIRST" => row.first.map(text::seconds),
        "TOTAL" => row.total.map(text::seconds),
        _ => row.speed().map(text::rate),
    };
    told.unwrap_or_else(|| "-".to_owned())
}

fn heading(all: &[Column], columns: &[(usize, u16)], paint: Paint) -> Line<'static> {
    let cells: Vec<String> = columns.iter().map(|(at, wide)| cell(all[*at].name, *wide, all[*at].right)).collect();
    Line::styled(cells.join(" "), paint.strong())
}
