//! `pull`: the weights of a model from a hub onto this machine. A hub's list says which files there are ([`hub`]), [`choose`]
//! says which of them make the model, `fetch` moves the bytes, and the [`manifest`], written last, makes the folder a
//! whole model. What is here already, also in Hugging Face's own cache ([`cache`]), is not fetched again.
//! Called by `commands`; what fits this machine is decided there.

pub mod cache;
pub mod choose;
mod error;
mod glob;
pub mod hub;
mod hugging_face;
pub mod manifest;
mod model_scope;
pub mod ollama;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use choose::{Form, Pick};
pub use error::PullError;
pub use hub::{HubId, Listing, Site};
pub use manifest::Manifest;

use self::choose::{Choice, Nothing};
use self::manifest::Held;
use crate::fetch::{self, FetchError, Outcome, Settings, Wanted};
use crate::fs;
use crate::host::Host;
use crate::progress::Progress;

/// Room that must be left on the disk.
const MARGIN: u64 = 512 << 20;
/// No list is longer: one of 100,000 files would be 30 MB.
const LIST_MAX: usize = 64 << 20;
/// How often a list is asked for.
const LIST_TRIES: u32 = 4;

/// What shall be pulled, and where to.
#[derive(Debug, Clone)]
pub struct Order {
    /// What the user typed, for hints.
    pub name: String,
    /// The form of a profile's weights, as `--quantization` takes it: which one suits is another on other machines.
    pub form: Option<String>,
    /// The hub.
    pub hub: HubId,
    /// `ORG/NAME`.
    pub repo: String,
    /// Another revision than the hub's usual one.
    pub revision: Option<String>,
    /// What of it.
    pub pick: Pick,
    /// The folder.
    pub dir: PathBuf,
    /// The folder is the repository's; what is chosen of it goes into one below, named after it.
    pub below: bool,
}

/// Where an order stands before anything is fetched.
#[derive(Debug)]
pub enum Standing {
    /// All of it is here.
    Whole(Manifest),
    /// Some of it has to come.
    Open(Box<Open>),
}

/// What has to come.
#[derive(Debug)]
pub struct Open {
    /// What the folder will be.
    pub manifest: Manifest,
    /// Bytes that are here already.
    pub here: u64,
    /// Bytes free where it goes, when the system says so.
    pub free: Option<u64>,
    dir: PathBuf,
    site: Site,
    wanted: Vec<Wanted>,
    settings: Settings,
}

/// The variable that forbids the network, if one does: `LLMUP_OFFLINE`, `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`.
pub fn offline(host: &dyn Host) -> Option<&'static str> {
    ["LLMUP_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find(|name| hub::is_true(host, name))
}

/// The folder of a model's variant below the folder of all models. Names that come from outside become one name each.
pub fn dir(models: &Path, model: &str, variant: &str) -> PathBuf {
    let tame = |text: &str| {
        let text = text.replace('/', "--");
        let text: String =
            text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
        if text.starts_with('.') || text.is_empty() { format!("_{text}") } else { text }
    };
    models.join(tame(model)).join(tame(variant))
}

/// Finds out what an order needs. Nothing is written, but for the manifest of files another program's cache has.
/// Afterwards the order knows its folder. `reads`: whether the weights at a path can be read, for what nobody lists.
pub async fn prepare(
    order: &mut Order,
    host: &dyn Host,
    settings: &Settings,
    progress: &Progress,
    reads: &(dyn Fn(&Path) -> bool + Sync),
) -> Result<Standing, PullError> {
    let driver = order.hub.driver();
    let revision = order.revision.clone().unwrap_or_else(|| driver.default_revision().to_owned());
    let mut here = whole(order, &revision);
    if let Some(variable) = offline(host) {
        return without_network(order, here, &revision, host, variable, reads);
    }
    let site = order.hub.site(host);
    progress.step(&format!("Asking {} for {}", driver.title(), order.repo));
    let listing = match list(order, &site, &revision, settings).await {
        Ok(listing) => listing,
        // What is whole is whole, also when the hub cannot be asked for something newer.
        Err(error @ PullError::Unreachable { .. }) if here.is_some() && order.pick.include.is_empty() => {
            return here.map(|(manifest, dir)| found(order, manifest, dir)).ok_or(error);
        }
        Err(error) => return Err(error),
    };
    let choice = chosen(&listing, order)?;
    let mut manifest = described(&listing, &choice, order.hub);
    if order.below {
        order.dir = order.dir.join(choice.quantization.as_deref().unwrap_or("default"));
        order.below = false;
        here = whole(order, &revision);
    }
    if let Some((here, dir)) = here
        && here.commit == manifest.commit
        && manifest.files.iter().all(|file| here.files.contains(file))
    {
        return Ok(found(order, here, dir));
    }
    if order.hub == HubId::HuggingFace
        && let Some(snapshot) = cache::whole(host, &listing, &choice)
    {
        manifest.at = Some(snapshot);
        let _lock = lock(&order.dir)?;
        manifest.finish(&order.dir)?;
        return Ok(Standing::Whole(manifest));
    }
    // Without a hash, a file of the right size is the right file only if the same commit was being pulled here.
    let begun = Manifest::read_wanted(&order.dir);
    let same = begun.is_some_and(|m| m.repo == manifest.repo && m.commit == manifest.commit && m.commit.is_some());
    let wanted = wanted(&listing, &choice, &site, &order.dir, same);
    let here: u64 = wanted.iter().map(|file| present(file, settings)).sum();
    let free = fs::free_bytes(&order.dir);
    let open = Open { manifest, here, free, dir: order.dir.clone(), site, wanted, settings: settings.clone() };
    Ok(Standing::Open(Box::new(open)))
}

impl Open {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.manifest.bytes()
    }

    /// Bytes that have to come.
    pub fn to_come(&self) -> u64 {
        self.bytes().saturating_sub(self.here)
    }

    /// Whether there is room.
    pub fn check_room(&self) -> Result<(), PullError> {
        room(&self.manifest.repo, self.to_come(), self.free, &self.dir)
    }

    /// Fetches what is missing and makes the folder whole. After an error, and when the future is dropped, what came so
    /// far stays for the next call.
    pub async fn fetch(self, progress: &Progress) -> Result<(Manifest, Outcome), PullError> {
        let _lock = lock(&self.dir)?;
        self.check_room()?;
        self.manifest.begin(&self.dir)?;
        let client = fetch::client(&self.site.endpoint, self.settings.silence)?;
        let what = self.manifest.repo.rsplit('/').next().unwrap_or(&self.manifest.repo);
        progress.step(&format!("Pulling {what}"));
        let outcome = fetch::download(&client, self.wanted, &self.settings, progress).await;
        let outcome = outcome.map_err(|error| match error {
            FetchError::Denied { status, .. } => gated(self.manifest.hub, &self.manifest.repo, &self.site, status),
            other => other.into(),
        })?;
        self.manifest.finish(&self.dir)?;
        Ok((self.manifest, outcome))
    }
}

fn room(repo: &str, to_come: u64, free: Option<u64>, path: &Path) -> Result<(), PullError> {
    let need = if to_come == 0 { 0 } else { to_come.saturating_add(MARGIN) };
    match free {
        Some(free) if free < need => Err(PullError::Space { repo: repo.to_owned(), need, free, path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// One pull of a folder at a time; the lock ends with the file, also when the process is killed.
fn lock(dir: &Path) -> Result<std::fs::File, PullError> {
    fs::try_lock(&dir.join(".llmup-pull.lock"))?.ok_or_else(|| PullError::Busy { dir: dir.to_owned() })
}

/// What is whole of an order, and where.
fn whole(order: &Order, revision: &str) -> Option<(Manifest, PathBuf)> {
    let fits = |manifest: &Manifest| {
        manifest.repo.eq_ignore_ascii_case(&order.repo) && manifest.hub == order.hub && manifest.revision == revision
    };
    let mut dirs = vec![order.dir.clone()];
    if order.below {
        dirs.extend(std::fs::read_dir(&order.dir).into_iter().flatten().flatten().map(|entry| entry.path()));
        dirs.sort();
    }
    dirs.into_iter().find_map(|dir| Some((Manifest::read(&dir).filter(fits)?, dir)))
}

fn found(order: &mut Order, manifest: Manifest, dir: PathBuf) -> Standing {
    order.dir = dir;
    order.below = false;
    Standing::Whole(manifest)
}

fn without_network(
    order: &mut Order,
    here: Option<(Manifest, PathBuf)>,
    revision: &str,
    host: &dyn Host,
    variable: &str,
    reads: &(dyn Fn(&Path) -> bool + Sync),
) -> Result<Standing, PullError> {
    if let Some((manifest, dir)) = here {
        return Ok(found(order, manifest, dir));
    }
    if order.hub == HubId::HuggingFace
        && let Some(manifest) = cache::offline(host, &order.repo, revision, &order.pick)
        && reads(&manifest.weights(&order.dir))
    {
        return Ok(Standing::Whole(manifest));
    }
    let wanted = Manifest::read_wanted(&order.dir).filter(|m| m.repo.eq_ignore_ascii_case(&order.repo));
    let missing = wanted.map(|m| m.missing(&order.dir).into_iter().map(|held| held.path.clone()).collect());
    Err(PullError::Offline {
        hub: order.hub,
        repo: order.repo.clone(),
        name: order.name.clone(),
        form: order.form.clone(),
        missing: missing.unwrap_or_default(),
        dir: order.dir.clone(),
        variable: variable.to_owned(),
    })
}

/// Asks a hub for the files of a repository.
async fn list(order: &Order, site: &Site, revision: &str, settings: &Settings) -> Result<Listing, PullError> {
    let driver = order.hub.driver();
    let url = driver.list_url(site, &order.repo, revision);
    let client = fetch::client(&site.endpoint, settings.silence)?;
    let mut tries = 0;
    loop {
        tries += 1;
        let (reason, asked) = match ask(&client, site, &url).await {
            Ok(Answer { status: 200, body, .. }) => {
                let listing = driver.parse(&body, site, &order.repo, revision);
                return listing.map_err(|reason| PullError::List { hub: order.hub, repo: order.repo.clone(), reason });
            }
            Ok(Answer { status: 429 | 500..600, wait, status_text, .. }) => (status_text, wait),
            Ok(Answer { status: status @ (401 | 403 | 404), headers, .. }) => {
                return Err(if driver.is_gated(status, &headers) {
                    gated(order.hub, &order.repo, site, status)
                } else {
                    let revision = revision.to_owned();
                    PullError::Unknown { hub: order.hub, repo: order.repo.clone(), revision }
                });
            }
            Ok(Answer { status_text, .. }) => {
                return Err(PullError::List { hub: order.hub, repo: order.repo.clone(), reason: status_text });
            }
            Err(reason) => (reason, None),
        };
        if tries >= LIST_TRIES {
            return Err(PullError::Unreachable { hub: order.hub, repo: order.repo.clone(), reason });
        }
        let pause = asked.unwrap_or(settings.pause.saturating_mul(1 << tries)).min(settings.longest_pause);
        tokio::time::sleep(pause).await;
    }
}

struct Answer {
    status: u16,
    status_text: String,
    headers: http::HeaderMap,
    wait: Option<Duration>,
    body: Vec<u8>,
}

async fn ask(client: &reqwest::Client, site: &Site, url: &str) -> Result<Answer, String> {
    let mut request = client.get(url);
    if let Some(value) = &site.authorization {
        request = request.header(http::header::AUTHORIZATION, value);
    }
    let mut answer = request.send().await.map_err(|e| fetch::chain(&e))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = Vec::new();
    while let Some(bytes) = answer.chunk().await.map_err(|e| fetch::chain(&e))? {
        body.extend_from_slice(&bytes);
        if body.len() > LIST_MAX {
            return Err("its list does not end".to_owned());
        }
    }
    let wait = fetch::retry_after(&headers);
    Ok(Answer { status: status.as_u16(), status_text: format!("it answered {status}"), headers, wait, body })
}

fn gated(hub: HubId, repo: &str, site: &Site, status: u16) -> PullError {
    let page = match hub {
        HubId::HuggingFace => format!("{}/{repo}", site.endpoint),
        HubId::ModelScope => format!("{}/models/{repo}", site.endpoint),
    };
    PullError::Gated { hub, repo: repo.to_owned(), page, status, token: site.authorization.is_some() }
}

fn chosen(listing: &Listing, order: &Order) -> Result<Choice, PullError> {
    let paths: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
    let nothing = |what: String, has: Vec<String>| PullError::Nothing { repo: listing.repo.clone(), what, has };
    let choice = choose::choose(&paths, &order.pick).map_err(|none| match none {
        Nothing::NoWeights => nothing("safetensors and no GGUF".to_owned(), Vec::new()),
        Nothing::NoQuantization(has) => {
            nothing(format!("GGUF of {}", order.pick.quantization.clone().unwrap_or_default()), has)
        }
        Nothing::NoMatch => nothing(format!("file like {}", order.pick.include.join(" or ")), Vec::new()),
    })?;
    match choice.paths.iter().find(|path| !hub::is_safe(path)) {
        Some(path) => {
            let reason = format!("the file name {path:?} is not one this program writes");
            Err(PullError::List { hub: order.hub, repo: listing.repo.clone(), reason })
        }
        None => Ok(choice),
    }
}

fn described(listing: &Listing, choice: &Choice, hub: HubId) -> Manifest {
    let held = |file: &hub::Remote| Held {
        path: file.path.clone(),
        size: file.size,
        digest: file.digest.as_ref().map(|digest| digest.hex().to_owned()),
    };
    Manifest {
        version: Manifest::VERSION,
        hub,
        repo: listing.repo.clone(),
        revision: listing.revision.clone(),
        commit: listing.commit.clone(),
        form: choice.form,
        quantization: choice.quantization.clone(),
        at: None,
        files: listing.files.iter().filter(|file| choice.paths.contains(&file.path)).map(held).collect(),
    }
}

fn wanted(listing: &Listing, choice: &Choice, site: &Site, dir: &Path, size_tells: bool) -> Vec<Wanted> {
    let commit = listing.commit.as_deref().unwrap_or(&listing.revision);
    let chosen = listing.files.iter().filter(|file| choice.paths.contains(&file.path));
    let mut wanted: Vec<Wanted> = chosen
        .map(|file| Wanted {
            url: file.url.clone(),
            name: file.path.clone(),
            target: file.path.split('/').fold(dir.to_owned(), |at, name| at.join(name)),
            size: Some(file.size),
            digest: file.digest.clone(),
            size_tells,
            // A digest is all that tells editions apart: the same file of two commits need not come twice.
            edition: if file.digest.is_some() { String::new() } else { format!("{} {commit}", listing.repo) },
            authorization: site.authorization.clone(),
        })
        .collect();
    // Small files first: a repository that cannot be used shows it before the large ones are here.
    wanted.sort_by_key(|file| file.size);
    wanted
}

/// Bytes of a file that need not come: all of it, or its part.
fn present(file: &Wanted, settings: &Settings) -> u64 {
    match std::fs::metadata(&file.target) {
        Ok(found)
            if found.is_file() && Some(found.len()) == file.size && (file.size_tells || file.digest.is_some()) =>
        {
            found.len()
        }
        _ => fetch::kept(file, settings),
    }
}
