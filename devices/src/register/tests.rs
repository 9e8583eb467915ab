//! The macro against hand-computed raw words.

use super::{Access, Register, block, extract, insert};
use crate::register;

register! {
    /// A status-like register.
    struct Status: u32 {
        31:16 RsvdZ _r1,
        15:8  Ro    index: u8,
        7:4   Rw    level: u8,
        3:2   RsvdP _r0,
        1:1   Wo    kick: bool,
        0:0   Rw1c  event: bool,
    }
}

register! {
    /// Fields that straddle words.
    struct Wide: [u64; 3] {
        191:130 Ignored  _i0,
        129:126 Field    four: u8,
        125:70  Reserved _r0,
        69:60   Field    ten: u16,
        59:0    Field    low: u64,
    }
}

#[test]
fn getters_and_setters_use_the_printed_bits() {
    let s = Status::from_raw(0x0000_a5c1);
    assert_eq!((s.index(), s.level(), s.kick(), s.event()), (0xa5, 0xc, false, true));
    assert_eq!(Status::ZERO.with_index(0x12).with_level(0xf).with_event(true).raw(), 0x12f1);
    assert_eq!(Status::ZERO.with_level(0xff).raw(), 0xf0, "a setter cuts to the field's width");
}

#[test]
fn fields_straddle_words() {
    let w = Wide::from_raw([0xf << 60, 0x3f | 1 << 63 | 1 << 62, 0b11]);
    assert_eq!((w.ten(), w.four(), w.low()), (0x3ff, 0xf, 0));
    let set = Wide::ZERO.with_ten(0x2aa).with_four(0b0110);
    assert_eq!(set.raw(), [0xa << 60, 0x2a | 1 << 63, 0b01]);
    assert_eq!((set.ten(), set.four()), (0x2aa, 0b0110));
}

#[test]
fn masks_follow_the_access_column() {
    assert_eq!(Status::RW, 0xf0);
    assert_eq!(Status::RW1C, 0x01);
    assert_eq!(Status::RESERVED, 0xffff_0000);
    assert_eq!(Wide::RESERVED, [0, !0x3f & !(3 << 62), 0]);
}

#[test]
fn a_software_write_obeys_the_access_column() {
    let s = Status::from_raw(0x0000_a501);
    assert_eq!(s.written(0xffff_ffff).raw(), 0xa5f0);
    assert_eq!(s.written(0).raw(), 0xa501);
    assert_eq!(s.written(0x30).raw(), 0xa531);
}

#[test]
fn the_field_table_describes_every_row() {
    assert_eq!(Status::FIELDS.len(), 6);
    assert_eq!(Status::BITS, 32);
    let level = Status::FIELDS[2];
    assert_eq!((level.name, level.hi, level.lo, level.access), ("level", 7, 4, Access::Rw));
    assert_eq!(
        format!("{:?}", Status::from_raw(0x21)),
        "Status { index: 0x0, level: 0x2, kick: 0x0, event: 0x1 }"
    );
}

#[test]
fn extract_and_insert_at_the_edges() {
    assert_eq!(extract(&[u64::MAX], 63, 0), u64::MAX);
    assert_eq!(extract(&[1 << 63, 1], 64, 63), 0b11);
    assert_eq!(insert([0, 0], 127, 64, u64::MAX), [0, u64::MAX]);
    assert_eq!(insert([u64::MAX, u64::MAX], 64, 63, 0), [u64::MAX >> 1, u64::MAX - 1]);
}

/// Two dwords that count their accesses.
#[derive(Default)]
struct Pair {
    dwords: [u32; 2],
    log: Vec<(u64, u32, u32)>,
}

impl block::DwordSpace for Pair {
    fn read_dword(&mut self, offset: u64) -> u32 {
        self.dwords.get((offset / 4) as usize).copied().unwrap_or(0)
    }
    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        self.log.push((offset, value, lanes));
        if let Some(d) = self.dwords.get_mut((offset / 4) as usize) {
            *d = (*d & !lanes) | (value & lanes);
        }
    }
}

#[test]
fn strict_blocks_ignore_every_odd_access() {
    for size in 0..=17usize {
        for offset in (0..16).chain([u64::MAX - 8, u64::MAX]) {
            let mut pair = Pair { dwords: [0x4433_2211, 0x8877_6655], ..Pair::default() };
            let mut data = vec![0xee; size];
            block::read(&mut pair, block::Rules::Aligned32Or64, offset, &mut data);
            let legal = (size == 4 || size == 8) && offset.is_multiple_of(size as u64);
            if !legal {
                assert!(data.iter().all(|b| *b == 0), "read of {size} at {offset:#x}");
            }
            block::write(&mut pair, block::Rules::Aligned32Or64, offset, &vec![0xff; size]);
            assert_eq!(!pair.log.is_empty(), legal, "write of {size} at {offset:#x}");
        }
    }
}

#[test]
fn a_qword_is_its_low_dword_then_its_high_dword() {
    let mut pair = Pair::default();
    block::write(&mut pair, block::Rules::Aligned32Or64, 0, &0x8877_6655_4433_2211u64.to_le_bytes());
    assert_eq!(pair.log, [(0, 0x4433_2211, !0), (4, 0x8877_6655, !0)]);
    let mut data = [0; 8];
    block::read(&mut pair, block::Rules::Aligned32Or64, 0, &mut data);
    assert_eq!(u64::from_le_bytes(data), 0x8877_6655_4433_2211);
}

#[test]
fn byte_lanes_merge_any_access() {
    let mut pair = Pair { dwords: [0x4433_2211, 0x8877_6655], ..Pair::default() };
    let mut data = [0; 3];
    block::read(&mut pair, block::Rules::ByteLanes, 2, &mut data);
    assert_eq!(data, [0x33, 0x44, 0x55]);
    block::write(&mut pair, block::Rules::ByteLanes, 3, &[0xaa, 0xbb]);
    assert_eq!(pair.log, [(0, 0xaa00_0000, 0xff00_0000), (4, 0xbb, 0xff)]);
    assert_eq!(pair.dwords, [0xaa33_2211, 0x8877_66bb]);
}
