//! Machines for tests: one says what is different about it, and another answers the rest.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Host, Os, Ran};

/// A host that answers as [`StandIn::base`] does, but for what it says itself. Whether something exists follows from
/// what can be read and listed. Name it by its path in an `impl`: imported beside [`Host`], its methods are ambiguous.
pub trait StandIn: Send + Sync {
    /// Who answers the rest; a Linux on which nothing is found, when nobody is named.
    fn base(&self) -> &dyn Host {
        &Nothing
    }
    /// As [`Host::run`].
    fn run(&self, program: &Path, args: &[&str], limit: Duration) -> io::Result<Ran> {
        self.base().run(program, args, limit)
    }
    /// As [`Host::read`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.base().read(path)
    }
    /// As [`Host::entries`].
    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.base().entries(dir)
    }
    /// As [`Host::which`].
    fn which(&self, name: &str) -> Option<PathBuf> {
        self.base().which(name)
    }
    /// As [`Host::env`].
    fn env(&self, name: &str) -> Option<String> {
        self.base().env(name)
    }
    /// As [`Host::os`].
    fn os(&self) -> Os {
        self.base().os()
    }
}

impl<T: StandIn> Host for T {
    fn run(&self, program: &Path, args: &[&str], limit: Duration) -> io::Result<Ran> {
        StandIn::run(self, program, args, limit)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        StandIn::read(self, path)
    }
    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        StandIn::entries(self, dir)
    }
    fn which(&self, name: &str) -> Option<PathBuf> {
        StandIn::which(self, name)
    }
    fn env(&self, name: &str) -> Option<String> {
        StandIn::env(self, name)
    }
    fn os(&self) -> Os {
        StandIn::os(self)
    }
}

struct Nothing;

impl Host for Nothing {
    fn run(&self, _: &Path, _: &[&str], _: Duration) -> io::Result<Ran> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn entries(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn which(&self, _: &str) -> Option<PathBuf> {
        None
    }
    fn env(&self, _: &str) -> Option<String> {
        None
    }
    fn os(&self) -> Os {
        Os::Linux
    }
}
