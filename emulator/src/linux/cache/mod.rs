//! What was fetched, kept for the next time.
//!
//! A release has a directory of its own in the cache:
//!
//! | path | is |
//! |---|---|
//! | `lock` | locked for as long as a process looks (shared) or changes something (exclusive) |
//! | `packages` | the packages of which `files` are made: digest and file name, a line each |
//! | `debs/` | those packages |
//! | `files/` | `release`, `kernel`, `busybox` and `modules/`, unpacked |
//! | `files/manifest` | the digests of all of them, after its own |
//! | `apt/` | the root of the private apt; only while something is fetched, or after that has failed |
//!
//! Nothing is believed for being there. Every file is compared with its digest whenever it is used, and what
//! is wrong is made anew: `files` from `debs`, those from the mirror. Only of modules it is not found out
//! before one is loaded, which is an error then. What is made is made beside its place and moved there, so a
//! process that is killed leaves nothing half done.

mod manifest;
#[cfg(test)]
mod tests;
mod unpack;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::deb::DebError;
use super::digest::Digest;
use super::modules::ModuleTree;
use super::packages::{Package, PrivateApt};
use super::{Arch, BRING_YOUR_OWN, Distribution, Fetch, LinuxError, compression};
use manifest::Manifest;

/// The package of a busybox that needs no libraries.
const BUSYBOX_PACKAGE: &str = "busybox-static";

/// The most that the list of packages may have, and a kernel's or busybox's file.
const MAX_LIST: u64 = 1 << 20;
const MAX_FILE: u64 = 512 << 20;

/// The cache does not have what is asked for, or cannot be used.
#[derive(Debug, Error)]
pub enum CacheError {
    /// Nobody said where the cache is.
    #[error(
        "neither XDG_CACHE_HOME nor HOME is an absolute path; give a directory for the cache: --cache-dir DIR"
    )]
    NoHome,
    /// A file or directory cannot be read or written.
    #[error("cannot use {}: {source}; make it accessible, or give another directory: --cache-dir DIR", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// Nothing was fetched before.
    #[error(
        "the cache {} does not have Debian {suite} for {arch}, and nothing may be fetched: run once without \
         --offline, {BRING_YOUR_OWN}", directory.display()
    )]
    NotFetched {
        /// Which release.
        suite: String,
        /// For which architecture.
        arch: Arch,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// A package that cannot be unpacked.
    #[error("cannot unpack {}: {source}; remove it to have it fetched anew", path.display())]
    Unpack {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: DebError,
    },
    /// What was written reads otherwise.
    #[error("what was just written to {} reads otherwise; give another directory: --cache-dir DIR", .0.display())]
    Unreadable(PathBuf),
    /// Packages without something that a guest needs.
    #[error(
        "the packages of Debian {suite} for {arch} have no {part}: take another release, {BRING_YOUR_OWN}"
    )]
    Lacks {
        /// Which release.
        suite: String,
        /// For which architecture.
        arch: Arch,
        /// What they lack.
        part: &'static str,
    },
}

/// The user's directory for what can be fetched again: `iommulator/linux` in `$XDG_CACHE_HOME`, or else in
/// `~/.cache` (XDG Base Directory Specification).
///
/// # Errors
/// [`CacheError::NoHome`].
pub fn default_directory() -> Result<PathBuf, CacheError> {
    directory_from(|name| std::env::var_os(name).map(PathBuf::from))
}

fn directory_from(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, CacheError> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Ok(base.ok_or(CacheError::NoHome)?.join("iommulator").join("linux"))
}

/// A release in the cache.
#[derive(Debug)]
pub(super) struct Entry {
    directory: PathBuf,
}

/// How a release is used while it is locked.
enum Access {
    Shared,
    Exclusive,
}

impl Entry {
    pub fn open(what: &Fetch) -> Result<Self, LinuxError> {
        Ok(Self { directory: super::directory(&what.cache, what.arch, &what.suite)? })
    }

    /// What the release consists of: out of `files`, or made by every step that it takes.
    pub fn distribution(
        &self,
        what: &Fetch,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Distribution, LinuxError> {
        if let Some(_lock) = self.lock(&Access::Shared, progress)?
            && let Some(found) = self.unpacked()?
        {
            return Ok(found);
        }
        // A cache that can be read only, or is not there, cannot be completed without a mirror.
        let not_fetched = || CacheError::NotFetched {
            suite: what.suite.clone(),
            arch: what.arch,
            directory: what.cache.clone(),
        };
        if what.offline && !self.directory.is_dir() {
            return Err(not_fetched().into());
        }
        fs::create_dir_all(&self.directory).map_err(|source| self.io(source))?;
        let _lock = self.lock(&Access::Exclusive, progress)?;
        // Whoever had the lock before may have done all the work.
        if let Some(found) = self.unpacked()? {
            return Ok(found);
        }
        let debs = match self.kept_packages()? {
            Some(debs) => debs,
            None if what.offline => return Err(not_fetched().into()),
            None => self.download(what, progress)?,
        };
        progress(&format!("unpacking {} packages", debs.len()));
        unpack::unpack(&debs, &self.directory.join("files"), what)?;
        Ok(self.unpacked()?.ok_or_else(|| CacheError::Unreadable(self.directory.join("files")))?)
    }

    /// Locks the release. `None` if there is no file to lock.
    fn lock(&self, access: &Access, progress: &mut dyn FnMut(&str)) -> Result<Option<File>, LinuxError> {
        let path = self.directory.join("lock");
        let error = |source| CacheError::Io { path: path.clone(), source };
        let opened = match access {
            Access::Shared => File::open(&path),
            Access::Exclusive => File::create(&path),
        };
        let file = match opened {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(error)?,
        };
        let at_once = match access {
            Access::Shared => file.try_lock_shared().is_ok(),
            Access::Exclusive => file.try_lock().is_ok(),
        };
        if !at_once {
            progress(&format!("waiting for another process that uses {}", self.directory.display()));
            match access {
                Access::Shared => file.lock_shared().map_err(error)?,
                Access::Exclusive => file.lock().map_err(error)?,
            }
        }
        Ok(Some(file))
    }

    /// The release as it lies in `files`, if all of it is there and unchanged.
    fn unpacked(&self) -> Result<Option<Distribution>, LinuxError> {
        let files = self.directory.join("files");
        let Some(manifest) = Manifest::read(&files.join("manifest")) else { return Ok(None) };
        let read = |name: &str| {
            let bytes =
                File::open(files.join(name)).and_then(|file| compression::read_all(file, MAX_FILE)).ok()?;
            (manifest.digest(name) == Some(Digest::of(&bytes))).then_some(bytes)
        };
        let (Some(kernel), Some(busybox), Some(release)) = (read("kernel"), read("busybox"), read("release"))
        else {
            return Ok(None);
        };
        let modules = ModuleTree::new(files.join("modules"), manifest.below("modules"))?;
        Ok(Some(Distribution {
            release: String::from_utf8_lossy(&release).into_owned(),
            kernel,
            modules,
            busybox,
        }))
    }

    /// The packages that were downloaded, if all of them are there and unchanged.
    fn kept_packages(&self) -> Result<Option<Vec<PathBuf>>, LinuxError> {
        let path = self.directory.join("packages");
        let list = match File::open(&path).and_then(|file| compression::read_all(file, MAX_LIST)) {
            Ok(list) => list,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CacheError::Io { path, source }.into()),
        };
        let kept = |line: &str| {
            let (digest, name) = line.split_once("  ")?;
            let path = self.directory.join("debs").join(Path::new(name).file_name()?);
            let found = File::open(&path).and_then(Digest::of_reader).ok()?;
            (digest.parse() == Ok(found)).then_some(path)
        };
        let debs: Option<Vec<_>> = String::from_utf8_lossy(&list).lines().map(kept).collect();
        Ok(debs.filter(|debs| !debs.is_empty()))
    }

    /// Finds the newest packages of the release and downloads those that are not there.
    fn download(&self, what: &Fetch, progress: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>, LinuxError> {
        let root = self.directory.join("apt");
        let debs = self.directory.join("debs");
        for directory in [&root, &debs] {
            fs::create_dir_all(directory).map_err(|source| self.io(source))?;
        }
        let apt = PrivateApt::new(&root, what.arch, &what.suite, progress)?;
        let packages = apt.resolve(&[what.arch.kernel_package(), BUSYBOX_PACKAGE])?;
        let mut paths = Vec::new();
        for package in &packages {
            paths.push(self.deb(&apt, package, &debs, progress)?);
        }
        let list: String =
            packages.iter().map(|package| format!("{}  {}\n", package.digest, package.file_name())).collect();
        write_whole(&self.directory.join("packages"), list.as_bytes())?;
        self.remove_others(&debs, &paths)?;
        fs::remove_dir_all(&root).map_err(|source| self.io(source))?;
        Ok(paths)
    }

    fn deb(
        &self,
        apt: &PrivateApt,
        package: &Package,
        debs: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, LinuxError> {
        let path = debs.join(package.file_name());
        if File::open(&path).and_then(Digest::of_reader).is_ok_and(|digest| digest == package.digest) {
            return Ok(path);
        }
        let downloaded = apt.download(package, progress)?;
        fs::rename(downloaded, &path).map_err(|source| self.io(source))?;
        Ok(path)
    }

    /// Removes what earlier fetches left in `debs`.
    fn remove_others(&self, debs: &Path, keep: &[PathBuf]) -> Result<(), LinuxError> {
        for entry in fs::read_dir(debs).map_err(|source| self.io(source))? {
            let path = entry.map_err(|source| self.io(source))?.path();
            if !keep.contains(&path) {
                fs::remove_file(&path).map_err(|source| CacheError::Io { path, source })?;
            }
        }
        Ok(())
    }

    fn io(&self, source: io::Error) -> CacheError {
        CacheError::Io { path: self.directory.clone(), source }
    }
}

/// Writes a file so that it is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    let beside = path.with_extension("new");
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| CacheError::Io { path: path.to_owned(), source })
}
