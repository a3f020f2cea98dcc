//! Media in URLs: `data:` URLs are taken apart on the way in and put together on the way out.

use std::borrow::Cow;

use super::ir::Source;

/// What a URL holds or points at.
pub fn from_url(url: Cow<'_, str>) -> Source<'_> {
    let Some((media_type, at)) = parts(&url) else { return Source::Url(url) };
    let media_type = media_type.to_owned();
    let data = match url {
        Cow::Borrowed(url) => Cow::Borrowed(&url[at..]),
        Cow::Owned(url) => Cow::Owned(url[at..].to_owned()),
    };
    Source::Base64 { media_type: media_type.into(), data }
}

/// The MIME type and where the data begins.
fn parts(url: &str) -> Option<(&str, usize)> {
    let rest = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).map(|_| &url[5..])?;
    let (head, data) = rest.split_once(',')?;
    let head = head.strip_suffix(";base64")?;
    let media_type = head.split(';').next().filter(|kind| !kind.is_empty()).unwrap_or("application/octet-stream");
    Some((media_type, url.len() - data.len()))
}

/// The source as a URL; `None` for files uploaded elsewhere.
pub fn to_url<'a>(source: &'a Source<'_>) -> Option<Cow<'a, str>> {
    match source {
        Source::Url(url) => Some(Cow::Borrowed(url)),
        Source::Base64 { media_type, data } => Some(format!("data:{media_type};base64,{data}").into()),
        Source::File(_) => None,
    }
}

/// The text in base64 data; `None` when it is no base64, or no UTF-8.
pub fn text(data: &str) -> Option<String> {
    let mut out = Vec::with_capacity(data.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in data.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    String::from_utf8(out).ok()
}

/// A text as base64, in the plain alphabet.
pub fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(text.len().div_ceil(3) * 4);
    for three in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| bits << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_base64_are_read_in_both_alphabets() {
        for (data, expected) in [
            ("", Some("")),
            ("w6k=", Some("é")),
            ("Pz8_Pj4-", Some("???>>>")),
            ("aGVs\nbG8", Some("hello")),
            ("a*", None),
        ] {
            assert_eq!(text(data).as_deref(), expected, "{data}");
        }
        assert_eq!(text("/w=="), None);
        for whole in ["", "a", "ab", "abc", "hello", "é>?\u{10ffff}"] {
            assert_eq!(text(&base64(whole)).as_deref(), Some(whole));
        }
        assert_eq!((base64("é"), base64("hello")), ("w6k=".to_owned(), "aGVsbG8=".to_owned()));
    }

    #[test]
    fn data_urls_come_apart_and_together_again() {
        let url = "data:image/png;base64,QUJD";
        let source = from_url(url.into());
        assert!(matches!(&source, Source::Base64 { media_type, data } if media_type == "image/png" && data == "QUJD"));
        assert_eq!(to_url(&source).as_deref(), Some(url));
        for other in ["https://x/y.png", "data:text/plain,hi", "data:", "", "données"] {
            assert!(matches!(from_url(other.into()), Source::Url(url) if url == other), "{other}");
        }
    }
}
