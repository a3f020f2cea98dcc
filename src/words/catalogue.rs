//! The sentences of one language, and how a finished English line finds its own: the English templates are matched
//! against the line, what stands in their places is carried over. Values that are sentences themselves are translated
//! too; paths, numbers, names and commands stay as they are.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use super::template::Template;
use super::width;

/// Sentences within sentences are followed this deep; no text of ours comes near.
const DEEPEST: usize = 6;
/// A template with as much text of its own is recognised at once; shorter ones are held against other readings.
const SURE_BYTES: usize = 16;
/// Most readings that are compared.
const WAYS: usize = 4;
/// A list of more parts is none of ours.
const MOST_PARTS: usize = 12;
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
    /// Who says it, when it is not our own source.
    #[serde(default)]
    pub by: Option<String>,
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
    /// Enough letters of its own to mean something.
    telling: bool,
    /// Enough text of its own to be no accident.
    sure: bool,
}

impl Catalogue {
    /// Puts entries in order.
    pub fn of(entries: Vec<Entry>) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for Entry { en, zh, .. } in entries {
            let (en, zh) = (Template::parse(&en), Template::parse(&zh));
            match (en.whole(), zh.whole()) {
                (Some(text), Some(other)) => {
                    catalogue.whole.insert(text.to_owned(), other.to_owned());
                }
                _ => {
                    let (commands, telling) = (en.in_commands(), en.letters() >= TELLING_LETTERS);
                    let sure = telling && en.weight() >= SURE_BYTES;
                    catalogue.patterns.push(Pattern { en, zh, commands, telling, sure });
                }
            }
        }
        catalogue
            .patterns
            .sort_by_key(|pattern| std::cmp::Reverse((pattern.sure, pattern.telling, pattern.en.weight())));
        catalogue
    }

    /// The text in the catalogue's language, as far as it is known; several lines are taken together and one by one.
    pub fn translate<'a>(&self, english: &'a str) -> Cow<'a, str> {
        let search = Search { catalogue: self, seen: RefCell::default() };
        search.known(english, 0).map_or(Cow::Borrowed(english), Cow::Owned)
    }
}

/// One text being looked up, with what was found for its parts.
struct Search<'c> {
    catalogue: &'c Catalogue,
    seen: RefCell<HashMap<String, Option<String>>>,
}

impl Search<'_> {
    /// The text in the catalogue's language; `None` when nothing in it is known.
    fn known(&self, text: &str, depth: usize) -> Option<String> {
        if depth > DEEPEST || !text.contains(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        if let Some(known) = self.catalogue.whole.get(text) {
            return Some(known.clone());
        }
        if let Some(seen) = self.seen.borrow().get(text) {
            return seen.clone();
        }
        let found = self.sure(text, depth).or_else(|| self.best(text, depth));
        self.seen.borrow_mut().insert(text.to_owned(), found.clone());
        found
    }

    /// The sentence with most text of its own, when that is enough to be no accident.
    fn sure(&self, text: &str, depth: usize) -> Option<String> {
        let patterns = self.catalogue.patterns.iter().take_while(|pattern| pattern.sure);
        patterns.filter_map(|pattern| self.sentence(pattern, text, depth)).next()
    }

    /// Of all ways to read the text, the one that leaves the least of it English.
    fn best(&self, text: &str, depth: usize) -> Option<String> {
        let patterns = self.catalogue.patterns.iter().skip_while(|pattern| pattern.sure);
        let mut ways: Vec<String> =
            patterns.filter_map(|pattern| self.sentence(pattern, text, depth)).take(WAYS).collect();
        ways.extend(self.dressed(text, depth));
        ways.extend(self.lines(text, depth));
        ways.extend(self.listed(text, "; ", "；", depth));
        ways.extend(self.listed(text, ", ", "，", depth));
        ways.into_iter().min_by_key(|way| english(way))
    }

    /// The line as this sentence.
    fn sentence(&self, pattern: &Pattern, text: &str, depth: usize) -> Option<String> {
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

    /// Sentences put together, such as `…; the model's own is 4096` or `…, 3 GiB free`: each by itself, the mark
    /// before it included where the catalogue has it so. A sentence may itself have marks in it.
    fn listed(&self, text: &str, mark: &str, other: &str, depth: usize) -> Option<String> {
        let parts = parts(text, mark);
        if parts.len() < 2 || parts.len() > MOST_PARTS {
            return None;
        }
        let (mut all, mut any, mut before, mut at) = (String::new(), false, false, 0);
        while at < parts.len() {
            // From here as far as something is known; all of it is what was asked for.
            let furthest = if at == 0 { parts.len() - 1 } else { parts.len() };
            let found = (at + 1..=furthest).rev().find_map(|end| {
                let part = parts.get(at..end)?.join(mark);
                let marked = (at > 0).then(|| self.known_alone(&format!("{mark}{part}"), depth)).flatten();
                let known = || self.known(&part, depth + 1).map(|known| (known, false, end));
                marked.map(|known| (known, true, end)).or_else(known)
            });
            let (known, marked, end) = match found {
                Some((known, marked, end)) => (Some(known), marked, end),
                None => (None, false, at + 1),
            };
            if at > 0 && !marked {
                all.push_str(if known.is_some() || before { other } else { mark });
            }
            (any, before) = (any || known.is_some(), known.is_some());
            all.push_str(known.as_deref().or(parts.get(at).copied()).unwrap_or_default());
            at = end;
        }
        any.then_some(all)
    }

    /// A sentence that begins with a mark, by itself.
    fn known_alone(&self, text: &str, depth: usize) -> Option<String> {
        let whole = self.catalogue.whole.get(text).cloned();
        whole.or_else(|| {
            let marked = self.catalogue.patterns.iter().filter(|pattern| pattern.en.is_marked());
            marked.filter_map(|pattern| self.sentence(pattern, text, depth + 1)).next()
        })
    }
}

/// Letters that are still English, commands aside.
fn english(text: &str) -> usize {
    let outside = text.split('`').step_by(2);
    outside.map(|part| part.bytes().filter(u8::is_ascii_alphabetic).count()).sum()
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
