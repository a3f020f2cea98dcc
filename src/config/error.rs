//! What can be wrong with a configuration.

use crate::error::{Explain, paste};
use crate::exit::Exit;
use crate::fs::FileError;
use crate::host::Os;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Something in it is not what it must be.
    #[error("{place}: {message}")]
    Invalid {
        /// `file:line:column`.
        place: String,
        /// What was expected there, and what was found.
        message: String,
    },
    /// It names a variable that is not set.
    #[error("{place}: {name} stands for the environment variable {variable}, which is not set")]
    NoVariable {
        /// `file:line:column`.
        place: String,
        /// The setting.
        name: String,
        /// The variable.
        variable: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Explain for ConfigError {
    fn exit(&self) -> Exit {
        Exit::Config
    }

    fn hints(&self) -> Vec<String> {
        match self {
            ConfigError::Invalid { place, .. } => {
                // `file:line:column`; on Windows there is a colon in the file, too.
                let file = place.rsplitn(3, ':').nth(2).unwrap_or(place);
                let again = format!("llmup config check {}", paste::word(file, Os::current()));
                vec![format!(
                    "the file has the form of LiteLLM's config.yaml; see all that is wrong with it: `{again}`"
                )]
            }
            ConfigError::NoVariable { variable, .. } => {
                vec![format!(
                    "set it: `export {variable}=…` (PowerShell: `$env:{variable} = \"…\"`), then run this again"
                )]
            }
            ConfigError::File(_) => vec!["name the file: `llmup serve --config litellm_config.yaml`".to_owned()],
        }
    }
}
