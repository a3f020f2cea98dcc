//! Recordings instead of the machine: `llmup hardware --from KIND=PATH`. What each kind means is its vendor's; three are
//! nobody's: `/proc/meminfo` and `/proc/cpuinfo` of the recorded machine, and the folder of a whole machine.

use std::io;
use std::path::{Path, PathBuf};

use super::record::{FolderError, Replayer, load};
use super::{Cpu, Hardware, Memory, Probe, VENDORS, cpu, detect, memory};
use crate::error::Explain;
use crate::exit::Exit;
use crate::host::Os;

/// The recorded machine's main memory.
const MEMINFO: &str = "meminfo";
/// The recorded machine's processor.
const CPUINFO: &str = "cpuinfo";
/// A folder that `llmup doctor --record` wrote.
pub const WHOLE: &str = "recording";
/// No tool prints more; `/dev/zero` does.
const LONGEST: u64 = 16 << 20;

/// Why a recording was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such kind.
    #[error("there is no kind of recording named {0:?}")]
    UnknownKind(String),
    /// The path cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder of a whole machine makes no sense.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl Explain for ReplayError {
    fn exit(&self) -> Exit {
        match self {
            ReplayError::UnknownKind(_) => Exit::Usage,
            ReplayError::Unreadable { .. } => Exit::Config,
            ReplayError::Folder(error) => error.exit(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            ReplayError::UnknownKind(_) => vec![format!(
                "the kinds are {}; for example `llmup hardware --from nvidia-smi-xml=FILE`",
                kinds().join(", ")
            )],
            ReplayError::Unreadable { path, .. } => {
                vec![format!("see whether it is there: `ls -l {}`", path.display())]
            }
            ReplayError::Folder(error) => error.hints(),
        }
    }
}

/// The names of all kinds, in the order of the vendors.
pub fn kinds() -> Vec<&'static str> {
    let vendors = VENDORS.iter().flat_map(|vendor| vendor.kinds()).map(|kind| kind.name);
    vendors.chain([MEMINFO, CPUINFO, WHOLE]).collect()
}

/// The machine the recordings tell of. What none of them tells stays empty: nothing is asked of this machine.
pub fn replay(recordings: &[(String, PathBuf)]) -> Result<Hardware, ReplayError> {
    // The folder of a whole machine is looked at as that machine was; what others tell comes to it.
    let whole = recordings.iter().find(|(name, _)| name == WHOLE);
    if let Some((_, path)) = whole {
        readable(path)?;
    }
    let mut found = match whole {
        Some((_, path)) => detect(&Replayer(load(path)?)),
        None => nothing(),
    };
    for (name, path) in recordings.iter().filter(|(name, _)| name != WHOLE) {
        let kind = VENDORS.iter().flat_map(|vendor| vendor.kinds()).find(|kind| kind.name == name.as_str());
        if kind.is_none() && name != MEMINFO && name != CPUINFO {
            return Err(ReplayError::UnknownKind(name.clone()));
        }
        readable(path)?;
        match kind {
            Some(kind) => {
                let mut probe = (kind.read)(path);
                // What an earlier recording told of the same device is one picture with this; devices of one
                // recording stay apart.
                for device in std::mem::take(&mut probe.devices) {
                    let told = found.devices.len();
                    device.join(&mut found.devices);
                    probe.devices.extend(found.devices.drain(told..));
                }
                found.add(probe);
            }
            None => machine(name, path, &mut found)?,
        }
    }
    for device in found.devices.iter_mut().filter(|device| device.unified && device.memory_total_bytes == 0) {
        if found.memory.total_bytes > 0 {
            device.memory_total_bytes = found.memory.total_bytes;
            device.memory_free_bytes = Some(found.memory.available_bytes);
            device.usable = true;
            device.problem = None;
        }
    }
    Ok(found)
}

fn nothing() -> Hardware {
    Hardware {
        // What a recording tells of is read the same way on every system.
        os: Os::current(),
        cpu: Cpu::default(),
        memory: Memory::default(),
        devices: Vec::new(),
        links: Vec::new(),
        versions: std::collections::BTreeMap::new(),
        problems: Vec::new(),
        wsl: None,
        wsl_memory_bytes: None,
    }
}

fn machine(name: &str, path: &Path, found: &mut Hardware) -> Result<(), ReplayError> {
    let text = text(path).map_err(|source| ReplayError::Unreadable { path: path.to_owned(), source })?;
    if name == CPUINFO {
        found.cpu.name = cpu::parse_cpuinfo(&text).unwrap_or_default();
        found.cpu.features = cpu::parse_features(&text);
        return Ok(());
    }
    match memory::parse_meminfo(&text) {
        Some(memory) => found.memory = memory,
        None => found.problems.push(format!("{} is no /proc/meminfo: it has no MemTotal", path.display())),
    }
    Ok(())
}

fn readable(path: &Path) -> Result<(), ReplayError> {
    let opened = if path.is_dir() { std::fs::read_dir(path).map(drop) } else { std::fs::File::open(path).map(drop) };
    opened.map_err(|source| ReplayError::Unreadable { path: path.to_owned(), source })
}

/// The text of a recording. PowerShell's `>` writes UTF-16 with a mark; everything else is taken for UTF-8.
pub(super) fn text(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {LONGEST} bytes")));
    }
    Ok(decode(&bytes))
}

/// Lines end with a line feed afterwards, also where Windows ended them.
pub(super) fn decode(bytes: &[u8]) -> String {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        // Some editors leave the mark out; the tools print ASCII first.
        [1..=255, 0, 1..=255, 0, ..] => wide(bytes, u16::from_le_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    if text.contains('\r') { text.replace("\r\n", "\n") } else { text }
}

/// A recording that is a text, read by `parse`; one that cannot be read is a problem.
pub(super) fn of_text(path: &Path, parse: fn(&str) -> Probe) -> Probe {
    match text(path) {
        Ok(text) => parse(&text),
        Err(error) => Probe { problems: vec![format!("cannot read {}: {error}", path.display())], ..Probe::default() },
    }
}

impl Hardware {
    pub(super) fn add(&mut self, probe: Probe) {
        self.devices.extend(probe.devices);
        self.links.extend(probe.links);
        self.versions.extend(probe.versions);
        self.problems.extend(probe.problems);
    }
}
