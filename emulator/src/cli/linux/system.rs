//! What is booted: a kernel, and the initramfs that does the task.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use emulator::exit::Exit;
use emulator::linux::initramfs::{self, GuestFile, Initramfs, Task};
use emulator::linux::{self, Arch, Distribution, Fetch, ModuleTree};

use crate::cli::{Failure, OrExit, files};

/// The driver of the default disk.
const DISK_MODULE: &str = "nvme";
/// Its name in the guest.
const DISK: &str = "/dev/nvme0n1";

/// Options that choose kernel and initramfs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kernel and initramfs")]
pub struct SystemArgs {
    /// Architecture of the kernel
    #[arg(long, default_value_t, value_name = "NAME")]
    arch: Arch,
    /// Release of Debian whose kernel is fetched
    #[arg(long, default_value = Fetch::DEFAULT_SUITE, value_name = "NAME")]
    suite: String,
    /// Use what was fetched before, and no network
    #[arg(long)]
    offline: bool,
    /// Where to keep what is fetched [default: iommulator in the user's cache directory]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Boot this kernel: Image, compressed or not, as distributions ship it
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The kernel's modules, such as /lib/modules/RELEASE; without it all must be built in
    #[arg(long, value_name = "DIR", requires = "kernel")]
    modules: Option<PathBuf>,
    /// Load this module too, with those that it needs (may be repeated)
    #[arg(long, value_name = "MODULE")]
    load: Vec<String>,
    /// Statically linked busybox for the guest
    #[arg(long, value_name = "FILE")]
    busybox: Option<PathBuf>,
    /// Put a file of this host into the guest's file system (may be repeated)
    #[arg(long = "file", value_name = "HOST=GUEST")]
    files: Vec<FileSpec>,
    /// Boot this initramfs instead: what it starts is its own affair
    #[arg(long, value_name = "FILE", conflicts_with_all = ["exec", "modules", "load", "busybox", "files"])]
    initrd: Option<PathBuf>,
}

/// A kernel and the initramfs for it.
#[derive(Debug)]
pub struct System {
    /// The kernel, for messages.
    pub name: String,
    /// Its image.
    pub kernel: Vec<u8>,
    /// The initramfs.
    pub initrd: Vec<u8>,
}

impl SystemArgs {
    /// Whether the user's own initramfs is booted.
    pub const fn has_own_initrd(&self) -> bool {
        self.initrd.is_some()
    }

    /// Gets everything; `disk` says whether the guest is to wait for the default disk.
    pub fn system(&self, task: Task, disk: bool) -> Result<System, Failure> {
        let mut stock = Stock { args: self, fetched: None };
        let (name, kernel) = match &self.kernel {
            Some(path) => (path.display().to_string(), files::read_named("the kernel", path)?),
            None => {
                let Distribution { release, kernel, .. } = stock.get()?;
                (release.clone(), kernel.clone())
            }
        };
        if let Some(initrd) = &self.initrd {
            return Ok(System { name, kernel, initrd: files::read_initrd(initrd)? });
        }
        let busybox = match &self.busybox {
            Some(path) => files::read_named("the busybox", path)?,
            None => stock.get()?.busybox.clone(),
        };
        let loaded = self.load.iter().map(String::as_str);
        let wanted: Vec<&str> = disk.then_some(DISK_MODULE).into_iter().chain(loaded).collect();
        let modules = match (&self.kernel, &self.modules) {
            (None, _) => stock.get()?.modules.load_order(&wanted),
            (Some(_), Some(directory)) => {
                ModuleTree::from_dir(directory).and_then(|modules| modules.load_order(&wanted))
            }
            (Some(_), None) if self.load.is_empty() => Ok(Vec::new()),
            (Some(_), None) => {
                let why = "--load needs --modules DIR, where this kernel's modules are";
                return Err(Failure::new(Exit::Usage, why));
            }
        };
        let modules = modules.or_exit(Exit::Environment)?;
        let files = self.files.iter().map(FileSpec::read).collect::<Result<Vec<_>, _>>()?;
        let disks = if disk { &[DISK][..] } else { &[] };
        let parts = Initramfs { busybox: &busybox, modules: &modules, disks, task, files: &files };
        let initrd = initramfs::build(&parts).or_exit(Exit::Usage)?;
        Ok(System { name, kernel, initrd })
    }

    fn fetch(&self) -> Result<Distribution, Failure> {
        let cache = match &self.cache_dir {
            Some(cache) => cache.clone(),
            None => linux::default_directory().or_exit(Exit::Environment)?,
        };
        let what = Fetch { arch: self.arch, suite: self.suite.clone(), cache, offline: self.offline };
        let mut progress = |line: &str| tell!("iommulator: {line}");
        linux::fetch(&what, &mut progress).or_exit(Exit::Environment)
    }
}

/// What is fetched if it is needed.
struct Stock<'a> {
    args: &'a SystemArgs,
    fetched: Option<Distribution>,
}

impl Stock<'_> {
    fn get(&mut self) -> Result<&Distribution, Failure> {
        let fetched = match self.fetched.take() {
            Some(fetched) => fetched,
            None => self.args.fetch()?,
        };
        Ok(self.fetched.insert(fetched))
    }
}

/// A file for the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileSpec {
    host: PathBuf,
    guest: String,
}

impl FromStr for FileSpec {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A path in the guest rarely has a '=', one on the host may.
        match text.rsplit_once('=') {
            Some((host, guest)) if !host.is_empty() && guest.starts_with('/') => {
                Ok(Self { host: host.into(), guest: guest.to_owned() })
            }
            _ => Err("expected HOST=GUEST, where GUEST is an absolute path"),
        }
    }
}

impl FileSpec {
    /// The file, with its permissions here.
    fn read(&self) -> Result<GuestFile, Failure> {
        use std::os::unix::fs::PermissionsExt as _;

        let context = || format!("cannot read the file {}", self.host.display());
        let mode = std::fs::metadata(&self.host).with_context(context).or_exit(Exit::Environment)?;
        let mode = mode.permissions().mode() & 0o7777;
        Ok(GuestFile { path: self.guest.clone(), mode, data: files::read_named("the file", &self.host)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        for (text, host, guest) in
            [("a=/b", "a", "/b"), ("/x/y=z=/root/z", "/x/y=z", "/root/z"), ("a b=/c d", "a b", "/c d")]
        {
            assert_eq!(text.parse(), Ok(FileSpec { host: host.into(), guest: guest.to_owned() }), "{text}");
        }
        for text in ["", "a", "a=", "=/b", "a=b", "a=/b=c"] {
            assert!(text.parse::<FileSpec>().is_err(), "{text}");
        }
    }
}
