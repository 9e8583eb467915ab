use vm_memory::{GuestAddress, GuestMemoryMmap};

use super::*;

const LOW: u64 = 0x8000_0000;
const HIGH: u64 = 0x1_0000_0000;

/// Two regions, of four and of two pages.
fn ram() -> Ram {
    let ranges = [(GuestAddress(LOW), 0x4000), (GuestAddress(HIGH), 0x2000)];
    Ram::new(&GuestMemoryMmap::from_ranges(&ranges).unwrap()).unwrap()
}

fn mapping(ram: &Ram, pa: u64) -> Mapping {
    Mapping {
        pa,
        frame: ram.frame(pa),
        read: true,
        write: true,
        fast_read: true,
        fast_write: true,
        device: false,
        global: false,
        shift: 12,
    }
}

#[test]
fn frames_are_counted_through_the_regions() {
    let ram = ram();
    assert_eq!(ram.frames(), 6);
    for (pa, frame) in [
        (LOW - 1, None),
        (LOW, Some(0)),
        (LOW + 0x3fff, Some(3)),
        (LOW + 0x4000, None),
        (HIGH, Some(4)),
        (HIGH + 0x1fff, Some(5)),
        (HIGH + 0x2000, None),
        (!0, None),
    ] {
        assert_eq!(ram.frame(pa).map(Frame::index), frame, "{pa:#x}");
    }
}

#[test]
fn regions_that_are_not_whole_pages_are_refused() {
    for (start, len) in [(0x800, 0x1000), (0x1000, 0x1800)] {
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(start), len)]).unwrap();
        assert_eq!(Ram::new(&memory).err(), Some(RamError::Unaligned(start)));
    }
}

#[test]
fn scalars_are_little_endian_at_any_offset() {
    let ram = ram();
    let frame = ram.frame(HIGH).unwrap();
    for offset in [0, 1, 3, 8, 0xff8] {
        ram.store(frame, offset, 0x1122_3344_5566_7788u64);
        assert_eq!(ram.load::<u64>(frame, offset), 0x1122_3344_5566_7788, "{offset}");
        assert_eq!(ram.load::<u8>(frame, offset), 0x88);
        assert_eq!(ram.load::<u32>(frame, offset + 2), 0x3344_5566);
        assert_eq!(ram.load::<u16>(frame, offset + 6), 0x1122);
    }
}

#[test]
fn the_tlb_answers_for_aligned_accesses_in_the_selected_bank_only() {
    let ram = ram();
    let mut tlb = Tlb::new(ram.clone());
    let va = 0xffff_8000_0000_3000;
    ram.store(ram.frame(LOW + 0x1000).unwrap(), 8, 0xabcdu64);
    tlb.insert(1, va, mapping(&ram, LOW + 0x1000));
    assert_eq!(tlb.load::<u64>(va + 8), None, "bank 0");
    tlb.select(1);
    assert_eq!(tlb.load::<u64>(va + 8), Some(0xabcd));
    assert_eq!(tlb.load_pair::<u64>(va), Some((0, 0xabcd)));
    for misaligned in 1..8 {
        assert_eq!(tlb.load::<u64>(va + misaligned), None);
        assert!(!tlb.store(va + misaligned, 0u64));
        assert_eq!(tlb.load_pair::<u64>(va + misaligned), None);
    }
    assert_eq!(tlb.load::<u16>(va + 6), Some(0));
    assert_eq!(tlb.load::<u16>(va + 7), None);
    assert_eq!(tlb.load::<u8>(va + 0xfff), Some(0));
    // A pair that leaves the page, at each size.
    assert_eq!(tlb.load_pair::<u64>(va + 0xff8), None);
    assert_eq!(tlb.load_pair::<u32>(va + 0xffc), None);
    assert_eq!(tlb.load_pair::<u32>(va + 0xff8), Some((0, 0)));
    assert!(!tlb.store_pair(va + 0xff8, (1u64, 2u64)));
    // Neighbours and aliases of the entry.
    assert_eq!(tlb.load::<u8>(va + 0x1000), None);
    assert_eq!(tlb.load::<u8>(va ^ 1 << 20), None);
    assert!(tlb.store(va, 7u8));
    assert_eq!(ram.load64(LOW + 0x1000), Some(7));
}

#[test]
fn entries_without_fast_rights_are_found_but_not_used() {
    let ram = ram();
    let mut tlb = Tlb::new(ram.clone());
    for (change, load, store) in [
        (mapping(&ram, LOW), true, true),
        (Mapping { fast_write: false, ..mapping(&ram, LOW) }, true, false),
        (Mapping { write: false, ..mapping(&ram, LOW) }, true, false),
        (Mapping { read: false, ..mapping(&ram, LOW) }, false, true),
        (Mapping { fast_read: false, fast_write: false, ..mapping(&ram, LOW) }, false, false),
        (Mapping { frame: None, ..mapping(&ram, LOW) }, false, false),
    ] {
        tlb.insert(0, 0x5000, change);
        assert_eq!(tlb.load::<u8>(0x5000).is_some(), load, "{change:?}");
        assert_eq!(tlb.store(0x5000, 0u8), store, "{change:?}");
        assert_eq!(tlb.find(0, 0x5fff), Some(change));
    }
}

#[test]
fn flushes_drop_what_they_name() {
    let ram = ram();
    let all = [0x5000u64, 0x6000, 0x20_0000, 0xffff_0000_0000_5000];
    let filled = || {
        let mut tlb = Tlb::new(ram.clone());
        tlb.insert(0, all[0], mapping(&ram, LOW));
        tlb.insert(2, all[1], Mapping { global: true, ..mapping(&ram, LOW) });
        tlb.insert(0, all[2], Mapping { shift: 21, ..mapping(&ram, LOW) });
        tlb.insert(1, all[3], mapping(&ram, HIGH));
        tlb
    };
    let left = |tlb: &Tlb| all.map(|va| (0..3).any(|bank| tlb.find(bank, va).is_some()));
    let mut tlb = filled();
    assert_eq!(left(&tlb), [true, true, true, true]);
    tlb.flush_local();
    assert_eq!(left(&tlb), [false, true, false, false]);
    let rows = [
        (0x5000, 0x5000, !0, [false, true, true, true]),
        (0x5000, 0x6000, !0, [false, false, true, true]),
        (0x3f_f000, 0x3f_f000, !0, [true, true, false, true]),
        (0x5000, 0x5000, 0xffff_ffff, [false, true, true, false]),
        (0, !0, !0, [false, false, false, false]),
        (0x7000, 0x7000, !0, [true, true, true, true]),
    ];
    for (first, last, mask, expected) in rows {
        let mut tlb = filled();
        tlb.flush_range(first, last, mask);
        assert_eq!(left(&tlb), expected, "{first:#x} {last:#x} {mask:#x}");
    }
    let mut tlb = filled();
    tlb.guard(ram.frame(LOW).unwrap());
    assert!(!tlb.store(0x5000, 0u8));
    assert_eq!(tlb.load::<u8>(0x5000), Some(0));
    tlb.flush();
    assert_eq!(left(&tlb), [false; 4]);
}

#[test]
fn entries_of_one_address_space_are_dropped_however_many_there_are() {
    let ram = ram();
    for count in [1, 255, 256, 257, 600] {
        let mut tlb = Tlb::new(ram.clone());
        let pages = || (0..count).map(|number: u64| (number as usize % 3, number << 12));
        for (bank, va) in pages() {
            tlb.insert(bank, va, mapping(&ram, LOW));
        }
        // In the place of a local entry, and in one of its own.
        tlb.insert(0, 0x10_0000, Mapping { global: true, ..mapping(&ram, LOW) });
        tlb.insert(2, 0xff_f000, Mapping { global: true, ..mapping(&ram, LOW) });
        for _ in 0..2 {
            tlb.flush_local();
            assert!(pages().all(|(bank, va)| tlb.find(bank, va).is_none()), "{count}");
            assert!(tlb.find(0, 0x10_0000).is_some() && tlb.find(2, 0xff_f000).is_some(), "{count}");
            tlb.insert(1, 0x5000, mapping(&ram, LOW));
        }
        assert!(tlb.find(1, 0x5000).is_some());
    }
}

#[test]
fn large_translations_are_found_below_tags() {
    const ALL: u64 = 0x00ff_ffff_ffff_f000;
    let ram = ram();
    let large = Mapping { shift: 30, ..mapping(&ram, LOW) };
    let plain = 0x7fff_c000_0000u64;
    let mut tlb = Tlb::new(ram);
    tlb.insert(0, 0x5500_0000_8000_1000, large);
    tlb.insert(0, 0x4000_0000, large);
    tlb.insert(0, plain | 0x2000, large);
    // Another page of the same block.
    assert!(tlb.flush_range(plain, plain, ALL));
    assert_eq!(tlb.find(0, plain | 0x2000), None);
    assert!(tlb.find(0, 0x4000_0000).is_some());
    assert!(tlb.flush_range(0x8000_5000, 0x8000_5000, ALL));
    assert_eq!(tlb.find(0, 0x5500_0000_8000_1000), None);
}

/// What a TLB says of the translations that a flush may concern: (first, shift) of one that was entered,
/// then the range and mask of the flush.
#[test]
fn wide_translations_are_known_by_their_blocks() {
    const ALL: u64 = 0x00ff_ffff_ffff_f000;
    let ram = ram();
    let rows = [
        (0x20_0000, 12, 0x20_0000, 0x20_0000, ALL, false),
        (0x20_0000, 21, 0x20_0000, 0x20_0000, ALL, true),
        (0x20_0000, 21, 0x3f_f000, 0x3f_f000, ALL, true),
        (0x20_0000, 21, 0x1f_f000, 0x1f_f000, ALL, false),
        (0x20_0000, 21, 0x40_0000, 0x40_0000, ALL, false),
        (0x20_0000, 21, 0x1f_f000, 0x40_0000, ALL, true),
        (0x21_0000, 16, 0x21_0000, 0x21_0000, ALL, true),
        (0x21_0000, 16, 0x60_0000, 0x60_0000, ALL, false),
        // The top bits are not compared, and neither are those of other blocks 8 GiB away.
        (0xffff_8000_0020_0000, 21, 0x00ff_8000_0020_0000, 0x00ff_8000_0020_0000, ALL, true),
        (0x20_0000, 21, 0x2_0020_0000, 0x2_0020_0000, ALL, true),
        (0x4000_0000, 30, 0x4000_0000, 0x4000_0000, ALL, true),
        (0x4000_0000, 30, 0x7fff_f000, 0x7fff_f000, ALL, true),
        (0x4000_0000, 30, 0x8000_0000, 0x8000_0000, ALL, false),
        (0x4000_0000, 30, 0x3fff_f000, 0x3fff_f000, ALL, false),
        (0xffff_8000_4000_0000, 30, 0x00ff_8000_7fff_f000, 0x00ff_8000_7fff_f000, ALL, true),
        (0xffff_8000_4000_0000, 30, 0x00ff_8000_8000_0000, 0x00ff_8000_8000_0000, ALL, false),
        (0x20_0000, 21, 0, ALL, ALL, true),
        (0x20_0000, 21, 0, !0, !0, true),
    ];
    for (va, shift, first, last, mask, expected) in rows {
        let mut tlb = Tlb::new(ram.clone());
        tlb.insert(0, va, Mapping { shift, ..mapping(&ram, LOW) });
        assert_eq!(tlb.flush_range(first, last, mask), expected, "{va:#x} {shift} {first:#x} {last:#x}");
        tlb.flush();
        assert!(!tlb.flush_range(first, first, mask), "nothing is left");
    }
}

#[test]
fn a_value_is_replaced_and_a_block_zeroed_through_fast_entries_only() {
    let ram = ram();
    let frame = ram.frame(LOW).unwrap();
    let no = |read: bool| Mapping { read: !read, fast_write: read, ..mapping(&ram, LOW) };
    for (entry, fast) in [(mapping(&ram, LOW), true), (no(true), false), (no(false), false)] {
        let mut tlb = Tlb::new(ram.clone());
        tlb.insert(0, 0x5000, entry);
        for offset in (0..0x100).step_by(8) {
            ram.store(frame, offset, 0x1111_1111_1111_1111u64);
        }
        assert_eq!(tlb.modify(0x5008, |old: u32| old + 1), fast.then_some(0x1111_1111), "{entry:?}");
        assert_eq!(ram.load::<u64>(frame, 8), 0x1111_1111_1111_1111 + u64::from(fast));
        assert_eq!(tlb.modify(0x500a, |old: u32| old + 1), None, "it is not aligned");
        let writable = entry.fast_write;
        assert_eq!(tlb.zero(0x507d, 6), writable, "{entry:?}");
        let zeroes = (0..0x100).filter(|offset| ram.load::<u8>(frame, *offset) == 0);
        let expected = if writable { 0x40..0x80 } else { 0..0 };
        assert_eq!(zeroes.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
    let tlb = Tlb::new(ram.clone());
    assert!(!tlb.zero(0x5000, 6));
}

/// A page that remembers what it was told.
struct Told(std::cell::RefCell<Vec<(u16, u16)>>);

impl CodePage for Told {
    fn new(_: Frame) -> Self {
        Self(Vec::new().into())
    }
    fn forget(&self, first: u16, last: u16) {
        self.0.borrow_mut().push((first, last));
    }
}

#[test]
fn writes_reach_the_pages_that_hold_code() {
    let ram = ram();
    let mut pages = CodePages::<Told>::new(&ram);
    let watch = pages.watch();
    let frame = ram.frame(LOW + 0x3000).unwrap();
    let id = pages.add(frame).unwrap();
    let other = pages.add(ram.frame(HIGH).unwrap()).unwrap();
    assert_eq!(pages.find(frame), Some(id));
    let told = |id: PageId| std::mem::take(&mut *pages.get(id).unwrap().0.borrow_mut());

    pages.written(frame, 0xffe, 8);
    assert_eq!(told(id), [(0xffe, 0xfff)]);
    watch.written(LOW + 0x2ffc, LOW + 0x3003);
    watch.written(0, !0);
    assert_eq!(told(id), [], "not before it is asked for");
    pages.drain();
    assert_eq!(told(id), [(0, 3), (0, 0xfff)]);
    assert_eq!(told(other), [(0, 0xfff)]);
    // Too many to keep apart.
    for _ in 0..1000 {
        watch.written(HIGH, HIGH);
    }
    pages.drain();
    assert!(told(id).contains(&(0, 0xfff)));
    pages.clear();
    assert_eq!(pages.find(frame), None);
    assert!(pages.get(id).is_none());
    assert!(!watch.is_code(frame));
}

#[test]
fn the_cache_of_pages_is_bounded() {
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 5000 << 12)]).unwrap();
    let ram = Ram::new(&memory).unwrap();
    let pages = CodePages::<Told>::new(&ram);
    let added = (0..5000u64).filter(|page| pages.add(ram.frame(page << 12).unwrap()).is_some()).count();
    assert_eq!(added, 4096);
}
