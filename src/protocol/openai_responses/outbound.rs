//! A Responses request for a backend that speaks it: stateless, always a stream.

use crate::protocol::ir::{Choice, Format, Media, MediaKind, Part, Request, Role, Source, Tool, ToolUse, Turn};
use crate::protocol::{Id, Target, Vendor, carrier, effort, media};

use super::object::Object;
use crate::protocol::quote;

pub(super) fn encode(request: &Request<'_>, target: &Target<'_>) -> Vec<u8> {
    let mut body = Object::new(Vec::with_capacity(4096));
    body.text("model", target.model);
    if !request.system.is_empty() {
        body.text("instructions", &request.system.join("\n\n"));
    }
    let mut input = Input { out: Vec::from(b"["), open: Vec::new(), vendor: target.vendor };
    request.turns.iter().for_each(|turn| input.turn(turn));
    input.flush();
    input.out.push(b']');
    body.raw("input", &input.out);
    body.raw("stream", b"true");
    // Whatever is to be kept is kept by us or by the caller.
    body.raw("store", b"false");
    if let Some(limit) = request.max_tokens {
        // OpenAI refuses less than 16.
        let limit = if target.vendor == Vendor::OpenAi { limit.max(16) } else { limit };
        body.raw("max_output_tokens", limit.to_string().as_bytes());
    }
    let openai = target.vendor == Vendor::OpenAi;
    let reasons = reasons(target);
    for (name, value) in &request.sampling {
        // OpenAI knows two of them, and its reasoning models refuse those too.
        if !openai || (!reasons && matches!(*name, "temperature" | "top_p")) {
            body.raw(name, value.get().as_bytes());
        }
    }
    if !request.tools.is_empty() {
        tools(request, &mut body);
    }
    format(request, &mut body);
    let asked = &request.reasoning;
    let budget = asked.budget.map(|budget| effort::of_three(effort::of_budget(budget)));
    let effort = asked.effort.as_deref().or(budget).map(|effort| if effort == "max" { "xhigh" } else { effort });
    // OpenAI's older models have no word for none; engines would reason all the same if it were left out.
    let effort = match asked.enabled {
        Some(false) if openai => None,
        Some(false) => Some("none"),
        _ => effort,
    };
    let show = asked.show == Some(true) || (asked.show.is_none() && asked.enabled == Some(true));
    if (effort.is_some() || show) && (!openai || reasons) {
        let mut reasoning = Object::new(Vec::new());
        if let Some(effort) = effort {
            reasoning.text("effort", effort);
        }
        if show {
            reasoning.text("summary", "auto");
        }
        body.raw("reasoning", &reasoning.end());
    }
    if reasons {
        // Models that do not reason refuse this.
        body.raw("include", br#"["reasoning.encrypted_content"]"#);
    }
    if let Some(key) = &request.cache_key {
        body.text("prompt_cache_key", key);
    }
    // Longer ones are refused.
    if let Some(user) = request.user.as_deref().filter(|user| user.len() <= 64) {
        body.text(if openai { "safety_identifier" } else { "user" }, user);
    }
    if request.from == Some(Id::Responses) {
        for (name, value) in &request.extras {
            if matches!(name.as_ref(), "metadata" | "truncation" | "top_logprobs") {
                body.raw(name, value.get().as_bytes());
            }
        }
    }
    body.end()
}

/// Whether the model reasons, as far as its name tells: only OpenAI's own names do.
fn reasons(target: &Target<'_>) -> bool {
    let name = target.model.rsplit('/').next().unwrap_or(target.model);
    target.vendor == Vendor::OpenAi && !["gpt-3", "gpt-4", "chatgpt"].iter().any(|old| name.starts_with(old))
}

fn format(request: &Request<'_>, body: &mut Object) {
    let mut text = Object::new(Vec::new());
    match &request.format {
        Format::Text => {}
        Format::Json => text.raw("format", br#"{"type":"json_object"}"#),
        Format::Schema { name, schema, strict } => {
            let mut format = Object::new(Vec::new());
            format.text("type", "json_schema");
            format.text("name", name.as_deref().unwrap_or("answer"));
            format.raw("schema", schema.get().as_bytes());
            if let Some(strict) = strict {
                format.raw("strict", if *strict { b"true" } else { b"false" });
            }
            text.raw("format", &format.end());
        }
    }
    if let Some(verbosity) = &request.verbosity {
        text.text("verbosity", verbosity);
    }
    if !text.empty() {
        body.raw("text", &text.end());
    }
}

fn tools(request: &Request<'_>, body: &mut Object) {
    let mut list = Vec::from(b"[");
    for tool in &request.tools {
        if list.len() > 1 {
            list.push(b',');
        }
        list.extend_from_slice(&self::tool(tool));
    }
    list.push(b']');
    body.raw("tools", &list);
    let word: &[u8] = match &request.choice {
        Choice::Unset => b"",
        Choice::Auto => b"\"auto\"",
        Choice::Any => b"\"required\"",
        Choice::None => b"\"none\"",
        Choice::Named(name) => {
            let freeform = request.tools.iter().any(|tool| tool.name == *name && tool.freeform.is_some());
            let mut choice = Object::new(Vec::new());
            choice.text("type", if freeform { "custom" } else { "function" });
            choice.text("name", name);
            &choice.end()
        }
    };
    if !word.is_empty() {
        body.raw("tool_choice", word);
    }
    if let Some(parallel) = request.parallel {
        body.raw("parallel_tool_calls", if parallel { b"true" } else { b"false" });
    }
}

fn tool(tool: &Tool<'_>) -> Vec<u8> {
    let mut object = Object::new(Vec::new());
    object.text("type", if tool.freeform.is_some() { "custom" } else { "function" });
    object.text("name", &tool.name);
    if let Some(description) = &tool.description {
        object.text("description", description);
    }
    match tool.freeform {
        Some(format) => {
            if let Some(format) = format {
                object.raw("format", &flat(format.get()));
            }
        }
        None => {
            let empty = r#"{"type":"object","properties":{}}"#;
            let schema = tool.schema.as_ref().map_or(empty, |schema| schema.get());
            object.raw("parameters", if schema == "null" { empty } else { schema }.as_bytes());
            // Left out it means true here, and OpenAI rewrites the schema then.
            object.raw("strict", if tool.strict == Some(true) { b"true" } else { b"false" });
        }
    }
    object.end()
}

/// A freeform tool's format. Chat puts the grammar into an object of its own; here it is flat.
fn flat(format: &str) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Nested<'a> {
        #[serde(borrow)]
        grammar: &'a serde_json::value::RawValue,
    }
    let inner = serde_json::from_str::<Nested<'_>>(format).ok().map(|nested| nested.grammar.get().trim());
    match inner.and_then(|inner| inner.strip_prefix('{')?.strip_suffix('}')) {
        Some(members) if !members.trim().is_empty() => format!(r#"{{"type":"grammar",{members}}}"#).into_bytes(),
        _ => format.as_bytes().to_vec(),
    }
}

struct Input {
    out: Vec<u8>,
    /// Calls without an output so far, and whether they were freeform.
    open: Vec<(String, bool)>,
    vendor: Vendor,
}

impl Input {
    fn item(&mut self, item: Object) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&item.end());
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        match turn.role {
            Role::Assistant => {
                self.flush();
                self.assistant(&turn.parts);
            }
            Role::User => self.user(&turn.parts),
        }
    }

    /// A call without an output makes OpenAI refuse the request.
    fn flush(&mut self) {
        for (id, freeform) in std::mem::take(&mut self.open) {
            let mut text = Vec::new();
            quote::string(&mut text, "[no result: the call was interrupted]");
            self.output(&id, freeform, &text);
        }
    }

    fn output(&mut self, id: &str, freeform: bool, output: &[u8]) {
        let mut item = Object::new(Vec::new());
        item.text("type", if freeform { "custom_tool_call_output" } else { "function_call_output" });
        item.text("call_id", id);
        item.raw("output", output);
        self.item(item);
    }

    fn assistant(&mut self, parts: &[Part<'_>]) {
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::Text(text) => {
                    let mut item = Object::new(Vec::new());
                    item.text("type", "message");
                    item.text("role", "assistant");
                    let mut content = Object::new(Vec::from(b"["));
                    content.text("type", "output_text");
                    content.text("text", text);
                    let mut content = content.end();
                    content.push(b']');
                    item.raw("content", &content);
                    self.item(item);
                }
                // OpenAI refuses reasoning without the item it led to.
                Part::Thinking { text, signature } if parts[at + 1..].iter().any(leads) => {
                    let proof = signature.as_deref().and_then(|s| carrier::open(carrier::Maker::Responses, s));
                    self.reasoning(text, proof);
                }
                Part::ToolUse(call) => {
                    let ToolUse { id, name, namespace, input, freeform, .. } = call;
                    self.open.push((id.as_ref().to_owned(), *freeform));
                    let mut item = Object::new(Vec::new());
                    item.text("type", if *freeform { "custom_tool_call" } else { "function_call" });
                    item.text("call_id", id);
                    item.text("name", name);
                    if let Some(namespace) = namespace {
                        item.text("namespace", namespace);
                    }
                    match freeform {
                        true => item.text("input", input),
                        false => item.text("arguments", &call.object()),
                    }
                    self.item(item);
                }
                Part::Thinking { .. } | Part::Media(_) | Part::ToolResult { .. } => {}
            }
        }
    }

    fn reasoning(&mut self, text: &str, proof: Option<&str>) {
        let texts = |kind: &str| {
            let mut list = Vec::from(b"[");
            if !text.is_empty() {
                let mut part = Object::new(list);
                part.text("type", kind);
                part.text("text", text);
                list = part.end();
            }
            list.push(b']');
            list
        };
        let mut item = Object::new(Vec::new());
        item.text("type", "reasoning");
        match proof {
            Some(proof) => {
                item.raw("summary", &texts("summary_text"));
                item.text("encrypted_content", proof);
            }
            // OpenAI takes nothing it did not make; engines want the text.
            None if self.vendor == Vendor::OpenAi || text.is_empty() => return,
            None => {
                item.raw("summary", b"[]");
                item.raw("content", &texts("reasoning_text"));
            }
        }
        self.item(item);
    }

    fn user(&mut self, parts: &[Part<'_>]) {
        let mut rest = Vec::from(b"[");
        for part in parts {
            let Part::ToolResult { id, parts, is_error } = part else {
                content(part, &mut rest);
                continue;
            };
            match self.open.iter().position(|(open, _)| open == id.as_ref()) {
                Some(at) => {
                    let (_, freeform) = self.open.remove(at);
                    self.output(id, freeform, &result(parts, *is_error));
                }
                // The call was cut out of the history: its result is only something to know.
                None => {
                    content(&Part::Text("[tool result]".into()), &mut rest);
                    parts.iter().for_each(|part| content(part, &mut rest));
                }
            }
        }
        self.flush();
        if rest.len() > 1 {
            rest.push(b']');
            let mut item = Object::new(Vec::new());
            item.text("type", "message");
            item.text("role", "user");
            item.raw("content", &rest);
            self.item(item);
        }
    }
}

/// Whether the part becomes an item that reasoning can lead to.
fn leads(part: &Part<'_>) -> bool {
    matches!(part, Part::Text(_) | Part::ToolUse(_))
}

/// A tool's output: text, or parts where there is more than text.
fn result(parts: &[Part<'_>], is_error: bool) -> Vec<u8> {
    let mark = if is_error { "[tool error] " } else { "" };
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_ref()),
            _ => None,
        })
        .collect();
    let mut out = Vec::new();
    if texts.len() == parts.len() {
        quote::string(&mut out, &format!("{mark}{}", texts.join("\n")));
        return out;
    }
    out.push(b'[');
    if is_error {
        content(&Part::Text(mark.into()), &mut out);
    }
    parts.iter().for_each(|part| content(part, &mut out));
    out.push(b']');
    out
}

/// Appends the part to a list of content.
fn content(part: &Part<'_>, list: &mut Vec<u8>) {
    let mut object = Object::new(Vec::new());
    match part {
        Part::Text(text) => {
            object.text("type", "input_text");
            object.text("text", text);
        }
        Part::Media(media) => self::media(media, &mut object),
        Part::Thinking { .. } | Part::ToolUse(_) | Part::ToolResult { .. } => return,
    }
    if list.len() > 1 {
        list.push(b',');
    }
    list.extend_from_slice(&object.end());
}

fn media(media: &Media<'_>, object: &mut Object) {
    let file = match &media.source {
        Source::File(id) => Some(id),
        _ => None,
    };
    let url = media::to_url(&media.source).unwrap_or_default();
    match media.kind {
        MediaKind::Image => {
            object.text("type", "input_image");
            match file {
                Some(id) => object.text("file_id", id),
                None => object.text("image_url", &url),
            }
            object.text("detail", media.detail.as_deref().unwrap_or("auto"));
        }
        MediaKind::Document => {
            object.text("type", "input_file");
            match (file, &media.source) {
                (Some(id), _) => object.text("file_id", id),
                (None, Source::Url(url)) => object.text("file_url", url),
                _ => {
                    // A file without a name is refused.
                    object.text("filename", media.name.as_deref().unwrap_or("document.pdf"));
                    object.text("file_data", &url);
                }
            }
        }
        MediaKind::Audio => {
            object.text("type", "input_audio");
            let mut audio = Object::new(Vec::new());
            if let Source::Base64 { media_type, data } = &media.source {
                audio.text("data", data);
                audio.text("format", if media_type.ends_with("mpeg") { "mp3" } else { "wav" });
            }
            object.raw("input_audio", &audio.end());
        }
    }
}
