//! The last requests, from the lines that `gateway/access_log.rs` writes.

use std::collections::VecDeque;
use std::path::Path;

use super::view::RequestRow;
use crate::supervisor::tail::Tail;

/// So many are kept.
const KEPT: usize = 200;

/// How much of an existing log is read: a line has some 200 bytes.
const END: u64 = 64 << 10;

/// The end of the log, as it grows.
pub struct Requests {
    tail: Tail,
    /// The first line is only the rest of one.
    torn: bool,
    rows: VecDeque<RequestRow>,
}

impl Requests {
    /// Of the log at `path`, which need not exist yet.
    pub fn of(path: &Path) -> Requests {
        let length = path.metadata().map_or(0, |file| file.len());
        let start = length.saturating_sub(END);
        Requests { tail: Tail::at(path, start), torn: start > 0, rows: VecDeque::new() }
    }

    /// Those of now, the newest first. `now` is seconds since 1970.
    pub fn read(&mut self, now: u64) -> Vec<RequestRow> {
        for line in self.tail.poll().unwrap_or_default() {
            if std::mem::take(&mut self.torn) {
                continue;
            }
            self.rows.extend(parse(&line.text));
        }
        let surplus = self.rows.len().saturating_sub(KEPT);
        self.rows.drain(..surplus);
        let aged = |row: &RequestRow| RequestRow { age: now.saturating_sub(row.at), ..row.clone() };
        self.rows.iter().rev().map(aged).collect()
    }
}

/// Reads a line. The model's name may have blanks in it, as the caller typed it: it ends where the pairs begin.
pub fn parse(line: &str) -> Option<RequestRow> {
    let mut words = line.splitn(4, ' ');
    let at = seconds(words.next()?)?;
    let (dialect, status, rest) = (words.next()?, words.next()?, words.next()?);
    let begin = [" prompt=", " first=", " total="].iter().filter_map(|mark| rest.find(mark)).min()?;
    let (mut model, rest) = rest.split_at(begin);
    for way in [" native", " translated", " stream", " whole"] {
        model = model.strip_suffix(way).unwrap_or(model);
    }
    let (pairs, error) = match rest.split_once(" error=\"") {
        Some((pairs, error)) => (pairs, error.rsplit_once('"').map(|(error, _)| error.replace("\\\"", "\""))),
        None => (rest, None),
    };
    let value = |name: &str| pairs.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let count = |name: &str| value(name)?.parse().ok();
    let time = |name: &str| value(name)?.strip_suffix('s')?.parse().ok();
    Some(RequestRow {
        at,
        age: 0,
        dialect: dialect.to_owned(),
        status: if pairs.split(' ').any(|word| word == "left") { "left".to_owned() } else { status.to_owned() },
        model: model.to_owned(),
        prompt: count("prompt"),
        cached: count("cached"),
        output: count("output"),
        first: time("first"),
        total: time("total"),
        error,
    })
}

/// `2024-02-29T12:34:56Z` as seconds since 1970 (days-from-civil).
fn seconds(date: &str) -> Option<u64> {
    let (day, time) = date.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, mark: char| {
        let numbers: Option<Vec<u64>> = text.split(mark).map(|part| part.parse().ok()).collect();
        <[u64; 3]>::try_from(numbers?).ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(day, '-')?, numbers(time, ':')?);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (year / 400, year % 400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = (era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy).checked_sub(719_468)?;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::gateway::{Record, Way};
    use crate::protocol::Id;
    use crate::protocol::event::Usage;

    fn record() -> Record {
        Record {
            id: "req_7".into(),
            at: UNIX_EPOCH + Duration::from_secs(1_709_210_096),
            dialect: Id::Messages,
            path: "/v1/messages".into(),
            asked: Some("my own model".into()),
            served: Some("glm".into()),
            status: Some(200),
            stream: true,
            way: Some(Way::Translated),
            usage: Some(Usage { prompt: 1000, cached: 750, output: 80, ..Usage::default() }),
            first_byte: Some(Duration::from_millis(500)),
            duration: Duration::from_millis(2500),
            dropped: vec!["top_k".into()],
            clamped: Some(900),
            error: None,
            left: false,
        }
    }

    #[test]
    fn what_the_gateway_writes_is_read() {
        let row = parse(&record().line()).unwrap();
        let expected = RequestRow {
            at: 1_709_210_096,
            age: 0,
            dialect: "messages".into(),
            status: "200".into(),
            model: "my own model->glm".into(),
            prompt: Some(1000),
            cached: Some(750),
            output: Some(80),
            first: Some(0.5),
            total: Some(2.5),
            error: None,
        };
        assert_eq!(row, expected);
        assert_eq!(row.speed(), Some(40.0));
    }

    #[test]
    fn failures_and_callers_that_left_are_read() {
        let failed = Record {
            status: Some(502),
            way: None,
            usage: None,
            first_byte: None,
            asked: None,
            served: None,
            error: Some("no \"engine\" left total=9s".into()),
            ..record()
        };
        let row = parse(&failed.line()).unwrap();
        assert_eq!((row.status.as_str(), row.model.as_str()), ("502", "/v1/messages"));
        assert_eq!(row.error.as_deref(), Some("no \"engine\" left total=9s"));
        assert_eq!((row.total, row.prompt, row.speed()), (Some(2.5), None, None));
        assert_eq!(parse(&Record { left: true, ..record() }.line()).unwrap().status, "left");
    }

    #[test]
    fn what_is_no_request_is_no_row() {
        for line in ["", "3 more requests are not listed: writing was too slow", "x y z", "2024-13-01T00:00:00Z a b c"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2024-02-29T12:34:56Z"), Some(1_709_210_096));
    }

    #[test]
    fn the_log_is_followed_and_the_newest_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("requests.log");
        let mut requests = Requests::of(&path);
        assert_eq!(requests.read(0), []);
        let mut text = String::new();
        for id in 0..KEPT as u64 + 5 {
            let at = UNIX_EPOCH + Duration::from_secs(1_709_210_000 + id);
            text.push_str(&Record { at, ..record() }.line());
            text.push('\n');
        }
        std::fs::write(&path, text).unwrap();
        let rows = requests.read(1_709_210_300);
        assert_eq!((rows.len(), rows[0].age), (KEPT, 300 - (KEPT as u64 + 4)));
        // Somebody who comes later sees whole lines only.
        let later = Requests::of(&path).read(1_709_210_300);
        assert_eq!(later, rows);
    }
}
