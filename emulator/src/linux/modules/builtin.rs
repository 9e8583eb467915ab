//! What a kernel has without any module: `modules.builtin` and `modules.builtin.modinfo` of its tree. A tree
//! without them is one of which it is not known; then every name must be that of a module.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use super::{ModuleError, canonical, scan};
use crate::linux::compression;

/// The most that either file may have; those of full kernels have less than 1 MiB.
const MAX_INDEX: u64 = 64 << 20;

/// The names of what is built in.
pub(super) fn names(root: &Path) -> Result<BTreeSet<String>, ModuleError> {
    let bytes = index(root, "modules.builtin")?;
    Ok(String::from_utf8_lossy(&bytes)
        .lines()
        .filter_map(|line| scan::module_name(Path::new(line)))
        .collect())
}

/// The further names of it: strings `MODULE.alias=ALIAS`.
pub(super) fn aliases(root: &Path) -> Result<BTreeSet<String>, ModuleError> {
    let bytes = index(root, "modules.builtin.modinfo")?;
    let strings = bytes.split(|byte| *byte == 0).filter_map(|string| str::from_utf8(string).ok());
    Ok(strings.filter_map(|string| string.split_once(".alias=")).map(|(_, alias)| canonical(alias)).collect())
}

fn index(root: &Path, name: &str) -> Result<Vec<u8>, ModuleError> {
    let path = root.join(name);
    match File::open(&path).and_then(|file| compression::read_all(file, MAX_INDEX)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|source| ModuleError::Read { path, source }),
    }
}
