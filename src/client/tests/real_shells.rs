//! The same with real shells, as far as they are installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;

use crate::client::Export;
use crate::client::shell::{Shell, render};

const NASTY: &[&str] = &[
    "",
    "plain",
    "it's",
    "'",
    "''' \\' \\",
    "\\",
    "a\\",
    "$HOME $(exit 3) `exit 3` ${x}",
    "%PATH% %%",
    "!! !x ^ & | < > ; # ~ * ? [a] {b,c}",
    "\"double\" 'single'",
    "钥匙 é 🔑 ‘typographic’",
    "-n",
    " leading and trailing ",
    "(1 + 1) $env.HOME \\u{41} \\x41",
];

/// Programs to try per shell, and how each is told to run a script.
const REAL: &[(Shell, &str, &[&str])] = &[
    (Shell::Bash, "bash", &["--norc", "-c"]),
    (Shell::Posix, "dash", &["-c"]),
    (Shell::Posix, "sh", &["-c"]),
    (Shell::Zsh, "zsh", &["-f", "-c"]),
    (Shell::Fish, "fish", &["--no-config", "-c"]),
    (Shell::Nu, "nu", &["--no-config-file", "-c"]),
    (Shell::Powershell, "pwsh", &["-NoProfile", "-Command"]),
];

/// What the shell's child sees after it took `exports`: the values of `names`, unset ones as `None`.
fn through(shell: Shell, program: &Path, how: &[&str], exports: &[Export], names: &[String]) -> Vec<Option<String>> {
    let mut script = render(exports, shell).unwrap();
    // Another program looks at the environment: that is what the exports are for.
    script.push_str(if shell == Shell::Nu { "^env -0\n" } else { "env -0\n" });
    let out = Command::new(program).args(how).arg(&script).env("LLMUP_T_OLD", "old").output().unwrap();
    assert!(out.status.success(), "{shell:?}: {script}\n{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let value = |name: &String| {
        text.split('\0').find_map(|pair| pair.strip_prefix(name.as_str())?.strip_prefix('=')).map(str::to_owned)
    };
    names.iter().map(value).collect()
}

fn round_trip(values: &[String]) {
    let names: Vec<String> = (0..values.len()).map(|n| format!("LLMUP_T{n}")).collect();
    let mut exports = vec![Export::Comment("it's $(exit 9) `exit 9` \"\n exit 9".into()), Export::unset("LLMUP_T_OLD")];
    exports.extend(names.iter().zip(values).map(|(name, value)| Export::set(name, value)));
    exports.push(Export::unset("LLMUP_T_NEVER"));
    let asked: Vec<String> = names.iter().cloned().chain(["LLMUP_T_OLD".into()]).collect();
    for (shell, program, how) in REAL {
        let Some(program) = find(program) else { continue };
        let mut got = through(*shell, &program, how, &exports, &asked);
        assert_eq!(got.pop().unwrap(), None, "{shell:?} still has the variable that was unset");
        let expected: Vec<Option<String>> = values.iter().cloned().map(Some).collect();
        assert_eq!(got, expected, "{shell:?}");
    }
}

fn find(program: &str) -> Option<PathBuf> {
    which::which(program).ok()
}

#[test]
fn nasty_values_reach_every_real_shell_unchanged() {
    for (_, program, _) in REAL {
        if find(program).is_none() {
            println!("skipped: {program} is not installed");
        }
    }
    round_trip(&NASTY.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_value_reaches_every_real_shell_unchanged(values in prop::collection::vec("[^\\p{Cc}]{0,24}", 8)) {
        round_trip(&values);
    }
}
