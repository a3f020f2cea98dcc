//! What is missing on a command line, in more words than the parser has.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::client::CLIENTS;

/// What to type where something is missing on the command line, for those who do not know it yet.
pub fn next(error: &clap::Error) -> Vec<String> {
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) if error.kind() == ErrorKind::MissingRequiredArgument => names.join(" "),
        _ => return Vec::new(),
    };
    if missing.contains("<CLIENT>") {
        let ids: Vec<&str> = CLIENTS.iter().map(|client| client.id()).collect();
        return vec![format!("clients: {}", ids.join(", ")), "the one most start with: `llmup run claude`".to_owned()];
    }
    if missing.contains("<MODEL>") {
        return vec![
            "to see that everything works, with a tiny scripted model: `llmup start demo`".to_owned(),
            "what would run on this machine: `llmup models --fits`".to_owned(),
        ];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn who_names_no_model_or_no_client_is_told_which_there_are() {
        let hints = |line: &str| next(&Cli::try_parse_from(line.split(' ')).unwrap_err()).join(" ");
        for line in ["llmup start", "llmup plan"] {
            assert!(hints(line).contains("`llmup start demo`") && hints(line).contains("--fits"), "{}", hints(line));
        }
        assert!(hints("llmup run").contains("claude, codex"), "{}", hints("llmup run"));
        assert_eq!(hints("llmup statr"), "");
        assert_eq!(hints("llmup --version"), "");
    }
}
