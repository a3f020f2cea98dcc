//! Opaque proofs of reasoning (Anthropic's signature, Gemini's thought signature, Responses' encrypted content,
//! OpenRouter's details) travel through callers of any protocol. Each carries the tag of the outbound it came from, so
//! that only that one gets it back: a foreign proof makes a provider refuse the whole request.

/// Whose proof it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Anthropic Messages: `signature`.
    Anthropic,
    /// Anthropic Messages: `redacted_thinking`.
    AnthropicRedacted,
    /// Gemini: `thoughtSignature`.
    Gemini,
    /// OpenAI Responses: `encrypted_content`.
    Responses,
    /// OpenRouter: `reasoning_details`, JSON text.
    Details,
    /// Nobody's: the reasoning itself, for callers that show none of it and send only the proof back.
    Text,
}

const TAGS: [(Maker, &str); 6] = [
    (Maker::Anthropic, "am1_"),
    (Maker::AnthropicRedacted, "ar1_"),
    (Maker::Gemini, "gm1_"),
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
    }
}
