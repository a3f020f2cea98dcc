//! Words of commands that are shown, so that they can be pasted: for POSIX shells, and for PowerShell on Windows.

use std::path::Path;

use crate::host::Os;

/// A path as one would type it after a command on this system.
pub fn path(path: &Path) -> String {
    word(&path.to_string_lossy(), Os::current())
}

/// A path or another word as one would type it after a command of `os`.
pub fn word(text: &str, os: Os) -> String {
    if os == Os::Windows { powershell_word(text) } else { posix_word(text) }
}

/// A word as POSIX shells take it.
pub fn posix_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A word as PowerShell takes it after a command.
pub fn powershell_word(text: &str) -> String {
    // Windows PowerShell splits `-a.b` and `-a:b` in two.
    let split = text.starts_with('-') && text.contains(['.', ':']);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+\\".contains(c);
    if !text.is_empty() && !split && text.chars().all(plain) { text.to_owned() } else { powershell_quoted(text) }
}

/// Single quotes: nothing is special inside but the quote itself, of which PowerShell knows five.
pub fn powershell_quoted(text: &str) -> String {
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
pub fn c_word(text: &str) -> String {
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

    #[test]
    fn a_backslash_is_quoted_for_posix_and_typographic_quotes_for_powershell() {
        assert_eq!(word(r"a\b", Os::Linux), r"'a\b'");
        assert_eq!(word("it's", Os::Macos), r"'it'\''s'");
        assert_eq!(word("", Os::Linux), "''");
        assert_eq!(word(r"D:\models\glm-4.7", Os::Windows), r"D:\models\glm-4.7");
        assert_eq!(word(r"C:\Users\Грета\it's", Os::Windows), r"'C:\Users\Грета\it''s'");
        assert_eq!(word("typographic ’ quote", Os::Windows), "'typographic ’’ quote'");
    }
}
