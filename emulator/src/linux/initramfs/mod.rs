//! The root of a guest in memory: busybox, modules, files, and a program `/init` that does one task.
//!
//! The guest is asked to do little: modules come decompressed and in the order in which they load, there is
//! no udev and no module index. Standard output of an [`Exec`](Task::Exec) task goes to the board's second
//! serial line, so that it and the kernel's messages do not mix. Whatever goes wrong in `/init` is told on
//! the console and ends in a power-off with [`INIT_FAILED`]: never in a wait for someone at a keyboard.
//!
//! The end of a task, on the second serial line: a NUL, `exit `, the status in decimal, a newline.

mod init;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::Module;
use super::cpio::{Archive, CpioError};

/// The status of a task that could not be started: a file system that cannot be mounted, a module that does
/// not load, a disk that does not appear. What `env` and `chroot` use for that.
pub const INIT_FAILED: u8 = 125;

/// Directories over which `/init` mounts: files below would not be seen.
const MOUNT_POINTS: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// Directories besides, with their permissions; the links to busybox go to those named `bin` and `sbin`.
const DIRECTORIES: [(&str, u32); 13] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("lib", 0o755),
    ("lib/modules", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
];

/// Linux starts no program with a longer argument (MAX_ARG_STRLEN: 32 pages, the NUL included).
const MAX_COMMAND: usize = (128 << 10) - 1;

/// What an initramfs is made of.
#[derive(Clone, Debug)]
pub struct Initramfs<'a> {
    /// A statically linked busybox with `sh`, `mount`, `insmod`, `stty`, `setsid`, `cttyhack` and `poweroff`.
    pub busybox: &'a [u8],
    /// Modules, in the order in which they are loaded.
    pub modules: &'a [Module],
    /// Block devices that must appear before the task starts: `/dev/nvme0n1`.
    pub disks: &'a [&'a str],
    /// What to do.
    pub task: Task,
    /// Files of the user.
    pub files: &'a [GuestFile],
}

/// What the guest does before it powers off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// An interactive shell on the kernel's console. Its status is sent too, where there is a second serial
    /// line.
    Shell,
    /// A command for `sh -c`. Its standard input is empty, its output goes to the second serial line.
    Exec(String),
}

/// A file of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFile {
    /// Where it lies in the guest: an absolute path. Directories above it are made.
    pub path: String,
    /// Its permissions: `0o755` for a program.
    pub mode: u32,
    /// What is in it.
    pub data: Vec<u8>,
}

/// The initramfs cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InitramfsError {
    /// A command that cannot be an argument of a program.
    #[error("the command has a NUL byte, which no argument of a program can hold")]
    CommandNul,
    /// A command that is too long for an argument of a program.
    #[error(
        "the command has {0} bytes, and Linux takes 131071 in one argument; put it in a file of the guest"
    )]
    CommandLength(usize),
    /// A path that is not one.
    #[error("'{0}' is no path for a file in the guest; it must start with '/', name a file and have no '..'")]
    Path(String),
    /// A path that belongs to the initramfs, or that two files would have.
    #[error("'{0}' is there already; give the file another path in the guest")]
    Taken(String),
    /// A path below a directory over which a file system is mounted.
    #[error(
        "'{0}' would not be seen in the guest, which mounts a file system there; use a path such as /root"
    )]
    Hidden(String),
    /// A disk whose name is none of a device.
    #[error("'{0}' is not the path of a block device; say /dev/nvme0n1 or the like")]
    Disk(String),
    /// The archive has no room for something.
    #[error(transparent)]
    Cpio(#[from] CpioError),
}

/// Makes an initramfs: a cpio archive that is not compressed. The same parts give the same bytes.
///
/// # Errors
/// [`InitramfsError`] says which part it is and what to do.
pub fn build(parts: &Initramfs<'_>) -> Result<Vec<u8>, InitramfsError> {
    let Initramfs { busybox, modules, disks, task, files } = parts;
    let names: Vec<_> = modules.iter().map(|module| format!("lib/modules/{}.ko", module.name())).collect();
    let init = init::script(&names, disks, task)?;

    let mut content = BTreeMap::new();
    content.insert("bin/busybox".to_owned(), (0o755, *busybox));
    content.insert("init".to_owned(), (0o755, init.as_bytes()));
    for (name, module) in names.into_iter().zip(*modules) {
        content.insert(name, (0o644, module.data()));
    }
    for GuestFile { path, mode, data } in *files {
        let relative = relative(path)?;
        if DIRECTORIES.iter().any(|(directory, _)| *directory == relative)
            || content.insert(relative.to_owned(), (*mode, data)).is_some()
        {
            return Err(InitramfsError::Taken(path.clone()));
        }
    }

    let mut directories: BTreeMap<&str, u32> = BTreeMap::new();
    let named = DIRECTORIES.iter().map(|(directory, _)| *directory);
    for directory in content.keys().map(String::as_str).chain(named).flat_map(above) {
        if content.contains_key(directory) {
            return Err(InitramfsError::Taken(format!("/{directory}")));
        }
        directories.insert(directory, 0o755);
    }
    directories.extend(DIRECTORIES);

    let mut archive = Archive::default();
    for (path, mode) in directories {
        archive.directory(path, mode)?;
    }
    // The kernel opens its console for /init before anything is mounted.
    archive.character_device("dev/console", 0o600, (5, 1))?;
    archive.character_device("dev/null", 0o666, (1, 3))?;
    for (path, (mode, data)) in content {
        archive.file(&path, mode, data)?;
    }
    Ok(archive.finish())
}

/// The path of a user's file, as the archive has it.
fn relative(path: &str) -> Result<&str, InitramfsError> {
    let relative = path
        .strip_prefix('/')
        .filter(|path| path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0'));
    let relative = relative.ok_or_else(|| InitramfsError::Path(path.to_owned()))?;
    let top = relative.split('/').next().unwrap_or(relative);
    if MOUNT_POINTS.contains(&top) {
        return Err(InitramfsError::Hidden(path.to_owned()));
    }
    Ok(relative)
}

/// The directories that `path` lies in, from the root on.
fn above(path: &str) -> BTreeSet<&str> {
    path.match_indices('/').map(|(end, _)| &path[..end]).collect()
}
