//! How often an engine that dies is started anew, and how soon.

use std::time::{Duration, Instant};

/// Crashes further back than this are forgotten: an engine that ran that long is not the one that kept crashing.
const MEMORY: Duration = Duration::from_secs(10 * 60);

/// That many crashes within [`MEMORY`], and it is given up.
const MOST: usize = 5;

/// The pause before the second start; it doubles with each. Before the first there is none.
const PAUSE: Duration = Duration::from_secs(1);

/// The crashes of one engine.
#[derive(Debug, Default)]
pub struct Crashes(Vec<Instant>);

impl Crashes {
    /// Counts one. How long to wait before it is started anew; `None`: it keeps crashing.
    pub fn one(&mut self, now: Instant) -> Option<Duration> {
        self.0.retain(|then| now.duration_since(*then) < MEMORY);
        self.0.push(now);
        match u32::try_from(self.0.len()).unwrap_or(u32::MAX) {
            1 => Some(Duration::ZERO),
            n if self.0.len() <= MOST => Some(PAUSE * 2u32.pow(n - 2)),
            _ => None,
        }
    }

    /// How many are remembered.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_is_given_up_and_a_long_life_forgives() {
        let (mut crashes, start) = (Crashes::default(), Instant::now());
        let mut at = |seconds: u64| crashes.one(start + Duration::from_secs(seconds)).map(|pause| pause.as_secs());
        assert_eq!([at(0), at(1), at(5), at(9), at(20), at(40)], [Some(0), Some(1), Some(2), Some(4), Some(8), None]);
        assert_eq!([at(700), at(701)], [Some(0), Some(1)], "what lies ten minutes back is forgotten");
    }
}
