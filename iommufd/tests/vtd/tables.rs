//! What the driver's tables say, read from memory with the bit numbers of the specification
//! [VT-d 9.1, 9.3, 9.8] and nothing of the driver's.

use devices::addr::{Pa, SourceId};

use crate::machine::Machine;

/// Address bits of every entry, 51:12.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// A leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Level: 1 maps 4 KiB, 2 maps 2 MiB, 3 maps 1 GiB.
    pub level: u32,
    /// Where the address leads.
    pub pa: u64,
    /// Bit 0 read, bit 1 write.
    pub rights: u64,
}

/// The context entry of a device, low word first; zeroes where there is none.
pub fn context(machine: &Machine, source: SourceId) -> [u64; 2] {
    let root = machine.register(0x20) & ADDRESS;
    let [low, _] = machine.mem.load128(Pa(root + u64::from(source.bus()) * 16)).unwrap();
    if low & 1 == 0 {
        return [0, 0];
    }
    machine.mem.load128(Pa((low & ADDRESS) + u64::from(source.devfn()) * 16)).unwrap()
}

/// The leaf that translates `iova` for a device.
pub fn leaf(machine: &Machine, source: SourceId, iova: u64) -> Option<Leaf> {
    walk(machine, source, iova).map(|(leaf, _)| leaf)
}

/// That leaf as it is in memory; 0 where there is none.
pub fn entry(machine: &Machine, source: SourceId, iova: u64) -> u64 {
    walk(machine, source, iova).map_or(0, |(_, entry)| entry)
}

fn walk(machine: &Machine, source: SourceId, iova: u64) -> Option<(Leaf, u64)> {
    let [low, high] = context(machine, source);
    if low & 1 == 0 {
        return None;
    }
    let mut level = match high & 7 {
        1 => 3,
        2 => 4,
        3 => 5,
        other => panic!("address width {other}"),
    };
    let (mut table, mut rights) = (low & ADDRESS, 3);
    loop {
        let shift = 12 + 9 * (level - 1);
        let entry = machine.mem.load64(Pa(table + (iova >> shift & 0x1ff) * 8)).unwrap();
        rights &= entry;
        if entry & 3 == 0 {
            return None;
        }
        if level == 1 || entry & 1 << 7 != 0 {
            let offset = iova & ((1 << shift) - 1);
            return Some((Leaf { level, pa: entry & ADDRESS | offset, rights }, entry));
        }
        (table, level) = (entry & ADDRESS, level - 1);
    }
}
