//! Hears that the user wants llmup to end: Ctrl-C, SIGTERM, a closed terminal. Counts, because the second time means
//! "now".

use std::io;

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

/// The requests to end, as they come.
#[derive(Debug)]
pub struct Interrupts {
    sources: os::Sources,
    seen: bool,
}

/// Starts to listen. From now on these signals no longer end the process by themselves.
pub fn interrupts() -> io::Result<Interrupts> {
    Ok(Interrupts { sources: os::Sources::new()?, seen: false })
}

impl Interrupts {
    /// Waits for the next request; cancelling loses nothing.
    pub async fn next(&mut self) -> Interrupt {
        let number = self.sources.next().await;
        if std::mem::replace(&mut self.seen, true) { Interrupt::Again(number) } else { Interrupt::First(number) }
    }
}

#[cfg(unix)]
mod os {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    #[derive(Debug)]
    pub(super) struct Sources {
        interrupt: Signal,
        terminate: Signal,
        hangup: Signal,
    }

    impl Sources {
        pub(super) fn new() -> std::io::Result<Sources> {
            Ok(Sources {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: signal(SignalKind::hangup())?,
            })
        }

        pub(super) async fn next(&mut self) -> i32 {
            tokio::select! {
                Some(()) = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
                Some(()) = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
                Some(()) = self.hangup.recv() => SignalKind::hangup().as_raw_value(),
                else => std::future::pending().await,
            }
        }
    }
}

#[cfg(windows)]
mod os {
    use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, ctrl_break, ctrl_c, ctrl_close};

    #[derive(Debug)]
    pub(super) struct Sources {
        c: CtrlC,
        pause: CtrlBreak,
        close: CtrlClose,
    }

    impl Sources {
        pub(super) fn new() -> std::io::Result<Sources> {
            Ok(Sources { c: ctrl_c()?, pause: ctrl_break()?, close: ctrl_close()? })
        }

        pub(super) async fn next(&mut self) -> i32 {
            tokio::select! {
                Some(()) = self.c.recv() => 2,
                Some(()) = self.pause.recv() => 2,
                Some(()) = self.close.recv() => 1,
                else => std::future::pending().await,
            }
        }
    }
}
