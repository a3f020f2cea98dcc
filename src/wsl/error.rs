//! Why a path of one side means nothing on the other.

use crate::error::{Explain, paste};
use crate::exit::Exit;

/// A Windows path that Linux in WSL cannot open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A share of another machine, which nobody has mounted.
    #[error("{path} is a network share, which WSL does not mount by itself")]
    Share {
        /// The whole path.
        path: String,
        /// `\\server\share`.
        share: String,
    },
    /// A file of another distribution.
    #[error("{path} lies in the distribution {name}, and this is {own}")]
    OtherDistribution {
        /// The whole path.
        path: String,
        /// Whose it is.
        name: String,
        /// The one that would open it.
        own: String,
    },
    /// `D:models`: a folder that depends on where Windows is on that drive; or a shell ate the backslashes.
    #[error("{path} is no whole path: after the drive comes a backslash")]
    Relative {
        /// As it was given.
        path: String,
    },
    /// Windows has the drive, this Linux has not.
    #[error("the drive {drive}: is not mounted here, so {path} cannot be opened")]
    NotMounted {
        /// The whole path.
        path: String,
        /// Its letter, upper case.
        drive: char,
    },
    /// Names a device or a volume, not a file below a drive.
    #[error("{path} is a form of path that Linux has no name for")]
    Form {
        /// As it was given.
        path: String,
    },
}

impl Explain for PathError {
    fn exit(&self) -> Exit {
        Exit::Config
    }

    fn hints(&self) -> Vec<String> {
        match self {
            PathError::Share { share, .. } => {
                let name = share.rsplit('\\').find(|part| !part.is_empty()).unwrap_or("share");
                let at = paste::posix_word(&format!("/mnt/{}", name.to_lowercase()));
                let share = paste::posix_word(share);
                vec![
                    format!("inside WSL, mount it: `sudo mkdir -p {at}; sudo mount -t drvfs {share} {at}`"),
                    format!("then name it as Linux does: {at}/…"),
                    "or copy the model to a drive of this machine, which also loads faster".to_owned(),
                ]
            }
            PathError::OtherDistribution { name, .. } => {
                vec![
                    format!("run llmup there: `wsl -d {} llmup start MODEL --model-dir DIR`", paste::posix_word(name)),
                    "or copy the model to a drive of Windows, which all distributions see".to_owned(),
                ]
            }
            PathError::Relative { path } => {
                let whole: String = path.chars().take(2).chain(['\\']).chain(path.chars().skip(2)).collect();
                vec![
                    format!("write it whole and in quotes, a shell takes backslashes away: `--model-dir '{whole}'`"),
                    "or as Linux names it: /mnt/d/models/…".to_owned(),
                ]
            }
            PathError::NotMounted { drive, .. } => {
                let at = format!("/mnt/{}", drive.to_ascii_lowercase());
                vec![
                    format!("mount it: `sudo mkdir -p {at}; sudo mount -t drvfs {drive}: {at}`"),
                    "if no drive is mounted, see `enabled` under [automount] in /etc/wsl.conf".to_owned(),
                ]
            }
            PathError::Form { .. } => vec![r"write it as `D:\folder\model`, or as Linux names it".to_owned()],
        }
    }
}
