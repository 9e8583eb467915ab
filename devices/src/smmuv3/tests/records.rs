//! Event records as literals.

use super::*;
use crate::addr::Ipa;

fn subject(read: bool, instruction: bool, privileged: bool, substream: Option<u32>) -> Subject {
    Subject {
        stream: StreamId(0xdead_beef),
        substream: substream.map(|id| Pasid::new(id).unwrap()),
        address: Iova(0xfedc_ba98_7654_3210),
        read,
        instruction,
        privileged,
    }
}

fn translation(kind: FaultKind, stage: Stage, class: Class, ipa: Option<u64>) -> TranslationFault {
    TranslationFault { kind, stage, class, ipa: ipa.map(Ipa), descriptor_read: false }
}

const SID: u64 = 0xdead_beef << 32;
const ADDRESS: u64 = 0xfedc_ba98_7654_3210;
/// SubstreamID 0xabcde with SSV.
const SSID: u64 = 0xabcd_e800;
// Bits of the second word: PnU 97, InD 98, RnW 99, S2 103, CLASS 105:104, TTRnW 108, Stall 95.
const PNU: u64 = 1 << 33;
const IND: u64 = 1 << 34;
const RNW: u64 = 1 << 35;
const S2: u64 = 1 << 39;
const TT: u64 = 1 << 40;
const IN: u64 = 2 << 40;
const TTRNW: u64 = 1 << 44;
const STALL: u64 = 1 << 31;

#[test]
fn every_kind_of_record() {
    use FaultKind::{Access, AddressSize, Permission, Translation};
    let (plain, with) = (subject(true, false, false, None), subject(true, true, true, Some(0xabcde)));
    let write = subject(false, true, false, Some(0));
    let at = Pa(0x0012_3456_789a_bcd8);
    let walk = |stage, class| Reason::WalkAbort { stage, class, at };
    let fault = |kind, stage, class, ipa| Reason::Fault(translation(kind, stage, class, ipa));
    let permission = |descriptor_read, class| {
        let ipa = Some(0x000f_ffff_ffff_f678);
        Reason::Fault(TranslationFault { descriptor_read, ..translation(Permission, Stage::Two, class, ipa) })
    };
    for (reason, subject, stall, record) in [
        (Reason::UnsupportedTransaction, with, None, [SID | SSID | 0x01, PNU | IND | RNW, ADDRESS, 0]),
        (Reason::BadStreamId, plain, None, [SID | 0x02, 0, 0, 0]),
        (Reason::BadStreamId, with, None, [SID | SSID | 0x02, 0, 0, 0]),
        (Reason::SteFetch(at), with, None, [SID | SSID | 0x03, 0, 0, 0x0012_3456_789a_bcd8]),
        (Reason::BadSte, with, None, [SID | SSID | 0x04, 0, 0, 0]),
        // SSV and SubstreamID are reserved in these two.
        (Reason::StreamDisabled, with, None, [SID | 0x06, 0, 0, 0]),
        (Reason::TranslationForbidden, with, None, [SID | 0x07, RNW, ADDRESS, 0]),
        (Reason::TranslationForbidden, write, None, [SID | 0x07, 0, ADDRESS, 0]),
        // SubstreamID without SSV.
        (Reason::BadSubstreamId, with, None, [SID | 0xabcd_e008, 0, 0, 0]),
        (Reason::BadSubstreamId, plain, None, [SID | 0x08, 0, 0, 0]),
        (Reason::CdFetch(at), plain, None, [SID | 0x09, 0, 0, 0x0012_3456_789a_bcd8]),
        (Reason::BadCd, write, None, [SID | 0x80a, 0, 0, 0]),
        (walk(Stage::One, Class::Tt), plain, None, [SID | 0x0b, RNW | TT, ADDRESS, 0x12_3456_789a_bcd8]),
        (walk(Stage::Two, Class::Cd), plain, None, [SID | 0x0b, RNW | S2, ADDRESS, 0x12_3456_789a_bcd8]),
        // A write is never of an instruction.
        (walk(Stage::Two, Class::In), write, None, [SID | 0x80b, S2 | IN, ADDRESS, 0x12_3456_789a_bcd8]),
        (fault(Translation, Stage::One, Class::In, None), plain, None, [SID | 0x10, RNW | IN, ADDRESS, 0]),
        (
            fault(Translation, Stage::One, Class::In, None),
            with,
            Some(0xfedc),
            [SID | SSID | 0x10, 0xfedc | STALL | PNU | IND | RNW | IN, ADDRESS, 0],
        ),
        (
            fault(AddressSize, Stage::Two, Class::Cd, Some(0x1234_5fff)),
            plain,
            Some(0),
            [SID | 0x11, STALL | RNW | S2, ADDRESS, 0x1234_5000],
        ),
        (
            fault(Access, Stage::Two, Class::Tt, Some(0x1234_5fff)),
            write,
            None,
            [SID | 0x812, S2 | TT, ADDRESS, 0x1234_5000],
        ),
        (
            permission(true, Class::Tt),
            write,
            None,
            [SID | 0x813, TTRNW | S2 | TT, ADDRESS, 0xf_ffff_ffff_f000],
        ),
        (permission(false, Class::Tt), write, None, [SID | 0x813, S2 | TT, ADDRESS, 0xf_ffff_ffff_f000]),
        // TTRnW is of the walk only.
        (permission(true, Class::In), write, None, [SID | 0x813, S2 | IN, ADDRESS, 0xf_ffff_ffff_f000]),
    ] {
        let report = Report { reason, subject, stall, merge: true };
        assert_eq!(report.record(), record, "{reason:?}: {:#x?} is not {record:#x?}", report.record());
        // And so it lies in the queue.
        let mut rig = Rig::running(config());
        rig.w32(CR0, 0);
        rig.w32(CR2, 2);
        rig.w32(CR0, SMMUEN | EVENTQEN);
        rig.report(report);
        assert_eq!((rig.record(0), rig.r32(EVENTQ_PROD), rig.fate()), (record, 1, "recorded"));
        assert_eq!(rig.record(1), [0; 4]);
    }
}

#[test]
fn records_are_traced_as_they_are() {
    let mut rig = Rig::running(config());
    rig.fx.take_trace();
    rig.report(Report { stall: Some(3), ..fault() });
    let trace: Vec<_> = rig.fx.take_trace().iter().map(ToString::to_string).collect();
    assert_eq!(
        trace,
        ["smmuv3: event 0x10 (F_TRANSLATION) by stream 0x7 at 0x123456789, recorded: 0x0000000000000000 \
          0x0000000123456789 0x0000020880000003 0x0000000700000010"]
    );
}
