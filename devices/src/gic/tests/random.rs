//! Whatever guests and devices do, the controller goes on.

use super::*;
use crate::events::DeviceEvent;
use crate::gic::its::tests::random::Random;

#[test]
fn random_use_of_everything_does_no_harm() {
    let registers = [
        PMR, IAR0, EOIR0, BPR0, AP0R0, AP1R0, DIR, SGI1R, ASGI1R, SGI0R, IAR1, EOIR1, BPR1, CTLR, IGRPEN0,
        IGRPEN1,
    ];
    let mut taken = [0; 3];
    for seed in 1..=24 {
        let mut random = Random(seed);
        let processors = 1 + seed % 8;
        let mut rig = Rig::started(processors as u8);
        for n in 0..processors as usize {
            rig.set_gicr64(n, PROPBASER, CONFIGURATION | 15);
            rig.set_gicr64(n, PENDBASER, 1 << 62 | PENDING);
            rig.set_gicr(n, GICR_CTLR, 1);
        }
        rig.mem.write(Pa(CONFIGURATION), &[0x81; 64]).unwrap();
        rig.set_gits64(DEVICES, 1 << 63 | DEVICE_TABLE);
        rig.set_gits64(COLLECTIONS, 1 << 63 | COLLECTION_TABLE);
        rig.set_gits64(CBASER, 1 << 63 | QUEUE);
        rig.set_gits(GITS_CTLR, 1);
        rig.run(&[[0x08, 3, 1 << 63 | ITT, 0]]);
        for _ in 0..600 {
            let n = random.below(processors + 1) as usize;
            match random.below(24) {
                0 => {
                    let (offset, value) = (random.below(0x2000) * 4, random.next());
                    rig.set_gicd(offset, value as u32);
                }
                1 => {
                    let (offset, value) = (random.below(0x40) * 4, random.next());
                    rig.set_gicr(n, SGI * random.below(2) + offset, value as u32);
                }
                2 => rig.set_gicd(GICD_CTLR, 0x13),
                3 => {
                    let at = random.below(0x8_0000);
                    rig.mem.write(Pa(at), &[random.next() as u8]).unwrap();
                }
                4..8 => {
                    let opcode = [1, 3, 4, 8, 9, 10, 12, 13, 14, 15][random.below(10) as usize];
                    let event = random.below(8);
                    let command = [
                        opcode,
                        (8192 + event) << 32 | event,
                        1 << 63 | random.below(9) << 16,
                        random.value() << 16,
                    ];
                    let bytes: Vec<u8> = command.iter().flat_map(|word| word.to_le_bytes()).collect();
                    rig.mem.write(Pa(QUEUE + rig.tail), &bytes).unwrap();
                    rig.tail = (rig.tail + 32) % 0x1000;
                    rig.set_gits64(CWRITER, rig.tail);
                }
                8..10 => rig.gic.set_spi(random.below(300) as u32, random.below(2) != 0),
                10 => rig.gic.set_ppi(n, random.below(18) as u32, random.below(2) != 0),
                11..13 => {
                    rig.message(0, random.below(9) as u32);
                }
                13 => {
                    rig.gic.take_lpis();
                }
                14 => rig.gic.event(DeviceEvent::Work, &mut rig.fx),
                15..18 => {
                    let register = registers[random.below(registers.len() as u64) as usize];
                    let value = random.value();
                    rig.gic.write_register(n, register, value);
                }
                18 => {
                    rig.gic.write_register(n, PMR, 0xf0);
                    rig.gic.write_register(n, IGRPEN1, 1);
                }
                _ => {
                    let group1 = random.below(4) != 0;
                    let (iar, eoir) = if group1 { (IAR1, EOIR1) } else { (IAR0, EOIR0) };
                    let signalled = rig.lines(n);
                    let Some(intid) = rig.gic.read_register(n, iar, &mut rig.fx) else { continue };
                    let expected = if group1 { signalled.irq } else { signalled.fiq };
                    assert_eq!(intid != 1023, expected, "what is signalled is what is acknowledged");
                    let kind = if intid < 32 { 0 } else { 1 + usize::from(intid >= 8192) };
                    taken[kind] += usize::from(intid != 1023);
                    rig.gic.write_register(n, eoir, intid);
                    rig.gic.write_register(n, DIR, intid);
                }
            }
            rig.fx.take();
            rig.fx.take_trace();
        }
        let state = rig.gic.save();
        let copy: crate::gic::State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        let lines: Vec<Lines> = (0..processors as usize).map(|n| rig.lines(n)).collect();
        rig.gic.restore(copy);
        assert_eq!(rig.gic.save(), state);
        assert_eq!((0..processors as usize).map(|n| rig.lines(n)).collect::<Vec<_>>(), lines);
    }
    assert!(taken.iter().all(|count| *count > 10), "the generator reaches too little: {taken:?}");
}
