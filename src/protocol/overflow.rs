//! A context that is too small, in the words of many engines and providers, as numbers.

/// The numbers of an overflow: the prompt's tokens and the most the context holds, both in tokens. A prompt that is
/// smaller than the context means that only the answer's limit asked for too much.
pub type Numbers = (u64, u64);

/// Which number of the sentence is which, counted behind `mark`.
struct Wording {
    /// What the sentence says and no other one does; compared in lower case.
    mark: &'static str,
    read: fn(before: &[u64], after: &[u64]) -> Option<Numbers>,
}

/// Sources: vLLM 0.6 to 0.32 and llama.cpp b11669 as they answered; SGLang `tokenizer_manager.py`; OpenAI, DeepSeek and
/// OpenRouter as their users report them; api.anthropic.com and Gemini API error texts; TGI `validation.rs`; LM Studio.
const WORDINGS: &[Wording] = &[
    // vLLM 0.32: "max_tokens=32769 cannot be greater than max_model_len=32768".
    Wording { mark: "cannot be greater than max_model_len", read: |_, after| Some((0, *after.first()?)) },
    // vLLM 0.10: "…is too large: 32000. This model's maximum context length is 32768 tokens and your request has 12000
    // input tokens (32000 > 32768 - 12000)".
    Wording { mark: "your request has", read: |before, after| Some((*after.first()?, *before.last()?)) },
    // vLLM, OpenAI, DeepSeek, OpenRouter: "maximum context length is 4096 tokens. However, you requested 4500 tokens
    // (500 in the messages, 4000 in the completion)", "… your messages resulted in 5000 tokens", "… your prompt
    // contains at least 4097 input tokens".
    Wording {
        mark: "maximum context length is",
        read: |_, after| {
            let (max, rest) = after.split_first()?;
            Some((asked(rest).unwrap_or(max.saturating_add(1)), *max))
        },
    },
    // SGLang: "maximum context length of 8192 tokens. You requested a total of 9000 tokens: 1000 tokens from the input
    // messages and 8000 tokens for the completion".
    Wording {
        mark: "maximum context length of",
        read: |_, after| {
            let (max, rest) = after.split_first()?;
            Some((asked(rest).unwrap_or(max.saturating_add(1)), *max))
        },
    },
    // llama.cpp: "request (163859 tokens) exceeds the available context size (16384 tokens)".
    Wording {
        mark: "exceeds the available context size",
        read: |before, after| Some((*before.last()?, *after.first()?)),
    },
    // Anthropic: "prompt is too long: 210000 tokens > 200000 maximum".
    Wording { mark: "prompt is too long", read: |_, after| Some((*after.first()?, *after.get(1)?)) },
    // Anthropic: "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000".
    Wording { mark: "exceed context limit", read: |_, after| Some((*after.first()?, *after.get(2)?)) },
    // SGLang: "The input (9000 tokens) is longer than the model's context length (8192 tokens)".
    Wording {
        mark: "longer than the model's context length",
        read: |before, after| Some((*before.last()?, *after.first()?)),
    },
    // Gemini: "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)".
    // The first number is missing in some of its answers.
    Wording {
        mark: "exceeds the maximum number of tokens allowed",
        read: |before, after| {
            let max = *after.first()?;
            Some((before.last().copied().unwrap_or(max.saturating_add(1)), max))
        },
    },
    // TGI: "`inputs` must have less than 4096 tokens. Given: 5000".
    Wording { mark: "must have less than", read: |_, after| Some((*after.get(1)?, *after.first()?)) },
    // LM Studio: "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with
    // context length of only 4096 tokens".
    Wording {
        mark: "context length of only",
        read: |before, after| {
            let max = *after.first()?;
            Some((before.last().copied().unwrap_or(max.saturating_add(1)).max(max.saturating_add(1)), max))
        },
    },
];

/// The prompt among the numbers of a request: alone, or a total with its parts, of which the last is the answer's.
fn asked(numbers: &[u64]) -> Option<u64> {
    let (total, parts) = numbers.split_first()?;
    for count in 2..=parts.len() {
        let parts = &parts[..count];
        if parts.iter().try_fold(0u64, |sum, part| sum.checked_add(*part)) == Some(*total) {
            return Some(total - parts.last()?);
        }
    }
    Some(*total)
}

/// The numbers of a sentence that says so; `None` when it is about something else.
pub fn numbers(message: &str) -> Option<Numbers> {
    let lower = message.to_ascii_lowercase();
    let (mark, at) = WORDINGS.iter().find_map(|wording| Some((wording, lower.find(wording.mark)?)))?;
    let read = |text: &str| -> Vec<u64> {
        let runs = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
        runs.take(16).filter_map(|run| run.parse().ok()).collect()
    };
    // Thousands separators would cut a number in two.
    let plain = |text: &str| {
        let bytes = text.as_bytes();
        let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        let keep =
            |at: usize, c: char| !(c == ',' && digit(at.checked_sub(1)) && digit(Some(at + 1)) && digit(Some(at + 3)));
        text.char_indices().filter(|(at, c)| keep(*at, *c)).map(|(_, c)| c).collect::<String>()
    };
    (mark.read)(&read(&plain(&lower[..at])), &read(&plain(&lower[at + mark.mark.len()..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wordings_of_engines_become_numbers() {
        for (message, expected) in [
            ("max_tokens=32769 cannot be greater than max_model_len=32768. Please", (0, 32768)),
            (
                "'max_tokens' is too large: 32000. This model's maximum context length is 32768 tokens and your request has 12000 input tokens (32000 > 32768 - 12000).",
                (12000, 32768),
            ),
            (
                "This model's maximum context length is 4096 tokens. However, you requested 4500 tokens (500 in the messages, 4000 in the completion).",
                (500, 4096),
            ),
            (
                "This endpoint's maximum context length is 131,072 tokens. However, you requested about 140000 tokens (110000 of text input, 10000 of tool input, 20000 in the output).",
                (120_000, 131_072),
            ),
            (
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
                (9000, 8192),
            ),
            ("This model's maximum context length is 8192 tokens.", (8193, 8192)),
            (
                "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 9000 tokens: 1000 tokens from the input messages and 8000 tokens for the completion.",
                (1000, 8192),
            ),
            ("request (163859 tokens) exceeds the available context size (16384 tokens), try", (163_859, 16_384)),
            ("prompt is too long: 210000 tokens > 200000 maximum", (210_000, 200_000)),
            (
                "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease",
                (190_000, 200_000),
            ),
            ("The input (9000 tokens) is longer than the model's context length (8192 tokens).", (9000, 8192)),
            (
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                (1_200_000, 1_048_576),
            ),
            ("Input validation error: `inputs` must have less than 4096 tokens. Given: 5000", (5000, 4096)),
            (
                "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens",
                (5000, 4096),
            ),
        ] {
            assert_eq!(numbers(message), Some(expected), "{message}");
        }
        // Numbers that no addition holds are no total and its parts.
        let huge =
            format!("maximum context length is 8 tokens. However, you requested 7 tokens ({0} and {0})", u64::MAX);
        assert_eq!(numbers(&huge), Some((7, 8)));
        for other in ["", "the engine answered 500", "max_tokens must be at least 1, got 0", "no context"] {
            assert_eq!(numbers(other), None, "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in r#"(maximum context length is|exceeds the available context size|[0-9,]{0,25}|é|[ ().]){0,12}"#) {
            let _ = numbers(&text);
        }
    }
}
