//! The MSI-X capability, its table and its pending bits [PCIe 7.7.2].

use super::config::{Builder, ConfigSpace};
use crate::register;
use crate::vectors::{Entry, Message, Pending, Table, Vectors};

const ID: u8 = 0x11;

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

impl MsixSpec {
    /// What lies at `offset` of a BAR, and how many bytes it goes on from there.
    pub(crate) fn locate(&self, bar: u8, offset: u64) -> (Part, u64) {
        if bar != self.bar {
            return (Part::Model, u64::MAX);
        }
        let mut model = u64::MAX;
        let (table, pending) = (Vectors::table_size(self.vectors), Vectors::pending_size(self.vectors));
        for (first, len, is_table) in [(self.table, table, true), (self.pending, pending, false)] {
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
}

/// Which part of a BAR an access meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
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
    vectors: Vectors,
}

impl Msix {
    pub(super) fn build(builder: &mut Builder, spec: MsixSpec) -> Self {
        let at = builder.capability(0x0c);
        builder.register(at, Control::ZERO.with_id(ID).with_last(spec.vectors.saturating_sub(1)));
        for (offset, place) in [(at + 4, spec.table), (at + 8, spec.pending)] {
            // The specification gives the offset 32 bits, of which the low three name the BAR.
            builder.raw(offset, (place as u32 & !7) | u32::from(spec.bar), 0);
        }
        Self { at, spec, vectors: Vectors::new(spec.vectors) }
    }

    pub(super) fn enabled(&self, config: &ConfigSpace) -> bool {
        self.control(config).enable()
    }

    /// See [`MsixSpec::locate`].
    pub(super) fn locate(&self, bar: u8, offset: u64) -> (Part, u64) {
        self.spec.locate(bar, offset)
    }

    /// The event of `vector` has occurred; see [`Vectors::raise`].
    pub(super) fn raise(&mut self, config: &ConfigSpace, vector: u16) -> Option<Message> {
        self.vectors.raise(vector, self.control(config).function_mask())
    }

    /// One message that was pending and is not masked any more; called until there is none.
    pub(super) fn unmasked(&mut self, config: &ConfigSpace) -> Option<Message> {
        let control = self.control(config);
        if !control.enable() || control.function_mask() {
            return None;
        }
        self.vectors.unmasked(|_| false).map(|(_, message)| message)
    }

    pub(super) fn table(&mut self) -> Table<'_> {
        self.vectors.table()
    }

    pub(super) fn pending(&self) -> Pending<'_> {
        self.vectors.pending()
    }

    pub(super) fn reset(&mut self) {
        self.vectors.reset();
    }

    pub(super) fn save(&self) -> Vec<Entry> {
        self.vectors.save()
    }

    /// Whether [`Self::restore`] would take `entries`.
    pub(super) fn fits(&self, entries: &[Entry]) -> bool {
        self.vectors.fits(entries)
    }

    pub(super) fn restore(&mut self, entries: Vec<Entry>) {
        self.vectors.restore(entries);
    }

    fn control(&self, config: &ConfigSpace) -> Control {
        Control::from_raw(config.dword(self.at))
    }
}
