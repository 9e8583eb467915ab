//! Where the specification is silent or says two things, the unit and the oracle agree by decision,
//! not by chance. Each row names the decision.

use devices::iommu::cache::Policy;
use devices::vtd::AddressWidth;
use tests::oracle::legacy::{Access, Request};

use crate::case::{Case, Invalidation, Operation, Special, Step};
use crate::rig::{Rig, config};

/// What a row adds to root entry 0 (context table at 2000h): context entry 0, the words of tables at
/// 3000h, 4000h and 5000h, and a request.
struct Row {
    width: AddressWidth,
    context: [u64; 2],
    /// Entry 0 of the tables, from the top.
    entries: [u64; 3],
    enabled: bool,
    request: (Access, u64, u64),
    translated: bool,
    /// The reason, and whether it is reported; `None` if the request passes.
    ending: Option<(u8, bool)>,
}

const ROW: Row = Row {
    width: AddressWidth::Bits39,
    context: [0x3001, 0x1],
    entries: [0x4003, 0x5003, 0x1_8003],
    enabled: true,
    request: (Access::Read, 0, 8),
    translated: false,
    ending: None,
};

#[test]
fn what_the_specification_leaves_open_is_decided() {
    use Access::{Atomic, Read, Write};
    use AddressWidth::Bits48;
    let rows = [
        (
            "a zero-length read passes through write-only entries",
            Row { entries: [0x4002, 0x5002, 0x1_8002], request: (Read, 0, 0), ..ROW },
        ),
        (
            "but needs one right that all entries grant",
            Row {
                entries: [0x4002, 0x5001, 0x1_8003],
                request: (Read, 0, 0),
                ending: Some((0x06, true)),
                ..ROW
            },
        ),
        (
            "an AtomicOp without any right lacks writing first",
            Row { entries: [0x4003, 0x5000, 0], request: (Atomic, 0, 8), ending: Some((0x05, true)), ..ROW },
        ),
        (
            "a reserved bit below counts before a right missing above",
            Row {
                entries: [0x4001, 0x4000_0000_0000_5003, 0],
                request: (Write, 0, 8),
                ending: Some((0x0c, true)),
                ..ROW
            },
        ),
        (
            "a missing right counts before an output in the interrupt range",
            Row {
                entries: [0x4003, 0x5003, 0xfee0_0001],
                request: (Write, 0, 8),
                ending: Some((0x05, true)),
                ..ROW
            },
        ),
        (
            "pass-through with less than the largest AW is LCT.4.1",
            Row { width: Bits48, context: [0x9, 0x1], ending: Some((0x03, true)), ..ROW },
        ),
        (
            "pass-through ignores AW where the host's addresses are wider",
            Row { context: [0x9, 0x1], request: (Read, 0x80_0000_0000, 8), ..ROW },
        ),
        (
            "pass-through ignores reserved bits of SSPTPTR",
            Row { context: [0x8000_0000_0000_0009, 0x1], request: (Read, 0x1_8000, 8), ..ROW },
        ),
        (
            "reserved bits count before TT and AW",
            Row { context: [0x301d, 0x7], ending: Some((0x0b, true)), ..ROW },
        ),
        (
            "an invalid context entry counts before the translated request that it would block",
            Row { context: [0x3001, 0x7], translated: true, ending: Some((0x03, true)), ..ROW },
        ),
        (
            "an access to the interrupt range is a fault with translation off",
            Row { enabled: false, request: (Read, 0xfee0_0000, 4), ending: Some((0x29, true)), ..ROW },
        ),
        (
            "and FPD does not hide it",
            Row {
                context: [0x3003, 0x1],
                request: (Write, 0xfee0_0002, 4),
                ending: Some((0x29, true)),
                ..ROW
            },
        ),
    ];
    for (decision, row) in rows {
        if let Err(difference) = check(&row) {
            panic!("{decision}: {difference}");
        }
    }
}

fn check(row: &Row) -> Result<(), String> {
    let (access, address, len) = row.request;
    let request = Request {
        source: 0,
        pasid: None,
        address,
        len,
        access,
        translated: row.translated,
        privileged: false,
    };
    let [top, middle, bottom] = row.entries;
    let [low, high] = row.context;
    let case = Case {
        width: row.width,
        compress: false,
        special: Special::Nothing,
        policy: Policy::Off,
        invalidation: Invalidation::Registers,
        rtaddr: 0x1000,
        stray_rtaddr: None,
        enabled: row.enabled,
        words: vec![
            (0x1000, 0x2001),
            (0x2000, low),
            (0x2008, high),
            (0x3000, top),
            (0x4000, middle),
            (0x5000, bottom),
        ],
        steps: vec![Step::Dma(request, Operation::Swap); 2],
    };
    for (name, cache) in Policy::ALL {
        let mut rig = Rig::new(config(&case, cache)?)?;
        rig.run(&case)
            .map_err(|difference| format!("with caches {name}, {difference}\nin the case\n{case:?}"))?;
        let endings: Vec<_> = rig.seen.keys().map(|(_, ending)| *ending).collect();
        if endings != [row.ending] {
            return Err(format!("ends in {endings:x?} instead of {:x?}", row.ending));
        }
    }
    Ok(())
}

/// LGN.4 holds for cached translations as well [VT-d 7.1.3].
#[test]
fn a_cached_fault_does_not_open_the_interrupt_range() {
    let dma = |access| {
        let (len, translated, privileged) = (8, false, false);
        let request = Request { source: 0, pasid: None, address: 0, len, access, translated, privileged };
        Step::Dma(request, Operation::Swap)
    };
    let case = Case {
        width: AddressWidth::Bits39,
        compress: false,
        special: Special::CachingMode,
        policy: Policy::Retain,
        invalidation: Invalidation::Registers,
        rtaddr: 0x1000,
        stray_rtaddr: None,
        enabled: true,
        // Domain 1; one page, readable only, at FEE00000h.
        words: vec![
            (0x1000, 0x2001),
            (0x2000, 0x3001),
            (0x2008, 0x101),
            (0x3000, 0x4003),
            (0x4000, 0x5003),
            (0x5000, 0xfee0_0001),
        ],
        // Reason 05h, then 0Eh.
        steps: vec![dma(Access::Write), dma(Access::Read)],
    };
    let config = config(&case, Policy::Retain).unwrap();
    assert_eq!(Rig::new(config).and_then(|mut rig| rig.run(&case)), Ok(()));
}
