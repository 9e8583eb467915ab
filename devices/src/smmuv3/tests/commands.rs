//! Each command as raw words, and what it makes of the back end; each that is illegal.

use super::*;
use crate::fabric::{Abort, Outcome};
use crate::smmuv3::invalidation::{AddressRange, StreamWorld, VmidMatch};

const ABORTED: Resumption = Resumption::End(Outcome::Abort(Abort::Ur));

/// What one command makes of the back end; CERROR where it stops the queue.
fn run(config: Config, cr0: u32, words: [u64; 2]) -> Result<Vec<Call>, u32> {
    let mut rig = Rig::running(config);
    rig.w32(CR0, SMMUEN | EVENTQEN | CMDQEN | cr0);
    rig.calls();
    rig.submit(&[words]);
    let (cons, gerror) = (rig.r32(CMDQ_CONS), rig.r32(GERROR));
    match (cons, gerror) {
        (1, 0) => Ok(rig.calls()),
        (_, 1) if cons & 0xfffff == 0 => Err(cons >> 24),
        _ => panic!("CONS {cons:#x}, GERROR {gerror:#x}"),
    }
}

fn legal(words: [u64; 2]) -> Vec<Call> {
    run(config(), 0, words).unwrap_or_else(|error| panic!("{words:#x?} stops the queue: {error}"))
}

fn config_of(scope: ConfigScope) -> Vec<Call> {
    vec![Call::Config(scope)]
}

fn streams(first: u32, last: u32, leaf: bool) -> Vec<Call> {
    config_of(ConfigScope::Streams { first: StreamId(first), last: StreamId(last), leaf })
}

#[test]
fn configuration_commands() {
    let sid = 0x1234_5678 << 32;
    let stream = StreamId(0x1234_5678);
    let substream = Pasid::new(0xabcde).unwrap();
    for (words, expected) in [
        ([sid | 0x03, 0], streams(0x1234_5678, 0x1234_5678, false)),
        ([sid | 0x03, 1], streams(0x1234_5678, 0x1234_5678, true)),
        ([sid | 0x04, 0], streams(0x1234_5678, 0x1234_5679, false)),
        ([sid | 0x04, 7], streams(0x1234_5600, 0x1234_56ff, false)),
        ([sid | 0x04, 15], streams(0x1234_0000, 0x1234_ffff, false)),
        ([sid | 0x04, 30], streams(0, 0x7fff_ffff, false)),
        ([u64::MAX << 32 | 0x04, 30], streams(0x8000_0000, 0xffff_ffff, false)),
        ([sid | 0x04, 31], config_of(ConfigScope::All)),
        ([sid | 0xabcd_e005, 0], config_of(ConfigScope::Context { stream, substream, leaf: false })),
        ([sid | 0xabcd_e805, 1], config_of(ConfigScope::Context { stream, substream, leaf: true })),
        ([sid | 0x06, 0], config_of(ConfigScope::Contexts(stream))),
        ([sid | 0xabcd_e801, 0], vec![]),
        ([sid | 0xabcd_e802, 0x1234_5000 | 0x25], vec![]),
    ] {
        assert_eq!(legal(words), expected, "{words:#x?}");
    }
}

/// VMID 0x2345, exactly.
const VM: VmidMatch = VmidMatch { vmid: 0x2345, ignored: 0 };
const NONE: VmidMatch = VmidMatch { vmid: 0, ignored: 0xffff };
const EL1: StreamWorld = StreamWorld::El1;
const EL2: StreamWorld = StreamWorld::El2;
/// VMID 0x2345, ASID 0x6789.
const TAGS: u64 = 0x6789_2345 << 32;

fn page(first: u64, leaf: bool) -> AddressRange {
    AddressRange { first, last: first + 0xfff, leaf }
}

#[test]
fn tlb_commands() {
    let asid = 0x6789;
    for (words, expected) in [
        ([TAGS | 0x10, 0], TlbScope::Stage1 { vmid: VM }),
        ([TAGS | 0x11, 0], TlbScope::Asid { world: EL1, vmid: VM, asid }),
        (
            [TAGS | 0x12, 0xffff_8000_1234_5000],
            TlbScope::Va {
                world: EL1,
                vmid: VM,
                asid: Some(asid),
                range: page(0xffff_8000_1234_5000, false),
            },
        ),
        (
            [TAGS | 0x12, 0x1234_5001],
            TlbScope::Va { world: EL1, vmid: VM, asid: Some(asid), range: page(0x1234_5000, true) },
        ),
        (
            [TAGS | 0x13, 0x1234_5000],
            TlbScope::Va { world: EL1, vmid: VM, asid: None, range: page(0x1234_5000, false) },
        ),
        // The last page does not wrap.
        (
            [TAGS | 0x13, !0xfff],
            TlbScope::Va { world: EL1, vmid: VM, asid: None, range: page(!0xfff, false) },
        ),
        ([TAGS | 0x20, 0], TlbScope::El2All),
        ([TAGS | 0x21, 0], TlbScope::Asid { world: StreamWorld::El2E2h, vmid: NONE, asid }),
        (
            [TAGS | 0x22, 0x1234_5001],
            TlbScope::Va { world: EL2, vmid: NONE, asid: Some(asid), range: page(0x1234_5000, true) },
        ),
        (
            [TAGS | 0x23, 0x1234_5000],
            TlbScope::Va { world: EL2, vmid: NONE, asid: None, range: page(0x1234_5000, false) },
        ),
        ([TAGS | 0x28, 0], TlbScope::Vm { vmid: VM }),
        ([TAGS | 0x2a, 0x1234_5001], TlbScope::Ipa { vmid: VM, range: page(0x1234_5000, true) }),
        // Bits beyond an IPA are reserved.
        ([TAGS | 0x2a, 0xfff0_0000_1234_5000], TlbScope::Ipa { vmid: VM, range: page(0x1234_5000, false) }),
        ([TAGS | 0x30, 0], TlbScope::El1All),
    ] {
        assert_eq!(legal(words), [Call::Tlb(expected)], "{words:#x?}");
    }
}

fn ranged(num: u64, scale: u64, low: u64) -> [u64; 2] {
    [0x12 | num << 12 | scale << 20, low]
}

#[test]
fn ranges_cover_whole_granules_and_leaves() {
    // TG in bits 11:10, TTL in 9:8, Leaf in 0; (command, IDR5, first, last)
    for (words, idr5, first, last) in [
        // 4K: no level, one level each, several pages.
        (ranged(1, 0, 0x1234_5400), IDR5, 0x1234_5000, 0x1234_6fff),
        (ranged(0, 0, 0x1234_5700), IDR5, 0x1234_5000, 0x1234_5fff),
        (ranged(0, 0, 0x1234_5600), IDR5, 0x1220_0000, 0x123f_ffff),
        (ranged(0, 0, 0x1234_5500), IDR5, 0, 0x3fff_ffff),
        (ranged(31, 3, 0x4000_0700), IDR5, 0x4000_0000, 0x4000_0000 + 32 * 8 * 0x1000 - 1),
        (ranged(31, 31, 0x4000_0400), IDR5, 0x4000_0000, 0x4000_0000 + (32 << 31 << 12) - 1),
        // 16K and 64K.
        (ranged(2, 1, 0x1234_7b00), IDR5, 0x1234_4000, 0x1234_4000 + 6 * 0x4000 - 1),
        (ranged(0, 1, 0x1234_7a00), IDR5, 0x1200_0000, 0x13ff_ffff),
        (ranged(0, 0, 0x1234_7e00), IDR5, 0x0000_0000, 0x1fff_ffff),
        (ranged(4, 0, 0x1235_7c00), IDR5, 0x1235_0000, 0x1239_ffff),
        // A range ends where the address space does.
        (ranged(31, 31, 0xffff_ffff_ffff_f400), IDR5, 0xffff_ffff_ffff_f000, u64::MAX),
        // Bit 25 of SCALE, and level 1 of 16K, come with DS. The scale stops at 39.
        (ranged(0, 0x20, 0x4000_0700), IDR5, 0x4000_0000, 0x4000_0fff),
        (ranged(0, 0x20, 0x4000_0700), IDR5 | 0x80, 0x4000_0000, 0x4000_0000 + (1 << 44) - 1),
        (ranged(0, 0x3f, 0x4000_0700), IDR5 | 0x80, 0x4000_0000, 0x4000_0000 + (1 << 51) - 1),
        (ranged(1, 0, 0x1234_7900), IDR5, 0x1234_4000, 0x1234_bfff),
        (ranged(0, 0, 0x1234_7900), IDR5 | 0x80, 0, (1 << 36) - 1),
        // No granule, no range.
        (ranged(5, 5, 0x1234_5300), IDR5, 0x1234_5000, 0x1234_5fff),
    ] {
        let config = Config { idr5: Idr5::from_raw(idr5), ..config() };
        let range = AddressRange { first, last, leaf: false };
        let scope =
            TlbScope::Va { world: EL1, vmid: VmidMatch { vmid: 0, ignored: 0 }, asid: Some(0), range };
        assert_eq!(run(config, 0, words), Ok(vec![Call::Tlb(scope)]), "{words:#x?}, IDR5 {idr5:#x}");
    }
    // Without RIL the fields are reserved.
    let config = Config { idr3: Idr3::from_raw(IDR3 & !0x400), ..config() };
    let scope = TlbScope::Va { world: EL2, vmid: NONE, asid: None, range: page(0x1234_5000, true) };
    assert_eq!(run(config, 0, [0x3ff1_f023, 0x1234_5501]), Ok(vec![Call::Tlb(scope)]));
}

#[test]
fn vmids_are_compared_as_far_as_they_are_there() {
    // (IDR0, CR0.VMW in place, bits not compared)
    for (idr0, vmw, ignored) in [
        (IDR0, 0 << 6, 0),
        (IDR0, 1 << 6, 0x1),
        (IDR0, 4 << 6, 0xf),
        (IDR0, 5 << 6, 0),
        (IDR0, 7 << 6, 0),
        (IDR0 & !(1 << 17), 4 << 6, 0),
        (IDR0 & !1, 0, 0xffff),
    ] {
        let config = Config { idr0: Idr0::from_raw(idr0), ..config() };
        let vmid = VmidMatch { vmid: 0x2345, ignored };
        let calls = run(config, vmw, [TAGS | 0x10, 0]);
        assert_eq!(calls, Ok(vec![Call::Tlb(TlbScope::Stage1 { vmid })]), "{idr0:#x} {vmw:#x}");
    }
}

#[test]
fn releasing_commands() {
    let one = Release::One { stream: StreamId(7), stag: 0xbeef };
    for (words, which, how) in [
        ([7 << 32 | 0x1044, 0xbeef], one, Resumption::Retry),
        ([7 << 32 | 0x3044, 0xbeef], one, Resumption::Retry),
        ([7 << 32 | 0x2044, 0xbeef], one, ABORTED),
        ([7 << 32 | 0x0044, 0xbeef], one, Resumption::End(Outcome::Raz)),
        ([7 << 32 | 0x45, 0], Release::Stream(StreamId(7)), ABORTED),
    ] {
        assert_eq!(legal(words), [Call::Release(which, how)], "{words:#x?}");
    }
    // Only aborts end a transaction where TERM_MODEL says so.
    let config = Config { idr0: Idr0::from_raw(IDR0 | 1 << 26), ..config() };
    assert_eq!(run(config, 0, [7 << 32 | 0x44, 0xbeef]), Ok(vec![Call::Release(one, ABORTED)]));
}

#[test]
fn every_other_opcode_is_illegal() {
    let there = [
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x22, 0x23, 0x28, 0x2a, 0x30,
        0x44, 0x45, 0x46,
    ];
    for opcode in 0..=0xff {
        let expected = if there.contains(&opcode) { Ok(()) } else { Err(1) };
        assert_eq!(run(config(), 0, [opcode, 0]).map(|_| ()), expected, "{opcode:#x}");
    }
}

#[test]
fn commands_are_illegal_without_their_feature() {
    let (s1p, s2p, hyp, no_stall) = (IDR0 & !2, IDR0 & !1, IDR0 & !(1 << 9), IDR0 | 1 << 24);
    for (idr0, opcodes) in [
        (s1p, &[0x05, 0x06, 0x10, 0x11, 0x12, 0x13][..]),
        (s2p, &[0x28, 0x2a]),
        (hyp, &[0x20, 0x21, 0x22, 0x23]),
        (no_stall, &[0x44, 0x45]),
    ] {
        let without = Config { idr0: Idr0::from_raw(idr0), ..config() };
        for opcode in opcodes {
            assert_eq!(run(without.clone(), 0, [*opcode, 0]), Err(1), "IDR0 {idr0:#x}, {opcode:#x}");
        }
        assert!(run(without.clone(), 0, [0x30, 0]).is_ok());
        assert!(run(without, 0, [0x03, 0]).is_ok());
    }
    // Stall forced: there are stalls to release.
    let forced = Config { idr0: Idr0::from_raw(IDR0 | 2 << 24), ..config() };
    assert!(run(forced, 0, [0x44, 0]).is_ok());
}

#[test]
fn reserved_values_are_illegal() {
    // SSec, where a command has it.
    for opcode in [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x44, 0x45] {
        assert_eq!(run(config(), 0, [opcode | 1 << 10, 0]), Err(1), "{opcode:#x}");
    }
    // A range of nothing; level 1 of 16K counts as none without DS.
    for opcode in [0x12, 0x13, 0x22, 0x23, 0x2a] {
        for low in [0x400, 0x800, 0xc00, 0x900, 0x801] {
            assert_eq!(run(config(), 0, [opcode, low]), Err(1), "{opcode:#x} {low:#x}");
        }
        let ds = Config { idr5: Idr5::from_raw(IDR5 | 0x80), ..config() };
        assert!(run(ds, 0, [opcode, 0x900]).is_ok());
    }
    assert_eq!(run(config(), 0, [0x3046, 0]), Err(1), "CS = 3");
    // Reserved bits are not looked at.
    assert_eq!(legal([0xffff_ffff_ffff_ff30, !0]), [Call::Tlb(TlbScope::El1All)]);
    assert_eq!(legal([TAGS | 0xff10, !0]), [Call::Tlb(TlbScope::Stage1 { vmid: VM })]);
}
