//! `/v1/embeddings`. OpenAI's SDKs ask for vectors as base64 of little-endian 32-bit floats unless told otherwise, and
//! read nothing else then; others ask for lists of numbers. Whatever the engine answers becomes what was asked for.

use bytes::Bytes;
use http::Response;

use super::answer::Answer;
use super::exchange::Exchange;
use super::reply::{self, Body};
use super::{native, whole};
use crate::protocol::head::{self, Head, Patch};
use crate::protocol::scan::{self, Span};
use crate::protocol::{Id, Problem, Protocol, openai_chat};

const PATH: &str = "/embeddings";

pub(super) async fn answer(mut exchange: Exchange<'_>, body: Bytes) -> Result<Response<Body>, Problem> {
    let Exchange { backend, head, .. } = exchange;
    let form = asked(&body);
    let base64 = form.is_some();
    let edited = native::edit(backend, Id::Chat, head, body.clone());
    let mut response = send(&mut exchange, edited).await?;
    // An engine that knows numbers only refuses the member's value.
    if let (Some(form), 400 | 422) = (form, response.status().as_u16()) {
        let plain = head::splice(&body, vec![Patch { span: form, with: b"\"float\"".to_vec() }]);
        if let Some(head) = Head::scan(&plain) {
            let edited = native::edit(backend, Id::Chat, &head, plain.into());
            response = send(&mut exchange, edited).await?;
        }
    }
    if !response.status().is_success() {
        return native::failed(&exchange.in_flight, Id::Chat, response).await;
    }
    let found = whole::read(response.into_body(), &mut exchange.pulse).await?;
    // The figures stand behind the vectors, or before them.
    let (begin, tail) = (&found[..found.len().min(2048)], &found[found.len().saturating_sub(2048)..]);
    exchange.in_flight.usage(openai_chat::Chat.usage(begin, tail));
    let found = converted(&found, base64).unwrap_or(found);
    Ok(reply::json(200, found))
}

async fn send(exchange: &mut Exchange<'_>, body: Bytes) -> Result<Response<Answer>, Problem> {
    let mut sending = exchange.send(PATH, body);
    exchange.answer_head(&mut sending).await
}

/// Where the request says that it wants base64.
fn asked(body: &[u8]) -> Option<Span> {
    scan::member(body, 0..body.len(), "encoding_format").filter(|span| body.get(span.clone()) == Some(b"\"base64\""))
}

/// The answer with each vector in the form that was asked for; `None` when they are.
fn converted(answer: &[u8], base64: bool) -> Option<Vec<u8>> {
    let data = scan::member(answer, 0..answer.len(), "data")?;
    let mut patches = Vec::new();
    for entry in scan::elements(answer, data)? {
        let Some(span) = scan::member(answer, entry, "embedding") else { continue };
        let raw = answer.get(span.clone())?;
        let with = match raw.first() {
            Some(b'[') if base64 => serde_json::from_slice::<Vec<f32>>(raw).ok().map(|vector| packed(&vector)),
            Some(b'"') if !base64 => unpacked(raw.get(1..raw.len().saturating_sub(1))?),
            _ => None,
        };
        patches.extend(with.map(|with| Patch { span, with }));
    }
    (!patches.is_empty()).then(|| head::splice(answer, patches))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A vector as a JSON string of base64.
fn packed(vector: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4 + 2);
    out.push(b'"');
    for three in bytes.chunks(3) {
        let at = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4usize {
            let digit = (bits >> (18 - 6 * place)) & 63;
            out.push(if place > three.len() { b'=' } else { ALPHABET[digit as usize] });
        }
    }
    out.push(b'"');
    out
}

/// Base64 as a JSON list of numbers; `None` when it is none of floats.
fn unpacked(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in text {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    if bytes.len() % 4 != 0 {
        return None;
    }
    let vector: Vec<f32> =
        bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
    serde_json::to_vec(&vector).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5, -1.0,1e-7]},{"index":1,"embedding":[]}],"usage":{"prompt_tokens":3}}"#;
    // Made with struct.pack("<3f", 0.5, -1.0, 1e-7) of Python.
    const TEXT: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AAAAPwAAgL+Vv9Yz"},{"index":1,"embedding":""}],"usage":{"prompt_tokens":3}}"#;

    #[test]
    fn vectors_come_as_they_were_asked_for() {
        let text = |answer: Option<Vec<u8>>| answer.map(|answer| String::from_utf8(answer).unwrap());
        assert_eq!(text(converted(LIST.as_bytes(), true)).as_deref(), Some(TEXT));
        let list = LIST.replace("0.5, -1.0,1e-7", "0.5,-1.0,1e-7");
        assert_eq!(text(converted(TEXT.as_bytes(), false)), Some(list));
        assert_eq!(converted(LIST.as_bytes(), false), None);
        assert_eq!(converted(TEXT.as_bytes(), true), None);
        for odd in
            [r#"{"data":[{"embedding":[[1.0]]}]}"#, r#"{"data":[{"embedding":"%%%"}]}"#, r#"{"data":7}"#, "nonsense"]
        {
            assert_eq!(converted(odd.as_bytes(), true).or(converted(odd.as_bytes(), false)), None, "{odd}");
        }
        let request = br#"{"input":"x","encoding_format": "base64"}"#;
        assert_eq!(asked(request).map(|span| &request[span]), Some(&b"\"base64\""[..]));
        assert_eq!(asked(br#"{"input":"base64","encoding_format":"float"}"#), None);
    }

    proptest::proptest! {
        #[test]
        fn packing_loses_nothing(vector in proptest::collection::vec(-1.0e30f32..1.0e30, 0..9)) {
            let packed = packed(&vector);
            let list = unpacked(&packed[1..packed.len() - 1]).unwrap();
            assert_eq!(serde_json::from_slice::<Vec<f32>>(&list).unwrap(), vector);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = (converted(&bytes, true), converted(&bytes, false), unpacked(&bytes));
        }
    }
}
