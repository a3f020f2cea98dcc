//! Text in lines that fit the terminal: broken between words, in Chinese between characters, never inside a command in
//! backquotes, which somebody wants to paste.

/// Lines are not made shorter than this.
pub const LEAST: usize = 40;
/// A reader's eye follows no longer ones.
pub const MOST: usize = 100;

/// Columns this text takes.
pub fn width(text: &str) -> usize {
    crate::words::width(text)
}

/// `text` in lines of at most `columns`: the first begins with `first`, the others with `next`. Without a final newline.
pub fn fold(text: &str, columns: usize, first: &str, next: &str) -> String {
    let mut out = first.to_owned();
    let mut used = width(first);
    let mut begun = false;
    for (unit, spaced) in units(text) {
        let wide = width(&unit) + usize::from(spaced);
        if begun && used + wide > columns {
            out.push('\n');
            out.push_str(next);
            used = width(next);
        } else if begun && spaced {
            out.push(' ');
            used += 1;
        }
        used += width(&unit);
        out.push_str(&unit);
        begun = true;
    }
    out
}

/// What stays together, and whether a blank stands before it.
fn units(text: &str) -> Vec<(String, bool)> {
    let mut all: Vec<(String, bool)> = Vec::new();
    let (mut now, mut spaced, mut quoted) = (String::new(), false, false);
    for c in text.chars() {
        let begins = c == '`' && !quoted;
        if c == '`' {
            quoted = !quoted;
        } else if !quoted && c.is_whitespace() {
            if !now.is_empty() {
                all.push((std::mem::take(&mut now), spaced));
            }
            spaced = true;
            continue;
        }
        let before = now.chars().next_back();
        let between = is_wide(c) || before.is_some_and(is_wide);
        let may = begins || !quoted && !closes(c);
        if may && between && before.is_some() && !before.is_some_and(opens) {
            all.push((std::mem::take(&mut now), spaced));
            spaced = false;
        }
        now.push(c);
    }
    if !now.is_empty() {
        all.push((now, spaced));
    }
    all
}

/// Never begins a line.
fn closes(c: char) -> bool {
    "，。；：、！？）》」』”’…,.;:!?)`".contains(c)
}

/// Never ends one.
fn opens(c: char) -> bool {
    "（《「『“‘(`".contains(c)
}

/// Takes two columns, as Chinese, Japanese and Korean do: lines may break beside it.
fn is_wide(c: char) -> bool {
    width(c.encode_utf8(&mut [0; 4])) == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_never_in_a_command() {
        let text = "see what runs: `llmup status --json` and then stop it";
        let folded = fold(text, 24, "- ", "  ");
        assert_eq!(folded, "- see what runs:\n  `llmup status --json`\n  and then stop it");
        assert_eq!(fold("averyveryverylongword x", 10, "", ""), "averyveryverylongword\nx", "too long stays whole");
        assert_eq!(fold("", 10, "- ", ""), "- ");
        assert_eq!(fold("  a   b\nc ", 80, "", ""), "a b c");
    }

    #[test]
    fn chinese_breaks_between_characters_but_not_before_a_full_stop() {
        assert_eq!(fold("模型很慢，请稍候。", 8, "", ""), "模型很\n慢，请稍\n候。");
        assert!(fold("查看状态：`llmup status`。", 12, "", "").ends_with("`llmup status`。"));
        let command = fold("加进 NO_PROXY；`llmup env`，或者", 12, "", "");
        assert_eq!(command, "加进\nNO_PROXY；\n`llmup env`，\n或者", "a command begins a line, its comma does not");
        assert_eq!(fold("安装它：`npm install`", 14, "", ""), "安装它：\n`npm install`");
        assert_eq!(width("模型 a"), 6);
    }

    #[test]
    fn no_line_is_longer_than_asked_where_words_are_short() {
        let text = "words of many lengths 和一些中文字 and `a command` ".repeat(20);
        for columns in [20, 40, 60, 80, 100] {
            for line in fold(&text, columns, "   ", "   ").lines() {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }
}
