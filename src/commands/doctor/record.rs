//! `llmup doctor --record DIR`: what detection reads here, as a folder that detects the same elsewhere, and that one may
//! send to somebody. It changes nothing but that folder.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use serde::Serialize;

use crate::commands::hardware;
use crate::engine;
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::hardware::record::{self, Personal, Recorder, Recording, Replayer, Scrubber, Written};
use crate::hardware::{Hardware, detect};
use crate::host::{Host, RealHost};
use crate::output::{self, Style, bytes, paint};
use crate::paths::Paths;

/// Records this machine.
pub fn run(dir: &Path, json: bool, paths: &Paths) -> Result<u8> {
    record::prepare(dir)?;
    output::note("looking at the machine; a driver that hangs takes up to 15 s each");
    let recorder = Recorder::new(&RealHost);
    let found = detect(&recorder);
    record::ask_tools(&recorder);
    record::ask_variables(&recorder, std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()));
    let mut scrubber = Scrubber::new(&personal(&RealHost));
    let recording = scrubber.recording(&recorder.finish());
    let engines = engines(paths, &mut scrubber);
    let report = write(dir, &recording, &engines, |text| scrubber.text(text), &found)?;
    if json {
        output::json(&report);
    } else {
        output::data(&render(&report, std::io::stdout().is_terminal()));
    }
    Ok(Exit::Ok.code())
}

/// What was written.
#[derive(Debug, Serialize)]
struct Report {
    folder: String,
    files: Vec<Written>,
    /// Whether the recording detects what the machine itself does.
    same: bool,
    replay: String,
}

/// Writes the folder; detection runs on what was written, so that what it concludes is what others will see.
fn write(
    dir: &Path,
    recording: &Recording,
    engines: &str,
    scrub: impl FnOnce(&str) -> String,
    found: &Hardware,
) -> Result<Report> {
    let mut files = record::write(dir, recording)?;
    let replayed = detect(&Replayer(record::load(dir)?));
    let text = |found: &Hardware| hardware::json(found).unwrap_or_default();
    let concluded = text(&replayed);
    let same = scrub(&text(found)) == concluded;
    let replay = format!("llmup hardware --from recording={}", dir.display());
    let mut add = |path: &str, text: &str, what: &str| {
        std::fs::write(dir.join(path), text).map_err(|error| {
            Plain::new(
                Exit::Config,
                format!("cannot write {}: {error}", dir.join(path).display()),
                "name another folder",
            )
        })?;
        let (bytes, what) = (text.len() as u64, what.to_owned());
        files.push(Written { path: path.to_owned(), bytes, what, kind: None });
        Ok::<(), Plain>(())
    };
    add("hardware.json", &concluded, "what detection concludes from it")?;
    add("engines.json", engines, "the engines that were found")?;
    let readme = readme(&files, same);
    std::fs::write(dir.join("README"), &readme).map_err(|error| {
        Plain::new(Exit::Config, format!("cannot write the README: {error}"), "name another folder")
    })?;
    let what = "what each file is, and how to read it again".to_owned();
    files.insert(0, Written { path: "README".to_owned(), bytes: readme.len() as u64, what, kind: None });
    Ok(Report { folder: dir.display().to_string(), files, same, replay })
}

fn engines(paths: &Paths, scrubber: &mut Scrubber) -> String {
    let found: Vec<_> = engine::find::find(&RealHost, paths)
        .iter()
        .map(|found| {
            serde_json::json!({
                "engine": found.engine.to_string(),
                "version": found.version,
                "place": scrubber.text(&found.program.display().to_string()),
            })
        })
        .collect();
    serde_json::to_string_pretty(&found).unwrap_or_default() + "\n"
}

/// Names of this user and this machine.
fn personal(host: &dyn Host) -> Personal {
    let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    let mut users: Vec<String> =
        ["USER", "LOGNAME", "USERNAME", "SUDO_USER"].iter().filter_map(|name| host.env(name)).collect();
    // Under sudo the home is root's, and the folder's name is often the person's.
    users.extend(home.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()));
    let mut hosts: Vec<String> =
        ["HOSTNAME", "COMPUTERNAME", "USERDOMAIN"].iter().filter_map(|name| host.env(name)).collect();
    for file in ["/proc/sys/kernel/hostname", "/etc/hostname"] {
        let text = host.read(Path::new(file)).ok().map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        hosts.extend(text.filter(|name| !name.is_empty()));
    }
    hosts.extend(sysinfo::System::host_name());
    let short: Vec<String> = hosts.iter().filter_map(|name| name.split('.').next().map(str::to_owned)).collect();
    hosts.extend(short);
    for list in [&mut users, &mut hosts] {
        list.sort();
        list.dedup();
    }
    Personal { home: home.map(|home| home.display().to_string()), users, hosts }
}

/// The kinds that read a part of the folder, with their paths; a tree of files is one.
fn kinds(files: &[Written]) -> Vec<(&'static str, String)> {
    let mut kinds: Vec<(&'static str, String)> = Vec::new();
    for (kind, tree) in [("kfd-tree", "files/sys/class/kfd/kfd/topology"), ("drm-tree", "files/sys/class/drm")] {
        if files.iter().any(|file| file.path.starts_with(&format!("{tree}/"))) {
            kinds.push((kind, tree.to_owned()));
        }
    }
    kinds.extend(files.iter().filter_map(|file| Some((file.kind?, file.path.clone()))));
    kinds.retain(|(kind, _)| *kind != crate::hardware::WHOLE);
    kinds
}

fn readme(files: &[Written], same: bool) -> String {
    let mut text = format!(
        "A recording of what llmup {} reads to detect the hardware of a machine.\n\n\
         Detect again, on any machine, in the folder above this one:\n\n  llmup hardware --from recording=FOLDER\n  \
         llmup hardware --json --from recording=FOLDER      prints hardware.json\n\n",
        env!("CARGO_PKG_VERSION")
    );
    if !same {
        text.push_str(
            "Taking out what is personal changed what detection concludes: hardware.json is what the recording gives, \
             and the\nmachine itself gave something else.\n\n",
        );
    }
    let kinds = kinds(files);
    if !kinds.is_empty() {
        text.push_str("Or one part at a time, in this folder:\n\n");
        for (kind, path) in kinds {
            text.push_str(&format!("  llmup hardware --from {kind}={path}\n"));
        }
        text.push('\n');
    }
    text.push_str(
        "Taken out: names of users and machines, home folders, hardware and network addresses, serial numbers, board\n\
         ids, keys, arguments of programs. Unique ids are other ids, the same one everywhere. Of the environment only\n\
         variables about devices and llmup's own are here, and none of those with keys.\n\nFiles:\n\n",
    );
    for file in files {
        text.push_str(&format!("  {:<48}  {}\n", file.path, file.what));
    }
    text
}

/// For people: the files one by one, the small ones of the kernel as one line.
fn render(report: &Report, terminal: bool) -> String {
    let all: u64 = report.files.iter().map(|file| file.bytes).sum();
    let title = format!("recorded in {}: {} files, {}", report.folder, report.files.len(), bytes(all));
    let mut text = paint(Style::Strong, &title, terminal) + "\n";
    let mut small: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for file in &report.files {
        if let Some(folder) = file.path.split_once('/').map(|(folder, _)| folder).filter(|folder| *folder == "files") {
            let (count, sum) = small.entry(folder).or_default();
            *count += 1;
            *sum += file.bytes;
        } else {
            // A command may be longer than a line; the README has all of it.
            let mut what: String = file.what.chars().take(30).collect();
            if what.len() < file.what.len() {
                what.push('…');
            }
            text.push_str(&format!("  {:<34} {:>9}  {what}\n", file.path, bytes(file.bytes)));
        }
    }
    for (folder, (count, sum)) in small {
        let what = format!("{count} small files of the system");
        text.push_str(&format!("  {:<34} {:>9}  {what}\n", format!("{folder}/"), bytes(sum)));
    }
    if !report.same {
        let note = "taking out what is personal changed what detection concludes; say so when you send it";
        text.push_str(&format!("{} {note}\n", paint(Style::Warn, "note:", terminal)));
    }
    text.push_str(&format!(
        "\nTaken out: names of users and machines, addresses, serial numbers, keys, arguments\n\
         of programs; unique ids are other ids. Read it before you send it:\n\n  less {}\n\nDetect from it, here or \
         elsewhere:\n\n  {}\n",
        Path::new(&report.folder).join("*.json").display(),
        report.replay
    ));
    text
}
