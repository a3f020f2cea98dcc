//! What a human sees while something takes long: a spinner or a bar on standard error, redrawn in place on a
//! terminal, an occasional plain line otherwise. Data never comes this way.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;
use crate::words;

/// How far apart plain lines about the same long step are.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// One long task on its way.
#[derive(Debug)]
pub struct Progress {
    how: How,
}

#[derive(Debug)]
enum How {
    /// Redrawn in place.
    Bar(ProgressBar),
    /// One line now and then.
    Plain(Mutex<Plain>),
    /// Nothing at all.
    Silent,
}

#[derive(Debug, Default)]
struct Plain {
    step: String,
    said: Option<Instant>,
    /// When the current step began to move bytes, and how many were there already.
    began: Option<(Instant, u64)>,
}

impl Progress {
    /// A spinner on a terminal, else plain lines.
    pub fn new() -> Progress {
        if output::watched() {
            let bar = ProgressBar::new_spinner();
            bar.set_style(spinner());
            bar.enable_steady_tick(Duration::from_millis(120));
            Progress { how: How::Bar(bar) }
        } else {
            Progress { how: How::Plain(Mutex::new(Plain::default())) }
        }
    }

    /// Says nothing, for tests and `--quiet`.
    pub fn silent() -> Progress {
        Progress { how: How::Silent }
    }

    /// What is being done now. Plain output shows it once.
    pub fn step(&self, text: &str) {
        match &self.how {
            How::Bar(bar) => {
                if bar.length().is_some() {
                    bar.unset_length();
                    bar.set_style(spinner());
                }
                bar.set_message(words::say(text).into_owned());
            }
            How::Plain(plain) => {
                let mut plain = plain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if plain.step != text {
                    text.clone_into(&mut plain.step);
                    plain.said = Some(Instant::now());
                    plain.began = None;
                    output::note(text);
                }
            }
            How::Silent => {}
        }
    }

    /// A detail of the current step that changes often: on a terminal beside it, in plain output every 10 s.
    pub fn detail(&self, text: &str) {
        match &self.how {
            How::Bar(bar) => bar.set_message(text.to_owned()),
            How::Plain(plain) => occasionally(plain, || format!("  {text}")),
            How::Silent => {}
        }
    }

    /// How many bytes of how many the current step has moved.
    pub fn bytes(&self, done: u64, total: u64) {
        match &self.how {
            How::Bar(bar) => {
                if bar.length() != Some(total) {
                    bar.set_length(total);
                    bar.set_style(bytes_bar());
                    // What was there before says nothing about the speed.
                    bar.set_position(done);
                    bar.reset_eta();
                }
                bar.set_position(done);
            }
            How::Plain(plain) => {
                let began = {
                    let mut plain = plain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    *plain.began.get_or_insert_with(|| (Instant::now(), done))
                };
                occasionally(plain, || moved(done, total, done.saturating_sub(began.1), began.0.elapsed()));
            }
            How::Silent => {}
        }
    }

    /// A line that stays.
    pub fn note(&self, text: &str) {
        match &self.how {
            How::Bar(bar) => bar.suspend(|| output::note(text)),
            How::Plain(_) => output::note(text),
            How::Silent => {}
        }
    }

    /// Ends the task: the moving line goes away.
    pub fn finish(&self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Says a plain line unless one was said a moment ago.
fn occasionally(plain: &Mutex<Plain>, text: impl FnOnce() -> String) {
    let mut plain = plain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if plain.said.is_none_or(|at| at.elapsed() >= PLAIN_EVERY) {
        plain.said = Some(Instant::now());
        output::note(&text());
    }
}

/// `  1.2 GiB of 17 GiB, 85 MiB/s, about 3 min left`.
fn moved(done: u64, total: u64, since: u64, time: Duration) -> String {
    let mut text = format!("  {} of {}", output::bytes(done), output::bytes(total));
    let speed = since as f64 / time.as_secs_f64().max(0.001);
    if since > 0 && time >= Duration::from_secs(1) {
        text.push_str(&format!(", {}/s", output::bytes(speed as u64)));
        let left = total.saturating_sub(done) as f64 / speed;
        text.push_str(&match left {
            _ if left < 60.0 => format!(", about {left:.0} s left"),
            _ if left < 5400.0 => format!(", about {:.0} min left", left / 60.0),
            _ => format!(", about {:.1} h left", left / 3600.0),
        });
    }
    text
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner:.cyan} {wide_msg} {elapsed:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bytes_bar() -> ProgressStyle {
    ProgressStyle::with_template(
        "{spinner:.cyan} {wide_msg} [{bar:16}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_details_come_occasionally() {
        let plain = Mutex::new(Plain::default());
        let mut said = 0;
        for _ in 0..100 {
            occasionally(&plain, || {
                said += 1;
                "detail".to_owned()
            });
        }
        assert_eq!(said, 1);
    }

    #[test]
    fn the_templates_are_valid() {
        assert!(ProgressStyle::with_template("{spinner:.cyan} {wide_msg} {elapsed:.dim}").is_ok());
        let bar =
            "{spinner:.cyan} {wide_msg} [{bar:16}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
        assert!(ProgressStyle::with_template(bar).is_ok());
    }

    #[test]
    fn a_plain_line_tells_speed_and_time_left() {
        let gib = 1 << 30;
        assert_eq!(
            moved(2 * gib, 17 * gib, gib, Duration::from_secs(10)),
            "  2.0 GiB of 17.0 GiB, 102 MiB/s, about 2 min left"
        );
        assert_eq!(moved(5, 10, 0, Duration::from_secs(10)), "  5 B of 10 B");
        assert!(moved(0, 1000 * gib, 1, Duration::from_secs(10)).ends_with("h left"));
    }
}
