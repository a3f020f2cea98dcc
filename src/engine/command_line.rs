//! A command as it is run, and as the user may paste it: into a POSIX shell, or into PowerShell on Windows (5.1 and 7
//! take the same).

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::paste::{c_word, posix_word, powershell_quoted, powershell_word};
use crate::host::Os;

/// A program with everything it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables set for it.
    pub env: Vec<(String, OsString)>,
}

impl CommandLine {
    /// The command as one would type it on this system; keys are not shown.
    pub fn shown(&self) -> String {
        self.shown_on(Os::current())
    }

    /// The command as one would type it on `os`.
    pub fn shown_on(&self, os: Os) -> String {
        let env: Vec<(&str, String)> = self
            .env
            .iter()
            .filter(|(name, _)| !name.ends_with("API_KEY"))
            .map(|(name, value)| (name.as_str(), value.to_string_lossy().into_owned()))
            .collect();
        let program = self.program.to_string_lossy();
        let args: Vec<String> = self.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        if os == Os::Windows { powershell(&env, &program, &args) } else { posix(&env, &program, &args) }
    }
}

fn posix(env: &[(&str, String)], program: &str, args: &[String]) -> String {
    let env = env.iter().map(|(name, value)| format!("{name}={}", posix_word(value)));
    let words = std::iter::once(program).chain(args.iter().map(String::as_str)).map(posix_word);
    env.chain(words).collect::<Vec<_>>().join(" ")
}

/// PowerShell has no `A=b command`: variables are set before it, for the whole session.
fn powershell(env: &[(&str, String)], program: &str, args: &[String]) -> String {
    let mut text: String =
        env.iter().map(|(name, value)| format!("$env:{name} = {}; ", powershell_quoted(value))).collect();
    let word = powershell_word(program);
    // Only the call operator starts what stands in quotes.
    text.push_str(if word.starts_with('\'') { "& " } else { "" });
    text.push_str(&word);
    // Up to 7.2 it loses double quotes and empty words on the way to a program, later ones do not; after `--%` both
    // pass on what is written, so there the rules of C programs count.
    let literal = args.iter().any(|arg| arg.is_empty() || arg.contains('"'));
    text.push_str(if literal { " --%" } else { "" });
    for arg in args {
        text.push(' ');
        text.push_str(&if literal { c_word(arg) } else { powershell_word(arg) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(program: &str, args: &[&str], env: &[(&str, &str)]) -> CommandLine {
        CommandLine {
            program: program.into(),
            args: args.iter().map(Into::into).collect(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect(),
        }
    }

    #[test]
    fn a_shown_command_can_be_pasted_and_hides_keys() {
        let env = [("VLLM_API_KEY", "secret"), ("A", "b c")];
        let command = command("/opt/my engines/vllm", &["serve", "it's"], &env);
        assert_eq!(command.shown_on(Os::Linux), r"A='b c' '/opt/my engines/vllm' serve 'it'\''s'");
        assert_eq!(command.shown_on(Os::Macos), command.shown_on(Os::Linux));
        assert_eq!(command.shown_on(Os::Windows), "$env:A = 'b c'; & '/opt/my engines/vllm' serve 'it''s'");
    }

    #[test]
    fn on_windows_it_is_powershell() {
        let args = ["-m", r"D:\models\glm-4.7", "--alias", "a,b", "-ngl", "999"];
        assert_eq!(
            command(r"C:\engines\llama-server.exe", &args, &[]).shown_on(Os::Windows),
            r"C:\engines\llama-server.exe -m D:\models\glm-4.7 --alias 'a,b' -ngl 999"
        );
        let args = ["-m", r"\\nas\models\Qwen 3\q4.gguf", "-ts=0.5", "$x"];
        assert_eq!(
            command(r"C:\Users\Грета\llama-server.exe", &args, &[]).shown_on(Os::Windows),
            r"& 'C:\Users\Грета\llama-server.exe' -m '\\nas\models\Qwen 3\q4.gguf' '-ts=0.5' '$x'"
        );
    }

    #[test]
    fn double_quotes_and_empty_words_survive_every_powershell() {
        let args = ["--kwargs", r#"{"a": "b\"}"#, "", r"C:\with space\"];
        assert_eq!(
            command("llama-server", &args, &[]).shown_on(Os::Windows),
            r#"llama-server --% --kwargs "{\"a\": \"b\\\"}" "" "C:\with space\\""#
        );
    }
}
