//! Walks and caches.

use super::*;
use crate::fabric::{Effects, Verdict};
use crate::iommu::cache::Policy;
use crate::vtd::AddressWidth;

fn config(address_width: AddressWidth, cache: Policy) -> Config {
    Config { address_width, cache, ..Config::preset("vtd-legacy").unwrap() }
}

#[test]
fn three_four_and_five_levels_with_all_page_sizes() {
    for (width, aw) in [
        (AddressWidth::Bits57, 1),
        (AddressWidth::Bits57, 2),
        (AddressWidth::Bits57, 3),
        (AddressWidth::Bits39, 1),
    ] {
        for (level, leaf, size) in [(1, PAGE | 3, 1 << 12), (2, PAGE | 0x83, 1 << 21), (3, 0x83, 1 << 30)] {
            for policy in [Policy::Retain, Policy::Off] {
                let mut rig = Rig::mapped(config(width, policy), aw);
                let top = 1 << (12 + 9 * (aw + 2));
                for iova in [0, 0x40_0000_0000 % top, top - size] {
                    rig.map(aw, iova, level, leaf);
                    rig.submit(&[[0x12, 0]]);
                    let target = leaf & !0xfff;
                    for offset in [0, size / 2 - 8, size - 8].into_iter().filter(|o| target + o < 0x80_0000) {
                        rig.set(target + offset, 0x1234_5678_0000_0000 | offset);
                        let mut data = [0; 8];
                        assert_eq!(
                            rig.read(iova + offset, &mut data),
                            Outcome::Done,
                            "{aw} {level} {iova:#x}"
                        );
                        assert_eq!(u64::from_le_bytes(data), 0x1234_5678_0000_0000 | offset);
                    }
                }
                assert_ne!(rig.read(top, &mut [0; 8]), Outcome::Done, "aw {aw}");
            }
        }
    }
}

#[test]
fn rights_are_what_all_levels_grant() {
    for level in 1..=4 {
        for (rights, read, write) in [(1, true, false), (2, false, true), (3, true, true)] {
            let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Retain), 2);
            let entry = if level == 1 { PAGE } else { table(level - 1) };
            rig.map(2, IOVA, level, entry | rights);
            assert_eq!(rig.read(IOVA, &mut [0; 4]) == Outcome::Done, read, "level {level}, {rights}");
            assert_eq!(rig.write(IOVA, &[0; 4]) == Outcome::Done, write, "level {level}, {rights}");
            assert_eq!(rig.read(IOVA, &mut []), Outcome::Done, "CAP.ZLR: any right will do");
        }
    }
}

#[test]
fn pass_through_is_the_identity() {
    let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Retain), 2);
    // SSPTPTR is ignored, bits beyond the host's width included.
    rig.set_context(0xffff_ffff_ffff_f009, 0x702);
    assert_eq!(rig.write(0x6000, &[0x5a]), Outcome::Done);
    assert_eq!(rig.get(0x6000), 0x5a);
}

#[test]
fn a_page_outside_ram_is_translated_but_nobody_completes() {
    let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Retain), 2);
    rig.map(2, IOVA, 1, 0xc000_0003);
    assert_ne!(rig.read(IOVA, &mut [0; 4]), Outcome::Done);
    assert_eq!(rig.r32(FSTS), 0, "not a fault of the IOMMU");
}

#[test]
fn message_writes_pass_untouched() {
    let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Retain), 2);
    assert_eq!(rig.write(0xfee0_2000, &0x31u32.to_le_bytes()), Outcome::Done);
    assert_eq!(rig.messages, [(0xfee0_2000, 0x31)]);
}

/// The page that a write of the device reaches.
fn reached(rig: &mut Rig, iova: u64) -> u64 {
    for page in [PAGE, PAGE + 0x1000] {
        rig.set(page, 0);
    }
    assert_eq!(rig.write(iova, &[1]), Outcome::Done);
    [PAGE, PAGE + 0x1000].into_iter().find(|page| rig.get(*page) == 1).unwrap()
}

#[test]
fn stale_until_invalidated_in_the_right_scope() {
    // (descriptor, whether it reaches domain 7, IOVA)
    let page = |did: u64, iova: u64, am: u64| [0x32 | did << 16, iova | am];
    for (descriptor, reaches) in [
        ([0x12, 0], true),
        ([0x22 | DOMAIN << 16, 0], true),
        ([0x22 | 8 << 16, 0], false),
        (page(DOMAIN, IOVA, 0), true),
        (page(8, IOVA, 0), false),
        (page(DOMAIN, IOVA + 0x1000, 0), false),
        (page(DOMAIN, IOVA - 0x1000, 1), true),
        (page(DOMAIN, IOVA + 0x1000, 1), false),
        (page(DOMAIN, IOVA + 0x1000, 3), true),
        (page(DOMAIN, IOVA & !0x1f_ffff, 9), true),
        (page(DOMAIN, (IOVA + 0x20_0000) & !0x1f_ffff, 9), false),
        (page(DOMAIN, IOVA & !0x3fff_ffff, 18), true),
        (page(DOMAIN, (IOVA + 0x4000_0000) & !0x3fff_ffff, 18), false),
        // IH says that only leaf entries changed; leaves are what is cached.
        ([0x32 | DOMAIN << 16, IOVA | 1 << 6], true),
        // A context invalidation leaves the IOTLB alone.
        ([0x11, 0], false),
    ] {
        let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Retain), 2);
        assert_eq!(reached(&mut rig, IOVA), PAGE);
        rig.map(2, IOVA, 1, (PAGE + 0x1000) | 3);
        assert_eq!(reached(&mut rig, IOVA), PAGE, "stale");
        rig.submit(&[descriptor]);
        let expected = if reaches { PAGE + 0x1000 } else { PAGE };
        assert_eq!(reached(&mut rig, IOVA), expected, "{descriptor:#x?}");
    }
}

#[test]
fn context_entries_are_stale_until_invalidated_in_the_right_scope() {
    let device = |did: u64, sid: u64, fm: u64| [0x31 | did << 16 | sid << 32 | fm << 48, 0];
    for (descriptor, reaches) in [
        ([0x11, 0], true),
        ([0x21 | DOMAIN << 16, 0], true),
        ([0x21 | 8 << 16, 0], false),
        (device(DOMAIN, 0x18, 0), true),
        (device(8, 0x18, 0), false),
        (device(DOMAIN, 0x19, 0), false),
        (device(DOMAIN, 0x1c, 1), true),
        (device(DOMAIN, 0x1a, 1), false),
        (device(DOMAIN, 0x1e, 2), true),
        (device(DOMAIN, 0x19, 2), false),
        (device(DOMAIN, 0x1f, 3), true),
        (device(DOMAIN, 0x20, 3), false),
        ([0x12, 0], false),
    ] {
        let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Retain), 2);
        assert_eq!(reached(&mut rig, IOVA), PAGE);
        rig.set_context(0, 0);
        rig.submit(&[[0x12, 0]]);
        assert_eq!(reached(&mut rig, IOVA), PAGE, "stale");
        rig.submit(&[descriptor, [0x12, 0]]);
        assert_eq!(rig.write(IOVA, &[1]) != Outcome::Done, reaches, "{descriptor:#x?}");
    }
}

#[test]
fn what_faulted_is_never_cached() {
    let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Retain), 2);
    let low = rig.get(CONTEXT_ENTRY);
    rig.set(CONTEXT_ENTRY, 0);
    assert_ne!(rig.read(IOVA, &mut [0; 4]), Outcome::Done);
    rig.set(CONTEXT_ENTRY, low);
    rig.map(2, IOVA, 1, 0);
    assert_ne!(rig.read(IOVA, &mut [0; 4]), Outcome::Done);
    rig.map(2, IOVA, 1, PAGE | 3);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), Outcome::Done);
}

#[test]
fn without_caches_changes_count_at_once() {
    let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Off), 2);
    assert_eq!(reached(&mut rig, IOVA), PAGE);
    rig.map(2, IOVA, 1, (PAGE + 0x1000) | 3);
    assert_eq!(reached(&mut rig, IOVA), PAGE + 0x1000);
}

#[test]
fn tiny_caches_forget_and_adversarial_ones_may() {
    // Touch eight pages, remap the first, see whether it is still the old one.
    let stale = |policy, seed| {
        let mut rig = Rig::mapped(Config { seed, ..config(AddressWidth::Bits48, policy) }, 2);
        for n in 0..8 {
            rig.map(2, IOVA + n * 0x1000, 1, PAGE | 3);
            reached(&mut rig, IOVA + n * 0x1000);
        }
        rig.map(2, IOVA, 1, (PAGE + 0x1000) | 3);
        reached(&mut rig, IOVA) == PAGE
    };
    assert!(stale(Policy::Retain, 0));
    assert!(!stale(Policy::Tiny, 0));
    let both: std::collections::BTreeSet<_> =
        (0..32).map(|seed| stale(Policy::Adversarial, seed * 0x9e37_79b9)).collect();
    assert_eq!(both.len(), 2, "over 32 seeds both are seen");
}

#[test]
fn two_sources_have_translations_of_their_own() {
    let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Retain), 2);
    assert_eq!(reached(&mut rig, IOVA), PAGE);
    let other = port(0x0020, &rig.mem, &rig.unit);
    assert_ne!(other.read(Request::at(IOVA), &mut [0; 4], &mut rig.fx).outcome, Outcome::Done);
}

#[test]
fn a_hit_carries_the_memory_behind_it() {
    let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Retain), 2);
    rig.read(IOVA, &mut [0; 4]);
    let translator = rig.unit.translator();
    let transaction = crate::fabric::Transaction {
        initiator: rig.port.initiator(),
        pasid: None,
        address: crate::addr::Iova(IOVA + 0x123),
        len: 4,
        access: crate::fabric::Access::Read,
        attrs: crate::fabric::Attrs::default(),
        kind: crate::fabric::Kind::Untranslated,
    };
    let mut fx = Effects::new(Time(0), false);
    let Verdict::Memory { pa, handle: Some(handle) } = translator.translate(&transaction, &mut fx) else {
        panic!("a hit names its memory");
    };
    assert_eq!((pa, rig.mem.address_of(handle)), (Pa(PAGE + 0x123), Some(Pa(PAGE + 0x123))));
}

#[test]
fn a_restored_unit_has_the_same_stale_entries() {
    let mut rig = Rig::mapped(config(AddressWidth::Bits48, Policy::Retain), 2);
    assert_eq!(reached(&mut rig, IOVA), PAGE);
    rig.map(2, IOVA, 1, (PAGE + 0x1000) | 3);
    let state = serde_json::to_string(&rig.unit.save()).unwrap();
    let mut other = Unit::new(config(AddressWidth::Bits48, Policy::Retain), rig.mem.clone());
    other.restore(serde_json::from_str(&state).unwrap());
    assert_eq!(serde_json::to_string(&other.save()).unwrap(), state);
    rig.port = port(SOURCE, &rig.mem, &other);
    rig.unit = other;
    assert_eq!(reached(&mut rig, IOVA), PAGE, "still stale");
    rig.submit(&[[0x12, 0]]);
    assert_eq!(reached(&mut rig, IOVA), PAGE + 0x1000);
}

#[test]
fn a_page_that_ram_covers_in_part_is_looked_up_each_time() {
    let mem =
        PhysMem::anonymous(&[(Pa(0), 0x20_1000), (Pa(0x20_1000), 0x1000), (Pa(0x30_0000), 0x1000)]).unwrap();
    // RAM that ends inside a page: only a memory of odd size has it.
    let odd = PhysMem::anonymous(&[(Pa(0), 0x80_0800)]).unwrap();
    assert_eq!(mem.resolve(Pa(0x20_0000)).map(|(_, left)| left), Some(0x1000));
    let unit = Unit::new(config(AddressWidth::Bits48, Policy::Retain), odd.clone());
    let mut rig = Rig {
        port: port(SOURCE, &odd, &unit),
        unit,
        mem: odd,
        fx: Effects::new(Time(0), true),
        messages: Vec::new(),
        stale: Vec::new(),
    };
    rig.map(2, IOVA, 1, 0x80_0000 | 3);
    rig.set(ROOT, CONTEXT | 1);
    rig.set_context(table(4) | 1, 0x702);
    rig.enable();
    for _ in 0..2 {
        assert_eq!(rig.write(IOVA + 0x7f8, &[1; 8]), Outcome::Done);
        assert_ne!(rig.write(IOVA + 0x800, &[1; 8]), Outcome::Done, "no RAM, no completer");
    }
}
