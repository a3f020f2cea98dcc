//! Asking a vendor's command-line tool: where it is, how long it may take, and what it means when it fails. For the
//! vendors of whom one table tells all, that is the whole probe ([`ByTool`]).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::card::{Card, Reading};
use super::holders::{is_denied, join_its_group};
use super::load::Load;
use super::{Probe, VendorId, replay};
use crate::host::{Host, Os};

/// A healthy tool answers in a second or two, also with eight cards; a wedged driver hangs it for ever.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// A program and the places outside of PATH where its installer puts it.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) elsewhere: &'static [&'static str],
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    Overrun(&'static str),
    CannotRun(&'static str, String),
    /// It ended with an error, or said nothing that could be understood: its name, code and words.
    Refused(&'static str, Option<i32>, String),
}

impl Tool {
    pub(super) fn find(&self, host: &dyn Host) -> Option<PathBuf> {
        host.which(self.name).or_else(|| self.elsewhere.iter().map(PathBuf::from).find(|path| host.exists(path)))
    }

    /// Its words, whether it ended well, or no words.
    pub(super) fn ask(&self, host: &dyn Host, program: &Path, args: &[&str]) -> Result<String, Trouble> {
        let ran = host.run(program, args, TIME_LIMIT).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Trouble::Overrun(self.name),
            _ => Trouble::CannotRun(self.name, error.to_string()),
        })?;
        if ran.code == Some(0) {
            return Ok(ran.stdout);
        }
        Err(Trouble::Refused(self.name, ran.code, format!("{}\n{}", ran.stdout, ran.stderr)))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Overrun(tool) => write!(
                f,
                "`{tool}` did not answer within {} s, so its driver hangs; look at `sudo dmesg`, and reboot if it \
                 stays so",
                TIME_LIMIT.as_secs()
            ),
            Trouble::CannotRun(tool, error) => {
                write!(f, "`{tool}` cannot be run: {error}; look at `ls -l $(which {tool})`")
            }
            Trouble::Refused(tool, code, said) => {
                let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
                // Its words may be a whole file by mistake.
                let line: String = line.chars().take(200).collect();
                let code = code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
                write!(f, "`{tool}` shows no device ({code}: {line}); try `{tool}` by hand, then `sudo dmesg`")
            }
        }
    }
}

/// A vendor whose tool tells everything in one answer. Only Linux has these.
pub(super) struct ByTool {
    pub(super) vendor: VendorId,
    /// What a device is called that has no name.
    pub(super) called: &'static str,
    pub(super) tool: Tool,
    pub(super) args: &'static [&'static str],
    pub(super) parse: fn(&str) -> Reading,
    /// The variable that hides devices from the vendor's runtime.
    pub(super) visible: &'static str,
    /// The numbers of the devices that are there by their device files; `None`: none. Empty: some.
    pub(super) present: fn(&dyn Host) -> Option<Vec<u32>>,
    /// How its device files begin, in `/dev`; one that ends with a number is that device's.
    pub(super) files: &'static [&'static str],
    /// How to get the tool.
    pub(super) install: &'static str,
}

impl ByTool {
    pub(super) fn probe(&self, host: &dyn Host) -> Probe {
        if host.os() != Os::Linux {
            return Probe::default();
        }
        let mut reading = match self.tool.find(host) {
            Some(program) => match self.tool.ask(host, &program, self.args) {
                Ok(text) => self.read(host, &text, Some(0)),
                Err(Trouble::Refused(_, code, text)) => self.read(host, &text, code),
                Err(trouble) => self.unread(host, trouble.to_string()),
            },
            None if (self.present)(host).is_none() => return Probe::default(),
            None => self
                .unread(host, format!("a {} is here but `{}` is not; {}", self.called, self.tool.name, self.install)),
        };
        self.hold_back(host, &mut reading);
        reading.hide(self.visible, host.env(self.visible).as_deref());
        reading.probe(self.vendor, self.called, &self.cure())
    }

    /// How busy its devices are: the same table tells it.
    pub(super) fn load(&self, host: &dyn Host) -> Vec<Load> {
        let program = if host.os() == Os::Linux { self.tool.find(host) } else { None };
        let said = program.and_then(|program| self.tool.ask(host, &program, self.args).ok());
        said.map(|text| (self.parse)(&text).loads(self.vendor)).unwrap_or_default()
    }

    /// Tools tell devices also to who may not use them.
    fn hold_back(&self, host: &dyn Host, reading: &mut Reading) {
        if self.files.is_empty() || reading.cards.is_empty() {
            return;
        }
        for path in host.entries(Path::new("/dev")).unwrap_or_default() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(rest) = self.files.iter().find_map(|start| name.strip_prefix(start)) else { continue };
            let number = rest.parse::<u32>().ok();
            if (number.is_none() && !rest.is_empty()) || !is_denied(host, &path) {
                continue;
            }
            for card in reading.cards.iter_mut().filter(|card| number.is_none_or(|number| number == card.index)) {
                card.problem.get_or_insert_with(|| join_its_group(&path.display().to_string()));
            }
        }
    }

    /// How to learn the memory of a device that does not say it.
    pub(super) fn cure(&self) -> String {
        let words: Vec<&str> = [self.tool.name].iter().chain(self.args).copied().collect();
        format!("look at `{}`", words.join(" "))
    }

    fn read(&self, host: &dyn Host, text: &str, code: Option<i32>) -> Reading {
        let reading = (self.parse)(text);
        if reading.cards.is_empty() {
            return self.unread(host, Trouble::Refused(self.tool.name, code, text.to_owned()).to_string());
        }
        reading
    }

    fn unread(&self, host: &dyn Host, problem: String) -> Reading {
        let numbers = (self.present)(host).unwrap_or_default();
        let cards = numbers.into_iter().map(|index| Card { index, ..Card::default() }).collect();
        Reading { cards, problems: vec![problem], ..Reading::default() }
    }

    /// Reads a recording of the tool's answer.
    pub(super) fn recording(&self, path: &Path) -> Probe {
        recording(path, |text| {
            let mut reading = (self.parse)(text);
            if reading.cards.is_empty() {
                reading.problems.push(format!("{} is no answer of `{}`", path.display(), self.tool.name));
            }
            reading.probe(self.vendor, self.called, &self.cure())
        })
    }
}

/// Reads a file and hands its text on; a file that cannot be read is a problem.
pub(super) fn recording(path: &Path, read: impl FnOnce(&str) -> Probe) -> Probe {
    match replay::text(path) {
        Ok(text) => read(&text),
        Err(error) => {
            let problem = format!("cannot read {}: {error}; look at `ls -l {}`", path.display(), path.display());
            Probe { problems: vec![problem], ..Probe::default() }
        }
    }
}

/// The numbers of the files in `/dev` called `prefix` and a number, in order.
pub(super) fn device_files(host: &dyn Host, prefix: &str) -> Vec<u32> {
    let entries = host.entries(Path::new("/dev")).unwrap_or_default();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut numbers: Vec<u32> = entries.iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}
