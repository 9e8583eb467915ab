//! The MSI-X capability, its table and its pending bits [PCIe 7.7.2].

use serde::{Deserialize, Serialize};

use super::config::{Builder, ConfigSpace};
use super::msi::Message;
use crate::register;
use crate::register::block::DwordSpace;

const ID: u8 = 0x11;
const ENTRY_SIZE: u64 = 16;

register! {
    /// Message Control, and the list header before it [PCIe 7.7.2.1, 7.7.2.2].
    pub(super) struct Control: u32 {
        31:31 Rw enable: bool,
        30:30 Rw function_mask: bool,
        29:27 Ro _r0,
        26:16 Ro last: u16,
        15:8  Ro next: u8,
        7:0   Ro id: u8,
    }
}

/// Where a model's table and pending bits lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsixSpec {
    /// Vectors, 1 to 2048.
    pub vectors: u16,
    /// The BAR that holds both.
    pub bar: u8,
    /// Offset of the table in it, a multiple of 8; 16 bytes for each vector.
    pub table: u64,
    /// Offset of the pending bits in it, a multiple of 8; 8 bytes for each 64 vectors.
    pub pending: u64,
}

/// One vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    address: u64,
    data: u32,
    masked: bool,
    pending: bool,
}

impl Entry {
    const RESET: Self = Self { address: 0, data: 0, masked: true, pending: false };
}

/// Which part of a BAR an access meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The model's own registers.
    Model,
    /// The table, from this offset in it.
    Table(u64),
    /// The pending bits, from this offset in them.
    Pending(u64),
}

/// The capability of one function.
pub(super) struct Msix {
    at: u16,
    spec: MsixSpec,
    entries: Vec<Entry>,
}

impl Msix {
    pub(super) fn build(builder: &mut Builder, spec: MsixSpec) -> Self {
        let at = builder.capability(0x0c);
        builder.register(at, Control::ZERO.with_id(ID).with_last(spec.vectors.saturating_sub(1)));
        for (offset, place) in [(at + 4, spec.table), (at + 8, spec.pending)] {
            // The specification gives the offset 32 bits, of which the low three name the BAR.
            builder.raw(offset, (place as u32 & !7) | u32::from(spec.bar), 0);
        }
        Self { at, spec, entries: vec![Entry::RESET; usize::from(spec.vectors)] }
    }

    pub(super) fn enabled(&self, config: &ConfigSpace) -> bool {
        self.control(config).enable()
    }

    /// What lies at `offset` of a BAR, and how many bytes it goes on from there.
    pub(super) fn locate(&self, bar: u8, offset: u64) -> (Part, u64) {
        if bar != self.spec.bar {
            return (Part::Model, u64::MAX);
        }
        let mut model = u64::MAX;
        let table = ENTRY_SIZE * u64::from(self.spec.vectors);
        let pending = 8 * u64::from(self.spec.vectors).div_ceil(64);
        for (first, len, is_table) in [(self.spec.table, table, true), (self.spec.pending, pending, false)] {
            match offset.checked_sub(first) {
                None => model = model.min(first - offset),
                Some(inside) if inside < len => {
                    let part = if is_table { Part::Table(inside) } else { Part::Pending(inside) };
                    return (part, len - inside);
                }
                Some(_) => {}
            }
        }
        (Part::Model, model)
    }

    /// The event of `vector` has occurred: its message, unless it is masked and now pending. There
    /// is none for a vector that the function does not have.
    pub(super) fn raise(&mut self, config: &ConfigSpace, vector: u16) -> Option<Message> {
        let held = self.control(config).function_mask();
        let entry = self.entries.get_mut(usize::from(vector))?;
        if held || entry.masked {
            entry.pending = true;
            return None;
        }
        Some(Message { address: entry.address, data: entry.data })
    }

    /// One message that was pending and is not masked any more; called until there is none.
    pub(super) fn unmasked(&mut self, config: &ConfigSpace) -> Option<Message> {
        let control = self.control(config);
        if !control.enable() || control.function_mask() {
            return None;
        }
        let entry = self.entries.iter_mut().find(|entry| entry.pending && !entry.masked)?;
        entry.pending = false;
        Some(Message { address: entry.address, data: entry.data })
    }

    pub(super) fn table(&mut self) -> Table<'_> {
        Table(&mut self.entries)
    }

    pub(super) fn pending(&mut self) -> Pending<'_> {
        Pending(&self.entries)
    }

    pub(super) fn reset(&mut self) {
        self.entries.fill(Entry::RESET);
    }

    pub(super) fn save(&self) -> Vec<Entry> {
        self.entries.clone()
    }

    /// Whether [`Self::restore`] would take `entries`.
    pub(super) fn fits(&self, entries: &[Entry]) -> bool {
        entries.len() == self.entries.len()
    }

    pub(super) fn restore(&mut self, entries: Vec<Entry>) {
        self.entries = entries;
    }

    fn control(&self, config: &ConfigSpace) -> Control {
        Control::from_raw(config.dword(self.at))
    }
}

/// The table as registers.
pub(super) struct Table<'a>(&'a mut [Entry]);

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
pub(super) struct Pending<'a>(&'a [Entry]);

impl DwordSpace for Pending<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let first = usize::try_from(offset * 8).unwrap_or(usize::MAX);
        let entries = self.0.iter().skip(first).take(32);
        entries.enumerate().fold(0, |bits, (i, entry)| bits | u32::from(entry.pending) << i)
    }

    /// Software cannot write pending bits.
    fn write_dword(&mut self, _: u64, _: u32, _: u32) {}
}
