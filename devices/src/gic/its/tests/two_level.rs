//! Tables of two levels, and pages of every size.

use super::*;

/// (GITS_BASER.Page_Size, bytes)
const SIZES: [(u64, u64); 4] = [(0, 0x1000), (1, 0x4000), (2, 0x1_0000), (3, 0x1_0000)];

fn rig(devices: u64, collections: u64) -> Rig {
    let mut rig = Rig::new();
    rig.w64(DEVICES, devices);
    rig.w64(COLLECTIONS, collections);
    rig.w64(CBASER, 1 << 63 | QUEUE);
    rig.w32(CTLR, 1);
    rig
}

#[test]
fn a_level_1_entry_leads_to_the_page_of_entries() {
    for (size, bytes) in SIZES {
        let per_page = bytes / 8;
        // First level at 20000h, second-level page for the second range of devices at 80000h.
        let mut rig = rig(1 << 63 | 1 << 62 | size << 8 | 0x2_0000, 1 << 63 | COLLECTION_TABLE);
        let device = per_page + 3;
        rig.run(&[mapc(0, 1, true)]);
        rig.refused(mapd(device, 0, ITT, true), "DeviceID out of range");
        rig.set_word(0x2_0008, 0x8_0000);
        rig.refused(mapd(device, 0, ITT, true), "DeviceID out of range");
        rig.set_word(0x2_0008, 1 << 63 | 0x8_0000);
        rig.run(&[mapd(device, 0, ITT, true), mapti(device, 1, 8192, 0)]);
        assert_eq!(rig.message(device, 1), Some((8192, 1)), "{bytes:#x}");
        assert_eq!(rig.word(0x8_0000 + 8 * 3), 0x8000_0000_0004_0000);
        assert_eq!(rig.message(3, 1), None);
        // Bits of the address inside a page do not count.
        rig.set_word(0x2_0008, 1 << 63 | 0x8_0000 | (bytes - 1) & 0xf000);
        assert_eq!(rig.message(device, 1), Some((8192, 1)), "{bytes:#x}");
        // A page outside memory.
        rig.set_word(0x2_0008, 1 << 63 | 0x000f_ffff_ffff_0000);
        assert_eq!(rig.message(device, 1), None);
    }
}

#[test]
fn collections_may_have_two_levels_too() {
    let mut rig = rig(1 << 63 | DEVICE_TABLE, 1 << 63 | 1 << 62 | 0x5_0000);
    rig.set_word(0x5_0000 + 8 * (0xffff / 512), 1 << 63 | 0x6_0000);
    rig.refused(mapc(0, 0, true), "collection out of range");
    rig.run(&[mapc(0xffff, 3, true), mapd(DEVICE, 0, ITT, true), mapti(DEVICE, 0, 8192, 0xffff)]);
    assert_eq!(rig.message(DEVICE, 0), Some((8192, 3)));
    assert_eq!(rig.word(0x6_0000 + 8 * 511), 0x8000_0000_0000_0003);
}

#[test]
fn the_number_of_pages_bounds_a_flat_table() {
    for (size, bytes) in SIZES {
        for pages in [1, 2] {
            let mut rig = rig(1 << 63 | size << 8 | 0x8_0000 | (pages - 1), 1 << 63 | COLLECTION_TABLE);
            let count = pages * bytes / 8;
            assert_eq!(rig.run(&[mapd(count - 1, 0, ITT, true)]), []);
            assert_eq!(rig.word(0x8_0000 + 8 * (count - 1)), 0x8000_0000_0004_0000, "{bytes:#x}");
            rig.refused(mapd(count, 0, ITT, true), "DeviceID out of range");
        }
    }
}

#[test]
fn pages_of_64_kib_have_address_bits_51_to_48_in_the_low_ones() {
    let high = 0x0005_0000_0000_0000;
    let mem = PhysMem::anonymous(&[(Pa(0), MEMORY), (Pa(high), 0x1_0000)]).unwrap();
    let mut rig = Rig::new();
    rig.mem = mem.clone();
    rig.its = Its::new(Config { device_bits: 16, redistributors: 4 }, mem);
    rig.w64(DEVICES, 1 << 63 | 2 << 8 | 5 << 12);
    rig.w64(COLLECTIONS, 1 << 63 | COLLECTION_TABLE);
    rig.w64(CBASER, 1 << 63 | QUEUE);
    rig.w32(CTLR, 1);
    rig.run(&[mapd(2, 0, ITT, true)]);
    assert_eq!(rig.word(high + 16), 0x8000_0000_0004_0000);
}
