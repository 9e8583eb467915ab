//! What becomes of an address.

use super::*;

#[test]
fn off_passes_or_aborts_as_gbpa_says() {
    let mut rig = Rig::new();
    rig.set_register(0x20, 0xc);
    assert_eq!(rig.read(DATA), Ok(DATA));
    assert_eq!(rig.read(1 << 52), Err(UR), "beyond the output address size");
    rig.set_register(0x44, 1 << 31 | 1 << 20);
    assert_eq!(rig.read(DATA), Err(UR));
    assert_eq!(rig.event(), None);
}

#[test]
fn a_stream_is_bypassed_aborted_or_translated() {
    let mut rig = Rig::new();
    rig.ste(STREAM, &[BYPASS]);
    rig.commands(&[]);
    assert_eq!(rig.read(DATA + 0x1000), Ok(DATA + 0x1000));
    // Config 000.
    rig.ste(STREAM, &[1]);
    rig.commands(&[cfgi_ste(STREAM)]);
    assert_eq!(rig.read(DATA), Err(UR));
    assert_eq!(rig.event(), None, "aborted silently");
    let root = rig.stage1();
    rig.map(root, 0x1234_5000, (DATA + 0x5000) | PAGE);
    rig.commands(&[cfgi_ste(STREAM)]);
    assert_eq!(rig.read(0x1234_5000), Ok(DATA + 0x5000));
    let root = rig.stage2();
    rig.map(root, 0x5432_1000, (DATA + 0x6000) | S2_PAGE);
    rig.commands(&[cfgi_ste(STREAM)]);
    assert_eq!(rig.read(0x5432_1000), Ok(DATA + 0x6000));
    assert_eq!(rig.event(), None);
}

/// Nested with 1,024 CDs in one table, S1DSS = 10; stage 2 moves everything up by 0x10_0000 and maps all
/// of RAM but the first MiB.
fn nested(rig: &mut Rig) -> u64 {
    const OFFSET: u64 = 0x10_0000;
    let root2 = rig.table();
    for ipa in (0..RAM - OFFSET).step_by(0x1000) {
        rig.map(root2, ipa, (ipa + OFFSET) | S2_PAGE);
    }
    rig.ste(STREAM, &[NESTED | 10 << 59 | 0x50_0000, 2, s2_config(9), root2]);
    for (pasid, page) in [(0, 0x20_0000), (5, 0x21_0000), (0x3ff, 0x22_0000)] {
        let root1 = rig.table();
        rig.map_at(root1, 0x4000_0000, page | PAGE, OFFSET);
        let cd = [CD | pasid << 48, root1 - OFFSET, 0, 0xff];
        rig.store(0x50_0000 + OFFSET + 64 * pasid, &cd);
    }
    OFFSET
}

#[test]
fn nesting_takes_every_address_of_stage_1_through_stage_2() {
    let mut rig = Rig::new();
    let offset = nested(&mut rig);
    // Where stage 1 leads, stage 2 adds to; what lies there begins with its physical address.
    rig.store(0x20_0000 + offset, &[1, 0]);
    rig.store(0x21_0000 + offset, &[2, 0]);
    rig.store(0x22_0000 + offset, &[3, 0]);
    assert_eq!(rig.read(0x4000_0000), Ok(1), "without a substream, CD 0");
    assert_eq!(rig.read_as(substream(0x4000_0000, 5)), Ok(2));
    assert_eq!(rig.read_as(substream(0x4000_0000, 0x3ff)), Ok(3));
    assert_eq!(rig.event(), None);
    for pasid in [0, 5, 0x3ff] {
        assert_eq!(rig.read_as(substream(0x4000_0000, pasid)).is_ok(), pasid != 0);
    }
    // F_STREAM_DISABLED for substream 0.
    assert_eq!(rig.event(), Some([0x06 | u64::from(STREAM) << 32, 0, 0, 0]));
}

#[test]
fn hits_answer_like_walks_and_permissions_hold_on_both() {
    let mut rig = Rig::new();
    let root = rig.stage1();
    // AP 11: read only for everybody.
    rig.map(root, 0x1000, DATA | PAGE | 1 << 7);
    // AP 00: nothing for the unprivileged.
    rig.map(root, 0x2000, (DATA + 0x1000) | PAGE & !(1 << 6));
    for _ in 0..2 {
        assert_eq!(rig.read(0x1000), Ok(DATA));
        assert_eq!(rig.write(0x1000), UR);
        assert_eq!(rig.read(0x2000), Err(UR));
        assert_eq!(rig.read_as(privileged(0x2000)), Ok(DATA + 0x1000));
    }
    let records: Vec<_> =
        std::iter::from_fn(|| rig.event()).map(|words| (words[0] & 0xff, words[2])).collect();
    assert_eq!(records, [(0x13, 0x1000), (0x13, 0x2000), (0x13, 0x1000), (0x13, 0x2000)]);
}

#[test]
fn the_top_byte_is_ignored_where_the_cd_says() {
    let mut rig = Rig::new();
    let root = rig.stage1();
    rig.map(root, 0x1000, DATA | PAGE);
    assert_eq!(rig.read(0xab00_0000_0000_1000), Err(UR));
    rig.store(CONTEXTS, &[CD | 7 << 48 | 1 << 38]);
    rig.commands(&[[0x05 | u64::from(STREAM) << 32, 1], [0x30, 0]]);
    for _ in 0..2 {
        assert_eq!(rig.read(0xab00_0000_0000_1000), Ok(DATA));
        assert_eq!(rig.read(0x1000), Ok(DATA));
    }
}

#[test]
fn the_last_page_of_all_is_a_page_like_others() {
    const LAST: u64 = 0xffff_ffff_ffff_f000;
    let mut rig = Rig::new();
    let root = rig.table();
    let leaf = rig.map(root, LAST, DATA | PAGE);
    // TTB1: T1SZ 16, TG1 4K. One of the substreams has, with the page, the one key that caches do not take.
    rig.ste(STREAM, &[STAGE1 | 1 << 4 | CONTEXTS | 16 << 59]);
    for (pasid, leaf) in [(1, 0x6_0000), (0xee70, 0x7_0000)] {
        let cd = [(CD & !(1 << 30)) | 16 << 16 | 2 << 22 | 7 << 48, root, root, 0xff];
        rig.store(CONTEXTS + 8 * (pasid >> 6), &[leaf | 1]);
        rig.store(leaf + 64 * (pasid & 0x3f), &cd);
    }
    for page in [DATA, DATA + 0x1000] {
        rig.store(leaf, &[page | PAGE]);
        rig.commands(&[[0x12 | 7 << 48, LAST | 1]]);
        for pasid in [1, 0xee70, 1, 0xee70] {
            assert_eq!(rig.read_as(substream(LAST, pasid)), Ok(page), "{pasid:#x}");
        }
    }
    assert_eq!(rig.event(), None);
}

#[test]
fn a_clean_page_becomes_dirty_although_reads_are_cached() {
    let mut rig = Rig::new();
    let root = rig.stage1();
    // HA and HD.
    rig.store(CONTEXTS, &[CD | 7 << 48 | 1 << 42 | 1 << 43]);
    // DBM, AP[2], no AF.
    let leaf = DATA | PAGE & !(1 << 10) | 1 << 7 | 1 << 51;
    let at = rig.map(root, 0x1000, leaf);
    assert_eq!(rig.read(0x1000), Ok(DATA));
    assert_eq!(rig.load(at), leaf | 1 << 10);
    assert_eq!(rig.write(0x1000), Outcome::Done);
    assert_eq!(rig.load(at), (leaf | 1 << 10) & !(1 << 7));
    assert_eq!(rig.event(), None);
}

#[test]
fn a_write_to_a_doorbell_is_an_interrupt_of_the_master() {
    use crate::fabric::Doorbell;
    let mut rig = Rig::new();
    let root = rig.stage1();
    rig.map(root, 0x1000, 0x0809_0000 | PAGE);
    let doorbell = Doorbell { first: Pa(0x0809_0000), last: Pa(0x0809_ffff) };
    let mut port = DmaPort::new(PORT, rig.mem.clone(), rig.unit.translator()).with_doorbell(doorbell);
    port.set_enabled(true);
    let outcome = port.write(Request::at(0x1040), &0x55u32.to_le_bytes(), &mut rig.fx).outcome;
    assert_eq!(outcome, Outcome::Done);
    let initiator = Initiator::Pci { segment: 0, source: PORT };
    assert_eq!(rig.fx.take(), [Effect::Interrupt { initiator, address: 0x0809_0040, data: 0x55 }]);
    let mut data = [0; 4];
    assert_eq!(port.read(Request::at(0x1040), &mut data, &mut rig.fx).outcome, UR);
}

/// CMD_CFGI_STE with Leaf.
pub(super) fn cfgi_ste(stream: u32) -> [u64; 2] {
    [0x03 | u64::from(stream) << 32, 1]
}
