//! Writes exports in the language of the user's shell.

use super::Export;
use crate::error::{Explain, paste};
use crate::exit::Exit;

mod detect;
pub mod file;

pub use detect::{ancestors, detect};

/// Shells llmup can write for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
    /// Windows PowerShell and PowerShell 7.
    Powershell,
    /// cmd.exe.
    Cmd,
    /// Nushell.
    Nu,
    /// Any other shell of the Bourne family.
    Posix,
}

impl Shell {
    /// Every shell with the name people type.
    pub const ALL: [(&'static str, Shell); 7] = [
        ("bash", Shell::Bash),
        ("zsh", Shell::Zsh),
        ("fish", Shell::Fish),
        ("powershell", Shell::Powershell),
        ("cmd", Shell::Cmd),
        ("nu", Shell::Nu),
        ("posix", Shell::Posix),
    ];

    /// The name people type.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, shell)| *shell == self).map_or("posix", |(name, _)| name)
    }

    /// The shell of that program or name: `pwsh.exe`, `-zsh`, `/usr/bin/fish`.
    pub fn of_program(program: &str) -> Option<Shell> {
        let name = program.rsplit(['/', '\\']).next()?.trim_start_matches('-').to_ascii_lowercase();
        match name.strip_suffix(".exe").unwrap_or(&name) {
            "bash" => Some(Shell::Bash),
            "zsh" => Some(Shell::Zsh),
            "fish" => Some(Shell::Fish),
            "pwsh" | "powershell" | "pwsh-preview" => Some(Shell::Powershell),
            "cmd" => Some(Shell::Cmd),
            "nu" | "nushell" => Some(Shell::Nu),
            "sh" | "dash" | "ash" | "ksh" | "mksh" | "posix" => Some(Shell::Posix),
            _ => None,
        }
    }

    /// A program's path as the first word of a command.
    pub fn program(self, path: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+".contains(c);
        let backslash = |c: char| c == '\\' && matches!(self, Shell::Powershell | Shell::Cmd);
        if !path.is_empty() && path.chars().all(|c| plain(c) || backslash(c)) {
            return path.to_owned();
        }
        match self {
            // What stands in quotes is a value there, until it is called.
            Shell::Powershell => format!("& {}", quoted(path, self)),
            Shell::Nu => format!("^{}", quoted(path, self)),
            Shell::Bash | Shell::Zsh | Shell::Posix | Shell::Fish | Shell::Cmd => quoted(path, self),
        }
    }

    /// `first` and, when that is done, `second`, on one line.
    pub fn then(self, first: &str, second: &str) -> String {
        match self {
            Shell::Bash | Shell::Zsh | Shell::Posix => format!("{first} && {second}"),
            Shell::Fish | Shell::Powershell | Shell::Nu => format!("{first}; {second}"),
            // Without the parentheses it would belong to what `for` does, once for every line.
            Shell::Cmd => format!("({first}) & {second}"),
        }
    }

    /// The line that loads the output of `command` into this shell.
    pub fn how_to_load(self, command: &str) -> String {
        match self {
            Shell::Bash | Shell::Zsh | Shell::Posix => format!("eval \"$({command})\""),
            Shell::Fish => format!("{command} | source"),
            Shell::Powershell => format!("{command} | Out-String | Invoke-Expression"),
            // The shell that runs it takes the outermost quotes away. Escaped they do not count for this one, to which
            // `(x86)` would else end the list.
            Shell::Cmd if command.starts_with('"') => {
                format!("for /f \"delims=\" %i in ('^\"{command}^\"') do @%i")
            }
            Shell::Cmd => format!("for /f \"delims=\" %i in ('{command}') do @%i"),
            // Nushell reads its own language only from files, but takes records.
            Shell::Nu => format!("let e = ({command} --json | from json); load-env $e.set; hide-env -i ...$e.unset"),
        }
    }
}

/// Why exports cannot be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RenderError {
    /// A control character could end the statement or drive the terminal.
    #[error("the value of {name} holds a line break or another control character")]
    Control {
        /// The variable.
        name: String,
    },
    /// No spelling of this character is right in every place cmd.exe reads.
    #[error("the value of {name} holds {character}, which cmd.exe cannot take reliably")]
    Cmd {
        /// The variable.
        name: String,
        /// The character.
        character: char,
    },
    /// Readers of `.env` files do not agree on it.
    #[error("the value of {name} holds {what}, which readers of .env files take differently")]
    Dotenv {
        /// The variable.
        name: String,
        /// What it holds.
        what: &'static str,
    },
    /// Not a name a shell takes.
    #[error("{name:?} is no name for an environment variable")]
    Name {
        /// What was given.
        name: String,
    },
}

impl Explain for RenderError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        match self {
            RenderError::Cmd { .. } => vec!["use PowerShell: add `--shell powershell`".into()],
            RenderError::Dotenv { .. } => {
                vec!["another form: `--format json`, or `--format docker` for `docker run --env-file`".into()]
            }
            RenderError::Control { .. } => {
                vec!["check `--model`, `--key` and `--base-url` for stray characters".into()]
            }
            RenderError::Name { .. } => Vec::new(),
        }
    }
}

/// The exports as lines of `shell`, each ended by a newline.
pub fn render(exports: &[Export], shell: Shell) -> Result<String, RenderError> {
    let mut text = String::new();
    for export in exports {
        text.push_str(&match export {
            Export::Set { name, value } => {
                check(name, value, shell)?;
                set(name, value, shell)
            }
            Export::Unset { name } => {
                check(name, "", shell)?;
                unset(name, shell)
            }
            Export::Comment(words) => comment(words, shell),
        });
        text.push('\n');
    }
    Ok(text)
}

/// Refuses what no quoting makes safe.
pub fn check(name: &str, value: &str, shell: Shell) -> Result<(), RenderError> {
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !good {
        return Err(RenderError::Name { name: name.into() });
    }
    if value.chars().any(char::is_control) {
        return Err(RenderError::Control { name: name.into() });
    }
    // `%` must be doubled in a batch file and must not be in `for /f`; `"` ends the quoting that keeps `&` harmless.
    let bad = value.chars().find(|c| shell == Shell::Cmd && matches!(c, '%' | '"'));
    bad.map_or(Ok(()), |character| Err(RenderError::Cmd { name: name.into(), character }))
}

fn set(name: &str, value: &str, shell: Shell) -> String {
    match shell {
        Shell::Bash | Shell::Zsh | Shell::Posix => format!("export {name}={}", quoted(value, shell)),
        Shell::Fish => format!("set -gx {name} {}", quoted(value, shell)),
        Shell::Powershell => format!("$env:{name} = {}", powershell(value)),
        Shell::Cmd => format!("set \"{name}={value}\""),
        Shell::Nu => format!("$env.{name} = {}", quoted(value, shell)),
    }
}

/// A text in the quotes of a shell.
fn quoted(text: &str, shell: Shell) -> String {
    match shell {
        // Single quotes: nothing is special inside, not even `!` for the history of bash.
        Shell::Bash | Shell::Zsh | Shell::Posix => format!("'{}'", text.replace('\'', r"'\''")),
        Shell::Fish => format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'")),
        Shell::Powershell => paste::powershell_quoted(text),
        Shell::Cmd => format!("\"{text}\""),
        // Without a leading `$`, double quotes of Nushell know the backslash only.
        Shell::Nu => format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"")),
    }
}

/// PowerShell decodes a program's output by the console's code page, so every other character is written as its
/// number. That also covers the typographic quotes, which PowerShell takes for `'`.
fn powershell(value: &str) -> String {
    if value.is_ascii() {
        return format!("'{}'", value.replace('\'', "''"));
    }
    let mut text = String::from("('");
    for c in value.chars() {
        match c {
            '\'' => text.push_str("''"),
            c if c.is_ascii() => text.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("'+[char]0x{unit:04X}+'"));
                }
            }
        }
    }
    text + "')"
}

fn unset(name: &str, shell: Shell) -> String {
    match shell {
        Shell::Bash | Shell::Zsh | Shell::Posix => format!("unset {name}"),
        Shell::Fish => format!("set -e {name}"),
        Shell::Powershell => format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue"),
        Shell::Cmd => format!("set \"{name}=\""),
        Shell::Nu => format!("hide-env -i {name}"),
    }
}

fn comment(words: &str, shell: Shell) -> String {
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shell == Shell::Cmd {
        // cmd.exe expands `%` and obeys `&`, `|`, `<`, `>` and `^` even there.
        let tame: String =
            words.chars().map(|c| if matches!(c, '%' | '&' | '|' | '<' | '>' | '^' | '!') { ' ' } else { c }).collect();
        return format!("rem {tame}");
    }
    format!("# {words}")
}
