//! The BIOS data area, in what of it a machine without a BIOS can keep true.
//!
//! Kernels read it in spite of their boot protocol's own answers: where base memory ends, to put
//! their real-mode code below that, and where the first serial port is.
//!
//! | address | bytes | what |
//! |---|---|---|
//! | 0x400 | 2 | first port of COM1; those of COM2 to COM4 follow and are 0: absent |
//! | 0x40e | 2 | segment of the extended BIOS data area |
//! | 0x413 | 2 | KiB of base memory |
//! | 0x9fc00 | 1 | KiB of the extended BIOS data area, the first byte of which this is |
//!
//! Where base memory ends before 639 KiB there is no extended area, and its segment is 0. Everything
//! else is left as it is. There is no BIOS to call either: the interrupt vectors of real mode are not
//! set.

use thiserror::Error;
use vm_memory::GuestMemoryMmap;

use crate::image::{has_low_memory, put};
use crate::memory_map::{Kind, LEGACY_FIRST, memory_map};

const COM1: u64 = 0x400;
const EXTENDED_SEGMENT: u64 = 0x40e;
const BASE_MEMORY: u64 = 0x413;
const KIB: u64 = 1024;

/// There is no RAM where the BIOS data area is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the first 64 KiB of the address space are not RAM; the BIOS data area needs them")]
pub struct NoLowMemory;

/// Writes the area for a machine with COM1 at `com1`.
///
/// # Errors
/// [`NoLowMemory`]; nothing has been written then.
pub fn write(memory: &GuestMemoryMmap, com1: u16) -> Result<(), NoLowMemory> {
    if !has_low_memory(memory) {
        return Err(NoLowMemory);
    }
    let map = memory_map(memory, &[]).map_err(|_| NoLowMemory)?;
    let base = map.iter().find(|entry| entry.kind == Kind::Ram && entry.first == 0);
    let base_kib = base.map_or(0, |entry| entry.size() / KIB);
    let has_extended = base_kib * KIB == LEGACY_FIRST && put(memory, LEGACY_FIRST, &[1]).is_ok();
    // Below 640 KiB, as the map cuts RAM there, so all three fit 16 bits.
    let segment = if has_extended { (LEGACY_FIRST >> 4) as u16 } else { 0 };
    let [com1, segment, base] = [com1, segment, base_kib as u16].map(u16::to_le_bytes);
    let ports = [com1, [0; 2], [0; 2], [0; 2]].concat();
    for (address, bytes) in [(COM1, &ports[..]), (EXTENDED_SEGMENT, &segment), (BASE_MEMORY, &base)] {
        put(memory, address, bytes).map_err(|_| NoLowMemory)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vm_memory::{Bytes, GuestAddress};

    use super::*;

    #[test]
    fn base_memory_ends_where_the_memory_map_ends_it() {
        for (ranges, expected) in [
            (&[(0, 0x40_0000)][..], Some((0x9fc0, 639))),
            (&[(0, 0xa_0000), (0x10_0000, 0x10_0000)], Some((0x9fc0, 639))),
            (&[(0, 0x8_0000), (0x10_0000, 0x10_0000)], Some((0, 512))),
            (&[(0, 0x9_fc00)], Some((0, 639))),
            (&[(0, 0x8000)], None),
            (&[(0x10_0000, 0x10_0000)], None),
        ] {
            let ranges = ranges.iter().map(|&(first, size)| (GuestAddress(first), size)).collect::<Vec<_>>();
            let memory = GuestMemoryMmap::from_ranges(&ranges).unwrap();
            let written = write(&memory, 0x3f8);
            let Some((segment, base)) = expected else {
                assert_eq!(written, Err(NoLowMemory), "{ranges:x?}");
                continue;
            };
            written.unwrap();
            let word = |address| memory.read_obj::<u16>(GuestAddress(address)).unwrap();
            assert_eq!([0x400, 0x402, 0x404, 0x406].map(word), [0x3f8, 0, 0, 0]);
            assert_eq!((word(0x40e), word(0x413)), (segment, base), "{ranges:x?}");
            if segment != 0 {
                assert_eq!(memory.read_obj::<u8>(GuestAddress(u64::from(segment) << 4)).unwrap(), 1);
            }
        }
    }
}
