//! Tool calls that arrive in fragments, possibly several at once.

use std::borrow::Cow;

use super::chunk::Fragment;
use super::wire::{self, Count};

/// One call.
#[derive(Default)]
pub(super) struct Call {
    index: Option<u64>,
    /// The server's id, empty as long as there is none.
    pub id: String,
    pub name: String,
    /// Arguments that are not out yet.
    pub waiting: String,
    /// Gemini's proof, as the server sent it.
    pub proof: Option<String>,
    pub done: bool,
    shape: Shape,
}

/// How far the arguments have come, without keeping them: whether what is out so far is a whole JSON object.
#[derive(Default)]
struct Shape {
    depth: u32,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Shape {
    fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.begun = true;
                    self.depth += 1;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }
}

impl Call {
    /// Whether its arguments are complete, as far as brackets tell.
    pub(super) fn whole(&self) -> bool {
        self.shape.begun && self.shape.depth == 0 && !self.shape.in_string
    }

    /// Whether anything of its arguments has come.
    fn begun(&self) -> bool {
        self.shape.begun || !self.waiting.is_empty()
    }
}

/// All calls of one answer.
#[derive(Default)]
pub(super) struct Calls(pub(super) Vec<Call>);

impl Calls {
    /// Puts a fragment where it belongs and says where that is.
    pub(super) fn take(&mut self, fragment: &Fragment<'_>) -> usize {
        let id = fragment.id.as_deref().unwrap_or_default();
        let function = fragment.function.as_ref();
        let custom = fragment.custom.as_ref();
        let name = function.and_then(|function| function.name.as_deref());
        let name = name.or(custom.and_then(|custom| custom.name.as_deref())).unwrap_or_default();
        let index = fragment.index.map(|Count(index)| index);
        let at = self.find(index, id, name).unwrap_or_else(|| {
            self.0.push(Call { index, ..Call::default() });
            self.0.len() - 1
        });
        let Some(call) = self.0.get_mut(at) else { return at };
        // Some engines repeat id and name on every fragment, some with an empty name: the first one counts.
        if call.id.is_empty() {
            call.id.push_str(id);
        }
        if call.name.is_empty() {
            call.name.push_str(name);
        }
        let arguments = function.and_then(|function| function.arguments).map(wire::arguments);
        let input = custom.and_then(|custom| custom.input.as_deref()).map(Cow::Borrowed);
        if let Some(text) = arguments.or(input) {
            call.shape.push(&text);
            call.waiting.push_str(&text);
        }
        let extra = fragment.extra_content.as_ref().and_then(|extra| extra.google.as_ref());
        if let Some(proof) = extra.and_then(|google| google.thought_signature.as_deref()) {
            call.proof.get_or_insert_default().push_str(proof);
        }
        at
    }

    /// The call a fragment continues.
    fn find(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let Some(index) = index else {
            // Without an index a new id is a new call, and neither id nor a new name is more of the last one.
            return match id {
                "" => {
                    let last = self.0.last()?;
                    let another = !name.is_empty() && last.begun() && (last.name != name || last.whole());
                    (!another).then(|| self.0.len() - 1)
                }
                id => self.0.iter().rposition(|call| call.id == id),
            };
        };
        let at = self.0.iter().rposition(|call| call.index == Some(index))?;
        let call = self.0.get(at)?;
        // Ollama and Google's chat endpoint number all calls 0: a new id with a name, or a new name behind arguments,
        // is a new call. A new id without a name is not: some engines make one up per fragment.
        let new_id = !id.is_empty() && !call.id.is_empty() && call.id != id && !name.is_empty();
        let new_name = !name.is_empty() && !call.name.is_empty() && call.name != name && call.begun();
        (!new_id && !new_name).then_some(at)
    }
}
