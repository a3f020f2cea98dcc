//! What holds all checks together: their limits, their codes, and the report.

use super::super::report::{Look, render};
use super::*;

struct Hangs;
struct Panics;
struct Quick;

impl Check for Hangs {
    fn section(&self) -> Section {
        Section::Engines
    }
    fn look(&self, _: &Scene) -> Vec<Finding> {
        std::thread::sleep(Duration::from_secs(60));
        Vec::new()
    }
}

impl Check for Panics {
    fn section(&self) -> Section {
        Section::Ports
    }
    fn look(&self, _: &Scene) -> Vec<Finding> {
        // Like a panic, but without the backtrace, which takes seconds on a busy machine.
        std::panic::resume_unwind(Box::new("on purpose"))
    }
}

impl Check for Quick {
    fn section(&self) -> Section {
        Section::Running
    }
    fn look(&self, _: &Scene) -> Vec<Finding> {
        vec![Finding::ok(Section::Running, "fine")]
    }
}

#[test]
fn a_check_that_hangs_or_fails_is_a_warning_and_hides_no_other() {
    let places = Places { home: "/".into(), project: "/".into() };
    let scene = Arc::new(Scene { inputs: inputs(), host: Arc::new(Recorded::new(Os::Linux)), places });
    let start = Instant::now();
    let findings = examine(&[&Hangs, &Panics, &Quick], &scene, Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(findings[0].status, Status::Warning);
    assert!(findings[0].text.contains("no result within 1 s"), "{}", findings[0].text);
    assert_eq!(findings[1].text, "this check failed in itself");
    assert_eq!(findings[2].text, "fine");
}

#[test]
fn slow_disks_cost_one_limit_not_one_per_check() {
    let mut host = Recorded::new(Os::Linux);
    host.slow = Duration::from_secs(2);
    let places = Places { home: "/home/u".into(), project: "/projects/p".into() };
    let start = Instant::now();
    let findings = examine(
        &checks(),
        &Arc::new(Scene { inputs: inputs(), host: Arc::new(host), places }),
        Duration::from_millis(400),
    );
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(findings.iter().any(|finding| finding.text.contains("given up")));
}

#[test]
fn every_code_that_is_given_is_in_the_catalogue() {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/doctor");
    let mut seen = 0;
    for entry in [own.clone(), own.join("deep")].iter().flat_map(|dir| std::fs::read_dir(dir).unwrap()) {
        let path = entry.unwrap().path();
        let text = if path.is_file() { std::fs::read_to_string(path).unwrap() } else { continue };
        let named = text.split("\"LLMUP-").skip(1).filter_map(|rest| rest.split_once('"')).map(|(code, _)| code);
        for code in named.filter(|code| code.len() == 4) {
            assert!(crate::profile::finding(code).unwrap().is_some(), "{code}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn the_report_reads_in_any_terminal() {
    let findings = [
        Finding::ok(Section::Ports, "port 1 is free"),
        Finding::warning("LLMUP-C002", Section::Clients, "old", "`new`").because(vec!["it says 1".into()]),
        Finding::problem("LLMUP-G004", Section::Running, "dead", "`llmup stop`"),
    ];
    let look = |unicode, columns| render(&findings, Look { terminal: false, unicode, columns });
    let plain = look(false, 80);
    assert_eq!(
        plain,
        "Ports and proxies\n  ok port 1 is free\n\nClients\n  !  old (LLMUP-C002)\n      it says 1\n      -> `new`\n\n\
         Running\n  x  dead (LLMUP-G004)\n      -> `llmup stop`\n\n1 problem, 1 warning\n\
         what a code means: `llmup explain LLMUP-G004`\n"
    );
    assert!(plain.is_ascii());
    let unicode = look(true, 80);
    assert!(unicode.contains("  ✓ port") && unicode.contains("  ✗ dead") && !unicode.contains('\u{1b}'));
    let long = "many words that stand one after the other ".repeat(9);
    let findings = [Finding::problem("LLMUP-G004", Section::Running, &long, &long).because(vec![long.clone()])];
    for columns in [40, 60, 80, 100] {
        let text = render(&findings, Look { terminal: false, unicode: true, columns });
        assert!(text.lines().all(|line| crate::wrapped::width(line) <= columns.max(50)), "{text}");
        assert!(text.contains("(LLMUP-G004)"));
    }
}

#[test]
fn clients_that_are_not_here_are_one_line() {
    let absent = |name: &str| Finding {
        code: Some("LLMUP-C001"),
        ..Finding::ok(Section::Clients, format!("{name} is not installed"))
    };
    let mut findings: Vec<Finding> = ["a", "b", "c", "d"].map(absent).into();
    findings.insert(1, Finding::ok(Section::Clients, "here 1.2"));
    findings.push(Finding::ok(Section::Environment, "fine"));
    let text = render(&findings, Look { terminal: false, unicode: false, columns: 80 });
    assert!(text.starts_with("Clients\n  ok here 1.2\n  ok not installed: a, b, c, d\n      -> how each"), "{text}");
    assert!(text.contains("\n\nSettings and environment\n  ok fine\n"), "{text}");
}

#[test]
fn json_names_sections_and_statuses_in_lower_case() {
    let value = serde_json::to_value(Finding::ok(Section::Hardware, "x")).unwrap();
    let expected = serde_json::json!({
        "code": null, "section": "hardware", "client": null, "status": "ok", "text": "x", "evidence": [], "cure": null,
    });
    assert_eq!(value, expected);
}
