//! How a model that llmup launches shares the machine with others: the same words in a file and on the command line.

use std::time::Duration;

/// When a launched model is started and stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// It is never stopped to make room for another.
    pub keep: bool,
    /// How long it may be idle before it is stopped; `None`: as long as it likes.
    pub ttl: Option<Duration>,
    /// It is started at once, not at the first request.
    pub preload: bool,
    /// Of the models of a group only one runs at a time.
    pub group: Option<String>,
    /// vLLM: it sleeps in main memory instead of being ended. Asked for, never assumed: for that vLLM opens paths on
    /// its own port that want no key, so every user of the machine could use them.
    pub sleep: bool,
}

/// What [`duration`] reads, for messages.
pub const DURATION: &str = "seconds, or a time like 90s, 10m, 1h30m or 2d, at most 365d; 0 for never";

/// Nobody means more, and clocks can add it without an overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const UNITS: [(char, u64); 4] = [('d', 24 * 60 * 60), ('h', 60 * 60), ('m', 60), ('s', 1)];

/// The shortest text that [`duration`] reads as this many whole seconds: `1h30m`.
pub fn shown(time: Duration) -> String {
    let mut rest = time.as_secs();
    let mut text = String::new();
    for (unit, length) in UNITS {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

/// A length of time as people write it: `600`, `90s`, `10m`, `1h30m`, `2d`. Larger units come first, each once.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut seconds = 0_u64;
    if digits(text) {
        seconds = text.parse().ok()?;
    } else {
        let (mut rest, mut units) = (text, UNITS.iter());
        while !rest.is_empty() {
            let at = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, tail) = rest.split_at(at);
            let mut chars = tail.chars();
            let unit = chars.next()?;
            // Those that were passed over cannot come any more.
            let (_, length) = units.find(|(known, _)| *known == unit)?;
            let part = number.parse::<u64>().ok()?.checked_mul(*length)?;
            seconds = seconds.checked_add(part)?;
            rest = chars.as_str();
        }
        if text.is_empty() {
            return None;
        }
    }
    Some(Duration::from_secs(seconds)).filter(|time| *time <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        for (text, seconds) in [
            ("0", 0),
            ("0m", 0),
            ("600", 600),
            (" 90s ", 90),
            ("10m", 600),
            ("1h", 3600),
            ("1h30m", 5400),
            ("1d12h0m1s", 129_601),
            ("365d", 31_536_000),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!(duration(text), Some(time), "{text:?}");
            assert_eq!(duration(&shown(time)), Some(time), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for seconds in (0..=31_536_000).step_by(4999).chain([59, 60, 61, 3599, 3600, 86_399, 86_400]) {
            let time = Duration::from_secs(seconds);
            assert_eq!(duration(&shown(time)), Some(time));
        }
        assert_eq!(shown(Duration::from_secs(5400)), "1h30m");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            " ",
            "m",
            "-1",
            "+1",
            "1.5h",
            "10 m",
            "10min",
            "30m1h",
            "1h1h",
            "1h30",
            "366d",
            "10M",
            "²",
            "1µ",
            "99999999999999999999",
            "9999999999999999d",
            "never",
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }
}
