use super::*;
use crate::events::Time;

/// Drives the pair through its ports.
struct Rig {
    pic: Pic,
    fx: Effects,
}

impl Rig {
    fn new() -> Self {
        Self { pic: Pic::new(), fx: Effects::new(Time(0), true) }
    }

    /// Initialised as PC software does it, all inputs unmasked.
    fn initialised() -> Self {
        let mut rig = Self::new();
        for (port, value) in [(0x20, 0x11), (0x21, 0x30), (0x21, 0x04), (0x21, 0x01)] {
            rig.out(port, value);
        }
        for (port, value) in [(0xa0, 0x11), (0xa1, 0x38), (0xa1, 0x02), (0xa1, 0x01)] {
            rig.out(port, value);
        }
        rig
    }

    fn out(&mut self, port: u16, value: u8) {
        self.pic.write(port, &[value], &mut self.fx);
    }

    fn inb(&mut self, port: u16) -> u8 {
        let mut data = [0];
        self.pic.read(port, &mut data, &mut self.fx);
        data[0]
    }

    fn raise(&mut self, irq: u32) {
        self.pic.set_line(irq, true);
    }

    fn lower(&mut self, irq: u32) {
        self.pic.set_line(irq, false);
    }

    fn pulse(&mut self, irqs: &[u32]) {
        for &irq in irqs {
            self.lower(irq);
            self.raise(irq);
        }
    }

    /// OCW3 with the poll bit, then the answer.
    fn poll(&mut self, port: u16) -> u8 {
        self.out(port, 0x0c);
        self.inb(port)
    }

    fn irr(&mut self, port: u16) -> u8 {
        self.out(port, 0x0a);
        self.inb(port)
    }

    fn isr(&mut self, port: u16) -> u8 {
        self.out(port, 0x0b);
        self.inb(port)
    }
}

#[test]
fn masks_are_found_by_a_probe_and_cleared_by_icw1() {
    let mut rig = Rig::new();
    for (port, value) in [(0x21, 0xfb), (0xa1, 0xff), (0x21, 0x00), (0xa1, 0x5a)] {
        rig.out(port, value);
        assert_eq!(rig.inb(port), value);
    }
    rig.out(0xa0, 0x11);
    assert_eq!((rig.inb(0x21), rig.inb(0xa1)), (0x00, 0x00));
}

#[test]
fn icw1_says_how_many_words_follow() {
    // (ICW1, words before the data port is the mask again)
    for (icw1, words) in [(0x11, 3), (0x10, 2), (0x13, 2), (0x12, 1), (0x19, 3)] {
        for port in [0x20, 0xa0] {
            let mut rig = Rig::new();
            rig.out(port, icw1);
            for word in 0..words {
                rig.out(port + 1, 0x08);
                assert_eq!(rig.inb(port + 1), 0, "ICW1 {icw1:#x}: word {word} is no mask");
            }
            rig.out(port + 1, 0xa5);
            assert_eq!(rig.inb(port + 1), 0xa5, "ICW1 {icw1:#x}");
        }
    }
}

#[test]
fn icw1_forgets_edges_requests_and_modes_but_not_levels() {
    let mut rig = Rig::initialised();
    rig.out(0x4d0, 0x20);
    rig.pulse(&[1, 4, 5]);
    rig.raise(6);
    assert_eq!(rig.poll(0x20), 0x81);
    // Priority 4 lowest, special mask, ISR to be read.
    rig.out(0x20, 0xc4);
    rig.out(0x20, 0x6b);
    rig.out(0x20, 0x11);
    assert_eq!(rig.inb(0x20), 0x20, "IRR: the level alone");
    for word in [0x30, 0x04, 0x01] {
        rig.out(0x21, word);
    }
    assert_eq!(rig.isr(0x20), 0x00);
    rig.pulse(&[4, 6]);
    assert_eq!(rig.irr(0x20), 0x70);
    assert_eq!(rig.poll(0x20), 0x84, "input 0 has the highest priority again");
}

#[test]
fn requests_show_edges_and_levels() {
    let mut rig = Rig::initialised();
    rig.out(0x4d0, 0x20);
    rig.raise(4);
    rig.raise(5);
    rig.raise(9);
    assert_eq!((rig.irr(0x20), rig.irr(0xa0)), (0x34, 0x02));
    rig.lower(4);
    rig.lower(5);
    rig.lower(9);
    assert_eq!((rig.irr(0x20), rig.irr(0xa0)), (0x00, 0x00), "a request goes with its line");
    rig.raise(4);
    rig.raise(5);
    assert_eq!((rig.poll(0x20), rig.irr(0x20)), (0x84, 0x20), "an edge is taken once");
    rig.out(0x20, 0x20);
    assert_eq!((rig.poll(0x20), rig.irr(0x20)), (0x85, 0x20), "a level lasts");
    rig.raise(4);
    assert_eq!(rig.irr(0x20), 0x20, "no edge without a fall");
}

#[test]
fn some_inputs_cannot_be_level_triggered() {
    let mut rig = Rig::new();
    assert_eq!((rig.inb(0x4d0), rig.inb(0x4d1)), (0, 0));
    rig.out(0x4d0, 0xff);
    rig.out(0x4d1, 0xff);
    assert_eq!((rig.inb(0x4d0), rig.inb(0x4d1)), (0xf8, 0xde));
    rig.out(0x4d0, 0x08);
    assert_eq!((rig.inb(0x4d0), rig.inb(0x4d1)), (0x08, 0xde));
}

#[test]
fn polling_follows_priority_mask_and_service() {
    let mut rig = Rig::initialised();
    assert_eq!(rig.poll(0x20), 0x00, "nothing requests");
    rig.pulse(&[3, 5, 6]);
    rig.out(0x21, 0x08);
    assert_eq!(rig.poll(0x20), 0x85, "3 is masked");
    assert_eq!((rig.isr(0x20), rig.irr(0x20)), (0x20, 0x48));
    assert_eq!(rig.poll(0x20), 0x00, "6 waits for 5");
    rig.out(0x21, 0x00);
    assert_eq!(rig.poll(0x20), 0x83, "3 goes before 5");
    assert_eq!(rig.isr(0x20), 0x28);
    rig.out(0x20, 0x20);
    assert_eq!(rig.isr(0x20), 0x20, "a non-specific EOI ends the highest");
    rig.out(0x20, 0x64);
    assert_eq!(rig.isr(0x20), 0x20, "a specific EOI ends its own");
    rig.out(0x20, 0x65);
    assert_eq!(rig.isr(0x20), 0x00);
    // Any one read answers the poll, of the data port too; the next reads are ordinary.
    rig.out(0x20, 0x0c);
    assert_eq!((rig.inb(0x21), rig.inb(0x21), rig.isr(0x20)), (0x86, 0x00, 0x40));
    // A poll and the ISR, asked for in one word.
    assert_eq!(rig.irr(0x20), 0x00);
    rig.out(0x20, 0x0f);
    assert_eq!((rig.inb(0x20), rig.inb(0x20)), (0x00, 0x40));
}

#[test]
fn the_second_chip_interrupts_through_input_2() {
    let mut rig = Rig::initialised();
    rig.raise(2);
    assert_eq!(rig.irr(0x20), 0, "input 2 is no pin");
    rig.pulse(&[8, 12]);
    assert_eq!((rig.irr(0x20), rig.irr(0xa0)), (0x04, 0x11));
    assert_eq!(rig.poll(0x20), 0x82);
    rig.lower(2);
    assert_eq!(rig.irr(0x20), 0x00, "nor can it be pulled down");
    assert_eq!(rig.poll(0xa0), 0x80);
    assert_eq!(rig.irr(0x20), 0x00, "12 waits for 8");
    rig.out(0xa0, 0x20);
    rig.out(0x20, 0x20);
    assert_eq!((rig.poll(0x20), rig.poll(0xa0)), (0x82, 0x84));
    rig.out(0xa0, 0x20);
    rig.out(0x20, 0x20);
    assert_eq!((rig.isr(0x20), rig.isr(0xa0)), (0, 0));
    rig.out(0xa1, 0xff);
    rig.pulse(&[15]);
    assert_eq!((rig.irr(0x20), rig.irr(0xa0)), (0x00, 0x80), "masked there, unseen here");
    rig.out(0xa1, 0x7f);
    assert_eq!(rig.irr(0x20), 0x04);
}

#[test]
fn special_fully_nested_mode_nests_the_second_chip() {
    for (icw4, answer) in [(0x01, 0x00), (0x11, 0x82)] {
        let mut rig = Rig::initialised();
        for (port, value) in [(0x20, 0x11), (0x21, 0x30), (0x21, 0x04), (0x21, icw4)] {
            rig.out(port, value);
        }
        rig.pulse(&[12]);
        assert_eq!((rig.poll(0x20), rig.poll(0xa0)), (0x82, 0x84));
        rig.pulse(&[3]);
        assert_eq!(rig.poll(0x20), 0x00, "3 waits for the second chip");
        rig.pulse(&[9]);
        assert_eq!(rig.poll(0x20), answer, "9 interrupts 12 only so");
        rig.pulse(&[1]);
        assert_eq!(rig.poll(0x20), 0x81);
        rig.pulse(&[1]);
        assert_eq!(rig.poll(0x20), 0x00, "other inputs never interrupt themselves");
    }
}

#[test]
fn priorities_rotate() {
    // (OCW2 words after inputs 2 and 5 were taken, ISR, poll of inputs 0, 3 and 6)
    for (words, isr, answer) in [
        // Set priority: 5 lowest, so 6 highest.
        (&[0x60 | 1, 0x60 | 5, 0xc5][..], 0x00, 0x86),
        // Rotate on non-specific EOI: 1 lowest.
        (&[0x65, 0xa0], 0x00, 0x83),
        // Rotate on specific EOI: 5 lowest.
        (&[0x61, 0xe5], 0x00, 0x86),
        // Nothing in service: nothing rotates.
        (&[0x61, 0x65, 0xa0], 0x00, 0x80),
        // A specific EOI alone does not rotate; 40h does nothing.
        (&[0x61, 0x65, 0x40], 0x00, 0x80),
    ] {
        let mut rig = Rig::initialised();
        rig.pulse(&[5]);
        rig.poll(0x20);
        rig.pulse(&[1]);
        rig.poll(0x20);
        assert_eq!(rig.isr(0x20), 0x22);
        for &word in words {
            rig.out(0x20, word);
        }
        assert_eq!(rig.isr(0x20), isr, "{words:x?}");
        rig.pulse(&[0, 3, 6]);
        assert_eq!(rig.poll(0x20), answer, "{words:x?}");
    }
}

#[test]
fn automatic_eoi_leaves_nothing_in_service_and_may_rotate() {
    for (ocw2, second) in [(0x00, 0x84), (0x80, 0x85)] {
        let mut rig = Rig::new();
        for (port, value) in [(0x20, 0x11), (0x21, 0x30), (0x21, 0x04), (0x21, 0x03)] {
            rig.out(port, value);
        }
        rig.out(0x20, ocw2);
        rig.pulse(&[4, 5]);
        assert_eq!((rig.poll(0x20), rig.isr(0x20)), (0x84, 0x00));
        rig.pulse(&[4]);
        assert_eq!(rig.poll(0x20), second, "OCW2 {ocw2:#x}");
    }
}

#[test]
fn special_mask_mode_lets_lower_priorities_through() {
    let mut rig = Rig::initialised();
    rig.pulse(&[3]);
    assert_eq!(rig.poll(0x20), 0x83);
    rig.pulse(&[5]);
    rig.out(0x21, 0x08);
    assert_eq!(rig.poll(0x20), 0x00);
    // SMM without ESMM does nothing.
    rig.out(0x20, 0x28);
    assert_eq!(rig.poll(0x20), 0x00);
    rig.out(0x20, 0x68);
    assert_eq!(rig.poll(0x20), 0x85);
    rig.out(0x20, 0x20);
    assert_eq!(rig.isr(0x20), 0x08, "a non-specific EOI does not end a masked one");
    rig.out(0x20, 0x48);
    rig.out(0x20, 0x20);
    assert_eq!(rig.isr(0x20), 0x00);
}

#[test]
fn wide_and_foreign_accesses_are_split_into_ports() {
    let mut rig = Rig::new();
    rig.pic.write(0x1f, &[0xff, 0x0b, 0x5a, 0xff], &mut rig.fx);
    rig.pic.write(0x4cf, &[0xff, 0xff, 0xff, 0xff], &mut rig.fx);
    // (port, bytes)
    let rows: [(u16, &[u8]); 8] = [
        (0x20, &[0x00, 0x5a]),
        (0x21, &[0x5a, 0xff]),
        (0x1f, &[0xff, 0x00, 0x5a, 0xff]),
        (0xa0, &[0x00, 0x00, 0xff, 0xff]),
        (0x4d0, &[0xf8, 0xde]),
        (0x4ce, &[0xff, 0xff, 0xf8, 0xde, 0xff, 0xff, 0xff, 0xff]),
        (0xffff, &[0xff, 0xff, 0xff, 0xff]),
        (0x20, &[]),
    ];
    for (port, expected) in rows {
        let mut data = vec![0x11; expected.len()];
        rig.pic.read(port, &mut data, &mut rig.fx);
        assert_eq!(data, expected, "{port:#x}");
    }
    rig.pic.write(0xffff, &[0x11; 8], &mut rig.fx);
    assert_eq!(rig.inb(0x21), 0x5a);
}

#[test]
fn every_command_byte_on_every_port_is_survived() {
    for irq in 0..32 {
        let mut rig = Rig::initialised();
        for value in 0..=0xff {
            for port in [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1] {
                rig.pic.set_line(irq, value % 2 == 0);
                rig.out(port, value);
                let read = rig.inb(port);
                assert!(port < 0x4d0 || read & !value == 0);
            }
        }
    }
}

#[test]
fn a_saved_pair_continues_where_it_was_and_a_reset_one_starts_anew() {
    let mut rig = Rig::initialised();
    rig.out(0x4d1, 0x02);
    rig.out(0x21, 0x01);
    rig.pulse(&[9]);
    rig.out(0xa0, 0x0c);
    let json = serde_json::to_string(&rig.pic.save()).unwrap();
    let mut other = Rig::new();
    other.pic.restore(serde_json::from_str(&json).unwrap());
    assert_eq!((other.inb(0x21), other.inb(0x4d1)), (0x01, 0x02));
    assert_eq!(other.inb(0xa0), 0x81, "the poll was under way");
    assert_eq!((other.isr(0xa0), other.irr(0x20)), (0x02, 0x00));
    other.pic.reset();
    assert_eq!(other.pic.save(), Pic::new().save());
}

#[test]
fn accesses_are_traced_by_the_word_they_were() {
    let mut rig = Rig::initialised();
    rig.fx.take_trace();
    for (port, value) in [(0x20, 0x13), (0x21, 0x30), (0x21, 0x01), (0x21, 0xff)] {
        rig.out(port, value);
    }
    rig.out(0xa0, 0x20);
    rig.isr(0xa0);
    rig.poll(0xa0);
    rig.inb(0x4d1);
    rig.inb(0x22);
    let lines: Vec<_> = rig.fx.take_trace().iter().map(ToString::to_string).collect();
    expect_test::expect![[r#"
        pic: write ICW1(0x20) = 0x00000013
        pic: write ICW2(0x21) = 0x00000030
        pic: write ICW4(0x21) = 0x00000001
        pic: write OCW1(0x21) = 0x000000ff
        pic: write OCW2(0xa0) = 0x00000020
        pic: write OCW3(0xa0) = 0x0000000b
        pic: read ISR(0xa0) = 0x00000000
        pic: write OCW3(0xa0) = 0x0000000c
        pic: read POLL(0xa0) = 0x00000000
        pic: read ELCR2(0x4d1) = 0x00000000"#]]
    .assert_eq(&lines.join("\n"));
}
