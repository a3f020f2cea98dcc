//! Settings files nobody thought of: edits are made, somebody else writes, edits are taken back.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;

/// Members of a random file, and how its text is set out.
#[derive(Debug, Clone)]
struct Shape {
    members: Vec<(String, Value)>,
    indent: &'static str,
    nl: &'static str,
    comments: bool,
    trailing: bool,
    mark: bool,
    last_newline: bool,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let name = prop_oneof![
        Just("env".to_owned()),
        Just("top".to_owned()),
        Just("depth".to_owned()),
        "[a-z][a-zA-Z_-]{0,6}",
        "[ж \\.#'/]{1,3}x",
    ];
    let text = prop_oneof!["[a-z:/#, \"'\\\\{}ж\\]\\[]{0,12}", "https://[a-z]{1,6}/v1"];
    let leaf = prop_oneof![
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        text.prop_map(Value::from)
    ];
    let group = |inner: BoxedStrategy<Value>| {
        let name = prop_oneof![Just("BASE".to_owned()), Just("OLD".to_owned()), Just("below".to_owned()), "[A-Z]{1,5}"];
        prop::collection::btree_map(name, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
    };
    let list = prop::collection::vec(leaf.clone(), 0..3).prop_map(Value::from);
    let value = prop_oneof![leaf.clone(), list, group(leaf.clone().boxed()), group(group(leaf.boxed()).boxed())];
    (
        prop::collection::btree_map(name, value, 0..6),
        prop::sample::select(vec!["  ", "    ", "\t", ""]),
        prop::sample::select(vec!["\n", "\r\n"]),
        any::<[bool; 4]>(),
    )
        .prop_map(|(members, indent, nl, [comments, trailing, mark, last_newline])| Shape {
            members: members.into_iter().collect(),
            indent,
            nl,
            comments,
            trailing,
            mark,
            last_newline,
        })
}

impl Shape {
    fn comment(&self, text: &str) -> String {
        if self.comments { text.to_owned() } else { String::new() }
    }

    fn finish(&self, text: String) -> String {
        let text = text.replace('\n', self.nl);
        let text = if self.last_newline { text } else { text.trim_end_matches(['\r', '\n']).to_owned() };
        if self.mark { format!("{MARK}{text}") } else { text }
    }

    fn json(&self) -> String {
        fn write(shape: &Shape, value: &Value, depth: usize) -> String {
            match value {
                Value::Object(members) if !members.is_empty() => {
                    let members: Vec<(String, Value)> = members.clone().into_iter().collect();
                    block(shape, &members, depth)
                }
                other => other.to_string(),
            }
        }
        fn block(shape: &Shape, members: &[(String, Value)], depth: usize) -> String {
            let inside = shape.indent.repeat(depth + 1);
            let mut out = format!("{{{}\n", shape.comment(" // opens"));
            for (at, (key, value)) in members.iter().enumerate() {
                let comma = if at + 1 < members.len() || shape.trailing { "," } else { "" };
                let value = write(shape, value, depth + 1);
                let comment = shape.comment(if at % 2 == 0 { " // behind" } else { " /* behind */" });
                out += &format!("{inside}{}: {value}{comma}{comment}\n", Value::from(key.as_str()));
            }
            out + &shape.comment(&format!("{inside}// closes\n")) + &shape.indent.repeat(depth) + "}"
        }
        let body = if self.members.is_empty() { "{}".into() } else { block(self, &self.members, 0) };
        self.finish(format!("{}{body}\n", self.comment("/* head */\n")))
    }

    fn toml(&self) -> String {
        fn leaf(value: &Value) -> bool {
            !value.is_object()
        }
        let key = |key: &str| Value::from(key).to_string();
        let mut out = self.comment("# head\n\n");
        for (name, value) in self.members.iter().filter(|(_, value)| leaf(value)) {
            out += &format!("{} = {value}{}\n", key(name), self.comment(" # behind"));
        }
        for (name, value) in &self.members {
            let Some(members) = value.as_object() else { continue };
            if !self.trailing && members.values().all(leaf) {
                out += &format!("\n{}[{}]\n", self.comment("# over\n"), key(name));
                for (name, value) in members {
                    out += &format!("{}{} = {value}\n", self.indent, key(name));
                }
                continue;
            }
            out += &format!("\n[{}]{}\n", key(name), self.comment(" # behind"));
            for (name, value) in members.iter().filter(|(_, value)| leaf(value)) {
                out += &format!("{} = {value}\n", key(name));
            }
            for (name, value) in members {
                let Some(members) = value.as_object() else { continue };
                let members: Vec<String> =
                    members.iter().map(|(name, value)| format!("{} = {value}", key(name))).collect();
                out += &format!("{} = {{ {} }}\n", key(name), members.join(", "));
            }
        }
        self.finish(out)
    }

    fn yaml(&self) -> String {
        fn block(shape: &Shape, members: &serde_json::Map<String, Value>, depth: usize) -> String {
            let step = if shape.indent.starts_with(' ') { shape.indent } else { "  " };
            let inside = step.repeat(depth);
            let mut out = String::new();
            for (key, value) in members {
                let key = Value::from(key.as_str());
                out += &match value {
                    Value::Object(members) if !members.is_empty() => {
                        format!("{inside}{key}:{}\n{}", shape.comment(" # over"), block(shape, members, depth + 1))
                    }
                    value => format!("{inside}{key}: {value}{}\n", shape.comment(" # behind")),
                };
            }
            out + &shape.comment(&format!("{inside}# closes\n"))
        }
        let members = self.members.iter().cloned().collect();
        self.finish(format!("{}{}", self.comment("# head\n"), block(self, &members, 0)))
    }

    fn text(&self, format: Format) -> String {
        match format {
            Format::Json => self.json(),
            Format::JsonList => format!("[{}]", self.json().trim_start_matches(MARK)),
            Format::Toml => self.toml(),
            Format::Yaml | Format::Dotenv => self.yaml(),
        }
    }
}

fn comments(text: &str) -> usize {
    ["opens", "behind", "closes", "head", "over"].iter().map(|word| text.matches(&format!(" {word}")).count()).sum()
}

fn meaning(text: &str, format: Format) -> Value {
    read(text.strip_prefix(MARK).unwrap_or(text), format).unwrap()
}

fn check(shape: &Shape, format: Format, theirs: &[Change]) {
    let text = shape.text(format);
    let edited = match apply(&text, format, &changes()) {
        Ok(edited) => edited,
        // Something else stands where a group should.
        Err(EditError::Blocked { .. }) => return,
        // A table cannot be taken away as a whole.
        Err(EditError::Unsupported { .. }) if format == Format::Toml => return,
        Err(error) => panic!("{error}: {text:?}"),
    };
    // What stands inside a value goes and comes with it; in YAML also what stands behind one that is taken away.
    let groups = edited.undo.iter().any(|undo| {
        let group = matches!(&undo.had, Had::Value { value, .. } if value.is_object());
        group || (format == Format::Yaml && undo.wrote.is_none())
    });
    let comments = |text: &str| if groups { 0 } else { comments(text) };
    assert_eq!(comments(&edited.text), comments(&text), "{text:?}\n{:?}", edited.text);
    let alone =
        restore(&edited.text, format, &edited.undo).unwrap_or_else(|error| panic!("{error}: {:?}", edited.text));
    assert_eq!(meaning(&alone.text, format), meaning(&text, format), "{text:?}\n{:?}", edited.text);
    assert_eq!((alone.kept.len(), comments(&alone.text)), (0, comments(&text)), "{text:?}\n{:?}", edited.text);
    if shape.nl == "\r\n" && text.contains('\n') {
        for text in [&edited.text, &alone.text] {
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text:?}");
        }
    }
    // Somebody else in between.
    let Ok(between) = apply(&edited.text, format, theirs) else { return };
    let back =
        restore(&between.text, format, &edited.undo).unwrap_or_else(|error| panic!("{error}: {:?}", between.text));
    let now = meaning(&back.text, format);
    let wrote = meaning(&between.text, format);
    for Change { path, .. } in theirs {
        let (now, wrote) = (tree::get(&now, path), tree::get(&wrote, path));
        assert_eq!(now, wrote, "{text:?}\n{:?}\n{:?}", between.text, back.text);
    }
    for Undo { path, .. } in edited.undo.iter().filter(|undo| !back.kept.contains(&undo.path)) {
        let before = meaning(&text, format);
        let (before, now) = (tree::get(&before, path), tree::get(&now, path));
        assert_eq!(before.ok().flatten(), now.ok().flatten(), "{text:?}\n{:?}", back.text);
    }
}

fn theirs() -> impl Strategy<Value = Vec<Change>> {
    let path = prop_oneof![
        Just(vec!["env", "THEIRS"]),
        Just(vec!["env", "MODEL"]),
        Just(vec!["new"]),
        Just(vec!["depth", "below", "m"]),
        Just(vec!["top"]),
    ];
    prop::collection::vec((path, any::<u8>()), 0..4)
        .prop_map(|list| list.into_iter().map(|(path, n)| Change::set(&path, n)).collect())
}

proptest! {
    #![proptest_config(Config { cases: 400, failure_persistence: None, ..Config::default() })]

    #[test]
    fn json(shape in shapes(), theirs in theirs()) {
        check(&shape, Format::Json, &theirs);
    }

    #[test]
    fn toml(shape in shapes(), theirs in theirs()) {
        check(&shape, Format::Toml, &theirs);
    }

    #[test]
    fn yaml(shape in shapes(), theirs in theirs()) {
        check(&shape, Format::Yaml, &theirs);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\{\\}\\[\\]\",:/*\\\\ \n\r#=&'a-c0-9\\-é\u{feff}|>]{0,60}") {
        for format in [Format::Json, Format::JsonList, Format::Toml, Format::Yaml, Format::Dotenv] {
            let changes = if format == Format::JsonList { list::changes() } else { changes() };
            if let Ok(edited) = apply(&text, format, &changes) {
                let back = restore(&edited.text, format, &edited.undo).unwrap();
                prop_assert_eq!(meaning(&back.text, format), meaning(&text, format));
            }
        }
    }
}
