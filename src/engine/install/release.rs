//! Downloading a release archive: the list of a release's assets gives address, size and SHA-256; a download that
//! breaks off continues where it stopped, also in the next run; nothing is unpacked before its hash fits.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::archive;
use super::error::InstallError;
use super::facts::Release;
use super::manifest::Manifest;
use crate::fs::{self, FileError};
use crate::host::{Host, Os};
use crate::progress::Progress;

/// How often a download may break off without having moved.
const TRIES: u32 = 4;
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);

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
    // Another part of the program may have chosen the provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(e.to_string()))?;
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .user_agent(concat!("llmup/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(SILENCE)
            .build()
            .map_err(|e| failed(chain(&e)))?;
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
        let want = asset
            .digest
            .as_deref()
            .and_then(|d| d.strip_prefix("sha256:"))
            .ok_or_else(|| lacks(format!("SHA-256 for {}", asset.name)))?
            .to_ascii_lowercase();
        // The name comes from a server; only its last part may become a file.
        if asset.name.contains(['/', '\\']) {
            return Err(lacks(format!("archive {name}")));
        }
        let done = dir.join(&asset.name);
        let part = dir.join(format!("{}.part", asset.name));
        let resumed = part.is_file();
        progress.step(&format!("Downloading {}", asset.name));
        download(&client, asset, &part, progress).await?;
        let mut got = sha256(&part)?;
        if got != want && resumed {
            // What an earlier run left may have been of another file: once more from the start.
            remove(&part)?;
            download(&client, asset, &part, progress).await?;
            got = sha256(&part)?;
        }
        if got != want {
            remove(&part)?;
            return Err(InstallError::Hash { file: asset.name.clone(), got, want });
        }
        std::fs::rename(&part, &done).map_err(|e| FileError::new("rename", &part, e))?;
        Ok(done)
    })
}

/// Fetches an asset into `part`, from where `part` ends, again and again while it moves.
async fn download(
    client: &reqwest::Client,
    asset: &Listed,
    part: &Path,
    progress: &Progress,
) -> Result<(), InstallError> {
    let mut left = TRIES;
    loop {
        let before = length(part);
        match attempt(client, asset, part, before, progress).await {
            Ok(()) if asset.size == 0 || length(part) >= asset.size => return Ok(()),
            Err(Trouble::Ours(error)) => return Err(error.into()),
            Err(Trouble::Refused(reason)) => {
                return Err(InstallError::Download { url: asset.browser_download_url.clone(), reason });
            }
            outcome => {
                left = if length(part) > before { TRIES } else { left - 1 };
                if left == 0 {
                    let reason = match outcome {
                        Err(Trouble::Broken(reason)) => reason,
                        _ => format!("it ends after {} of {} bytes", length(part), asset.size),
                    };
                    return Err(InstallError::Download { url: asset.browser_download_url.clone(), reason });
                }
                tokio::time::sleep(Duration::from_millis(500 * u64::from(TRIES - left))).await;
            }
        }
    }
}

/// Why one attempt ended.
enum Trouble {
    /// The connection; another attempt may help.
    Broken(String),
    /// The server's no.
    Refused(String),
    /// Our own disk.
    Ours(FileError),
}

async fn attempt(
    client: &reqwest::Client,
    asset: &Listed,
    part: &Path,
    from: u64,
    progress: &Progress,
) -> Result<(), Trouble> {
    let broken = |e: reqwest::Error| Trouble::Broken(chain(&e));
    let mut request = client.get(&asset.browser_download_url);
    if from > 0 {
        request = request.header(http::header::RANGE, format!("bytes={from}-"));
    }
    let mut answer = request.send().await.map_err(broken)?;
    let status = answer.status();
    if status == reqwest::StatusCode::RANGE_NOT_SATISFIABLE {
        // Nothing is left to fetch; the hash tells whether that is right.
        return Ok(());
    }
    if status.is_server_error() || status == reqwest::StatusCode::TOO_MANY_REQUESTS {
        return Err(Trouble::Broken(format!("the server answered {status}")));
    }
    if !status.is_success() {
        return Err(Trouble::Refused(format!("the server answered {status}")));
    }
    // A server that knows no ranges sends everything again.
    let continued = status == reqwest::StatusCode::PARTIAL_CONTENT;
    let ours = |e| Trouble::Ours(FileError::new("write", part, e));
    let mut file =
        File::options().create(true).write(true).append(continued).truncate(!continued).open(part).map_err(ours)?;
    let mut done = if continued { from } else { 0 };
    while let Some(bytes) = answer.chunk().await.map_err(broken)? {
        file.write_all(&bytes).map_err(ours)?;
        done += bytes.len() as u64;
        if asset.size > 0 {
            progress.bytes(done, asset.size);
        }
    }
    Ok(())
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}

fn remove(path: &Path) -> Result<(), FileError> {
    std::fs::remove_file(path).map_err(|e| FileError::new("remove", path, e))
}

/// The SHA-256 of a file, in small hexadecimal digits.
fn sha256(path: &Path) -> Result<String, FileError> {
    let failed = |e| FileError::new("read", path, e);
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => break,
            n => hash.update(&piece[..n]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An error with its causes: reqwest's own text says only that it failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
