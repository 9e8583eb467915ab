//! The invalidation queue: waits, wraps and errors.

use std::sync::Mutex;

use super::*;
use crate::register::block::DwordSpace;
use crate::vtd::control::{Control, Registers};
use crate::vtd::invalidation::{
    BackEnd, ContextScope, InterruptMode, InterruptScope, IotlbScope, ProtectedRange,
};
use crate::vtd::regs::{Irta, Rtaddr};

fn rig() -> Rig {
    Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2)
}

/// A wait descriptor that writes `data` to `STATUS`.
fn wait(data: u64) -> [u64; 2] {
    [0x25 | data << 32, STATUS]
}

#[test]
fn waits_write_status_and_raise_the_event() {
    let mut rig = rig();
    rig.w32(0xa4, 0x51);
    rig.w32(0xa8, 0xfee0_0000);
    rig.w32(IECTL, 0);
    rig.submit(&[wait(2)]);
    assert_eq!((rig.get(STATUS), rig.messages.len(), rig.r32(ICS)), (2, 0, 0));
    rig.submit(&[[0x15, 0]]);
    assert_eq!((rig.messages.clone(), rig.r32(ICS)), (vec![(0xfee0_0000, 0x51)], 1));
    rig.submit(&[[0x15, 0]]);
    assert_eq!(rig.messages.len(), 1, "IWC was set already");
    rig.w32(0xac, 0x0001_0200);
    rig.w32(ICS, 0);
    assert_eq!(rig.r32(ICS), 1);
    rig.w32(ICS, 1);
    assert_eq!(rig.r32(ICS), 0);
    rig.submit(&[[0x75 | 9 << 32, STATUS]]);
    assert_eq!((rig.messages[1], rig.get(STATUS)), ((0x0001_0200_fee0_0000, 0x51), 9), "64-bit address");
    // A pure fence ignores its status data.
    rig.submit(&[[0x45 | 5 << 32, 0]]);
    assert_eq!((rig.get(STATUS), rig.r64(IQH), rig.r32(FSTS)), (9, 0x50, 0));
}

#[test]
fn the_event_is_held_while_masked() {
    let mut rig = rig();
    rig.w32(0xa8, 0xfee0_0000);
    rig.submit(&[[0x15, 0]]);
    assert_eq!((rig.messages.len(), rig.r32(IECTL)), (0, 0xc000_0000));
    rig.w32(IECTL, 0);
    assert_eq!((rig.messages.len(), rig.r32(IECTL)), (1, 0));
    rig.w32(IECTL, 0x8000_0000);
    rig.w32(ICS, 1);
    rig.submit(&[[0x15, 0]]);
    rig.w32(ICS, 1);
    assert_eq!(rig.r32(IECTL), 0x8000_0000, "serviced while masked: nothing is pending");
}

#[test]
fn the_queue_wraps_at_every_position() {
    let mut rig = rig();
    for n in 0..600u64 {
        rig.submit(&[wait(n)]);
        assert_eq!(rig.get(STATUS), n);
        assert_eq!(rig.r64(IQH), ((n + 1) % 256) << 4);
    }
    // A full queue, in every size that fits this memory, and more than one step of work.
    for qs in 0..=7u64 {
        let mut rig = Rig::legacy();
        let size = 256u64 << qs;
        for n in 0..size {
            rig.set(0x10_0000 + n * 16, 0x25 | (n + 1) << 32);
            rig.set(0x10_0000 + n * 16 + 8, STATUS);
        }
        rig.w64(IQA, 0x10_0000 | qs);
        rig.w32(GCMD, QIE);
        rig.w64(IQT, (size - 1) << 4);
        assert_eq!((rig.r64(IQH), rig.get(STATUS)), ((size - 1) << 4, size - 1), "QS {qs}");
        rig.w64(IQT, 0);
        assert_eq!((rig.r64(IQH), rig.get(STATUS)), (0, size), "QS {qs}");
    }
}

#[test]
fn one_step_is_bounded() {
    let mut rig = Rig::legacy();
    for n in 0..400u64 {
        rig.set(0x10_0000 + n * 16, 0x25 | (n + 1) << 32);
        rig.set(0x10_0000 + n * 16 + 8, STATUS);
    }
    rig.w64(IQA, 0x10_0001);
    rig.w32(GCMD, QIE);
    rig.unit.write(IQT, &(400u64 << 4).to_le_bytes(), &mut rig.fx);
    assert_eq!((rig.get(STATUS), rig.r64(IQH)), (256, 256 << 4));
    rig.deliver();
    assert_eq!((rig.get(STATUS), rig.r64(IQH)), (400, 400 << 4));
}

#[test]
fn malformed_descriptors_stop_the_queue_at_their_slot() {
    let rows: &[([u64; 2], u64)] = &[
        // Types that do not exist or belong to features that are not there.
        ([0, 0], 3),
        ([0x3, 0], 3),
        ([0x6, 0], 3),
        ([0x7, 0], 3),
        ([0x8, 0], 3),
        ([0x9, 0], 3),
        ([0xa, 0], 3),
        ([0xf, 0], 3),
        ([0x201, 0], 3),
        ([0x805, 0], 3),
        // Reserved granularities, an address mask beyond CAP.MAMV.
        ([0x01, 0], 4),
        ([0x02, 0], 4),
        ([0x32, 19], 4),
        // An index mask beyond ECAP.MHMV.
        ([0x14 | 16 << 27, 0], 4),
        // Page-request drain without device-TLBs.
        ([0xa5, STATUS], 4),
    ];
    for (words, iqei) in rows {
        let mut rig = rig();
        rig.w32(0x40, 0xfee0_0000);
        rig.w32(FECTL, 0);
        rig.submit(&[wait(1), *words, wait(3)]);
        assert_eq!((rig.get(STATUS), rig.r64(IQH)), (1, 0x10), "{words:#x?}");
        assert_eq!((rig.r32(FSTS), rig.r64(IQERCD)), (0x10, *iqei), "{words:#x?}");
        assert_eq!(rig.messages.len(), 1, "{words:#x?}");
        // A tail write does not restart it; clearing IQE with the slot mended does.
        rig.submit(&[wait(4)]);
        assert_eq!(rig.r64(IQH), 0x10);
        rig.set(QUEUE + 16, 0x25 | 2 << 32);
        rig.set(QUEUE + 24, STATUS);
        rig.w32(FSTS, 0x10);
        assert_eq!((rig.get(STATUS), rig.r64(IQH), rig.r32(FSTS)), (4, 0x40, 0), "{words:#x?}");
    }
}

#[test]
fn reserved_descriptor_bits_one_by_one() {
    // (a valid descriptor, its reserved bits as printed)
    let rows: &[([u64; 2], [u64; 2])] = &[
        ([0x11, 0], [0xfffc_0000_0000_f1c0, !0]),
        ([0x12, 0], [0xffff_ffff_0000_f100, 0xf80]),
        ([0x25, STATUS], [0xffff_f180, 0x3]),
        ([0x14, 0], [0xffff_0000_07ff_f1e0, !0]),
    ];
    for (words, reserved) in rows {
        for bit in (0..128).filter(|bit| !(9..12).contains(bit)) {
            let mut flipped = *words;
            flipped[bit / 64] |= 1 << (bit % 64);
            let mut rig = rig();
            rig.submit(&[flipped]);
            if reserved[bit / 64] >> (bit % 64) & 1 == 1 {
                assert_eq!((rig.r32(FSTS), rig.r64(IQERCD)), (0x10, 4), "{words:#x?}, bit {bit}");
            } else {
                // A type or granularity may become another; it never is a reserved-field error
                // for a bit that is not reserved, but for the granularity itself.
                let granularity =
                    words[0] & 0xf < 3 && (4..6).contains(&bit) || words[0] & 0xf == 4 && bit == 31;
                assert!(rig.r64(IQERCD) != 4 || granularity || bit < 4, "{words:#x?}, bit {bit}");
            }
        }
        for bit in 9..12 {
            let mut rig = rig();
            rig.submit(&[[words[0] | 1 << bit, words[1]]]);
            assert_eq!(rig.r64(IQERCD), 3, "{words:#x?}, bit {bit}");
        }
    }
}

#[test]
fn a_tail_beyond_the_queue_is_an_error_and_not_a_loop() {
    let mut rig = rig();
    for tail in [256u64, 257, 0x7fff] {
        rig.w64(IQT, tail << 4);
        assert_eq!((rig.r32(FSTS), rig.r64(IQERCD), rig.r64(IQH)), (0x10, 1, 0), "{tail}");
        rig.w32(FSTS, 0x10);
        assert_eq!(rig.r32(FSTS), 0x10, "not mended: it fails again");
        rig.w64(IQT, 0);
        rig.w32(FSTS, 0x10);
        assert_eq!(rig.r32(FSTS), 0);
    }
}

#[test]
fn a_head_beyond_a_smaller_queue_wraps() {
    let mut rig = rig();
    for n in 0..200 {
        rig.submit(&[wait(n)]);
    }
    // 200 entries of a 256-entry queue are behind; a queue elsewhere has its own contents.
    rig.w64(IQA, 0x10_0000 | 1);
    for n in 0..300u64 {
        rig.set(0x10_0000 + n * 16, 0x25 | n << 32);
        rig.set(0x10_0000 + n * 16 + 8, STATUS);
    }
    rig.w64(IQT, 300 << 4);
    assert_eq!((rig.r64(IQH), rig.get(STATUS)), (300 << 4, 299));
    rig.w64(IQA, 0x10_0000);
    rig.w64(IQT, 5 << 4);
    assert_eq!((rig.r64(IQH), rig.get(STATUS), rig.r32(FSTS)), (5 << 4, 4, 0));
}

#[test]
fn the_queue_must_be_readable_and_its_descriptors_narrow() {
    for (iqa, iqei) in [(0x1000_0000, 2), (QUEUE | 1 << 11, 5)] {
        let mut rig = Rig::legacy();
        rig.w64(IQA, iqa);
        rig.w32(GCMD, QIE);
        rig.w64(IQT, 0x10);
        assert_eq!((rig.r32(FSTS), rig.r64(IQERCD)), (0x10, iqei), "{iqa:#x}");
    }
    let mut rig = rig();
    rig.w64(RTADDR, ROOT | 1 << 10);
    rig.w32(GCMD, QIE | TE | SRTP);
    rig.submit(&[wait(1)]);
    assert_eq!(rig.r64(IQERCD), 7, "scalable mode is not there");
}

#[test]
fn switching_the_queue_off_returns_to_its_start() {
    let mut rig = rig();
    rig.submit(&[wait(1), wait(2)]);
    rig.w32(GCMD, TE);
    assert_eq!((rig.r64(IQH), rig.r32(GSTS) & QIE), (0, 0));
    rig.w64(IQT, 0x30);
    assert_eq!(rig.r64(IQH), 0, "off: nothing is fetched");
    rig.set(QUEUE + 32, 0x25 | 3 << 32);
    rig.set(QUEUE + 40, STATUS);
    rig.w32(GCMD, TE | QIE);
    assert_eq!((rig.r64(IQH), rig.get(STATUS)), (0x30, 3), "on with a tail ahead: fetching starts");
}

#[test]
fn an_error_event_needs_a_quiet_group() {
    let mut rig = rig();
    rig.w32(0x40, 0xfee0_0000);
    rig.w32(FECTL, 0);
    rig.read(0, &mut [0; 4]);
    assert_eq!(rig.messages.len(), 1);
    rig.submit(&[[0, 0]]);
    assert_eq!((rig.r32(FSTS), rig.messages.len()), (0x12, 1), "a fault was pending: no new event");
}

#[test]
fn a_backlog_asks_for_one_event_only() {
    let mut rig = Rig::legacy();
    for n in 0..2000u64 {
        rig.set(0x10_0000 + n * 16, 0x25 | (n + 1) << 32);
        rig.set(0x10_0000 + n * 16 + 8, STATUS);
    }
    rig.w64(IQA, 0x10_0003);
    rig.w32(GCMD, QIE);
    for _ in 0..3 {
        rig.unit.write(IQT, &(2000u64 << 4).to_le_bytes(), &mut rig.fx);
    }
    let events = rig.fx.take();
    assert_eq!(events.len(), 1, "{events:?}");
    events.into_iter().for_each(|event| rig.fx.push(event));
    rig.deliver();
    assert_eq!((rig.get(STATUS), rig.r64(IQH)), (2000, 2000 << 4));
}

#[test]
fn status_address_bits_beyond_the_host_width_are_ignored() {
    let mut rig = rig();
    rig.submit(&[[0x25 | 3 << 32, STATUS | 0xffff << 48]]);
    assert_eq!((rig.get(STATUS), rig.r32(FSTS)), (3, 0));
}

/// Writes down what it is told, and the status word at each completion.
struct Log {
    mem: PhysMem,
    lines: Mutex<Vec<String>>,
}

impl Log {
    fn line(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push(line.into());
    }
}

impl BackEnd for Log {
    fn set_enabled(&self, _: bool) {
        self.line("enabled");
    }
    fn set_root(&self, _: Rtaddr) {
        self.line("root");
    }
    fn set_protected(&self, _: Option<[ProtectedRange; 2]>) {
        self.line("protected");
    }
    fn set_interrupt_mode(&self, _: InterruptMode) {
        self.line("interrupt mode");
    }
    fn set_interrupt_table(&self, _: Irta) {
        self.line("interrupt table");
    }
    fn invalidate_interrupts(&self, _: InterruptScope) {
        self.line("interrupts");
    }
    fn invalidate_context(&self, _: ContextScope) {
        self.line("context");
    }
    fn invalidate_iotlb(&self, _: IotlbScope) {
        self.line("iotlb");
    }
    fn complete(&self) {
        self.line(format!("complete, status {}", self.mem.load64(Pa(STATUS)).unwrap()));
    }
}

#[test]
fn changes_are_complete_before_software_can_see_them_so() {
    let config = Config { protected_regions: true, ..Config::preset("vtd-legacy").unwrap() };
    let mem = PhysMem::anonymous(&[(Pa(0), 0x1_0000)]).unwrap();
    let log = Arc::new(Log { mem: mem.clone(), lines: Mutex::default() });
    let mut control = Control::new(config, mem.clone(), log.clone());
    let mut fx = Effects::new(Time(0), false);
    let mut write = |offset: u64, value: u32, told: &[&str]| {
        Registers { control: &mut control, fx: &mut fx }.write_dword(offset, value, 0xf);
        assert_eq!(log.lines.lock().unwrap().drain(..).collect::<Vec<_>>(), told, "{offset:#x}");
    };
    let queue = [[0x12, 0], [0x11, 0], wait(1), wait(2), [0x04, 0], wait(3), [0x12, 0], [0x12, 0]];
    for (word, at) in queue.as_flattened().iter().zip((QUEUE..).step_by(8)) {
        mem.write(Pa(at), &word.to_le_bytes()).unwrap();
    }
    // IQA_REG before anything else; it changes nothing.
    write(IQA, QUEUE as u32, &[]);
    write(GCMD, QIE | SRTP, &["root", "interrupt mode", "complete, status 0"]);
    // Those before the first wait together, nothing for the second, the last two at the end.
    write(
        IQT,
        0x80,
        &[
            "iotlb",
            "context",
            "complete, status 0",
            "interrupts",
            "complete, status 2",
            "iotlb",
            "iotlb",
            "complete, status 3",
        ],
    );
    write(0x64, 1 << 31, &["protected", "complete, status 3"]);
    write(GCMD, TE, &["interrupt mode", "enabled", "complete, status 3"]);
    write(0x2c, 0xa000_0000, &["context", "complete, status 3"]);
    write(0xfc, 0x9000_0000, &["iotlb", "complete, status 3"]);
}
