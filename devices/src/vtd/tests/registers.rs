//! The register file: reset values, access sizes, commands and events.

use super::*;

#[test]
fn reset_values() {
    let mut rig = Rig::legacy();
    for offset in (0..0x1000).step_by(4) {
        let expected = match offset {
            0x00 => 0x10,
            0x08 => 0x226f_0606,
            0x0c => 0x00d2_078c,
            0x10 => 0xf0_0f5b,
            0x38 | 0xa0 => 0x8000_0000,
            _ => 0,
        };
        assert_eq!(rig.r32(offset), expected, "{offset:#x}");
    }
}

#[test]
fn odd_accesses_change_nothing_and_never_panic() {
    let mut rig = Rig::legacy();
    for offset in (0..0x1010).chain([u64::MAX - 7, u64::MAX]) {
        for size in (0..=16).filter(|size| !matches!(size, 4 | 8) || !offset.is_multiple_of(*size as u64)) {
            rig.unit.write(offset, &vec![0xff; size], &mut rig.fx);
            let mut data = vec![0xee; size];
            rig.unit.read(offset, &mut data, &mut rig.fx);
            assert!(data.iter().all(|byte| *byte == 0), "{offset:#x}, {size}");
        }
    }
    assert_eq!(rig.unit.save(), Rig::legacy().unit.save());
}

#[test]
fn writable_bits_stick_and_others_do_not() {
    for (offset, mask) in [
        (0x00, 0),
        (0x08, 0),
        (0x10, 0),
        (0x18, 0),
        (0x20, 0xffff_ffff_ffff_fc00),
        (0x34, 0),
        (0x3c, 0xffff_fffc_0000_ffff),
        (0x44, 0xffff_ffff),
        (0x60, 0),
        (0x80, 0),
        (0x90, 0xffff_ffff_ffff_f807),
        (0x9c, 0),
        (0xa4, 0xffff_fffc_0000_ffff),
        (0xac, 0xffff_ffff),
        (0xb0, 0),
        (0xb8, 0xffff_ffff_ffff_f80f),
        (0xf0, 0),
        (0x300, 0),
    ] {
        let mut rig = Rig::legacy();
        // Enabled bits would start the unit; here only what sticks counts.
        rig.w64(offset & !7, 0);
        let before = [rig.r32(offset), rig.r32(offset + 4)];
        rig.w32(offset, !0);
        let value = u64::from(rig.r32(offset)) | u64::from(rig.r32(offset + 4)) << 32;
        let low = value as u32 & !before[0];
        rig.w32(offset + 4, !0);
        let high = rig.r32(offset + 4) & !before[1];
        if offset == 0x18 {
            continue;
        }
        assert_eq!(u64::from(low) | u64::from(high) << 32, mask, "{offset:#x}");
    }
}

#[test]
fn a_qword_write_may_span_two_registers() {
    let mut rig = Rig::legacy();
    rig.w64(0x40, 0x1122_3344_fee0_1000);
    assert_eq!((rig.r32(0x40), rig.r32(0x44)), (0xfee0_1000, 0x1122_3344));
}

#[test]
fn level_bits_follow_and_one_shot_bits_act() {
    let mut rig = Rig::legacy();
    rig.w64(RTADDR, ROOT);
    assert_eq!(rig.r32(GSTS), 0);
    rig.w32(GCMD, SRTP);
    assert_eq!(rig.r32(GSTS), SRTP, "RTPS stays set");
    rig.w32(GCMD, QIE);
    assert_eq!(rig.r32(GSTS), SRTP | QIE, "a one-shot bit of 0 changes nothing");
    rig.w32(GCMD, QIE | TE);
    assert_eq!(rig.r32(GSTS), SRTP | QIE | TE);
    // Software that writes back the unmasked status repeats the one-shots.
    let gsts = rig.r32(GSTS);
    rig.w32(GCMD, gsts);
    assert_eq!(rig.r32(GSTS), gsts);
    rig.w32(GCMD, TE);
    assert_eq!(rig.r32(GSTS), SRTP | TE, "a level bit of 0 switches off");
    assert_eq!(rig.r32(GCMD), 0, "write only");
    // Bits of features that are not there do not appear.
    rig.w32(GCMD, TE | 0x387f_ffff);
    assert_eq!(rig.r32(GSTS), SRTP | TE);
}

#[test]
fn a_root_pointer_counts_only_once_latched() {
    let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
    rig.w64(RTADDR, 0x7000);
    assert_eq!(rig.read(IOVA, &mut [0; 8]), Outcome::Done);
    assert_eq!(rig.r64(RTADDR), 0x7000, "reads back what was written, not the latch");
    rig.w32(GCMD, TE | QIE | SRTP);
    // The caches keep what they have until invalidated: ESRTPS is not reported.
    assert_eq!(rig.read(IOVA, &mut [0; 8]), Outcome::Done);
    rig.submit(&[[0x11, 0], [0x12, 0]]);
    assert_ne!(rig.read(IOVA, &mut [0; 8]), Outcome::Done);
    assert_eq!(rig.record(0)[1] >> 32 & 0xff, 1);
}

#[test]
fn fault_event_is_sent_once_and_held_while_masked() {
    let mut rig = Rig::legacy();
    rig.w64(RTADDR, ROOT);
    rig.w32(GCMD, SRTP);
    rig.w32(GCMD, TE);
    rig.w32(0x3c, 0x4031);
    rig.w32(0x40, 0xfee0_3000);
    rig.w32(0x44, 0x0000_0100);
    rig.read(0x1000, &mut [0; 4]);
    assert_eq!((rig.messages.len(), rig.r32(FECTL)), (0, 0xc000_0000), "masked: pending");
    rig.w32(FECTL, 0);
    assert_eq!(rig.messages, [(0x100_fee0_3000, 0x4031)], "with the upper part of the destination");
    assert_eq!(rig.r32(FECTL), 0);
    rig.messages.clear();

    rig.w32(0x44, 0);
    rig.read(0x1000, &mut [0; 4]);
    assert_eq!(rig.messages, [], "a fault was pending: no new event");
    rig.w32(FRCD + 12, 1 << 31);
    rig.w32(FRCD + 16 + 12, 1 << 31);
    assert_eq!(rig.r32(FSTS) & 2, 0);
    rig.read(0x1000, &mut [0; 4]);
    assert_eq!(rig.messages, [(0xfee0_3000, 0x4031)]);

    rig.w32(FECTL, 1 << 31);
    rig.w32(FRCD + 32 + 12, 1 << 31);
    rig.read(0x1000, &mut [0; 4]);
    assert_eq!(rig.r32(FECTL), 0xc000_0000);
    rig.w32(FRCD + 48 + 12, 1 << 31);
    assert_eq!(rig.r32(FECTL), 0x8000_0000, "serviced while masked: nothing is pending");
    rig.w32(FECTL, 0);
    assert_eq!(rig.messages.len(), 1);
}

#[test]
fn event_messages_may_go_to_memory() {
    let mut rig = Rig::legacy();
    rig.w64(RTADDR, ROOT);
    rig.w32(GCMD, SRTP);
    rig.w32(GCMD, TE);
    rig.w32(0x3c, 0x1234);
    rig.w32(0x40, 0x6000);
    rig.w32(FECTL, 0);
    rig.read(0x1000, &mut [0; 4]);
    assert_eq!((rig.get(0x6000), rig.messages.len()), (0x1234, 0));
}

#[test]
fn register_based_invalidation_answers_with_what_it_did() {
    // (CCMD written, CCMD read back)
    for (written, read) in [
        (0xa000_0000_0000_0000u64, 0x2800_0000_0000_0000u64),
        (0xc000_0000_0000_0007, 0x5000_0000_0000_0007),
        (0xe000_0000_0018_0007, 0x7800_0000_0000_0007),
        (0x8000_0000_0000_0000, 0),
    ] {
        let mut rig = Rig::legacy();
        rig.w64(0x28, written);
        assert_eq!(rig.r64(0x28), read, "CCMD {written:#x}");
    }
    // (IVA, IOTLB written, IOTLB read back); AM 19 exceeds MAMV 18.
    for (iva, written, read) in [
        (0, 0x9000_0000_0000_0000u64, 0x1200_0000_0000_0000u64),
        (0, 0xa003_0007_0000_0000, 0x2403_0007_0000_0000),
        (0x1000, 0xb000_0007_0000_0000, 0x3600_0007_0000_0000),
        (19, 0xb000_0007_0000_0000, 0x3000_0007_0000_0000),
        (0, 0x8000_0000_0000_0000, 0),
    ] {
        let mut rig = Rig::legacy();
        rig.w64(0xf0, iva);
        rig.w64(0xf8, written);
        assert_eq!(rig.r64(0xf8), read, "IOTLB {written:#x}");
    }
    let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
    rig.w64(0x28, 0xa000_0000_0000_0000);
    assert_eq!(rig.r64(0x28), 0x2000_0000_0000_0000, "with the queue on, nothing is done");
}

#[test]
fn register_based_invalidation_drops_entries() {
    let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
    rig.w32(GCMD, TE);
    assert_eq!(rig.write(IOVA, &[1]), Outcome::Done);
    rig.map(2, IOVA, 1, (PAGE + 0x1000) | 3);
    rig.w64(0xf0, IOVA);
    // In dwords, low half first: the command starts with the high one.
    rig.w32(0xf8, 0);
    rig.w32(0xfc, 0xb000_0007);
    assert_eq!(rig.write(IOVA, &[2]), Outcome::Done);
    assert_eq!((rig.get(PAGE), rig.get(PAGE + 0x1000)), (1, 2));

    rig.set_context(0, 0);
    rig.w64(0xf8, 0x9000_0000_0000_0000);
    assert_eq!(rig.write(IOVA, &[3]), Outcome::Done, "the context entry is still cached");
    rig.w32(0x28, 0x0018_0007);
    rig.w32(0x2c, 0xe000_0000);
    rig.w64(0xf8, 0x9000_0000_0000_0000);
    assert_ne!(rig.write(IOVA, &[4]), Outcome::Done);
}

#[test]
fn a_reset_unit_is_a_new_one() {
    let mut rig = Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2);
    rig.read(IOVA, &mut [0; 8]);
    rig.read(0, &mut [0; 8]);
    rig.w64(0xb0, 1);
    rig.unit.reset();
    let fresh = Rig::legacy().unit.save();
    let (mut now, mut then) =
        (serde_json::to_value(rig.unit.save()).unwrap(), serde_json::to_value(fresh).unwrap());
    // Which way is evicted next is not architecture.
    for state in [&mut now, &mut then] {
        for cache in ["contexts", "iotlb"] {
            state["translator"][cache]["victims"] = serde_json::Value::Null;
        }
    }
    assert_eq!(now, then);
}

#[test]
fn several_bits_of_one_command_take_effect_queue_and_root_first() {
    let mut rig = Rig::legacy();
    rig.w64(RTADDR, ROOT);
    rig.w64(IQA, QUEUE);
    rig.set(QUEUE, 0x25 | (7 << 32));
    rig.set(QUEUE + 8, STATUS);
    rig.unit.write(IQT, &0x10u64.to_le_bytes(), &mut rig.fx);
    rig.w32(GCMD, SRTP | QIE | TE);
    assert_eq!((rig.r32(GSTS), rig.get(STATUS)), (SRTP | QIE | TE, 7));
    // An invalid queue is seen before translation is.
    let mut rig = Rig::legacy();
    rig.w64(IQA, 0x1000_0000);
    rig.unit.write(IQT, &0x10u64.to_le_bytes(), &mut rig.fx);
    rig.w32(GCMD, SRTP | QIE | TE);
    assert_eq!((rig.r32(GSTS), rig.r32(FSTS)), (SRTP | QIE | TE, 0x10));
}
