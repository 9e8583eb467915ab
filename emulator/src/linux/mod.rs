//! Stock Linux for the machines: kernels of Debian on demand, and the initramfs that starts a task.
//!
//! [`fetch`] gives the kernel, its modules and a busybox, out of the cache or by the host's own apt;
//! [`initramfs::build`] makes of them what the kernel unpacks as its root. Nothing here is executed on the
//! host but `apt-get` and `apt-cache`, nothing of the host is changed but the cache directory, and no
//! server is named: mirrors and keys are those that the host's administrator has chosen.

mod cache;
mod compression;
pub mod cpio;
pub mod deb;
pub mod digest;
pub mod initramfs;
pub mod modules;
pub mod packages;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

pub use cache::{CacheError, default_directory};
pub use modules::{Module, ModuleTree};

/// An architecture that Debian has kernels for and this emulator a board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// AArch64, which Debian calls `arm64`.
    #[default]
    Arm64,
}

impl Arch {
    /// Every architecture.
    pub const ALL: [Self; 1] = [Self::Arm64];

    /// Debian's name of it, which is that of the kernel's source tree too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
        }
    }

    /// The package that depends on the newest kernel for virtual machines.
    const fn kernel_package(self) -> &'static str {
        match self {
            Self::Arm64 => "linux-image-cloud-arm64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(text: &str) -> Result<Self, UnknownArch> {
        Self::ALL.into_iter().find(|arch| arch.name() == text).ok_or_else(|| UnknownArch(text.to_owned()))
    }
}

/// No [`Arch`] has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("Linux for '{0}' cannot be fetched; say arm64")]
pub struct UnknownArch(pub String);

/// What to fetch, and where to keep it.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// For which machine.
    pub arch: Arch,
    /// Debian's release: `trixie`, `sid`, `bookworm-backports`.
    pub suite: String,
    /// The directory that keeps what was fetched; see [`default_directory`]. It is made if it is not there.
    pub cache: PathBuf,
    /// Whether the cache must do, without a look at any mirror.
    pub offline: bool,
}

impl Fetch {
    /// The release that is fetched if nobody asks for another.
    pub const DEFAULT_SUITE: &str = "trixie";
}

/// A kernel and what belongs to it.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// What the kernel says for `uname -r`.
    pub release: String,
    /// The kernel's file as the distribution ships it, which may be compressed.
    pub kernel: Vec<u8>,
    /// Its modules.
    pub modules: ModuleTree,
    /// A statically linked busybox.
    pub busybox: Vec<u8>,
}

/// No Linux.
#[derive(Debug, Error)]
pub enum LinuxError {
    /// Packages cannot be found or downloaded.
    #[error(transparent)]
    Packages(#[from] packages::PackagesError),
    /// The cache does not have it, or cannot be read or written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A kernel's modules cannot be used.
    #[error(transparent)]
    Modules(#[from] modules::ModuleError),
    /// The initramfs cannot be made.
    #[error(transparent)]
    Initramfs(#[from] initramfs::InitramfsError),
}

/// What to do where nothing can be fetched: the end of many a message.
const BRING_YOUR_OWN: &str =
    "or pass files of your own: --kernel FILE, --busybox FILE and, for a kernel with modules, --modules DIR";

/// Gives the kernel, the modules and the busybox of a release of Debian. What was fetched once is taken from
/// the cache, whatever newer kernels the mirror may have: the same command boots the same kernel until
/// [`directory`] is removed. Two processes may fetch at once; one waits for the other.
///
/// `progress` is told, a line each, of what takes time; it hears nothing if the cache has everything.
///
/// # Errors
/// [`LinuxError`] says what is missing and what to do.
pub fn fetch(what: &Fetch, progress: &mut dyn FnMut(&str)) -> Result<Distribution, LinuxError> {
    cache::Entry::open(what)?.distribution(what, progress)
}

/// Where a release's files lie within a cache directory; removing it has them fetched anew.
///
/// # Errors
/// [`packages::PackagesError::Suite`] for what cannot be the name of a release.
pub fn directory(cache: &Path, arch: Arch, suite: &str) -> Result<PathBuf, LinuxError> {
    Ok(cache.join(format!("{}-{arch}", packages::check_suite(suite)?)))
}
