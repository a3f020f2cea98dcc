//! What vendors' tools print, and copied trees of files.

use std::path::PathBuf;

use crate::hardware::{Hardware, VENDORS, kinds, memory_for_cuda, replay};
use crate::heap::bounded;
use crate::scratch::Scratch;

thread_local! {
    static DIR: Scratch = Scratch::new("machine");
}

/// A kind that is a folder of all there is about a machine.
const WHOLE: &str = "recording";
/// Files a copied tree may have; more would only be slow.
const FILES: usize = 12;

/// A recording: its kind is the first line, or chosen by the first byte. In trees, `@path` begins a file.
pub fn tools(body: &[u8], control: &[u8]) {
    let kinds = kinds();
    let line = body.iter().position(|b| *b == b'\n').unwrap_or(body.len());
    let named = kinds.iter().find(|kind| kind.as_bytes() == &body[..line]);
    let (kind, rest) = match (named, body) {
        (Some(kind), _) => (*kind, body.get(line + 1..).unwrap_or_default()),
        (None, [first, rest @ ..]) => (kinds[usize::from(*first) % kinds.len()], rest),
        (None, []) => return,
    };
    // What follows the last 0xFF is nobody's text, but bytes a tool may print all the same.
    let text = if control.is_empty() { rest.to_vec() } else { [rest, &[0xff], control].concat() };
    DIR.with(|dir| {
        let folder = kind.ends_with("-tree") || kind == WHOLE;
        let path = if folder { tree(dir, &text) } else { dir.write("recording", &text) };
        match bounded(text.len(), || replay(&[(kind.to_owned(), path)])) {
            Ok(found) => sensible(&found, kind, text.len()),
            // What lies in a file is never wrong, only without devices; a folder may be no recording of a machine.
            Err(error) => assert_eq!(kind, WHOLE, "{error}"),
        }
    });
}

fn sensible(found: &Hardware, kind: &str, length: usize) {
    let vendor = VENDORS.iter().find(|vendor| vendor.kinds().iter().any(|k| k.name == kind)).map(|vendor| vendor.id());
    assert!(found.devices.len() <= length, "{} devices of {length} bytes", found.devices.len());
    for device in &found.devices {
        // Windows lists the adapters of all vendors, and a whole machine may have several.
        let any = kind == "win32-video" || kind == WHOLE;
        assert!(Some(device.vendor) == vendor || any, "{device:?} of {kind}");
        assert!(device.usable || device.problem.is_some(), "{device:?}");
        assert!(!device.usable || device.memory_total_bytes > 0 || device.unified, "{device:?}");
        assert!(!device.name.is_empty());
        let _ = memory_for_cuda(device.memory_total_bytes);
    }
    for link in &found.links {
        let _ = found.directly_linked(link.vendor, &[link.devices.0, link.devices.1]);
    }
    let json = serde_json::to_vec(found).expect("hardware is told as JSON");
    let back: Hardware = serde_json::from_slice(&json).expect("and read back");
    assert_eq!(&back.devices, &found.devices);
}

/// Files below a folder, each after a line `@its/name`.
fn tree(dir: &Scratch, text: &[u8]) -> PathBuf {
    let root = dir.path().join("tree");
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root).expect("a folder");
    let text = String::from_utf8_lossy(text);
    for section in text.split("\n@").take(FILES) {
        let (name, content) = section.split_once('\n').unwrap_or((section, ""));
        let name = name.trim_start_matches('@');
        let plain = |part: &str| {
            !part.is_empty() && part.len() < 40 && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        if name.split('/').count() > 6 || !name.split('/').all(plain) {
            continue;
        }
        let path = root.join(name);
        if path.parent().is_some_and(|parent| std::fs::create_dir_all(parent).is_ok()) {
            let _ = std::fs::write(path, content);
        }
    }
    root
}
