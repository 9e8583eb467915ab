//! Kernel modules as a distribution installs them, and the order in which to load them.
//!
//! Debian's packages come without `modules.dep`: its installation makes that file. So dependencies are read
//! where `depmod` reads them, in the modules themselves, and only in those that are asked for. Names are
//! compared as `modprobe` compares them: `-` and `_` are the same.

mod builtin;
mod modinfo;
mod order;
mod scan;
#[cfg(test)]
pub(in crate::linux) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::compression;
use super::digest::Digest;

use modinfo::ModInfo;

/// The most that a module's file may have, and the module in it.
const MAX_MODULE: u64 = 256 << 20;

/// A module that is ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    name: String,
    data: Vec<u8>,
}

impl Module {
    /// Its name as the kernel lists it: `nvme_core`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object file, decompressed, its signature included.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// The modules of one kernel: the content of `/lib/modules/RELEASE`. Files are read when they are needed.
#[derive(Clone, Debug, Default)]
pub struct ModuleTree {
    root: PathBuf,
    files: BTreeMap<String, ModuleFile>,
    builtin: BTreeSet<String>,
    /// Other names of what is built in.
    aliases: BTreeSet<String>,
}

/// Where a module is, by its path from the tree's root.
#[derive(Clone, Debug)]
struct ModuleFile {
    path: PathBuf,
    /// Where it is known what the file must be.
    digest: Option<Digest>,
}

/// A kernel's modules cannot be used.
#[derive(Debug, Error)]
pub enum ModuleError {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}; give a directory such as /lib/modules/RELEASE that you may read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// A directory without modules.
    #[error("there are no modules in {}; give a directory such as /lib/modules/RELEASE", .0.display())]
    Empty(PathBuf),
    /// A directory with the modules of several kernels.
    #[error("{} has modules of several kernels; give one of: {}", root.display(), releases.join(", "))]
    Several {
        /// The directory.
        root: PathBuf,
        /// The directories in it.
        releases: Vec<String>,
    },
    /// A directory with more files than any kernel has.
    #[error("{} has too many files or is too deep for modules of a kernel; give /lib/modules/RELEASE", .0.display())]
    TooMany(PathBuf),
    /// A file is not what it was when it was put there.
    #[error("{} was changed after it was unpacked; remove {} to have it fetched anew", .0.display(), .1.display())]
    Changed(PathBuf, PathBuf),
    /// A file that is no module.
    #[error("{} is no kernel module: {reason}; give the module that belongs to the kernel", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A module that the kernel does not have.
    #[error("this kernel has no module {name}{}; check the name, or use a kernel that has it", needed(by))]
    Missing {
        /// The name.
        name: String,
        /// The module that depends on it, if it was not asked for itself.
        by: Option<String>,
    },
    /// Modules that depend on each other.
    #[error("the modules {} need each other, so none can be loaded first; use modules of one build", .0.join(", "))]
    Cycle(Vec<String>),
    /// A chain of dependencies that no kernel has.
    #[error("a chain of more than 64 dependencies comes to the module {0}; use modules of one build")]
    Deep(String),
}

fn needed(by: &Option<String>) -> String {
    by.as_ref().map_or_else(String::new, |by| format!(", which {by} needs"))
}

impl ModuleTree {
    /// The modules in `directory`: that of one kernel (`/lib/modules/RELEASE`), one that has it under
    /// `lib/modules` or `usr/lib/modules` (what `make modules_install` was given), or one with files of
    /// modules in it. Symbolic links are not followed.
    ///
    /// # Errors
    /// [`ModuleError`] if there are none, or those of several kernels.
    pub fn from_dir(directory: &Path) -> Result<Self, ModuleError> {
        let root = scan::root(directory)?;
        let files = scan::files(&root)?;
        Self::new(root, files.into_iter().map(|path| (path, None)))
    }

    /// The modules among `files`, by their paths from `root` and their digests.
    pub(super) fn new(
        root: PathBuf,
        files: impl IntoIterator<Item = (PathBuf, Option<Digest>)>,
    ) -> Result<Self, ModuleError> {
        let mut tree = Self { root, ..Self::default() };
        for (path, digest) in files {
            let Some(name) = scan::module_name(&path) else { continue };
            // What an administrator put beside the kernel's own is meant to replace it.
            let own = path.starts_with("kernel");
            if !own || !tree.files.contains_key(&name) {
                tree.files.insert(name, ModuleFile { path, digest });
            }
        }
        tree.builtin = builtin::names(&tree.root)?;
        tree.aliases = builtin::aliases(&tree.root)?;
        Ok(tree)
    }

    /// How many modules there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The modules to load so that all of `names` are there: each after what it depends on, none twice, none
    /// that is built into the kernel. A name is that of a module, or an alias of one.
    ///
    /// # Errors
    /// [`ModuleError`] says which module is missing or broken.
    pub fn load_order(&self, names: &[&str]) -> Result<Vec<Module>, ModuleError> {
        order::load_order(self, names)
    }

    /// Reads a module's file, and what it says of itself.
    fn read(&self, name: &str, file: &ModuleFile) -> Result<(Module, ModInfo), ModuleError> {
        let path = self.root.join(&file.path);
        let read = |source| ModuleError::Read { path: path.clone(), source };
        let stored =
            File::open(&path).and_then(|file| compression::read_all(file, MAX_MODULE)).map_err(read)?;
        if file.digest.is_some_and(|digest| digest != Digest::of(&stored)) {
            return Err(ModuleError::Changed(path, self.root.clone()));
        }
        let malformed = |reason: String| ModuleError::Malformed { path: path.clone(), reason };
        let data = compression::reader(Cursor::new(stored))
            .and_then(|source| compression::read_all(source, MAX_MODULE))
            .map_err(|error| malformed(error.to_string()))?;
        let info = ModInfo::parse(&data).map_err(|reason| malformed(reason.to_string()))?;
        Ok((Module { name: name.to_owned(), data }, info))
    }
}

/// A module's name in the form in which names are compared.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}
