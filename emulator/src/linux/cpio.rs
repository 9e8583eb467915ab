//! Writes cpio archives in the format that kernels unpack an initramfs from ("newc").
//!
//! An archive is a pure function of what was put into it: every entry belongs to root and was last changed
//! at the epoch, and inodes are numbered in the order of entries.

#[cfg(test)]
mod tests;

use thiserror::Error;

/// What an entry is: the upper bits of its mode.
const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// The name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// The kernel passes over entries with longer names, their NUL included.
const MAX_NAME: usize = 4096;

/// Something that the format has no room for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CpioError {
    /// The name is longer than a path may be in Linux.
    #[error("a path of {0} bytes is too long for an initramfs: Linux takes up to 4095")]
    Name(usize),
    /// The size does not fit the 32 bits of its field.
    #[error("{0} is too large for an initramfs: a file may have up to 4 GiB less one byte")]
    Size(String),
}

/// An archive that grows.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a directory with the permissions `mode`. Directories come before what lies in them: the kernel
    /// makes none by itself.
    ///
    /// # Errors
    /// [`CpioError::Name`].
    pub fn directory(&mut self, path: &str, mode: u32) -> Result<(), CpioError> {
        self.entry(path, DIRECTORY | permissions(mode), (0, 0), &[])
    }

    /// Adds a regular file with the permissions `mode`.
    ///
    /// # Errors
    /// [`CpioError`].
    pub fn file(&mut self, path: &str, mode: u32, data: &[u8]) -> Result<(), CpioError> {
        self.entry(path, FILE | permissions(mode), (0, 0), data)
    }

    /// Adds a symbolic link to `target`.
    ///
    /// # Errors
    /// [`CpioError`].
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<(), CpioError> {
        self.entry(path, SYMLINK | 0o777, (0, 0), target.as_bytes())
    }

    /// Adds the node of a character device.
    ///
    /// # Errors
    /// [`CpioError::Name`].
    pub fn character_device(&mut self, path: &str, mode: u32, device: (u32, u32)) -> Result<(), CpioError> {
        self.entry(path, CHARACTER_DEVICE | permissions(mode), device, &[])
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.header(TRAILER, [0; 3], (0, 0));
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), data: &[u8]) -> Result<(), CpioError> {
        let path = path.trim_start_matches('/');
        if path.len() >= MAX_NAME {
            return Err(CpioError::Name(path.len()));
        }
        let size = u32::try_from(data.len()).map_err(|_| CpioError::Size(path.to_owned()))?;
        self.entries += 1;
        self.header(path, [self.entries, mode, size], device);
        self.bytes.extend_from_slice(data);
        self.pad();
        Ok(())
    }

    fn header(&mut self, name: &str, [inode, mode, size]: [u32; 3], (major, minor): (u32, u32)) {
        // `entry` and TRAILER keep a name and its NUL within MAX_NAME.
        let name_size = name.len() as u32 + 1;
        let (owner, group, links, modified, checksum) = (0, 0, 1, 0, 0);
        let (device_major, device_minor) = (0, 0);
        self.bytes.extend_from_slice(b"070701");
        for field in [
            inode,
            mode,
            owner,
            group,
            links,
            modified,
            size,
            device_major,
            device_minor,
            major,
            minor,
            name_size,
            checksum,
        ] {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
    }

    /// Names and data start at multiples of 4.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

const fn permissions(mode: u32) -> u32 {
    mode & 0o7777
}
