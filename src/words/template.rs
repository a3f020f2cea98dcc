//! A sentence with places for values, as `format!` writes it: `cannot {action} {path}`. Read here, matched against a
//! finished line, and filled in another language.

/// A sentence cut at its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The text before, between and after the places: one more than there are places.
    literals: Vec<String>,
    /// What each place is called: its name, or its number.
    names: Vec<String>,
}

impl Template {
    /// Reads a format string. `{}` counts up as in Rust, `{name:?}` and `{0:>8}` are `name` and `0`, `{{` is a brace.
    /// A brace that is none of these is text.
    pub fn parse(text: &str) -> Template {
        let (mut literals, mut names) = (vec![String::new()], Vec::new());
        let (mut rest, mut counted) = (text, 0);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            push(&mut literals, before);
            rest = if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                push(&mut literals, brace.get(..1).unwrap_or_default());
                after
            } else if let Some((name, after)) = place(brace) {
                names.push(if name.is_empty() {
                    counted += 1;
                    (counted - 1).to_string()
                } else {
                    name.to_owned()
                });
                literals.push(String::new());
                after
            } else {
                push(&mut literals, brace.get(..1).unwrap_or_default());
                brace.get(1..).unwrap_or_default()
            };
        }
        push(&mut literals, rest);
        Template { literals, names }
    }

    /// What its places are called, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The sentence as text, when it has no places.
    pub fn whole(&self) -> Option<&str> {
        if self.names.is_empty() { self.literals.first().map(String::as_str) } else { None }
    }

    /// How much of it is text of its own, bytes: of two that fit a line, the one with more fits better.
    pub fn weight(&self) -> usize {
        self.literals.iter().map(String::len).sum()
    }

    /// Letters of its own. Few say little: `{}: {}` fits half of all lines.
    pub fn letters(&self) -> usize {
        self.literals.iter().flat_map(|text| text.chars()).filter(|c| c.is_alphabetic()).count()
    }

    /// Whether it goes on from something before it: `, {} free`.
    pub fn is_marked(&self) -> bool {
        self.literals.first().is_some_and(|first| first.starts_with([',', ';', '(', ' ']))
    }

    /// Whether each place stands within backquotes, where a command is.
    pub fn in_commands(&self) -> Vec<bool> {
        let mut inside = false;
        let of = |text: &String| {
            inside ^= text.matches('`').count() % 2 == 1;
            inside
        };
        self.literals.iter().take(self.names.len()).map(of).collect()
    }

    /// The values in a finished line, one for each place; `None` when the line is another sentence. Each value ends
    /// where the text after its place comes first.
    pub fn values<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let (last, first) = (self.literals.last()?, self.literals.first()?);
        if self.names.is_empty() {
            return (line == first).then(Vec::new);
        }
        let mut rest = line.strip_prefix(first.as_str())?.strip_suffix(last.as_str())?;
        let mut values = Vec::with_capacity(self.names.len());
        for literal in self.literals.get(1..self.names.len())? {
            let (value, after) = rest.split_at_checked(rest.find(literal.as_str())?)?;
            values.push(value);
            rest = after.get(literal.len()..)?;
        }
        values.push(rest);
        Some(values)
    }

    /// The sentence with values in its places; `value` is asked with a place's name and how often that name came before.
    pub fn fill<'a>(&self, value: impl Fn(&str, usize) -> &'a str) -> String {
        let mut filled = String::new();
        for (at, literal) in self.literals.iter().enumerate() {
            filled.push_str(literal);
            if let Some(name) = self.names.get(at) {
                let before = self.names.iter().take(at).filter(|other| *other == name).count();
                filled.push_str(value(name, before));
            }
        }
        filled
    }
}

fn push(literals: &mut [String], text: &str) {
    if let Some(last) = literals.last_mut() {
        last.push_str(text);
    }
}

/// The place that `text` begins with: its name, and what follows it.
fn place(text: &str) -> Option<(&str, &str)> {
    let (inside, after) = text.strip_prefix('{')?.split_once('}')?;
    let (name, how) = inside.split_once(':').unwrap_or((inside, ""));
    let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (named && !how.contains(['{', '"', '\n', '`'])).then_some((name, after))
}
