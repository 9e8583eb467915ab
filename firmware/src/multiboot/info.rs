//! The boot information structure and what it points to [Multiboot 3.3].

use super::{INFO, INFO_SIZE, MultibootError};
use crate::memory_map::{Entry, Kind};

/// Where memory map, module list and strings begin: after the 116 bytes of the structure, 8-byte
/// aligned.
const PARTS: usize = 120;
/// Memory sizes, command line, modules, memory map, name of the boot loader are valid.
const FLAGS: u32 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9;
const LOADER_NAME: &str = "iommulator";
const MIB: u64 = 1 << 20;

/// A module where it will lie.
pub(super) struct PlacedModule<'a> {
    /// Page-aligned and below 4 GiB, as the end is.
    pub first: u64,
    /// The address after the last byte.
    pub end: u64,
    pub bytes: &'a [u8],
    pub command_line: &'a str,
}

/// What [`INFO`] and the following addresses shall hold.
pub(super) fn build(
    map: &[Entry],
    command_line: &str,
    modules: &[PlacedModule<'_>],
) -> Result<Vec<u8>, MultibootError> {
    let mut parts = Parts(vec![0; PARTS]);
    let map_address = parts.address();
    for entry in map {
        // The size of an entry does not count the size field.
        parts.0.extend(20_u32.to_le_bytes());
        parts.0.extend(entry.first.to_le_bytes());
        parts.0.extend(entry.size().to_le_bytes());
        parts.0.extend((entry.kind as u32).to_le_bytes());
    }
    let map_length = parts.address() - map_address;
    let modules_address = parts.address();
    let list = parts.0.len();
    parts.0.resize(list + 16 * modules.len(), 0);
    for (index, module) in modules.iter().enumerate() {
        let string = parts.string(module.command_line)?;
        // Both are below 4 GiB.
        parts.words(list + 16 * index, &[module.first as u32, module.end as u32, string, 0]);
    }
    let command_line = parts.string(command_line)?;
    let loader_name = parts.string(LOADER_NAME)?;
    let size = parts.0.len();
    if size > INFO_SIZE {
        return Err(MultibootError::Info { size, max: INFO_SIZE });
    }
    let (lower, upper) = (contiguous(map, 0) / 1024, contiguous(map, MIB) / 1024);
    // Below 640, and at most 2^54, of which 32 bits are all that the format can say.
    parts.words(0, &[FLAGS, lower as u32, u32::try_from(upper).unwrap_or(u32::MAX)]);
    // Module count: so many fit the size above.
    parts.words(16, &[command_line, modules.len() as u32, modules_address]);
    parts.words(44, &[map_length, map_address]);
    parts.words(64, &[loader_name]);
    Ok(parts.0)
}

/// Bytes of RAM from `first` to the first hole.
fn contiguous(map: &[Entry], first: u64) -> u64 {
    let mut end = first;
    for entry in map.iter().filter(|entry| entry.kind == Kind::Ram) {
        if entry.first == end {
            end = entry.first + entry.size();
        }
    }
    end - first
}

/// The structure and what follows it.
struct Parts(Vec<u8>);

impl Parts {
    /// The address of the next part. A length that would overflow is refused at the end.
    fn address(&self) -> u32 {
        (INFO as u32).wrapping_add(self.0.len() as u32)
    }

    fn words(&mut self, at: usize, words: &[u32]) {
        for (at, word) in (at..).step_by(4).zip(words) {
            self.0[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
    }

    /// Adds a string with its NUL and returns its address.
    fn string(&mut self, string: &str) -> Result<u32, MultibootError> {
        if string.contains('\0') {
            return Err(MultibootError::Nul(string.to_owned()));
        }
        let address = self.address();
        self.0.extend(string.as_bytes());
        self.0.push(0);
        Ok(address)
    }
}
