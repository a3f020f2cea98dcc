//! What is told about a request once it is over: one record each, whatever way it ended.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::digits;
use crate::protocol::Id;
use crate::protocol::event::Usage;

/// One request and its answer.
#[derive(Debug, Clone)]
pub struct Record {
    /// The id in the answer's `request-id` header.
    pub id: String,
    /// When it came.
    pub at: SystemTime,
    /// The protocol it came in.
    pub dialect: Id,
    /// The path it came to, without its query.
    pub path: String,
    /// The model it asked for.
    pub asked: Option<String>,
    /// The model it got.
    pub served: Option<String>,
    /// The answer's status; `None` when the caller left before there was one.
    pub status: Option<u16>,
    /// Whether the answer was a stream.
    pub stream: bool,
    /// How the backend was asked; `None` when it was not.
    pub way: Option<Way>,
    /// What it cost, as far as the backend said.
    pub usage: Option<Usage>,
    /// Until the first byte of the answer's body.
    pub first_byte: Option<Duration>,
    /// Until the end of it.
    pub duration: Duration,
    /// What no translation could carry: short names, each once.
    pub dropped: Vec<String>,
    /// What the limit on the answer was lowered to, tokens, if it was.
    pub clamped: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// The caller left in the middle of the stream.
    pub left: bool,
}

/// How the backend was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In the caller's own protocol.
    Native,
    /// In another one.
    Translated,
}

/// Where records go. Called at the end of a request from whatever task holds it last: it must not block.
#[derive(Clone)]
pub struct AccessLog(Arc<dyn Fn(&Record) + Send + Sync>);

impl AccessLog {
    /// A log that hands each record to `take`.
    pub fn new(take: impl Fn(&Record) + Send + Sync + 'static) -> AccessLog {
        AccessLog(Arc::new(take))
    }

    pub(super) fn take(&self, record: &Record) {
        (self.0)(record);
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessLog")
    }
}

/// A protocol as the log calls it.
fn dialect(id: Id) -> &'static str {
    match id {
        Id::Messages => "messages",
        Id::Chat => "chat",
        Id::Responses => "responses",
        Id::Gemini => "gemini",
        Id::Ollama => "ollama",
    }
}

/// Text from outside on one line and of a bounded length.
fn tame(line: &mut String, text: &str, most: usize) {
    if text.len() <= most && text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return line.push_str(text);
    }
    line.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most));
}

fn number(line: &mut String, value: u64, least: usize) {
    line.push_str(digits::of(value, least, &mut digits::room()));
}

/// Seconds with three digits behind the point.
fn seconds(line: &mut String, duration: Duration) {
    let millis = (duration.subsec_micros() + 500) / 1000;
    number(line, duration.as_secs().saturating_add(u64::from(millis / 1000)), 1);
    line.push('.');
    number(line, u64::from(millis % 1000), 3);
    line.push('s');
}

impl Record {
    /// One line: the time, then words in a fixed order, then `name=value` pairs.
    pub fn line(&self) -> String {
        let mut line = String::with_capacity(256);
        date(&mut line, self.at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
        let word = |line: &mut String, word: &str| {
            line.push(' ');
            line.push_str(word);
        };
        word(&mut line, dialect(self.dialect));
        match self.status {
            Some(status) => {
                line.push(' ');
                number(&mut line, status.into(), 3);
            }
            None => word(&mut line, "left"),
        }
        line.push(' ');
        match (&self.asked, &self.served) {
            (Some(asked), Some(served)) if asked != served => {
                tame(&mut line, asked, 100);
                line.push_str("->");
                line.push_str(served);
            }
            (_, Some(served)) => line.push_str(served),
            (asked, None) => tame(&mut line, asked.as_ref().unwrap_or(&self.path), 100),
        }
        if let Some(way) = self.way {
            word(&mut line, if self.stream { "stream" } else { "whole" });
            word(&mut line, if way == Way::Native { "native" } else { "translated" });
        }
        if let Some(usage) = self.usage {
            let prefilled = usage.prompt.saturating_sub(usage.cached);
            for (name, count) in [
                (" prompt=", usage.prompt),
                (" cached=", usage.cached),
                (" prefilled=", prefilled),
                (" output=", usage.output),
            ] {
                line.push_str(name);
                number(&mut line, count, 1);
            }
        }
        if let Some(first) = self.first_byte {
            line.push_str(" first=");
            seconds(&mut line, first);
        }
        line.push_str(" total=");
        seconds(&mut line, self.duration);
        if let Some(limit) = self.clamped {
            line.push_str(" max_tokens=");
            number(&mut line, limit, 1);
        }
        if !self.dropped.is_empty() {
            line.push_str(" dropped=");
            tame(&mut line, &self.dropped.join(","), 300);
        }
        if self.left {
            word(&mut line, "left");
        }
        if let Some(error) = &self.error {
            let mut told = String::new();
            tame(&mut told, error, 300);
            line.push_str(&format!(" error={told:?}"));
        }
        line.push_str(" id=");
        line.push_str(&self.id);
        line
    }
}

/// Appends seconds since 1970 as a date (civil-from-days).
fn date(line: &mut String, seconds: u64) {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    number(line, year, 4);
    for (before, part) in [('-', month), ('-', day), ('T', rest / 3600), (':', rest / 60 % 60), (':', rest % 60)] {
        line.push(before);
        line.push(char::from(b'0' + (part / 10) as u8));
        line.push(char::from(b'0' + (part % 10) as u8));
    }
    line.push('Z');
}

/// Seconds since 1970 as a date.
pub(super) fn rfc3339(seconds: u64) -> String {
    let mut text = String::with_capacity(20);
    date(&mut text, seconds);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_709_210_096), "2024-02-29T12:34:56Z");
    }

    #[test]
    fn a_record_is_one_line_whatever_the_caller_said() {
        let mut record = Record {
            id: "req_1".into(),
            at: UNIX_EPOCH + Duration::from_secs(1_709_210_096),
            dialect: Id::Messages,
            path: "/v1/messages".into(),
            asked: Some("claude\nx".into()),
            served: Some("glm".into()),
            status: Some(200),
            stream: true,
            way: Some(Way::Translated),
            usage: Some(Usage { prompt: 10, cached: 8, output: 2, ..Usage::default() }),
            first_byte: Some(Duration::from_millis(250)),
            duration: Duration::from_millis(1500),
            dropped: vec!["top_k".into(), "speed".into()],
            clamped: Some(900),
            error: None,
            left: false,
        };
        assert_eq!(
            record.line(),
            "2024-02-29T12:34:56Z messages 200 claude x->glm stream translated prompt=10 cached=8 prefilled=2 output=2 \
             first=0.250s total=1.500s max_tokens=900 dropped=top_k,speed id=req_1"
        );
        record = Record {
            asked: None,
            served: None,
            status: Some(401),
            way: None,
            usage: None,
            first_byte: None,
            dropped: Vec::new(),
            clamped: None,
            error: Some("no\r\nkey".into()),
            ..record
        };
        assert_eq!(
            record.line(),
            "2024-02-29T12:34:56Z messages 401 /v1/messages total=1.500s error=\"no  key\" id=req_1"
        );
    }
}
