//! What the files that `llmup run` gives a client are called.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Session;

/// The file for sessions on that gateway and model. Clients read such a file again when it changes, so two sessions that
/// run at once must not share one unless they mean the same.
pub(super) fn path(own: &Path, gateway: &Session, extension: &str) -> PathBuf {
    path_of(own, gateway, "", extension)
}

/// The same where something of the user's goes into the file: what they said of it.
pub(super) fn path_of(own: &Path, gateway: &Session, theirs: &str, extension: &str) -> PathBuf {
    let Session { base_url, model, context, max_output, .. } = gateway;
    let said = format!("{base_url}\n{model}\n{}\n{context}\n{max_output}{theirs}", gateway.small());
    let digest = Sha256::digest(said.as_bytes());
    let name: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    own.join(format!("run-{name}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::gateway;

    #[test]
    fn sessions_that_differ_have_files_of_their_own_and_a_new_key_does_not() {
        let own = Path::new("/own");
        let one = path(own, &gateway(65_536), "json");
        assert!(one.starts_with(own) && one.extension().is_some_and(|end| end == "json"), "{}", one.display());
        assert_ne!(one, path(own, &gateway(32_768), "json"));
        assert_ne!(one, path(own, &Session { small: Some("tiny".into()), ..gateway(65_536) }, "json"));
        assert_eq!(one, path(own, &Session { key: "sk-other".into(), ..gateway(65_536) }, "json"));
    }
}
