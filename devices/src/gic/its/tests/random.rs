//! Whatever a guest does, the ITS goes on.

use super::*;

/// A small generator of repeatable numbers (xorshift).
pub(in crate::gic) struct Random(pub u64);

impl Random {
    pub(in crate::gic) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `bound`.
    pub(in crate::gic) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Mostly small, sometimes anything.
    pub(in crate::gic) fn value(&mut self) -> u64 {
        match self.below(8) {
            0 => self.next(),
            1 => u64::MAX << self.below(64),
            _ => self.below(4),
        }
    }
}

#[test]
fn random_commands_registers_and_tables_do_no_harm() {
    let (mut mapped, mut set) = (0, 0);
    for seed in 1..=60 {
        let mut random = Random(seed);
        let mut rig = if seed % 2 == 0 { Rig::mapped() } else { Rig::new() };
        for _ in 0..400 {
            match random.below(40) {
                0 => {
                    let offset = random.below(0x40) * 8;
                    let value = random.next();
                    rig.w64(offset, value);
                }
                1 => {
                    let at = random.below(MEMORY / 8) * 8;
                    rig.set_word(at, random.value() | random.below(2) << 63);
                }
                2 => rig.w32(CTLR, 0),
                3..8 => {
                    let (device, event) = (DEVICE ^ random.value(), 5 ^ random.value());
                    mapped += usize::from(rig.message(device & 0xffff_ffff, event as u32).is_some());
                }
                8..11 => {
                    rig.w32(CTLR, 0);
                    rig.w64(DEVICES, 1 << 63 | random.below(2) << 62 | random.below(4) << 8 | DEVICE_TABLE);
                    rig.w64(COLLECTIONS, 1 << 63 | COLLECTION_TABLE);
                    rig.w64(CBASER, 1 << 63 | QUEUE);
                    rig.w32(CTLR, 1);
                }
                _ => {
                    let opcode = random.below(0x12);
                    let command = [
                        opcode | (DEVICE ^ random.value()) << 32,
                        (5 ^ random.value()) & 0xffff_ffff | 8192u64.wrapping_add(random.value()) << 32,
                        random.value() & 0xffff
                            | random.below(6) << 16
                            | random.below(2) << 63
                            | random.below(4) << 16,
                        random.value() << 16,
                    ];
                    rig.put(&[command]);
                    rig.w64(CWRITER, rig.tail);
                }
            }
            set += rig.actions.len();
            rig.actions.clear();
            let scheduled = rig.fx.take().len();
            assert!(scheduled <= 1);
            if scheduled == 1 {
                rig.its.event(DeviceEvent::Work, &mut rig.actions, &mut rig.fx);
            }
        }
        let state = rig.its.save();
        let copy = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        assert_eq!(state, copy);
    }
    assert!(mapped > 10 && set > 100, "the generator reaches nothing: {mapped} messages, {set} actions");
}

/// Registers of a saved state can hold anything.
#[test]
fn a_damaged_state_does_no_harm() {
    for (creadr, cwriter, cbaser) in [
        (u64::MAX, 0u64, 1u64 << 63 | QUEUE),
        (0xf_ffe0, 0x20, 1 << 63 | QUEUE),
        (0xf_ffe0, 0x20, u64::MAX),
        (0, u64::MAX, u64::MAX),
    ] {
        let mut rig = Rig::new();
        let state = serde_json::json!({
            "ctlr": u32::MAX, "cbaser": cbaser, "cwriter": cwriter, "creadr": creadr,
            "devices": u64::MAX, "collections": u64::MAX, "queue_scheduled": true,
        });
        rig.its.restore(serde_json::from_value(state).unwrap());
        rig.w32(CTLR, 1);
        rig.its.event(DeviceEvent::Work, &mut rig.actions, &mut rig.fx);
        assert_eq!(rig.message(DEVICE, 5), None);
    }
}
