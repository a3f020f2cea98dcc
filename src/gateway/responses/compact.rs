//! `/v1/responses/compact`: the model writes down what a conversation was, and a short list of items stands for it:
//! what the user and the system said, as it was, and the summary, which only we can read again.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::protocol::event::Event;
use crate::protocol::ir::Request;
use crate::protocol::openai_responses::{Responses, seal_summary};
use crate::protocol::{AnswerEncoder, EventEncoder, Inbound, Problem, ProblemKind, head, ids, scan};

/// What the model is asked to do.
const TASK: &str = "The conversation above is about to be replaced by a summary. Write that summary now, for the one \
    who takes over the work: what the user wants, what was decided and why, what has been done (files, commands, \
    results that matter, exact names and values), what did not work, and what is left to do next. Write plain text, \
    call no tools, and leave out nothing that would have to be found out again.";

/// Members of the request that matter for the summary.
const CARRIED: [&str; 5] = ["model", "instructions", "reasoning", "max_output_tokens", "prompt_cache_key"];

/// Responses as a caller's protocol whose every answer is a compaction.
pub(in crate::gateway) struct Compacting {
    /// The items that stay.
    kept: Vec<Value>,
}

impl Compacting {
    /// The request that asks for the summary, and what makes a compaction of its answer.
    pub(super) fn new(body: &[u8]) -> Result<(Compacting, Vec<u8>), Problem> {
        let invalid = |message: &str| Problem::new(ProblemKind::Invalid, message);
        let members = scan::members(body, 0..body.len()).ok_or_else(|| invalid("the request is no JSON object"))?;
        let find = |name: &str| {
            members.iter().rev().find(|(key, _)| scan::key_is(body, key.clone(), name)).map(|(_, at)| &body[at.clone()])
        };
        let input = find("input").unwrap_or(b"[]");
        let items: Vec<Value> = match input.first() {
            Some(b'[') => {
                let raws: Vec<&RawValue> =
                    serde_json::from_slice(input).map_err(|_| invalid("input does not parse"))?;
                raws.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect()
            }
            Some(b'"') => {
                vec![json!({"role": "user", "content": serde_json::from_slice::<Value>(input).unwrap_or_default()})]
            }
            _ => Vec::new(),
        };
        if items.is_empty() {
            return Err(invalid("there is nothing to compact: input is empty"));
        }
        let kept = items.iter().filter_map(message).collect();
        let mut items = items;
        items.push(json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": TASK}]}));
        let mut request = Vec::from(b"{\"stream\":false,\"store\":false,\"input\":");
        request.extend_from_slice(Value::from(items).to_string().as_bytes());
        for name in CARRIED {
            if let Some(value) = find(name) {
                request.extend_from_slice(format!(",{}:", head::quote(name)).as_bytes());
                request.extend_from_slice(value);
            }
        }
        request.push(b'}');
        Ok((Compacting { kept }, request))
    }
}

/// The item as it stays, if it does: everything but the model's own words and work.
fn message(item: &Value) -> Option<Value> {
    let role = item["role"].as_str().filter(|role| matches!(*role, "user" | "system" | "developer"))?;
    if !matches!(item["type"].as_str(), None | Some("message")) {
        return None;
    }
    let content = match &item["content"] {
        Value::String(text) => json!([{"type": "input_text", "text": text}]),
        other => other.clone(),
    };
    let id = item["id"].as_str().map_or_else(|| ids::new("msg_"), str::to_owned);
    Some(json!({"type": "message", "id": id, "status": "completed", "role": role, "content": content}))
}

impl Inbound for Compacting {
    fn decode_request<'a>(&self, body: &'a [u8]) -> Result<Request<'a>, Problem> {
        Responses.decode_request(body)
    }

    fn stream_encoder(&self, request: &Request<'_>) -> Box<dyn EventEncoder> {
        // Never asked for: the request says so.
        Responses.stream_encoder(request)
    }

    fn answer_encoder(&self, request: &Request<'_>) -> Box<dyn AnswerEncoder> {
        Box::new(Compaction { encoder: Responses.answer_encoder(request), kept: self.kept.clone() })
    }

    fn encode_count(&self, tokens: u64) -> Vec<u8> {
        Responses.encode_count(tokens)
    }
}

struct Compaction {
    encoder: Box<dyn AnswerEncoder>,
    kept: Vec<Value>,
}

impl AnswerEncoder for Compaction {
    fn add(&mut self, event: &Event<'_>) {
        self.encoder.add(event);
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, Problem> {
        let response: Value = serde_json::from_slice(&self.encoder.finish()?).unwrap_or_default();
        let items = response["output"].as_array().map(Vec::as_slice).unwrap_or_default();
        let parts = items.iter().filter_map(|item| item["content"].as_array()).flatten();
        let summary: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
        let summary = summary.join("\n");
        if summary.trim().is_empty() {
            return Err(Problem::new(ProblemKind::Upstream, "the model wrote no summary"));
        }
        let mut output = self.kept;
        output.push(json!({
            "type": "compaction", "id": ids::new("cmp_"), "encrypted_content": seal_summary(&summary),
        }));
        let compaction = json!({
            "id": response["id"], "object": "response.compaction", "created_at": response["created_at"],
            "output": output, "usage": response["usage"],
        });
        Ok(compaction.to_string().into_bytes())
    }
}
