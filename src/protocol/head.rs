//! The few things the gateway must know about a request that it otherwise passes on as bytes, and the edits it makes
//! to those bytes. No DOM: a scan finds the places, splices change them, everything else stays byte-identical.

use super::scan::{self, Span};

/// What stands at the top level of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The model asked for.
    pub model: Option<String>,
    /// Whether the answer shall be a stream.
    pub stream: bool,
    /// Where each `model` value stands (a key may occur twice; parsers take the last, we patch all).
    pub model_spans: Vec<Span>,
    /// Each limit on the answer's tokens and where it stands.
    pub max_tokens: Vec<(Span, u64)>,
    /// Where the text of the object starts and ends.
    pub object: Span,
}

impl Head {
    /// Scans a body; `None` when it is not a JSON object.
    pub fn scan(body: &[u8]) -> Option<Head> {
        let mut head = Head { object: 0..body.len(), ..Head::default() };
        let start = body.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))?;
        scan::walk_members(body, start, |key, at| {
            let value = at..scan::skip(body, at)?;
            let end = value.end;
            match scan::key(body, key).as_ref() {
                b"model" => {
                    head.model = scan::string(body, value.clone());
                    head.model_spans.push(value);
                }
                b"stream" => head.stream = &body[value] == b"true",
                // The limit's names in the protocols we pass through.
                b"max_tokens" | b"max_completion_tokens" | b"max_output_tokens" => {
                    let limit = std::str::from_utf8(&body[value.clone()]).ok().and_then(|limit| limit.parse().ok());
                    head.max_tokens.extend(limit.map(|limit| (value, limit)));
                }
                _ => {}
            }
            Some(end)
        })?;
        Some(head)
    }

    /// The model asked for, if it stands before the first long member: requests begin with it, and who reads the whole
    /// request anyway need not scan it first.
    pub fn early_model(body: &[u8]) -> Option<String> {
        let mut model = None;
        scan::walk_members(body, 0, |key, value| {
            let is_model = match body.get(key)? {
                br#""messages""# | br#""input""# | br#""contents""# | br#""tools""# | br#""system""#
                | br#""instructions""# => return None,
                // An escaped name may be any of these.
                key if key.contains(&b'\\') => return None,
                key => key == br#""model""#,
            };
            let end = scan::skip(body, value)?;
            if is_model {
                model = scan::string(body, value..end);
            }
            Some(end)
        });
        model
    }

    /// Edits that make the body ask for `model`; none when it does already.
    pub fn rename(&self, body: &[u8], model: &str, patches: &mut Vec<Patch>) {
        let quoted = quote(model);
        if self.model_spans.is_empty() {
            // `{` is the first character that is not space: the scan succeeded.
            let open = body.iter().position(|b| *b == b'{').unwrap_or(0) + 1;
            let empty = scan::members(body, 0..body.len()).is_some_and(|m| m.is_empty());
            let comma = if empty { "" } else { "," };
            patches.push(Patch { span: open..open, with: format!("\"model\":{quoted}{comma}").into_bytes() });
        }
        for span in &self.model_spans {
            if body.get(span.clone()) != Some(quoted.as_bytes()) {
                patches.push(Patch { span: span.clone(), with: quoted.clone().into_bytes() });
            }
        }
    }

    /// Edits that keep the answer's limit inside a context of `context` tokens. A limit that fits is left alone: how
    /// much the prompt takes is the engine's to know, and current engines shorten the answer themselves. The answer is
    /// the limit that was put in, if one was.
    pub fn clamp(&self, body: &[u8], context: u64, patches: &mut Vec<Patch>) -> Option<u64> {
        let mut put = None;
        for (span, asked) in &self.max_tokens {
            if let Some(fits) = clamped(*asked, body.len(), context) {
                patches.push(Patch { span: span.clone(), with: fits.to_string().into_bytes() });
                put = Some(fits);
            }
        }
        put
    }
}

/// The limit to use instead of `asked` when that is as large as the whole context: what a prompt of about a token per
/// four bytes leaves, but at least a quarter of the context.
pub fn clamped(asked: u64, body_bytes: usize, context: u64) -> Option<u64> {
    if context == 0 || asked < context {
        return None;
    }
    let prompt = body_bytes as u64 / 4;
    Some(context.saturating_sub(prompt).max(context / 4).max(1))
}

/// One edit: what stands at `span` is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// What goes.
    pub span: Span,
    /// What comes.
    pub with: Vec<u8>,
}

/// The body with the edits made. Edits that overlap an earlier one are left out.
pub fn splice(body: &[u8], mut patches: Vec<Patch>) -> Vec<u8> {
    patches.sort_by_key(|patch| patch.span.start);
    let grown: usize = patches.iter().map(|p| p.with.len()).sum();
    let mut out = Vec::with_capacity(body.len() + grown);
    let mut at = 0;
    for Patch { span, with } in patches {
        if span.start < at || span.end > body.len() {
            continue;
        }
        out.extend_from_slice(&body[at..span.start]);
        out.extend_from_slice(&with);
        at = span.end;
    }
    out.extend_from_slice(&body[at..]);
    out
}

/// Text as a JSON string, quotes included.
pub fn quote(text: &str) -> String {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    super::quote::string(&mut quoted, text);
    String::from_utf8(quoted).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(body: &str, model: &str, context: u64) -> String {
        let head = Head::scan(body.as_bytes()).unwrap();
        let mut patches = Vec::new();
        head.rename(body.as_bytes(), model, &mut patches);
        head.clamp(body.as_bytes(), context, &mut patches);
        String::from_utf8(splice(body.as_bytes(), patches)).unwrap()
    }

    #[test]
    fn only_the_model_changes() {
        let body = "{ \"messages\":[{\"model\":\"inner\"}],\n \"model\" : \"gpt-x\", \"stream\":true ,\"x\":1.50}";
        assert_eq!(patched(body, "tiny", 0), body.replace("gpt-x", "tiny"));
        let head = Head::scan(body.as_bytes()).unwrap();
        assert!(head.stream);
        assert_eq!(head.model.as_deref(), Some("gpt-x"));
    }

    #[test]
    fn the_model_is_known_early_where_it_stands_in_front() {
        let early = |body: &str| Head::early_model(body.as_bytes());
        assert_eq!(early(r#"{"model":"a","stream":true,"messages":[{"model":"b"}"#).as_deref(), Some("a"));
        assert_eq!(early(r#"{"messages":[],"model":"a"}"#), None);
        assert_eq!(early(r#"{"metadata":{"model":"b"},"input":"x"}"#), None);
        for body in ["", "[]", "{", r#"{"model":7}"#, r#"{"model":"#] {
            assert_eq!(early(body), None, "{body}");
        }
    }

    #[test]
    fn a_missing_model_is_put_in_front() {
        assert_eq!(patched(r#"{"input":1}"#, "t", 0), r#"{"model":"t","input":1}"#);
        assert_eq!(patched("{}", "t", 0), r#"{"model":"t"}"#);
    }

    #[test]
    fn a_limit_beyond_the_context_is_clamped_and_one_inside_is_not() {
        assert_eq!(patched(r#"{"model":"t","max_tokens":128000}"#, "t", 4096), r#"{"model":"t","max_tokens":4088}"#);
        let fits = r#"{"model":"t","max_tokens":4000}"#;
        assert_eq!(patched(fits, "t", 4096), fits);
        assert_eq!(clamped(9000, 1_000_000, 4096), Some(1024));
    }

    #[test]
    fn what_is_no_object_has_no_head() {
        for body in ["", "[]", "nonsense", "{\"model\":", "\"x\""] {
            assert_eq!(Head::scan(body.as_bytes()), None, "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            if let Some(head) = Head::scan(&bytes) {
                let mut patches = Vec::new();
                head.rename(&bytes, "m", &mut patches);
                head.clamp(&bytes, 10, &mut patches);
                let _ = splice(&bytes, patches);
            }
        }
    }
}
