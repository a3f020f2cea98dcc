//! The head of an engine's answer: status, the headers anybody asks for, and how its body will end.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;

use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::chunked::{Chunks, Framed};
use super::upstream::{RETRY_AFTER_MS, SHOULD_RETRY};

/// A whole head.
pub(super) struct Head {
    pub(super) response: Response<()>,
    /// How the end of the body is told.
    pub(super) framed: Framed,
    /// The connection can be used again behind the body.
    pub(super) reusable: bool,
    /// What was read behind the head: the beginning of the body.
    pub(super) behind: Vec<u8>,
}

/// What the engine sent is not what it should be.
pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// The head of the answer, if all of it is there. "100 Continue" and its like precede it.
pub(super) fn whole(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut rest = bytes;
    while let Some((head, end)) = parsed(rest)? {
        rest = rest.get(end..).unwrap_or_default();
        if !head.response.status().is_informational() {
            return Ok(Some(Head { behind: rest.to_vec(), ..head }));
        }
    }
    Ok(None)
}

/// The headers of an answer that anybody asks for. Engines send many more, and to keep one costs more than to look at it.
const ASKED_FOR: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
    RETRY_AFTER_MS,
    SHOULD_RETRY,
];

/// The first head in `bytes`, and how long it is.
fn parsed(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut fields = [const { MaybeUninit::uninit() }; 96];
    let mut head = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let end = match parser.parse_response_with_uninit_headers(&mut head, bytes, &mut fields) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(invalid(&format!("the engine does not answer in HTTP: {error}"))),
    };
    let mut response = Response::new(());
    *response.status_mut() =
        head.code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut reusable = head.version == Some(1);
    let (mut length, mut coded, mut chunked) = (None, false, false);
    for field in head.headers.iter() {
        let is = |name: &HeaderName| field.name.eq_ignore_ascii_case(name.as_str());
        if is(&header::CONTENT_LENGTH) {
            let said = std::str::from_utf8(field.value).ok().and_then(|text| text.trim().parse::<u64>().ok());
            let Some(said) = said.filter(|said| length.is_none_or(|before| before == *said)) else {
                return Err(invalid("the engine's answer has a senseless length"));
            };
            length = Some(said);
        } else if is(&header::TRANSFER_ENCODING) {
            coded = true;
            chunked = field.value.last_chunk().is_some_and(|last: &[u8; 7]| last.eq_ignore_ascii_case(b"chunked"));
        } else if is(&header::CONNECTION) {
            let value = field.value.to_ascii_lowercase();
            reusable = !value.windows(5).any(|word| word == b"close")
                && (reusable || value.windows(10).any(|word| word == b"keep-alive"));
        }
        if let Some(name) = ASKED_FOR.iter().find(|name| is(name))
            && let Ok(value) = HeaderValue::from_bytes(field.value)
        {
            response.headers_mut().append(name, value);
        }
    }
    let framed = match (response.status().as_u16(), coded, length) {
        (100..=199 | 204 | 304, ..) => Framed::Length(0),
        (_, true, _) if chunked => Framed::Chunks(Chunks::default()),
        (_, false, Some(length)) => Framed::Length(length),
        _ => Framed::Close,
    };
    Ok(Some((Head { response, framed, reusable, behind: Vec::new() }, end)))
}
