//! A client that is not here is installed: with the fake npm; a client on Windows would be its `.cmd` shim.

use super::*;

fn install(home: &Home, prefix: &Path) -> (Ran, Vec<Vec<String>>) {
    let log = home.path().join("installs");
    let mut run = on_named(home, &["claude", "--install"]);
    run.env("FAKE_PREFIX", prefix).env("FAKE_INSTALLS", &log);
    // npm's folder of programs is on PATH, as it is on a real machine.
    run.env("PATH", std::env::join_paths([bin(home), prefix.join("bin")]).unwrap());
    let ran = finish(run);
    let lines = std::fs::read_to_string(log).unwrap_or_default();
    (ran, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_missing_client_is_installed_in_the_version_that_was_measured() {
    let home = home_with(&["npm"]);
    let prefix = home.path().join("prefix");
    let (ran, installs) = install(&home, &prefix);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    // Standard output is the client's alone.
    told(&ran);
    assert!(ran.err.contains("this is what an installer says"), "{}", ran.err);
    let [words] = &installs[..] else { panic!("{installs:?}") };
    assert_eq!(words[..2], ["install", "-g"]);
    assert!(words.last().unwrap().starts_with("@anthropic-ai/claude-code@2."), "{words:?}");
    assert!(!words.contains(&"--prefix".to_owned()));
    let (again, installs) = install(&home, &prefix);
    assert_eq!((again.code, installs.len()), (Some(0), 1), "it is there now: {}", again.err);
}

#[test]
fn where_the_machines_folder_cannot_be_written_it_goes_to_llmups_own_and_is_found_there() {
    let home = home_with(&["npm"]);
    let (ran, installs) = install(&home, Path::new("/proc"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    told(&ran);
    let own = home.data.join("clients/npm");
    assert!(installs[0].contains(&own.to_string_lossy().into_owned()), "{installs:?}");
    assert!(own.join("bin/claude").exists());
    let ran = finish(on_named(&home, &["claude"]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[test]
fn an_installer_that_fails_ends_it_with_4_and_the_command_by_hand() {
    let home = home_with(&["npm"]);
    let mut run = on_named(&home, &["claude", "--install"]);
    run.env("FAKE_PREFIX", home.path().join("prefix")).env("FAKE_REFUSE", "1");
    let ran = finish(run);
    assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{}", ran.err);
    assert!(ran.err.contains("could not install Claude Code"), "{}", ran.err);
    assert!(ran.err.contains("`npm install -g @anthropic-ai/claude-code@"), "{}", ran.err);
}
