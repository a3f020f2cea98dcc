//! The Response object: what of it stays the same through one answer is written once. All the keys that the Open
//! Responses schema requires are there, whatever the request said.

use serde_json::value::RawValue;

use super::wire::{self, read};
use crate::protocol::event::Usage;
use crate::protocol::ids;
use crate::protocol::ir::Request;
use crate::protocol::quote;

/// How a response stands.
pub(super) struct Standing<'s> {
    pub(super) status: &'s str,
    /// Items that are done, without brackets.
    pub(super) output: &'s [u8],
    pub(super) usage: Option<Usage>,
    pub(super) incomplete: Option<&'s str>,
    /// Code and message.
    pub(super) error: Option<(&'s str, &'s str)>,
}

/// The part of the object that stays the same.
pub(super) struct Echo {
    pub(super) id: String,
    created: u64,
    members: Vec<u8>,
}

impl Echo {
    pub(super) fn new(request: &Request<'_>, unique: &str) -> Self {
        let mut members = Vec::with_capacity(1024);
        members.extend_from_slice(b",\"model\":");
        quote::string(&mut members, &request.model);
        let find = |name: &str| request.extras.iter().find(|(key, _)| key == name).map(|(_, raw)| *raw);
        let mut add = |name: &str, value: &str| {
            members.extend_from_slice(b",\"");
            members.extend_from_slice(name.as_bytes());
            members.extend_from_slice(b"\":");
            members.extend_from_slice(value.as_bytes());
        };
        const DEFAULTS: [(&str, &str); 15] = [
            ("previous_response_id", "null"),
            ("instructions", "null"),
            ("tool_choice", "\"auto\""),
            ("parallel_tool_calls", "true"),
            ("temperature", "1.0"),
            ("top_p", "1.0"),
            ("presence_penalty", "0.0"),
            ("frequency_penalty", "0.0"),
            ("top_logprobs", "0"),
            ("max_output_tokens", "null"),
            ("max_tool_calls", "null"),
            ("store", "true"),
            ("truncation", "\"disabled\""),
            ("metadata", "{}"),
            ("prompt_cache_key", "null"),
        ];
        for (name, default) in DEFAULTS {
            add(name, find(name).map_or(default, RawValue::get));
        }
        add("safety_identifier", find("safety_identifier").map_or("null", RawValue::get));
        add("user", find("user").map_or("null", RawValue::get));
        add("background", "false");
        add("service_tier", "\"default\"");
        let reasoning: Option<wire::Reasoning<'_>> = read(find("reasoning"));
        let (effort, summary) = reasoning.map_or((None, None), |r| (r.effort, r.summary));
        let null = |raw: Option<&RawValue>| raw.map_or("null".to_owned(), |raw| raw.get().to_owned());
        add("reasoning", &format!("{{\"effort\":{},\"summary\":{}}}", null(effort), null(summary)));
        let text: Option<wire::TextConfig<'_>> = read(find("text"));
        let format = text.as_ref().and_then(|text| text.format).map_or("{\"type\":\"text\"}", RawValue::get);
        let verbosity = text.as_ref().and_then(|text| text.verbosity).map_or("\"medium\"", RawValue::get);
        add("text", &format!("{{\"format\":{format},\"verbosity\":{verbosity}}}"));
        add("tools", &tools(find("tools")));
        // Line ends between the caller's members would end the line of an event; inside strings JSON has none.
        if memchr::memchr2(b'\n', b'\r', &members).is_some() {
            members.retain(|byte| !matches!(byte, b'\n' | b'\r'));
        }
        mend(&mut members);
        Echo { id: format!("resp_{unique}"), created: ids::now(), members }
    }

    /// Appends the object.
    pub(super) fn response(&self, out: &mut Vec<u8>, standing: &Standing<'_>) {
        let head = format!(
            "{{\"id\":\"{}\",\"object\":\"response\",\"created_at\":{},\"status\":\"{}\",\"completed_at\":",
            self.id, self.created, standing.status
        );
        out.extend_from_slice(head.as_bytes());
        match standing.status {
            "completed" => out.extend_from_slice(ids::now().max(self.created).to_string().as_bytes()),
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"error\":");
        match standing.error {
            Some((code, message)) => {
                out.extend_from_slice(b"{\"code\":");
                quote::string(out, code);
                out.extend_from_slice(b",\"message\":");
                quote::string(out, message);
                out.push(b'}');
            }
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"incomplete_details\":");
        match standing.incomplete {
            Some(reason) => out.extend_from_slice(format!("{{\"reason\":\"{reason}\"}}").as_bytes()),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(&self.members);
        out.extend_from_slice(b",\"output\":[");
        out.extend_from_slice(standing.output);
        out.extend_from_slice(b"],\"usage\":");
        match standing.usage {
            Some(usage) => out.extend_from_slice(self::usage(usage).as_bytes()),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
}

fn usage(usage: Usage) -> String {
    let Usage { prompt, cached, cache_write, output, reasoning } = usage;
    format!(
        "{{\"input_tokens\":{prompt},\"input_tokens_details\":{{\"cached_tokens\":{cached},\"cache_write_tokens\":\
         {cache_write}}},\"output_tokens\":{output},\"output_tokens_details\":{{\"reasoning_tokens\":{reasoning}}},\
         \"total_tokens\":{}}}",
        prompt.saturating_add(output)
    )
}

/// What strict readers of JSON refuse is put right in place: half a surrogate pair becomes U+FFFD (both are written with
/// six characters), a number beyond all floats `null`, as JavaScript writes it.
fn mend(json: &mut [u8]) {
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        at = match byte {
            b'"' => mend_text(json, at + 1),
            b'0'..=b'9' => mend_number(json, at),
            _ => at + 1,
        };
    }
}

/// Mends a text from behind its first quote; returns where what follows it begins.
fn mend_text(json: &mut [u8], mut at: usize) -> usize {
    let unit = |json: &[u8], at: usize| {
        let digits = json.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        u16::from_str_radix(std::str::from_utf8(&digits[2..]).ok()?, 16).ok()
    };
    while let Some(found) = json.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if json[at] == b'"' {
            return at + 1;
        }
        at += match unit(json, at) {
            Some(0xD800..=0xDBFF) if matches!(unit(json, at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                json[at + 2..at + 6].copy_from_slice(b"fffd");
                6
            }
            Some(_) => 6,
            // Another escape: what follows the backslash begins none.
            None => 2,
        };
    }
    json.len()
}

/// Mends a number from its first digit; returns where what follows it begins.
fn mend_number(json: &mut [u8], start: usize) -> usize {
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let end = json[start..].iter().position(|byte| !part(byte)).map_or(json.len(), |length| start + length);
    let start = if start > 0 && json[start - 1] == b'-' { start - 1 } else { start };
    // The shortest is 1e309.
    let number = &mut json[start..end];
    let finite = |number: &[u8]| {
        std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok()).is_none_or(f64::is_finite)
    };
    if number.len() >= 5 && !finite(number) {
        number.fill(b' ');
        number[..4].copy_from_slice(b"null");
    }
    end
}

/// The tools as they were offered; functions in their flat form with every key.
fn tools(raw: Option<&RawValue>) -> String {
    let mut out = Vec::from(b"[");
    for raw in read::<Vec<&RawValue>>(raw).unwrap_or_default() {
        if out.len() > 1 {
            out.push(b',');
        }
        let tool = read::<wire::Tool<'_>>(Some(raw)).filter(|tool| tool.kind == "function");
        let Some(tool) = tool else {
            out.extend_from_slice(raw.get().as_bytes());
            continue;
        };
        let tool = if tool.name.is_none() { read(tool.function).unwrap_or(tool) } else { tool };
        out.extend_from_slice(b"{\"type\":\"function\",\"name\":");
        quote::string(&mut out, tool.name.as_deref().unwrap_or_default());
        out.extend_from_slice(b",\"description\":");
        match &tool.description {
            Some(description) => description.write(&mut out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"parameters\":");
        out.extend_from_slice(tool.parameters.map_or("null", RawValue::get).as_bytes());
        let strict = tool.strict.map_or("null".to_owned(), |strict| strict.to_string());
        out.extend_from_slice(format!(",\"strict\":{strict}}}").as_bytes());
    }
    out.push(b']');
    String::from_utf8(out).unwrap_or_else(|_| "[]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::mend;

    #[test]
    fn only_what_strict_readers_refuse_is_mended() {
        for (text, mended) in [
            (r#""a\udbbb b""#, r#""a\ufffd b""#),
            (r#""\udc00\ud83d\ude00\ud83d""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#""\\ud800 \n\"\u00e9""#, r#""\\ud800 \n\"\u00e9""#),
            (r#""\ud83d\\ude00""#, r#""\ufffd\\ude00""#),
            ("", ""),
            ("\"\\", "\"\\"),
            (r#""1e999 \udc00\" 1e999""#, r#""1e999 \ufffd\" 1e999""#),
            ("[1e309,-1.5E+0999 ,1e308,0.000000001,12]", "[null ,null       ,1e308,0.000000001,12]"),
        ] {
            let mut json = text.as_bytes().to_vec();
            mend(&mut json);
            assert_eq!(String::from_utf8(json).unwrap(), mended);
        }
    }
}
