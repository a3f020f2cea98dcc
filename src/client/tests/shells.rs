//! Whatever a value holds, the shell must end up with exactly that, and run nothing of it. `real` asks shells.

use proptest::prelude::*;

use super::Recorded;
use crate::client::Export;
use crate::client::shell::{RenderError, Shell, ancestors, detect, render};
use crate::host::Os;

#[cfg(unix)]
#[path = "real_shells.rs"]
mod real;

proptest! {
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
