//! Both languages are complete: every sentence the source says to humans is in the catalogue, every entry of the
//! catalogue is said somewhere, and both sides of an entry have the same places.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use llmup::words::{self, Template};

use super::source::{self, Said};

/// What has no Chinese on purpose.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Apart {
    why: String,
    #[serde(default)]
    at: Vec<String>,
    #[serde(default)]
    texts: Vec<String>,
}

impl Apart {
    fn covers(&self, said: &Said) -> bool {
        let place = format!("{}#{}", said.file, said.function);
        let here = |at: &String| *at == said.file || *at == place || at.ends_with('/') && said.file.starts_with(at);
        // An error's message is for humans wherever it stands, unless nobody ever sees errors of there.
        let at = |at: &&String| here(at) && (!said.message || at.ends_with('/'));
        self.at.iter().any(|one| at(&one)) || self.texts.iter().any(|text| shape(text) == shape(&said.text))
    }
}

/// The text with every place as `{}`: what the values are called is nothing a reader sees.
fn shape(text: &str) -> String {
    Template::parse(text).fill(|_, _| "{}")
}

/// Whether it reads like words to a human: several, outside of places and commands.
fn reads_like_words(text: &str) -> bool {
    let bare = Template::parse(text).fill(|_, _| "");
    let outside: String = bare.split('`').step_by(2).collect();
    let word = |word: &str| word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase());
    text.contains(' ') && !text.contains('\r') && outside.split(|c: char| !c.is_ascii_alphabetic()).any(word)
}

#[test]
fn both_languages_are_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = source::literals(&root.join("src"));
    assert!(all.len() > 5000, "only {} texts were read", all.len());
    let apart = std::fs::read_to_string(root.join("tests/it/words/apart.yaml")).unwrap();
    let apart: Vec<Apart> = serde_yaml::from_str(&apart).unwrap();
    assert!(apart.iter().all(|one| !one.why.is_empty()));
    let entries = words::entries().unwrap();
    let known: BTreeSet<String> = entries.iter().map(|entry| shape(&entry.en)).collect();

    let mut missing = BTreeMap::new();
    for said in &all {
        let spoken =
            if said.message { Template::parse(&said.text).letters() > 1 } else { reads_like_words(&said.text) };
        if spoken && !said.compared && !known.contains(&shape(&said.text)) && !apart.iter().any(|one| one.covers(said))
        {
            missing.entry(shape(&said.text)).or_insert(said);
        }
    }
    let lines: Vec<String> = missing.values().map(|said| missed(said)).collect();
    assert!(
        lines.is_empty(),
        "{} sentences have no Chinese. Add them to src/words/zh.yaml (or, if no human reads them, to \
         tests/it/words/apart.yaml):\n\n{}",
        lines.len(),
        lines.join("\n")
    );

    let said: BTreeSet<String> = all.iter().map(|said| shape(&said.text)).collect();
    let unused: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.by.is_none() && !said.contains(&shape(&entry.en)))
        .map(|entry| entry.en.as_str())
        .collect();
    assert!(unused.is_empty(), "nothing says this any more; remove it from src/words/zh.yaml:\n{}", unused.join("\n"));

    let idle: Vec<&String> = apart
        .iter()
        .flat_map(|one| {
            let there = |at: &&String| !all.iter().any(|said| Apart::at(at).covers(said));
            let gone = |text: &&String| !said.contains(&shape(text));
            one.at.iter().filter(there).chain(one.texts.iter().filter(gone)).collect::<Vec<_>>()
        })
        .collect();
    assert!(idle.is_empty(), "nothing is there any more; remove it from tests/it/words/apart.yaml: {idle:?}");
}

impl Apart {
    fn at(place: &str) -> Apart {
        Apart { why: String::new(), at: vec![place.to_owned()], texts: Vec::new() }
    }
}

/// Where a sentence stands, and what to write.
fn missed(said: &Said) -> String {
    // JSON's strings are YAML's.
    let text = serde_json::to_string(&said.text).unwrap();
    format!("# {} {}\n- en: {text}\n  zh: \"\"\n", said.file, said.function)
}

#[test]
fn both_sides_of_an_entry_have_the_same_places() {
    let mut shapes = BTreeSet::new();
    for words::Entry { en, zh, .. } in words::entries().unwrap() {
        let places = |text: &str| {
            let mut names = Template::parse(text).names().to_vec();
            names.sort();
            names
        };
        assert_eq!(places(&en), places(&zh), "{en:?}");
        assert_eq!(en.matches('`').count(), zh.matches('`').count(), "{en:?}: commands");
        let chinese = |c: char| ('\u{2e80}'..'\u{a000}').contains(&c) || ('\u{ff00}'..'\u{fff0}').contains(&c);
        assert!(zh.contains(chinese) || Template::parse(&zh).letters() < 8, "{en:?} is not translated");
        assert!(shapes.insert(shape(&en)), "{en:?} is there twice; what its places are called is no difference");
    }
}
