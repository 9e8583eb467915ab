//! A VT-d unit that is set up through its registers and tables in memory, as a driver would.

use std::sync::Arc;

use devices::addr::{Pa, SourceId};
use devices::events::Time;
use devices::fabric::{DmaPort, Effects, Translate};
use devices::mem::{MemError, PhysMem};
use devices::vtd::{Config, Unit};

/// Pages that [`Domain`] maps.
pub const PAGES: u64 = 1024;
/// First IOVA that is mapped.
pub const IOVA: u64 = 0x80_0000_0000;
/// First byte of the RAM that the pages lie in.
pub const TARGET: u64 = 0x100_0000;

const ROOT: u64 = 0x1000;
const CONTEXT: u64 = 0x2000;
const TABLES: u64 = 0x10_0000;

/// A unit with translation on and one 48-bit domain for the device 00:03.0, in which
/// [`PAGES`] 4-KiB pages from [`IOVA`] on are mapped, in reverse order, to those from [`TARGET`].
pub struct Domain {
    /// The unit.
    pub unit: Unit,
    /// Its memory.
    pub mem: PhysMem,
    /// The device's port.
    pub port: DmaPort,
}

impl Domain {
    /// The table of 2-MiB entries for the first GiB from [`IOVA`] on.
    pub const DIRECTORY: u64 = TABLES + 0x20_000;

    /// Sets everything up.
    ///
    /// # Errors
    /// [`MemError`] if the host has no memory to give.
    pub fn new(config: Config) -> Result<Self, MemError> {
        let mem = PhysMem::anonymous(&[(Pa(0), 0x200_0000)])?;
        let mut unit = Unit::new(config, mem.clone());
        let set = |pa: u64, word: u64| mem.write(Pa(pa), &word.to_le_bytes()).unwrap_or_default();
        set(ROOT, CONTEXT | 1);
        set(CONTEXT + 0x18 * 16, TABLES | 1);
        set(CONTEXT + 0x18 * 16 + 8, 0x702);
        for page in 0..PAGES {
            let (iova, mut table) = (IOVA + page * 0x1000, TABLES);
            for level in (1..=3).rev() {
                let index = |at: u64| iova >> (12 + 9 * at) & 0x1ff;
                // Each table lies at a place that its path determines; level 0 tables differ by
                // the index of the level above.
                let next = TABLES + (4 - level) * 0x10_000 + if level == 1 { index(1) * 0x1000 } else { 0 };
                set(table + index(level) * 8, next | 3);
                table = next;
            }
            set(table + (iova >> 12 & 0x1ff) * 8, (TARGET + (PAGES - 1 - page) * 0x1000) | 3);
        }
        let mut fx = Effects::new(Time(0), false);
        unit.write(0x20, &ROOT.to_le_bytes(), &mut fx);
        unit.write(0x18, &0x4000_0000u32.to_le_bytes(), &mut fx);
        unit.write(0x18, &0x8000_0000u32.to_le_bytes(), &mut fx);
        let mut port = DmaPort::new(SourceId::new(0, 3, 0), mem.clone(), unit.translator());
        port.set_enabled(true);
        Ok(Self { unit, mem, port })
    }

    /// The unit's translating half.
    pub fn translator(&self) -> Arc<dyn Translate> {
        self.unit.translator()
    }
}
