//! `top` where there is no terminal, and in one.

use crate::support::Home;

#[test]
fn without_a_terminal_it_refuses_and_says_what_to_do() {
    let home = Home::new();
    let ran = home.run(&["top"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.out.is_empty(), "{}", ran.out);
    assert!(ran.err.contains("needs a terminal") && ran.err.contains("`llmup status --json`"), "{}", ran.err);
}

#[test]
fn one_frame_of_a_machine_where_nothing_runs_is_plain_text() {
    let home = Home::new();
    let ran = home.run(&["top", "--once"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("llmup top  nothing is running\n"), "{}", ran.out);
    assert!(ran.out.contains("CPU ") && ran.out.contains("`llmup start demo`"), "{}", ran.out);
    assert!(!ran.out.contains('\x1b') && ran.err.is_empty(), "{} {}", ran.out, ran.err);
}
