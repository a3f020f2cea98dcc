//! Hears that the user wants llmup to end: Ctrl-C, SIGTERM, a closed terminal (unless it was started by `nohup`). Counts,
//! because the second time means "now".

use std::io;

use super::os::Signals;

/// One request to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The first: end in order. Holds the signal's number, for the exit code.
    First(i32),
    /// Any later one: end now.
    Again(i32),
}

impl Interrupt {
    /// The signal's number (2 for Ctrl-C and Ctrl-Break, 1 for a closed console).
    pub fn number(self) -> i32 {
        match self {
            Interrupt::First(number) | Interrupt::Again(number) => number,
        }
    }
}

/// What a signal asks for, of a program that has something to read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// To end.
    End(Interrupt),
    /// To read its configuration again: SIGHUP on Unix, unless it tells that the terminal was closed.
    Reload,
}

/// The requests to end, as they come.
#[derive(Debug)]
pub struct Interrupts {
    sources: Signals,
    seen: bool,
}

/// Starts to listen. From now on these signals no longer end the process by themselves.
pub fn interrupts() -> io::Result<Interrupts> {
    Ok(Interrupts { sources: Signals::new()?, seen: false })
}

impl Interrupts {
    /// Waits for the next request; cancelling loses nothing.
    pub async fn next(&mut self) -> Interrupt {
        let number = self.sources.next().await;
        self.counted(number)
    }

    /// Like [`Interrupts::next`], for a program that can read its configuration again.
    pub async fn word(&mut self) -> Word {
        let number = self.sources.next().await;
        if self.sources.asks_for_reload(number) { Word::Reload } else { Word::End(self.counted(number)) }
    }

    fn counted(&mut self, number: i32) -> Interrupt {
        if std::mem::replace(&mut self.seen, true) { Interrupt::Again(number) } else { Interrupt::First(number) }
    }
}
