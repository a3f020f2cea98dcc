//! `doctor --deep` against engines that misbehave: each is found by its code. And what lies beside the engine.

use serde_json::Value;

use super::{Bench, KEY, LONG, json, kill9};
use crate::support::finish;

/// `doctor --deep --json` behind an engine with these switches.
fn deep(env: &[(&str, &str)]) -> Value {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(env);
    llmup.ready(LONG);
    let ran = finish(bench.home.faked(&[], &["doctor", "--deep", "--json"]));
    let report = json(&ran.out);
    let problems = report["problems"].as_u64().unwrap();
    assert_eq!(ran.code, Some(i32::from(problems > 0)), "{report}");
    assert!(!ran.out.contains(KEY) && ran.err.contains("asking for a first answer"), "{}", ran.err);
    bench.end(&mut llmup);
    report
}

fn found<'a>(report: &'a Value, code: &str) -> Vec<&'a Value> {
    report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == code).collect()
}

/// What came of a finding; other programs of this machine may have brought more of them.
fn fix_of<'a>(report: &'a Value, code: &str) -> &'a Value {
    let fixes = report["fixes"].as_array().unwrap();
    fixes.iter().find(|fix| fix["code"] == code).unwrap_or_else(|| panic!("{report}"))
}

#[test]
fn an_engine_that_calls_no_tools_and_takes_any_prompt_is_found_by_its_codes() {
    let report = deep(&[]);
    let silent = found(&report, "LLMUP-M012");
    assert_eq!(silent.len(), 4, "one for each protocol: {report}");
    for finding in silent {
        assert!(finding["evidence"][0].as_str().unwrap().contains("Hello from the fake engine"), "{finding}");
        assert!(finding["cure"].as_str().unwrap().contains("`llmup models`"), "{finding}");
    }
    assert_eq!(found(&report, "LLMUP-G015").len(), 1, "{report}");
    assert!(found(&report, "LLMUP-G008").is_empty(), "16 of its 20 tokens are cached: {report}");
}

#[test]
fn a_call_that_stays_text_no_cache_and_a_slow_engine_are_found_by_their_codes() {
    // Neither the engine's parser nor llmup's knows this form.
    let text = "I will ask: to=functions.get_weather {city: Paris} now, please wait for it to come back to me";
    let report = deep(&[("FAKE_TEXT", text), ("FAKE_CACHED", "1"), ("FAKE_FRAME_MS", "300")]);
    assert_eq!(found(&report, "LLMUP-M014").len(), 4, "{report}");
    assert_eq!(found(&report, "LLMUP-G008").len(), 1, "{report}");
    let slow = found(&report, "LLMUP-M022");
    assert!(slow.len() == 1 && slow[0]["text"].as_str().unwrap().contains("tokens a second"), "{report}");
}

#[test]
fn a_template_without_system_messages_and_a_shorter_context_are_found_by_their_codes() {
    let report = deep(&[("FAKE_REFUSE", "system"), ("FAKE_LONGEST", "8000")]);
    let refused = found(&report, "LLMUP-M010");
    assert_eq!(refused.len(), 1, "{report}");
    assert!(refused[0]["evidence"][0].as_str().unwrap().contains("System role not supported"), "{report}");
    let shorter = found(&report, "LLMUP-G007");
    assert_eq!(shorter.len(), 1, "{report}");
    assert!(shorter[0]["text"].as_str().unwrap().contains("8000"), "{report}");
}

#[test]
fn an_engine_that_refuses_tools_is_found_once_and_not_in_every_protocol() {
    let report = deep(&[("FAKE_REFUSE", "tools")]);
    assert_eq!(found(&report, "LLMUP-M011").len(), 1, "{report}");
    assert!(found(&report, "LLMUP-M012").is_empty() && found(&report, "LLMUP-G009").is_empty(), "{report}");
}

#[test]
fn without_a_gateway_deep_says_how_to_start_one() {
    let bench = Bench::new("llama-cpp");
    let ran = finish(bench.home.faked(&["llama-server"], &["doctor", "--deep"]));
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(ran.out.contains("(LLMUP-G003)") && ran.out.contains("`llmup start demo --yes --detach`"), "{}", ran.out);
    assert!(ran.out.contains("`llmup explain LLMUP-"), "{}", ran.out);
}

#[test]
fn settings_that_lead_elsewhere_are_told_with_their_code_and_which_wins() {
    let bench = Bench::new("llama-cpp");
    let claude = bench.home.path().join(".claude");
    std::fs::create_dir_all(&claude).unwrap();
    let own = claude.join("settings.json");
    let text = "{\"env\":{\"ANTHROPIC_BASE_URL\":\"https://elsewhere.example\"}}";
    std::fs::write(&own, text).unwrap();
    let ran = finish(bench.home.faked(&["llama-server"], &["doctor", "--json", "--fix", "--yes"]));
    let report = json(&ran.out);
    let beats = found(&report, "LLMUP-C005");
    let named = beats.iter().find(|finding| finding["text"].as_str().unwrap().contains("settings.json"));
    let named = named.unwrap_or_else(|| panic!("{report}"));
    assert!(named["text"].as_str().unwrap().contains("beats the environment"), "{named}");
    assert_eq!((named["status"].as_str(), ran.code), (Some("problem"), Some(1)), "{named}");
    // Without a gateway there is nothing to connect it to.
    let fix = fix_of(&report, "LLMUP-C005");
    assert_eq!(fix["done"], false, "{report}");
    assert_eq!((fix["client"].as_str(), named["client"].as_str()), (Some("claude"), Some("claude")), "{report}");
    assert!(fix["said"].as_str().unwrap().contains("`llmup start demo --yes --detach`"), "{fix}");
    assert_eq!(std::fs::read_to_string(&own).unwrap(), text);
}

#[test]
fn settings_that_lead_elsewhere_are_shown_put_in_order_and_given_back() {
    let bench = Bench::new("llama-cpp");
    let own = bench.home.path().join(".claude/settings.json");
    let text = "{\n  \"env\": {\n    \"ANTHROPIC_BASE_URL\": \"https://elsewhere.example\"\n  }\n}";
    std::fs::create_dir_all(own.parent().unwrap()).unwrap();
    std::fs::write(&own, text).unwrap();
    let mut llmup = bench.start(&[]);
    llmup.ready(LONG);
    let fix = |args: &[&str]| {
        let mut all = vec!["doctor", "--json", "--fix"];
        all.extend(args);
        let ran = finish(bench.home.faked(&["llama-server"], &all));
        assert!(!ran.err.contains(KEY) && !ran.out.contains(KEY), "{}", ran.err);
        (json(&ran.out), ran.err, ran.code)
    };
    let (shown, said, code) = fix(&["--dry-run"]);
    let said_how = fix_of(&shown, "LLMUP-C005")["said"].as_str();
    assert_eq!((said_how, code), (Some("`llmup connect claude`"), Some(1)), "{shown}");
    assert!(said.contains("-     \"ANTHROPIC_BASE_URL\": \"https://elsewhere.example\""), "{said}");
    let (unasked, _, _) = fix(&[]);
    assert_eq!(fix_of(&unasked, "LLMUP-C005")["done"], false, "nobody is there to ask: {unasked}");
    assert_eq!(std::fs::read_to_string(&own).unwrap(), text);
    let (fixed, said, code) = fix(&["--yes"]);
    assert_eq!(fix_of(&fixed, "LLMUP-C005")["done"], true, "{fixed}");
    assert_eq!(fixed["problems_left"].as_u64(), Some(0), "{fixed}");
    assert_eq!(code, Some(0), "what was put in order is no problem any more");
    assert!(said.contains("looked again: 0 problems"), "{said}");
    assert!(std::fs::read_to_string(&own).unwrap().contains(&bench.url));
    let back = finish(bench.home.faked(&[], &["disconnect", "claude", "--yes"]));
    assert_eq!((back.code, std::fs::read_to_string(&own).unwrap().as_str()), (Some(0), text), "{}", back.err);
    bench.end(&mut llmup);
}

#[test]
fn what_a_crash_left_is_told_shown_and_put_in_order_in_that_order() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[]);
    llmup.ready(LONG);
    kill9(llmup.child.id());
    let _ = llmup.child.wait();
    let doctor = |args: &[&str]| {
        let mut all = vec!["doctor", "--json"];
        all.extend(args);
        json(&finish(bench.home.faked(&[], &all)).out)
    };
    assert_eq!(found(&doctor(&[]), "LLMUP-G014").len(), 1);
    let shown = doctor(&["--fix", "--dry-run"]);
    assert_eq!(fix_of(&shown, "LLMUP-G014")["done"], false, "{shown}");
    assert_eq!(bench.home.instances(), 1, "nothing was done");
    let unasked = doctor(&["--fix"]);
    assert_eq!(fix_of(&unasked, "LLMUP-G014")["done"], false, "nobody is there to ask: {unasked}");
    assert_eq!(bench.home.instances(), 1);
    let fixed = doctor(&["--fix", "--yes"]);
    assert_eq!(fix_of(&fixed, "LLMUP-G014")["done"], true, "{fixed}");
    bench.clean(LONG);
    assert!(found(&doctor(&[]), "LLMUP-G014").is_empty());
}
