//! A YAML text whose parts know their place. The parser gives places only with its errors, so the place of a part is
//! found by reading again up to it and stopping there with one: slow, and done only for what is told to the user.

use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::Value;

use super::ConfigError;

/// A text that was read.
pub(super) struct Document {
    file: String,
    text: String,
    value: Value,
}

/// One step into a document.
#[derive(Debug, Clone, Copy)]
enum Step<'d> {
    Key(&'d str),
    Item(usize),
}

/// A part of a document.
#[derive(Clone, Copy)]
pub(super) struct Node<'d> {
    document: &'d Document,
    value: &'d Value,
    /// The steps to it; `None` at the end of the list of steps.
    path: Path<'d>,
}

/// At most five steps lead to anything that is read: `model_list[0].litellm_params.engine_args[1]`.
type Path<'d> = [Option<Step<'d>>; 5];

impl Document {
    /// Reads a text.
    pub(super) fn parse(file: &str, text: &str) -> Result<Document, ConfigError> {
        // Editors on Windows put a mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let parsed = serde_yaml::from_str::<Value>(text).and_then(|mut value| value.apply_merge().map(|()| value));
        match parsed {
            Ok(value) => Ok(Document { file: file.to_owned(), text: text.to_owned(), value }),
            Err(error) => {
                let place = error.location().map(|at| (at.line(), at.column()));
                let message = error.to_string();
                // The parser repeats the place at the end of its message.
                let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
                Err(ConfigError::Invalid { place: placed(file, place), message })
            }
        }
    }

    /// All of it.
    pub(super) fn root(&self) -> Node<'_> {
        Node { document: self, value: &self.value, path: [None; 5] }
    }

    /// Line and column of a part (of a member its key), from 1.
    fn locate(&self, path: &[Step<'_>]) -> Option<(usize, usize)> {
        let seeker = Seeker { path };
        let error = seeker.deserialize(serde_yaml::Deserializer::from_str(&self.text)).err()?;
        error.location().map(|at| (at.line(), at.column()))
    }
}

fn placed(file: &str, place: Option<(usize, usize)>) -> String {
    match place {
        Some((line, column)) => format!("{file}:{line}:{column}"),
        None => file.to_owned(),
    }
}

impl<'d> Node<'d> {
    fn steps(&self) -> impl Iterator<Item = Step<'d>> {
        self.path.into_iter().flatten()
    }

    fn step(&self, step: Step<'d>, value: &'d Value) -> Node<'d> {
        let mut path = self.path;
        if let Some(free) = path.iter_mut().find(|step| step.is_none()) {
            *free = Some(step);
        }
        Node { document: self.document, value, path }
    }

    /// A member; `None` when it is not there.
    pub(super) fn get(&self, key: &str) -> Option<Node<'d>> {
        let (key, value) = self.value.as_mapping()?.iter().find(|(k, _)| k.as_str() == Some(key))?;
        Some(self.step(Step::Key(key.as_str()?), value))
    }

    /// Whether it is left empty.
    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// The members.
    pub(super) fn map(&self) -> Result<Vec<(String, Node<'d>)>, ConfigError> {
        let map = self.value.as_mapping().ok_or_else(|| self.wrong("names with values"))?;
        let member = |(key, value): (&'d Value, &'d Value)| match key.as_str() {
            Some(key) => Ok((key.to_owned(), self.step(Step::Key(key), value))),
            None => Err(self.wrong("names that are text")),
        };
        map.iter().map(member).collect()
    }

    /// The items.
    pub(super) fn list(&self) -> Result<Vec<Node<'d>>, ConfigError> {
        let list = self.value.as_sequence().ok_or_else(|| self.wrong("a list"))?;
        Ok(list.iter().enumerate().map(|(at, value)| self.step(Step::Item(at), value)).collect())
    }

    /// Text. A number is one too: keys and names may be written without quotes.
    pub(super) fn text(&self) -> Result<String, ConfigError> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(self.wrong("text")),
        }
    }

    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    pub(super) fn number(&self) -> Result<f64, ConfigError> {
        self.value.as_f64().filter(|n| n.is_finite()).ok_or_else(|| self.wrong("a number"))
    }

    pub(super) fn whole_number(&self) -> Result<u64, ConfigError> {
        self.value.as_u64().ok_or_else(|| self.wrong("a whole number from 0"))
    }

    pub(super) fn small_number(&self) -> Result<u32, ConfigError> {
        let number = self.value.as_u64().filter(|n| *n <= 100);
        number.and_then(|n| u32::try_from(n).ok()).ok_or_else(|| self.wrong("a whole number from 0 to 100"))
    }

    /// A length of time.
    pub(super) fn seconds(&self) -> Result<Duration, ConfigError> {
        let seconds = self.value.as_f64().filter(|n| *n > 0.0).and_then(|n| Duration::try_from_secs_f64(n).ok());
        seconds.ok_or_else(|| self.wrong("a number of seconds above 0"))
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> Result<serde_json::Value, ConfigError> {
        serde_json::to_value(self.value).map_err(|_| self.wrong("a value JSON can say"))
    }

    /// Its name from the top: `model_list[0].litellm_params`.
    pub(super) fn name(&self) -> String {
        let mut name = String::new();
        for step in self.steps() {
            match step {
                Step::Key(key) if name.is_empty() => name.push_str(key),
                Step::Key(key) => name = format!("{name}.{key}"),
                Step::Item(at) => name = format!("{name}[{at}]"),
            }
        }
        name
    }

    /// The name of a member as told once for all items of a list: `litellm_params.provider`.
    pub(super) fn name_of(&self, key: &str) -> String {
        match self.steps().filter_map(|step| if let Step::Key(key) = step { Some(key) } else { None }).last() {
            Some(last) => format!("{last}.{key}"),
            None => key.to_owned(),
        }
    }

    /// `file:line:column`.
    pub(super) fn place(&self) -> String {
        let mut steps: Vec<Step<'_>> = self.steps().collect();
        loop {
            // A part that came in by a merge (`<<`) has no place of its own: then that of what holds it.
            match self.document.locate(&steps) {
                Some(place) => return placed(&self.document.file, Some(place)),
                None if steps.pop().is_some() => {}
                None => return placed(&self.document.file, None),
            }
        }
    }

    /// `file:line:column` of a member's key.
    pub(super) fn place_of(&self, key: &str) -> String {
        self.get(key).map_or_else(|| self.place(), |member| member.place())
    }

    /// It is not what it must be.
    pub(super) fn wrong(&self, expected: &str) -> ConfigError {
        let found = match self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => format!("the text {:?}", text.chars().take(60).collect::<String>()),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "names with values".to_owned(),
            Value::Tagged(tagged) => format!("the tag {}", tagged.tag),
        };
        let name = self.name();
        let message = match name.as_str() {
            "" => format!("expected {expected}"),
            name => format!("{name}: expected {expected}, found {found}"),
        };
        ConfigError::Invalid { place: self.place(), message }
    }

    /// It contradicts something; `member`, if it is there, is where that is best seen.
    pub(super) fn against(&self, member: Option<Node<'_>>, why: &str) -> ConfigError {
        let at = member.unwrap_or(*self);
        ConfigError::Invalid { place: at.place(), message: format!("{}: {why}", at.name()) }
    }

    /// It stands for a variable that is not set.
    pub(super) fn missing_variable(&self, variable: &str) -> ConfigError {
        ConfigError::NoVariable { place: self.place(), name: self.name(), variable: variable.to_owned() }
    }
}

/// Reads up to the end of a path and fails there: the error knows the place.
#[derive(Clone, Copy)]
struct Seeker<'p> {
    path: &'p [Step<'p>],
}

const HERE: &str = "here";

/// A key, which is what is looked for, or not.
struct Key<'p> {
    wanted: Option<&'p str>,
    /// It is the last step: stop at it.
    last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        struct Is<'p>(Key<'p>);
        impl Visitor<'_> for Is<'_> {
            type Value = bool;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
                let is = self.0.wanted == Some(text);
                if is && self.0.last { Err(E::custom(HERE)) } else { Ok(is) }
            }
        }
        deserializer.deserialize_str(Is(self))
    }
}

impl<'de> DeserializeSeed<'de> for Seeker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seeker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.path.split_first() else { return Err(A::Error::custom(HERE)) };
        let wanted = if let Step::Key(key) = first { Some(*key) } else { None };
        while let Some(is) = map.next_key_seed(Key { wanted, last: rest.is_empty() })? {
            if is {
                return map.next_value_seed(Seeker { path: rest });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.path.split_first() else { return Err(A::Error::custom(HERE)) };
        let Step::Item(wanted) = first else { return Ok(()) };
        for _ in 0..*wanted {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        seq.next_element_seed(Seeker { path: rest }).map(|_| ())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar()
    }
}

impl Seeker<'_> {
    fn scalar<E: serde::de::Error>(self) -> Result<(), E> {
        if self.path.is_empty() { Err(E::custom(HERE)) } else { Ok(()) }
    }
}
