//! A table for a terminal of some width: what matters least goes first when the room does not do.

/// Where cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    head: &'static str,
    align: Align,
    /// The column with the largest number is the first to go.
    rank: u8,
}

impl Column {
    /// A column with that heading; the one with the largest `rank` is the first to go.
    pub const fn new(head: &'static str, align: Align, rank: u8) -> Column {
        Column { head, align, rank }
    }
}

const GAP: usize = 2;
/// A column that gets less than this is left out.
const LEAST: usize = 8;

/// Columns of the terminal behind standard output; 100 without one.
pub fn width() -> usize {
    let terminal = console::Term::stdout();
    let (_, columns) = terminal.size();
    if terminal.is_term() { usize::from(columns).clamp(40, 200) } else { 100 }
}

/// Heading and rows, no line longer than `width`.
pub fn render(columns: &[Column], rows: &[Vec<String>], width: usize) -> String {
    let cell = |row: &[String], at: usize| row.get(at).map_or(0, |text| text.chars().count());
    let mut kept: Vec<(usize, usize)> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| (at, rows.iter().map(|row| cell(row, at)).fold(column.head.chars().count(), usize::max)))
        .collect();
    let total = |kept: &[(usize, usize)]| kept.iter().map(|(_, w)| w + GAP).sum::<usize>().saturating_sub(GAP);
    while total(&kept) > width {
        let over = total(&kept) - width;
        // The least important column: shortened if it is words and enough stays, else left out; the last is cut.
        let Some(last) = kept.iter().enumerate().max_by_key(|(_, (at, _))| columns[*at].rank).map(|(i, _)| i) else {
            break;
        };
        let (at, wide) = kept[last];
        if kept.len() == 1 {
            kept[last].1 = width.max(1);
        } else if columns[at].align == Align::Left && wide.saturating_sub(over) >= LEAST {
            kept[last].1 = wide - over;
        } else {
            kept.remove(last);
        }
    }
    let line = |text: &dyn Fn(usize) -> String| {
        let mut out = String::new();
        for (index, (at, wide)) in kept.iter().enumerate() {
            if index > 0 {
                out.push_str(&" ".repeat(GAP));
            }
            let text = cut(&text(*at), *wide);
            match columns[*at].align {
                Align::Left => out.push_str(&format!("{text:<wide$}")),
                Align::Right => out.push_str(&format!("{text:>wide$}")),
            }
        }
        format!("{}\n", out.trim_end())
    };
    let mut out = line(&|at| columns[at].head.to_owned());
    for row in rows {
        out.push_str(&line(&|at| row.get(at).cloned().unwrap_or_default()));
    }
    out
}

/// At most `wide` characters; what is cut is shown.
fn cut(text: &str, wide: usize) -> String {
    if text.chars().count() <= wide {
        return text.to_owned();
    }
    text.chars().take(wide.saturating_sub(1)).collect::<String>().trim_end().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::new("MODEL", Align::Left, 0),
        Column::new("SIZE", Align::Right, 1),
        Column::new("CAN", Align::Left, 2),
    ];

    fn rows() -> Vec<Vec<String>> {
        [["short", "7B", "tools thinking images"], ["a-much-longer-name", "480B", ""]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec()
    }

    #[test]
    fn everything_is_shown_where_there_is_room() {
        let expected = "\
MODEL               SIZE  CAN
short                 7B  tools thinking images
a-much-longer-name  480B
";
        assert_eq!(render(&COLUMNS, &rows(), 100), expected);
    }

    #[test]
    fn what_matters_least_is_cut_and_then_left_out() {
        let at = |width| render(&COLUMNS, &rows(), width).lines().nth(1).unwrap().to_owned();
        assert_eq!(at(40), "short                 7B  tools thinkin…");
        assert_eq!(at(30), "short                 7B");
        assert_eq!(at(20), "short");
        assert_eq!(render(&COLUMNS, &rows(), 10), "MODEL\nshort\na-much-lo…\n");
    }
}
