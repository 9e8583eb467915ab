//! An SMMUv3 that is set up through its registers and tables in memory, as a driver would.

use std::sync::Arc;

use devices::addr::{Pa, SourceId, StreamId};
use devices::events::Time;
use devices::fabric::{DmaPort, Effects, Translate};
use devices::mem::{MemError, PhysMem};
use devices::smmuv3::stream_map::{RequesterRange, StreamMap};
use devices::smmuv3::{Config, Unit};

/// Pages that [`Stream`] maps.
pub const PAGES: u64 = 1024;
/// First IOVA that is mapped.
pub const IOVA: u64 = 0x80_0000_0000;
/// First byte of the RAM that the pages lie in.
pub const TARGET: u64 = 0x100_0000;

/// The STE of the stream.
pub const STE: u64 = STREAMS + 64 * 0x18;
/// Its CD.
pub const CONTEXT: u64 = 0x2000;
const STREAMS: u64 = 0x1000;
const COMMANDS: u64 = 0x4000;
/// Stage-1 tables.
const FIRST: u64 = 0x10_0000;
/// Stage-2 tables.
const SECOND: u64 = 0x40_0000;

/// Which stages translate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {
    /// Stage 1, through a CD.
    One,
    /// Stage 2.
    Two,
    /// Both.
    Nested,
}

/// A unit with translation on and one stream, that of 00:03.0, in which [`PAGES`] 4-KiB pages from
/// [`IOVA`] on are mapped by four levels of 4-KiB tables, in reverse order, to those from [`TARGET`]. With
/// both stages, stage 2 maps every page of RAM to itself, with four levels as well.
pub struct Stream {
    /// The unit.
    pub unit: Unit,
    /// Its memory.
    pub mem: PhysMem,
    /// The device's port.
    pub port: DmaPort,
}

impl Stream {
    /// Sets everything up. `config` maps no streams yet.
    ///
    /// # Errors
    /// [`MemError`] if the host has no memory to give.
    pub fn new(config: Config, stages: Stages) -> Result<Self, MemError> {
        let mem = PhysMem::anonymous(&[(Pa(0), 0x200_0000)])?;
        let range = RequesterRange { segment: 0, first: 0, last: 0xff, stream: StreamId(0) };
        let config = Config { streams: StreamMap::new(vec![range]), ..config };
        let mut unit = Unit::new(config, mem.clone());
        let set = |pa: u64, words: &[u64]| {
            for (word, at) in words.iter().zip((pa..).step_by(8)) {
                mem.write(Pa(at), &word.to_le_bytes()).unwrap_or_default();
            }
        };
        // S2T0SZ 16, S2SL0 level 0, 4K, 48 bits, VMSAv8-64, S2R; VMID 9.
        let second = 9 | (16 | 2 << 6 | 5 << 16 | 1 << 19 | 1 << 26) << 32;
        let ste = match stages {
            Stages::One => [0xb | CONTEXT, 0, 0, 0],
            Stages::Two => [0xd, 0, second, SECOND],
            Stages::Nested => [0xf | CONTEXT, 0, second, SECOND],
        };
        set(STE, &ste);
        // T0SZ 16, EPD1, V, 48 bits, AA64, R, A, ASID 7; attributes all write-back.
        let cd = 0x10 | 1 << 30 | 1 << 31 | 5 << 32 | 1 << 41 | 1 << 45 | 1 << 46 | 7 << 48;
        set(CONTEXT, &[cd, FIRST, 0, 0xff]);
        // Each table lies at a place that its path determines: the last ones differ by the index above.
        let map = |root: u64, input: u64, leaf: u64| {
            let mut table = root;
            for level in (1..=3u64).rev() {
                let index = |at: u64| input >> (12 + 9 * at) & 0x1ff;
                let next = root + (4 - level) * 0x4_0000 + if level == 1 { index(1) * 0x1000 } else { 0 };
                set(table + index(level) * 8, &[next | 3]);
                table = next;
            }
            set(table + (input >> 12 & 0x1ff) * 8, &[leaf]);
        };
        if stages == Stages::Nested {
            (0..0x200_0000).step_by(0x1000).for_each(|page| map(SECOND, page, page | 0x7ff));
        }
        let (root, attributes) = if stages == Stages::Two { (SECOND, 0x7ff) } else { (FIRST, 0xf43) };
        for page in 0..PAGES {
            map(root, IOVA + page * 0x1000, (TARGET + (PAGES - 1 - page) * 0x1000) | attributes);
        }
        let mut fx = Effects::new(Time(0), false);
        unit.write(0x80, &STREAMS.to_le_bytes(), &mut fx);
        unit.write(0x88, &6u32.to_le_bytes(), &mut fx);
        unit.write(0x90, &(COMMANDS | 8).to_le_bytes(), &mut fx);
        unit.write(0x20, &9u32.to_le_bytes(), &mut fx);
        let mut port = DmaPort::new(SourceId::new(0, 3, 0), mem.clone(), unit.translator());
        port.set_enabled(true);
        Ok(Self { unit, mem, port })
    }

    /// The unit's translating half.
    pub fn translator(&self) -> Arc<dyn Translate> {
        self.unit.translator()
    }
}
