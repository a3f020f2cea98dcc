//! A command as the user may paste it: into a POSIX shell, or into PowerShell on Windows (5.1 and 7 take the same).

use super::CommandLine;
use crate::host::Os;

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

/// A path or another word as one would type it after a command of `os`.
pub fn word(text: &str, os: Os) -> String {
    if os == Os::Windows { powershell_word(text) } else { posix_word(text) }
}

fn posix(env: &[(&str, String)], program: &str, args: &[String]) -> String {
    let env = env.iter().map(|(name, value)| format!("{name}={}", posix_word(value)));
    let words = std::iter::once(program).chain(args.iter().map(String::as_str)).map(posix_word);
    env.chain(words).collect::<Vec<_>>().join(" ")
}

fn posix_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
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

fn powershell_word(text: &str) -> String {
    // Windows PowerShell splits `-a.b` and `-a:b` in two.
    let split = text.starts_with('-') && text.contains(['.', ':']);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+\\".contains(c);
    if !text.is_empty() && !split && text.chars().all(plain) { text.to_owned() } else { powershell_quoted(text) }
}

/// Single quotes: nothing is special inside but the quote itself, of which PowerShell knows five.
fn powershell_quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted + "'"
}

/// A word as C programs on Windows take their command line apart: backslashes count only before a quote.
fn c_word(text: &str) -> String {
    if !text.is_empty() && !text.contains([' ', '\t', '"', '|', '&', '<', '>', ';']) {
        return text.to_owned();
    }
    let mut word = String::from("\"");
    let mut backslashes = 0;
    for c in text.chars() {
        let repeat = if c == '"' { backslashes + 1 } else { 0 };
        word.extend(std::iter::repeat_n('\\', repeat));
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
        word.push(c);
    }
    word.extend(std::iter::repeat_n('\\', backslashes));
    word + "\""
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
        assert_eq!(word("typographic ’ quote", Os::Windows), "'typographic ’’ quote'");
    }

    #[test]
    fn double_quotes_and_empty_words_survive_every_powershell() {
        let args = ["--kwargs", r#"{"a": "b\"}"#, "", r"C:\with space\"];
        assert_eq!(
            command("llama-server", &args, &[]).shown_on(Os::Windows),
            r#"llama-server --% --kwargs "{\"a\": \"b\\\"}" "" "C:\with space\\""#
        );
    }

    #[test]
    fn a_backslash_is_quoted_for_posix() {
        assert_eq!(word(r"a\b", Os::Linux), r"'a\b'");
        assert_eq!(word("", Os::Linux), "''");
    }
}
