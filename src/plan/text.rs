//! A plan in words, for a terminal.

use super::error::{TOLD, alike, places};
use super::{LaunchPlan, Verdict};
use crate::output::bytes;

/// Room for what was chosen, before why.
const WIDEST: usize = 28;

/// The plan: reasons, the bill with bars, warnings. `command` is the exact command line.
pub fn render(plan: &LaunchPlan, model: &str, command: &str, width: usize) -> String {
    let mut out = format!("plan for {model}\n");
    // A longer one has a line of its own, so that it does not narrow all the others.
    let widest = plan.reasons.iter().map(|r| r.choice.chars().count()).filter(|n| *n <= WIDEST).max().unwrap_or(0);
    for reason in &plan.reasons {
        let mut head = format!("  {:<widest$}  ", reason.choice);
        if reason.choice.chars().count() > widest {
            out.push_str(&wrap("  ", &reason.choice, width));
            head = format!("  {:<widest$}  ", "");
        }
        out.push_str(&wrap(&head, &reason.because, width));
    }
    if !plan.per_gpu.is_empty() {
        out.push_str("memory\n");
    }
    for alike in alike(&plan.per_gpu) {
        let Some(bill) = alike.first() else { continue };
        let bar = bar(bill.weights_bytes, bill.kv_bytes_needed, bill.overhead_bytes, bill.total_bytes, 24);
        out.push_str(&format!(
            "  {}\n    {bar} {} of {}\n    weights {} · context {} · engine {}\n",
            places(alike),
            bytes(bill.needed_bytes()),
            bytes(bill.total_bytes),
            bytes(bill.weights_bytes),
            bytes(bill.kv_bytes_needed),
            bytes(bill.overhead_bytes)
        ));
    }
    for warning in &plan.warnings {
        out.push_str(&wrap("note: ", warning, width));
    }
    if plan.verdict == Verdict::Tight {
        out.push_str("verdict: tight\n");
    }
    out.push_str(&format!("command\n  {command}\n"));
    if !plan.alternatives.is_empty() {
        out.push_str("also possible\n");
    }
    for alternative in plan.alternatives.iter().take(TOLD) {
        out.push_str(&wrap("  ", &alternative.what, width));
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
    let indent = head.chars().count();
    let room = width.saturating_sub(indent).max(20);
    let mut out = head.to_owned();
    let mut used = 0;
    for word in text.split(' ') {
        let len = word.chars().count();
        if used > 0 && used + 1 + len > room {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += len;
    }
    out.push('\n');
    out
}
