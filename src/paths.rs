//! Where llmup keeps things. Everything is below two folders, both movable by one variable each:
//! `LLMUP_DATA_DIR` (engines, models, logs, state) and `LLMUP_CONFIG_DIR` (the user's own profiles and settings).

use std::path::PathBuf;

/// The folders llmup reads and writes.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Engines, the demo model, logs and run state.
    pub data: PathBuf,
    /// The user's own profiles and settings.
    pub config: PathBuf,
}

impl Paths {
    /// The folders of this user, from the environment or the platform's conventions.
    pub fn of_user() -> Paths {
        let dirs = directories::ProjectDirs::from("", "", "llmup");
        let pick = |name: &str, default: Option<PathBuf>| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
                .or(default)
                .unwrap_or_else(|| std::env::temp_dir().join("llmup"))
        };
        Paths {
            data: pick("LLMUP_DATA_DIR", dirs.as_ref().map(|d| d.data_local_dir().to_owned())),
            config: pick("LLMUP_CONFIG_DIR", dirs.as_ref().map(|d| d.config_dir().to_owned())),
        }
    }

    /// Managed engines: one folder per engine and version.
    pub fn engines(&self) -> PathBuf {
        self.data.join("engines")
    }

    /// Models llmup wrote itself.
    pub fn models(&self) -> PathBuf {
        self.data.join("models")
    }

    /// Log files of engines and gateway.
    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    /// Run state of instances.
    pub fn state(&self) -> PathBuf {
        self.data.join("run")
    }

    /// The user's own model profiles, which beat the built-in ones.
    pub fn user_profiles(&self) -> PathBuf {
        self.config.join("profiles")
    }
}
