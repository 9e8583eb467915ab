//! Both stages together: what is fetched, and which fault comes first [SMMUv3 7.3.22].

use super::*;

use FaultKind::{Access, AddressSize, Permission, Translation};

/// The stage-2 descriptor for the page of an IPA.
const fn mapper(ipa: u64) -> u64 {
    SECOND[2] + (ipa >> 12) * 8
}

#[test]
fn every_descriptor_is_fetched_through_stage_2() {
    let mem = nested_memory();
    let mut log = Log::default();
    let found = translate(&mem, &regime(Some(&STAGE1), Some(&STAGE2)), ADDRESS, READ, &mut log).unwrap();
    assert_eq!((found.pa, found.ipa, found.size_bits), (Pa(MOVED + OUTPUT), Ipa(OUTPUT), 12));
    let mut wanted = Vec::new();
    let through = |wanted: &mut Vec<_>, ipa| {
        wanted.push((Stage::Two, 1, SECOND[0]));
        wanted.push((Stage::Two, 2, SECOND[1]));
        wanted.push((Stage::Two, 3, mapper(ipa)));
    };
    for (level, offset) in [(0, 0x8), (1, 0x10), (2, 0x18), (3, 0x20)] {
        let ipa = FIRST[level as usize] + offset;
        through(&mut wanted, ipa);
        wanted.push((Stage::One, level, MOVED + ipa));
    }
    through(&mut wanted, OUTPUT);
    let fetched: Vec<_> = log.fetched.iter().map(|(stage, level, at, _)| (*stage, *level, *at)).collect();
    assert_eq!(fetched, wanted);
    assert!(log.updated.is_empty());
}

#[test]
fn the_smaller_block_counts() {
    // A stage-1 block of 2 MiB over stage-2 pages, and the reverse.
    let mem = nested_memory();
    put(&mem, MOVED + FIRST[2] + 0x18, 0x741);
    let found = both(&mem, &STAGE1, &STAGE2, READ).unwrap();
    assert_eq!((found.pa, found.ipa, found.size_bits), (Pa(MOVED + 0x4567), Ipa(0x4567), 12));
    put(&mem, SECOND[1], MOVED | 0x7fd);
    let found = both(&mem, &STAGE1, &STAGE2, READ).unwrap();
    assert_eq!((found.pa, found.size_bits), (Pa(MOVED + 0x4567), 21));
    put(&mem, SECOND[0], 0x7fd);
    put(&mem, FIRST[0] + 8, FIRST[1] | 3);
    put(&mem, FIRST[1] + 0x10, 0x741);
    let found = both(&mem, &STAGE1, &STAGE2, READ).unwrap();
    assert_eq!((found.pa, found.size_bits), (Pa(0x60_4567), 30));
}

#[test]
fn stage_2_faults_of_descriptors_name_them() {
    let rows = [(0, Translation), (MOVED | 0x3ff, Access), (MOVED | 0x73f, Permission)];
    for (level, offset) in [(0, 0x8), (1, 0x10), (2, 0x18), (3, 0x20)] {
        let ipa = FIRST[level] + offset;
        for (descriptor, kind) in rows {
            let mem = nested_memory();
            put(&mem, mapper(ipa), descriptor);
            let found = both(&mem, &STAGE1, &STAGE2, WRITE);
            assert_eq!(found, Err(fault2(kind, Class::Tt, ipa)), "level {level}: {descriptor:#x}");
        }
        let mem = nested_memory();
        put(&mem, mapper(ipa), 0x100_0000_0000 | PAGE2);
        let found = both(&mem, &STAGE1, &STAGE2, READ);
        assert_eq!(found, Err(fault2(AddressSize, Class::Tt, ipa)), "level {level}");
        put(&mem, mapper(ipa), 0x90_0000_0000 | PAGE2);
        let at = Pa(0x90_0000_0000 | ipa & 0xfff);
        let abort = WalkFault::Abort { stage: Stage::One, class: Class::Tt, at };
        assert_eq!(both(&mem, &STAGE1, &STAGE2, READ), Err(abort), "level {level}");
    }
    // A table that stage 1 puts where stage 2 ends.
    let mem = nested_memory();
    put(&mem, MOVED + FIRST[1] + 0x10, 0x80_0000_0000 | 3);
    let found = both(&mem, &STAGE1, &STAGE2, READ);
    assert_eq!(found, Err(fault2(Translation, Class::Tt, 0x80_0000_0018)));
}

#[test]
fn stage_1_comes_before_stage_2_of_its_result() {
    let leaf = MOVED + FIRST[3] + 0x20;
    // Stage-1 leaf, with nothing in stage 2 where it leads.
    let rows = [
        (0x5_0303, fault1(Access)),
        (0x5_0703, fault1(Permission)),
        (0, fault1(Translation)),
        (0x100_0005_0743, fault1(AddressSize)),
        (0x5_0743, fault2(Translation, Class::In, OUTPUT)),
    ];
    for (descriptor, fault) in rows {
        let mem = nested_memory();
        put(&mem, mapper(OUTPUT), 0);
        put(&mem, leaf, descriptor);
        assert_eq!(both(&mem, &STAGE1, &STAGE2, READ), Err(fault), "{descriptor:#x}");
        // And stage 2 of a descriptor before what the descriptor says.
        put(&mem, mapper(FIRST[3]), 0);
        let fault = fault2(Translation, Class::Tt, FIRST[3] + 0x20);
        assert_eq!(both(&mem, &STAGE1, &STAGE2, READ), Err(fault), "{descriptor:#x}");
        // And the range of the input before any.
        let regime = regime(Some(&STAGE1), Some(&STAGE2));
        let found = translate(&mem, &regime, 1 << 48, READ, &mut ());
        assert_eq!(found, Err(fault1(Translation)));
    }
}

#[test]
fn context_descriptors_are_fetched_through_stage_2() {
    let mem = nested_memory();
    let fetch = |stage2: &Stage2| translate_ipa(&mem, &regime(None, Some(stage2)), Ipa(0x6_0040), &mut ());
    assert_eq!(fetch(&STAGE2), Ok(Pa(MOVED + 0x6_0040)));
    // Reading suffices, and never makes a page dirty.
    let clean = MOVED | 0x8_0000_0006_077f;
    put(&mem, mapper(0x6_0000), clean);
    assert_eq!(fetch(&Stage2 { update: DIRTY, ..STAGE2 }), Ok(Pa(MOVED + 0x6_0040)));
    assert_eq!(get(&mem, mapper(0x6_0000)), clean);
    for (descriptor, kind) in [(0, Translation), (MOVED | 0x6_03ff, Access), (MOVED | 0x6_07bf, Permission)] {
        put(&mem, mapper(0x6_0000), descriptor);
        assert_eq!(fetch(&STAGE2), Err(fault2(kind, Class::Cd, 0x6_0040)), "{descriptor:#x}");
    }
    // The access flag is set where the unit may.
    put(&mem, mapper(0x6_0000), MOVED | 0x6_03ff);
    assert_eq!(fetch(&Stage2 { update: ACCESS, ..STAGE2 }), Ok(Pa(MOVED + 0x6_0040)));
    assert_eq!(get(&mem, mapper(0x6_0000)), MOVED | 0x6_07ff);
    let none = translate_ipa(&mem, &regime(None, None), Ipa(0x6_0040), &mut ());
    assert_eq!(none, Ok(Pa(0x6_0040)), "without stage 2 an IPA is a PA");
}

#[test]
fn protected_walks_keep_out_of_device_memory() {
    // S2FWB, MemAttr, is Device.
    let rows = [
        (false, 0b0000, true),
        (false, 0b0011, true),
        (false, 0b0101, false),
        (false, 0b1111, false),
        (true, 0b0000, true),
        (true, 0b0011, true),
        (true, 0b0101, false),
        (true, 0b0110, false),
        (true, 0b0111, false),
    ];
    for (forced_write_back, memattr, device) in rows {
        let mem = nested_memory();
        let row = format!("FWB {forced_write_back} MemAttr {memattr:04b}");
        let device_page = 0x7c3 | memattr << 2;
        for ipa in [FIRST[1], 0x5_0000, 0x6_0000] {
            put(&mem, mapper(ipa), (MOVED + ipa) | device_page);
        }
        for protected_walk in [false, true] {
            let stage2 = Stage2 { protected_walk, forced_write_back, ..STAGE2 };
            let kept_out = protected_walk && device;
            let fault = |class, ipa| kept_out.then_some(fault2(Permission, class, ipa));
            let found = both(&mem, &STAGE1, &stage2, READ).err();
            assert_eq!(found, fault(Class::Tt, FIRST[1] + 0x10), "{row}");
            let regime = regime(None, Some(&stage2));
            let found = translate_ipa(&mem, &regime, Ipa(0x6_0000), &mut ()).err();
            assert_eq!(found, fault(Class::Cd, 0x6_0000), "{row}");
            // The transaction itself may go there.
            assert_eq!(second(&mem, &stage2, OUTPUT, READ).map(|found| found.pa), Ok(Pa(MOVED + OUTPUT)));
        }
    }
}

#[test]
fn cached_pages_of_stage_2_serve_what_they_permit() {
    /// One cached page, which is at `0xa_0000` whatever the tables say.
    struct Cache(u8, Vec<Class>, Vec<u64>);
    impl Hooks for Cache {
        fn ipa_lookup(&mut self, ipa: Ipa, class: Class) -> Option<Stage2Page> {
            self.1.push(class);
            let permissions = Permissions::from_bits(self.0);
            let page =
                Stage2Page { base: Pa(0xa_0000), size_bits: 12, permissions, memattr: 0xf, shareability: 3 };
            (ipa.0 >> 12 == OUTPUT >> 12).then_some(page)
        }

        fn ipa_insert(&mut self, ipa: Ipa, _: Class, page: &Stage2Page) {
            assert_eq!(page.place(ipa), Pa(MOVED + ipa.0));
            self.2.push(ipa.0);
        }
    }
    let mem = nested_memory();
    let regime = regime(Some(&STAGE1), Some(&STAGE2));
    let tables = [FIRST[0] + 8, FIRST[1] + 0x10, FIRST[2] + 0x18, FIRST[3] + 0x20];
    for (permissions, pa) in [(0x3f, 0xa_0567), (0x3d, MOVED + OUTPUT)] {
        let mut cache = Cache(permissions, Vec::new(), Vec::new());
        let found = translate(&mem, &regime, ADDRESS, WRITE, &mut cache).unwrap();
        assert_eq!(found.pa, Pa(pa), "{permissions:#x}");
        assert_eq!(cache.1, [Class::Tt, Class::Tt, Class::Tt, Class::Tt, Class::In]);
        let walked = if permissions == 0x3f { tables.to_vec() } else { [&tables[..], &[OUTPUT]].concat() };
        assert_eq!(cache.2, walked, "{permissions:#x}");
    }
}

#[test]
fn a_cached_page_of_any_size_does_no_harm() {
    let page = |size_bits| Stage2Page {
        base: Pa(0xa_0000),
        size_bits,
        permissions: Permissions::ALL,
        memattr: 0xf,
        shareability: 3,
    };
    for (size_bits, pa) in [(0, 0xa_0000), (12, 0xa_0567), (64, 0xf_0567), (u32::MAX, 0xf_0567)] {
        assert_eq!(page(size_bits).place(Ipa(OUTPUT)), Pa(pa), "{size_bits}");
    }
}
