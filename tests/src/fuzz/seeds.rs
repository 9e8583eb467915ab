//! The seed corpus: directed inputs from which a fuzzer starts.
//!
//! The files in `tests/fuzz/corpus` are these; `cargo run -p iommulator-tests --bin seeds` writes
//! them.

use super::record::{Input, Record};

/// An input with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Name of its target.
    pub target: &'static str,
    /// Name of its file.
    pub name: &'static str,
    /// The input.
    pub data: Vec<u8>,
}

const fn record(kind: u8, place: u8, shape: u16, value: u64) -> Record {
    Record { kind, place, shape, value }
}

/// Caches off, tables of up to 48 bits.
const CONFIG: u8 = 0x20;
/// A process without rights, which has prepared for nesting.
const PREPARED: u8 = 0x27;

/// Bring-up with a queue, and translation on.
const ENABLE: Record = record(7, 0x01, 0, 0);
/// Bring-up with a queue and interrupt remapping, and translation off.
const REMAP: Record = record(7, 0x07, 0, 0);
/// The page at 0x1000 of 00:03.0 leads to that at 0x20000, with both rights.
const MAP: Record = record(5, 0, 0x18, 0x20_0000_1000);
/// 00:03.0 writes 8 bytes at 0x1000.
const WRITE: Record = record(9, 0, 0x41, 0x1000);
/// 00:03.0 reads 8 bytes at 0x1000.
const READ: Record = record(9, 0, 0x40, 0x1000);
const TIME: Record = record(13, 0, 0, 0);

/// [`MAP`] with `bit` of its `entry` wrong: 0 and 1 the root entry, 2 and 3 the context entry, 4 to 7
/// the tables from the first on.
const fn wrong(entry: u64, bit: u64) -> Record {
    record(5, 0, 0x18, 0x20_0000_1000 | bit << 48 | 1 << 54 | entry << 57)
}

/// An SMMU with both stages and caches that keep everything; with every feature; with one stage only.
const NESTED: u8 = 0x42;
const FULL: u8 = 0x43;
const STAGE_1: u8 = 0x40;
/// Four processors, and every input twice.
const PROCESSORS: u8 = 0x83;

/// The seeds of an NVMe controller, whose commands have no latency.
fn nvme() -> Vec<(&'static str, Vec<Record>)> {
    // An NVM command of eight blocks from 16 on, with its data at 0x200000; then of 512 blocks, with a list.
    let nvm = |place| record(7, place, 7 << 4, 0x20_0000 | 16 << 44);
    let long = |place| record(7, place, 511 << 4, 0x20_0000 | 0x10_0000 << 22 | 16 << 44);
    let list = (0..128).map(|at| record(13, 0, at, 0x21_0000 | 0x22_0000 << 24));
    let (time, taken, snapshot) = (record(12, 0, 0xffff, 0), record(11, 1, 1, 0), record(15, 0, 0, 0));
    let identify = record(4, 5, 1 << 2, 0x20_0000);
    vec![
        ("identify", vec![identify, record(4, 5, 1, 0x20_0000), record(4, 5, 2 << 2, 0x20_0000)]),
        ("logs", (1..6).map(|page| record(4, 2, page << 2 | 2, 0x20_0000 | 0xff << 44)).collect()),
        ("features", (1..12).map(|feature| record(5, 8, feature << 2, 0)).collect()),
        ("write-and-read", vec![nvm(1), taken, nvm(2), taken, nvm(3), nvm(0), nvm(4), nvm(5)]),
        ("long", list.take(50).chain([long(2), snapshot, time, long(1), snapshot, time]).collect()),
        (
            "sgl",
            vec![
                record(13, 0x80, 1, 0x1000 << 24 | 0x21_0000),
                record(7, 2 | 8 | 3 << 4, 7 << 4, 0x10_0010 | 16 << 24),
            ],
        ),
        (
            "doorbells",
            vec![
                record(4, 9, 0, 0),
                record(3, 2, 99, 0),
                record(3, 6, 0, 0),
                record(4, 2, 1 << 2, 0x20_0000),
            ],
        ),
        (
            "delete-and-reset",
            vec![nvm(2), record(4, 0, 1 << 2, 0), record(4, 3, 1 << 2, 0), record(0, 0, 0, 0), identify],
        ),
        ("shutdown", vec![nvm(2), record(0, 0x80, 0, 0x4000), time, record(0, 0, 0, 0), identify]),
        (
            "no-master",
            vec![record(15, 0x80, 0, 0), nvm(2), record(15, 0x80, 1, 0), record(0, 0, 0, 0), identify],
        ),
    ]
}

/// The seeds of an SMMU, with the unit that each is for.
fn smmuv3() -> Vec<(&'static str, u8, Vec<Record>)> {
    let enable = record(7, 0, 0, 0);
    // Streams of 00:03.0 with Config 100 to 111.
    let stream = |shape| record(15, 0, shape, 0);
    // The page at 0x1000 leads to the first or second data page, by stage 1 or stage 2.
    let (map, moved, map_2) =
        (record(5, 0, 0, 0x1000), record(5, 0, 0, 0x1_0000_1000), record(6, 0, 0, 0x2_0000_1000));
    let (write, read) = (record(10, 0, 0x41, 0x1000), record(10, 0, 0x40, 0x1000));
    let tables_flush = record(14, 0x21, 0, 0);
    let (flush, reset, snapshot) = (record(14, 0x20, 0, 0), record(14, 0, 0, 0), record(14, 0x10, 0, 0));
    let wrong = |kind, shape, entry: u64, bit: u64| {
        record(kind, 0, shape, 0x1000 | bit << 48 | 1 << 54 | entry << 57)
    };
    // The master on the platform bus, with faults that stall.
    let (waits, waiting) = (record(15, 2, 1 << 12 | 1, 0), record(10, 0x30, 0x40, 0x1000));
    let map_waiting = record(5, 2, 0, 0x1000);
    let resume = |stag| record(8, 0xc2, 1, stag);
    vec![
        ("stage-1", NESTED, vec![enable, stream(1), map, write, read, TIME]),
        ("stage-2", NESTED, vec![enable, stream(2), map_2, write, read]),
        ("nested", NESTED, vec![enable, stream(3), map, write, read]),
        (
            "nested-apart",
            NESTED,
            vec![enable, stream(3), record(5, 0, 0x400, 0x10_0000_1000), map_2, write, flush, read],
        ),
        ("bypass", NESTED, vec![enable, stream(0), write, record(10, 0xc0, 0x41, 0x4_0000)]),
        ("off", NESTED, vec![record(10, 0xc0, 0x41, 0x4_0000), record(3, 2, 0, 1 << 20), write]),
        (
            "stale",
            NESTED,
            vec![enable, stream(1), map, write, moved, write, record(8, 0x40, 0, 0x1000), write],
        ),
        (
            "translations-flushed",
            NESTED,
            vec![enable, stream(1), map, read, moved, tables_flush, read, write],
        ),
        ("flushed", NESTED, vec![enable, stream(1), map, read, moved, flush, read, write, map, flush, write]),
        (
            "large-pages",
            NESTED,
            vec![enable, stream(1), record(5, 0, 6, 0x1000), read, record(5, 0, 7, 0x1000), flush, read],
        ),
        (
            "granule-16k",
            NESTED,
            vec![enable, stream(1 | 1 << 2), map, write, stream(2 | 1 << 4), map_2, flush, write],
        ),
        (
            "granule-64k",
            NESTED,
            vec![enable, stream(1 | 2 << 2), map, write, stream(2 | 2 << 4), map_2, flush, write],
        ),
        (
            "substreams",
            NESTED,
            vec![enable, stream(1 | 1 << 6), map, record(10, 0x21, 0x41, 0x1000 | 1 << 44), write],
        ),
        ("two-levels", NESTED, vec![record(7, 1, 0, 0), stream(1 | 3 << 6 | 2 << 8), map, write]),
        ("el2", NESTED, vec![enable, stream(1 | 3 << 10), map, write, record(8, 0xa0, 0, 0x1000), write]),
        (
            "el2-e2h",
            NESTED,
            vec![record(7, 0x20, 0, 0), stream(1 | 3 << 10), map, write, record(8, 0xa0, 0x100, 0), write],
        ),
        ("read-only", NESTED, vec![enable, stream(1), record(5, 0, 1 << 5, 0x1000), read, write]),
        ("no-stream", NESTED, vec![enable, write]),
        ("ste-reserved", NESTED, vec![enable, wrong(15, 2, 2, 46), write]),
        ("table-out-of-reach", NESTED, vec![enable, stream(1), wrong(5, 0, 0, 35), write]),
        ("descriptor-out-of-reach", NESTED, vec![enable, wrong(15, 1, 0, 40), write]),
        ("translated-requests", NESTED, vec![enable, stream(1), map, record(10, 0x2e, 0x40, 0x1000)]),
        ("stall", NESTED, vec![enable, waits, waiting, map_waiting, resume(0), waiting]),
        (
            "stall-ends",
            NESTED,
            vec![enable, waits, waiting, waiting, record(8, 0xd2, 0, 0), waiting, record(2, 0, 0, 1)],
        ),
        ("overflow", NESTED, vec![record(7, 0x18, 0, 0), write, read, read, record(3, 1, 0, 2), read]),
        (
            "messages",
            NESTED,
            vec![record(7, 0x88, 0, 0), write, record(8, 0xe0, 5, 0x40), record(8, 0xf0, 0, 0xff)],
        ),
        ("command-error", NESTED, vec![enable, record(8, 0xf0, 0, 0xff), record(3, 0, 0, 1), TIME]),
        (
            "dirty",
            FULL,
            vec![
                enable,
                stream(1 | 3 << 14),
                record(5, 0, 1 << 3 | 1 << 5 | 1 << 7, 0x1000),
                read,
                write,
                flush,
                write,
            ],
        ),
        (
            "dirty-stage-2",
            FULL,
            vec![enable, stream(2 | 3 << 14), record(6, 0, 1 << 3 | 1 << 5 | 1 << 7, 0x1000), read, write],
        ),
        ("first-silicon", STAGE_1, vec![enable, stream(1), map, write, record(8, 0x40, 0, 0x1000), write]),
        (
            "reset",
            NESTED & 3,
            vec![enable, stream(1), map, write, reset, read, enable, stream(2), map_2, write],
        ),
        (
            "snapshot",
            NESTED | 0x80,
            vec![enable, stream(3), map, write, waits, waiting, snapshot, read, flush, read],
        ),
    ]
}

/// The seeds of an interrupt controller.
fn gic() -> Vec<(&'static str, Vec<Record>)> {
    let enable = record(4, 0, 0, 0);
    let (mapd, mapc, mapti) = (record(5, 0, 0, 0), record(5, 0x20, 0, 0), record(5, 0x40, 0, 0));
    let (message, take, hold) = (record(9, 0, 0, 0), record(12, 0, 1, 0), record(12, 0, 5, 0));
    vec![
        ("lpi", vec![enable, mapd, mapc, mapti, message, take]),
        (
            "lpi-moves",
            vec![
                enable,
                mapd,
                mapc,
                mapti,
                record(5, 0x20, 1 << 5 | 1 << 7, 0),
                message,
                record(5, 0xd0, 1 << 5, 0),
                record(12, 1, 1, 0),
            ],
        ),
        (
            "lpi-is-disabled",
            vec![enable, mapd, mapc, mapti, record(3, 0x60, 0, 0), record(5, 0xc0, 0, 0), message, take],
        ),
        (
            "commands",
            vec![
                enable,
                mapd,
                mapc,
                mapti,
                record(5, 0x80, 0, 0),
                record(5, 0xa0, 0, 0),
                record(5, 0xb0, 0, 0),
                record(5, 0xf0, 0, 0xff),
            ],
        ),
        ("spi", vec![enable, record(10, 0, 1, 0), hold, record(10, 0, 0, 0), take]),
        ("ppi", vec![enable, record(10, 1, 1, 3), record(12, 1, 1, 0)]),
        ("sgi", vec![enable, record(11, 0, 8 << 3, 0x100_0001), take]),
        ("no-processors", vec![enable, mapd, mapc, mapti, message, record(14, 0x60, 0, 0)]),
        (
            "queue-out-of-reach",
            vec![record(4, 0xf8, 0, 0), record(1, 0x86, 1, 0xf_ffe0), record(15, 0, 0, 0)],
        ),
        ("reset", vec![enable, mapd, mapc, mapti, message, record(14, 0, 0, 0), take]),
        ("snapshot", vec![enable, mapd, mapc, mapti, message, record(14, 0x20, 0, 0), take]),
    ]
}

/// The seeds of the SMMU's decoders: an entry is eight records, of which those left out are zero.
fn smmuv3_decode() -> Vec<(&'static str, Vec<Record>)> {
    let of = |kind, place, shape, words: &[u64]| -> Vec<Record> {
        words.iter().map(|word| record(kind, place, shape, *word)).collect()
    };
    vec![
        ("ste", of(0, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0])),
        ("ste-stage-1", of(0, 1, 0, &[4, 1 << 31])),
        ("cd", of(1, 0, 0, &[0])),
        ("cd-el2", of(1, 4, 0, &[0, 1 << 4])),
        ("invalidate-range", of(2, 8, 0, &[0x1f_3000, 0x1234_5501])),
        ("resume", of(2, 17, 0, &[0x18_0000_2000, 3])),
        ("sync", of(2, 19, 0, &[0x1000, 0x1000])),
        ("stream-table", of(3, 0, 0, &[0x4000_1000, 6, 0x18])),
        ("two-levels", of(3, 0, 0, &[0x4000_1000, 1 << 16 | 8 << 6 | 16, 0x18, 0x4000_2009])),
        ("context-table", of(4, 0, 3, &[1 << 4 | 7 << 59, 0, 0, 0, 0, 0, 0, 0x4000_4001])),
        ("walk", of(5, 0, 0x123, &[0x4000_c003, 0x4000_0743])),
        ("block", of(5, 0x10, 0x123, &[0x4000_0741])),
    ]
}

/// All seeds.
pub fn seeds() -> Vec<Seed> {
    let unit: &[(&str, &[Record])] = &[
        ("mapped", &[MAP, ENABLE, WRITE, READ, TIME]),
        ("stale", &[MAP, ENABLE, WRITE, record(5, 0, 0x18, 0x21_0000_1000), WRITE]),
        ("invalidated", &[MAP, ENABLE, READ, record(8, 0x31, 0x1, 0), record(8, 0xb0, 0x2, 0x30000), READ]),
        ("large-pages", &[record(5, 0, 0x1e, 0x1000), ENABLE, READ, record(5, 0, 0x1f, 0x1000), READ]),
        ("read-only", &[record(5, 0, 0x8, 0x20_0000_1000), ENABLE, READ, WRITE]),
        ("pass-through", &[record(5, 0xc0, 0x18, 0x1000), ENABLE, WRITE]),
        ("root-out-of-reach", &[wrong(0, 40), ENABLE, WRITE]),
        ("context-reserved", &[wrong(2, 5), ENABLE, WRITE]),
        ("table-out-of-reach", &[wrong(4, 40), ENABLE, WRITE]),
        ("leaf-reserved", &[wrong(7, 62), ENABLE, WRITE]),
        ("interrupts-across-pages", &[REMAP, record(14, 0x20, 0, 0xfffc)]),
        ("interrupt-range", &[MAP, record(4, 0x50, 0x8004, 0xfee0_0003), ENABLE, WRITE]),
        ("blocked", &[ENABLE, WRITE, READ, record(9, 0x21, 0x20, 0x1000), TIME]),
        ("interrupt", &[REMAP, record(15, 0, 0x8000, 0x30_0000), record(14, 0x20, 0x1001, 0)]),
        ("interrupt-source", &[REMAP, record(15, 0, 0x8001, 0x30_0000), record(14, 0x20, 0x1041, 0)]),
        (
            "interrupt-subhandle",
            &[
                REMAP,
                record(4, 0xe2, 0x8000, u64::MAX),
                record(9, 0x80, 0x40, 0x28 << 12),
                record(14, 0x20, 0x1001, 8),
            ],
        ),
        ("interrupt-reserved", &[REMAP, record(15, 0, 0x8000, 0x30_1000), record(14, 0x20, 0x1001, 0)]),
        ("events", &[record(7, 0x11, 0, 0), READ, record(8, 0xb0, 0x1, 0), TIME]),
        ("wide-queue", &[record(7, 0xe1, 0, 0), record(8, 0x31, 0x1, 0), TIME]),
        ("queue-error", &[ENABLE, record(8, 0xf0, 0, 0x7), record(1, 12, 0, 0x10), TIME]),
        ("reset", &[MAP, ENABLE, WRITE, record(14, 0, 0, 0), READ, MAP, ENABLE, READ]),
        ("snapshot", &[MAP, ENABLE, READ, record(14, 0x10, 0, 0), READ, WRITE]),
    ];
    let decode: &[(&str, &[Record])] = &[
        ("root", &[record(0, 0, 0, 0x2001), record(0, 0, 0, 0)]),
        ("context", &[record(1, 0, 0, 0x8001), record(0, 0, 0, 0x102)]),
        ("pass-through", &[record(1, 0, 0, 0x9), record(0, 0, 0, 0x102)]),
        ("second-stage", &[record(2, 1, 0, 0x20_0083), record(0, 0, 0, 0x1234)]),
        ("invalidate", &[record(3, 0, 0, 0x7_0032), record(0, 0, 0, 0x1009), record(3, 0, 0, 0x25)]),
        ("request", &[record(4, 0, 0, 0x38), record(0, 0, 0, 0x1007)]),
        ("interrupt-entry", &[record(5, 1, 0x18, 0x1_0030_0001), record(0, 0, 0, 0x4_0018)]),
        ("blocks", &[record(6, 0x72, 0x3, 0x0102_0304_0506_0708), record(0, 0, 0, 9)]),
        ("transfer", &[record(7, 0, 0, 0x40_0000_0101), record(0, 0, 0, 0x1000)]),
    ];
    // The operation of the machine is in bits 7:2 of the kind, beside 01 in the low bits.
    let device = |operation: u8, place, shape, value| record(operation << 2 | 1, place, shape, value);
    let ring = device(34, 0, 0, 0);
    let machine: &[(&str, &[Record])] = &[
        ("copy", &[ring, device(28, 3 << 2, 64 << 4, 0x21_0000_2000 << 12 | 0x2_0000)]),
        ("write-with-interrupt", &[device(38, 0, 0, 0), ring, device(28, 2 << 2, 64 << 4 | 1, 0x2_0000)]),
        ("edu", &[device(42, 0, 0x308, 0x2_0000), device(50, 0, 2, 0)]),
        ("testdev", &[device(46, 0, 0x10, 0x2_0000)]),
        (
            "translated",
            &[
                record(5 << 2, 0, 0x18, 0x20_0000_1000),
                record(7 << 2, 1, 0, 0),
                record(9 << 2, 0, 0x41, 0x1000),
            ],
        ),
        ("move-a-bar", &[device(4, 0x38, 0x10 << 3, 0xc040_0000), device(12, 2, 0x10, 0)]),
        ("ports", &[device(54, 0, 0, 0x8000_1800), device(56, 0x40, 0, 0)]),
        ("snapshot", &[ring, device(63, 0, 0, 0), device(28, 1 << 2, 64 << 4, 0x2_0000)]),
    ];
    // What follows the kind, the lowest bits first; 0 draws what works, of what was made last.
    let call = |kind: u8, bits: u64| record(kind, bits as u8, (bits >> 8) as u16, bits >> 24);
    let (check, unmap_all, nested, attach_nested) =
        (call(62, 0), call(7, 3 << 6), call(10, 2 << 6), call(24, 2 << 6));
    const MAP_AT: u64 = 3 << 25 | 2 << 31 | 4 << 33;
    let map = call(5, MAP_AT);
    let iommufd: &[(&str, &[Record])] = &[
        ("domains", &[map, call(10, 0), check, call(22, 0), check, call(7, 0), unmap_all, check]),
        (
            "page-requests",
            &[
                call(10, 2 << 6 | 4 << 14),
                attach_nested,
                call(35, 0),
                call(53, 1 << 7),
                call(51, 0),
                call(52, 1 << 7),
            ],
        ),
        (
            "events",
            &[
                nested,
                attach_nested,
                call(18, 1 << 9),
                call(37, 0),
                call(37, 0),
                call(37, 0),
                call(51, 1 | 1 << 11),
            ],
        ),
        ("pins", &[call(29, 7 << 19), call(29, 0), check, call(28, 0), call(7, 0), unmap_all]),
        ("reads-and-writes", &[call(57, 0x1234), call(30, 0), call(30, 1 << 9), call(30, 3 << 9), check]),
        ("a-new-address-space", &[call(29, 0), call(1, 0), map, call(32, 0), call(29, 0), call(7, 1 << 2)]),
        ("copies", &[call(1, 0), call(3, 1 << 2), check, call(0, 0), call(0, 1 << 2), check]),
        ("files", &[call(56, 7), call(6, 2 << 30 | 4 << 32), check, call(54, 2 | 63 << 10), check]),
        (
            "dma-buf",
            &[
                call(42, 3),
                call(6, 2 << 12 | 2 << 30 | 4 << 32),
                call(22, 0),
                call(43, 0),
                call(22, 0),
                unmap_all,
            ],
        ),
        (
            "dirty",
            &[call(12, 1 << 2), call(33, 1 << 2 | 0xff << 30), call(13, 1 << 2), call(12, 1 << 2 | 1 << 6)],
        ),
        (
            "pasid",
            &[
                call(24, 1 << 6 | 1 << 10),
                call(38, 1 << 6 | 1 << 10 | 1 << 14),
                call(39, 1 << 6 | 1 << 10 | 1 << 14),
                call(41, 1 << 6 | 1 << 10 | 1 << 14),
                call(40, 1 << 6),
            ],
        ),
        ("invalidate", &[nested, call(14, 0), call(34, 0), call(14, 1 << 2), call(36, 0)]),
        ("hardware-queue", &[call(19, 0), call(7, 0), unmap_all, call(0, 9 << 2), unmap_all]),
        ("window", &[call(49, 0), call(0, 6 << 2), call(54, 4), call(49, 0), call(60, 0)]),
        (
            "container",
            &[call(9, 0), call(45, 2 << 30), call(47, 0), call(44, 1 << 6), call(46, 0), call(46, 2)],
        ),
        (
            "fork",
            &[
                call(59, 0),
                call(0x45, 0),
                call(0x40 | 20, 0),
                call(60, 0),
                call(0x40 | 62, 0),
                call(0x40 | 60, 0),
            ],
        ),
        ("fragments", &[call(55, 1 << 4), call(55, 5 << 4), call(5, MAP_AT | 1 << 6), check]),
        ("memory-goes", &[map, call(54, 63 << 10), call(22, 0), call(55, 63 << 10), map, check]),
        (
            "reserved",
            &[call(21, 2 << 6 | 4 << 8), call(2, 1 << 6), call(4, 3 << 6), call(21, 0), call(2, 0), map],
        ),
        (
            "moved",
            &[
                unmap_all,
                call(6, 2 << 30 | 4 << 32),
                call(59, 0),
                call(0x40 | 20, 0),
                call(60, 0),
                call(0x40 | 20, 0),
            ],
        ),
        (
            "checks",
            &[
                call(11, 0),
                call(25, 0),
                call(26, 1 << 20),
                nested,
                call(34, 0),
                call(48, 0x81 << 2),
                call(50, 0),
            ],
        ),
        (
            "options",
            &[
                call(31, 0),
                call(44, 2 << 2),
                call(8, 1 << 2 | 1 << 6),
                call(8, 1 << 14),
                call(8, 0),
                call(8, 1 << 2),
                call(8, 1 << 6),
            ],
        ),
        (
            "steps-fail",
            &[call(61, 9), map, call(61, 4), call(22, 0), call(61, 14), call(10, 0), call(61, 3), unmap_all],
        ),
        (
            "structures",
            &[
                call(0x85, 4),
                call(0x85, 7),
                call(0x85, 8),
                call(0x81, 10),
                call(0x80, 13),
                call(0x80 | 29, 15),
            ],
        ),
    ];
    let text = [
        ("memory", "writeq 0x1000 0x1122334455667788\nreadl 0x1004\nread 0x1000 16\nmemset 0x1000 8 0x5a\n"),
        ("base64", "b64write 0x3000 4 3q2+7w==\nb64read 0x3000 5\n"),
        ("unit", "writeq 0xfed90020 0x8000\nwritel 0xfed90018 0x40000000\nreadl 0xfed9001c\n"),
        ("clock", "clock_step\nclock_step 100\nclock_set 0x100\nirq_intercept_in ioapic\nendianness\n"),
        ("ports", "outl 0xcf8 0x80001800\ninl 0xcfc\noutb 0x3f8 0x41\ninb 0x71\n"),
        (
            "edu",
            "writeq 0xc0000080 0x1000\nwriteq 0xc0000088 0x40000\nwriteq 0xc0000090 8\nwriteq 0xc0000098 5\nclock_step\n",
        ),
    ];
    let records = |target, list: &[(&'static str, &[Record])]| -> Vec<Seed> {
        let seed = |(name, records): &(&'static str, &[Record])| {
            let data = Input { config: CONFIG, records: records.to_vec() }.to_bytes();
            Seed { target, name, data }
        };
        list.iter().map(seed).collect()
    };
    let mut all = records("vtd", unit);
    // The two processes, prepared.
    all.extend(records("iommufd", iommufd).into_iter().map(|seed| {
        let data = [&[PREPARED], &seed.data[1..]].concat();
        Seed { data, ..seed }
    }));
    all.extend(records("decode", decode));
    all.extend(records("pci", machine));
    all.extend(smmuv3().into_iter().map(|(name, config, records)| Seed {
        target: "smmuv3",
        name,
        data: Input { config, records }.to_bytes(),
    }));
    all.extend(gic().into_iter().map(|(name, records)| Seed {
        target: "gic",
        name,
        data: Input { config: PROCESSORS, records }.to_bytes(),
    }));
    all.extend(nvme().into_iter().map(|(name, records)| Seed {
        target: "nvme",
        name,
        data: Input { config: 0, records }.to_bytes(),
    }));
    // Preset 3 has everything.
    all.extend(smmuv3_decode().into_iter().map(|(name, records)| Seed {
        target: "smmuv3_decode",
        name,
        data: Input { config: 3, records }.to_bytes(),
    }));
    all.extend(text.map(|(name, text)| Seed { target: "qtest", name, data: text.into() }));
    // The same with caches and every option.
    let full = all.iter().find(|seed| seed.name == "mapped").map(|seed| {
        let data = [&[CONFIG | 0x8f], &seed.data[1..]].concat();
        Seed { target: "vtd", name: "mapped-full", data }
    });
    all.extend(full);
    all
}
