//! A tool call that the engine left as text becomes a call.
//!
//! Models write calls in markup of their own, and engines without (or with the wrong) tool parser hand that markup on
//! as words. Only what parses as a call of an offered tool is taken; every other text comes out byte by byte as it
//! came in. Inside a code fence nothing is a call: there somebody shows one.
//!
//! It works on events, so only on answers that are translated. A chat caller in front of a chat backend gets the
//! engine's bytes: reading and writing them anew would lose what no event can say (`logprobs`, several choices, an
//! engine's own members), for the sake of markup that the engines we start do not leave, because their profile
//! names the parser of the model.

use std::borrow::Cow;

use super::event::{Block, Event, Filter, Stop};
use super::ids;
use super::ir::{Format, Request};

mod markup;
#[cfg(test)]
mod tests;

use markup::{Offered, Parsed};

/// Longest text that is held back in the hope that it becomes a call, bytes.
const HELD_LIMIT: usize = 4 << 20;

/// The filter.
#[derive(Debug)]
pub struct Repair {
    offered: Offered,
    /// Whether a text that is nothing but a call's JSON is one; not when JSON was asked for.
    bare: bool,
    /// What the answer has shown so far: words or a call.
    shown: bool,
    /// Calls made out of text.
    made: usize,
    /// The reasoning, for answers that are nothing else.
    thoughts: String,
    inside: Inside,
}

#[derive(Debug)]
enum Inside {
    Nothing,
    Thinking,
    Text(Text),
    Call,
}

/// A text block on its way through.
#[derive(Debug, Default)]
struct Text {
    /// What is not out yet.
    held: String,
    /// Blank text that comes out only in front of words.
    blank: String,
    /// A block is open on the other side.
    open: bool,
    /// A call was taken out of this block.
    called: bool,
    /// The length of the run of backticks at the end of what is out.
    ticks: usize,
    fenced: bool,
    /// The last character that is out.
    last: Option<char>,
    /// Nothing but blank text is out.
    blank_so_far: bool,
    /// It is known not to be a bare call.
    words: bool,
}

impl Repair {
    /// A filter for the answer to `request`; `None` when no tools were offered, for then every text is a text.
    pub fn new(request: &Request<'_>) -> Option<Repair> {
        if request.tools.is_empty() {
            return None;
        }
        Some(Repair {
            offered: Offered::new(&request.tools),
            bare: matches!(request.format, Format::Text),
            shown: false,
            made: 0,
            thoughts: String::new(),
            inside: Inside::Nothing,
        })
    }

    /// Calls out of what is held, words out of the rest; at the `end` nothing stays.
    fn drain(&mut self, text: &mut Text, end: bool, sink: &mut dyn FnMut(Event<'_>)) {
        if self.bare && !self.shown && !text.words && text.blank_so_far {
            match markup::bare(&text.held, &self.offered, end) {
                Parsed::More => return,
                Parsed::Calls(calls, used) => {
                    self.calls(text, calls, sink);
                    text.held.drain(..used);
                }
                Parsed::No => text.words = true,
            }
        }
        loop {
            let found = text.candidate(end);
            if found.at > 0 {
                let rest = text.held.split_off(found.at);
                let words = std::mem::replace(&mut text.held, rest);
                self.shown |= text.emit(&words, sink);
            }
            let Some(mark) = found.mark else { return };
            match markup::parse(&text.held, &self.offered, end) {
                Parsed::More if !end && text.held.len() < HELD_LIMIT => return,
                Parsed::Calls(calls, used) => {
                    self.calls(text, calls, sink);
                    text.held.drain(..used);
                }
                Parsed::More | Parsed::No => {
                    let rest = text.held.split_off(mark.len());
                    let words = std::mem::replace(&mut text.held, rest);
                    self.shown |= text.emit(&words, sink);
                }
            }
        }
    }

    fn calls(&mut self, text: &mut Text, calls: Vec<markup::Call>, sink: &mut dyn FnMut(Event<'_>)) {
        if std::mem::take(&mut text.open) {
            sink(Event::BlockEnd);
        }
        text.blank.clear();
        text.called = true;
        for call in calls {
            self.emit_call(&call, sink);
        }
    }

    fn emit_call(&mut self, call: &markup::Call, sink: &mut dyn FnMut(Event<'_>)) {
        let id = ids::new("call_");
        let block = Block::ToolUse { id: id.into(), name: call.name.as_str().into(), namespace: None, freeform: false };
        sink(Event::BlockStart(block));
        sink(Event::Delta(Cow::Borrowed(&call.arguments)));
        sink(Event::BlockEnd);
        self.made += 1;
        self.shown = true;
    }

    /// An answer that is all reasoning and just stops: some parsers take everything for reasoning when the model
    /// never closes it (vLLM 0.32 with qwen3), calls included.
    fn in_thoughts(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        let thoughts = std::mem::take(&mut self.thoughts);
        for call in markup::all(&thoughts, &self.offered) {
            self.emit_call(&call, sink);
        }
    }
}

impl Filter for Repair {
    fn event(&mut self, event: Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        match (std::mem::replace(&mut self.inside, Inside::Nothing), event) {
            (_, Event::BlockStart(Block::Text)) => {
                self.inside = Inside::Text(Text { blank_so_far: true, ..Text::default() });
            }
            (_, Event::BlockStart(block)) => {
                let thinking = block == Block::Thinking;
                self.shown |= !thinking;
                self.inside = if thinking { Inside::Thinking } else { Inside::Call };
                sink(Event::BlockStart(block));
            }
            (Inside::Text(mut text), Event::Delta(more)) => {
                if text.held.is_empty() && text.open && plain(&more) {
                    // The common case: words, with nothing held back before them.
                    text.note(&more);
                    sink(Event::Delta(more));
                } else {
                    text.held.push_str(&more);
                    self.drain(&mut text, false, sink);
                }
                self.inside = Inside::Text(text);
            }
            (Inside::Text(mut text), Event::BlockEnd) => {
                self.drain(&mut text, true, sink);
                text.close(sink);
            }
            (inside, event) => {
                if let (Inside::Thinking, Event::Delta(more)) = (&inside, &event)
                    && !self.shown
                    && self.thoughts.len() < HELD_LIMIT
                {
                    self.thoughts.push_str(more);
                }
                match event {
                    Event::BlockEnd => sink(Event::BlockEnd),
                    Event::Finish { stop: Stop::EndTurn, usage } => {
                        if !self.shown {
                            self.in_thoughts(sink);
                        }
                        let stop = if self.made > 0 { Stop::ToolUse } else { Stop::EndTurn };
                        sink(Event::Finish { stop, usage });
                    }
                    event => {
                        self.inside = inside;
                        sink(event);
                    }
                }
            }
        }
    }
}

/// Whether no mark can begin, and no fence, in this text.
fn plain(text: &str) -> bool {
    !text.bytes().any(|b| matches!(b, b'<' | b'[' | b'`'))
}

/// Where words end and a mark, or what may become one, begins.
struct Candidate {
    at: usize,
    mark: Option<&'static str>,
}

impl Text {
    /// The first mark that may stand where it stands; what could grow into one stays held unless this is the end.
    fn candidate(&self, end: bool) -> Candidate {
        let (mut ticks, mut fenced, mut last) = (self.ticks, self.fenced, self.last);
        for (at, c) in self.held.char_indices() {
            if matches!(c, '<' | '[') && !fenced && !matches!(last, Some('`' | '"' | '\'')) {
                let rest = &self.held[at..];
                if let Some(mark) = markup::MARKS.iter().copied().find(|mark| rest.starts_with(mark)) {
                    return Candidate { at, mark: Some(mark) };
                }
                if !end && markup::MARKS.iter().any(|mark| mark.starts_with(rest)) {
                    return Candidate { at, mark: None };
                }
            }
            (ticks, fenced) = fence(ticks, fenced, c);
            last = Some(c);
        }
        Candidate { at: self.held.len(), mark: None }
    }

    /// Puts words out; whether there were any.
    fn emit(&mut self, words: &str, sink: &mut dyn FnMut(Event<'_>)) -> bool {
        self.note(words);
        if self.open {
            sink(Event::Delta(Cow::Borrowed(words)));
            return true;
        }
        self.blank.push_str(words);
        if words.trim().is_empty() {
            return false;
        }
        let words = std::mem::take(&mut self.blank);
        self.open = true;
        self.blank_so_far = false;
        sink(Event::BlockStart(Block::Text));
        sink(Event::Delta(words.into()));
        true
    }

    fn note(&mut self, words: &str) {
        for c in words.chars() {
            (self.ticks, self.fenced) = fence(self.ticks, self.fenced, c);
            self.last = Some(c);
        }
    }

    /// The block ends. Blank text behind or before a call was only its frame.
    fn close(mut self, sink: &mut dyn FnMut(Event<'_>)) {
        if !self.open && !self.called {
            sink(Event::BlockStart(Block::Text));
            if !self.blank.is_empty() {
                sink(Event::Delta(std::mem::take(&mut self.blank).into()));
            }
            self.open = true;
        }
        if self.open {
            sink(Event::BlockEnd);
        }
    }
}

/// Three backticks open and close a fence.
fn fence(ticks: usize, fenced: bool, c: char) -> (usize, bool) {
    match (c, ticks) {
        ('`', 2) => (3, !fenced),
        ('`', _) => (ticks + 1, fenced),
        _ => (0, fenced),
    }
}
