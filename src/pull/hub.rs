//! A hub: a site that keeps repositories of weights. What one says is turned into a [`Listing`] here or in its own
//! file; asking is done in [`super::list`].

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{hugging_face, model_scope};
use crate::fetch::Digest;
use crate::host::Host;

/// The hubs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HubId {
    /// huggingface.co or a mirror of it.
    HuggingFace,
    /// modelscope.cn.
    ModelScope,
}

/// How to speak to one kind of hub. No IO: addresses out, answers in.
pub trait Hub: Sync {
    /// Its name for humans.
    fn title(&self) -> &'static str;
    /// The revision that is meant when none is named.
    fn default_revision(&self) -> &'static str;
    /// What lists a repository's files.
    fn list_url(&self, site: &Site, repo: &str, revision: &str) -> String;
    /// Reads that list.
    fn parse(&self, body: &[u8], site: &Site, repo: &str, revision: &str) -> Result<Listing, String>;
    /// Whether a refusal (401, 403, 404) is about leave to read rather than about a name nobody knows.
    fn is_gated(&self, status: u16, headers: &HeaderMap) -> bool;
    /// The variable that holds the user's token.
    fn token_variable(&self) -> &'static str;
}

impl HubId {
    /// How to speak to it.
    pub fn driver(self) -> &'static dyn Hub {
        match self {
            HubId::HuggingFace => &hugging_face::HuggingFace,
            HubId::ModelScope => &model_scope::ModelScope,
        }
    }

    /// Where it is, and who is asking, from the environment.
    pub fn site(self, host: &dyn Host) -> Site {
        match self {
            HubId::HuggingFace => hugging_face::site(host),
            HubId::ModelScope => model_scope::site(host),
        }
    }
}

/// Where a hub is and who is asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// `https://host`, without a slash at its end.
    pub endpoint: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

/// The files of a repository at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The repository as the hub spells it.
    pub repo: String,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit it stands for, when the hub says it. All files come from this one.
    pub commit: Option<String>,
    /// The files, sorted by path.
    pub files: Vec<Remote>,
}

/// One file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its path in the repository, with `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// What it hashes to, when the hub says so.
    pub digest: Option<Digest>,
    /// Where its bytes are.
    pub url: String,
}

/// A variable that is set to something.
pub(super) fn set(host: &dyn Host, name: &str) -> Option<String> {
    host.env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// Whether a variable says yes, in the words huggingface_hub knows (its `constants.py`).
pub(super) fn is_true(host: &dyn Host, name: &str) -> bool {
    set(host, name).is_some_and(|value| matches!(value.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}

/// Percent-encodes what may not stand in a path or a query; `slash`: `/` stays.
pub(super) fn encode(text: &str, slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if slash => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Whether a path from a server may become a path of ours: relative, downwards, without characters some systems give
/// a meaning, and not one of our own files.
pub(super) fn is_safe(path: &str) -> bool {
    !path.is_empty()
        && path.len() < 1024
        && path.split('/').all(|name| {
            !name.is_empty()
                && name != "."
                && name != ".."
                && !name.starts_with("llmup-pull")
                && !name.contains(['\\', ':', '*', '?', '"', '<', '>', '|'])
                && !name.chars().any(char::is_control)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_server_stay_below_the_folder() {
        for good in ["model.gguf", "a/b/model-00001-of-00002.safetensors", ".gitattributes", "ü.txt"] {
            assert!(is_safe(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "C:\\x", "a\\b", "x\0y", "llmup-pull.json", "./x"] {
            assert!(!is_safe(bad), "{bad}");
        }
    }

    #[test]
    fn only_what_must_be_is_encoded() {
        assert_eq!(encode("a b/ü#.json", true), "a%20b/%C3%BC%23.json");
        assert_eq!(encode("refs/pr/1", false), "refs%2Fpr%2F1");
    }
}
