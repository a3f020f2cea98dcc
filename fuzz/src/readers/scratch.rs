//! Folders in memory for what is read from files. They are emptied, not made anew, for each input.

use std::path::{Path, PathBuf};

/// A folder of this process.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty one.
    pub fn new(name: &str) -> Scratch {
        // The script names a folder and removes it: the program ends without cleaning up.
        let base = std::env::var_os("LLMUP_FUZZ_SCRATCH").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = base.join(format!("{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a scratch folder");
        Scratch(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, making the folders it is in.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        if std::fs::write(&path, bytes).is_err() {
            std::fs::create_dir_all(path.parent().expect("a name below the folder")).expect("a folder");
            std::fs::write(&path, bytes).expect("a file");
        }
        path
    }
}
