//! A request for `/api/chat`. Fields as in Ollama's `api/types.go` (0.33); it ignores those it does not know.

use std::borrow::Cow;

use crate::protocol::ir::{Choice, Format, Media, MediaKind, Part, Request, Role, Source, Tool, ToolUse, Turn};
use crate::protocol::{Target, effort, quote};

/// Sampling settings that are `options` there; Chat's `repetition_penalty` has another name.
const OPTIONS: [(&str, &str); 9] = [
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("min_p", "min_p"),
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("repetition_penalty", "repeat_penalty"),
    ("repeat_penalty", "repeat_penalty"),
];

pub(super) fn encode(request: &Request<'_>, target: &Target<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    quote::raw(&mut out, "{\"model\":");
    quote::string(&mut out, target.model);
    // A prompt that does not fit shall be an error: by default old messages vanish in silence.
    quote::raw(&mut out, ",\"stream\":true,\"truncate\":false,\"shift\":false,\"messages\":[");
    let mut messages = Messages { out: &mut out, open: Vec::new() };
    if !request.system.is_empty() {
        messages.start("system");
        quote::string(messages.out, &request.system.join("\n\n"));
        messages.out.push(b'}');
    }
    request.turns.iter().for_each(|turn| messages.turn(turn));
    messages.flush();
    out.push(b']');
    tools(request, &mut out);
    think(request, target.model, &mut out);
    match &request.format {
        Format::Text => {}
        Format::Json => quote::raw(&mut out, ",\"format\":\"json\""),
        Format::Schema { schema, .. } => {
            quote::key(&mut out, "format");
            quote::raw(&mut out, schema.get());
        }
    }
    options(request, target.context, &mut out);
    out.push(b'}');
    out
}

/// Ollama has no tool choice: none means no tools, one by name means only that one.
fn tools(request: &Request<'_>, out: &mut Vec<u8>) {
    let offered = |tool: &&Tool<'_>| match &request.choice {
        Choice::None => false,
        Choice::Named(name) => tool.name == *name,
        Choice::Unset | Choice::Auto | Choice::Any => true,
    };
    let mut first = true;
    for tool in request.tools.iter().filter(offered) {
        quote::raw(out, if first { ",\"tools\":[" } else { "," });
        first = false;
        quote::raw(out, "{\"type\":\"function\",\"function\":{\"name\":");
        quote::string(out, &tool.name);
        quote::member(out, "description", tool.description.as_deref().unwrap_or_default());
        quote::key(out, "parameters");
        let schema = tool.schema.as_deref().map(|schema| schema.get()).filter(|schema| schema.starts_with('{'));
        quote::raw(out, schema.unwrap_or("{\"type\":\"object\",\"properties\":{}}"));
        quote::raw(out, "}}");
    }
    quote::raw(out, if first { "" } else { "]" });
}

/// Models that can think do so unless told not to, and those that cannot refuse to be told so (400 "does not support
/// thinking"): only `false` is said, and the level where the model has levels.
fn think(request: &Request<'_>, model: &str, out: &mut Vec<u8>) {
    if request.reasoning.enabled == Some(false) || request.reasoning.effort.as_deref() == Some("none") {
        quote::raw(out, ",\"think\":false");
    } else if let Some(effort) = request.reasoning.effort.as_deref().filter(|_| model.contains("gpt-oss")) {
        quote::member(out, "think", effort::of_three(effort));
    }
}

fn options(request: &Request<'_>, context: u64, out: &mut Vec<u8>) {
    quote::raw(out, ",\"options\":{");
    let mut option = |name: &str, value: &str| {
        quote::comma(out);
        quote::string(out, name);
        out.push(b':');
        quote::raw(out, value);
    };
    if context > 0 {
        option("num_ctx", &context.to_string());
    }
    if let Some(limit) = request.max_tokens {
        option("num_predict", &limit.to_string());
    }
    for (name, value) in &request.sampling {
        if let Some((_, theirs)) = OPTIONS.iter().find(|(known, _)| known == name) {
            option(theirs, value.get());
        }
    }
    if !request.stop.is_empty() {
        let mut list = Vec::new();
        quote::json(&mut list, &request.stop);
        option("stop", &String::from_utf8_lossy(&list));
    }
    out.push(b'}');
}

struct Messages<'o, 'a> {
    out: &'o mut Vec<u8>,
    /// Calls of the last assistant turn that have no result yet: id and tool.
    open: Vec<(&'a str, &'a str)>,
}

impl<'a> Messages<'_, 'a> {
    /// Everything before the content.
    fn start(&mut self, role: &str) {
        quote::comma(self.out);
        quote::raw(self.out, "{\"role\":\"");
        quote::raw(self.out, role);
        quote::raw(self.out, "\",\"content\":");
    }

    fn turn(&mut self, turn: &'a Turn<'_>) {
        match turn.role {
            Role::Assistant => {
                self.flush();
                self.assistant(&turn.parts);
            }
            Role::User => self.user(&turn.parts),
        }
    }

    fn tool(&mut self, id: &str, name: &str, content: &str) {
        self.start("tool");
        quote::string(self.out, content);
        quote::member(self.out, "tool_name", name);
        quote::member(self.out, "tool_call_id", id);
        self.out.push(b'}');
    }

    /// A call whose result never came gets one that says so.
    fn flush(&mut self) {
        for (id, name) in std::mem::take(&mut self.open) {
            self.tool(id, name, "[no result: the call was interrupted]");
        }
    }

    fn assistant(&mut self, parts: &'a [Part<'_>]) {
        let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::<u8>::new());
        for part in parts {
            match part {
                Part::Text(more) => text.push_str(more),
                Part::Thinking { text: more, .. } => thinking.push_str(more),
                Part::ToolUse(call) => {
                    let ToolUse { id, name, .. } = call;
                    self.open.push((id, name));
                    let lead = if calls.is_empty() { ",\"tool_calls\":[{" } else { ",{" };
                    quote::raw(&mut calls, lead);
                    quote::raw(&mut calls, "\"id\":");
                    quote::string(&mut calls, id);
                    quote::raw(&mut calls, ",\"function\":{\"name\":");
                    quote::string(&mut calls, name);
                    quote::key(&mut calls, "arguments");
                    quote::raw(&mut calls, &call.object());
                    quote::raw(&mut calls, "}}");
                }
                Part::Media(_) | Part::ToolResult { .. } => {}
            }
        }
        self.start("assistant");
        quote::string(self.out, &text);
        if !thinking.is_empty() {
            quote::member(self.out, "thinking", &thinking);
        }
        if !calls.is_empty() {
            self.out.extend_from_slice(&calls);
            self.out.push(b']');
        }
        self.out.push(b'}');
    }

    fn user(&mut self, parts: &'a [Part<'_>]) {
        let (mut texts, mut images) = (Vec::<Cow<'_, str>>::new(), Vec::<&str>::new());
        for part in parts {
            match part {
                Part::Text(text) => texts.push(Cow::Borrowed(text)),
                Part::Media(media) => texts.extend(self::media(media, &mut images)),
                Part::ToolResult { id, parts, is_error } => {
                    let mut words = Vec::<Cow<'_, str>>::new();
                    for part in parts {
                        match part {
                            Part::Text(more) => words.push(Cow::Borrowed(more)),
                            Part::Media(media) => words.extend(self::media(media, &mut images)),
                            _ => {}
                        }
                    }
                    let text = format!("{}{}", if *is_error { "[tool error] " } else { "" }, words.join("\n"));
                    match self.open.iter().position(|(open, _)| *open == id.as_ref()) {
                        Some(at) => {
                            let (id, name) = self.open.remove(at);
                            self.tool(id, name, &text);
                        }
                        // The call was cut out of the history: its result is only something to know.
                        None => texts.push(format!("[tool result] {text}").into()),
                    }
                }
                Part::Thinking { .. } | Part::ToolUse(_) => {}
            }
        }
        self.flush();
        if texts.is_empty() && images.is_empty() {
            return;
        }
        self.start("user");
        quote::string(self.out, &texts.join("\n"));
        if !images.is_empty() {
            quote::key(self.out, "images");
            quote::json(self.out, &images);
        }
        self.out.push(b'}');
    }
}

/// An image goes into `images`, as bare base64; Ollama fetches nothing and reads nothing else, so words say what was
/// there.
fn media<'a>(media: &'a Media<'_>, images: &mut Vec<&'a str>) -> Option<Cow<'a, str>> {
    match (media.kind, &media.source) {
        (MediaKind::Image, Source::Base64 { data, .. }) => {
            images.push(data);
            None
        }
        (MediaKind::Image | MediaKind::Document, Source::Url(url)) => {
            Some(format!("[{} at {url}]", media.called()).into())
        }
        (MediaKind::Image, Source::File(_)) => Some(media.left_out("uploaded elsewhere").into()),
        (MediaKind::Document, _) => Some(media.left_out("this engine reads none").into()),
        (MediaKind::Audio, _) => Some(media.left_out("this engine hears none").into()),
    }
}
