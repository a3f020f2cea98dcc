//! Edits that a chat request needs even where the engine speaks Chat itself: engines and templates refuse what OpenAI
//! takes. The body is scanned once ([`survey`]); every edit is a splice, and most requests need none.
//!
//! Tools without parameters get an empty object schema (Qwen Code's `get_goal`; vLLM 0.32 and llama.cpp's templates
//! want an object), empty lists of tools and calls go, `developer` becomes `system`. System messages before the first
//! answer are gathered into one at the head, where the next conversation shares them; later ones become the user's
//! words in place. User messages that follow each other (OpenCode's request for a title) become one, with a blank line
//! between: templates that want turns to alternate (Mistral's, Gemma's) refuse them, and for others it is the same
//! words.

use crate::protocol::head::Patch;
use crate::protocol::scan::Span;

use survey::Survey;

mod messages;
mod survey;
#[cfg(test)]
mod tests;

/// All of them. A body that cannot be read gets none: the engine will say why. Not for OpenAI itself, which takes all
/// of this and means it.
pub fn tidy(body: &[u8], patches: &mut Vec<Patch>) {
    let Some(survey) = Survey::of(body) else { return };
    for tool in &survey.tools {
        match &tool.parameters {
            Some(null) => patches.push(Patch { span: null.clone(), with: EMPTY.to_vec() }),
            None => {
                let at = tool.function.end - 1;
                patches.push(Patch { span: at..at, with: [b",\"parameters\":".as_slice(), EMPTY].concat() });
            }
        }
    }
    for span in &survey.gone {
        patches.push(Patch { span: span.clone(), with: Vec::new() });
    }
    if let Some(span) = survey.choice.clone() {
        patches.push(Patch { span, with: b"\"none\"".to_vec() });
    }
    messages::alternate(body, &survey.messages, patches);
}

/// The schema of no arguments.
const EMPTY: &[u8] = br#"{"type":"object","properties":{}}"#;

/// What stands at `span`.
fn at<'a>(body: &'a [u8], span: &Span) -> &'a [u8] {
    body.get(span.clone()).unwrap_or_default()
}
