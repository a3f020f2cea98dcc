//! What nearly every chunk of a stream is: words or thinking, the end, or the usage. Read member by member, without the
//! structs of [`super::chunk`], which took four times as long. Whatever else a chunk holds is read by those.

use std::borrow::Cow;

use super::chunk::Tokens;
use crate::protocol::pull::Reader;

/// What the chunk says.
#[derive(Default)]
pub(super) struct Plain<'a> {
    pub id: Option<&'a str>,
    pub thinking: Option<Cow<'a, str>>,
    pub content: Option<Cow<'a, str>>,
    /// Why the answer ended.
    pub finish: Option<&'a str>,
    pub usage: Option<Tokens>,
}

/// Reads a chunk; `None` when it holds something else, or is wrong in any way.
pub(super) fn read(data: &[u8]) -> Option<Plain<'_>> {
    let mut plain = Plain::default();
    let mut seen = Seen::default();
    Reader::over(simdutf8::basic::from_utf8(data).ok()?, |reader| {
        reader.members(|reader, key| match key {
            "id" => seen.first(0, || some(&mut plain.id, reader, Reader::bare)),
            "choices" => seen.first(1, || choices(&mut plain, reader)),
            "usage" => seen.first(2, || some(&mut plain.usage, reader, Reader::read)),
            "error" => seen.first(3, || reader.null()),
            "timings" => seen.first(4, || reader.null()),
            _ => reader.pass(),
        })
    })?;
    Some(plain)
}

fn choices<'a>(plain: &mut Plain<'a>, reader: &mut Reader<'a>) -> Option<()> {
    if reader.null().is_some() {
        return Some(());
    }
    let mut others = false;
    // Nobody asked for more than one.
    reader.elements(|reader| if std::mem::replace(&mut others, true) { reader.pass() } else { choice(plain, reader) })
}

fn choice<'a>(plain: &mut Plain<'a>, reader: &mut Reader<'a>) -> Option<()> {
    let mut seen = Seen::default();
    reader.members(|reader, key| match key {
        "delta" => seen.first(0, || delta(plain, reader)),
        "finish_reason" => seen.first(1, || some(&mut plain.finish, reader, Reader::bare)),
        "message" => seen.first(2, || reader.null()),
        "stop_reason" => seen.first(3, || reader.null()),
        "matched_stop" => seen.first(4, || reader.null()),
        "usage" => seen.first(5, || reader.null()),
        _ => reader.pass(),
    })
}

fn delta<'a>(plain: &mut Plain<'a>, reader: &mut Reader<'a>) -> Option<()> {
    if reader.null().is_some() {
        return Some(());
    }
    let mut seen = Seen::default();
    let (mut spelled, mut other) = (None, None);
    reader.members(|reader, key| match key {
        "content" => seen.first(0, || some(&mut plain.content, reader, Reader::words)),
        "reasoning_content" => seen.first(1, || some(&mut spelled, reader, Reader::words)),
        "reasoning" => seen.first(2, || some(&mut other, reader, Reader::words)),
        "tool_calls" => seen.first(3, || reader.null().or_else(|| reader.elements(|_| None))),
        "reasoning_details" => seen.first(4, || reader.null()),
        "refusal" => seen.first(5, || reader.null()),
        "function_call" => seen.first(6, || reader.null()),
        _ => reader.pass(),
    })?;
    // Where both stand they say the same.
    plain.thinking = spelled.filter(|text: &Cow<'_, str>| !text.is_empty()).or(other);
    Some(())
}

/// Reads a value, unless it is null.
#[inline]
fn some<'a, T>(
    into: &mut Option<T>,
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Option<()> {
    if reader.null().is_none() {
        *into = Some(read(reader)?);
    }
    Some(())
}

/// Which members of an object there were: one that comes twice is wrong.
#[derive(Default)]
struct Seen(u8);

impl Seen {
    #[inline]
    fn first(&mut self, at: u8, read: impl FnOnce() -> Option<()>) -> Option<()> {
        let before = self.0;
        self.0 |= 1 << at;
        if self.0 == before { None } else { read() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::Chunk;
    use super::*;
    use crate::protocol::pull;

    const PIECES: [&str; 30] = [
        r#""id":"chatcmpl-x1""#,
        r#""id":null"#,
        r#""id":7"#,
        r#""id":"a\u0041""#,
        r#""object":"chat.completion.chunk""#,
        r#""created":17"#,
        r#""model":"größe/m""#,
        r#""usage":null"#,
        r#""usage":{"prompt_tokens":5,"completion_tokens":2.0,"prompt_tokens_details":{"cached_tokens":3}}"#,
        r#""usage":7"#,
        r#""timings":{"cache_n":4}"#,
        r#""error":null"#,
        r#""error":{"message":"x"}"#,
        r#""choices":[]"#,
        r#""choices":null"#,
        r#""choices":{}"#,
        r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]"#,
        r#""choices":[{"index":0,"delta":{"content":"a\n\"b\" é\ud83d\ude00"},"finish_reason":null}]"#,
        r#""choices":[{"index":0,"delta":{"content":"half \ud83d of it"}}]"#,
        r#""choices":[{"delta":{"content":null,"reasoning_content":"hm","reasoning":"hm","tool_calls":[]}}]"#,
        r#""choices":[{"delta":{"reasoning_content":"","reasoning":"so"}},{"delta":{"content":"second"}}]"#,
        r#""choices":[{"delta":{"content":["x"]}}]"#,
        r#""choices":[{"delta":{"content":"x","content":"y"}}]"#,
        r#""choices":[{"delta":{"tool_calls":[{"index":0,"id":"c"}]}}]"#,
        r#""choices":[{"delta":{},"finish_reason":"stop","stop_reason":null}]"#,
        r#""choices":[{"delta":{},"finish_reason":"stop","stop_reason":"END"}]"#,
        r#""choices":[{"delta":null,"finish_reason":"length","usage":{"prompt_tokens":1}}]"#,
        r#""choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]"#,
        r#""choices":[{"delta":{"content":"open"}]"#,
        r#""x":[1,{"choices":[]},"y"]"#,
    ];

    /// What it says is what the structs say, and it says nothing where they find more or nothing.
    fn agrees(text: &str) -> bool {
        let Some(plain) = read(text.as_bytes()) else { return false };
        let chunk: Chunk<'_> = pull::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(plain.id, chunk.id.as_deref(), "{text}");
        assert!(chunk.error.is_none() && chunk.timings.is_none(), "{text}");
        assert_eq!(plain.usage, chunk.usage.map(|usage| *usage), "{text}");
        let choice = chunk.choices.0;
        let finish = choice.as_ref().and_then(|choice| choice.finish_reason.as_deref());
        assert_eq!(plain.finish, finish, "{text}");
        let delta = choice.and_then(|mut choice| {
            let asked =
                [&choice.stop_reason, &choice.matched_stop].into_iter().flatten().all(|raw| raw.get() == "null");
            assert!(choice.message.is_none() && choice.usage.is_none() && asked, "{text}");
            choice.delta.take()
        });
        let (content, thinking) = delta.map_or((None, None), |delta| {
            assert!(delta.refusal.is_none() && delta.function_call.is_none(), "{text}");
            assert!(delta.tool_calls.unwrap_or_default().is_empty(), "{text}");
            (delta.content, super::super::wire::reasoning([delta.reasoning_content, delta.reasoning]))
        });
        let content = content.map(|content| match content {
            super::super::wire::Either::Text(text) => text,
            super::super::wire::Either::Other(_) => panic!("{text}"),
        });
        assert_eq!(plain.content, content, "{text}");
        assert_eq!(plain.thinking.filter(|text| !text.is_empty()), thinking, "{text}");
        true
    }

    #[test]
    fn what_it_reads_is_what_the_structs_read() {
        let read: Vec<bool> = PIECES.iter().map(|piece| agrees(&format!("{{{piece}}}"))).collect();
        let not: Vec<usize> = read.iter().enumerate().filter(|(_, read)| !**read).map(|(at, _)| at).collect();
        assert_eq!(not, [2, 3, 9, 10, 12, 15, 18, 21, 22, 23, 25, 26, 27, 28], "what is left to the structs");
        assert!(!agrees("{} x") && !agrees("[]") && !agrees(r#"{"id":"a","id":"a"}"#) && !agrees(r#"{"\u0069d":"a"}"#));
    }

    proptest::proptest! {
        #[test]
        fn together_and_cut_they_still_agree(picks in proptest::collection::vec(0..PIECES.len(), 0..5), cut: usize) {
            let pieces: Vec<&str> = picks.iter().map(|at| PIECES[*at]).collect();
            let text = format!("{{{}}}", pieces.join(" , "));
            agrees(&text);
            let mut cut = cut % (text.len() + 1);
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            agrees(&text[..cut]);
            agrees(&[&text[..cut], &text[(cut + 1..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(cut)..]].concat());
        }
    }
}
