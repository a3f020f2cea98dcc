//! What changes in a settings file, as lines that go and lines that come; keys are not shown.

use std::path::Path;

use similar::{ChangeTag, TextDiff};

use crate::output::{self, Style, on_stderr};

/// Lines shown around a change.
const AROUND: usize = 2;

/// Shows the difference on standard error. `None`: the file is not there. Of a file in `own`, llmup's own folder, only
/// the name is of interest.
pub(super) fn file(path: &Path, own: &Path, old: Option<&str>, new: Option<&str>, key: &str) {
    let what = match (old, new) {
        (None, _) => " (new)",
        (_, None) => " (goes: llmup made it)",
        _ => "",
    };
    output::note(&format!("{}{what}", on_stderr(Style::Strong, &path.display().to_string())));
    if path.starts_with(own) {
        return;
    }
    for line in lines(old.unwrap_or_default(), new.unwrap_or_default(), key) {
        let style = match line.as_bytes().first() {
            Some(b'+') => Style::Good,
            Some(b'-') => Style::Bad,
            _ => Style::Faint,
        };
        output::note(&format!("  {}", on_stderr(style, &line)));
    }
}

fn lines(old: &str, new: &str, key: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(old, new);
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if at > 0 {
            lines.push("  ...".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Insert => '+',
                ChangeTag::Delete => '-',
            };
            let text = change.value().trim_end_matches(['\r', '\n']).replace('\u{feff}', "");
            // What a terminal would take for orders is no text to show.
            let text: String = text.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect();
            lines.push(format!("{sign} {}", masked(&text, key)));
        }
    }
    lines
}

/// A line without the secrets in it: keys of gateways, and what stands behind names that say so, however many.
fn masked(line: &str, key: &str) -> String {
    let line = if key.len() > 6 { line.replace(key, &short(key)) } else { line.to_owned() };
    let mut rest = line.as_str();
    let mut out = String::new();
    while let Some(at) = rest.find([':', '=']) {
        let name = rest[..at].trim_end().trim_end_matches(['"', '\'']);
        let name = name.rsplit(|c: char| !(c.is_alphanumeric() || "_-.".contains(c))).next().unwrap_or_default();
        out.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        let name = name.to_ascii_lowercase();
        // These name a variable.
        let variable = ["envkey", "env_key", "key_env"].iter().any(|word| name.ends_with(word));
        if variable || !SECRETS.iter().any(|word| name.ends_with(word)) {
            continue;
        }
        let inner = rest.trim_start().trim_start_matches(['"', '\'']);
        let length = inner.find(['"', '\'', ',', ' ', '#', '}']).unwrap_or(inner.len());
        if length < 6 || inner[..length].contains('…') || inner.starts_with(['{', '[']) {
            continue;
        }
        out.push_str(&rest[..rest.len() - inner.len()]);
        out.push_str(&short(&inner[..length]));
        rest = &inner[length..];
    }
    without_gateway_keys(&(out + rest))
}

/// Ends of names whose values are nobody's business.
const SECRETS: [&str; 5] = ["key", "token", "secret", "password", "auth"];

/// A key llmup made is known by its form, wherever it stands.
fn without_gateway_keys(line: &str) -> String {
    let mut parts = line.split("llmup-");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hex = part.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(part.len());
        out.push_str("llmup-");
        out.push_str(if hex >= 16 { "…" } else { &part[..hex] });
        out.push_str(&part[hex..]);
    }
    out
}

/// The beginning of a key, which tells whose it is.
fn short(key: &str) -> String {
    let prefix = key.find('-').filter(|at| *at <= 5).map_or("", |at| &key[..=at]);
    format!("{prefix}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_and_its_neighbours_are_shown() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = old.replace("5\n", "five\r\n");
        assert_eq!(lines(old, &new, ""), ["  3", "  4", "- 5", "+ five", "  6", "  7"]);
        assert_eq!(lines("", "a\n\u{1b}[2J\n", ""), ["+ a", "+ ?[2J"]);
    }

    #[test]
    fn keys_are_never_shown() {
        let key = "llmup-0123456789abcdef";
        for (line, expected) in [
            ("  \"ANTHROPIC_AUTH_TOKEN\": \"llmup-0123456789abcdef\",", "  \"ANTHROPIC_AUTH_TOKEN\": \"llmup-…\","),
            ("x = \"Bearer llmup-0123456789abcdef\"", "x = \"Bearer llmup-…\""),
            ("export OPENAI_API_KEY=sk-ant-0123456789 # old", "export OPENAI_API_KEY=sk-… # old"),
            ("  \"apiKey\": \"0123456789abcdef\"", "  \"apiKey\": \"…\""),
            ("token: 'abcdefgh'", "token: '…'"),
            ("  \"envKey\": \"LLMUP_API_KEY\"", "  \"envKey\": \"LLMUP_API_KEY\""),
            ("  \"MAX_CONTEXT_TOKENS\": \"32768\"", "  \"MAX_CONTEXT_TOKENS\": \"32768\""),
            ("  \"auth\": {", "  \"auth\": {"),
            ("BASE=http://127.0.0.1:4000", "BASE=http://127.0.0.1:4000"),
            (
                r#""env": { "URL": "http://a:1", "MY_TOKEN": "sk-0123456789", "B": "Bearer llmup-fedcba9876543210" }"#,
                r#""env": { "URL": "http://a:1", "MY_TOKEN": "sk-…", "B": "Bearer llmup-…" }"#,
            ),
            ("{\"apiKey\":\"0123456789\",\"n\":1}", "{\"apiKey\":\"…\",\"n\":1}"),
            ("model = \"llmup-demo\"", "model = \"llmup-demo\""),
        ] {
            assert_eq!(masked(line, key), expected);
        }
    }
}
