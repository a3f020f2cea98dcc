//! `*` and `?` in file patterns, as huggingface_hub's `allow_patterns` (fnmatch): `*` also matches `/`.

/// Whether `pattern` matches all of `text`; case does not matter. A pattern without `/` may match the last name only.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (pattern, path) = (pattern.to_lowercase(), path.to_lowercase());
    whole(&pattern, &path) || (!pattern.contains('/') && whole(&pattern, &name.to_lowercase()))
}

/// Linear in `text` times the number of stars: on a mismatch only the last star takes one more character.
fn whole(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, path) in [
            ("*.json", "config.json"),
            ("*.json", "a/config.json"),
            ("*Q4_K_M*", "model-q4_k_m.gguf"),
            ("q4/*", "Q4/a-00001-of-00002.gguf"),
            ("m?del*", "model"),
            ("*", "x/y"),
            ("a*b*c", "aXbYbZc"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [("*.json", "config.json5"), ("q4/*", "q5/a"), ("", "a"), ("a*b", "ac"), ("?", "")] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }
}
