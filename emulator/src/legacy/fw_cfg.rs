//! The port pair by which a PC's firmware, and test programs, ask what the machine was given
//! [QEMU docs/specs/fw_cfg.rst].

use devices::fabric::Effects;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A read-only firmware configuration device: a 16-bit selector, and a data port that gives the
/// selected item byte by byte, then zeros. Items are little-endian, but for the file directory.
///
/// The DMA interface is not there, and the id says so. A selector without an item selects an empty
/// one.
#[derive(Clone, Debug)]
pub struct FwCfg {
    /// By selector, fixed once the machine runs.
    items: Vec<(u16, Vec<u8>)>,
    files: Vec<File>,
    /// The item that lists the files, big-endian: their number, then size, selector and name of each.
    directory: Vec<u8>,
    position: State,
}

/// A saved [`FwCfg`]: what is selected and how far it was read. The items are the machine's
/// configuration, not state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// As written, bit 14 (which asks for write access) cleared.
    selector: u16,
    /// Byte of the item that the next read gives.
    offset: u32,
}

#[derive(Clone, Debug)]
struct File {
    name: String,
    contents: Vec<u8>,
}

/// A file that the device cannot offer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FwCfgError {
    /// The name does not fit its field or occurs already.
    #[error("the fw_cfg file name {0:?} is not 1 to 55 printable ASCII characters, or is taken; use another")]
    Name(String),
    /// The size does not fit its field.
    #[error("the fw_cfg file {name:?} has {size} bytes; at most 4294967295 fit")]
    Size {
        /// The file's name.
        name: String,
        /// Its size.
        size: usize,
    },
    /// No selector is left.
    #[error("there are more than {max} fw_cfg files; give fewer")]
    Full {
        /// Files that fit.
        max: usize,
    },
}

const SIGNATURE: u16 = 0x0000;
const ID: u16 = 0x0001;
const RAM_SIZE: u16 = 0x0003;
const NB_CPUS: u16 = 0x0005;
const MAX_CPUS: u16 = 0x000f;
const FILE_DIR: u16 = 0x0019;
const FIRST_FILE: u16 = 0x0020;
/// ID bit 0: the traditional interface, which these ports are.
const TRADITIONAL: u32 = 1;
/// Selector bit 14: write access, which current versions of the interface ignore.
const WRITE_ACCESS: u16 = 1 << 14;
/// Bytes of a name in the directory, its NUL included.
const NAME_SIZE: usize = 56;

impl FwCfg {
    /// Where a PC has it: the selector's port; the data port is the one that follows.
    pub const PORT: u16 = 0x510;
    /// Ports it occupies.
    pub const PORTS: u16 = 2;
    /// Files that it can offer.
    pub const FILES_MAX: usize = (WRITE_ACCESS - FIRST_FILE) as usize;

    /// A device without files, for a machine with `cpus` processors, room for `max_cpus` and
    /// `ram_size` bytes of RAM.
    pub fn new(cpus: u16, max_cpus: u16, ram_size: u64) -> Self {
        let items = vec![
            (SIGNATURE, b"QEMU".to_vec()),
            (ID, TRADITIONAL.to_le_bytes().to_vec()),
            (RAM_SIZE, ram_size.to_le_bytes().to_vec()),
            (NB_CPUS, cpus.to_le_bytes().to_vec()),
            (MAX_CPUS, max_cpus.to_le_bytes().to_vec()),
        ];
        Self { items, files: Vec::new(), directory: vec![0; 4], position: State::default() }
    }

    /// Adds a file; its selector is the next free one from 0x20 on.
    ///
    /// # Errors
    /// [`FwCfgError`]: the name, the size or the number of files does not fit.
    pub fn add_file(&mut self, name: &str, contents: Vec<u8>) -> Result<(), FwCfgError> {
        let printable =
            (1..NAME_SIZE).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || self.files.iter().any(|file| file.name == name) {
            return Err(FwCfgError::Name(name.to_owned()));
        }
        let size = u32::try_from(contents.len())
            .map_err(|_| FwCfgError::Size { name: name.to_owned(), size: contents.len() })?;
        let index = self.files.len();
        if index >= Self::FILES_MAX {
            return Err(FwCfgError::Full { max: Self::FILES_MAX });
        }
        // Both fit 14 bits.
        let (selector, count) = (FIRST_FILE + index as u16, index as u32 + 1);
        self.directory[..4].copy_from_slice(&count.to_be_bytes());
        self.directory.extend(size.to_be_bytes());
        self.directory.extend(selector.to_be_bytes());
        self.directory.extend([0; 2]);
        self.directory.extend(name.as_bytes());
        self.directory.resize(self.directory.len() + NAME_SIZE - name.len(), 0);
        self.files.push(File { name: name.to_owned(), contents });
        Ok(())
    }

    /// Reads `data.len()` ports from `offset`. The selector's reads as ones.
    pub fn read(&mut self, offset: u16, data: &mut [u8], _: &mut Effects) {
        for (port, byte) in (usize::from(offset)..).zip(data) {
            *byte = if port == 1 { self.next() } else { 0xff };
        }
    }

    /// Writes `data.len()` ports from `offset`. Only a write of both bytes of the selector counts.
    pub fn write(&mut self, offset: u16, data: &[u8], _: &mut Effects) {
        if let (0, &[low, high]) = (offset, data) {
            let selector = u16::from_le_bytes([low, high]) & !WRITE_ACCESS;
            self.position = State { selector, offset: 0 };
        }
    }

    /// The device's state as data.
    pub fn save(&self) -> State {
        let Self { items: _, files: _, directory: _, position } = self;
        position.clone()
    }

    /// Replaces the state by what was saved.
    pub fn restore(&mut self, state: State) {
        self.position = state;
    }

    fn next(&mut self) -> u8 {
        let State { selector, offset } = self.position;
        // An offset that does not fit the host's usize lies behind any item's end.
        let byte = usize::try_from(offset).ok().and_then(|offset| self.item(selector).get(offset).copied());
        self.position.offset = offset.saturating_add(1);
        byte.unwrap_or(0)
    }

    fn item(&self, selector: u16) -> &[u8] {
        if selector == FILE_DIR {
            return &self.directory;
        }
        let file = || self.files.get(usize::from(selector.checked_sub(FIRST_FILE)?));
        match self.items.iter().find(|(item, _)| *item == selector) {
            Some((_, contents)) => contents,
            None => file().map_or(&[], |file| &file.contents),
        }
    }
}

#[cfg(test)]
mod tests {
    use devices::events::Time;

    use super::*;

    fn fx() -> Effects {
        Effects::new(Time(0), false)
    }

    fn select(fw_cfg: &mut FwCfg, selector: u16) {
        fw_cfg.write(0, &selector.to_le_bytes(), &mut fx());
    }

    fn bytes<const N: usize>(fw_cfg: &mut FwCfg) -> [u8; N] {
        [(); N].map(|()| {
            let mut data = [0xee];
            fw_cfg.read(1, &mut data, &mut fx());
            data[0]
        })
    }

    #[test]
    fn items_read_byte_by_byte_and_then_as_zeros() {
        let mut fw_cfg = FwCfg::new(2, 0x104, 0x1_2345_6000);
        assert_eq!(bytes(&mut fw_cfg), *b"QEMU\0", "selected from the start");
        for (selector, expected) in [
            (0x0000, *b"QEMU\0\0\0\0\0"),
            (0x0001, [1, 0, 0, 0, 0, 0, 0, 0, 0]),
            (0x0002, [0; 9]),
            (0x0003, [0, 0x60, 0x45, 0x23, 1, 0, 0, 0, 0]),
            (0x0005, [2, 0, 0, 0, 0, 0, 0, 0, 0]),
            (0x000f, [4, 1, 0, 0, 0, 0, 0, 0, 0]),
            (0x0019, [0; 9]),
            (0x0020, [0; 9]),
            (0x4005, [2, 0, 0, 0, 0, 0, 0, 0, 0]),
            (0x8005, [0; 9]),
            (0xffff, [0; 9]),
        ] {
            select(&mut fw_cfg, selector);
            assert_eq!(bytes(&mut fw_cfg), expected, "{selector:#x}");
        }
    }

    #[test]
    fn files_are_listed_and_read() {
        let mut fw_cfg = FwCfg::new(1, 1, 0);
        fw_cfg.add_file("etc/one", vec![1, 2, 3]).unwrap();
        let long = "x".repeat(55);
        fw_cfg.add_file(&long, vec![7; 0x102]).unwrap();
        select(&mut fw_cfg, 0x19);
        assert_eq!(bytes(&mut fw_cfg), [0, 0, 0, 2]);
        let first: [u8; 64] = bytes(&mut fw_cfg);
        assert_eq!(first[..16], *b"\0\0\0\x03\0\x20\0\0etc/one\0");
        assert_eq!(first[16..], [0; 48]);
        let second: [u8; 64] = bytes(&mut fw_cfg);
        assert_eq!(second[..8], [0, 0, 1, 2, 0, 0x21, 0, 0]);
        assert_eq!((&second[8..63], second[63]), (long.as_bytes(), 0));
        select(&mut fw_cfg, 0x20);
        assert_eq!(bytes(&mut fw_cfg), [1, 2, 3, 0]);
        select(&mut fw_cfg, 0x21);
        assert_eq!(bytes(&mut fw_cfg), [7; 0x102]);

        for name in ["", "etc/one", "a b", "\u{e9}", "nul\0", &"x".repeat(56)] {
            assert_eq!(fw_cfg.add_file(name, vec![]), Err(FwCfgError::Name(name.into())));
        }
        for index in 2..0x3fe0 {
            fw_cfg.files.push(File { name: index.to_string(), contents: vec![] });
        }
        assert_eq!(fw_cfg.add_file("last", vec![]), Err(FwCfgError::Full { max: 0x3fe0 }));
    }

    #[test]
    fn only_a_write_of_the_whole_selector_selects() {
        for (offset, data, selects) in [
            (0, &[5, 0][..], true),
            (0, &[], false),
            (0, &[5], false),
            (0, &[5, 0, 0, 0], false),
            (1, &[5], false),
            (1, &[5, 0], false),
            (2, &[5, 0], false),
            (u16::MAX, &[5, 0], false),
        ] {
            let mut fw_cfg = FwCfg::new(0x42, 1, 0);
            assert_eq!(bytes(&mut fw_cfg), *b"Q");
            fw_cfg.write(offset, data, &mut fx());
            let expected = if selects { 0x42 } else { b'E' };
            assert_eq!(bytes(&mut fw_cfg), [expected], "{offset} {data:x?}");
        }
    }

    #[test]
    fn every_size_at_every_offset_is_bytes_at_successive_ports() {
        for (offset, expected, next) in [
            (0, [0xff, b'Q', 0xff, 0xff], b'E'),
            (1, [b'Q', 0xff, 0xff, 0xff], b'E'),
            (2, [0xff; 4], b'Q'),
            (u16::MAX, [0xff; 4], b'Q'),
        ] {
            let mut fw_cfg = FwCfg::new(1, 1, 0);
            let mut data = [0; 4];
            fw_cfg.read(offset, &mut data, &mut fx());
            assert_eq!((data, bytes(&mut fw_cfg)), (expected, [next]), "{offset}");
        }
    }

    #[test]
    fn a_saved_device_goes_on_where_it_was() {
        let mut fw_cfg = FwCfg::new(0x1234, 1, 0);
        select(&mut fw_cfg, 5);
        assert_eq!(bytes(&mut fw_cfg), [0x34]);
        let text = serde_json::to_string(&fw_cfg.save()).unwrap();
        assert_eq!(text, r#"{"selector":5,"offset":1}"#);
        let mut restored = FwCfg::new(0x1234, 1, 0);
        restored.restore(serde_json::from_str(&text).unwrap());
        assert_eq!(bytes(&mut restored), [0x12, 0]);
        restored.restore(serde_json::from_str(r#"{"selector":5,"offset":4294967295}"#).unwrap());
        assert_eq!(bytes(&mut restored), [0, 0]);
    }
}
