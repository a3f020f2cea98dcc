//! Hugging Face and its mirrors.
//!
//! `GET /api/models/REPO/revision/REVISION?blobs=true` lists the files with sizes and, for LFS files, their SHA-256, all
//! on one page, together with the commit (`sha`); small files have git's blob id. `GET /REPO/resolve/COMMIT/FILE` redirects
//! to a CDN on another host, which must not see the token. Source: Hub API endpoints,
//! <https://huggingface.co/docs/hub/api>; huggingface_hub `hf_api.py` (`model_info`, `files_metadata`), `constants.py`
//! (variables), `utils/_http.py` (`X-Error-Code`: GatedRepo, RepoNotFound; a missing repository is 401 to strangers).

use http::HeaderMap;
use serde::Deserialize;

use super::hub::{Hub, Listing, Remote, Site, encode, set};
use crate::fetch::Digest;
use crate::host::Host;

pub(super) struct HuggingFace;

const ENDPOINT: &str = "https://huggingface.co";

#[derive(Deserialize)]
struct Info {
    id: Option<String>,
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    /// The list of one revision calls it so; the file tree calls the same thing `oid`.
    #[serde(alias = "oid")]
    sha256: Option<String>,
    size: Option<u64>,
}

impl Hub for HuggingFace {
    fn title(&self) -> &'static str {
        "Hugging Face"
    }

    fn default_revision(&self) -> &'static str {
        "main"
    }

    fn list_url(&self, site: &Site, repo: &str, revision: &str) -> String {
        let (repo, revision) = (encode(repo, true), encode(revision, false));
        format!("{}/api/models/{repo}/revision/{revision}?blobs=true", site.endpoint)
    }

    fn parse(&self, body: &[u8], site: &Site, repo: &str, revision: &str) -> Result<Listing, String> {
        let info: Info = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        let commit = info.sha.filter(|sha| sha.len() == 40 && sha.bytes().all(|b| b.is_ascii_hexdigit()));
        let at = commit.clone().unwrap_or_else(|| encode(revision, false));
        let mut files = Vec::with_capacity(info.siblings.len());
        for sibling in info.siblings {
            let lfs = sibling.lfs.as_ref();
            // Some mirrors leave sizes out; without one a file cannot be told from its beginning.
            let size = lfs.and_then(|lfs| lfs.size).or(sibling.size);
            let size = size.ok_or_else(|| format!("it names no size for {}", sibling.rfilename))?;
            let digest = lfs.and_then(|lfs| Digest::sha256(lfs.sha256.as_deref()?));
            // A pointer's blob id is not that of the file it points to.
            let digest = match lfs {
                Some(_) => digest,
                None => sibling.blob_id.as_deref().and_then(Digest::git_blob),
            };
            let url =
                format!("{}/{}/resolve/{at}/{}", site.endpoint, encode(repo, true), encode(&sibling.rfilename, true));
            files.push(Remote { path: sibling.rfilename, size, digest, url });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let repo = info.id.filter(|id| id.eq_ignore_ascii_case(repo)).unwrap_or_else(|| repo.to_owned());
        Ok(Listing { repo, revision: revision.to_owned(), commit, files })
    }

    fn is_gated(&self, status: u16, headers: &HeaderMap) -> bool {
        let code = headers.get("x-error-code").and_then(|v| v.to_str().ok()).unwrap_or_default();
        match code {
            "GatedRepo" => true,
            "RepoNotFound" | "RevisionNotFound" | "EntryNotFound" => false,
            _ => matches!(status, 401 | 403),
        }
    }

    fn token_variable(&self) -> &'static str {
        "HF_TOKEN"
    }
}

/// `HF_ENDPOINT`; the token of `HF_TOKEN` or of the file `hf auth login` writes.
pub(super) fn site(host: &dyn Host) -> Site {
    let endpoint = set(host, "HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    let token = set(host, "HF_TOKEN").or_else(|| set(host, "HUGGING_FACE_HUB_TOKEN")).or_else(|| {
        let path =
            set(host, "HF_TOKEN_PATH").map(Into::into).or_else(|| Some(super::cache::home(host)?.join("token")))?;
        let text = String::from_utf8(host.read(&path).ok()?).ok()?;
        Some(text.trim().to_owned()).filter(|token| !token.is_empty())
    });
    Site {
        endpoint: endpoint.trim_end_matches('/').to_owned(),
        authorization: token.map(|token| format!("Bearer {token}")),
    }
}
