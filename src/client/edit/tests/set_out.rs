//! However a file is set out: the edit looks like its neighbours, and taking it back gives the same bytes.

use super::*;

/// Byte-identical after taking back, also without the copy that `disconnect` keeps.
#[track_caller]
fn exact(text: &str, format: Format, expected: &str) {
    let changes = [Change::set(&["env", "BASE"], "http://127.0.0.1:1/x"), Change::set(&["top"], true)];
    let edited = apply(text, format, &changes).unwrap();
    assert_eq!(edited.text, expected);
    assert_eq!(restore(&edited.text, format, &edited.undo).unwrap().text, text);
}

#[test]
fn json_in_every_style() {
    let cases = [
        (
            "{\n  \"a\": 1\n}\n",
            "{\n  \"a\": 1,\n  \"env\": {\n    \"BASE\": \"http://127.0.0.1:1/x\"\n  },\n  \"top\": true\n}\n",
        ),
        (
            "{\n\t\"a\": 1, // c\n}",
            "{\n\t\"a\": 1, // c\n\t\"env\": {\n\t\t\"BASE\": \"http://127.0.0.1:1/x\"\n\t},\n\t\"top\": true,\n}",
        ),
        (
            "{\r\n    \"a\": 1 // c\r\n    // end\r\n}\r\n",
            "{\r\n    \"a\": 1, // c\r\n    \"env\": {\r\n        \"BASE\": \"http://127.0.0.1:1/x\"\r\n    },\r\n    \"top\": true\r\n    // end\r\n}\r\n",
        ),
        ("{\"a\":1}", "{\"a\":1, \"env\":{\"BASE\":\"http://127.0.0.1:1/x\"}, \"top\":true}"),
        (
            "\u{feff}{\"a\": [1, 2]}\n",
            "\u{feff}{\"a\": [1, 2], \"env\": {\"BASE\": \"http://127.0.0.1:1/x\"}, \"top\": true}\n",
        ),
        (
            "{\n  \"env\": {\n    \"A\": \"1\"\n  }\n}\n",
            "{\n  \"env\": {\n    \"A\": \"1\",\n    \"BASE\": \"http://127.0.0.1:1/x\"\n  },\n  \"top\": true\n}\n",
        ),
        (
            "{\n  \"env\": {},\n  \"z\": 1\n}\n",
            "{\n  \"env\": {\n    \"BASE\": \"http://127.0.0.1:1/x\"\n  },\n  \"z\": 1,\n  \"top\": true\n}\n",
        ),
        (
            "{\n  /* a */ \"a\": 1 /* b */, /* c */\n}\n",
            "{\n  /* a */ \"a\": 1 /* b */, \"env\": {\"BASE\": \"http://127.0.0.1:1/x\"}, \"top\": true, /* c */\n}\n",
        ),
    ];
    for (text, expected) in cases {
        exact(text, Format::Json, expected);
    }
}

#[test]
fn toml_in_every_style() {
    let cases = [
        ("a = 1\n", "a = 1\ntop = true\n\n[env]\nBASE = \"http://127.0.0.1:1/x\"\n"),
        (
            "# head\n\n[p.q]\nx = 1 # c\n",
            "# head\n\ntop = true\n\n[p.q]\nx = 1 # c\n\n[env]\nBASE = \"http://127.0.0.1:1/x\"\n",
        ),
        (
            "[env] # mine\r\nA = '1' # c\r\n\r\n[[l]]\r\nn = 1\r\n",
            "top = true\r\n\r\n[env] # mine\r\nA = '1' # c\r\nBASE = \"http://127.0.0.1:1/x\"\r\n\r\n[[l]]\r\nn = 1\r\n",
        ),
        (
            "env = { A = 1 }\nz = \"\"\"\na\n\"\"\"\n",
            "env = { A = 1, BASE = \"http://127.0.0.1:1/x\" }\nz = \"\"\"\na\n\"\"\"\ntop = true\n",
        ),
        (
            "env.A = 1\nz = 2\nenv.B = 3\n\n[t]\n",
            "env.A = 1\nz = 2\nenv.B = 3\nenv.BASE = \"http://127.0.0.1:1/x\"\ntop = true\n\n[t]\n",
        ),
        (
            "\u{feff}[env]\n\n[t]\nl = [\n  1, # one\n]\n",
            "\u{feff}top = true\n\n[env]\nBASE = \"http://127.0.0.1:1/x\"\n\n[t]\nl = [\n  1, # one\n]\n",
        ),
        ("a = 1\r\nb = 2\n", "a = 1\r\nb = 2\ntop = true\n\n[env]\nBASE = \"http://127.0.0.1:1/x\"\n"),
    ];
    for (text, expected) in cases {
        exact(text, Format::Toml, expected);
    }
}

#[test]
fn yaml_in_every_style() {
    let cases = [
        ("a: 1 # c\n\n# end\n", "a: 1 # c\n\n# end\nenv:\n  BASE: \"http://127.0.0.1:1/x\"\ntop: true\n"),
        (
            "env:\r\n    A: \"1\"   # c\r\nz: |\r\n  text\r\n\r\n",
            "env:\r\n    A: \"1\"   # c\r\n    BASE: \"http://127.0.0.1:1/x\"\r\nz: |\r\n  text\r\n\r\ntop: true\r\n",
        ),
        ("{a: 1, env: {A: 1}}\n", "{a: 1, env: {A: 1, BASE: \"http://127.0.0.1:1/x\"}, top: true}\n"),
        (
            "base: &b\n  k: 1\nuse:\n  <<: *b\n",
            "base: &b\n  k: 1\nuse:\n  <<: *b\nenv:\n  BASE: \"http://127.0.0.1:1/x\"\ntop: true\n",
        ),
        ("# only\n", "# only\nenv:\n  BASE: \"http://127.0.0.1:1/x\"\ntop: true\n"),
        ("\u{feff}---\na: 1\n...\n", "\u{feff}---\na: 1\nenv:\n  BASE: \"http://127.0.0.1:1/x\"\ntop: true\n...\n"),
    ];
    for (text, expected) in cases {
        exact(text, Format::Yaml, expected);
    }
}

#[test]
fn dotenv_keeps_quotes_export_and_comments() {
    let text = "# head\r\nexport A='1' # c\r\nB=\"two\nlines\"\r\nKEY=old # mine\r\n";
    let changes =
        [Change::set(&["KEY"], "new one"), Change::set(&["URL"], "http://127.0.0.1:1/x"), Change::remove(&["A"])];
    let edited = apply(text, Format::Dotenv, &changes).unwrap();
    let expected = "# head\r\n# c\r\nB=\"two\nlines\"\r\nKEY='new one' # mine\r\nURL=http://127.0.0.1:1/x\r\n";
    assert_eq!(edited.text, expected);
    let back = restore(&edited.text, Format::Dotenv, &edited.undo).unwrap();
    assert_eq!(back.text, "# head\r\n# c\r\nB=\"two\nlines\"\r\nKEY=old # mine\r\nA='1'\r\n");
}

#[test]
fn replaced_values_come_back_as_they_were_written() {
    let cases = [
        (Format::Json, "{\"top\":  [ 1,\n 2 /*c*/ ] , \"env\": {\"BASE\": \"h\\u0074tp\"}}"),
        (Format::Toml, "top = 1_000 # c\nenv = { BASE = '''x''' }\n"),
        (Format::Yaml, "top: 'it''s' # c\nenv: {BASE: x}\n"),
        (Format::Yaml, "top: \"a\\tb\"\nenv:\n  BASE:   plain text   # c\n"),
    ];
    for (format, text) in cases {
        let changes = [Change::set(&["env", "BASE"], "http://127.0.0.1:1/x"), Change::set(&["top"], true)];
        let edited = apply(text, format, &changes).unwrap();
        assert_eq!(restore(&edited.text, format, &edited.undo).unwrap().text, text);
    }
}
