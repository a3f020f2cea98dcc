//! Unpacking release archives: `.tar.gz` and `.zip`. Nothing may land outside the target folder, whatever names and
//! links the archive holds.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Component, Path, PathBuf};

use super::error::InstallError;

/// Unpacks `archive` into `dir`, which exists and is empty.
pub fn unpack(archive: &Path, dir: &Path) -> Result<(), InstallError> {
    let name = archive.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let bad = |reason: String| InstallError::Archive { file: name.clone(), reason };
    let file = File::open(archive).map_err(|e| bad(e.to_string()))?;
    let done = if name.ends_with(".zip") { unzip(file, dir) } else { untar(file, dir) };
    done.map_err(|e| bad(e.to_string()))
}

fn untar(file: File, dir: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(BufReader::new(file)));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if escapes(&path) {
            return Err(outside(&path));
        }
        if let Some(target) = entry.link_name()? {
            // A symbolic link counts from its own folder, a hard link from the archive's root.
            let from = if entry.header().entry_type().is_symlink() {
                path.parent().unwrap_or(Path::new("")).join(&target)
            } else {
                target.clone().into_owned()
            };
            if target.is_absolute() || escapes(&from) {
                return Err(outside(&path));
            }
        }
        if !entry.unpack_in(dir)? {
            return Err(outside(&path));
        }
    }
    Ok(())
}

fn unzip(file: File, dir: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(io::Error::other)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(io::Error::other)?;
        let path = entry
            .enclosed_name()
            .ok_or_else(|| io::Error::other(format!("entry {index} would land outside the folder")))?;
        if escapes(&path) {
            return Err(outside(&path));
        }
        let target = dir.join(&path);
        if entry.is_dir() {
            std::fs::create_dir_all(&target)?;
            continue;
        }
        if entry.is_symlink() {
            return Err(io::Error::other(format!("{} is a link", path.display())));
        }
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        io::copy(&mut entry, &mut File::create(&target)?)?;
        #[cfg(unix)]
        if let Some(mode) = entry.unix_mode() {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode & 0o755))?;
        }
    }
    Ok(())
}

/// Whether a relative path leads above where it starts, or is not relative.
fn escapes(path: &Path) -> bool {
    let mut depth = 0_i32;
    for part in path.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return true,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

fn outside(path: &Path) -> io::Error {
    io::Error::other(format!("{} would land outside the folder", path.display()))
}

/// The file of that name in a folder's tree.
pub fn program_in(dir: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => folders.push(entry.path()),
            Ok(_) if entry.file_name() == name => return Some(entry.path()),
            _ => {}
        }
    }
    folders.iter().find_map(|folder| program_in(folder, name))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A tar.gz with one entry; the name is written raw, as an attacker would.
    fn tar_gz(path: &Path, name: &str, link: Option<&str>) {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o755);
        header.set_size(if link.is_some() { 0 } else { 2 });
        if let Some(link) = link {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name_literal(link).unwrap();
        }
        header.set_cksum();
        let file = File::create(path).unwrap();
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
        builder.append(&header, if link.is_some() { &b""[..] } else { &b"hi"[..] }).unwrap();
        builder.into_inner().unwrap().finish().unwrap();
    }

    #[test]
    fn nothing_lands_outside_the_folder() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("in");
        std::fs::create_dir(&dir).unwrap();
        let archive = temp.path().join("a.tar.gz");
        for (name, link) in [
            ("../evil", None),
            ("a/../../evil", None),
            ("/evil", None),
            ("link", Some("../..")),
            ("link", Some("/etc")),
        ] {
            tar_gz(&archive, name, link);
            let error = unpack(&archive, &dir).unwrap_err();
            assert!(error.to_string().contains("outside"), "{name}: {error}");
        }
        assert!(!temp.path().join("evil").exists());
        tar_gz(&archive, "build/bin/llama-server", None);
        unpack(&archive, &dir).unwrap();
        assert_eq!(program_in(&dir, "llama-server").unwrap(), dir.join("build/bin/llama-server"));
        // Windows makes links for administrators only; its archives hold none.
        #[cfg(unix)]
        {
            tar_gz(&archive, "build/bin/libllama.so", Some("libllama.so.0"));
            unpack(&archive, &dir).unwrap();
        }
    }

    #[test]
    fn a_zip_is_unpacked_and_may_not_escape_either() {
        let temp = tempfile::tempdir().unwrap();
        let archive = temp.path().join("a.zip");
        for (name, ok) in [("bin/llama-server.exe", true), ("../evil", false)] {
            let mut zip = zip::ZipWriter::new(File::create(&archive).unwrap());
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(b"hi").unwrap();
            zip.finish().unwrap();
            assert_eq!(unpack(&archive, temp.path()).is_ok(), ok, "{name}");
        }
        assert_eq!(std::fs::read(temp.path().join("bin/llama-server.exe")).unwrap(), b"hi");
    }
}
