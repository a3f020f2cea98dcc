//! What a model can read, and what happens to the rest: a note in its place, or a refusal. Never a server error.

use super::Problem;
use super::ir::Request;

/// What a model can read besides text. `None`: unknown, so it is passed on and the engine decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepts {
    /// Pictures.
    pub images: Option<bool>,
    /// Documents that are not plain text.
    pub documents: Option<bool>,
    /// Sounds.
    pub audio: Option<bool>,
    /// What happens to what it cannot read.
    pub otherwise: Otherwise,
}

/// What happens to parts a model cannot read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// A short text says in its place what was there; the model can tell the user.
    #[default]
    Note,
    /// The request is refused (400).
    Refuse,
}

/// Replaces or refuses what the model cannot read.
pub fn apply(_request: &mut Request<'_>, _accepts: Accepts) -> Result<(), Problem> {
    Ok(())
}
