//! Hugging Face's own cache, where other programs may have left the same weights: `hub/models--ORG--NAME/` with
//! `refs/REVISION` (a commit) and `snapshots/COMMIT/` (links to blobs). It is read, never written. Source: huggingface_hub,
//! "Understand caching", and its `constants.py` for the variables.

use std::path::{Path, PathBuf};

use super::choose::{Choice, Pick, choose};
use super::hub::{HubId, Listing, set};
use super::manifest::{Held, Manifest};
use crate::host::Host;

/// `HF_HOME`, else `~/.cache/huggingface`.
pub(super) fn home(host: &dyn Host) -> Option<PathBuf> {
    if let Some(home) = set(host, "HF_HOME") {
        return Some(home.into());
    }
    let cache = set(host, "XDG_CACHE_HOME").map(PathBuf::from);
    let user = || set(host, "HOME").or_else(|| set(host, "USERPROFILE"));
    Some(cache.or_else(|| Some(PathBuf::from(user()?).join(".cache")))?.join("huggingface"))
}

fn hub_dir(host: &dyn Host) -> Option<PathBuf> {
    let named = set(host, "HF_HUB_CACHE").or_else(|| set(host, "HUGGINGFACE_HUB_CACHE"));
    named.map(PathBuf::from).or_else(|| Some(home(host)?.join("hub")))
}

fn repo_dir(host: &dyn Host, repo: &str) -> Option<PathBuf> {
    Some(hub_dir(host)?.join(format!("models--{}", repo.replace('/', "--"))))
}

/// The snapshot of a listed commit, when every chosen file is in it with its size.
pub fn whole(host: &dyn Host, listing: &Listing, choice: &Choice) -> Option<PathBuf> {
    let commit = listing.commit.as_deref()?;
    let dir = repo_dir(host, &listing.repo)?.join("snapshots").join(commit);
    let all = choice.paths.iter().all(|path| {
        let size = listing.files.iter().find(|file| file.path == *path).map(|file| file.size);
        size.is_some() && std::fs::metadata(dir.join(path)).ok().map(|m| m.len()) == size
    });
    (all && !choice.paths.is_empty()).then_some(dir)
}

/// A snapshot that seems to hold the picked files, found without the network. Nobody said which files there should be:
/// the caller must read the headers, which tell missing parts and files cut short.
pub fn offline(host: &dyn Host, repo: &str, revision: &str, pick: &Pick) -> Option<Manifest> {
    let dir = repo_dir(host, repo)?;
    let commit = std::fs::read_to_string(dir.join("refs").join(revision)).ok()?.trim().to_owned();
    if commit.is_empty() || !commit.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let snapshot = dir.join("snapshots").join(&commit);
    let mut files = Vec::new();
    walk(&snapshot, "", &mut files, 0);
    let paths: Vec<&str> = files.iter().map(|held| held.path.as_str()).collect();
    let choice = choose(&paths, pick).ok()?;
    files.retain(|held| choice.paths.contains(&held.path));
    Some(Manifest {
        version: Manifest::VERSION,
        hub: HubId::HuggingFace,
        repo: repo.to_owned(),
        revision: revision.to_owned(),
        commit: Some(commit),
        form: choice.form,
        quantization: choice.quantization,
        at: Some(snapshot),
        files,
    })
}

fn walk(dir: &Path, prefix: &str, files: &mut Vec<Held>, depth: usize) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        // Files are links to blobs: what they point to counts.
        let Ok(meta) = std::fs::metadata(entry.path()) else { continue };
        if meta.is_dir() && depth < 4 {
            walk(&entry.path(), &path, files, depth + 1);
        } else if meta.is_file() {
            files.push(Held { path, size: meta.len(), digest: None });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
}
