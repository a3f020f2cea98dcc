//! The terminal while it is drawn on. However llmup leaves, the terminal is as it was: on return by [`Drop`], on a
//! panic by the hook that ratatui sets. That hook runs for every thread, so after any panic nothing is drawn any more.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::DefaultTerminal;

use super::draw;
use super::keys::Ui;
use super::view::View;

/// A thread has panicked, and its message stands on the first screen.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// The terminal's second screen.
pub struct Screen(DefaultTerminal);

impl Screen {
    /// Switches to it.
    ///
    /// # Errors
    /// When the terminal is none.
    pub fn open() -> io::Result<Screen> {
        match ratatui::try_init() {
            Ok(terminal) => {
                let restore = std::panic::take_hook();
                std::panic::set_hook(Box::new(move |panic| {
                    PANICKED.store(true, Ordering::SeqCst);
                    restore(panic);
                }));
                Ok(Screen(terminal))
            }
            Err(error) => {
                // It may be half done.
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }

    /// Whether it was left because a thread panicked.
    pub fn is_lost(&self) -> bool {
        PANICKED.load(Ordering::SeqCst)
    }

    /// Draws a frame; only what changed is written.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, view: &View, ui: &Ui) -> io::Result<()> {
        self.0.draw(|frame| draw::draw(frame, view, ui)).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Once more would put the cursor on the message.
        if !self.is_lost() {
            let _ = self.0.show_cursor();
            let _ = ratatui::try_restore();
        }
    }
}
