//! Hears that the user wants llmup to end: Ctrl-C, SIGTERM, a closed terminal (unless it was started by `nohup`). Counts,
//! because the second time means "now". Where nobody listens any more they end the process, as if nobody ever had.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::os::Signals;
use crate::exit::Exit;

/// How many listen.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);

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

/// Starts to listen. These signals do not end the process by themselves before the value is dropped.
pub fn interrupts() -> io::Result<Interrupts> {
    // The system's own meaning of a signal is gone for good once somebody has listened.
    static STANDS_IN: Mutex<bool> = Mutex::new(false);
    LISTENERS.fetch_add(1, Ordering::SeqCst);
    let interrupts = Interrupts { sources: Signals::new()?, seen: false };
    let mut stands_in = STANDS_IN.lock().unwrap_or_else(PoisonError::into_inner);
    if !*stands_in {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(stand_in()))?;
        *stands_in = true;
    }
    Ok(interrupts)
}

/// Does what the system did before anybody listened, whenever nobody does.
async fn stand_in() {
    let Ok(mut sources) = Signals::new() else { return };
    loop {
        let number = sources.next().await;
        if LISTENERS.load(Ordering::SeqCst) == 0 {
            std::process::exit(i32::from(Exit::signal(number)));
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // Who has heard one ends the process in order: the stand-in, which heard the same, leaves it to that.
        if !self.seen {
            LISTENERS.fetch_sub(1, Ordering::SeqCst);
        }
    }
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
