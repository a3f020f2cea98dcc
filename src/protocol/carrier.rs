//! Opaque proofs of reasoning (Anthropic's signature, Gemini's thought signature, Responses' encrypted content,
//! OpenRouter's details) travel through callers of any protocol. Each carries the tag of the outbound it came from, so
//! that only that one gets it back: a foreign proof makes a provider refuse the whole request.

use std::collections::VecDeque;

/// Whose proof it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Anthropic Messages: `signature`.
    Anthropic,
    /// Anthropic Messages: `redacted_thinking`.
    AnthropicRedacted,
    /// Gemini: `thoughtSignature` of a call or of a thought.
    Gemini,
    /// Gemini: `thoughtSignature` of words that are no thought; stands beside them.
    GeminiText,
    /// Gemini: `thoughtSignature` of a call, beside it for callers whose calls carry none.
    GeminiCall,
    /// Gemini: a whole part, JSON text, that is for Google only and must come back as it was (`toolCall`).
    GeminiPart,
    /// OpenAI Responses: `encrypted_content`.
    Responses,
    /// OpenRouter: `reasoning_details`, JSON text.
    Details,
    /// Nobody's: the reasoning itself, for callers that show none of it and send only the proof back.
    Text,
}

const TAGS: [(Maker, &str); 9] = [
    (Maker::Anthropic, "am1_"),
    (Maker::AnthropicRedacted, "ar1_"),
    (Maker::Gemini, "gm1_"),
    (Maker::GeminiText, "gt1_"),
    (Maker::GeminiCall, "gc1_"),
    (Maker::GeminiPart, "gp1_"),
    (Maker::Responses, "rs1_"),
    (Maker::Details, "od1_"),
    (Maker::Text, "tx1_"),
];

fn tag(maker: Maker) -> &'static str {
    TAGS.iter().find(|(known, _)| *known == maker).map_or("", |(_, tag)| tag)
}

/// The proof with its maker's tag.
pub fn seal(maker: Maker, proof: &str) -> String {
    format!("{}{proof}", tag(maker))
}

/// The proof without the tag, if `maker` made it.
pub fn open(maker: Maker, sealed: &str) -> Option<&str> {
    sealed.strip_prefix(tag(maker)).filter(|proof| !proof.is_empty())
}

/// Proofs of a turn's calls that came beside them: each goes to the next call that has none itself.
#[derive(Debug, Default)]
pub struct OfCalls<'a>(VecDeque<&'a str>);

impl<'a> OfCalls<'a> {
    /// Takes a proof, without its tag.
    pub fn add(&mut self, proof: &'a str) {
        self.0.push_back(proof);
    }

    /// The proof of the next call, without its tag.
    pub fn next(&mut self, own: Option<&'a str>) -> Option<&'a str> {
        let own = own.and_then(|sealed| open(Maker::Gemini, sealed));
        if own.is_some() {
            // The same once more.
            self.0.retain(|proof| Some(*proof) != own);
        }
        own.or_else(|| self.0.pop_front())
    }
}

/// Whether the proof went out through the gateway.
pub fn is_sealed(proof: &str) -> bool {
    TAGS.iter().any(|(maker, _)| open(*maker, proof).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_maker_gets_a_proof_back() {
        for (maker, _) in TAGS {
            for (other, _) in TAGS {
                let opened = open(other, &seal(maker, "proof")).map(str::to_owned);
                assert_eq!(opened.as_deref(), (maker == other).then_some("proof"));
            }
        }
        assert_eq!(open(Maker::Gemini, "foreign"), None);
        assert!(is_sealed("gt1_x") && !is_sealed("gt1_") && !is_sealed("foreign"));
    }
}
