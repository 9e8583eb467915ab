//! Message interrupts as a table in memory space: address, data and mask of each vector, and its
//! pending bit [PCIe 7.7.2]. What turns all of them on or off is the owner's.

use serde::{Deserialize, Serialize};

use crate::register::block::DwordSpace;

/// Bytes of an entry.
const ENTRY_SIZE: u64 = 16;

/// A message interrupt: a 4-byte write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) address: u64,
    pub(crate) data: u32,
}

/// One vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    address: u64,
    data: u32,
    masked: bool,
    pending: bool,
}

impl Entry {
    const RESET: Self = Self { address: 0, data: 0, masked: true, pending: false };

    const fn message(&self) -> Message {
        Message { address: self.address, data: self.data }
    }
}

/// The vectors of one device.
#[derive(Debug)]
pub(crate) struct Vectors(Vec<Entry>);

impl Vectors {
    pub(crate) fn new(count: u16) -> Self {
        Self(vec![Entry::RESET; count.into()])
    }

    /// Bytes of the table of `count` vectors.
    pub(crate) const fn table_size(count: u16) -> u64 {
        ENTRY_SIZE * count as u64
    }

    /// Bytes of their pending bits.
    pub(crate) const fn pending_size(count: u16) -> u64 {
        8 * (count as u64).div_ceil(64)
    }

    /// The event of `vector` has occurred: its message, unless it is masked, or `held` back by its
    /// owner, and now pending. There is none for a vector that the device does not have.
    pub(crate) fn raise(&mut self, vector: u16, held: bool) -> Option<Message> {
        let entry = self.0.get_mut(usize::from(vector))?;
        if held || entry.masked {
            entry.pending = true;
            return None;
        }
        Some(entry.message())
    }

    /// One vector that was pending and is neither masked nor `held` back any more, with its message;
    /// called until there is none.
    pub(crate) fn unmasked(&mut self, held: impl Fn(u16) -> bool) -> Option<(u16, Message)> {
        let ready = |(vector, entry): &(u16, &mut Entry)| entry.pending && !entry.masked && !held(*vector);
        let (vector, entry) = (0..).zip(&mut self.0).find(ready)?;
        entry.pending = false;
        Some((vector, entry.message()))
    }

    /// The table as registers.
    pub(crate) fn table(&mut self) -> Table<'_> {
        Table(&mut self.0)
    }

    /// The pending bits as registers.
    pub(crate) fn pending(&self) -> Pending<'_> {
        Pending(&self.0)
    }

    pub(crate) fn reset(&mut self) {
        self.0.fill(Entry::RESET);
    }

    pub(crate) fn save(&self) -> Vec<Entry> {
        self.0.clone()
    }

    /// Whether [`Self::restore`] would take `entries`.
    pub(crate) fn fits(&self, entries: &[Entry]) -> bool {
        entries.len() == self.0.len()
    }

    pub(crate) fn restore(&mut self, entries: Vec<Entry>) {
        self.0 = entries;
    }
}

/// The table as registers.
pub(crate) struct Table<'a>(&'a mut [Entry]);

impl Table<'_> {
    fn entry(&mut self, offset: u64) -> Option<&mut Entry> {
        self.0.get_mut(usize::try_from(offset / ENTRY_SIZE).ok()?)
    }
}

impl DwordSpace for Table<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let Some(entry) = self.entry(offset) else { return 0 };
        match offset % ENTRY_SIZE {
            // The two halves of the address.
            0 => entry.address as u32,
            4 => (entry.address >> 32) as u32,
            8 => entry.data,
            _ => u32::from(entry.masked),
        }
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        let old = self.read_dword(offset);
        let new = (old & !lanes) | (value & lanes);
        let Some(entry) = self.entry(offset) else { return };
        match offset % ENTRY_SIZE {
            0 => entry.address = (entry.address & !0xffff_ffff) | u64::from(new & !3),
            4 => entry.address = (entry.address & 0xffff_ffff) | u64::from(new) << 32,
            8 => entry.data = new,
            _ => entry.masked = new & 1 != 0,
        }
    }
}

/// The pending bits as registers.
pub(crate) struct Pending<'a>(&'a [Entry]);

impl DwordSpace for Pending<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let first = usize::try_from(offset * 8).unwrap_or(usize::MAX);
        let entries = self.0.iter().skip(first).take(32);
        entries.enumerate().fold(0, |bits, (i, entry)| bits | u32::from(entry.pending) << i)
    }

    /// Software cannot write pending bits.
    fn write_dword(&mut self, _: u64, _: u32, _: u32) {}
}
