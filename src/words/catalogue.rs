//! The sentences of one language, and how a finished English line finds its own: the English templates are matched
//! against the line, what stands in their places is carried over. Values that are sentences themselves are translated
//! too; paths, numbers, names and commands stay as they are.

use std::borrow::Cow;
use std::collections::HashMap;

use super::template::Template;
use super::width;

/// Sentences within sentences are followed this deep; no text of ours comes near.
const DEEPEST: usize = 8;
/// A template with fewer letters of its own only counts when a value in it is known: `{what}: {}`.
pub(super) const TELLING_LETTERS: usize = 3;

/// A sentence in both languages.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// As it stands in the source.
    pub en: String,
    /// The same with the same places, in any order.
    pub zh: String,
}

/// All sentences, ready to be looked up.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Those without places.
    whole: HashMap<String, String>,
    /// Those with places, the ones with most text of their own first.
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    en: Template,
    zh: Template,
    commands: Vec<bool>,
    telling: bool,
}

impl Catalogue {
    /// Puts entries in order.
    pub fn of(entries: Vec<Entry>) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for Entry { en, zh } in entries {
            let (en, zh) = (Template::parse(&en), Template::parse(&zh));
            match (en.whole(), zh.whole()) {
                (Some(text), Some(other)) => {
                    catalogue.whole.insert(text.to_owned(), other.to_owned());
                }
                _ => {
                    let (commands, telling) = (en.in_commands(), en.letters() >= TELLING_LETTERS);
                    catalogue.patterns.push(Pattern { en, zh, commands, telling });
                }
            }
        }
        catalogue.patterns.sort_by_key(|pattern| std::cmp::Reverse((pattern.telling, pattern.en.weight())));
        catalogue
    }

    /// The text in the catalogue's language, as far as it is known; several lines are taken together and one by one.
    pub fn translate<'a>(&self, english: &'a str) -> Cow<'a, str> {
        self.known(english, 0).map_or(Cow::Borrowed(english), Cow::Owned)
    }

    fn known(&self, text: &str, depth: usize) -> Option<String> {
        if depth > DEEPEST || !text.contains(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        self.sentence(text, depth)
            .or_else(|| self.dressed(text, depth))
            .or_else(|| self.lines(text, depth))
            .or_else(|| self.listed(text, "; ", "；", depth))
            .or_else(|| self.listed(text, ", ", "，", depth))
    }

    /// The line as one sentence of the catalogue.
    fn sentence(&self, text: &str, depth: usize) -> Option<String> {
        if let Some(known) = self.whole.get(text) {
            return Some(known.clone());
        }
        self.patterns.iter().find_map(|pattern| {
            let found = pattern.en.values(text)?;
            let mut any = pattern.telling;
            let values: Vec<Cow<'_, str>> = found
                .into_iter()
                .zip(&pattern.commands)
                .map(|(value, in_command)| match self.known(value, depth + 1).filter(|_| !in_command) {
                    Some(known) => {
                        any = true;
                        Cow::Owned(known)
                    }
                    None => Cow::Borrowed(value),
                })
                .collect();
            any.then(|| {
                pattern.zh.fill(|name, before| {
                    let mut same = pattern.en.names().iter().zip(&values).filter(|(other, _)| *other == name);
                    // A name that comes more often here than there repeats its first value.
                    let first = same.clone().next();
                    same.nth(before).or(first).map_or("", |(_, value)| value.as_ref())
                })
            })
        })
    }

    /// The same within colour and blanks; a word that was filled up to a width still is.
    fn dressed(&self, text: &str, depth: usize) -> Option<String> {
        const END: &str = "\x1b[0m";
        if let Some((start, rest)) = text.strip_prefix("\x1b[").and_then(|rest| rest.split_once('m'))
            && let Some(inner) = rest.strip_suffix(END).filter(|inner| !inner.contains('\x1b'))
        {
            return self.known(inner, depth + 1).map(|known| format!("\x1b[{start}m{known}{END}"));
        }
        let inner = text.trim_matches(' ');
        if inner.len() == text.len() || inner.is_empty() {
            return None;
        }
        let known = self.known(inner, depth + 1)?;
        let (before, after) = text.split_once(inner)?;
        let after = if after.is_empty() {
            String::new()
        } else {
            " ".repeat((width(inner) + after.len()).saturating_sub(width(&known)))
        };
        Some(format!("{before}{known}{after}"))
    }

    fn lines(&self, text: &str, depth: usize) -> Option<String> {
        if !text.contains('\n') {
            return None;
        }
        let lines: Vec<(&str, Option<String>)> =
            text.split('\n').map(|line| (line, self.known(line, depth + 1))).collect();
        lines.iter().any(|(_, known)| known.is_some()).then(|| {
            let lines: Vec<&str> = lines.iter().map(|(line, known)| known.as_deref().unwrap_or(line)).collect();
            lines.join("\n")
        })
    }

    /// Sentences put together, such as `…; the model's own is 4096` or `…, 3 GiB free`: each part by itself, the mark
    /// before it included where the catalogue has it so.
    fn listed(&self, text: &str, mark: &str, other: &str, depth: usize) -> Option<String> {
        let parts = parts(text, mark);
        if parts.len() < 2 {
            return None;
        }
        let (mut all, mut any, mut before) = (String::new(), false, false);
        for (at, part) in parts.into_iter().enumerate() {
            let marked = (at > 0).then(|| self.sentence(&format!("{mark}{part}"), depth + 1)).flatten();
            let known = marked.is_none().then(|| self.known(part, depth + 1)).flatten();
            let now = marked.is_some() || known.is_some();
            if at > 0 && marked.is_none() {
                all.push_str(if now || before { other } else { mark });
            }
            all.push_str(marked.as_deref().or(known.as_deref()).unwrap_or(part));
            (any, before) = (any || now, now);
        }
        any.then_some(all)
    }
}

/// The parts between `mark`, except within backquotes and parentheses.
fn parts<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut open, mut command) = (Vec::new(), 0, 0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '`' => command = !command,
            '(' if !command => open += 1,
            ')' if !command => open = open.saturating_sub(1),
            _ if at >= start && !command && open == 0 && text.get(at..).is_some_and(|rest| rest.starts_with(mark)) => {
                parts.extend(text.get(start..at));
                start = at + mark.len();
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}
