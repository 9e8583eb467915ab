//! What presets and options add: caching mode, protected regions, SRTP and SIRTP that invalidate,
//! abort-DMA mode, paging-structure caches, the sanitizer, guards.

use super::*;
use crate::fabric::Abort;
use crate::vtd::{AddressWidth, Missing};

const UR: Outcome = Outcome::Abort(Abort::Ur);

fn legacy() -> Config {
    Config::preset("vtd-legacy").unwrap()
}

/// The reason in the first fault record.
fn reason(rig: &mut Rig) -> u64 {
    (rig.record(0)[1] >> 32) & 0xff
}

#[test]
fn each_option_is_a_capability_bit() {
    let all = Config {
        caching_mode: true,
        protected_regions: true,
        write_buffer_flush: true,
        root_set_invalidates: true,
        interrupt_set_invalidates: true,
        abort_dma: true,
        address_width: AddressWidth::Bits57,
        ..legacy()
    };
    assert_eq!(all.cap().raw() ^ legacy().cap().raw(), (3 << 62) | 0xf0 | ((47 ^ 56) << 16) | (8 << 8));
    assert_eq!(all.ecap().raw() ^ legacy().ecap().raw(), 1 << 52);
    let cm = Config::preset("vtd-legacy-cm").unwrap();
    assert_eq!(cm.cap().raw() ^ legacy().cap().raw(), 0x80);
    let without = Config { interrupt_remapping: false, ..all };
    assert_eq!(without.cap().raw() >> 62, 0b10, "ESIRTPS goes with interrupt remapping");
}

#[test]
fn caching_mode_keeps_what_faulted_until_invalidated() {
    let mut rig = Rig::mapped(Config::preset("vtd-legacy-cm").unwrap(), 2);
    let low = rig.get(CONTEXT_ENTRY);
    rig.set(CONTEXT_ENTRY, 0);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), UR);
    rig.set(CONTEXT_ENTRY, low);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), UR, "the absent entry is cached");
    // It is tagged with domain 0, not with the domain in its words.
    for (descriptor, reaches) in [
        ([0x21 | (DOMAIN << 16), 0], false),
        ([0x31 | (DOMAIN << 16) | (0x18 << 32), 0], false),
        ([0x31 | (0x18 << 32), 0], true),
    ] {
        rig.submit(&[descriptor]);
        assert_eq!(rig.read(IOVA, &mut [0; 4]) == Outcome::Done, reaches, "{descriptor:#x?}");
    }

    let mut rig = Rig::mapped(Config::preset("vtd-legacy-cm").unwrap(), 2);
    rig.map(2, IOVA, 1, 0);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), UR);
    rig.map(2, IOVA, 1, PAGE | 3);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), UR, "the absent page is cached");
    assert_eq!(reason(&mut rig), 6);
    rig.submit(&[[0x32 | (8 << 16), IOVA]]);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), UR);
    rig.submit(&[[0x32 | (DOMAIN << 16), IOVA]]);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), Outcome::Done);
}

#[test]
fn protected_regions_swallow_dma_without_a_fault() {
    let config = Config { protected_regions: true, ..legacy() };
    // (PLM base and limit, PHM base and limit, address, whether it is protected)
    let off = (0x20_0000u32, 0u32);
    let rows = [
        ((0x20_0000, 0x20_0000), (0x20_0000u64, 0u64), 0x20_0000, true),
        ((0x20_0000, 0x20_0000), (0x20_0000, 0), 0x3f_fff8, true),
        ((0x20_0000, 0x20_0000), (0x20_0000, 0), 0x40_0000, false),
        ((0x20_0000, 0x20_0000), (0x20_0000, 0), 0x1f_fff8, false),
        (off, (0x40_0000, 0x40_0000), 0x40_0000, true),
        (off, (0x40_0000, 0x40_0000), 0x20_0000, false),
        (off, (0x20_0000, 0), 0x20_0000, false),
    ];
    for (low, high, address, blocked) in rows {
        for translated in [false, true] {
            let mut rig = Rig::mapped(config.clone(), 2);
            rig.map(2, IOVA & !0xfff, 1, (address & !0xfff) | 3);
            if !translated {
                rig.w32(GCMD, QIE);
            }
            rig.w32(0x68, low.0);
            rig.w32(0x6c, low.1);
            rig.w64(0x70, high.0);
            rig.w64(0x78, high.1);
            let iova = if translated { IOVA | (address & 0xfff) } else { address };
            assert_eq!(rig.write(iova, &[1; 8]), Outcome::Done, "EPM = 0");
            rig.w32(0x64, 1 << 31);
            assert_eq!(rig.r32(0x64), 0x8000_0001);
            rig.set(address, 0);
            let outcome = rig.write(iova, &[1; 8]);
            assert_eq!(outcome == UR, blocked, "{address:#x}, translated {translated}");
            assert_eq!(rig.get(address) == 0, blocked);
            assert_eq!(rig.r32(FSTS), 0, "not recorded");
            rig.w32(0x64, 0);
            assert_eq!(rig.r32(0x64), 0);
            assert_eq!(rig.write(iova, &[1; 8]), Outcome::Done);
        }
    }
}

#[test]
fn protected_region_registers_show_their_granularity() {
    let mut rig = Rig::new(Config { protected_regions: true, ..legacy() });
    for offset in [0x68, 0x6c] {
        rig.w32(offset, !0);
        assert_eq!(rig.r32(offset), 0xffe0_0000);
    }
    for offset in [0x70, 0x78] {
        rig.w64(offset, !0);
        assert_eq!(rig.r64(offset), 0x0000_ffff_ffe0_0000);
    }
    rig.w32(0x64, 0x7fff_ffff);
    assert_eq!(rig.r32(0x64), 0);
}

#[test]
fn a_root_set_may_invalidate_by_itself() {
    for (root_set_invalidates, outcome) in [(false, Outcome::Done), (true, UR)] {
        let mut rig = Rig::mapped(Config { root_set_invalidates, ..legacy() }, 2);
        assert_eq!(rig.read(IOVA, &mut [0; 4]), Outcome::Done);
        rig.w64(RTADDR, 0x7000);
        rig.w32(GCMD, TE | QIE | SRTP);
        assert_eq!(rig.read(IOVA, &mut [0; 4]), outcome);
    }
}

#[test]
fn an_interrupt_table_set_and_interrupt_remapping_off_may_invalidate_by_themselves() {
    const IRE: u32 = 1 << 25;
    const SIRTP: u32 = 1 << 24;
    for (interrupt_set_invalidates, kept) in [(false, 0x41), (true, 0x42)] {
        // The commands that must drop the entry, in order; then one that must not.
        for (commands, vector) in [(&[SIRTP | IRE][..], kept), (&[0, IRE], kept), (&[IRE, QIE | IRE], 0x41)] {
            let mut rig = Rig::new(Config { interrupt_set_invalidates, ..legacy() });
            rig.w64(0xb8, 0x30_0007);
            rig.w32(GCMD, SIRTP);
            rig.w32(GCMD, IRE);
            rig.set(0x30_0050, 0x0041_0001);
            assert_eq!(rig.write(0xfee0_00b0, &[0; 4]), Outcome::Done);
            rig.set(0x30_0050, 0x0042_0001);
            commands.iter().for_each(|command| rig.w32(GCMD, *command));
            assert_eq!(rig.write(0xfee0_00b0, &[0; 4]), Outcome::Done);
            let vectors: Vec<_> = rig.messages.iter().map(|(_, data)| data & 0xff).collect();
            assert_eq!(vectors, [0x41, vector], "{interrupt_set_invalidates} {commands:x?}");
        }
    }
}

#[test]
fn abort_dma_mode_blocks_everything_until_it_is_left() {
    // With SRTP that invalidates and without, which makes no difference here.
    for root_set_invalidates in [false, true] {
        let mut rig = Rig::mapped(Config { abort_dma: true, root_set_invalidates, ..legacy() }, 2);
        assert_eq!(rig.read(IOVA, &mut [0; 4]), Outcome::Done);
        rig.w64(RTADDR, ROOT | (3 << 10));
        assert_eq!(rig.read(IOVA, &mut [0; 4]), Outcome::Done, "not latched yet");
        rig.w32(GCMD, TE | QIE | SRTP);
        for (index, translated) in [true, false].into_iter().enumerate() {
            let address = if translated { IOVA } else { PAGE };
            assert_eq!(rig.read(address, &mut [0; 4]), UR);
            assert_eq!(rig.record(2 * index as u64), [address & !0xfff, 0xc000_0033_0000_0018]);
            assert_eq!(rig.write(address, &[1]), UR);
            assert_eq!(rig.record(2 * index as u64 + 1)[1], 0x8000_0033_0000_0018);
        }
        assert_eq!(rig.write(0xfee0_0000, &[0; 4]), Outcome::Done, "an interrupt is no DMA");
        rig.map(2, IOVA, 1, (PAGE + 0x1000) | 3);
        rig.set(PAGE + 0x1000, 0x22);
        rig.w64(RTADDR, ROOT);
        rig.w32(GCMD, TE | QIE | SRTP);
        let mut data = [0; 4];
        assert_eq!(rig.read(IOVA, &mut data), Outcome::Done);
        assert_eq!(data, [0x22, 0, 0, 0], "nothing was kept");
    }
    // No saved cache brings a translation into the mode.
    let mut rig = Rig::mapped(Config { abort_dma: true, ..legacy() }, 2);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), Outcome::Done);
    let mut state = serde_json::to_value(rig.unit.save()).unwrap();
    state["translator"]["root"] = (ROOT | (3 << 10)).into();
    rig.unit.restore(serde_json::from_value(state).unwrap());
    assert_eq!(rig.read(IOVA, &mut [0; 4]), UR);
}

#[test]
fn abort_dma_mode_takes_wide_descriptors() {
    let mut rig = Rig::mapped(Config { abort_dma: true, ..legacy() }, 2);
    rig.w64(RTADDR, ROOT | (3 << 10));
    rig.w32(GCMD, TE | SRTP);
    rig.w64(0xf8, 0x9000_0000_0000_0000);
    assert_eq!(
        rig.r64(0xf8),
        0x1000_0000_0000_0000,
        "IAIG 0: register-based invalidation is for legacy mode"
    );
    // 128-bit descriptors are not for this mode.
    rig.w64(IQA, QUEUE);
    rig.w64(IQT, 0x10);
    rig.w32(GCMD, TE | QIE);
    assert_eq!(rig.r64(IQERCD), 5);
    // In 256 bits they are; the tail counts 16 bytes and must be even.
    rig.w32(GCMD, TE);
    rig.w64(IQA, QUEUE | (1 << 11));
    for (n, words) in [[0x11u64, 0], [0x12, 0], [0x25 | (9 << 32), STATUS]].into_iter().enumerate() {
        let at = QUEUE + n as u64 * 32;
        [words[0], words[1], 0, 0].into_iter().zip(0..).for_each(|(word, k)| rig.set(at + k * 8, word));
    }
    rig.w64(IQT, 0x50);
    rig.w32(GCMD, TE | QIE);
    rig.w32(FSTS, 0x10);
    assert_eq!(rig.r64(IQERCD), 6);
    rig.w64(IQT, 0x60);
    rig.w32(FSTS, 0x10);
    assert_eq!((rig.get(STATUS), rig.r64(IQH), rig.r32(FSTS)), (9, 0x60, 0));
    assert_eq!(rig.read(IOVA, &mut [0; 4]), UR);
    assert_eq!(rig.record(0), [IOVA, 0xc000_0033_0000_0018]);
    // The upper half is reserved.
    rig.set(QUEUE + 0x60, 0x12);
    rig.set(QUEUE + 0x60 + 16, 1);
    rig.w64(IQT, 0x80);
    assert_eq!(rig.r64(IQERCD), 4);
}

#[test]
fn a_hint_spares_the_paging_structures() {
    for (hint, target) in [(1 << 6, PAGE), (0, PAGE + 0x1000)] {
        let mut rig = Rig::mapped(legacy(), 2);
        rig.set(PAGE, 0x11);
        rig.set(PAGE + 0x1000, 0x22);
        rig.read(IOVA, &mut [0; 8]);
        // Another last-level table for the same addresses.
        rig.set(0x6000 + (IOVA >> 12 & 0x1ff) * 8, (PAGE + 0x1000) | 3);
        rig.map(2, IOVA, 2, 0x6000 | 3);
        rig.submit(&[[0x32 | (DOMAIN << 16), IOVA | hint]]);
        let mut data = [0; 8];
        assert_eq!(rig.read(IOVA, &mut data), Outcome::Done);
        assert_eq!(u64::from_le_bytes(data), rig.get(target), "IH {}", hint >> 6);
    }
}

#[test]
fn cached_structures_carry_the_rights_above_them() {
    let mut rig = Rig::mapped(legacy(), 2);
    rig.map(2, IOVA, 3, table(2) | 1);
    rig.map(2, IOVA + 0x1000, 1, PAGE | 3);
    rig.map(2, IOVA, 3, table(2) | 1);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), Outcome::Done);
    assert_eq!(rig.write(IOVA + 0x1000, &[1]), UR, "the walk starts below the read-only entry");
    assert_eq!(reason(&mut rig), 5);
}

#[test]
fn the_sanitizer_names_the_invalidation_that_was_missing() {
    let config = Config { sanitize: true, ..legacy() };
    let mut rig = Rig::mapped(config.clone(), 2);
    rig.read(IOVA, &mut [0; 4]);
    rig.read(IOVA, &mut [0; 4]);
    assert_eq!(rig.stale, [], "what is true is not stale");
    rig.map(2, IOVA, 1, (PAGE + 0x1000) | 1);
    assert_eq!(rig.write(IOVA, &[1]), Outcome::Done, "it only tells");
    let [stale] = &rig.stale[..] else { panic!("{:?}", rig.stale) };
    assert_eq!(stale.missing, Missing::Translation { domain: 7 });
    assert_eq!(
        stale.to_string(),
        "stale translation used by 00:03.0 (Write at 0x4000005000): cached 0x200000 read write, in memory 0x201000 \
         read; missing: IOTLB invalidation of page 0x4000005000, domain 7"
    );
    rig.submit(&[[0x32 | (DOMAIN << 16), IOVA]]);
    rig.stale.clear();
    rig.read(IOVA, &mut [0; 4]);
    assert_eq!(rig.stale, []);

    rig.set_context(table(4) | 1, (8 << 8) | 2);
    rig.read(IOVA, &mut [0; 4]);
    assert_eq!(rig.stale[0].missing, Missing::Context { domain: 7 });
    assert_eq!(rig.stale[0].present, "a context entry of domain 8");
    // With the IOTLB clean, the context cache is what is stale.
    rig.stale.clear();
    rig.submit(&[[0x12, 0]]);
    rig.read(IOVA, &mut [0; 4]);
    assert_eq!(rig.stale[0].missing, Missing::Context { domain: 7 });
    assert_eq!(rig.stale[0].cached, "0x0000000000000702 0x0000000000013001");
    rig.stale.clear();
    rig.submit(&[[0x11, 0], [0x12, 0]]);
    rig.read(IOVA, &mut [0; 4]);
    assert_eq!(rig.stale, []);

    let mut rig = Rig::new(config);
    rig.w64(0xb8, 0x30_0007);
    rig.w32(GCMD, 1 << 24);
    rig.w32(GCMD, 1 << 25);
    rig.set(0x30_0050, 0x0041_0001);
    rig.write(0xfee0_00b0, &[0; 4]);
    rig.set(0x30_0050, 0x0042_0001);
    rig.write(0xfee0_00b0, &[0; 4]);
    assert_eq!(rig.stale.len(), 1);
    assert_eq!(rig.stale[0].missing, Missing::InterruptEntry);
}

/// A context entry is cached; then its words are XORed with some bits.
#[test]
fn the_sanitizer_compares_what_context_entries_mean() {
    // (caching mode, the entry, what changes, whether that is another entry)
    let second_stage = (table(4) | 1, DOMAIN << 8 | 2);
    let pass_through = (1 << 40 | 9, DOMAIN << 8 | 2);
    for (caching_mode, (low, high), change, reported) in [
        // Bits 70:67.
        (false, second_stage, [0, 0x78], false),
        (false, pass_through, [0, 0x78], false),
        (false, second_stage, [2, 0], true),
        (false, second_stage, [0, 1 << 8], true),
        (false, second_stage, [0x1000, 0], true),
        // Without tables, SSPTPTR is ignored; the domain and FPD are not.
        (false, pass_through, [1 << 41, 0], false),
        (false, pass_through, [0, 1 << 8], true),
        (false, pass_through, [2, 0], true),
        (false, pass_through, [8, 0], true),
        // Not present, only FPD counts.
        (true, (0, 0), [0x1000, DOMAIN << 8 | 2], false),
        (true, (0, 0), [2, 0], true),
        (true, (0, 0), [1, 0], true),
        // Malformed one way and another.
        (true, (0x11, 2), [0x30, 0], false),
        (true, (0x11, 2), [0x1c, 0], true),
    ] {
        let mut rig = Rig::mapped(Config { sanitize: true, caching_mode, ..legacy() }, 2);
        rig.set_context(low, high);
        rig.read(IOVA, &mut [0; 4]);
        rig.set_context(low ^ change[0], high ^ change[1]);
        rig.submit(&[[0x12, 0]]);
        rig.read(IOVA, &mut [0; 4]);
        let missing: Vec<_> = rig.stale.iter().map(|stale| stale.missing).collect();
        let domain = (high >> 8) as u16;
        let expected = [Missing::Context { domain }];
        assert_eq!(missing, if reported { &expected[..] } else { &[] }, "{low:#x} {high:#x} {change:x?}");
    }
}

#[test]
fn the_sanitizer_compares_what_interrupt_entries_mean() {
    // (caching mode, the entry, what changes, whether that is another entry)
    let plain = [0x0041_0001, 0];
    for (caching_mode, entry, change, reported) in [
        // AVAIL, bits 11:8.
        (false, plain, [0xf00, 0], false),
        (false, plain, [2, 0], true),
        (false, plain, [1 << 16, 0], true),
        (false, plain, [1 << 40, 0], true),
        // SVT = 00 looks at neither SQ nor SID, 01 at both, 10 at SID.
        (false, plain, [0, 0x3_0018], false),
        (false, plain, [0, 0x4_0018], true),
        (false, [0x0041_0001, 0x4_0018], [0, 1 << 16], true),
        (false, [0x0041_0001, 0x4_0018], [0, 1], true),
        (false, [0x0041_0001, 0x8_0001], [0, 3 << 16], false),
        (false, [0x0041_0001, 0x8_0001], [0, 2], true),
        // Not present, only FPD counts.
        (true, [0, 0], [0x0041_0000, 0x4_0018], false),
        (true, [0, 0], [2, 0], true),
        (true, [0, 0], [1, 0], true),
        (true, [0x1041_0001, 0], [0x1000_0000, 0], true),
    ] {
        let mut rig = Rig::new(Config { sanitize: true, caching_mode, ..legacy() });
        rig.w64(0xb8, 0x30_0007);
        rig.w32(GCMD, 1 << 24);
        rig.w32(GCMD, 1 << 25);
        let set = |rig: &Rig, [low, high]: [u64; 2]| {
            rig.set(0x30_0050, low);
            rig.set(0x30_0058, high);
        };
        set(&rig, entry);
        rig.write(0xfee0_00b0, &[0; 4]);
        set(&rig, [entry[0] ^ change[0], entry[1] ^ change[1]]);
        rig.write(0xfee0_00b0, &[0; 4]);
        assert_eq!(rig.stale.len(), usize::from(reported), "{entry:x?} {change:x?}");
    }
}

#[test]
fn the_sanitizer_reports_a_cached_fpd_that_decides_about_a_fault() {
    // FPD as cached, then in memory; the page is read only.
    for (cached, now) in [(0, 2), (2, 0)] {
        let mut rig = Rig::mapped(Config { sanitize: true, ..legacy() }, 2);
        rig.map(2, IOVA, 1, PAGE | 1);
        rig.set_context(table(4) | 1 | cached, DOMAIN << 8 | 2);
        rig.read(IOVA, &mut [0; 4]);
        rig.set_context(table(4) | 1 | now, DOMAIN << 8 | 2);
        rig.read(IOVA, &mut [0; 4]);
        assert_eq!(rig.stale, [], "nothing faulted");
        assert_eq!(rig.write(IOVA, &[1]), UR);
        assert_eq!(rig.faults.is_empty(), cached == 2, "the cached FPD decides");
        let [stale] = &rig.stale[..] else { panic!("{:?}", rig.stale) };
        assert_eq!(stale.missing, Missing::Context { domain: 7 });
        let text = |fpd| format!("0x200000 read, FPD = {}", fpd / 2);
        assert_eq!((&stale.cached, &stale.present), (&text(cached), &text(now)));
        rig.stale.clear();
        rig.submit(&[[0x11, 0], [0x12, 0]]);
        rig.write(IOVA, &[1]);
        assert_eq!(rig.stale, []);
    }
}

#[test]
fn the_sanitizer_sees_where_a_walk_starts() {
    let pde = table(2) + (IOVA >> 21 & 0x1ff) * 8;
    let pte = |table: u64| table + (IOVA >> 12 & 0x1ff) * 8;
    // (what the SS-PDE becomes, what the report says of memory)
    for (entry, present) in [
        (0x6000 | 3, "table at 0x6000 read write"),
        (table(1) | 1, "table at 0x10000 read"),
        (0, "an SS-PDE that is not present"),
        (1 << 62 | 3, "an SS-PDE with reserved bits set"),
        (0x40_0000 | 0x83, "a page mapped by its SS-PDE"),
    ] {
        // The page alone, that and the entries above it, and the domain, which takes all.
        for (descriptor, used) in [
            ([0x32 | (DOMAIN << 16), IOVA | 1 << 6], true),
            ([0x32 | (DOMAIN << 16), IOVA], false),
            ([0x22 | (DOMAIN << 16), 0], false),
        ] {
            let mut rig = Rig::mapped(Config { sanitize: true, ..legacy() }, 2);
            rig.set(pte(0x6000), (PAGE + 0x1000) | 3);
            rig.read(IOVA, &mut [0; 4]);
            rig.set(pde, entry);
            rig.submit(&[descriptor]);
            assert_eq!(rig.stale, []);
            rig.read(IOVA, &mut [0; 4]);
            let reports: Vec<_> = rig.stale.iter().map(|stale| (stale.missing, &stale.present[..])).collect();
            let expected = [(Missing::Structure { domain: 7 }, present)];
            assert_eq!(reports, if used { &expected[..] } else { &[] }, "{descriptor:#x?}");
        }
    }
    // The entry two levels up, which decides about the rights of all below it.
    let mut rig = Rig::mapped(Config { sanitize: true, ..legacy() }, 2);
    rig.read(IOVA, &mut [0; 4]);
    rig.map(2, IOVA, 3, table(2) | 1);
    rig.submit(&[[0x32 | (DOMAIN << 16), IOVA | 1 << 6]]);
    rig.write(IOVA, &[1]);
    assert_eq!(
        rig.stale[0].to_string(),
        "stale paging structure used by 00:03.0 (Write at 0x4000005000): cached SS-PDE -> table at 0x10000 read \
         write, in memory table at 0x10000 read; missing: IOTLB invalidation of page 0x4000005000 with IH = 0, \
         domain 7"
    );
    // A new root is the context entry's matter, until its IOTLB entries should be gone.
    let mut rig = Rig::mapped(Config { sanitize: true, ..legacy() }, 2);
    rig.read(IOVA, &mut [0; 4]);
    rig.set(0x15000 + (IOVA >> 39 & 0x1ff) * 8, 0);
    rig.set_context(0x15000 | 1, DOMAIN << 8 | 2);
    rig.submit(&[[0x32 | (DOMAIN << 16), IOVA | 1 << 6]]);
    rig.read(IOVA, &mut [0; 4]);
    let missing = |rig: &Rig| rig.stale.iter().map(|stale| stale.missing).collect::<Vec<_>>();
    assert_eq!(missing(&rig), [Missing::Context { domain: 7 }]);
    rig.stale.clear();
    rig.submit(&[[0x11, 0], [0x32 | (DOMAIN << 16), IOVA | 1 << 6]]);
    rig.read(IOVA, &mut [0; 4]);
    assert_eq!(missing(&rig), [Missing::Structure { domain: 7 }]);
}

#[test]
fn no_dma_lands_through_a_translation_whose_invalidation_has_completed() {
    let mut rig = Rig::mapped(Config { concurrent: true, ..legacy() }, 2);
    let mut ports: Vec<_> = (0..2).map(|_| port(SOURCE, &rig.mem, &rig.unit)).collect();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for port in ports.drain(..) {
            let stop = &stop;
            scope.spawn(move || {
                let mut fx = Effects::new(Time(0), false);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    port.write(Request::at(IOVA), &[0x5a; 256], &mut fx);
                    fx.take();
                }
            });
        }
        for round in 0..2000u64 {
            let (old, new) = if round % 2 == 0 { (PAGE, PAGE + 0x1000) } else { (PAGE + 0x1000, PAGE) };
            rig.map(2, IOVA, 1, new | 3);
            rig.submit(&[[0x32 | (DOMAIN << 16), IOVA]]);
            // The invalidation has completed: the old page is software's again.
            rig.mem.write(Pa(old), &[0; 256]).unwrap();
            for _ in 0..50 {
                let mut data = [0xff; 256];
                rig.mem.read(Pa(old), &mut data).unwrap();
                assert_eq!(data, [0; 256], "round {round}: a write landed in the old page");
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
