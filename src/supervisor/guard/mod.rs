//! The process between llmup and a child on Unix. llmup runs its own program again with [`ARGUMENT`] first; that
//! process starts the child, waits for orders on its standard input, tells on its standard output what happens, and
//! does not end before everything below it has. When llmup dies, by whatever signal, the order pipe ends, and the
//! guard kills everything.
//!
//! It stays small on purpose: no async runtime, two threads, no work while nothing happens.
// Job objects do its work on Windows.
#![cfg_attr(not(unix), allow(dead_code))]

use super::ExitStatus;

#[cfg(unix)]
mod unix;

/// The hidden first argument that makes llmup a guard.
pub const ARGUMENT: &str = "__guard";

/// Order: SIGTERM to the child's group.
pub(super) const TERMINATE: u8 = b't';
/// Order: kill everything now. The end of the pipe means the same.
pub(super) const KILL: u8 = b'k';

/// What a guard tells, one line each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// The program runs under this pid.
    Started(u32),
    /// The program could not be executed; the system's error number.
    Failed(i32),
    /// The child itself ended.
    Exited(ExitStatus),
    /// Nothing is left; the guard ends now.
    Gone,
}

impl Report {
    pub(super) fn parse(line: &str) -> Option<Report> {
        let (word, number) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "started" => number.parse().ok().map(Report::Started),
            "failed" => number.parse().ok().map(Report::Failed),
            "code" => number.parse().ok().map(|n| Report::Exited(ExitStatus::Code(n))),
            "signal" => number.parse().ok().map(|n| Report::Exited(ExitStatus::Signal(n))),
            "unknown" => Some(Report::Exited(ExitStatus::Unknown)),
            "gone" => Some(Report::Gone),
            _ => None,
        }
    }

    pub(super) fn line(self) -> String {
        match self {
            Report::Started(pid) => format!("started {pid}\n"),
            Report::Failed(errno) => format!("failed {errno}\n"),
            Report::Exited(ExitStatus::Code(code)) => format!("code {code}\n"),
            Report::Exited(ExitStatus::Signal(signal)) => format!("signal {signal}\n"),
            Report::Exited(ExitStatus::Unknown) => "unknown\n".to_owned(),
            Report::Gone => "gone\n".to_owned(),
        }
    }
}

/// Acts as a guard; `args` are those after [`ARGUMENT`]: the program, then its arguments. Returns the exit code of
/// the whole process: the child's, or 128 + the signal that ended it.
pub fn main(args: impl IntoIterator<Item = std::ffi::OsString>) -> i32 {
    let mut args = args.into_iter();
    let Some(program) = args.next() else { return 2 };
    #[cfg(unix)]
    let code = unix::main(program.as_ref(), args.collect());
    #[cfg(not(unix))]
    let code = {
        // Job objects do a guard's work on Windows.
        let _ = program;
        2
    };
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_is_read_as_it_was_written() {
        for report in [
            Report::Started(42),
            Report::Failed(2),
            Report::Exited(ExitStatus::Code(3)),
            Report::Exited(ExitStatus::Signal(9)),
            Report::Exited(ExitStatus::Unknown),
            Report::Gone,
        ] {
            let line = report.line();
            assert_eq!(Report::parse(line.strip_suffix('\n').unwrap()), Some(report));
        }
        assert_eq!(Report::parse("started many"), None);
        assert_eq!(Report::parse("hello"), None);
    }
}
