//! Reasoning that the engine left in the text, between `<think>` and `</think>`, becomes a block of its own. Only at the
//! very beginning of an answer: there models think (Qwen3, DeepSeek-R1 and their like), elsewhere somebody writes about
//! the tag. llama.cpp b11669 leaves it when its parser does not know the template; others have no parser at all.

use std::borrow::Cow;

use super::event::{Block, Event, Filter};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// The filter.
#[derive(Debug, Default)]
pub struct Think {
    at: At,
    /// What is not decided yet.
    held: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Nothing has come.
    #[default]
    Start,
    /// In the first text block, of which nothing is out.
    Begin,
    /// In what the tag opened.
    Inside,
    /// Behind it, where blank text is only its frame; no block is open.
    Behind,
    /// Behind all that, in an open text block.
    Words,
    /// Everything passes.
    Pass,
}

impl Think {
    /// Decides about what is held; at the `end` of the block all of it.
    fn drain(&mut self, end: bool, sink: &mut dyn FnMut(Event<'_>)) {
        if self.at == At::Begin {
            let text = self.held.trim_start();
            if text.starts_with(OPEN) {
                let from = self.held.len() - text.len() + OPEN.len();
                self.held.drain(..from);
                self.at = At::Inside;
                sink(Event::BlockStart(Block::Thinking));
            } else if end || !OPEN.starts_with(text) {
                self.at = At::Pass;
                sink(Event::BlockStart(Block::Text));
                delta(&std::mem::take(&mut self.held), sink);
            } else {
                return;
            }
        }
        if self.at == At::Inside {
            match self.held.find(CLOSE) {
                Some(at) => {
                    delta(&self.held[..at], sink);
                    self.held.drain(..at + CLOSE.len());
                    sink(Event::BlockEnd);
                    self.at = At::Behind;
                }
                None => {
                    // What may be the beginning of the tag stays, unless nothing follows.
                    let keep = if end { 0 } else { partial(&self.held) };
                    let rest = self.held.split_off(self.held.len() - keep);
                    delta(&std::mem::replace(&mut self.held, rest), sink);
                    return;
                }
            }
        }
        if self.at == At::Behind {
            let blank = self.held.len() - self.held.trim_start().len();
            self.held.drain(..blank);
            if self.held.is_empty() {
                return;
            }
            self.at = At::Words;
            sink(Event::BlockStart(Block::Text));
        }
        delta(&std::mem::take(&mut self.held), sink);
    }
}

/// The length of the text's end that begins the closing tag.
fn partial(text: &str) -> usize {
    (1..CLOSE.len()).rev().find(|length| text.ends_with(&CLOSE[..*length])).unwrap_or(0)
}

fn delta(text: &str, sink: &mut dyn FnMut(Event<'_>)) {
    if !text.is_empty() {
        sink(Event::Delta(Cow::Borrowed(text)));
    }
}

impl Filter for Think {
    fn event(&mut self, event: Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        match (self.at, event) {
            (At::Pass, event) => sink(event),
            (At::Start, Event::BlockStart(Block::Text)) => self.at = At::Begin,
            (At::Start, event) => {
                // Whoever splits reasoning off leaves none in the text.
                if matches!(event, Event::BlockStart(_)) {
                    self.at = At::Pass;
                }
                sink(event);
            }
            (_, Event::Delta(text)) => {
                self.held.push_str(&text);
                self.drain(false, sink);
            }
            (_, Event::BlockEnd) => {
                self.drain(true, sink);
                if self.at != At::Behind {
                    sink(Event::BlockEnd);
                }
                self.at = At::Pass;
            }
            (_, event) => sink(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(pieces: &[&str]) -> Vec<String> {
        let (mut filter, mut found, mut open) = (Think::default(), Vec::<String>::new(), false);
        let mut sink = |event: Event<'_>| match event {
            Event::BlockStart(block) => {
                assert!(!std::mem::replace(&mut open, true));
                found.push(if block == Block::Thinking { "think ".into() } else { "text ".into() });
            }
            Event::Delta(text) => {
                assert!(open && !text.is_empty());
                found.last_mut().unwrap().push_str(&text);
            }
            Event::BlockEnd => assert!(std::mem::replace(&mut open, false)),
            other => panic!("{other:?}"),
        };
        filter.event(Event::BlockStart(Block::Text), &mut sink);
        pieces.iter().for_each(|piece| filter.event(Event::Delta((*piece).into()), &mut sink));
        filter.event(Event::BlockEnd, &mut sink);
        // Later blocks pass.
        filter.event(Event::BlockStart(Block::Text), &mut sink);
        filter.event(Event::Delta("<think>x</think>".into()), &mut sink);
        filter.event(Event::BlockEnd, &mut sink);
        assert!(!open);
        assert_eq!(found.pop().as_deref(), Some("text <think>x</think>"));
        found
    }

    #[test]
    fn only_a_leading_tag_is_reasoning_however_it_is_cut() {
        for (text, expected) in [
            ("<think>\nhm, é</think>\n\nYes.", &["think \nhm, é", "text Yes."][..]),
            ("\n<think>a</th b</think>", &["think a</th b"]),
            ("<think>a</think>b</think>c", &["think a", "text b</think>c"]),
            ("<think>cut of", &["think cut of"]),
            ("<think>cut </thi", &["think cut </thi"]),
            ("<think></think>Yes", &["think ", "text Yes"]),
            ("the tag <think> opens", &["text the tag <think> opens"]),
            ("<thin", &["text <thin"]),
            ("\n ", &["text \n "]),
            ("", &["text "]),
        ] {
            assert_eq!(filtered(&[text]), expected, "{text:?}");
            for (at, _) in text.char_indices() {
                let (a, b) = text.split_at(at);
                assert_eq!(filtered(&[a, b]), expected, "{text:?} at {at}");
            }
            let single: Vec<String> = text.chars().map(String::from).collect();
            assert_eq!(filtered(&single.iter().map(String::as_str).collect::<Vec<_>>()), expected, "{text:?}");
        }
    }
}
