//! Memory types and shareability of one stage and of both [Arm ARM D8.6].

use super::*;

#[test]
fn stage_1_takes_them_from_mair() {
    // Byte of MAIR, SH, what becomes of both.
    let rows = [
        (0xff, 3, 0xff, 3),
        (0xff, 2, 0xff, 2),
        (0xff, 0, 0xff, 0),
        (0xff, 1, 0xff, 0),
        (0xbb, 3, 0xbb, 3),
        // Device and non-cacheable memory is outer shareable whatever SH says.
        (0x00, 0, 0x00, 2),
        (0x04, 3, 0x04, 2),
        (0x08, 3, 0x08, 2),
        (0x0c, 3, 0x0c, 2),
        (0x44, 0, 0x44, 2),
        // Only half non-cacheable.
        (0x4f, 3, 0x4f, 3),
        // Encodings with a meaning for PEs only.
        (0x01, 0, 0x00, 2),
        (0x0d, 0, 0x0c, 2),
        (0x40, 0, 0x44, 2),
        (0xa0, 3, 0xaa, 3),
        (0xf0, 3, 0xff, 3),
    ];
    for (byte, sh, memory, shareability) in rows {
        assert_eq!(Attributes::from_mair(byte, sh), Attributes { memory, shareability }, "{byte:#x} {sh}");
        for index in 0..8 {
            let mem = memory_of(index, sh);
            let mair = u64::from(byte) << (index * 8);
            let found = first(&mem, &Stage1 { mair, ..STAGE1 }, ADDRESS, READ).unwrap();
            assert_eq!(found.attributes, Attributes { memory, shareability }, "{byte:#x} at {index}");
        }
    }
}

fn memory_of(index: u64, sh: u8) -> PhysMem {
    let mem = memory();
    put(&mem, FIRST[3] + 0x20, 0x5_0443 | index << 2 | u64::from(sh) << 8);
    mem
}

#[test]
fn the_stronger_of_both_stages_counts() {
    // Byte of MAIR, SH, MemAttr, SH of stage 2, both.
    let rows = [
        (0xff, 3, 0b1111, 3, 0xff, 3),
        (0xff, 3, 0b1111, 0, 0xff, 3),
        (0xff, 0, 0b1111, 2, 0xff, 2),
        (0xff, 3, 0b1111, 2, 0xff, 2),
        (0xff, 2, 0b1111, 3, 0xff, 2),
        // Write-through with the hints of stage 1, transient ones too.
        (0xff, 3, 0b1010, 3, 0xbb, 3),
        (0xdd, 3, 0b1010, 3, 0x99, 3),
        (0x77, 3, 0b1010, 3, 0x33, 3),
        (0xbb, 3, 0b1111, 3, 0xbb, 3),
        (0x33, 3, 0b1111, 3, 0x33, 3),
        (0xff, 3, 0b0101, 3, 0x44, 2),
        (0x44, 0, 0b1111, 0, 0x44, 2),
        (0xff, 3, 0b1101, 3, 0xf4, 3),
        (0xff, 3, 0b0111, 3, 0x4f, 3),
        // Device wins over Normal, the stricter Device type over the other.
        (0xff, 3, 0b0000, 3, 0x00, 2),
        (0xff, 3, 0b0011, 3, 0x0c, 2),
        (0x04, 0, 0b1111, 3, 0x04, 2),
        (0x04, 0, 0b0010, 3, 0x04, 2),
        (0x0c, 0, 0b0001, 3, 0x04, 2),
        // Write-back, and a reserved inner part.
        (0xff, 3, 0b0100, 3, 0xff, 3),
        (0xff, 3, 0b1000, 3, 0xbb, 3),
    ];
    for (byte, sh, memattr, sh2, memory, shareability) in rows {
        let found = Attributes::from_mair(byte, sh).then(memattr, sh2, false);
        assert_eq!(found, Attributes { memory, shareability }, "{byte:#x} {sh} {memattr:04b} {sh2}");
    }
}

#[test]
fn stage_2_can_force_write_back() {
    let rows = [
        // 0xx: Device, combined with a Device type of stage 1.
        (0xff, 0b000, 0x00),
        (0xff, 0b010, 0x08),
        (0x04, 0b011, 0x04),
        (0x0c, 0b001, 0x04),
        // 101: non-cacheable, but Device stays.
        (0xff, 0b101, 0x44),
        (0x08, 0b101, 0x08),
        // 110: write-back, whatever stage 1 says.
        (0xff, 0b110, 0xff),
        (0xdd, 0b110, 0xdd),
        (0x44, 0b110, 0xff),
        (0x00, 0b110, 0xff),
        (0xb4, 0b110, 0xff),
        // 111: as stage 1 says.
        (0xff, 0b111, 0xff),
        (0xbb, 0b111, 0xbb),
        (0x44, 0b111, 0x44),
        (0x04, 0b111, 0x04),
    ];
    for (byte, memattr, memory) in rows {
        let found = Attributes::from_mair(byte, 3).then(memattr, 3, true);
        assert_eq!(found.memory, memory, "{byte:#x} {memattr:03b}");
    }
}

#[test]
fn a_walk_combines_them() {
    let mem = nested_memory();
    put(&mem, SECOND[2] + 0x50 * 8, 0x105_06eb);
    let stage1 = Stage1 { mair: 0xff, ..STAGE1 };
    let found = both(&mem, &stage1, &STAGE2, READ).unwrap();
    assert_eq!(found.attributes, Attributes { memory: 0xbb, shareability: 2 });
    // Without stage 1, what the transaction brought.
    let found = second(&mem, &STAGE2, OUTPUT, READ).unwrap();
    assert_eq!(found.attributes, Attributes { memory: 0xbb, shareability: 2 });
    let incoming = Attributes { memory: 0x44, shareability: 2 };
    let regime = Regime { incoming, ..regime(None, Some(&STAGE2)) };
    let found = translate(&mem, &regime, OUTPUT, READ, &mut ()).unwrap();
    assert_eq!(found.attributes, incoming);
}
