//! Whatever a value holds, the shell must end up with exactly that, and run nothing of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;

use super::Recorded;
use crate::client::Export;
use crate::client::shell::{RenderError, Shell, ancestors, detect, render};
use crate::host::Os;

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
#[cfg(unix)]
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
    #[cfg(unix)]
    fn any_value_reaches_every_real_shell_unchanged(values in prop::collection::vec("[^\\p{Cc}]{0,24}", 8)) {
        round_trip(&values);
    }

    #[test]
    fn no_value_makes_rendering_panic_and_no_control_character_comes_out(value in any::<String>()) {
        for (_, shell) in Shell::ALL {
            if let Ok(text) = render(&[Export::set("A", &value)], shell) {
                prop_assert!(!text.trim_end_matches('\n').chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn powershell_output_is_ascii_and_decodes_to_the_value(value in "[^\\p{Cc}]{0,24}") {
        let text = render(&[Export::set("A", &value)], Shell::Powershell).unwrap();
        prop_assert!(text.is_ascii());
        prop_assert_eq!(powershell_value(text.trim_end().strip_prefix("$env:A = ").unwrap()), value);
    }
}

/// A reader of the little PowerShell that llmup writes: `'text'`, `[char]0xNNNN`, `+` and parentheses.
fn powershell_value(expression: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = expression;
    while let Some(c) = rest.chars().next() {
        if c == '\'' {
            let mut text = String::new();
            rest = &rest[1..];
            loop {
                if let Some(after) = rest.strip_prefix("''") {
                    text.push('\'');
                    rest = after;
                } else if let Some(after) = rest.strip_prefix('\'') {
                    rest = after;
                    break;
                } else {
                    text.push(rest.chars().next().expect("the string ends"));
                    rest = &rest[1..];
                }
            }
            units.extend(text.encode_utf16());
        } else if let Some(after) = rest.strip_prefix("[char]0x") {
            units.push(u16::from_str_radix(&after[..4], 16).unwrap());
            rest = &after[4..];
        } else {
            assert!("()+".contains(c), "{rest}");
            rest = &rest[1..];
        }
    }
    String::from_utf16(&units).unwrap()
}

#[test]
fn each_shell_gets_its_own_words() {
    let exports = [Export::Comment("why & 100%".into()), Export::set("A", "it's $x"), Export::unset("B")];
    let text = |shell| render(&exports, shell).unwrap();
    assert_eq!(text(Shell::Bash), "# why & 100%\nexport A='it'\\''s $x'\nunset B\n");
    assert_eq!(text(Shell::Fish), "# why & 100%\nset -gx A 'it\\'s $x'\nset -e B\n");
    assert_eq!(
        text(Shell::Powershell),
        "# why & 100%\n$env:A = 'it''s $x'\nRemove-Item Env:B -ErrorAction SilentlyContinue\n"
    );
    assert_eq!(text(Shell::Cmd), "rem why   100 \nset \"A=it's $x\"\nset \"B=\"\n");
    assert_eq!(text(Shell::Nu), "# why & 100%\n$env.A = \"it's $x\"\nhide-env -i B\n");
}

#[test]
fn what_no_quoting_makes_safe_is_refused() {
    let refused = |value: &str, shell| render(&[Export::set("A", value)], shell).unwrap_err();
    for (_, shell) in Shell::ALL {
        for value in ["a\nb", "a\rb", "a\0b", "\u{1b}[2J"] {
            assert_eq!(refused(value, shell), RenderError::Control { name: "A".into() });
        }
        assert!(render(&[Export::set("A B", "x")], shell).is_err());
        assert!(render(&[Export::unset("A;exit")], shell).is_err());
    }
    assert_eq!(refused("50%", Shell::Cmd), RenderError::Cmd { name: "A".into(), character: '%' });
    assert_eq!(refused("a\"&calc", Shell::Cmd), RenderError::Cmd { name: "A".into(), character: '"' });
}

#[test]
fn the_shell_is_found_by_its_process_then_by_its_traces() {
    let named = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let linux = Recorded::new(Os::Linux).var("SHELL", "/bin/zsh");
    assert_eq!(detect(&linux, &named(&["cargo", "fish"])), Shell::Fish);
    assert_eq!(detect(&linux, &named(&["-bash"])), Shell::Bash);
    assert_eq!(detect(&linux, &named(&["sh", "make"])), Shell::Zsh);
    assert_eq!(detect(&linux, &[]), Shell::Zsh);
    assert_eq!(detect(&linux.clone().var("NU_VERSION", "0.115.1"), &[]), Shell::Nu);
    assert_eq!(detect(&Recorded::new(Os::Linux), &[]), Shell::Posix);
    let windows = Recorded::new(Os::Windows).var("ComSpec", r"C:\Windows\system32\cmd.exe");
    assert_eq!(
        detect(&windows.clone().var("PSModulePath", r"C:\Program Files\WindowsPowerShell\Modules"), &[]),
        Shell::Cmd
    );
    assert_eq!(
        detect(&windows.clone().var("PSModulePath", r"C:\Users\a\Documents\PowerShell\Modules"), &[]),
        Shell::Powershell
    );
    assert_eq!(detect(&windows, &named(&["pwsh.exe", "WindowsTerminal.exe"])), Shell::Powershell);
    assert_eq!(detect(&Recorded::new(Os::Windows), &[]), Shell::Powershell);
}

#[test]
fn the_processes_above_us_have_names() {
    assert!(ancestors().iter().all(|name| !name.is_empty()));
    #[cfg(target_os = "linux")]
    assert!(!ancestors().is_empty());
}
