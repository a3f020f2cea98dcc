//! ModelScope.
//!
//! `GET /api/v1/models/REPO/repo/files?Revision=master&Recursive=true` lists the files with size and SHA-256 inside
//! `Data.Files`; folders have the type `tree`. `GET /api/v1/models/REPO/repo?Revision=…&FilePath=…` gives a file. Source:
//! modelscope 1.39 `hub/api.py` (`get_model_files`), `hub/file_download.py`, `hub/constants.py` (`MODELSCOPE_DOMAIN`).
//! It names no commit for the whole list; the SHA-256 of each file keeps a pull to what was listed.

use http::HeaderMap;
use serde::Deserialize;

use super::hub::{Hub, Listing, Remote, Site, encode, set};
use crate::fetch::Digest;
use crate::host::Host;

pub(super) struct ModelScope;

const ENDPOINT: &str = "https://www.modelscope.cn";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    message: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    #[serde(default)]
    files: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    path: String,
    #[serde(default)]
    size: u64,
    sha256: Option<String>,
    #[serde(default)]
    r#type: String,
}

impl Hub for ModelScope {
    fn title(&self) -> &'static str {
        "ModelScope"
    }

    fn default_revision(&self) -> &'static str {
        "master"
    }

    fn list_url(&self, site: &Site, repo: &str, revision: &str) -> String {
        let (repo, revision) = (encode(repo, true), encode(revision, false));
        format!("{}/api/v1/models/{repo}/repo/files?Revision={revision}&Recursive=true", site.endpoint)
    }

    fn parse(&self, body: &[u8], site: &Site, repo: &str, revision: &str) -> Result<Listing, String> {
        let answer: Answer = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        let data = answer.data.ok_or_else(|| format!("it says {:?}", answer.message))?;
        let base = format!("{}/api/v1/models/{}/repo", site.endpoint, encode(repo, true));
        let at = encode(revision, false);
        let mut files: Vec<Remote> = data
            .files
            .into_iter()
            .filter(|entry| entry.r#type != "tree")
            .map(|entry| Remote {
                url: format!("{base}?Revision={at}&FilePath={}", encode(&entry.path, false)),
                digest: entry.sha256.as_deref().and_then(Digest::sha256),
                size: entry.size,
                path: entry.path,
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Listing { repo: repo.to_owned(), revision: revision.to_owned(), commit: None, files })
    }

    fn is_gated(&self, status: u16, _: &HeaderMap) -> bool {
        matches!(status, 401 | 403)
    }

    fn token_variable(&self) -> &'static str {
        "MODELSCOPE_API_TOKEN"
    }
}

/// `MODELSCOPE_ENDPOINT` (an address) or `MODELSCOPE_DOMAIN` (a host); the token of `MODELSCOPE_API_TOKEN`.
pub(super) fn site(host: &dyn Host) -> Site {
    let endpoint = set(host, "MODELSCOPE_ENDPOINT").or_else(|| {
        let domain = set(host, "MODELSCOPE_DOMAIN")?;
        Some(if domain.contains("://") { domain } else { format!("https://{domain}") })
    });
    let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.to_owned());
    Site {
        endpoint: endpoint.trim_end_matches('/').to_owned(),
        authorization: set(host, "MODELSCOPE_API_TOKEN").map(|token| format!("Bearer {token}")),
    }
}
