//! The catalogue: whole, in both languages, its codes for ever the same.

use std::collections::BTreeSet;

use super::*;

/// Every code that was ever given, with its meaning in three words. A line here is never changed: a finding that goes
/// leaves its line, and its code with it.
const GIVEN: &str = include_str!("finding_codes.txt");

#[test]
fn a_code_is_never_given_to_another_finding() {
    let given: Vec<(&str, &str)> = GIVEN.lines().filter_map(|line| line.split_once(' ')).collect();
    let codes: BTreeSet<&str> = given.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes.len(), given.len(), "a code stands twice in the list");
    for finding in findings().unwrap() {
        let known = given.iter().find(|(code, _)| *code == finding.code);
        let (_, title) = known.unwrap_or_else(|| panic!("{} is new: add it to finding_codes.txt", finding.code));
        assert_eq!(*title, finding.en.title, "{}: another title is another finding", finding.code);
    }
}

#[test]
fn every_finding_is_whole_in_both_languages() {
    let mut seen = BTreeSet::new();
    for finding in findings().unwrap() {
        let code = &finding.code;
        assert!(seen.insert(code), "{code} twice");
        assert_eq!(full_code(code).as_ref(), Some(code), "{code} has no form of a code");
        assert!(!finding.sources.is_empty(), "{code} has no source");
        for told in [&finding.en, &finding.zh] {
            assert!(![&told.title, &told.meaning, &told.cause].iter().any(|text| text.trim().is_empty()), "{code}");
            assert!(!told.cure.is_empty() && told.cure.iter().all(|cure| !cure.is_empty()), "{code} has no cure");
            assert!(told.title.chars().count() <= 72, "{code}: a title is one line");
            for text in std::iter::once(&told.meaning).chain([&told.cause]).chain(&told.cure) {
                assert!(text.matches('`').count() % 2 == 0, "{code}: a backquote is open in {text}");
            }
        }
        assert!(!finding.zh.title.is_ascii() && !finding.zh.meaning.is_ascii(), "{code} is not in Chinese");
        assert_eq!(finding.en.cure.len(), finding.zh.cure.len(), "{code}: other cures in Chinese");
        for (en, zh) in finding.en.cure.iter().zip(&finding.zh.cure) {
            let commands = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
            let (en, zh) = (commands(en), commands(zh));
            // Words that stand for something are translated.
            if !en.iter().any(|command| command.contains("THE LINE")) {
                assert_eq!(en, zh, "{code}: other commands in Chinese");
            }
        }
    }
    assert!(seen.len() > 80, "{}", seen.len());
}

#[test]
fn codes_are_read_as_people_type_them() {
    for typed in ["LLMUP-E012", "llmup-e012", "E012", "e12", " e12 "] {
        assert_eq!(finding(typed).unwrap().unwrap().code, "LLMUP-E012", "{typed}");
    }
    for wrong in ["", "E", "12", "X012", "E0123", "E1x", "E+1", "E-1", "port taken", "é12"] {
        assert_eq!(full_code(wrong), None, "{wrong}");
    }
    assert_eq!(finding("E999").unwrap(), None);
}

#[test]
fn free_text_finds_the_nearest_in_either_language() {
    let best = |text: &str| nearest(text).unwrap().first().map_or("", |finding| finding.code.as_str());
    assert_eq!(best("ValueError: No available memory for the cache blocks. Try increasing"), "LLMUP-E011");
    assert_eq!(best("vllm: error: unrecognized arguments: --foo 1"), "LLMUP-E006");
    assert_eq!(best("the gateway port is taken"), "LLMUP-G001");
    assert_eq!(best("key refused"), "LLMUP-G005");
    assert_eq!(best("proxy between client and gateway"), "LLMUP-C004");
    assert_eq!(best("chat template system message"), "LLMUP-M010");
    assert_eq!(best("密钥被拒绝"), "LLMUP-G005");
    assert_eq!(best("上下文太短"), "LLMUP-M019");
    assert_eq!(best("zzz qqq"), "");
    assert_eq!(best(""), "");
    assert_eq!(best(&"x ".repeat(100_000)), "");
}

#[test]
fn what_is_recognised_by_its_own_words_is_found_by_them() {
    for finding in findings().unwrap() {
        for said in &finding.says {
            let found = nearest(said).unwrap();
            assert!(found.iter().any(|near| near.code == finding.code), "{said} is not found as {}", finding.code);
        }
    }
}
