//! Finds modules in a directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{ModuleError, canonical};

/// Bounds of a tree; Debian's largest kernel has 4,300 modules, 10 directories deep.
const MAX_ENTRIES: usize = 100_000;
const MAX_DEPTH: usize = 32;

/// The name of the module in a file called `path`, if it is called as one.
pub(super) fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].into_iter().find_map(|end| file.strip_suffix(end))?;
    (!stem.is_empty()).then(|| canonical(stem))
}

/// The directory of one kernel that `directory` is or contains.
pub(super) fn root(directory: &Path) -> Result<PathBuf, ModuleError> {
    if is_root(directory)? {
        return Ok(directory.to_owned());
    }
    // By their true paths: `lib` is a link to `usr/lib` in the root of many a system.
    let mut releases = BTreeSet::new();
    for parent in ["", "lib/modules", "usr/lib/modules"] {
        let parent = directory.join(parent);
        if !parent.is_dir() {
            continue;
        }
        for (path, is_directory) in entries(&parent)? {
            if is_directory && is_root(&path)? {
                releases.insert(fs::canonicalize(&path).unwrap_or(path));
            }
        }
    }
    let several = || releases.iter().map(|path| path.display().to_string()).collect();
    match releases.len() {
        0 | 1 => releases.pop_first().ok_or_else(|| ModuleError::Empty(directory.to_owned())),
        _ => Err(ModuleError::Several { root: directory.to_owned(), releases: several() }),
    }
}

/// Whether modules of one kernel are in `directory`, not in a directory of that kernel's name below.
fn is_root(directory: &Path) -> Result<bool, ModuleError> {
    Ok(entries(directory)?.iter().any(|(path, is_directory)| {
        *is_directory && path.ends_with("kernel")
            || path.ends_with("modules.builtin")
            || !is_directory && module_name(path).is_some()
    }))
}

/// The paths of all files below `root`, from there, sorted.
pub(super) fn files(root: &Path) -> Result<Vec<PathBuf>, ModuleError> {
    let mut files = Vec::new();
    let mut directories = vec![(root.to_owned(), 0)];
    let mut seen = 0;
    while let Some((directory, depth)) = directories.pop() {
        for (path, is_directory) in entries(&directory)? {
            seen += 1;
            if seen > MAX_ENTRIES || depth > MAX_DEPTH {
                return Err(ModuleError::TooMany(root.to_owned()));
            }
            if is_directory {
                directories.push((path, depth + 1));
            } else if let Ok(relative) = path.strip_prefix(root) {
                files.push(relative.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The directories (`true`) and regular files in `directory`, sorted.
fn entries(directory: &Path) -> Result<Vec<(PathBuf, bool)>, ModuleError> {
    let read = |source| ModuleError::Read { path: directory.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(read)? {
        let entry = entry.map_err(read)?;
        let kind = entry.file_type().map_err(read)?;
        if kind.is_dir() || kind.is_file() {
            found.push((entry.path(), kind.is_dir()));
        }
        if found.len() > MAX_ENTRIES {
            return Err(ModuleError::TooMany(directory.to_owned()));
        }
    }
    found.sort();
    Ok(found)
}
