//! Every fault reason, provoked by DMA through tables in memory, with the raw record; and the
//! rules of recording.

use super::*;
use crate::addr::{Iova, Pasid};
use crate::fabric::{Abort, AtomicOp, Kind};

const UR: Outcome = Outcome::Abort(Abort::Ur);
const HOLE: u64 = 0x1000_0000;

/// What the device does.
#[derive(Clone, Copy)]
enum Do {
    Read,
    Write,
    Atomic,
    ZeroLengthRead,
    Translated,
    WithPasid,
}

fn dma(rig: &mut Rig, what: Do, address: u64) -> Outcome {
    let mut request = Request { address: Iova(address), ..Request::default() };
    let outcome = match what {
        Do::Read => rig.port.read(request, &mut [0; 8], &mut rig.fx).outcome,
        Do::Write => rig.port.write(request, &[0xff; 8], &mut rig.fx).outcome,
        Do::ZeroLengthRead => rig.port.read(request, &mut [], &mut rig.fx).outcome,
        Do::Atomic => {
            let result = rig.port.atomic(request, AtomicOp::Swap64(1), &mut rig.fx);
            result.map_or_else(|outcome| outcome, |_| Outcome::Done)
        }
        Do::Translated => {
            request.kind = Kind::Translated;
            rig.port.read(request, &mut [0; 8], &mut rig.fx).outcome
        }
        Do::WithPasid => {
            request.pasid = Pasid::new(5);
            rig.port.read(request, &mut [0; 8], &mut rig.fx).outcome
        }
    };
    rig.deliver();
    outcome
}

#[test]
fn every_reason_leaves_its_raw_record() {
    type Row = (&'static str, fn(&mut Rig), Do, u64, [u64; 2]);
    let none: fn(&mut Rig) = |_| {};
    let rows: &[Row] = &[
        ("LRT.2", |r| r.set(ROOT, CONTEXT), Do::Read, IOVA, [IOVA, 0xc000_0001_0000_0018]),
        ("LCT.2", |r| r.set_context(0, 0), Do::Write, IOVA, [IOVA, 0x8000_0002_0000_0018]),
        ("LCT.4.1 AW", |r| r.set_context(table(4) | 1, 0x703), Do::Read, IOVA, [IOVA, 0xc000_0003_0000_0018]),
        ("LCT.4.1 AW", |r| r.set_context(table(4) | 1, 0x700), Do::Read, IOVA, [IOVA, 0xc000_0003_0000_0018]),
        (
            "LCT.4.2 TT 01",
            |r| r.set_context(table(4) | 5, 0x702),
            Do::Read,
            IOVA,
            [IOVA, 0xc000_0003_0000_0018],
        ),
        (
            "LCT.4.2 TT 11",
            |r| r.set_context(table(4) | 0xd, 0x702),
            Do::Read,
            IOVA,
            [IOVA, 0xc000_0003_0000_0018],
        ),
        ("LCT.4.1 PT, AW", |r| r.set_context(9, 0x701), Do::Read, IOVA, [IOVA, 0xc000_0003_0000_0018]),
        ("LCT.4.3", |r| r.set_context(HOLE | 1, 0x702), Do::Read, IOVA, [IOVA, 0xc000_0003_0000_0018]),
        ("LGN.1.1", none, Do::Read, 1 << 47 | 1 << 46, [1 << 47 | 1 << 46, 0xc000_0006_0000_0018]),
        // Bits above the widest domain are not in the record.
        ("LGN.1.1", none, Do::Read, 1 << 48 | 0x3000, [0x3000, 0xc000_0004_0000_0018]),
        (
            "LGN.1.1 39",
            |r| r.set_context(table(3) | 1, 0x701),
            Do::Write,
            1 << 39,
            [1 << 39, 0x8000_0004_0000_0018],
        ),
        ("LGN.1.3", |r| r.set_context(9, 0x702), Do::Read, 1 << 48, [0, 0xc000_0004_0000_0018]),
        ("LGN.2", |r| r.map(2, IOVA, 1, PAGE | 1), Do::Write, IOVA + 8, [IOVA, 0x8000_0005_0000_0018]),
        ("LGN.2", |r| r.map(2, IOVA, 1, PAGE | 1), Do::Atomic, IOVA, [IOVA, 0xc000_0005_1000_0018]),
        ("LGN.2 absent", |r| r.map(2, IOVA, 1, PAGE), Do::Write, IOVA, [IOVA, 0x8000_0005_0000_0018]),
        ("LGN.2 table", |r| r.map(2, IOVA, 3, table(2) | 1), Do::Write, IOVA, [IOVA, 0x8000_0005_0000_0018]),
        ("LGN.3", |r| r.map(2, IOVA, 1, PAGE | 2), Do::Read, IOVA, [IOVA, 0xc000_0006_0000_0018]),
        ("LGN.3", |r| r.map(2, IOVA, 1, PAGE | 2), Do::Atomic, IOVA, [IOVA, 0xc000_0006_1000_0018]),
        ("LGN.3 absent", |r| r.map(2, IOVA, 4, 0), Do::Read, IOVA, [IOVA, 0xc000_0006_0000_0018]),
        ("LGN.3 ZLR", |r| r.map(2, IOVA, 1, 0), Do::ZeroLengthRead, IOVA, [IOVA, 0xc000_0006_0000_0018]),
        ("LSS.1", |r| r.map(2, IOVA, 3, HOLE | 3), Do::Read, IOVA, [IOVA, 0xc000_0007_0000_0018]),
        (
            "LRT.1",
            |r| {
                r.w64(RTADDR, HOLE);
                r.w32(GCMD, TE | QIE | SRTP)
            },
            Do::Read,
            IOVA,
            [IOVA, 0xc000_0008_0000_0018],
        ),
        ("LCT.1", |r| r.set(ROOT, HOLE | 1), Do::Read, IOVA, [IOVA, 0xc000_0009_0000_0018]),
        ("LRT.3", |r| r.set(ROOT, CONTEXT | 3), Do::Read, IOVA, [IOVA, 0xc000_000a_0000_0018]),
        ("LCT.3", |r| r.set_context(table(4) | 0x11, 0x702), Do::Read, IOVA, [IOVA, 0xc000_000b_0000_0018]),
        ("LSS.2", |r| r.map(2, IOVA, 1, PAGE | 1 << 11 | 3), Do::Read, IOVA, [IOVA, 0xc000_000c_0000_0018]),
        ("LCT.5", none, Do::Translated, IOVA, [IOVA, 0xc000_000d_0000_0018]),
        ("LCT.5 PT", |r| r.set_context(9, 0x702), Do::Translated, IOVA, [IOVA, 0xc000_000d_0000_0018]),
        ("LGN.4", |r| r.map(2, IOVA, 1, 0xfee0_1003), Do::Write, IOVA, [IOVA, 0x8000_000e_0000_0018]),
        ("29h read", none, Do::Read, 0xfee0_0000, [0, 0xc000_0029_0000_0018]),
        ("29h write", none, Do::Write, 0xfee0_0000, [0, 0x8000_0029_0000_0018]),
        (
            "RTA.1.2",
            |r| {
                r.w64(RTADDR, ROOT | 2 << 10);
                r.w32(GCMD, TE | SRTP)
            },
            Do::Read,
            IOVA,
            [IOVA, 0xc000_0030_0000_0018],
        ),
        (
            "RTA.1.3",
            |r| {
                r.w64(RTADDR, ROOT | 1 << 10);
                r.w32(GCMD, TE | SRTP)
            },
            Do::Read,
            IOVA,
            [IOVA, 0xc000_0030_0000_0018],
        ),
        (
            "RTA.1.1",
            |r| {
                r.w64(RTADDR, ROOT | 3 << 10);
                r.w32(GCMD, TE | SRTP)
            },
            Do::Read,
            IOVA,
            [IOVA, 0xc000_0030_0000_0018],
        ),
        ("RTA.2", none, Do::WithPasid, IOVA, [IOVA, 0xc000_0031_0000_0018]),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (name, set_up, what, address, record) in rows {
        let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
        set_up(&mut rig);
        let before = rig.get(PAGE);
        assert_eq!(dma(&mut rig, *what, *address), UR, "{name}");
        assert_eq!(rig.record(0), *record, "{name}: {:#018x?}", rig.record(0));
        assert_eq!(rig.r32(FSTS), 0x2, "{name}: PPF, FRI 0");
        assert_eq!(rig.get(PAGE), before, "{name}: a blocked write is dropped");
        seen.insert((record[1] >> 32 & 0xff) as u8);
    }
    // Reasons of interrupt requests and of abort-DMA mode have rows of their own elsewhere.
    let elsewhere = (0x20..=0x26).chain([0x33]);
    let all: std::collections::BTreeSet<_> =
        crate::vtd::Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(seen.into_iter().chain(elsewhere).collect::<std::collections::BTreeSet<_>>(), all);
}

#[test]
fn reserved_bits_fault_one_by_one() {
    // (which entry, bits that must be zero in it, the reason)
    let root_low = !0xffff_ffff_f001u64;
    for bit in 0..64 {
        if root_low >> bit & 1 == 1 {
            check_reserved(&format!("root bit {bit}"), 0x0a, |r| r.set(ROOT, CONTEXT | 1 | 1 << bit));
        }
        check_reserved(&format!("root bit {}", 64 + bit), 0x0a, |r| r.set(ROOT + 8, 1 << bit));
        if (4..12).contains(&bit) || bit >= 48 {
            check_reserved(&format!("context bit {bit}"), 0x0b, |r| {
                r.set_context(table(4) | 1 | 1 << bit, 0x702)
            });
        }
        if bit == 7 || bit >= 24 {
            check_reserved(&format!("context bit {}", 64 + bit), 0x0b, |r| {
                r.set_context(table(4) | 1, 0x702 | 1 << bit);
            });
        }
        for level in 1..=4 {
            let reserved = bit == 11 || (48..52).contains(&bit) || bit == 62 || bit == 7 && level == 4;
            if reserved {
                check_reserved(&format!("level {level} bit {bit}"), 0x0c, |r| {
                    let entry = if level == 1 { PAGE } else { table(level - 1) };
                    r.map(2, IOVA, level, entry | 3 | 1 << bit);
                });
            }
        }
        for (level, size) in [(2, 21), (3, 30)] {
            if (12..size).contains(&bit) {
                check_reserved(&format!("large page of level {level}, bit {bit}"), 0x0c, |r| {
                    r.map(2, IOVA, level, 0x83 | 1 << bit);
                });
            }
        }
    }
}

fn check_reserved(name: &str, reason: u64, set_up: impl Fn(&mut Rig)) {
    let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
    set_up(&mut rig);
    assert_eq!(dma(&mut rig, Do::Read, IOVA), UR, "{name}");
    assert_eq!(rig.record(0)[1] >> 32 & 0xff, reason, "{name}");
}

#[test]
fn ignored_bits_change_nothing() {
    for bit in (2..7).chain(8..11).chain(52..62).chain([63]) {
        for level in 1..=4 {
            let rig = &mut Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
            let entry = if level == 1 { PAGE } else { table(level - 1) };
            rig.map(2, IOVA, level, entry | 3 | 1 << bit);
            assert_eq!(dma(rig, Do::Read, IOVA), Outcome::Done, "level {level}, bit {bit}");
        }
    }
    for bit in 3..7 {
        let rig = &mut Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
        rig.set_context(table(4) | 1, 0x702 | 1 << bit);
        assert_eq!(dma(rig, Do::Read, IOVA), Outcome::Done, "context bit {}", 64 + bit);
    }
    let rig = &mut Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
    rig.map(2, IOVA, 1, PAGE | 0x83);
    assert_eq!(dma(rig, Do::Read, IOVA), Outcome::Done, "PS is ignored in the last level");
    rig.set(ROOT, 0xffe);
    rig.submit(&[[0x11, 0], [0x12, 0]]);
    dma(rig, Do::Read, IOVA);
    assert_eq!(rig.record(0)[1] >> 32 & 0xff, 1, "reserved bits do not count where P = 0");
}

#[test]
fn fpd_silences_qualified_reasons_only() {
    // (context entry, reason, whether FPD counts)
    let rows: &[(u64, u64, Do, bool)] = &[
        (2, 0, Do::Read, true),
        (table(4) | 0x13, 0x702, Do::Read, true),
        (table(4) | 3, 0x700, Do::Read, true),
        (table(4) | 3, 0x702, Do::Translated, true),
        (table(4) | 3, 0x702, Do::WithPasid, false),
    ];
    for (low, high, what, silent) in rows {
        let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
        rig.set_context(*low, *high);
        assert_eq!(dma(&mut rig, *what, IOVA), UR);
        assert_eq!(rig.r32(FSTS) & 2 == 0, *silent, "{low:#x} {high:#x}");
    }
    // FPD is remembered with a cached translation.
    let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
    rig.set_context(table(4) | 3, 0x702);
    rig.map(2, IOVA, 1, PAGE | 1);
    assert_eq!(dma(&mut rig, Do::Read, IOVA), Outcome::Done);
    assert_eq!(dma(&mut rig, Do::Write, IOVA), UR);
    assert_eq!(rig.r32(FSTS), 0);
}

#[test]
fn records_fill_in_a_ring_and_overflow_loses_the_rest() {
    let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
    for n in 0..10 {
        dma(&mut rig, Do::Read, n << 12);
    }
    assert_eq!(rig.r32(FSTS), 0x3, "PPF and PFO, FRI 0");
    for n in 0..8 {
        assert_eq!(rig.record(n), [n << 12, 0xc000_0006_0000_0018]);
    }
    // Software frees two records: recording goes on only when PFO is cleared as well.
    rig.w32(FRCD + 12, 1 << 31);
    rig.w32(FRCD + 16 + 12, 1 << 31);
    dma(&mut rig, Do::Read, 0x77000);
    assert_eq!(rig.record(0)[1] >> 63, 0);
    rig.w32(FSTS, 1);
    assert_eq!(rig.r32(FSTS), 0x2);
    dma(&mut rig, Do::Read, 0x78000);
    assert_eq!(rig.record(0), [0x78000, 0xc000_0006_0000_0018]);
    // Once all are serviced, the next fault is the first pending one.
    for n in 0..8 {
        rig.w32(FRCD + n * 16 + 12, 1 << 31);
    }
    assert_eq!(rig.r32(FSTS) & 2, 0);
    dma(&mut rig, Do::Read, 0x79000);
    assert_eq!(rig.r32(FSTS), 0x102, "FRI 1");
    assert_eq!(rig.record(1)[0], 0x79000);
    // Writing PPF or other dwords of a record changes nothing.
    rig.w32(FSTS, 0x2);
    rig.w64(FRCD + 16, 0);
    rig.w32(FRCD + 16 + 8, !0);
    assert_eq!(rig.record(1), [0x79000, 0xc000_0006_0000_0018]);
    // Switching remapping off returns to the first record.
    rig.w32(FRCD + 16 + 12, 1 << 31);
    rig.w32(GCMD, QIE);
    rig.w32(GCMD, QIE | TE);
    dma(&mut rig, Do::Read, 0x7a000);
    assert_eq!((rig.record(0)[0], rig.r32(FSTS)), (0x7a000, 0x2));
}

#[test]
fn compression_keeps_one_record_a_source() {
    let config = Config { compress_faults: true, ..Config::preset("vtd-legacy").unwrap() };
    let mut rig = Rig::mapped(config, 2);
    dma(&mut rig, Do::Read, 0x1000);
    dma(&mut rig, Do::Read, 0x2000);
    let other = port(0x0020, &rig.mem, &rig.unit);
    other.read(Request::at(0x3000), &mut [0; 4], &mut rig.fx);
    rig.deliver();
    assert_eq!(rig.record(0), [0x1000, 0xc000_0006_0000_0018]);
    assert_eq!(rig.record(1), [0x3000, 0xc000_0002_0000_0020]);
    assert_eq!(rig.record(2), [0, 0]);
}

#[test]
fn off_means_no_translation_and_no_device_tlb() {
    let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
    rig.w32(GCMD, QIE);
    assert_eq!(dma(&mut rig, Do::Write, 0x6000), Outcome::Done);
    assert_eq!(rig.get(0x6000), !0);
    assert_eq!(dma(&mut rig, Do::WithPasid, 0x6000), Outcome::Done);
    assert_eq!(dma(&mut rig, Do::Translated, 0x6000), UR);
    assert_eq!(rig.r32(FSTS), 0);
    assert_eq!(dma(&mut rig, Do::Read, 0xfee0_0000), UR);
    assert_eq!(rig.record(0), [0, 0xc000_0029_0000_0018]);
}

#[test]
fn recording_starts_over_when_both_kinds_of_remapping_have_gone_off() {
    let ire = 1 << 25;
    // (commands after a first fault in record 0, index of the record that the next fault takes)
    for (commands, index) in [
        (&[QIE][..], 0u64),
        // Off already: what is pending stays where it is, and the next place with it.
        (&[QIE, 0, QIE], 1),
        (&[QIE | TE | ire, QIE | ire], 1),
        (&[QIE | TE | ire, QIE | ire, QIE], 0),
    ] {
        let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
        let first = if commands.len() == 1 { 1 } else { 0 };
        if commands[0] == QIE && commands.len() > 1 {
            rig.w32(GCMD, QIE);
        }
        dma(&mut rig, Do::Read, 0xfee0_0000);
        if first == 1 {
            rig.w32(FRCD + 12, 1 << 31);
        }
        commands.iter().for_each(|command| rig.w32(GCMD, *command));
        if index == 0 {
            rig.w32(FRCD + 12, 1 << 31);
        }
        dma(&mut rig, Do::Write, 0xfee0_0000);
        assert_eq!(rig.record(index)[1], 0x8000_0029_0000_0018, "{commands:x?}");
    }
}

#[test]
fn five_level_tables_have_reserved_bits_as_well() {
    for bit in [7, 11, 48, 51, 62] {
        let config = Config {
            address_width: crate::vtd::AddressWidth::Bits57,
            ..Config::preset("vtd-legacy").unwrap()
        };
        let mut rig = Rig::mapped(config, 3);
        rig.map(3, IOVA, 5, table(4) | 3 | 1 << bit);
        assert_eq!(dma(&mut rig, Do::Read, IOVA), UR, "bit {bit}");
        assert_eq!(rig.record(0)[1] >> 32 & 0xff, 0x0c, "bit {bit}");
    }
}
