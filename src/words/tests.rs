#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use proptest::prelude::*;

use super::catalogue::TELLING_LETTERS;
use super::*;

fn entry(en: &str, zh: &str) -> Entry {
    Entry { en: en.to_owned(), zh: zh.to_owned(), by: None }
}

fn few() -> Catalogue {
    Catalogue::of(vec![
        entry("cannot {action} {path}", "无法{action} {path}"),
        entry("cannot {action} {path}: it is full", "{path} 已满，无法{action}"),
        entry("write", "写入"),
        entry("{} at {} is old", "{1} 处的 {0} 太旧"),
        entry("run `llmup {command} {{x}}`", "运行 `llmup {command} {{x}}`"),
        entry("{what}: {}", "{what}：{}"),
        entry(", {} free", "，空闲 {}"),
        entry("no engine", "没有引擎"),
        entry("again {a} and {a}", "又 {a} 和 {a}"),
        entry("ready", "就绪"),
        entry("{} as {}, {} tokens", "{}（{}），{} 个 token"),
        entry(", on {} GPUs", "，用 {} 张 GPU"),
        entry("{} tokens, {}", "{} 个 token，{}"),
        entry("{} missing", "缺少 {}"),
    ])
}

#[test]
fn a_finished_line_finds_its_sentence() {
    let few = few();
    for (en, zh) in [
        ("cannot write /a b", "无法写入 /a b"),
        ("cannot shake /a", "无法shake /a"),
        // More text of its own fits better.
        ("cannot write /a: it is full", "/a 已满，无法写入"),
        ("codex at /bin/x is old", "/bin/x 处的 codex 太旧"),
        // A command is no word, whatever it is called.
        ("run `llmup write {x}`", "运行 `llmup write {x}`"),
        ("again 1 and 2", "又 1 和 2"),
        // Little text of its own, but a value that is known.
        ("GPU 0: no engine", "GPU 0：没有引擎"),
        ("GPU 0: no motor", "GPU 0: no motor"),
        ("H200 (141 GiB), 140 GiB free", "H200 (141 GiB)，空闲 140 GiB"),
        ("no engine; ready", "没有引擎；就绪"),
        ("(a, ready), b", "(a, ready), b"),
        ("  no engine\nwhat\n", "  没有引擎\nwhat\n"),
        // Of several readings the one that leaves the least English.
        ("m as q4, 4096 tokens, on 2 GPUs: `run m`", "m（q4），4096 个 token，用 2 张 GPU：`run m`"),
        ("4096 tokens, ready", "4096 个 token，就绪"),
        ("a.bin, b.bin missing", "缺少 a.bin, b.bin"),
        // Filled up to six columns, and still.
        ("ready  x", "ready  x"),
        ("\x1b[1mready \x1b[0m: no engine", "\x1b[1m就绪  \x1b[0m：没有引擎"),
        ("unknown", "unknown"),
        ("", ""),
    ] {
        assert_eq!(few.translate(en), zh, "{en:?}");
    }
}

#[test]
fn a_template_is_read_as_format_does() {
    let template = Template::parse("{{{a:>8}}} {} {0:?} {} {not a place} }");
    assert_eq!(template.names(), ["a", "0", "0", "1"]);
    assert_eq!(template.values("{v} 1 2 3 {not a place} }"), Some(vec!["v", "1", "2", "3"]));
    assert_eq!(template.values("v 1 2 3"), None);
    assert_eq!(Template::parse("a {{}}").whole(), Some("a {}"));
}

#[test]
fn the_language_is_chosen_or_the_locales() {
    let of = |set: &[(&str, &str)], system: Option<&str>| {
        let set: HashMap<String, String> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        chosen(|name| set.get(name).cloned(), || system.map(str::to_owned)) == Language::Chinese
    };
    assert!(!of(&[], None));
    assert!(of(&[], Some("zh-CN")));
    assert!(!of(&[("LANG", "en_US.UTF-8")], Some("zh-CN")));
    assert!(!of(&[("LANG", "C")], Some("zh-CN")));
    for chinese in ["zh", "zh_CN", "zh_CN.UTF-8", "zh_SG.utf8", "zh-Hans", "zh-Hans-HK", "zh_CN.UTF-8@pinyin"] {
        assert!(of(&[("LANG", chinese)], None), "{chinese}");
    }
    // Another script, another way to write characters, or not Chinese at all.
    for other in ["zh_TW.UTF-8", "zh-Hant", "zh_HK", "zh_CN.GBK", "zh_CN.GB18030", "zhx", "de_DE.UTF-8", "POSIX"] {
        assert!(!of(&[("LANG", other)], None), "{other}");
    }
    assert!(of(&[("LC_ALL", "zh_CN.UTF-8"), ("LANG", "en_US.UTF-8")], None));
    assert!(!of(&[("LC_ALL", "en_US.UTF-8"), ("LC_MESSAGES", "zh_CN.UTF-8")], None));
    assert!(of(&[("LC_ALL", ""), ("LC_MESSAGES", "zh_CN.UTF-8"), ("LANG", "en_US.UTF-8")], None));
    assert!(of(&[("LLMUP_LANG", "zh"), ("LC_ALL", "en_US.UTF-8")], None));
    assert!(of(&[("LLMUP_LANG", "zh_CN.GBK")], None));
    assert!(!of(&[("LLMUP_LANG", "en"), ("LANG", "zh_CN.UTF-8")], None));
    assert!(!of(&[("LLMUP_LANG", "fr"), ("LANG", "zh_CN.UTF-8")], None));
}

#[test]
fn chinese_is_two_columns_wide() {
    assert_eq!((width("ready"), width("已就绪"), width("a，b")), (5, 6, 4));
}

/// Fills a template with one value per place; places with one name get one value.
fn filled(template: &Template, values: &[String]) -> String {
    let mut known: Vec<&String> = template.names().iter().collect();
    known.sort();
    known.dedup();
    template.fill(|name, _| {
        let at = known.iter().position(|other| *other == name).unwrap();
        &values[at % values.len()]
    })
}

/// The whole catalogue, every sentence filled with the same odd values: the Chinese has the same ones.
fn round_trip(values: &[String]) {
    let chinese = Catalogue::of(entries().unwrap());
    let mut wrong = Vec::new();
    for Entry { en, zh, .. } in entries().unwrap() {
        let (template, zh) = (Template::parse(&en), Template::parse(&zh));
        if template.letters() < TELLING_LETTERS && !template.names().is_empty() {
            continue; // Says nothing without a value that is known.
        }
        let (found, meant) = (chinese.translate(&filled(&template, values)).into_owned(), filled(&zh, values));
        if found != meant {
            wrong.push(format!("{en:?}: {found:?} instead of {meant:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_sentence_is_found_again() {
    round_trip(&(0..9).map(|n| format!("v{n}")).collect::<Vec<_>>());
    round_trip(&(0..9).map(|n| format!("/p{n}/x y")).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn odd_values_are_carried_over(values in proptest::collection::vec("[{}\\[\\]*+?^$|\\\\\n\u{e9}\u{1f980}0-9]{1,12}", 9)) {
        // Numbered, so that none is another's part and each is told from the text around it.
        let values: Vec<String> = values.iter().enumerate().map(|(n, v)| format!("#{n}{v}#")).collect();
        round_trip(&values);
    }
}

proptest! {
    #[test]
    fn no_line_is_too_odd(line in "\\PC{0,80}", inner in "[a-z `{}:;,.()\u{1b}\\[m0\n]{0,60}") {
        let few = few();
        for text in [line.clone(), inner.clone(), format!("cannot {inner} {line}: no engine"), format!("{inner}: ready")] {
            let _ = few.translate(&text);
            let _ = Template::parse(&text).values(&line);
        }
    }

    #[test]
    fn what_nobody_knows_stays(line in "[A-Z0-9 :;,.(){}`/\n]{0,80}") {
        prop_assert_eq!(few().translate(&line).into_owned(), line);
    }
}
