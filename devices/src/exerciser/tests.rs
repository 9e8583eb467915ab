use std::sync::Arc;

use super::*;
use crate::addr::{Pa, SourceId};
use crate::fabric::{Abort, Access, Direct, Effects, Kind, Outcome, Transaction, Translate, Verdict};
use crate::pci::testing::{RAM, Refuse, Rig};
use crate::pci::{Endpoint, EndpointState, StateError};

const BAR: u64 = 0xe000_0000;
const RING: u64 = 0x1_0000;
const UR: Outcome = Outcome::Abort(Abort::Ur);

/// An exerciser at 00:03.0, enabled, with a ring of `size` descriptors at [`RING`].
fn set_up(mut rig: Rig, size: u32, latency: u32) -> (Rig, SourceId) {
    let source = rig.add(3, 0, Box::new(Exerciser::new(latency)));
    rig.config32(source, 0x10, BAR as u32);
    rig.config16(source, 0x04, 6);
    rig.write64(BAR + 0x10, RING);
    rig.write32(BAR + 0x18, size);
    rig.write32(BAR + 0x08, 1);
    (rig, source)
}

fn at_once() -> Rig {
    set_up(Rig::new(), 4, 0).0
}

/// A descriptor as dwords: command, length, address, address2, operand, compare, offset, PASID.
#[derive(Clone, Copy, Default)]
struct D {
    command: u32,
    length: u32,
    address: u64,
    address2: u64,
    operand: u64,
    compare: u64,
    offset: u32,
    pasid: u32,
}

impl D {
    fn put(self, rig: &Rig, index: u64) {
        let mut bytes = Vec::new();
        bytes.extend(self.command.to_le_bytes());
        bytes.extend(self.length.to_le_bytes());
        for word in [self.address, self.address2, self.operand, self.compare] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend(self.pasid.to_le_bytes());
        bytes.resize(64, 0);
        rig.mem.write(Pa(RING + 64 * index), &bytes).unwrap();
    }
}

/// Status, bytes and result that the device wrote.
fn written(rig: &Rig, index: u64) -> (u32, u32, u64) {
    let bytes = rig.ram(RING + 64 * index + 48, 16);
    let dword = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    (dword(0), dword(4), u64::from(dword(8)) | u64::from(dword(12)) << 32)
}

/// Runs one descriptor at index 0 of a fresh ring and returns what the device wrote.
fn run(rig: &mut Rig, descriptor: D) -> (u32, u32, u64) {
    rig.write32(BAR + 0x08, 3);
    descriptor.put(rig, 0);
    rig.write32(BAR + 0x1c, 1);
    while rig.step() {}
    written(rig, 0)
}

const DONE: u32 = 0x8000_0001;

#[test]
fn registers_at_reset_and_what_they_keep() {
    let mut rig = Rig::new();
    let source = rig.add(3, 0, Box::new(Exerciser::new(1000)));
    rig.config32(source, 0x10, BAR as u32);
    rig.config16(source, 0x04, 6);
    for (offset, reset, written) in [
        (0x00, 0x494f_4d55, 0x494f_4d55),
        (0x04, 1, 1),
        (0x08, 0, 0),
        (0x0c, 0, 0),
        (0x10, 0, 0xffff_ffc0),
        (0x14, 0, 0xffff_ffff),
        (0x18, 0, 0),
        (0x1c, 0, 0),
        (0x20, 0, 0),
        (0x24, 0, 0),
        (0x28, 1000, 0xffff_ffff),
        (0x2c, 0, 0),
        (0xffc, 0, 0),
        (0x1000, 0, 0xffff_ffff),
        (0x1ffc, 0, 0xffff_ffff),
        (0x2000, 0, 0),
        (0x7ffc, 0, 0),
    ] {
        assert_eq!(rig.read32(BAR + offset), reset, "{offset:#x}");
        rig.write32(BAR + offset, 0xffff_ffff);
        assert_eq!(rig.read32(BAR + offset), written, "{offset:#x}");
    }
    rig.write(BAR + 0x1003, &[1, 2, 3, 4, 5, 6]);
    assert_eq!((rig.read32(BAR + 0x1000), rig.read32(BAR + 0x1004)), (0x01ff_ffff, 0x0504_0302));
    rig.write(BAR + 0x29, &[0x12]);
    assert_eq!(rig.read32(BAR + 0x28), 0xffff_12ff);
}

#[test]
fn ring_sizes() {
    for (size, kept) in [(0, 0), (1, 0), (2, 2), (3, 3), (4096, 4096), (4097, 0), (u32::MAX, 0)] {
        let (mut rig, _) = set_up(Rig::new(), size, 0);
        assert_eq!((rig.read32(BAR + 0x18), rig.read32(BAR + 0x08)), (kept, u32::from(kept != 0)), "{size}");
    }
    let mut rig = at_once();
    for (tail, kept) in [(3, 3), (4, 3), (u32::MAX, 3), (0, 0)] {
        rig.write32(BAR + 0x1c, tail);
        assert_eq!(rig.read32(BAR + 0x1c), kept, "{tail}");
    }
}

#[test]
fn a_ring_that_shrinks_below_its_indices_starts_anew() {
    let (mut rig, _) = set_up(Rig::new(), 8, 0);
    rig.write32(BAR + 0x1c, 5);
    assert_eq!((rig.read32(BAR + 0x20), rig.read32(BAR + 0x1c)), (5, 5));
    rig.write32(BAR + 0x18, 6);
    assert_eq!((rig.read32(BAR + 0x20), rig.read32(BAR + 0x1c)), (5, 5));
    rig.write32(BAR + 0x18, 5);
    assert_eq!((rig.read32(BAR + 0x20), rig.read32(BAR + 0x1c)), (0, 0));
}

#[test]
fn transfers_move_bytes_both_ways() {
    let mut rig = at_once();
    let data: Vec<u8> = (0..=255).collect();
    rig.mem.write(Pa(0x2ff0), &data).unwrap();
    let read = D { command: 1, length: 256, address: 0x2ff0, offset: 0xf80, ..D::default() };
    assert_eq!(run(&mut rig, read), (DONE, 256, 0));
    let mut end = [0; 128];
    rig.host.mmio_read(BAR + 0x1f80, &mut end, &mut rig.fx);
    assert_eq!(end, data[..128]);
    let mut start = [0; 129];
    rig.host.mmio_read(BAR + 0x1000, &mut start, &mut rig.fx);
    assert_eq!(start[..128], data[128..], "it wraps around in the buffer");
    assert_eq!(start[128], 0);
    let write = D { command: 2, length: 256, address: 0x4fff, offset: 0xf80, ..D::default() };
    assert_eq!(run(&mut rig, write), (DONE, 256, 0));
    assert_eq!(rig.ram(0x4fff, 256), data);
    let copy = D { command: 3, length: 250, address: 0x4fff, address2: 0x7123, ..D::default() };
    assert_eq!(run(&mut rig, copy), (DONE, 250, 0));
    assert_eq!(rig.ram(0x7123, 251), [&data[..250], &[0]].concat());
    assert_eq!(run(&mut rig, D::default()), (DONE, 0, 0), "nop");
    assert_eq!(run(&mut rig, D { command: 7, address: 0x3001, ..D::default() }), (DONE, 0, 0));
}

#[test]
fn atomics() {
    const WIDE: u32 = 1 << 14;
    let old = 0x1111_2222_ffff_fffe;
    // (command, operand, compare, memory then, bytes, result)
    for (command, operand, compare, then, bytes, result) in [
        (4, 3, 0, 0x1111_2222_0000_0001, 4, 0xffff_fffe),
        (4, 0xffff_ffff_0000_0003, 0, 0x1111_2222_0000_0001, 4, 0xffff_fffe),
        (4 | WIDE, 3, 0, 0x1111_2223_0000_0001, 8, old),
        (5, 0x9_0000_0007, 0, 0x1111_2222_0000_0007, 4, 0xffff_fffe),
        (5 | WIDE, 7, 0, 7, 8, old),
        (6, 7, 0xffff_fffe, 0x1111_2222_0000_0007, 4, 0xffff_fffe),
        (6, 7, 0x5_ffff_fffe, 0x1111_2222_0000_0007, 4, 0xffff_fffe),
        (6, 7, 0xffff_ffff, old, 4, 0xffff_fffe),
        (6 | WIDE, 7, old, 7, 8, old),
        (6 | WIDE, 7, 0xffff_fffe, old, 8, old),
    ] {
        let mut rig = at_once();
        rig.mem.write(Pa(0x3008), &u64::to_le_bytes(old)).unwrap();
        let descriptor = D { command, address: 0x3008, operand, compare, ..D::default() };
        let row = format!("{command:#x} {operand:#x} {compare:#x}");
        assert_eq!(run(&mut rig, descriptor), (DONE, bytes, result), "{row}");
        assert_eq!(rig.mem.load64(Pa(0x3008)), Ok(then), "{row}");
    }
}

#[test]
fn malformed_descriptors_complete_and_the_ring_goes_on() {
    let good = D { length: 4, address: 0x3000, address2: 0x4000, ..D::default() };
    for descriptor in [
        D { command: 8, ..good },
        D { command: 0xff, ..good },
        D { command: 1 << 15, ..good },
        D { command: 1, length: 0, ..good },
        D { command: 2, length: 0, ..good },
        D { command: 3, length: 0, ..good },
        D { command: 1, length: 0x0100_0001, ..good },
        D { command: 3, length: u32::MAX, ..good },
        D { command: 1, offset: 4096, ..good },
        D { command: 2, offset: u32::MAX, ..good },
        D { command: 4, address: 0x3002, ..good },
        D { command: 4 | 1 << 14, address: 0x3004, ..good },
        D { command: 6 | 1 << 14, address: 0x3001, ..good },
        D { command: 1 << 8 | 8 << 16, ..good },
        D { command: 1 << 8 | 0xffff << 16, ..good },
        D { pasid: 1 << 20, ..good },
        D { pasid: 1 << 31, ..good },
    ] {
        let mut rig = at_once();
        descriptor.put(&rig, 0);
        D { command: 2, ..good }.put(&rig, 1);
        rig.write32(BAR + 0x1c, 2);
        let row = format!("{:#x} {:#x}", descriptor.command, descriptor.pasid);
        assert_eq!(written(&rig, 0), (0x8000_0005, 0, 0), "{row}");
        assert_eq!(written(&rig, 1), (DONE, 4, 0), "{row}");
        assert_eq!([0x20, 0x24, 0x0c].map(|at| rig.read32(BAR + at)), [2, 2, 4], "{row}");
        rig.write32(BAR + 0x0c, 2);
        assert_eq!(rig.read32(BAR + 0x0c), 4);
        rig.write32(BAR + 0x0c, 4);
        assert_eq!(rig.read32(BAR + 0x0c), 0);
    }
    // What an opcode does not use does not matter.
    let mut rig = at_once();
    let odd = D { command: 9 << 16, length: u32::MAX, address: 3, offset: u32::MAX, ..good };
    assert_eq!(run(&mut rig, odd), (DONE, 0, 0));
}

#[test]
fn a_malformed_descriptor_interrupts_too() {
    let mut rig = at_once();
    let source = SourceId::new(0, 3, 0);
    rig.config16(source, 0x42, 0x8000);
    rig.write64(BAR + 0x4000 + 16 * 7, 0xfee0_0000);
    rig.write64(BAR + 0x4008 + 16 * 7, 0x51);
    run(&mut rig, D { command: 0xff | 1 << 8 | 7 << 16, ..D::default() });
    assert_eq!(rig.messages, [(source, 0xfee0_0000, 0x51)]);
    run(&mut rig, D { command: 1 << 8 | 6 << 16, ..D::default() });
    assert_eq!(rig.messages.len(), 1, "vector 6 is masked");
    assert_eq!(rig.read32(BAR + 0x6000), 0x40);
    run(&mut rig, D { command: 7 << 16, ..D::default() });
    assert_eq!(rig.messages.len(), 1, "no interrupt asked for");
}

#[test]
fn outcomes_have_codes_and_count_what_was_moved() {
    for (outcome, code) in [(UR, 3), (Outcome::Abort(Abort::Ca), 4), (Outcome::Raz, 2)] {
        // 0x9000 to 0x9fff answers by itself.
        for (descriptor, moved) in [
            (D { command: 1, length: 0x1000, address: 0x8800, ..D::default() }, 0x800),
            (D { command: 2, length: 0x1000, address: 0x8ff0, ..D::default() }, 0x10),
            (D { command: 3, length: 0x3000, address: 0x7000, address2: 0x3000, ..D::default() }, 0x2000),
            (D { command: 3, length: 0x3000, address: 0x3000, address2: 0x8fff, ..D::default() }, 1),
            (D { command: 4, address: 0x9000, ..D::default() }, 0),
            (D { command: 7, address: 0x9fff, ..D::default() }, 0),
        ] {
            let (mut rig, _) = set_up(Rig::behind(Arc::new(Refuse(0x9000..=0x9fff, outcome))), 4, 0);
            let row = format!("{outcome:?} {} {:#x}", descriptor.command, descriptor.address);
            assert_eq!(run(&mut rig, descriptor), (0x8000_0000 | code, moved, 0), "{row}");
            assert_eq!(rig.read32(BAR + 0x0c), 0, "no fault of the ring: {row}");
        }
    }
}

#[test]
fn a_read_as_zero_fills_the_buffer_with_zeros() {
    let (mut rig, _) = set_up(Rig::behind(Arc::new(Refuse(0x9000..=0x9fff, Outcome::Raz))), 4, 0);
    rig.write(BAR + 0x1000, &[0xee; 32]);
    rig.mem.write(Pa(0x8ff8), &[0x11; 8]).unwrap();
    run(&mut rig, D { command: 1, length: 16, address: 0x8ff8, ..D::default() });
    let mut buffer = [0; 17];
    rig.host.mmio_read(BAR + 0x1000, &mut buffer, &mut rig.fx);
    assert_eq!(buffer, [[0x11; 8].as_slice(), &[0; 8], &[0xee]].concat()[..]);
}

#[test]
fn transfers_past_the_top_of_the_address_space_end_there() {
    let mut rig = at_once();
    for command in [1, 2, 3] {
        let descriptor = D { command, length: 0x2000, address: u64::MAX - 0xf, ..D::default() };
        assert_eq!(run(&mut rig, descriptor), (0x8000_0003, 0, 0), "{command}");
    }
}

#[test]
fn attributes_reach_the_bus() {
    struct Record(std::sync::Mutex<Vec<Transaction>>);
    impl Translate for Record {
        fn translate(&self, transaction: &Transaction, fx: &mut Effects) -> Verdict {
            self.0.lock().unwrap().push(*transaction);
            Direct.translate(&Transaction { kind: Kind::Untranslated, ..*transaction }, fx)
        }
    }
    let record = Arc::new(Record(Default::default()));
    let (mut rig, _) = set_up(Rig::behind(record.clone()), 4, 0);
    // (command bits, PASID field) and (PASID, privileged, execute, no snoop, translated)
    for (bits, pasid, expected) in [
        (0, 0xf_ffff, (None, false, false, false, false)),
        (1 << 9, 0, (None, false, false, false, true)),
        (1 << 10, 0, (None, false, false, true, false)),
        (1 << 11, 0xf_ffff, (Some(0xf_ffff), false, false, false, false)),
        (1 << 11, 0, (Some(0), false, false, false, false)),
        (1 << 12, 0, (None, true, false, false, false)),
        (1 << 13, 0, (None, false, true, false, false)),
    ] {
        record.0.lock().unwrap().clear();
        run(&mut rig, D { command: 2 | bits, length: 4, address: 0x3000, pasid, ..D::default() });
        let seen = record.0.lock().unwrap().clone();
        let [fetch, dma, status] = &seen[..] else { panic!("{seen:?}") };
        let attrs = dma.attrs;
        let pasid = dma.pasid.map(|pasid| pasid.get());
        let translated = dma.kind == Kind::Translated;
        assert_eq!(
            (pasid, attrs.privileged, attrs.execute, attrs.no_snoop, translated),
            expected,
            "{bits:#x}"
        );
        assert_eq!((fetch.address.0, fetch.len, fetch.access), (RING, 64, Access::Read));
        assert_eq!((status.address.0, status.len, status.access), (RING + 48, 16, Access::Write));
        for own in [fetch, status] {
            assert_eq!((own.pasid, own.attrs, own.kind), (None, Default::default(), Kind::Untranslated));
        }
    }
}

#[test]
fn the_ring_wraps() {
    let (mut rig, _) = set_up(Rig::new(), 3, 0);
    let mut slot = 0;
    for round in 1..=7 {
        D { command: 2, length: 4, address: 0x3000, ..D::default() }.put(&rig, slot);
        slot = (slot + 1) % 3;
        rig.write32(BAR + 0x1c, slot as u32);
        assert_eq!((u64::from(rig.read32(BAR + 0x20)), rig.read32(BAR + 0x24)), (slot, round));
    }
    // From 1 over the end to 0: two descriptors.
    rig.write32(BAR + 0x1c, 0);
    assert_eq!((rig.read32(BAR + 0x20), rig.read32(BAR + 0x24)), (0, 9));
}

#[test]
fn a_refused_fetch_or_status_write_stops_the_ring() {
    struct ReadOnlyPage;
    impl Translate for ReadOnlyPage {
        fn translate(&self, transaction: &Transaction, fx: &mut Effects) -> Verdict {
            if transaction.address.page().0 == RING && transaction.access == Access::Write {
                return Verdict::Refused(UR);
            }
            Direct.translate(transaction, fx)
        }
    }
    let refuse = || Arc::new(Refuse(RING + 64..=RING + 0xfff, UR)) as Arc<dyn Translate>;
    for (iommu, head) in [(refuse(), 1), (Arc::new(ReadOnlyPage), 0)] {
        let (mut rig, source) = set_up(Rig::behind(iommu), 4, 0);
        rig.config16(source, 0x42, 0x8000);
        for index in 0..3 {
            D { command: 1 << 8, ..D::default() }.put(&rig, index);
        }
        rig.write32(BAR + 0x1c, 3);
        assert_eq!([0x08, 0x0c, 0x20, 0x24].map(|at| rig.read32(BAR + at)), [0, 2, head, head]);
        assert_eq!(rig.read32(BAR + 0x6000), head, "a descriptor that did not complete sends nothing");
        rig.write32(BAR + 0x0c, 2);
        assert_eq!(rig.read32(BAR + 0x0c), 0);
        rig.write32(BAR + 0x08, 1);
        assert_eq!([0x08, 0x0c, 0x20].map(|at| rig.read32(BAR + at)), [0, 2, head], "it is tried again");
    }
}

#[test]
fn a_ring_at_the_top_of_the_address_space_faults() {
    let mut rig = Rig::new();
    let source = rig.add(3, 0, Box::new(Exerciser::new(0)));
    rig.config32(source, 0x10, BAR as u32);
    rig.config16(source, 0x04, 6);
    rig.write64(BAR + 0x10, u64::MAX);
    rig.write32(BAR + 0x18, 4096);
    rig.write32(BAR + 0x08, 1);
    rig.write32(BAR + 0x1c, 5);
    assert_eq!([0x08, 0x0c, 0x20].map(|at| rig.read32(BAR + at)), [0, 2, 0]);
}

#[test]
fn latency_lies_between_fetch_and_dma() {
    let (mut rig, _) = set_up(Rig::new(), 4, 1000);
    D { command: 2, length: 4, address: 0x3000, ..D::default() }.put(&rig, 0);
    D { command: 2, length: 4, address: 0x3004, ..D::default() }.put(&rig, 1);
    rig.mem.write(Pa(0x3000), &[0xee; 8]).unwrap();
    rig.write32(BAR + 0x1c, 1);
    rig.write32(BAR + 0x1c, 2);
    // It is fetched already, so a change comes too late.
    D { command: 0xff, ..D::default() }.put(&rig, 0);
    for (until, head, ram) in [
        (999, 0, [0xee; 8]),
        (1000, 1, [0, 0, 0, 0, 0xee, 0xee, 0xee, 0xee]),
        (1999, 1, [0, 0, 0, 0, 0xee, 0xee, 0xee, 0xee]),
        (2000, 2, [0; 8]),
    ] {
        rig.run_until(until);
        assert_eq!((rig.read32(BAR + 0x20), rig.ram(0x3000, 8)), (head, ram.to_vec()), "{until} ns");
        assert_eq!(rig.read32(BAR + 0x0c), u32::from(head < 2), "{until} ns");
    }
    rig.write32(BAR + 0x28, 5);
    rig.write32(BAR + 0x1c, 3);
    rig.run_until(2005);
    assert_eq!(rig.read32(BAR + 0x20), 3);
}

#[test]
fn ring_registers_are_locked_while_busy() {
    let (mut rig, _) = set_up(Rig::new(), 4, 1000);
    rig.write32(BAR + 0x1c, 1);
    assert_eq!(rig.read32(BAR + 0x0c), 1);
    for offset in [0x10, 0x14, 0x18] {
        let before = rig.read32(BAR + offset);
        rig.write32(BAR + offset, 0x40);
        assert_eq!(rig.read32(BAR + offset), before, "{offset:#x}");
    }
}

/// A descriptor that reads `pages` whole pages.
fn long(pages: u32) -> D {
    D { command: 1, length: pages << 12, address: 0x2_0000, ..D::default() }
}

#[test]
fn long_transfers_take_several_steps() {
    for (descriptor, events) in [
        (long(256), 1),
        (D { length: 0x10_0001, ..long(0) }, 2),
        (long(4096), 16),
        (D { command: 3, address2: 0x6_0000, ..long(256) }, 2),
    ] {
        // Every page of IOVA space is one of the 64 pages from 0x40000 on, except the ring's.
        struct Fold;
        impl Translate for Fold {
            fn translate(&self, transaction: &Transaction, _: &mut Effects) -> Verdict {
                let address = transaction.address.0;
                let pa = if address >> 12 == RING >> 12 { address } else { 0x4_0000 | (address & 0x3_ffff) };
                Verdict::Memory { pa: Pa(pa), handle: None }
            }
        }
        let (mut rig, _) = set_up(Rig::behind(Arc::new(Fold)), 4, 0);
        descriptor.put(&rig, 0);
        rig.write32(BAR + 0x1c, 1);
        let mut count = 0;
        while rig.read32(BAR + 0x20) == 0 {
            count += 1;
            assert!(rig.requesters().len() <= 258, "bounded");
            assert_eq!(rig.read32(BAR + 0x0c), 1);
            assert!(rig.step());
        }
        assert_eq!((count, written(&rig, 0)), (events - 1, (DONE, descriptor.length, 0)));
        assert!(!rig.step(), "no event is left over");
    }
}

#[test]
fn many_descriptors_take_several_steps() {
    let (mut rig, _) = set_up(Rig::new(), 4096, 0);
    rig.write32(BAR + 0x1c, 1000);
    let mut heads = vec![rig.read32(BAR + 0x20)];
    // A doorbell in between does not start a second round.
    rig.write32(BAR + 0x1c, 1024);
    while rig.step() {
        heads.push(rig.read32(BAR + 0x20));
    }
    assert_eq!(heads, [256, 512, 768, 1024]);
    assert_eq!(rig.read32(BAR + 0x24), 1024);
}

#[test]
fn reset_in_mid_transfer_drops_it() {
    for (control, after) in [
        // RESET alone: HEAD, TAIL and COMPLETED are 0, and the device is off.
        (2, [0, 0, 0, 0, 0]),
        // RESET and ENABLE.
        (3, [1, 0, 0, 0, 0]),
        // ENABLE cleared: the indices stay.
        (0, [0, 0, 2, 1, 1]),
    ] {
        let (mut rig, _) = set_up(Rig::new(), 4, 0);
        // 144 pages read and written are more than one step.
        let copy = D { command: 3, length: 0x9_0000, address: 0x2_0000, address2: 0x6_0000, ..D::default() };
        copy.put(&rig, 1);
        rig.write32(BAR + 0x1c, 2);
        assert_eq!(rig.read32(BAR + 0x24), 1);
        assert_eq!(rig.read32(BAR + 0x0c), 1);
        rig.write32(BAR + 0x08, control);
        assert_eq!([0x08, 0x0c, 0x1c, 0x20, 0x24].map(|at| rig.read32(BAR + at)), after, "control {control}");
        while rig.step() {}
        assert_eq!(written(&rig, 1), (0, 0, 0), "it is never completed");
        assert_eq!([0x10, 0x18, 0x28].map(|at| rig.read32(BAR + at)), [RING as u32, 4, 0]);
        // The next descriptor is not disturbed by events of the dropped one.
        rig.write32(BAR + 0x08, 3);
        D { command: 2, length: 4, address: 0x3000, ..D::default() }.put(&rig, 0);
        rig.write32(BAR + 0x1c, 1);
        while rig.step() {}
        assert_eq!(written(&rig, 0), (DONE, 4, 0));
    }
}

#[test]
fn a_guest_cannot_fill_the_event_queue() {
    let (mut rig, _) = set_up(Rig::new(), 4, 1_000_000);
    for latency in (1..1_000_000).rev().step_by(100) {
        rig.write32(BAR + 0x28, latency);
        rig.write32(BAR + 0x1c, 1);
        rig.write32(BAR + 0x08, 3);
    }
    assert!(rig.queue.len() <= 8, "{} events", rig.queue.len());
}

#[test]
fn save_and_restore_in_mid_transfer() {
    let make = || {
        let (mut rig, source) = set_up(Rig::new(), 4, 0);
        let data: Vec<u8> = (0..RAM / 2).map(|i| (i % 251) as u8).collect();
        rig.mem.write(Pa(RAM / 2), &data).unwrap();
        rig.config16(source, 0x42, 0x8000);
        rig
    };
    let mut rig = make();
    // 127 pages read and written, 64 KiB aside: more than one step.
    let copy = D {
        command: 3 | 1 << 8 | 2 << 16,
        length: 0x6_8001,
        address: RAM / 2,
        address2: 0x1_1003,
        ..D::default()
    };
    copy.put(&rig, 0);
    rig.write32(BAR + 0x1c, 1);
    assert_eq!(rig.read32(BAR + 0x0c), 1, "under way");
    let text = serde_json::to_string(&rig.host.save()).unwrap();
    let mut other = make();
    other.host.restore(serde_json::from_str(&text).unwrap()).unwrap();
    other.queue.restore(rig.queue.save());
    other.mem.restore_pages(&rig.mem.nonzero_pages(4096)).unwrap();
    for rig in [&mut rig, &mut other] {
        while rig.step() {}
        assert_eq!(written(rig, 0), (DONE, 0x6_8001, 0));
        assert_eq!(rig.ram(0x1_1003, 0x6_8001), rig.ram(RAM / 2, 0x6_8001));
        assert_eq!(rig.read32(BAR + 0x6000), 0x4);
    }
    assert_eq!(rig.host.save(), other.host.save());
}

#[test]
fn damaged_states_are_refused() {
    let good = || {
        let EndpointState::Exerciser(state) = Exerciser::new(0).save() else { panic!("another model") };
        *state
    };
    let with = |change: fn(&mut State)| {
        let mut state = good();
        change(&mut state);
        Exerciser::new(0).restore(EndpointState::Exerciser(Box::new(state)))
    };
    assert_eq!(with(|_| {}), Ok(()));
    let invalid = |what| Err(StateError::Invalid { model: "exerciser", what });
    assert_eq!(with(|state| state.buffer.truncate(4095)), invalid("the length of its buffer"));
    assert_eq!(with(|state| state.engine.ring_size = 4097), invalid("its ring indices"));
    assert_eq!(with(|state| state.engine.head = 1), invalid("its ring indices"));
    assert_eq!(with(|state| state.engine.enabled = true), invalid("its ring indices"));
}
