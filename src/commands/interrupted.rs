//! Work that the user may end: what came is kept, no error is shown, and the exit code is the signal's.

use std::sync::Arc;
use std::time::Duration;

use super::start;
use crate::error::{Error, Explain, Plain, Result};
use crate::exit::Exit;
use crate::output;
use crate::progress::Progress;
use crate::supervisor::signal::interrupts;

/// So far apart may one key press be seen by two programs.
const TOGETHER: Duration = Duration::from_millis(200);

/// The user ended it, and knows: nobody has to be told.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted(
    /// The exit code.
    pub u8,
);

impl Interrupted {
    /// By Ctrl-C where it was read as a key, so that no signal came: as if SIGINT had, which is 2 everywhere.
    pub fn by_key() -> Interrupted {
        Interrupted(Exit::signal(2))
    }
}

impl Explain for Interrupted {
    fn exit(&self) -> Exit {
        Exit::Ok
    }

    fn ended_by_user(&self) -> Option<u8> {
        Some(self.0)
    }
}

/// Runs the work until it ends or the user ends it, which loses nothing.
pub fn drive<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = start::runtime()?;
    let driven = runtime.block_on(async {
        let mut interrupts = interrupts().map_err(bug)?;
        tokio::select! {
            done = work => match done {
                Ok(done) => Ok(Ok(done)),
                // Ctrl-C reaches what does the work, too, and its end may be seen first.
                Err(error) => match tokio::time::timeout(TOGETHER, interrupts.next()).await {
                    Ok(interrupt) => Ok(Err(interrupt.number())),
                    Err(_) => Err(error),
                },
            },
            interrupt = interrupts.next() => Ok(Err(interrupt.number())),
        }
    });
    // A file may be being hashed; nobody waits for that.
    runtime.shutdown_background();
    driven?.map_err(|signal| {
        // The work has been dropped, and with it a bar that would be drawn over this.
        output::note("stopped; what came is kept, the same command goes on from there");
        Interrupted(Exit::signal(signal)).into()
    })
}

/// The same for work that keeps a thread busy and shows its `progress`. When the user ends it, it is left to itself for
/// the moment until this process ends.
pub fn drive_thread<T: Send + 'static>(work: impl FnOnce(&Progress) -> Result<T> + Send + 'static) -> Result<T> {
    let bar = Bar(Arc::new(Progress::new()));
    let progress = Arc::clone(&bar.0);
    let (done, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || done.send(work(&progress)).ok());
    drive(async move {
        let _bar = bar;
        end.await.map_err(bug)?
    })
}

/// The moving line goes away with it, also while somebody else still draws.
struct Bar(Arc<Progress>);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish();
    }
}

fn bug(error: impl std::fmt::Display) -> Error {
    Plain::new(Exit::Bug, error.to_string(), "run `llmup doctor`").into()
}
