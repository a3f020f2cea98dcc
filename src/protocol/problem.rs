//! A failure before it is written in anyone's dialect.

use serde_json::Value;

use super::overflow;

/// What kind of failure; each protocol has its own word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The request makes no sense (400).
    Invalid,
    /// No key, or the wrong one (401).
    Unauthenticated,
    /// Not from there (403).
    Forbidden,
    /// No such path or model (404).
    NotFound,
    /// Right path, wrong verb (405).
    Method,
    /// Body over the limit (413).
    TooLarge,
    /// Try later: too many requests (429).
    RateLimited,
    /// The engine failed (500).
    Internal,
    /// Not served here (501).
    Unsupported,
    /// The engine cannot be reached or died (502).
    Upstream,
    /// Still loading, or full: try later (503).
    Overloaded,
    /// Prompt and answer do not fit the context (400).
    ContextOverflow,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// For the human.
    pub message: String,
    /// Seconds after which another try makes sense.
    pub retry_after: Option<u64>,
    /// The same in milliseconds, when a backend said it so.
    pub retry_after_ms: Option<u64>,
    /// Whether the backend said that another try makes sense (`x-should-retry`).
    pub should_retry: Option<bool>,
    /// Prompt tokens and what the context holds, for [`ProblemKind::ContextOverflow`].
    pub overflow: Option<overflow::Numbers>,
}

impl Problem {
    /// A failure of that kind.
    pub fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Problem {
            kind,
            message: message.into(),
            retry_after: None,
            retry_after_ms: None,
            should_retry: None,
            overflow: None,
        }
    }

    /// The same, with a time to come back.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same, told by a backend whose context holds `context` tokens (0: unknown): an overflow without numbers gets
    /// these, since clients compact on them only.
    pub fn within(mut self, context: u64) -> Self {
        if self.kind == ProblemKind::ContextOverflow && self.overflow.is_none() && context > 0 {
            self.overflow = Some((context.saturating_add(1), context));
        }
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self.kind {
            ProblemKind::Invalid | ProblemKind::ContextOverflow => 400,
            ProblemKind::Unauthenticated => 401,
            ProblemKind::Forbidden => 403,
            ProblemKind::NotFound => 404,
            ProblemKind::Method => 405,
            ProblemKind::TooLarge => 413,
            ProblemKind::RateLimited => 429,
            ProblemKind::Internal => 500,
            ProblemKind::Unsupported => 501,
            ProblemKind::Upstream => 502,
            ProblemKind::Overloaded => 503,
        }
    }

    /// Reads what an engine answered instead of a result, in any of the shapes engines use: OpenAI's, Anthropic's,
    /// FastAPI's `{"detail"}`, Ollama's `{"error":"…"}`, and an engine's error quoted inside another one's message.
    pub fn from_engine(status: u16, body: &[u8]) -> Problem {
        let parsed: Option<Value> = serde_json::from_slice(body).ok();
        let (message, numbers) = match &parsed {
            Some(value) => message_of(value, 0),
            None => (String::from_utf8_lossy(body).trim().chars().take(500).collect(), None),
        };
        let message = if message.is_empty() { format!("the engine answered {status}") } else { message };
        if let Some((prompt, max)) = numbers.or_else(|| overflow::numbers(&message)) {
            let mut problem = Problem::new(ProblemKind::ContextOverflow, message);
            problem.overflow = Some((prompt, max));
            return problem;
        }
        let coded = |value: &Value| {
            let error = value.get("error").unwrap_or(value);
            ["code", "type"].iter().any(|key| error.get(key).and_then(Value::as_str) == Some("context_length_exceeded"))
        };
        // OpenAI says it without numbers too.
        if parsed.as_ref().is_some_and(coded) {
            return Problem::new(ProblemKind::ContextOverflow, message);
        }
        let kind = match status {
            // Our own key did not open the engine: the caller can do nothing about it.
            401 | 403 => ProblemKind::Upstream,
            404 => ProblemKind::NotFound,
            413 => ProblemKind::TooLarge,
            429 => ProblemKind::RateLimited,
            501 => ProblemKind::Unsupported,
            503 | 529 => ProblemKind::Overloaded,
            400..=499 => ProblemKind::Invalid,
            502 | 504 => ProblemKind::Upstream,
            _ => ProblemKind::Internal,
        };
        let problem = Problem::new(kind, message);
        if matches!(kind, ProblemKind::Overloaded) { problem.retry_after(2) } else { problem }
    }

    /// The sentence Anthropic clients recognise and compact on, for overflows; else the message.
    pub fn anthropic_message(&self) -> String {
        match self.overflow {
            Some((prompt, max)) if prompt > max => format!("prompt is too long: {prompt} tokens > {max} maximum"),
            // Only the answer's limit is too large: Claude Code asks for less and goes on (measured with 2.1.329).
            Some((prompt, max)) => format!(
                "input length and `max_tokens` exceed context limit: {prompt} + {} > {max}, decrease input length or \
                 `max_tokens` and try again",
                max.saturating_sub(prompt) + 1
            ),
            None if self.kind == ProblemKind::ContextOverflow => format!("prompt is too long: {}", self.message),
            None => self.message.clone(),
        }
    }

    /// The sentence OpenAI clients recognise, for overflows; else the message.
    pub fn openai_message(&self) -> String {
        match self.overflow {
            Some((prompt, max)) if prompt > max => format!(
                "This model's maximum context length is {max} tokens. However, your messages resulted in {prompt} \
                 tokens. Please reduce the length of the messages."
            ),
            Some((prompt, max)) => format!(
                "This model's maximum context length is {max} tokens. However, your messages resulted in {prompt} tokens \
                 and the answer's limit does not fit beside them. Please reduce it."
            ),
            None => self.message.clone(),
        }
    }
}

fn message_of(value: &Value, depth: u8) -> (String, Option<(u64, u64)>) {
    // Google wraps the failures of streams into an array.
    let value = value.get(0).unwrap_or(value);
    let error = value.get("error").unwrap_or(value);
    let numbers = match (error.get("n_prompt_tokens"), error.get("n_ctx")) {
        (Some(prompt), Some(max)) => prompt.as_u64().zip(max.as_u64()),
        _ => None,
    };
    let text = match error {
        Value::String(text) => text.as_str(),
        _ => ["message", "detail", "error"]
            .iter()
            .find_map(|key| error.get(key).and_then(Value::as_str))
            .unwrap_or_default(),
    };
    // Ollama hands on its runner's error as JSON text inside its own message.
    if numbers.is_none()
        && depth < 3
        && text.trim_start().starts_with('{')
        && let Ok(inner) = serde_json::from_str::<Value>(text.trim())
    {
        let (message, numbers) = message_of(&inner, depth + 1);
        if !message.is_empty() {
            return (message, numbers);
        }
    }
    (text.to_owned(), numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overflow_sentences_of_three_engines_become_numbers() {
        let cases: [(&str, (u64, u64)); 5] = [
            (
                r#"{"error":{"code":400,"message":"request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}"#,
                (9000, 4096),
            ),
            (
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your prompt contains at least 8193 input tokens, which exceeds","type":"BadRequestError","param":"input_tokens","code":400}}"#,
                (8193, 8192),
            ),
            (
                r#"{"type":"error","error":{"type":"BadRequestError","message":"This model's maximum context length is 8192 tokens."}}"#,
                (8193, 8192),
            ),
            (
                r#"{"error":{"message":"{\"error\":{\"code\":400,\"message\":\"request (50 tokens) exceeds the available context size (40 tokens)\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":50,\"n_ctx\":40}}","type":"api_error"}}"#,
                (50, 40),
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210 tokens > 200 maximum"}}"#,
                (210, 200),
            ),
        ];
        for (body, numbers) in cases {
            let problem = Problem::from_engine(400, body.as_bytes());
            assert_eq!(problem.kind, ProblemKind::ContextOverflow, "{body}");
            assert_eq!(problem.overflow, Some(numbers), "{body}");
        }
        let (prompt, max) = (9000, 4096);
        let problem = Problem::from_engine(400, cases[0].0.as_bytes());
        assert_eq!(problem.anthropic_message(), format!("prompt is too long: {prompt} tokens > {max} maximum"));
        assert_eq!(problem.status(), 400);
    }

    #[test]
    fn an_overflow_without_numbers_gets_the_backends_context() {
        let body = br#"{"error":{"message":"Your input exceeds the window.","code":"context_length_exceeded"}}"#;
        let problem = Problem::from_engine(400, body);
        assert_eq!((problem.kind, problem.overflow), (ProblemKind::ContextOverflow, None));
        assert_eq!(problem.clone().within(0), problem);
        let known = problem.within(8192);
        assert_eq!(known.anthropic_message(), "prompt is too long: 8193 tokens > 8192 maximum");
        assert!(known.openai_message().starts_with("This model's maximum context length is 8192 tokens."));
        assert_eq!(known.clone().within(1), known);
        assert_eq!(Problem::from_engine(400, b"no").within(8192).overflow, None);
    }

    #[test]
    fn other_errors_keep_their_words() {
        let problem = Problem::from_engine(404, br#"{"detail":"Not Found"}"#);
        assert_eq!((problem.kind, problem.message.as_str()), (ProblemKind::NotFound, "Not Found"));
        let problem = Problem::from_engine(500, b"plain words");
        assert_eq!((problem.status(), problem.message.as_str()), (500, "plain words"));
        let problem = Problem::from_engine(401, br#"{"error":"no"}"#);
        assert_eq!((problem.status(), problem.message.as_str()), (502, "no"));
        assert_eq!(Problem::from_engine(503, b"").message, "the engine answered 503");
    }
}
