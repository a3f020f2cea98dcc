//! Many files at once: segments are handed out to a few connections, whole files are checked and get their names.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::hash::digest_of;
use super::journal::{Journal, throw_away};
use super::segment::{self, End, Job};
use super::{FetchError, Settings, Wanted};
use crate::fs::{self, FileError};
use crate::progress::Progress;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(200);

/// What a download did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes that came over the network.
    pub fetched: u64,
    /// Bytes that were here already, whole files and parts.
    pub found: u64,
}

/// A file among others.
struct File {
    wanted: Arc<Wanted>,
    journal: Option<Arc<Journal>>,
    /// Segments that are not whole yet, running ones included.
    open: usize,
    running: Vec<tokio::task::AbortHandle>,
    /// To begin anew, in one piece when `true`, once nothing of it runs any more.
    again: Option<bool>,
    /// The bytes it began with came from an earlier run.
    resumed: bool,
    /// It was begun anew because of its digest.
    repeated: bool,
    /// Its bytes that are here.
    here: Arc<AtomicU64>,
}

enum Done {
    Segment(usize, Result<End, FetchError>),
    /// `None`: as published; else what it hashed to.
    Checked(usize, Result<Option<String>, FetchError>),
}

struct Transfer<'a> {
    client: reqwest::Client,
    settings: Arc<Settings>,
    /// Bytes that came over the network.
    fetched: Arc<AtomicU64>,
    /// Bytes of files that were whole already.
    whole: u64,
    files: Vec<File>,
    queue: VecDeque<(usize, usize)>,
    running: usize,
    checking: usize,
    set: JoinSet<Done>,
    progress: &'a Progress,
    total: u64,
}

/// Downloads files until all are whole under their own names, or one cannot be. What is here already is not fetched
/// again: files of the right size and digest, and parts of the same edition. After an error, and when the future is
/// dropped, what came so far stays for the next call.
pub async fn download(
    client: &reqwest::Client,
    files: Vec<Wanted>,
    settings: &Settings,
    progress: &Progress,
) -> Result<Outcome, FetchError> {
    let mut transfer = Transfer {
        client: client.clone(),
        settings: Arc::new(settings.clone()),
        fetched: Arc::default(),
        whole: 0,
        total: files.iter().filter_map(|f| f.size).sum(),
        files: Vec::with_capacity(files.len()),
        queue: VecDeque::new(),
        running: 0,
        checking: 0,
        set: JoinSet::new(),
        progress,
    };
    for wanted in files {
        transfer.add(wanted).await?;
    }
    let found = transfer.here();
    let outcome = transfer.run().await;
    // Nothing may write after the caller has given up its lock.
    transfer.set.shutdown().await;
    outcome?;
    Ok(Outcome { fetched: transfer.fetched.load(Ordering::Relaxed), found })
}

impl Transfer<'_> {
    async fn add(&mut self, wanted: Wanted) -> Result<(), FetchError> {
        if self.is_here(&wanted).await? {
            throw_away(&wanted.target)?;
            self.whole += wanted.size.unwrap_or(0);
            return Ok(());
        }
        if wanted.size == Some(0) {
            throw_away(&wanted.target)?;
            fs::write_private(&wanted.target, b"")?;
            return Ok(());
        }
        let journal = Journal::open(&wanted, &self.settings)?;
        let index = self.files.len();
        let resumed = journal.pieces.iter().any(|piece| piece.done > 0);
        self.files.push(File {
            wanted: Arc::new(wanted),
            journal: None,
            open: 0,
            running: Vec::new(),
            again: None,
            resumed,
            repeated: false,
            here: Arc::default(),
        });
        self.begin(index, journal);
        Ok(())
    }

    /// Whether a file is here, whole. A file of the right size is hashed: somebody may have put it there by hand.
    async fn is_here(&self, wanted: &Wanted) -> Result<bool, FetchError> {
        let Ok(found) = std::fs::metadata(&wanted.target) else { return Ok(false) };
        if !found.is_file() || wanted.size != Some(found.len()) {
            return Ok(false);
        }
        let Some(digest) = wanted.digest.clone() else { return Ok(wanted.size_tells) };
        self.progress.detail(&format!("Checking {}", wanted.name));
        let target = wanted.target.clone();
        // Hashing tens of gigabytes must not keep Ctrl-C waiting.
        let same = tokio::task::spawn_blocking(move || digest_of(&target, &digest).map(|got| got == digest)).await;
        Ok(same.map_err(|error| crashed(&error))??)
    }

    /// Puts a file's open segments into the queue; one that has none left is checked.
    fn begin(&mut self, index: usize, journal: Journal) {
        let here: u64 = journal.pieces.iter().map(|piece| piece.done).sum();
        let open: Vec<usize> =
            (0..journal.pieces.len()).filter(|i| journal.pieces.get(*i).is_some_and(|p| !p.is_whole())).collect();
        self.queue.extend(open.iter().map(|segment| (index, *segment)));
        if let Some(file) = self.files.get_mut(index) {
            file.here.store(here, Ordering::Relaxed);
            file.open = open.len();
            file.journal = Some(Arc::new(journal));
        }
        if open.is_empty() {
            self.check(index);
        }
    }

    async fn run(&mut self) -> Result<(), FetchError> {
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.hand_out();
            if self.running == 0 && self.checking == 0 {
                return Ok(());
            }
            tokio::select! {
                done = self.set.join_next() => match done {
                    Some(Ok(Done::Segment(index, end))) => self.segment_ended(index, end)?,
                    Some(Ok(Done::Checked(index, result))) => self.checked(index, result?)?,
                    // Only segments of files that begin anew are aborted; they begin anew below.
                    Some(Err(error)) if error.is_cancelled() => self.running -= 1,
                    Some(Err(error)) => return Err(crashed(&error)),
                    None => return Ok(()),
                },
                _ = tick.tick() => {}
            }
            self.restart_what_is_quiet()?;
            self.show();
        }
    }

    fn show(&self) {
        if self.total > 0 {
            self.progress.bytes(self.here().min(self.total), self.total);
        }
    }

    fn here(&self) -> u64 {
        self.whole + self.files.iter().map(|file| file.here.load(Ordering::Relaxed)).sum::<u64>()
    }

    fn hand_out(&mut self) {
        while self.running < self.settings.connections.max(1) {
            let Some((index, segment)) = self.queue.pop_front() else { return };
            let Some(file) = self.files.get_mut(index) else { continue };
            let (Some(journal), None) = (&file.journal, file.again) else { continue };
            let job = Job {
                client: self.client.clone(),
                wanted: Arc::clone(&file.wanted),
                journal: Arc::clone(journal),
                index: segment,
                settings: Arc::clone(&self.settings),
                here: Arc::clone(&file.here),
                fetched: Arc::clone(&self.fetched),
            };
            file.running.retain(|task| !task.is_finished());
            file.running.push(self.set.spawn(async move { Done::Segment(index, segment::fetch(job).await) }));
            self.running += 1;
        }
    }

    fn segment_ended(&mut self, index: usize, end: Result<End, FetchError>) -> Result<(), FetchError> {
        self.running -= 1;
        let Some(file) = self.files.get_mut(index) else { return Ok(()) };
        match end {
            _ if file.again.is_some() => {}
            Ok(End::Whole) => {
                file.open = file.open.saturating_sub(1);
                if file.open == 0 {
                    self.check(index);
                }
            }
            Ok(End::NoRanges) => {
                file.again = Some(true);
                file.running.iter().for_each(tokio::task::AbortHandle::abort);
            }
            // A part that an earlier run left may be of a file that has changed since: once more from the start.
            Err(FetchError::Changed { .. }) if file.resumed => {
                file.resumed = false;
                file.again = Some(false);
                file.running.iter().for_each(tokio::task::AbortHandle::abort);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Begins files anew of which no task writes any more.
    fn restart_what_is_quiet(&mut self) -> Result<(), FetchError> {
        for index in 0..self.files.len() {
            let Some(file) = self.files.get_mut(index) else { continue };
            let Some(whole) = file.again else { continue };
            if file.running.iter().any(|task| !task.is_finished()) {
                continue;
            }
            file.running.clear();
            file.again = None;
            self.queue.retain(|(of, _)| *of != index);
            let journal = Journal::restart(&file.wanted, &self.settings, whole)?;
            self.begin(index, journal);
        }
        Ok(())
    }

    fn check(&mut self, index: usize) {
        let Some(file) = self.files.get(index) else { return };
        let wanted = Arc::clone(&file.wanted);
        self.checking += 1;
        if self.running == 0 && self.queue.is_empty() {
            self.progress.detail(&format!("Checking {}", wanted.name));
        }
        self.set.spawn_blocking(move || Done::Checked(index, finish(&wanted)));
    }

    fn checked(&mut self, index: usize, other: Option<String>) -> Result<(), FetchError> {
        self.checking -= 1;
        let Some(file) = self.files.get_mut(index) else { return Ok(()) };
        let Some(got) = other else { return Ok(()) };
        let (kind, want) = file.wanted.digest.as_ref().map_or(("size", String::new()), |d| (d.kind(), d.hex().into()));
        if file.repeated {
            throw_away(&file.wanted.target)?;
            return Err(FetchError::Hash { name: file.wanted.name.clone(), kind, got, want });
        }
        self.progress.note(&format!("{} came damaged; fetching it once more", file.wanted.name));
        file.repeated = true;
        file.again = Some(false);
        Ok(())
    }
}

fn crashed(error: &tokio::task::JoinError) -> FetchError {
    FetchError::Download { name: "a file".into(), url: String::new(), reason: format!("the download crashed: {error}") }
}

/// Checks size and digest of a part file and gives it its name. `Some`: it hashes to something else.
fn finish(wanted: &Wanted) -> Result<Option<String>, FetchError> {
    let part = super::part_of(&wanted.target);
    let failed = |e| FileError::new("read", &part, e);
    let here = std::fs::metadata(&part).map_err(failed)?.len();
    if let Some(size) = wanted.size.filter(|size| *size != here) {
        return Ok(Some(format!("{here} bytes instead of {size}")));
    }
    if let Some(digest) = &wanted.digest {
        let got = digest_of(&part, digest)?;
        if got != *digest {
            return Ok(Some(got.hex().to_owned()));
        }
    }
    settle(&part, &wanted.target)?;
    throw_away(&wanted.target)?;
    Ok(None)
}

/// The bytes to the disk, then the name.
fn settle(part: &Path, target: &Path) -> Result<(), FileError> {
    let done = std::fs::File::options().write(true).open(part).and_then(|file| file.sync_all());
    done.and_then(|()| std::fs::rename(part, target)).map_err(|e| FileError::new("rename", part, e))
}
