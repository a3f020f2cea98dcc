//! A plan in words, for a terminal.

use super::error::{TOLD, alike, places};
use super::{LaunchPlan, Verdict};
use crate::output::bytes;
use crate::words;

/// Room for what was chosen, before why.
const WIDEST: usize = 28;

/// The plan in the reader's language: reasons, the bill with bars, warnings. `command` is the exact command line.
pub fn render(plan: &LaunchPlan, model: &str, command: &str, width: usize) -> String {
    let mut out = words::say(&format!("plan for {model}\n")).into_owned();
    let reasons: Vec<_> =
        plan.reasons.iter().map(|reason| (words::say(&reason.choice), words::say(&reason.because))).collect();
    // A longer one has a line of its own, so that it does not narrow all the others.
    let widest = reasons.iter().map(|(choice, _)| words::width(choice)).filter(|n| *n <= WIDEST).max().unwrap_or(0);
    for (choice, because) in &reasons {
        let mut head = format!("  {choice}{}  ", " ".repeat(widest.saturating_sub(words::width(choice))));
        if words::width(choice) > widest {
            out.push_str(&wrap("  ", choice, width));
            head = " ".repeat(widest + 4);
        }
        out.push_str(&wrap(&head, because, width));
    }
    if !plan.per_gpu.is_empty() {
        out.push_str(&words::say("memory"));
        out.push('\n');
    }
    for alike in alike(&plan.per_gpu) {
        let Some(bill) = alike.first() else { continue };
        let bar = bar(bill.weights_bytes, bill.kv_bytes_needed, bill.overhead_bytes, bill.total_bytes, 24);
        out.push_str(&words::say(&format!(
            "  {}\n    {bar} {} of {}\n    weights {} · context {} · engine {}\n",
            places(alike),
            bytes(bill.needed_bytes()),
            bytes(bill.total_bytes),
            bytes(bill.weights_bytes),
            bytes(bill.kv_bytes_needed),
            bytes(bill.overhead_bytes)
        )));
    }
    if let Some(limit) = plan.prompt_cache_bytes.filter(|limit| *limit > 0) {
        let told = format!("  prompts of other conversations\n    up to {} of main memory\n", bytes(limit));
        out.push_str(&words::say(&told));
    }
    for warning in &plan.warnings {
        out.push_str(&wrap(&words::say("note: "), &words::say(warning), width));
    }
    if plan.verdict == Verdict::Tight {
        out.push_str(&words::say("verdict: tight\n"));
    }
    // The command itself is nobody's sentence.
    out.push_str(&format!("{}\n  {command}\n", words::say("command")));
    if !plan.alternatives.is_empty() {
        out.push_str(&words::say("also possible\n"));
    }
    for alternative in plan.alternatives.iter().take(TOLD) {
        out.push_str(&wrap("  ", &words::say(&alternative.what), width));
        if let Some(command) = &alternative.command {
            out.push_str(&format!("    {command}\n"));
        }
    }
    out
}

fn bar(weights: u64, kv: u64, overhead: u64, total: u64, cells: u64) -> String {
    let part = |n: u64| (n.saturating_mul(cells)).checked_div(total).unwrap_or(0).min(cells) as usize;
    // A part that is there is never drawn as nothing, unless it is less than a thousandth.
    let part = |n: u64| if n > total / 1000 { part(n).max(1) } else { part(n) };
    let (w, k, o) = (part(weights), part(kv), part(overhead));
    let used = (w + k + o).min(cells as usize);
    let marks: String = "█".repeat(w) + &"▓".repeat(k) + &"▒".repeat(o) + &"░".repeat(cells as usize - used);
    marks.chars().take(cells as usize).collect()
}

/// `head` + `text`, wrapped; following lines are indented under the text.
fn wrap(head: &str, text: &str, width: usize) -> String {
    let indent = words::width(head);
    let room = width.saturating_sub(indent).max(20);
    let mut out = head.to_owned();
    let mut used = 0;
    for word in text.split(' ') {
        let mut gap = usize::from(used > 0);
        for piece in pieces(word) {
            let len = words::width(piece);
            if used > 0 && used + gap + len > room {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                (used, gap) = (0, 0);
            }
            out.push_str(&" ".repeat(gap));
            out.push_str(piece);
            used += gap + len;
            gap = 0;
        }
    }
    out.push('\n');
    out
}

/// Where a word may be cut: beside Chinese characters, but not before a mark that ends something.
fn pieces(word: &str) -> Vec<&str> {
    let wide = |c: char| !c.is_ascii() && words::width(c.encode_utf8(&mut [0; 4])) == 2;
    let mut pieces = Vec::new();
    let (mut start, mut before) = (0, None);
    for (at, c) in word.char_indices() {
        let opens = |c: char| matches!(c, '（' | '“' | '(' | '`');
        let closes = |c: char| matches!(c, '，' | '。' | '；' | '：' | '、' | '）' | '”' | '？' | ')' | ',' | '`');
        if before.is_some_and(|before| (wide(before) || wide(c)) && !opens(before) && !closes(c)) {
            pieces.extend(word.get(start..at));
            start = at;
        }
        before = Some(c);
    }
    pieces.extend(word.get(start..));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_is_wrapped_between_characters_and_english_between_words() {
        assert_eq!(wrap("  a  ", "one two three four five six", 25), "  a  one two three four\n     five six\n");
        assert_eq!(
            wrap("  上下文  ", "足够长时间的助手会话；模型自身为 202752，需要更多", 30),
            "  上下文  足够长时间的助手会\n          话；模型自身为\n          202752，需要更多\n"
        );
        assert_eq!(pieces("（a）是b，c"), ["（a）", "是", "b，", "c"]);
        assert_eq!(pieces("plain"), ["plain"]);
    }
}
