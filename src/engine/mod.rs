//! Inference engines: which there are, where they are on this machine and how they get there.

pub mod find;
pub mod id;
pub mod install;
