//! Short forms of numbers, and which columns of a table a width has room for.

use ratatui::text::Span;

/// One column of a table.
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// How wide it is; that of the first column may grow.
    pub width: u16,
    /// Numbers stand at the right.
    pub right: bool,
    /// The greatest leaves first when there is too little room; 0 stays.
    pub rank: u8,
}

/// Which columns there is room for, in their order, and how wide each is. A blank stands between two. The first grows
/// to `longest` at most. Only those that are `wanted` count.
pub fn fit(columns: &[Column], width: u16, longest: u16, wanted: impl Fn(usize) -> bool) -> Vec<(usize, u16)> {
    let mut kept: Vec<usize> = (0..columns.len()).filter(|at| wanted(*at)).collect();
    let needed = |kept: &[usize]| kept.iter().map(|at| columns[*at].width + 1).sum::<u16>().saturating_sub(1);
    while needed(&kept) > width {
        let least = kept.iter().enumerate().filter(|(_, at)| columns[**at].rank > 0);
        let Some((place, _)) = least.max_by_key(|(_, at)| columns[**at].rank) else { break };
        kept.remove(place);
    }
    let spare = width.saturating_sub(needed(&kept));
    let wide = |at: usize| {
        let own = columns[at].width;
        if at == 0 { (own + spare).min(longest.max(own)) } else { own }
    };
    kept.into_iter().map(|at| (at, wide(at))).collect()
}

/// `text` in `width` cells: cut with a mark, or filled up.
pub fn cell(text: &str, width: u16, right: bool) -> String {
    let width = usize::from(width);
    let text = cut(text, width);
    let fill = " ".repeat(width.saturating_sub(Span::raw(text.as_str()).width()));
    if right { format!("{fill}{text}") } else { format!("{text}{fill}") }
}

/// `text` in at most `width` cells. What moves the cursor of a terminal is left out.
pub fn cut(text: &str, width: usize) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    if Span::raw(clean.as_str()).width() <= width {
        return clean;
    }
    let mut kept = String::new();
    for c in clean.chars() {
        kept.push(c);
        if Span::raw(kept.as_str()).width() + 1 > width {
            kept.pop();
            break;
        }
    }
    if width > 0 {
        kept.push('~');
    }
    kept
}

/// A line of a log without the sequences that colour it.
pub fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' if chars.peek() == Some(&'[') => {
                chars.next();
                // Parameters, then one letter.
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            '\t' => out.push_str("    "),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// A bar of `width` cells with `text` at its end: `[||||    43%]`.
pub fn bar(percent: Option<f64>, text: &str, width: u16) -> String {
    let inner = usize::from(width.saturating_sub(2));
    let text = cut(text, inner);
    let full = percent.map_or(0, |p| (p.clamp(0.0, 100.0) / 100.0 * inner as f64).round() as usize);
    let behind = inner.saturating_sub(Span::raw(text.as_str()).width());
    let bars = "|".repeat(full.min(behind));
    let blanks = " ".repeat(behind - full.min(behind));
    format!("[{bars}{blanks}{text}]")
}

/// `512M`, `22.1G`: binary units, at most five cells.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "K", "M", "G"] {
        if value < 999.5 {
            let short = value >= 99.95 || unit == "B" || unit == "K";
            return if short { format!("{value:.0}{unit}") } else { format!("{value:.1}{unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1}T")
}

/// `61.2/79.6G`: both in the unit of the second.
pub fn of_bytes(used: Option<u64>, total: Option<u64>) -> String {
    match (used, total) {
        (Some(used), Some(total)) if total >= 1 << 30 => {
            let gib = |n: u64| n as f64 / f64::from(1 << 30);
            let digits = usize::from(total < 1000 << 30);
            format!("{:.digits$}/{:.digits$}G", gib(used), gib(total))
        }
        (Some(used), Some(total)) => format!("{}/{}", bytes(used), bytes(total)),
        (Some(used), None) => bytes(used),
        (None, Some(total)) => format!("?/{}", bytes(total)),
        (None, None) => "?".to_owned(),
    }
}

/// Tokens: `512`, `128k` (of 1024 where it comes out even, as contexts do).
pub fn tokens(n: u64) -> String {
    match n {
        0..1000 => n.to_string(),
        n if n.is_multiple_of(1024) && n >= 1024 => scaled(n / 1024, 1024),
        n => scaled((n + 500) / 1000, 1000),
    }
}

fn scaled(thousands: u64, step: u64) -> String {
    if thousands < 10_000 { format!("{thousands}k") } else { format!("{}M", thousands / step) }
}

/// Something a second: `3.4`, `128`, `12k`.
pub fn rate(value: f64) -> String {
    match value {
        v if v < 0.05 => "0".to_owned(),
        v if v < 99.95 => format!("{v:.1}"),
        v if v < 9999.5 => format!("{v:.0}"),
        v => format!("{:.0}k", v / 1000.0),
    }
}

/// `45s`, `12m`, `3h`, `2d`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6000 => format!("{}m", seconds / 60),
        6000..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Seconds with a fraction: `0.25`, `12.3`, `140`.
pub fn seconds(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let gib = |n: f64| (n * 1024.0 * 1024.0 * 1024.0) as u64;
        let sizes = [0, 900, 10 << 20, 512 << 20, gib(22.1), gib(143.0), gib(1000.0)];
        assert_eq!(sizes.map(bytes), ["0B", "900B", "10.0M", "512M", "22.1G", "143G", "1.0T"]);
        assert_eq!(of_bytes(Some(gib(61.2)), Some(gib(79.6))), "61.2/79.6G");
        assert_eq!(of_bytes(None, Some(gib(24.0))), "?/24.0G");
        assert_eq!([512, 131_072, 200_000, 1_048_576].map(tokens), ["512", "128k", "200k", "1024k"]);
        assert_eq!([0.0, 3.44, 128.4, 12_400.0].map(rate), ["0", "3.4", "128", "12k"]);
        assert_eq!([59, 130, 7200, 200_000].map(span), ["59s", "2m", "2h", "2d"]);
        assert_eq!([0.25, 12.34, 140.0].map(seconds), ["0.25", "12.3", "140"]);
    }

    #[test]
    fn cells_have_their_width_whatever_is_in_them() {
        assert_eq!(cell("ab", 4, false), "ab  ");
        assert_eq!(cell("ab", 4, true), "  ab");
        assert_eq!(cell("abcdef", 4, false), "abc~");
        // Two cells each.
        assert_eq!(cell("模型模型", 5, false), "模型~");
        assert_eq!(cell("模型", 5, true), " 模型");
        assert_eq!(cell("a\x1b[2Jb", 6, false), "a[2Jb ");
        assert_eq!(plain("\x1b[32mINFO\x1b[0m\tup"), "INFO    up");
        assert_eq!(cut("x", 0), "");
    }

    #[test]
    fn a_bar_says_its_figure_in_it() {
        assert_eq!(bar(Some(50.0), "50%", 12), "[|||||  50%]");
        assert_eq!(bar(Some(100.0), "100%", 12), "[||||||100%]");
        assert_eq!(bar(None, "?", 6), "[   ?]");
        assert_eq!(bar(Some(250.0), "", 4), "[||]");
        assert_eq!(bar(Some(10.0), "text", 2), "[]");
    }

    #[test]
    fn the_least_important_columns_leave_first() {
        let column = |width, rank| Column { name: "", width, right: false, rank };
        let columns = [column(10, 0), column(5, 2), column(5, 1)];
        assert_eq!(fit(&columns, 22, 99, |_| true), [(0, 10), (1, 5), (2, 5)]);
        assert_eq!(fit(&columns, 30, 99, |_| true), [(0, 18), (1, 5), (2, 5)]);
        assert_eq!(fit(&columns, 30, 12, |_| true), [(0, 12), (1, 5), (2, 5)]);
        assert_eq!(fit(&columns, 21, 99, |_| true), [(0, 15), (2, 5)]);
        assert_eq!(fit(&columns, 3, 99, |_| true), [(0, 10)]);
        assert_eq!(fit(&columns, 16, 99, |at| at != 2), [(0, 10), (1, 5)]);
    }
}
