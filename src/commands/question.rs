//! Questions to be answered with yes or no. They are read key by key, so that Ctrl-C is an answer like any other, also
//! when its signal has been given another meaning; the terminal is as it was between two keys, and its cursor stays.

use std::io;

use console::{Key, Term};

use super::interrupted::Interrupted;
use crate::error::Result;
use crate::output;
use crate::words;

/// How often somebody is asked who answers with something else.
const TIMES: usize = 3;

/// What was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Typed {
    /// Enter alone.
    Nothing,
    Yes,
    No,
    /// Neither.
    Else,
    CtrlC,
}

/// Whether the user agrees; Enter alone is a yes, closed input a no. Only for where [`output::interactive`] is true.
pub fn agreed(question: &str) -> Result<bool> {
    ask(question, "[Y/n]", true)
}

/// The same for what may do harm: Enter alone is a no.
pub fn insisted(question: &str) -> Result<bool> {
    ask(question, "[y/N]", false)
}

fn ask(question: &str, choice: &str, enter: bool) -> Result<bool> {
    let (terminal, question) = (Term::stderr(), words::say(question));
    for _ in 0..TIMES {
        output::prompt(&format!("{question} {choice} "));
        match line(|| terminal.read_key_raw(), output::prompt) {
            Typed::Nothing => return Ok(enter),
            Typed::Yes => return Ok(true),
            Typed::No => return Ok(false),
            Typed::CtrlC => return Err(Interrupted::by_key().into()),
            Typed::Else => {}
        }
    }
    Ok(false)
}

/// Reads keys to the end of the line, and shows them.
fn line(mut key: impl FnMut() -> io::Result<Key>, show: impl Fn(&str)) -> Typed {
    let mut word = String::new();
    let typed = loop {
        match key() {
            Ok(Key::Enter) => break meaning(&word),
            Ok(Key::CtrlC) => {
                show("^C");
                break Typed::CtrlC;
            }
            // Ctrl-D closes the input of a line that is empty.
            Ok(Key::Char('\u{4}')) if word.is_empty() => break Typed::No,
            Ok(Key::Escape) | Err(_) => break Typed::No,
            Ok(Key::Backspace) => {
                if let Some(gone) = word.pop() {
                    let columns = words::width(gone.encode_utf8(&mut [0; 4]));
                    show(&["\u{8}".repeat(columns), " ".repeat(columns), "\u{8}".repeat(columns)].concat());
                }
            }
            Ok(Key::Char(c)) if !c.is_control() => {
                word.push(c);
                show(c.encode_utf8(&mut [0; 4]));
            }
            Ok(_) => {}
        }
    };
    show("\n");
    typed
}

fn meaning(word: &str) -> Typed {
    match word.trim().to_lowercase().as_str() {
        "" => Typed::Nothing,
        "y" | "yes" | "是" | "好" | "对" => Typed::Yes,
        "n" | "no" | "否" | "不" | "不是" => Typed::No,
        _ => Typed::Else,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn typed(keys: &[Key]) -> (Typed, String) {
        let (mut keys, shown) = (keys.iter().cloned(), RefCell::new(String::new()));
        let next = || keys.next().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
        let typed = line(next, |text| shown.borrow_mut().push_str(text));
        (typed, shown.into_inner())
    }

    fn word(text: &str) -> Vec<Key> {
        text.chars().map(Key::Char).chain([Key::Enter]).collect()
    }

    #[test]
    fn a_whole_line_is_the_answer() {
        for (text, means) in [
            ("", Typed::Nothing),
            ("y", Typed::Yes),
            ("Yes", Typed::Yes),
            (" yes ", Typed::Yes),
            ("是", Typed::Yes),
            ("n", Typed::No),
            ("NO", Typed::No),
            ("否", Typed::No),
            ("mkdir try", Typed::Else),
            ("nyet", Typed::Else),
        ] {
            assert_eq!(typed(&word(text)), (means, format!("{text}\n")), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_a_no() {
        assert_eq!(typed(&[]).0, Typed::No, "closed input");
        assert_eq!(typed(&[Key::Char('\u{4}')]).0, Typed::No, "Ctrl-D");
        assert_eq!(typed(&[Key::Char('y'), Key::Escape]).0, Typed::No);
        assert_eq!(typed(&[Key::Char('y'), Key::CtrlC]), (Typed::CtrlC, "y^C\n".to_owned()));
    }

    #[test]
    fn a_letter_can_be_taken_back() {
        let keys = [Key::Char('n'), Key::Backspace, Key::Backspace, Key::ArrowUp, Key::Char('y'), Key::Enter];
        assert_eq!(typed(&keys), (Typed::Yes, "n\u{8} \u{8}y\n".to_owned()));
        let wide = typed(&[Key::Char('否'), Key::Backspace, Key::Enter]);
        assert_eq!(wide, (Typed::Nothing, "否\u{8}\u{8}  \u{8}\u{8}\n".to_owned()));
    }
}
