//! What humans read, in their language. The English text stays where it is written; `zh.yaml` has the Chinese of each
//! sentence, and a finished line is looked up there just before it is shown. Data for programs never comes this way.
//! A line that is not in the catalogue stays English.
//!
//! `LLMUP_LANG` chooses (`en`, `zh`), else the locale. Nothing is read as long as the language is English.

use std::borrow::Cow;
use std::sync::OnceLock;

mod catalogue;
mod template;
#[cfg(test)]
mod tests;

#[cfg(unix)]
#[path = "unix.rs"]
mod os;
#[cfg(windows)]
#[path = "windows.rs"]
mod os;

pub use catalogue::{Catalogue, Entry};
pub use template::Template;

/// The sentences in both languages, YAML.
pub const CHINESE: &str = include_str!("zh.yaml");

/// Names the language, over every locale.
const CHOSEN: &str = "LLMUP_LANG";

/// A language llmup speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// As in the source.
    English,
    /// Simplified Chinese.
    Chinese,
}

/// The language of this process, found once.
pub fn language() -> Language {
    static LANGUAGE: OnceLock<Language> = OnceLock::new();
    // Unit tests compare English, whatever their user speaks.
    if cfg!(test) {
        return Language::English;
    }
    *LANGUAGE.get_or_init(|| chosen(|name| std::env::var(name).ok(), os::locale))
}

/// The text in the user's language.
pub fn say(english: &str) -> Cow<'_, str> {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    match language() {
        Language::English => Cow::Borrowed(english),
        // The catalogue is our own and checked by tests; were it broken, English is better than nothing.
        Language::Chinese => CATALOGUE.get_or_init(|| Catalogue::of(entries().unwrap_or_default())).translate(english),
    }
}

/// All entries of the catalogue, in the file's order.
pub fn entries() -> Result<Vec<Entry>, serde_yaml::Error> {
    serde_yaml::from_str(CHINESE)
}

/// Columns that text takes on a terminal: Chinese characters take two.
pub fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// The language by these variables, else by what the system says its user speaks.
fn chosen(variable: impl Fn(&str) -> Option<String>, system: impl Fn() -> Option<String>) -> Language {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    if let Some(word) = set(&CHOSEN) {
        // Said on purpose: no question of scripts or of what the terminal can show.
        return if of_chinese(&word.to_ascii_lowercase()) { Language::Chinese } else { Language::English };
    }
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set).or_else(system);
    if locale.is_some_and(|locale| simplified(&locale)) { Language::Chinese } else { Language::English }
}

/// Whether a locale is one of Simplified Chinese whose characters can be shown: `zh`, `zh_CN.UTF-8`, `zh-Hans-SG`.
fn simplified(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    let (name, charset) = locale.split_once('.').unwrap_or((&locale, "utf-8"));
    let charset = charset.split('@').next().unwrap_or_default();
    // Everything is written as UTF-8; where the terminal wants GBK that would be unreadable, English is not.
    if !of_chinese(name) || !matches!(charset, "utf-8" | "utf8") {
        return false;
    }
    let mut parts = name.split(['_', '-', '@']).skip(1);
    let traditional = |part: &str| matches!(part, "hant" | "tw" | "hk" | "mo");
    parts.clone().any(|part| part == "hans") || !parts.any(traditional)
}

/// Whether a name of a language, in lower case, is Chinese.
fn of_chinese(name: &str) -> bool {
    name.strip_prefix("zh").is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}
