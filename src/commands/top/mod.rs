//! `llmup top`: devices, models and the last requests in a terminal, as they change. Threads look and listen; the loop
//! here draws what they send.

mod draw;
mod feed;
mod keys;
mod requests;
mod sample;
mod screen;
mod text;
mod view;

use std::io::IsTerminal;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event as Input, KeyEvent, read};

use self::keys::{Deed, Pane, Ui, Wish};
use self::sample::Sampler;
use self::view::{View, Which};
use crate::cli::TopArgs;
use crate::control;
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::output;
use crate::paths::Paths;
use crate::supervisor::tail::Tail;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Between the two readings of `--once`, which rates need.
const TWICE: Duration = Duration::from_millis(500);

/// How long the answer to a key stays at the bottom.
const SAID: Duration = Duration::from_secs(6);

/// How much of a log is read.
const LOG_END: u64 = 64 << 10;

/// The width where there is no terminal to ask, and the greatest height of one frame.
const ONCE: (u16, u16) = (100, 200);

/// What happened.
enum Event {
    Seen(Box<View>),
    Key(KeyEvent),
    /// The size changed, or the terminal was brought back.
    Redraw,
    Said(String),
    Signal(i32),
    /// A thread of ours is gone: nothing would change any more.
    Lost(&'static str),
}

/// Runs the subcommand; gives the exit code.
pub fn run(args: &TopArgs, paths: &Paths) -> Result<u8> {
    if args.once {
        output::data(&once(paths));
        return Ok(Exit::Ok.code());
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Plain {
            message: "`llmup top` needs a terminal".to_owned(),
            exit: Exit::Usage,
            hints: vec![
                "what runs, as data: `llmup status --json`".to_owned(),
                "one frame as plain text: `llmup top --once`".to_owned(),
            ],
        }
        .into());
    }
    let (events, heard) = channel();
    listen(&events)?;
    watch(paths, &events);
    let mut screen = screen::Screen::open().map_err(no_screen)?;
    let code = follow(&mut screen, &events, &heard);
    drop(screen);
    code
}

fn no_screen(error: std::io::Error) -> Plain {
    let message = format!("the terminal cannot be drawn on: {error}");
    Plain::new(Exit::Usage, message, "what runs, as data: `llmup status --json`")
}

/// One frame as text, as wide as the terminal it goes to and as high as it needs.
fn once(paths: &Paths) -> String {
    let mut sampler = Sampler::new(paths, false);
    let first = sampler.view();
    if !first.models.is_empty() {
        std::thread::sleep(TWICE);
    }
    let view = sampler.view();
    let width = ratatui::crossterm::terminal::size().ok().filter(|_| std::io::stdout().is_terminal());
    let width = width.map_or(ONCE.0, |(width, _)| width);
    frame(&view, width, draw::height(&view).min(ONCE.1))
}

/// A frame's text without its trailing blanks.
fn frame(view: &View, width: u16, height: u16) -> String {
    let ui = Ui { still: true, ..Ui::default() };
    // What is drawn into memory cannot fail.
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| draw::draw(frame, view, &ui));
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in 0..height {
        // A wide character stands in its first cell; the one behind it is empty.
        let mut skip = 0;
        for column in 0..width {
            let symbol = buffer[(column, row)].symbol();
            if skip == 0 {
                text.push_str(symbol);
                skip = ratatui::text::Span::raw(symbol).width().max(1);
            }
            skip -= 1;
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Sends keys and signals.
fn listen(events: &Sender<Event>) -> Result<()> {
    let told = |error: std::io::Error| {
        Plain::new(Exit::Bug, format!("signals cannot be heard: {error}"), "try again: `llmup top`")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(told)?;
    let entered = runtime.enter();
    let mut interrupts = crate::supervisor::signal::interrupts().map_err(told)?;
    drop(entered);
    let signals = events.clone();
    std::thread::spawn(move || {
        let number = runtime.block_on(interrupts.next()).number();
        let _ = signals.send(Event::Signal(number));
    });
    let keys = Ending::of(events, "the keyboard");
    std::thread::spawn(move || {
        while let Ok(input) = read() {
            let event = match input {
                Input::Key(key) => Event::Key(key),
                Input::Resize(..) | Input::FocusGained => Event::Redraw,
                _ => continue,
            };
            if keys.0.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Sends a view each second.
fn watch(paths: &Paths, events: &Sender<Event>) {
    let (paths, seen) = (paths.clone(), Ending::of(events, "what looks at the machine"));
    std::thread::spawn(move || {
        let mut sampler = Sampler::new(&paths, true);
        loop {
            let began = Instant::now();
            if seen.0.send(Event::Seen(Box::new(sampler.view()))).is_err() {
                return;
            }
            std::thread::sleep(LOOK.saturating_sub(began.elapsed()).max(LOOK / 4));
        }
    });
}

/// Tells when the thread that holds it ends, also by a panic.
struct Ending(Sender<Event>, &'static str);

impl Ending {
    fn of(events: &Sender<Event>, who: &'static str) -> Ending {
        Ending(events.clone(), who)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.send(Event::Lost(self.1));
    }
}

fn follow(screen: &mut screen::Screen, events: &Sender<Event>, heard: &Receiver<Event>) -> Result<u8> {
    let mut ui = Ui { colour: output::colourful(), ..Ui::default() };
    let mut view = View::default();
    let mut log: Option<Log> = None;
    let mut said = Instant::now();
    loop {
        if screen.is_lost() {
            let message = "a part of llmup failed; what it said stands above";
            return Err(Plain::new(Exit::Bug, message, "what runs, as data: `llmup status --json`").into());
        }
        screen.draw(&view, &ui).map_err(no_screen)?;
        let Ok(event) = heard.recv() else { return Ok(Exit::Ok.code()) };
        // What came meanwhile is drawn in one go.
        for event in std::iter::once(event).chain(heard.try_iter()) {
            match event {
                Event::Seen(seen) => {
                    view = *seen;
                    ui.said = ui.said.take().filter(|_| said.elapsed() < SAID);
                }
                Event::Redraw => {}
                Event::Said(text) => (ui.said, said) = (Some(text), Instant::now()),
                Event::Signal(number) => return Ok(Exit::signal(number)),
                Event::Lost(who) => {
                    let message = format!("{who} stopped answering");
                    return Err(Plain::new(Exit::Bug, message, "what runs, as data: `llmup status --json`").into());
                }
                Event::Key(key) => match ui.key(key, &view) {
                    None => said = Instant::now(),
                    Some(Wish::Quit) => return Ok(Exit::Ok.code()),
                    Some(Wish::Interrupt) => return Ok(Exit::signal(2)),
                    Some(Wish::Do(deed, which)) => {
                        (ui.said, said) = (Some(give(deed, &which, &view, events)), Instant::now());
                    }
                    Some(Wish::Log(which)) => match Log::of(&which, &view) {
                        Some(opened) => {
                            log = Some(opened);
                            ui.pane = Pane::Log { of: which, lines: Vec::new() };
                        }
                        None => {
                            (ui.said, said) = (Some(format!("{} has no log of its own", which.model)), Instant::now())
                        }
                    },
                },
            }
        }
        if let (Pane::Log { lines, .. }, Some(log)) = (&mut ui.pane, &mut log) {
            *lines = log.read();
        }
    }
}

/// Gives the order; what becomes of it is seen in the table. It is given by a thread of its own, because a llmup that
/// hangs lets us wait.
fn give(deed: Deed, which: &Which, view: &View, events: &Sender<Event>) -> String {
    let model = which.model.clone();
    let Some(row) = view.models.iter().find(|row| row.which == *which) else { return format!("{model} is gone") };
    let (verb, said) = match deed {
        Deed::Restart => ("restart", format!("restarting the engine of {model}")),
        Deed::Stop => ("stop", format!("stopping {model}")),
    };
    let Some(endpoint) = row.control.clone() else {
        return format!("{model} takes no orders yet: `llmup {verb} {model}`");
    };
    let order = feed::order(deed, row, &view.models);
    let events = events.clone();
    std::thread::spawn(move || {
        if let Err(error) = control::order(&endpoint, &order) {
            let _ = events.send(Event::Said(format!("{model} takes no orders: {error}")));
        }
    });
    said
}

/// The end of a log that is shown.
struct Log {
    tail: Tail,
    lines: Vec<String>,
    /// The last line is a progress bar, which its next state replaces.
    progress: bool,
}

impl Log {
    fn of(which: &Which, view: &View) -> Option<Log> {
        let path: &Path = view.models.iter().find(|row| row.which == *which)?.log.as_deref()?;
        let start = path.metadata().map_or(0, |file| file.len()).saturating_sub(LOG_END);
        Some(Log { tail: Tail::at(path, start), lines: Vec::new(), progress: false })
    }

    fn read(&mut self) -> Vec<String> {
        /// More than any terminal has.
        const KEPT: usize = 500;
        for line in self.tail.poll().unwrap_or_default() {
            if std::mem::replace(&mut self.progress, line.progress) {
                self.lines.pop();
            }
            self.lines.push(line.text);
        }
        let surplus = self.lines.len().saturating_sub(KEPT);
        self.lines.drain(..surplus);
        self.lines.clone()
    }
}
