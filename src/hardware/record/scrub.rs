//! Takes out of a recording what is somebody's own. Names of the user and the machine, hardware and network addresses,
//! serial numbers, keys and command lines go; unique ids become others, the same one everywhere, so that links and
//! variables still fit the cards they name.

use std::collections::BTreeMap;

use serde_json::Value;

use super::reduce::reduce;
use super::shapes::{self, Shape};
use super::{Failed, Recording, keyed};
use crate::hardware::rows::program_name;
use crate::host::Ran;

/// Names that are somebody's own.
#[derive(Debug, Clone, Default)]
pub struct Personal {
    /// The home folder.
    pub home: Option<String>,
    /// The user's names.
    pub users: Vec<String>,
    /// The machine's names.
    pub hosts: Vec<String>,
}

/// Replaces; remembers what it gave for which id.
#[derive(Debug, Default)]
pub struct Scrubber {
    /// Text and replacement, longest first.
    names: Vec<(String, String)>,
    /// Unique ids in the usual form, and their number.
    ids: BTreeMap<String, usize>,
    /// AMD's and Hygon's unique ids are numbers, written in hexadecimal or decimal.
    numbers: BTreeMap<u64, u64>,
}

/// Names that tell nothing about anybody, and that occur in what tools print.
const COMMON: &[&str] = &[
    "root",
    "user",
    "users",
    "admin",
    "administrator",
    "ubuntu",
    "debian",
    "fedora",
    "nvidia",
    "amd",
    "intel",
    "apple",
    "huawei",
    "hwhiaiuser",
    "localhost",
    "jetson",
    "gpu",
    "gpus",
    "npu",
    "node",
    "host",
    "server",
    "cpu",
    "test",
    "runner",
    "docker",
    "vagrant",
    "ec2-user",
    "azureuser",
    "ai",
    "ml",
    "llm",
    "vllm",
    "ollama",
    "python",
    "total",
    "free",
    "used",
    "card",
    "none",
    "home",
    "linux",
    "windows",
];
/// Below this a number is no unique id but a count.
const LEAST_NUMBER: u64 = 1 << 32;

impl Scrubber {
    /// For the machine of that person.
    pub fn new(personal: &Personal) -> Scrubber {
        let mut names = Vec::new();
        let home = personal.home.as_deref().map(|home| home.trim_end_matches(['/', '\\']));
        if let Some(home) = home.filter(|home| home.len() > 3 && *home != "/root") {
            let (turned, fake) = (home.replace('\\', "/"), "/home/llmup-user".to_owned());
            names.push((home.to_owned(), fake.clone()));
            names.push((turned, fake));
        }
        let named = |list: &[String], fake: &str, names: &mut Vec<(String, String)>| {
            let telling = list.iter().filter(|name| name.len() > 1 && !COMMON.contains(&name.to_lowercase().as_str()));
            names.extend(telling.map(|name| (name.clone(), fake.to_owned())));
        };
        named(&personal.users, "llmup-user", &mut names);
        named(&personal.hosts, "llmup-host", &mut names);
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Scrubber { names, ..Scrubber::default() }
    }

    /// The recording without what is personal.
    pub fn recording(&mut self, recording: &Recording) -> Recording {
        self.collect(recording);
        let mut left = Recording::new(recording.os);
        // Libraries and tools know ids in full; variables may have the beginning of one and come last.
        for (name, value) in &recording.told {
            left.told.insert(name.clone(), self.value(name, value));
        }
        for ((program, args), answer) in &recording.runs {
            let answer = match answer {
                Ok(ran) => Ok(self.ran(program, ran)),
                Err(failed) => Err(self.failed(failed)),
            };
            left.runs.insert((self.text(program), args.clone()), answer);
        }
        for (path, answer) in &recording.files {
            let answer = match answer {
                Ok(bytes) => Ok(self.text(&String::from_utf8_lossy(bytes)).into_bytes()),
                Err(failed) => Err(self.failed(failed)),
            };
            left.files.insert(self.text(path), answer);
        }
        for (path, answer) in &recording.folders {
            let answer = match answer {
                Ok(entries) => Ok(entries.iter().map(|entry| self.text(entry)).collect()),
                Err(failed) => Err(self.failed(failed)),
            };
            left.folders.insert(self.text(path), answer);
        }
        left.exists = recording.exists.iter().map(|(path, is)| (self.text(path), *is)).collect();
        for (path, answer) in &recording.access {
            let answer = answer.clone().map_err(|failed| self.failed(&failed));
            left.access.insert(self.text(path), answer);
        }
        for (name, place) in &recording.programs {
            left.programs.insert(name.clone(), place.as_deref().map(|place| self.text(place)));
        }
        for (name, value) in &recording.env {
            left.env.insert(name.clone(), value.as_deref().map(|value| self.variable(value)));
        }
        left
    }

    /// A text without what is personal.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = keyed::without(text);
        for (name, fake) in &self.names {
            text = replace_word(&text, name, fake);
        }
        let mut left = String::with_capacity(text.len());
        let mut done = 0;
        for (range, shape) in shapes::find(&text) {
            left.push_str(&self.numbered(text.get(done..range.start).unwrap_or_default()));
            let found = text.get(range.clone()).unwrap_or_default();
            left.push_str(&match shape {
                Shape::Uuid => self.id(found),
                Shape::LongHex => format!("{:0>width$x}", self.count(found), width = found.len()),
                Shape::Mac => "00:00:00:00:00:00".to_owned(),
                Shape::Address => "192.0.2.1".to_owned(),
                Shape::Secret => "removed".to_owned(),
            });
            done = range.end;
        }
        left.push_str(&self.numbered(text.get(done..).unwrap_or_default()));
        left
    }

    fn ran(&mut self, program: &str, ran: &Ran) -> Ran {
        Ran {
            code: ran.code,
            stdout: self.text(&reduce(program, &ran.stdout)),
            stderr: self.text(&reduce(program, &ran.stderr)),
        }
    }

    fn failed(&mut self, failed: &Failed) -> Failed {
        Failed { kind: failed.kind, text: self.text(&failed.text) }
    }

    /// All texts within; of programs that hold memory the names only.
    fn value(&mut self, name: &str, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(list) if name == "processes" => {
                let named = |process: &Value| {
                    let mut process = process.clone();
                    if let Some(Value::String(command)) = process.get_mut("name") {
                        *command = program_name(command).to_owned();
                    }
                    process
                };
                let named: Vec<Value> = list.iter().map(named).collect();
                Value::Array(named.iter().map(|process| self.value("", process)).collect())
            }
            Value::Array(list) => Value::Array(list.iter().map(|value| self.value("", value)).collect()),
            Value::Object(map) => {
                Value::Object(map.iter().map(|(name, value)| (name.clone(), self.value(name, value))).collect())
            }
            other => other.clone(),
        }
    }

    /// A variable's value: addresses go whole, and the beginning of a unique id stands for that id.
    fn variable(&mut self, value: &str) -> String {
        if value.contains("://") || value.contains('@') {
            return "removed".to_owned();
        }
        let words: Vec<String> = value.split(',').map(|word| self.beginning(word)).collect();
        words.join(",")
    }

    fn beginning(&mut self, word: &str) -> String {
        let (space, bare) = word.split_at(word.len() - word.trim_start().len());
        let upper = bare.to_ascii_uppercase();
        for prefix in ["GPU-", "MIG-"] {
            if upper.starts_with(prefix) && bare.len() > prefix.len() && bare.len() < prefix.len() + 36 {
                let start = bare.get(prefix.len()..).unwrap_or_default().trim_end().to_lowercase();
                if let Some(number) = self.ids.iter().find(|(id, _)| id.starts_with(&start)).map(|(_, number)| number) {
                    let fake = format!("{}{number:08x}", bare.get(..prefix.len()).unwrap_or_default());
                    // Where a problem repeats it, it is the same.
                    self.names.push((bare.trim_end().to_owned(), fake.clone()));
                    return format!("{space}{fake}");
                }
            }
        }
        self.text(word)
    }

    /// Another id of the same form, always the same for the same one. Its beginning tells it apart.
    fn id(&mut self, id: &str) -> String {
        let number = self.count(id);
        let fake = format!("{number:08x}-0000-4000-8000-000000000000");
        if id.contains('_') { fake.replace('-', "_") } else { fake }
    }

    fn count(&mut self, id: &str) -> usize {
        let next = self.ids.len() + 1;
        *self.ids.entry(id.to_lowercase().replace('_', "-")).or_insert(next)
    }

    /// Finds AMD's and Hygon's unique ids: what follows their names in files and answers.
    fn collect(&mut self, recording: &Recording) {
        for (path, answer) in &recording.files {
            let Ok(bytes) = answer else { continue };
            let text = String::from_utf8_lossy(bytes);
            if path.ends_with("/unique_id") {
                self.number(u64::from_str_radix(text.trim(), 16).ok());
            } else if path.ends_with("/properties") {
                let value = text.lines().find_map(|line| line.trim().strip_prefix("unique_id "));
                self.number(value.and_then(|value| value.trim().parse().ok()));
            }
        }
        for ran in recording.runs.values().flatten() {
            let lower = ran.stdout.to_ascii_lowercase();
            for label in ["unique id", "unique_id", "asic_serial"] {
                for (at, _) in lower.match_indices(label) {
                    let rest = lower.get(at + label.len()..).unwrap_or_default();
                    let rest = rest.trim_start_matches(['"', ' ', ':', '\t']);
                    let rest = rest.strip_prefix("0x").unwrap_or(rest);
                    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
                    self.number(rest.get(..end).and_then(|digits| u64::from_str_radix(digits, 16).ok()));
                }
            }
        }
    }

    fn number(&mut self, number: Option<u64>) {
        const FIRST: u64 = 0x5000_0000_0000_0001;
        let next = FIRST + self.numbers.len() as u64;
        if let Some(number) = number.filter(|number| *number >= LEAST_NUMBER) {
            self.numbers.entry(number).or_insert(next);
        }
    }

    /// The text with those ids replaced, however they are written.
    fn numbered(&self, text: &str) -> String {
        if self.numbers.is_empty() {
            return text.to_owned();
        }
        let mut left = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
            let (before, word) = rest.split_at(start);
            let end = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
            let (word, tail) = word.split_at(end);
            left.push_str(before);
            left.push_str(&self.other_number(word).unwrap_or_else(|| word.to_owned()));
            rest = tail;
        }
        left.push_str(rest);
        left
    }

    fn other_number(&self, word: &str) -> Option<String> {
        let (prefix, digits) = word.split_at(if word.starts_with("0x") || word.starts_with("0X") { 2 } else { 0 });
        let hexadecimal = u64::from_str_radix(digits, 16).ok().and_then(|number| self.numbers.get(&number));
        if let Some(fake) = hexadecimal {
            return Some(format!("{prefix}{fake:x}"));
        }
        let fake = self.numbers.get(&word.parse::<u64>().ok()?)?;
        Some(fake.to_string())
    }
}

/// Replaces `name` where it is a word of its own, not a part of one.
fn replace_word(text: &str, name: &str, fake: &str) -> String {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let mut left = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in text.match_indices(name) {
        let before = text.get(..at).unwrap_or_default().chars().next_back();
        let after = text.get(at + name.len()..).unwrap_or_default().chars().next();
        if before.is_some_and(inside) || after.is_some_and(inside) {
            continue;
        }
        left.push_str(text.get(done..at).unwrap_or_default());
        left.push_str(fake);
        done = at + name.len();
    }
    left.push_str(text.get(done..).unwrap_or_default());
    left
}
