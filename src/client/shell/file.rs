//! Exports as files of `NAME=value` lines: `.env` files and those of `docker run --env-file`. A variable that must not be
//! set cannot be said there; a comment names it.

use super::{Export, RenderError, Shell, check};

/// A `.env` file in the one spelling that docker compose, python-dotenv and Node's dotenv read alike. What they read
/// differently is refused: python-dotenv puts variables in for `${…}` in every kind of quotes and takes a backslash before
/// another one or before a quote away; compose does so for `$…` in double quotes; Node's keeps every backslash.
pub fn dotenv(exports: &[Export]) -> Result<String, RenderError> {
    lines(exports, |name, value| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,=-".contains(c);
        if value.chars().all(plain) {
            return Ok(value.to_owned());
        }
        let refused = |what| Err(RenderError::Dotenv { name: name.to_owned(), what });
        if value.contains("${") {
            return refused("${");
        }
        if !value.contains('\'') {
            if value.contains(r"\\") || value.ends_with('\\') {
                return refused("a backslash before another one or at its end");
            }
            return Ok(format!("'{value}'"));
        }
        match value.chars().find(|c| matches!(c, '"' | '\\' | '$' | '`')) {
            None => Ok(format!("\"{value}\"")),
            Some(_) => refused("a single quote together with a double one, a backslash, a dollar or a backtick"),
        }
    })
}

/// A file for `docker run --env-file`: what follows the `=` is the value, quotes and all.
pub fn docker(exports: &[Export]) -> Result<String, RenderError> {
    lines(exports, |_, value| Ok(value.to_owned()))
}

fn lines(
    exports: &[Export],
    mut written: impl FnMut(&str, &str) -> Result<String, RenderError>,
) -> Result<String, RenderError> {
    let mut text = String::new();
    let mut unset = Vec::new();
    for export in exports {
        match export {
            Export::Set { name, value } => {
                check(name, value, Shell::Posix)?;
                text.push_str(&format!("{name}={}\n", written(name, value)?));
            }
            Export::Unset { name } => unset.push(name.as_str()),
            Export::Comment(words) => text.push_str(&format!("# {}\n", words.replace(char::is_control, " "))),
        }
    }
    if !unset.is_empty() {
        text.push_str(&format!("# must not be set: {}\n", unset.join(", ")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: &str) -> Result<String, RenderError> {
        dotenv(&[Export::set("A", value)])
    }

    #[test]
    fn each_value_gets_the_quotes_in_which_all_readers_agree() {
        for (value, line) in [
            ("", "A=\n"),
            ("http://127.0.0.1:4000/v1", "A=http://127.0.0.1:4000/v1\n"),
            ("two words # no comment", "A='two words # no comment'\n"),
            (r#"{"a":"$b"}"#, "A='{\"a\":\"$b\"}'\n"),
            (r"C:\Users\Грета", "A='C:\\Users\\Грета'\n"),
            ("it's", "A=\"it's\"\n"),
        ] {
            assert_eq!(one(value).unwrap(), line);
        }
    }

    #[test]
    fn what_they_read_differently_is_refused() {
        for value in ["${HOME}", r"\\server\x y", "ends with \\", "it's \"both\"", "it's $x", "it's `x`", "a\nb"] {
            assert!(one(value).is_err(), "{value}");
        }
    }

    #[test]
    fn docker_takes_the_value_as_it_is() {
        let exports =
            [Export::set("A", "it's \"x\" # y"), Export::unset("B"), Export::unset("C"), Export::set("D", "")];
        assert_eq!(docker(&exports).unwrap(), "A=it's \"x\" # y\nD=\n# must not be set: B, C\n");
        assert!(docker(&[Export::set("A", "a\nB=c")]).is_err());
        assert!(docker(&[Export::set("A B", "")]).is_err());
    }
}
