//! Takes out of packages what a guest needs.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use super::{CacheError, MAX_FILE};
use crate::linux::Fetch;
use crate::linux::compression;
use crate::linux::deb::{self, DebError};
use crate::linux::digest::Digest;

/// What a file of a package is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The kernel of a release.
    Kernel(String),
    /// A module of a release, or a list of what is built in, by its path in the release's directory.
    Module(String, String),
    /// The program.
    Busybox,
}

/// What the file `path` of a package is for, if it is for anything. Debian has kernels in `/boot` until
/// release 13, and in the directory of their modules from release 14 on.
pub(super) fn part(path: &str) -> Option<Part> {
    let path = path.strip_prefix("usr/").unwrap_or(path);
    if path == "bin/busybox" {
        return Some(Part::Busybox);
    }
    if let Some(release) = path.strip_prefix("boot/vmlinuz-") {
        return Some(Part::Kernel(release.to_owned()));
    }
    let (release, file) = path.strip_prefix("lib/modules/")?.split_once('/')?;
    match file {
        "vmlinuz" => Some(Part::Kernel(release.to_owned())),
        _ => Some(Part::Module(release.to_owned(), file.to_owned())),
    }
}

/// Unpacks `debs` into the directory `files`, in whose place it comes when it is complete.
pub(super) fn unpack(debs: &[PathBuf], files: &Path, what: &Fetch) -> Result<(), CacheError> {
    let beside = files.with_extension("new");
    remove(&beside)?;
    let mut unpacked = Unpacked { root: beside.clone(), ..Unpacked::default() };
    for path in debs {
        let unpack = |source| CacheError::Unpack { path: path.clone(), source };
        let package = File::open(path).map_err(|source| CacheError::Io { path: path.clone(), source })?;
        deb::files(BufReader::new(package), |name, content| unpacked.add(name, content)).map_err(unpack)?;
    }
    let lacks = |part| CacheError::Lacks { suite: what.suite.clone(), arch: what.arch, part };
    let release = unpacked.release.take().filter(|_| unpacked.has_kernel).ok_or_else(|| lacks("kernel"))?;
    unpacked.manifest.digest("busybox").ok_or_else(|| lacks("busybox"))?;
    let io = |source| CacheError::Io { path: files.to_owned(), source };
    unpacked.write("release".to_owned(), release.as_bytes()).map_err(io)?;
    fs::write(beside.join("manifest"), unpacked.manifest.text()).map_err(io)?;
    remove(files)?;
    fs::rename(&beside, files).map_err(io)
}

#[derive(Default)]
struct Unpacked {
    root: PathBuf,
    manifest: Manifest,
    /// That of the kernel and its modules.
    release: Option<String>,
    has_kernel: bool,
}

impl Unpacked {
    fn add(&mut self, name: &str, content: &mut dyn Read) -> Result<(), DebError> {
        let path = match part(name) {
            Some(Part::Kernel(release)) => {
                self.belongs(&release)?;
                self.has_kernel = true;
                "kernel".to_owned()
            }
            Some(Part::Module(release, path)) => {
                self.belongs(&release)?;
                format!("modules/{path}")
            }
            Some(Part::Busybox) => "busybox".to_owned(),
            None => return Ok(()),
        };
        let bytes = compression::read_all(content, MAX_FILE)?;
        Ok(self.write(path, &bytes)?)
    }

    /// Modules load into no kernel but their own.
    fn belongs(&mut self, release: &str) -> Result<(), DebError> {
        match self.release.get_or_insert_with(|| release.to_owned()) {
            known if known == release => Ok(()),
            _ => Err(DebError::Malformed("it has files of another kernel than the other packages")),
        }
    }

    fn write(&mut self, path: String, bytes: &[u8]) -> io::Result<()> {
        let target = self.root.join(&path);
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)?;
        }
        File::create(target)?.write_all(bytes)?;
        self.manifest.insert(path, Digest::of(bytes));
        Ok(())
    }
}

fn remove(directory: &Path) -> Result<(), CacheError> {
    match fs::remove_dir_all(directory) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CacheError::Io { path: directory.to_owned(), source })
        }
        _ => Ok(()),
    }
}
