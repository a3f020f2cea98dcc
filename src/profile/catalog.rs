//! Finding a profile by what people type. A name is one file, so only that file is parsed; aliases need all of them.

use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::de::DeserializeOwned;

use super::check::check;
use super::{ModelProfile, ProfileError};
use crate::fs::FileError;

static MODELS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/models");

/// Whose profile it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Embedded in the binary.
    BuiltIn,
    /// The user's own file.
    User(PathBuf),
}

/// A profile and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The profile.
    pub profile: ModelProfile,
    /// Whose it is.
    pub origin: Origin,
}

/// The text of one profile, not parsed yet.
struct Source {
    /// The file's name without its extension.
    stem: String,
    origin: Origin,
}

impl Source {
    fn load(self) -> Result<Found, ProfileError> {
        let (file, text) = match &self.origin {
            Origin::BuiltIn => {
                let text = MODELS.get_file(format!("{}.yaml", self.stem)).and_then(|f| f.contents_utf8());
                (format!("built-in profile {}.yaml", self.stem), text.unwrap_or_default().to_owned())
            }
            Origin::User(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| FileError::new("read", path, e))?;
                (path.display().to_string(), text)
            }
        };
        let profile = parse::<ModelProfile>(&file, &text)?;
        check(&file, &text, &self.stem, &profile)?;
        Ok(Found { profile, origin: self.origin })
    }
}

/// Every profile, the user's own in place of built-in ones of the same name, sorted by name.
pub fn all(user_dir: &Path) -> Result<Vec<ModelProfile>, ProfileError> {
    sources(user_dir)?.into_iter().map(|source| source.load().map(|found| found.profile)).collect()
}

/// Every profile that can be read, sorted by name, and what is wrong with the others.
#[derive(Debug)]
pub struct Listing {
    /// The profiles.
    pub found: Vec<Found>,
    /// One error per file that is no profile.
    pub broken: Vec<ProfileError>,
}

/// Like [`all`], but a broken file does not stand in the way of the others.
pub fn list(user_dir: &Path) -> Result<Listing, ProfileError> {
    let mut listing = Listing { found: Vec::new(), broken: Vec::new() };
    for source in sources(user_dir)? {
        match source.load() {
            Ok(found) => listing.found.push(found),
            Err(error) => listing.broken.push(error),
        }
    }
    Ok(listing)
}

/// The profile called `name`, or that has it as an alias; case does not matter. Names beat aliases.
pub fn find(name: &str, user_dir: &Path) -> Result<Found, ProfileError> {
    let wanted = name.trim().to_lowercase();
    let mut rest = Vec::new();
    for source in sources(user_dir)? {
        if source.stem.to_lowercase() == wanted {
            return source.load();
        }
        rest.push(source);
    }
    let mut known = Vec::new();
    for source in rest {
        let found = source.load()?;
        if found.profile.aliases.iter().any(|alias| alias.to_lowercase() == wanted) {
            return Ok(found);
        }
        known.push(found.profile);
    }
    let nearest = similar(&wanted, &known);
    Err(ProfileError::Unknown { name: name.to_owned(), nearest })
}

/// Longer names are like nothing.
const LONGEST_NAME: usize = 256;

/// Names that look like `name`, best first, at most three; profiles that cannot be read are left out.
pub fn nearest(name: &str, user_dir: &Path) -> Vec<String> {
    let known: Vec<_> = sources(user_dir)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|source| source.load().ok())
        .map(|found| found.profile)
        .collect();
    similar(&name.trim().to_lowercase(), &known)
}

fn similar(wanted: &str, known: &[ModelProfile]) -> Vec<String> {
    // Comparing takes the product of the lengths, and no name is that long.
    if wanted.len() > LONGEST_NAME {
        return Vec::new();
    }
    let mut scored: Vec<(f64, &str)> = known
        .iter()
        .map(|profile| {
            let names = std::iter::once(&profile.name).chain(&profile.aliases);
            let score = names.map(|known| likeness(wanted, &known.to_lowercase())).fold(0.0, f64::max);
            (score, profile.name.as_str())
        })
        .filter(|(score, _)| *score >= 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// 0 to 1. A beginning or a part of a name counts as likely as a small typo.
fn likeness(wanted: &str, known: &str) -> f64 {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let (wanted, known) = (plain(wanted), plain(known));
    if wanted == known {
        return 1.0;
    }
    if wanted.len() >= 3 && known.starts_with(&wanted) {
        return 0.95;
    }
    if wanted.len() >= 4 && known.contains(&wanted) {
        return 0.9;
    }
    strsim::normalized_damerau_levenshtein(&wanted, &known).max(strsim::jaro_winkler(&wanted, &known) - 0.05)
}

/// All profiles there are, the user's first choice for each name, sorted by name; nothing is parsed.
fn sources(user_dir: &Path) -> Result<Vec<Source>, ProfileError> {
    let mut found: Vec<Source> = user_files(user_dir)?
        .into_iter()
        .filter_map(|path| Some(Source { stem: path.file_stem()?.to_str()?.to_owned(), origin: Origin::User(path) }))
        .collect();
    for file in MODELS.files() {
        let Some(stem) = file.path().file_stem().and_then(|stem| stem.to_str()) else { continue };
        if !found.iter().any(|source| source.stem.eq_ignore_ascii_case(stem)) {
            found.push(Source { stem: stem.to_owned(), origin: Origin::BuiltIn });
        }
    }
    found.sort_by(|a, b| a.stem.cmp(&b.stem));
    Ok(found)
}

fn user_files(dir: &Path) -> Result<Vec<PathBuf>, ProfileError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        // Most users have no profiles of their own.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(FileError::new("read", dir, error).into()),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| FileError::new("read", dir, e))?.path();
        let yaml = path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
        if yaml && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// No profile is larger, and none repeats itself more often. An alias (`*name`) is a copy of what it stands for: without
/// a limit, a small file could fill the memory with copies of one long text.
const LONGEST: usize = 256 << 10;
const ALIASES: usize = 16;

/// The line of the first alias that is one too many. Stars inside a text are none.
fn repeats_too_often(text: &str) -> Option<usize> {
    let begins_a_value = |at: usize| {
        let before = text[..at].trim_end_matches([' ', '\t']).chars().next_back();
        before.is_none_or(|c| "\n\r[{,:-?".contains(c))
            && text[at + 1..].starts_with(|c: char| !c.is_whitespace() && c != '*')
    };
    let (at, _) = text.match_indices('*').filter(|(at, _)| begins_a_value(*at)).nth(ALIASES)?;
    Some(text[..at].matches('\n').count() + 1)
}

/// Reads YAML; what is wrong is told with its line and column.
pub(super) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ProfileError> {
    let refused = |line, message: String| ProfileError::Invalid { file: file.to_owned(), line, column: None, message };
    if text.len() > LONGEST {
        return Err(refused(None, format!("larger than {LONGEST} bytes, which no profile is")));
    }
    if let Some(line) = repeats_too_often(text) {
        return Err(refused(Some(line), format!("more than {ALIASES} aliases (`*name`); write the values out")));
    }
    serde_yaml::from_str(text).map_err(|error| {
        let location = error.location();
        let message = error.to_string();
        // The parser repeats the place at the end of its message.
        let message = match &location {
            Some(_) => message.rsplit_once(" at line ").map_or(message.as_str(), |(start, _)| start).to_owned(),
            None => message,
        };
        ProfileError::Invalid {
            file: file.to_owned(),
            line: location.as_ref().map(serde_yaml::Location::line),
            column: location.as_ref().map(serde_yaml::Location::column),
            message,
        }
    })
}
