//! Downloading a release archive: the list of a release's assets gives address, size and SHA-256; `fetch` does the
//! rest, so a download that breaks off continues where it stopped, also in the next run, and nothing is unpacked
//! before its hash fits.

use std::path::Path;

use serde::Deserialize;

use super::archive;
use super::error::InstallError;
use super::facts::Release;
use super::manifest::Manifest;
use crate::fetch::{self, Digest, FetchError, Settings, Wanted, chain};
use crate::fs::{self, FileError};
use crate::host::{Host, Os};
use crate::progress::Progress;

#[derive(Debug, Deserialize)]
struct Listing {
    assets: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    size: u64,
    digest: Option<String>,
    browser_download_url: String,
}

/// Installs the archive called `name` (without its ending) into `dir`; the manifest is the caller's to write.
/// `LLMUP_RELEASE_URL` replaces the address of the release list, for mirrors.
pub fn install(
    release: &Release,
    build: &str,
    name: &str,
    host: &dyn Host,
    dir: &Path,
    progress: &Progress,
) -> Result<Manifest, InstallError> {
    let base = host.env("LLMUP_RELEASE_URL").filter(|url| !url.is_empty()).unwrap_or_else(|| release.url.clone());
    // A thread of its own: the caller may or may not be inside an async runtime.
    let archive = std::thread::scope(|scope| {
        let fetching = scope.spawn(|| fetch(&base, release, name, dir, progress));
        fetching.join().unwrap_or_else(|_| {
            Err(InstallError::Download { url: base.clone(), reason: "the download crashed".to_owned() })
        })
    })?;
    progress.step(&format!("Unpacking {name}"));
    let unpacked = dir.join("unpacked");
    if unpacked.exists() {
        std::fs::remove_dir_all(&unpacked).map_err(|e| FileError::new("remove", &unpacked, e))?;
    }
    fs::create_dir(&unpacked)?;
    archive::unpack(&archive, &unpacked)?;
    let program = if host.os() == Os::Windows { format!("{}.exe", release.program) } else { release.program.clone() };
    let found = archive::program_in(&unpacked, &program).ok_or_else(|| InstallError::Archive {
        file: name.to_owned(),
        reason: format!("there is no {program} inside"),
    })?;
    let _ = std::fs::remove_file(&archive);
    let relative = found.strip_prefix(dir).unwrap_or(&found);
    let names: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    Ok(Manifest {
        engine: release.engine,
        version: release.tag.clone(),
        build: build.to_owned(),
        program: names.join("/"),
        prefix_args: Vec::new(),
    })
}

fn fetch(
    base: &str,
    release: &Release,
    name: &str,
    dir: &Path,
    progress: &Progress,
) -> Result<std::path::PathBuf, InstallError> {
    let url = format!("{}/releases/tags/{}", base.trim_end_matches('/'), release.tag);
    let failed = |reason: String| InstallError::Download { url: url.clone(), reason };
    let settings = Settings::default();
    let client = fetch::client(base, settings.silence).map_err(|e| failed(e.to_string()))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(e.to_string()))?;
    runtime.block_on(async {
        progress.step(&format!("Asking for llama.cpp {}", release.tag));
        let answer = client.get(&url).send().await.map_err(|e| failed(chain(&e)))?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Err(InstallError::Release { tag: release.tag.clone(), what: "entry on the server".to_owned() });
        }
        let answer = answer.error_for_status().map_err(|e| failed(chain(&e)))?;
        let body = answer.bytes().await.map_err(|e| failed(chain(&e)))?;
        let listing: Listing = serde_json::from_slice(&body).map_err(|e| failed(e.to_string()))?;
        let lacks = |what: String| InstallError::Release { tag: release.tag.clone(), what };
        let asset = listing
            .assets
            .iter()
            .find(|a| a.name.strip_prefix(name).is_some_and(|end| end == ".tar.gz" || end == ".zip"))
            .ok_or_else(|| lacks(format!("archive {name}")))?;
        let digest = asset
            .digest
            .as_deref()
            .and_then(Digest::sha256)
            .ok_or_else(|| lacks(format!("SHA-256 for {}", asset.name)))?;
        // The name comes from a server; only its last part may become a file.
        if asset.name.contains(['/', '\\']) {
            return Err(lacks(format!("archive {name}")));
        }
        let done = dir.join(&asset.name);
        progress.step(&format!("Downloading {}", asset.name));
        let wanted = Wanted {
            url: asset.browser_download_url.clone(),
            name: asset.name.clone(),
            target: done.clone(),
            size: (asset.size > 0).then_some(asset.size),
            digest: Some(digest),
            size_tells: false,
            edition: release.tag.clone(),
            authorization: None,
        };
        fetch::download(&client, vec![wanted], &settings, progress).await.map_err(as_install)?;
        Ok(done)
    })
}

fn as_install(error: FetchError) -> InstallError {
    match error {
        FetchError::Hash { name, got, want, .. } => InstallError::Hash { file: name, got, want },
        FetchError::File(error) => InstallError::File(error),
        FetchError::Download { url, reason, .. } => InstallError::Download { url, reason },
        FetchError::Denied { url, status, .. } => {
            InstallError::Download { url, reason: format!("the server answered {status}") }
        }
        FetchError::Changed { name, reason } => InstallError::Download { url: name, reason },
    }
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
