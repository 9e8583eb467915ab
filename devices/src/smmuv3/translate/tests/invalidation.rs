//! What each invalidation drops, and what it must leave.

use super::translation::cfgi_ste;
use super::*;

const VA: u64 = 0x1_2000;
const VMID: u64 = 9 << 32;
const ASID: u64 = 7 << 48;

/// What a cached translation may be of, in the order of the columns of [`COMMANDS`].
#[derive(Clone, Copy, Debug)]
enum Entry {
    Stage1 { global: bool },
    Nested { global: bool },
    Stage2,
    El2,
    El2E2h { global: bool },
}

const ENTRIES: [Entry; 8] = [
    Entry::Stage1 { global: false },
    Entry::Stage1 { global: true },
    Entry::Nested { global: false },
    Entry::Nested { global: true },
    Entry::Stage2,
    Entry::El2,
    Entry::El2E2h { global: false },
    Entry::El2E2h { global: true },
];

/// Commands without the common part, and which entries of VMID 9, ASID 7 at [`VA`] each drops.
const COMMANDS: [(&str, [u64; 2], &str); 33] = [
    ("NH_ALL", [0x10 | VMID, 0], "xxxx----"),
    ("NH_ALL of another VMID", [0x10 | 8 << 32, 0], "--------"),
    ("NH_ASID", [0x11 | VMID | ASID, 0], "x-x-----"),
    ("NH_ASID of another ASID", [0x11 | VMID | 6 << 48, 0], "--------"),
    ("NH_ASID of another VMID", [0x11 | 8 << 32 | ASID, 0], "--------"),
    ("NH_VA", [0x12 | VMID | ASID, VA], "xxxx----"),
    ("NH_VA, Leaf", [0x12 | VMID | ASID, VA | 1], "xxxx----"),
    ("NH_VA of another ASID", [0x12 | VMID | 6 << 48, VA], "-x-x----"),
    ("NH_VA of another VMID", [0x12 | 8 << 32 | ASID, VA], "--------"),
    ("NH_VA of the page before", [0x12 | VMID | ASID, VA - 0x1000], "--------"),
    ("NH_VA of the page after", [0x12 | VMID | ASID, VA + 0x1000], "--------"),
    ("NH_VAA", [0x13 | VMID, VA], "xxxx----"),
    ("NH_VAA of another VMID", [0x13 | 8 << 32, VA], "--------"),
    ("EL2_ALL", [0x20, 0], "-----xxx"),
    ("EL2_ASID", [0x21 | ASID, 0], "------x-"),
    ("EL2_ASID of another ASID", [0x21 | 6 << 48, 0], "--------"),
    ("EL2_VA", [0x22 | ASID, VA], "-----xxx"),
    ("EL2_VA of another ASID", [0x22 | 6 << 48, VA], "-----x-x"),
    ("EL2_VA of another page", [0x22 | ASID, VA + 0x1000], "--------"),
    ("EL2_VAA", [0x23, VA], "-----xxx"),
    ("S12_VMALL", [0x28 | VMID, 0], "xxxxx---"),
    ("S12_VMALL of another VMID", [0x28 | 8 << 32, 0], "--------"),
    ("S2_IPA", [0x2a | VMID, VA], "----x---"),
    ("S2_IPA, Leaf", [0x2a | VMID, VA | 1], "----x---"),
    ("S2_IPA of another VMID", [0x2a | 8 << 32, VA], "--------"),
    ("S2_IPA of another page", [0x2a | VMID, VA + 0x1000], "--------"),
    ("NSNH_ALL", [0x30, 0], "xxxxx---"),
    ("CFGI_STE", [0x03 | SID, 0], "--------"),
    ("CFGI_STE_RANGE", [0x04 | SID, 3], "--------"),
    ("CFGI_ALL", [0x04, 31], "--------"),
    ("CFGI_CD", [0x05 | SID, 0], "--------"),
    ("CFGI_CD_ALL", [0x06 | SID, 0], "--------"),
    ("PREFETCH_ADDR", [0x02 | SID, VA], "--------"),
];

/// Makes a stream that leads [`VA`] to a page by such an entry; gives the place of the descriptor and
/// what is in there beside the address.
fn stream_of(rig: &mut Rig, entry: Entry) -> (u64, u64) {
    let bits = |global| if global { GLOBAL_PAGE } else { PAGE };
    let (root, bits) = match entry {
        Entry::Stage1 { global } => {
            let root = rig.stage1();
            rig.ste(STREAM, &[STAGE1 | CONTEXTS, 0, 9]);
            (root, bits(global))
        }
        Entry::Nested { global } => (rig.nested().0, bits(global)),
        Entry::Stage2 => (rig.stage2(), S2_PAGE),
        Entry::El2 | Entry::El2E2h { .. } => {
            let e2h = matches!(entry, Entry::El2E2h { .. });
            rig.set_register(0x20, 0xc);
            rig.set_register(0x2c, 2 | u32::from(e2h));
            rig.set_register(0x20, 0xd);
            let root = rig.stage1();
            rig.ste(STREAM, &[STAGE1 | CONTEXTS, 2 << 30]);
            (root, bits(matches!(entry, Entry::El2E2h { global: true })))
        }
    };
    (rig.map(root, VA, DATA | bits), bits)
}

#[test]
fn each_command_drops_its_own() {
    for (column, entry) in ENTRIES.into_iter().enumerate() {
        for (name, command, drops) in COMMANDS {
            let mut rig = Rig::new();
            let (leaf, bits) = stream_of(&mut rig, entry);
            assert_eq!(rig.read(VA), Ok(DATA), "{entry:?}");
            rig.store(leaf, &[(DATA + 0x1000) | bits]);
            assert_eq!(rig.read(VA), Ok(DATA), "{entry:?} is cached");
            rig.commands(&[command]);
            let expected = if drops.as_bytes()[column] == b'x' { DATA + 0x1000 } else { DATA };
            for _ in 0..2 {
                assert_eq!(rig.read(VA), Ok(expected), "CMD_TLBI_{name}, {entry:?}");
            }
        }
    }
}

#[test]
fn a_page_that_is_gone_faults() {
    for entry in ENTRIES {
        let mut rig = Rig::new();
        let (leaf, _) = stream_of(&mut rig, entry);
        assert_eq!(rig.read(VA), Ok(DATA));
        rig.store(leaf, &[0]);
        rig.commands(&[[0x30, 0], [0x20, 0]]);
        assert_eq!(rig.read(VA), Err(UR), "{entry:?}");
        assert_eq!(rig.event().map(|words| words[0] & 0xff), Some(0x10), "{entry:?}");
    }
}

#[test]
fn an_ipa_goes_with_its_vmid_and_combined_entries_with_their_va() {
    const IPA: u64 = 0x4321_5000;
    let mut rig = Rig::new();
    let (root1, root2) = rig.nested();
    rig.map(root1, VA, IPA | PAGE);
    rig.map(root1, VA + 0x1000, IPA | PAGE);
    let leaf = rig.map(root2, IPA, DATA | S2_PAGE);
    assert_eq!(rig.read(VA), Ok(DATA));
    rig.store(leaf, &[(DATA + 0x1000) | S2_PAGE]);
    // Stage 1 alone is no longer cached; stage 2 is.
    rig.commands(&[[0x10 | VMID, 0]]);
    assert_eq!(rig.read(VA), Ok(DATA));
    // Stage 2 is dropped; what combines both is not.
    rig.commands(&[[0x2a | VMID, IPA]]);
    assert_eq!((rig.read(VA), rig.read(VA + 0x1000)), (Ok(DATA), Ok(DATA + 0x1000)));
    rig.commands(&[[0x12 | VMID | ASID, VA]]);
    assert_eq!(rig.read(VA), Ok(DATA + 0x1000));
}

#[test]
fn tables_stay_with_leaf_and_go_without() {
    // Stage 1 and stage 2 alone, each with its command by address.
    for (entry, command) in [(ENTRIES[0], 0x12 | VMID | ASID), (ENTRIES[4], 0x2a | VMID)] {
        let mut rig = Rig::new();
        let (leaf, bits) = stream_of(&mut rig, entry);
        assert_eq!(rig.read(VA), Ok(DATA));
        // Another last table, in the place of the one that is cached.
        let other = rig.table();
        rig.store(other + (leaf & 0xfff), &[(DATA + 0x1000) | bits]);
        let above = (TABLES..rig.free).step_by(8).find(|at| rig.load(*at) == leaf & !0xfff | TABLE);
        rig.store(above.unwrap(), &[other | TABLE]);
        rig.commands(&[[command, VA | 1]]);
        assert_eq!(rig.read(VA), Ok(DATA), "{entry:?}: the page is walked for in the old table");
        rig.commands(&[[command, VA]]);
        assert_eq!(rig.read(VA), Ok(DATA + 0x1000), "{entry:?}");
    }
}

/// Sets a 2-MiB block at `input` in the tables at `root`, which have others beside it; gives its place.
fn map_block(rig: &mut Rig, root: u64, input: u64, leaf: u64) -> u64 {
    let page = rig.map(root, input, 0) & !0xfff;
    let at = (TABLES..rig.free).step_by(8).find(|at| rig.load(*at) == page | TABLE).unwrap();
    // Bit 1 clear: a block.
    rig.store(at, &[leaf & !2]);
    at
}

#[test]
fn any_address_of_a_block_drops_all_of_it() {
    const BLOCK: u64 = 0x8000_0000;
    const OTHER: u64 = DATA + 0x20_0000;
    let pages = [BLOCK, BLOCK + 0x3000, BLOCK + 0x1f_f000];
    for (column, command) in [(0, 0x12 | VMID | ASID), (2, 0x12 | VMID | ASID), (4, 0x2a | VMID)] {
        let mut rig = Rig::new();
        let entry = ENTRIES[column];
        let (_, bits) = stream_of(&mut rig, entry);
        let root = if column == 4 {
            rig.load(STREAMS + 64 * u64::from(STREAM) + 24)
        } else {
            rig.load(CONTEXTS + 8)
        };
        if column == 2 {
            let root2 = rig.load(STREAMS + 64 * u64::from(STREAM) + 24);
            // Pages of stage 2, so that the fractions have only the block of stage 1 in common.
            for page in (DATA..RAM).step_by(0x1000) {
                rig.map(root2, page, page | S2_PAGE);
            }
        }
        let at = map_block(&mut rig, root, BLOCK, DATA | bits);
        for page in pages {
            assert_eq!(rig.read(page), Ok(DATA + (page - BLOCK)), "{entry:?}");
        }
        rig.store(at, &[OTHER | bits & !2]);
        rig.commands(&[[command, (BLOCK + 0x7000) | 1]]);
        for page in pages {
            assert_eq!(rig.read(page), Ok(OTHER + (page - BLOCK)), "{entry:?}, {page:#x}");
        }
    }
}

#[test]
fn large_granules_go_whole() {
    const LEAF: u64 = 0x22_0000;
    // TG0 64K; one table of each level, to a page and to a block of 512 MiB.
    for (block, at, command) in [
        (false, LEAF, [0x12 | ASID, 0x8000_9000 | 1]),
        (false, LEAF, [0x12 | ASID, 0x8000_0000 | 3 << 10 | 3 << 8 | 1]),
        (true, 0x21_0000 + 8 * 4, [0x12 | ASID, 0x9fff_0000 | 1]),
        (true, 0x21_0000 + 8 * 4, [0x12 | ASID, 0x8000_0000 | 3 << 10 | 2 << 8 | 1]),
    ] {
        let mut rig = Rig::new();
        rig.ste(STREAM, &[STAGE1 | CONTEXTS]);
        rig.store(CONTEXTS, &[CD | 1 << 6 | ASID, 0x20_0000, 0, 0xff]);
        rig.store(0x20_0000, &[0x21_0000 | TABLE]);
        rig.store(0x21_0000 + 8 * 4, &[LEAF | TABLE]);
        let (bits, pages) = if block { (PAGE & !2, [0, 0x40_0000]) } else { (PAGE, [DATA, DATA + 0x1_0000]) };
        let used = if block { 0x8000_0000 + DATA + 0x3000 } else { 0x8000_3000 };
        rig.store(at, &[pages[0] | bits]);
        assert_eq!(rig.read(used), Ok(DATA + 0x3000));
        // A block of 512 MiB cannot move in so little memory: it goes.
        rig.store(at, &[if block { 0 } else { pages[1] | bits }]);
        assert_eq!(rig.read(used), Ok(DATA + 0x3000));
        rig.commands(&[command]);
        let expected = if block { Err(UR) } else { Ok(pages[1] + 0x3000) };
        assert_eq!(rig.read(used), expected, "{command:x?}");
    }
}

#[test]
fn stage_2_alone_is_cached_for_all_of_a_vmid() {
    let mut rig = Rig::new();
    let root = rig.stage2();
    let leaf = rig.map(root, VA, DATA | S2_PAGE);
    assert_eq!(rig.read(VA), Ok(DATA));
    // More pages than there are IPAs cached, fewer than the TLB has room for.
    for page in 0..512 {
        let ipa = 0x4000_0000 + page * 0x1000;
        rig.map(root, ipa, DATA | S2_PAGE);
        assert_eq!(rig.read(ipa), Ok(DATA));
    }
    rig.store(leaf, &[(DATA + 0x1000) | S2_PAGE]);
    for (vmid, expected) in [(9, DATA), (8, DATA + 0x1000)] {
        rig.ste(STREAM + 1, &[STAGE2, 0, s2_config(vmid), root]);
        rig.commands(&[cfgi_ste(STREAM + 1)]);
        let port = rig.platform(STREAM + 1);
        assert_eq!(rig.read_by(&port, Request::at(VA)), Ok(expected), "VMID {vmid}");
    }
}

#[test]
fn any_ipa_of_a_block_drops_all_that_is_cached_of_it() {
    const BLOCK: u64 = 0x8000_0000;
    let mut rig = Rig::new();
    let (root1, root2) = rig.nested();
    let at = map_block(&mut rig, root2, BLOCK, DATA | S2_PAGE);
    rig.map(root1, VA, (BLOCK + 0x5000) | PAGE);
    assert_eq!(rig.read(VA), Ok(DATA + 0x5000));
    rig.store(at, &[(DATA + 0x20_0000) | S2_PAGE & !2]);
    rig.commands(&[[0x2a | VMID, BLOCK | 1], [0x10 | VMID, 0]]);
    assert_eq!(rig.read(VA), Ok(DATA + 0x20_5000));
}

#[test]
fn ranges_drop_what_they_cover() {
    // TG 4K, NUM, SCALE, TTL; of 16 pages from 0x10_0000, those that go.
    const FIRST: u64 = 0x10_0000;
    let range = |num: u64, scale: u64| 0x12 | num << 12 | scale << 20 | VMID | ASID;
    for (name, command, gone) in [
        ("one page", [range(0, 0), (FIRST + 0x2000) | (1 << 10) | 3 << 8 | 1], 2..3),
        ("four pages", [range(3, 0), (FIRST + 0x2000) | (1 << 10) | 1], 2..6),
        ("two times two", [range(1, 1), (FIRST + 0x4000) | (1 << 10) | 1], 4..8),
        ("one times eight", [range(0, 3), FIRST | 1 << 10 | 1], 0..8),
        ("TTL 2: whole blocks", [range(0, 0), (FIRST + 0x4000) | (1 << 10) | 2 << 8 | 1], 0..16),
        ("more than the TLB has sets", [range(31, 10), FIRST | 1 << 10 | 1], 0..16),
        ("all above", [range(31, 39), (FIRST + 0x8000) | (1 << 10) | 1], 8..16),
        ("before", [range(3, 0), (FIRST - 0x4000) | (1 << 10) | 1], 0..0),
        ("after", [range(3, 0), (FIRST + 0x1_0000) | (1 << 10) | 1], 0..0),
        ("without TG the rest does not count", [range(3, 0), FIRST | 1], 0..1),
    ] {
        let mut rig = Rig::new();
        let root = rig.stage1();
        rig.ste(STREAM, &[STAGE1 | CONTEXTS, 0, 9]);
        let pages: Vec<_> = (0..16)
            .map(|page| {
                let va = FIRST + page * 0x1000;
                (va, rig.map(root, va, DATA | PAGE))
            })
            .collect();
        for (va, leaf) in &pages {
            assert_eq!(rig.read(*va), Ok(DATA));
            rig.store(*leaf, &[(DATA + 0x1000) | PAGE]);
        }
        rig.commands(&[command]);
        for (number, (va, _)) in (0..).zip(&pages) {
            let expected = if gone.contains(&number) { DATA + 0x1000 } else { DATA };
            assert_eq!(rig.read(*va), Ok(expected), "{name}: page {number}");
        }
    }
}

#[test]
fn vmw_hides_low_bits_of_vmids_from_invalidation_only() {
    for (vmw, vmid, gone) in [
        (0, 8, false),
        (1, 8, true),
        (1, 10, false),
        (2, 10, true),
        (4, 15, true),
        (4, 16, false),
        (5, 8, false),
    ] {
        let mut rig = Rig::new();
        let (leaf, bits) = stream_of(&mut rig, ENTRIES[0]);
        rig.set_register(0x20, 0xd | vmw << 6);
        assert_eq!(rig.read(VA), Ok(DATA));
        rig.store(leaf, &[(DATA + 0x1000) | bits]);
        rig.commands(&[[0x10 | vmid << 32, 0]]);
        let expected = if gone { DATA + 0x1000 } else { DATA };
        assert_eq!(rig.read(VA), Ok(expected), "VMW {vmw}, VMID {vmid}");
    }
    // VMIDs that differ in hidden bits are still different.
    let mut rig = Rig::new();
    let (leaf, bits) = stream_of(&mut rig, ENTRIES[0]);
    rig.set_register(0x20, 0xd | 2 << 6);
    assert_eq!(rig.read(VA), Ok(DATA));
    rig.store(leaf, &[(DATA + 0x1000) | bits]);
    rig.ste(STREAM + 1, &[STAGE1 | CONTEXTS, 0, 8]);
    let port = rig.platform(STREAM + 1);
    assert_eq!(rig.read_by(&port, Request::at(VA)), Ok(DATA + 0x1000));
}

#[test]
fn an_ignored_top_byte_is_ignored_in_invalidations() {
    let tagged = 0xab << 56 | VA;
    for (used, named) in [(tagged, tagged), (tagged, VA), (VA, tagged)] {
        let mut rig = Rig::new();
        let root = rig.stage1();
        // TBI0.
        rig.store(CONTEXTS, &[CD | ASID | 1 << 38]);
        let leaf = rig.map(root, VA, DATA | PAGE);
        assert_eq!(rig.read(used), Ok(DATA));
        rig.store(leaf, &[(DATA + 0x1000) | PAGE]);
        rig.commands(&[[0x12 | ASID, named]]);
        assert_eq!(rig.read(used), Ok(DATA + 0x1000), "{used:#x} by {named:#x}");
    }
}

#[test]
fn the_tlb_is_tagged_by_asid_and_set_and_never_by_stream() {
    let mut rig = Rig::new();
    // The CD's index, its ASID with or without ASET, and where its tables lead.
    for (index, asid, leaf) in [
        (0, 7 << 48, DATA | GLOBAL_PAGE),
        (2, 6 << 48, (DATA + 0x2000) | PAGE),
        (3, 6 << 48 | 1 << 47, (DATA + 0x3000) | PAGE),
    ] {
        let root = rig.table();
        rig.map(root, VA, leaf);
        rig.store(CONTEXTS + 64 * index, &[CD | asid, root, 0, 0xff]);
    }
    rig.ste(STREAM, &[STAGE1 | CONTEXTS | 4 << 59, 2, 9]);
    assert_eq!(rig.read(VA), Ok(DATA));
    assert_eq!(rig.read_as(substream(VA, 2)), Ok(DATA), "a global page is every ASID's");
    assert_eq!(rig.read_as(substream(VA, 3)), Ok(DATA + 0x3000), "but of its own set only");
    // The same tag from another stream, whose own tables lead elsewhere.
    let root = rig.table();
    rig.map(root, VA, (DATA + 0x4000) | PAGE);
    rig.store(0x4_8000, &[CD | 7 << 48, root, 0, 0xff]);
    let port = rig.platform(STREAM + 1);
    for (vmid, expected) in [(9, DATA), (8, DATA + 0x4000)] {
        rig.ste(STREAM + 1, &[STAGE1 | 0x4_8000, 0, vmid]);
        rig.commands(&[cfgi_ste(STREAM + 1)]);
        assert_eq!(rig.read_by(&port, Request::at(VA)), Ok(expected), "VMID {vmid}");
    }
}

#[test]
fn switching_translation_off_and_on_drops_nothing() {
    let mut rig = Rig::new();
    let (leaf, bits) = stream_of(&mut rig, ENTRIES[0]);
    assert_eq!(rig.read(VA), Ok(DATA));
    rig.store(leaf, &[(DATA + 0x1000) | bits]);
    rig.set_register(0x20, 0xc);
    rig.set_register(0x20, 0xd);
    assert_eq!(rig.read(VA), Ok(DATA));
}

/// A stream whose STE was changed from bypass to abort after it was used, and the same of the next one.
fn changed_stes() -> Rig {
    let mut rig = Rig::new();
    for stream in [STREAM, 0x120] {
        rig.ste(stream, &[BYPASS]);
        let port = rig.platform(stream);
        assert_eq!(rig.read_by(&port, Request::at(DATA)), Ok(DATA));
        rig.ste(stream, &[1]);
    }
    rig
}

#[test]
fn an_ste_goes_with_its_stream() {
    let of = |stream: u64| stream << 32;
    for (name, command, gone) in [
        ("CFGI_STE", [0x03 | of(0x118), 0], [true, false]),
        ("CFGI_STE, Leaf", [0x03 | of(0x118), 1], [true, false]),
        ("CFGI_STE of another", [0x03 | of(0x119), 0], [false, false]),
        ("CFGI_STE_RANGE of 16", [0x04 | of(0x113), 3], [true, false]),
        ("CFGI_STE_RANGE of 16 others", [0x04 | of(0x12f), 3], [false, true]),
        ("CFGI_STE_RANGE of 64", [0x04 | of(0x100), 5], [true, true]),
        ("CFGI_ALL", [0x04, 31], [true, true]),
        ("CFGI_CD_ALL", [0x06 | of(0x118), 0], [false, false]),
        ("TLBI_NSNH_ALL", [0x30, 0], [false, false]),
        ("TLBI_EL2_ALL", [0x20, 0], [false, false]),
    ] {
        let mut rig = changed_stes();
        rig.commands(&[command]);
        for (stream, gone) in [STREAM, 0x120].into_iter().zip(gone) {
            let port = rig.platform(stream);
            let expected = if gone { Err(UR) } else { Ok(DATA) };
            assert_eq!(rig.read_by(&port, Request::at(DATA)), expected, "{name}: {stream:#x}");
        }
    }
}

#[test]
fn an_invalid_entry_is_cached_like_another() {
    let mut rig = Rig::new();
    assert_eq!(rig.read(DATA), Err(UR));
    rig.ste(STREAM, &[BYPASS]);
    assert_eq!(rig.read(DATA), Err(UR));
    rig.commands(&[cfgi_ste(STREAM)]);
    assert_eq!(rig.read(DATA), Ok(DATA));
    rig.ste(STREAM, &[STAGE1 | CONTEXTS]);
    rig.commands(&[cfgi_ste(STREAM)]);
    assert_eq!(rig.read(VA), Err(UR));
    let root = rig.stage1();
    rig.map(root, VA, DATA | PAGE);
    assert_eq!(rig.read(VA), Err(UR));
    rig.commands(&[[0x05 | SID, 1]]);
    assert_eq!(rig.read(VA), Ok(DATA));
}

#[test]
fn a_cd_goes_with_its_substream_or_its_stream() {
    for (name, command, gone) in [
        ("CFGI_CD", [0x05 | 1 << 12 | SID, 1], [true, false]),
        ("CFGI_CD of another", [0x05 | 2 << 12 | SID, 0], [false, true]),
        ("CFGI_CD of another stream", [0x05 | 1 << 12 | 0x119 << 32, 0], [false, false]),
        ("CFGI_CD_ALL", [0x06 | SID, 0], [true, true]),
        ("CFGI_STE, Leaf", [0x03 | SID, 1], [true, true]),
        ("CFGI_ALL", [0x04, 31], [true, true]),
        ("TLBI_NSNH_ALL", [0x30, 0], [false, false]),
    ] {
        let mut rig = Rig::new();
        rig.ste(STREAM, &[STAGE1 | CONTEXTS | 4 << 59, 2]);
        for index in [1, 2] {
            let (old, new) = (rig.table(), rig.table());
            rig.map(old, VA, DATA | PAGE);
            rig.map(new, VA, (DATA + 0x1000) | PAGE);
            rig.store(CONTEXTS + 64 * index, &[CD | index << 48, old, 0, 0xff]);
            assert_eq!(rig.read_as(substream(VA, index as u32)), Ok(DATA));
            rig.store(CONTEXTS + 64 * index + 8, &[new]);
        }
        // The translations go; what the CD said does not.
        rig.commands(&[command, [0x30, 0]]);
        for (index, gone) in [1, 2].into_iter().zip(gone) {
            let expected = if gone { DATA + 0x1000 } else { DATA };
            assert_eq!(rig.read_as(substream(VA, index)), Ok(expected), "{name}: {index}");
        }
    }
}

#[test]
fn a_cd_stays_where_stage_2_leads_elsewhere() {
    // CDs are cached by StreamID and SubstreamID, apart from translations [SMMUv3 3.17, 4.3.3, 16.2].
    let flush = [0x30, 0];
    for (name, commands, gone) in [
        ("TLBI_S2_IPA and TLBI_NH_ALL", [[0x2a | VMID, CONTEXTS], [0x10 | VMID, 0]], false),
        ("TLBI_S12_VMALL", [[0x28 | VMID, 0], flush], false),
        ("TLBI_NSNH_ALL", [flush, flush], false),
        ("CFGI_CD", [[0x05 | SID, 1], flush], true),
        ("CFGI_CD_ALL", [[0x06 | SID, 0], flush], true),
        ("CFGI_STE", [[0x03 | SID, 1], flush], true),
        // It is read again, but where the IPA led before.
        ("CFGI_CD before TLBI_NH_ALL", [[0x05 | SID, 1], [0x10 | VMID, 0]], false),
    ] {
        let mut rig = Rig::new();
        let (root1, root2) = rig.nested();
        rig.map(root1, VA, DATA | PAGE);
        let other = rig.table();
        rig.map(other, VA, (DATA + 0x1000) | PAGE);
        let contexts = rig.table();
        rig.store(contexts, &[CD | ASID, other, 0, 0xff]);
        assert_eq!(rig.read(VA), Ok(DATA));
        rig.map(root2, CONTEXTS, contexts | S2_PAGE);
        rig.commands(&commands);
        let expected = if gone { DATA + 0x1000 } else { DATA };
        assert_eq!(rig.read(VA), Ok(expected), "{name}");
    }
}

#[test]
fn level_1_descriptors_stay_with_leaf_and_go_without() {
    // L1STD, SPLIT 8: another level-2 table, in which the stream is aborted.
    let mut rig = Rig::new();
    rig.store(0x5_0008, &[0x6_0000 | 9]);
    rig.store(0x6_0000 + 64 * 0x18, &[BYPASS]);
    rig.store(0x7_0000 + 64 * 0x18, &[1]);
    rig.stream_table(0x5_0000, 1 << 16 | 8 << 6 | 10);
    assert_eq!(rig.read(DATA), Ok(DATA));
    rig.store(0x5_0008, &[0x7_0000 | 9]);
    for (command, expected) in
        [([0x03 | SID, 1], Ok(DATA)), ([0x03 | 0x218 << 32, 0], Ok(DATA)), ([0x03 | SID, 0], Err(UR))]
    {
        rig.commands(&[command]);
        assert_eq!(rig.read(DATA), expected, "{command:x?}");
    }
    // L1CD.
    let mut rig = Rig::new();
    for (leaf, page) in [(0x6_0000, DATA), (0x7_0000, DATA + 0x1000)] {
        let root = rig.table();
        rig.map(root, VA, page | PAGE);
        rig.store(leaf + 64 * 5, &[CD, root, 0, 0xff]);
    }
    rig.store(CONTEXTS, &[0x6_0000 | 1]);
    rig.ste(STREAM, &[STAGE1 | 1 << 4 | CONTEXTS | 10 << 59]);
    assert_eq!(rig.read_as(substream(VA, 5)), Ok(DATA));
    rig.store(CONTEXTS, &[0x7_0000 | 1]);
    for (command, expected) in [([0x05 | 5 << 12 | SID, 1], DATA), ([0x05 | 5 << 12 | SID, 0], DATA + 0x1000)]
    {
        rig.commands(&[command, [0x30, 0]]);
        assert_eq!(rig.read_as(substream(VA, 5)), Ok(expected), "{command:x?}");
    }
}

#[test]
fn a_cd_is_not_cached_if_its_ste_went_meanwhile() {
    use crate::smmuv3::invalidation::{BackEnd as _, ConfigScope};
    use crate::smmuv3::tables::ste::{self, Ste};
    use crate::smmuv3::translate::Translator;
    use crate::smmuv3::translate::walker::{Tickets, Walker};

    let rig = Rig::new();
    let full = config("smmuv3.3-full");
    let translator = Translator::new(&full, rig.mem.clone());
    let words = [STAGE1 | CONTEXTS, 0, 0, 0, 0, 0, 0, 0];
    let service = ste::Packed::new(&ste::decode(Ste::from_raw(words), &full, Default::default()).unwrap());
    let tickets = Tickets {
        hits: translator.hits.ticket(),
        tlb: translator.tlb.ticket(),
        tables: translator.tables.ticket(),
        ipas: translator.ipas.ticket(),
        context_descriptors: translator.context_descriptors.ticket(),
        contexts: translator.contexts.ticket(),
    };
    let (stream, first) = (StreamId(STREAM), Pasid::new(0).unwrap());
    let mut fx = Effects::new(Time(0), false);
    let mut walker =
        Walker { translator: &translator, stream, service: &service, tickets: Some(&tickets), fx: &mut fx };
    let table = service.context_table().unwrap();
    translator.invalidate_config(ConfigScope::Streams { first: stream, last: stream, leaf: true });
    assert!(translator.cd_words(&mut walker, &table, first, &mut [0; 8]).is_ok());
    assert_eq!(translator.peek_cd(stream, first), None);
}
