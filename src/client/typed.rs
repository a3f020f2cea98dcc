//! Options among the arguments that a user typed for a client.

use std::ffi::OsString;

/// Takes the options of these names out of `words` whose value `which` wants: what is left, and these values in order.
/// `--name VALUE`, `--name=VALUE`, and for names of one letter `-nVALUE`. What comes behind `--` is no option.
pub(super) fn take(words: &[OsString], names: &[&str], which: impl Fn(&str) -> bool) -> (Vec<OsString>, Vec<String>) {
    let (mut rest, mut taken) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.push(word.clone());
            break;
        }
        let Some(text) = word.to_str() else {
            rest.push(word.clone());
            continue;
        };
        if names.contains(&text) {
            let value = words.next();
            match value.and_then(|value| value.to_str()).filter(|value| which(value)) {
                Some(value) => taken.push(value.to_owned()),
                None => rest.extend([word].into_iter().chain(value).cloned()),
            }
            continue;
        }
        let joined = names.iter().find_map(|name| {
            let value = text.strip_prefix(name)?;
            if name.starts_with("--") {
                value.strip_prefix('=')
            } else {
                Some(value.strip_prefix('=').unwrap_or(value))
            }
        });
        match joined.filter(|value| which(value)) {
            Some(value) => taken.push(value.to_owned()),
            None => rest.push(word.clone()),
        }
    }
    rest.extend(words.cloned());
    (rest, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_in_every_form_and_nothing_else() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (line, names, left, values) in [
            ("-p hi --settings a --settings=b -x", &["--settings"][..], "-p hi -x", &["a", "b"][..]),
            ("--settingsx a -- --settings b", &["--settings"], "--settingsx a -- --settings b", &[]),
            ("exec -c a=1 -ckeep=2 -ca=3 --config=a=4", &["-c", "--config"], "exec -ckeep=2", &["a=1", "a=3", "a=4"]),
            ("exec -c keep=1 -c", &["-c"], "exec -c keep=1 -c", &[]),
        ] {
            let (rest, taken) = take(&words(line), names, |value| !value.starts_with("keep"));
            assert_eq!(rest, words(left), "{line}");
            assert_eq!(taken, values, "{line}");
        }
    }
}
