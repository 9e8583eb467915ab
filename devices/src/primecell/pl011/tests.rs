use super::*;
use crate::events::Time;

/// A UART and what its line did.
struct Rig {
    uart: Pl011,
    levels: Vec<bool>,
}

impl Rig {
    fn new() -> Self {
        Self { uart: Pl011::new(1), levels: Vec::new() }
    }

    fn call<T>(&mut self, f: impl FnOnce(&mut Pl011, &mut Effects) -> T) -> T {
        let mut fx = Effects::new(Time(0), false);
        let result = f(&mut self.uart, &mut fx);
        self.levels.extend(fx.take().into_iter().map(|effect| match effect {
            Effect::Line { line: 1, asserted } => asserted,
            other => panic!("{other:?}"),
        }));
        result
    }

    fn read(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.call(|uart, fx| uart.read(offset, &mut data, fx));
        u32::from_le_bytes(data)
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.call(|uart, fx| uart.write(offset, &value.to_le_bytes(), fx));
    }

    fn push(&mut self, bytes: &[u8]) -> usize {
        self.call(|uart, fx| uart.push_input(bytes, fx))
    }
}

#[test]
fn it_listens_while_an_interrupt_for_input_is_enabled() {
    let mut rig = Rig::new();
    // RTIM, RXIM, and everything else.
    for (mask, listens) in [(0, false), (0x40, true), (0x10, true), (0x50, true), (0x7af, false)] {
        rig.write(0x38, mask);
        assert_eq!(rig.uart.is_listening(), listens, "{mask:#x}");
    }
}

#[test]
fn reset_values_and_identification() {
    let mut rig = Rig::new();
    // FR: transmit and receive FIFO empty, CTS, DSR and DCD.
    for (offset, value) in
        [(0x04, 0), (0x18, 0x97), (0x2c, 0), (0x30, 0x300), (0x34, 0x12), (0x38, 0), (0x3c, 0), (0x48, 0)]
    {
        assert_eq!(rig.read(offset), value, "{offset:#x}");
    }
    let ids = (0xfe0..0x1000).step_by(4).map(|offset| rig.read(offset)).collect::<Vec<_>>();
    assert_eq!(ids, [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1]);
}

#[test]
fn writable_bits_and_no_others() {
    let mut rig = Rig::new();
    for (offset, bits) in [
        (0x20, 0xff),
        (0x24, 0xffff),
        (0x28, 0x3f),
        (0x2c, 0xff),
        (0x30, 0xff87),
        (0x34, 0x3f),
        (0x38, 0x7ff),
        (0x48, 7),
        (0x40, 0),
        (0xfe0, 0x11),
    ] {
        rig.write(offset, 0xffff_ffff);
        // RIS is zero but for the modem lines that loop-back has changed, which MIS shows.
        rig.write(0x44, 0x7ff);
        assert_eq!(rig.read(offset), bits, "{offset:#x}");
    }
}

#[test]
fn what_is_sent_can_be_taken_once_and_is_bounded() {
    let mut rig = Rig::new();
    rig.write(0x00, 0xffff_ff6f);
    rig.call(|uart, fx| uart.write(0, b"k", fx));
    // Not the data byte.
    rig.call(|uart, fx| uart.write(1, b"x", fx));
    assert_eq!((rig.uart.take_output(), rig.uart.take_output()), (b"ok".to_vec(), vec![]));
    for _ in 0..(1 << 20) + 5 {
        rig.write(0, 0x78);
    }
    assert_eq!(rig.uart.take_output().len(), 1 << 20);
}

#[test]
fn sending_raises_the_transmit_interrupt() {
    let mut rig = Rig::new();
    rig.write(0x38, 0x20);
    assert!(rig.levels.is_empty(), "not before something was sent");
    rig.write(0x00, 0x61);
    assert_eq!((rig.read(0x3c), rig.read(0x40)), (0x20, 0x20));
    rig.write(0x44, 0x20);
    assert_eq!((rig.read(0x3c), rig.levels.as_slice()), (0, &[true, false][..]));
}

#[test]
fn received_bytes_wait_in_the_fifo() {
    let mut rig = Rig::new();
    // FIFO enabled, receive interrupt at 1/8, only that unmasked.
    rig.write(0x2c, 0x70);
    rig.write(0x34, 0);
    rig.write(0x38, 0x10);
    assert_eq!(rig.push(b"a"), 1);
    assert_eq!((rig.read(0x3c), rig.levels.as_slice()), (0x40, &[][..]), "only the timeout");
    assert_eq!(rig.push(&[b'b'; 20]), 15);
    assert_eq!((rig.read(0x3c), rig.read(0x18)), (0x50, 0xc7));
    assert_eq!(rig.push(b"c"), 0);
    assert_eq!(rig.read(0x00), 0x61);
    for _ in 0..14 {
        assert_eq!(rig.read(0x00), 0x62);
    }
    assert_eq!((rig.read(0x3c), rig.levels.as_slice()), (0x40, &[true, false][..]));
    assert_eq!((rig.read(0x00), rig.read(0x3c), rig.read(0x18)), (0x62, 0, 0x97));
    assert_eq!(rig.read(0x00), 0);
}

#[test]
fn the_receive_level_is_a_part_of_the_fifo() {
    for (select, level) in [(0, 2), (1, 4), (2, 8), (3, 12), (4, 14)] {
        let mut rig = Rig::new();
        rig.write(0x2c, 0x10);
        rig.write(0x34, select << 3);
        rig.push(&vec![0; level - 1]);
        assert_eq!(rig.read(0x3c) & 0x10, 0, "{select}");
        rig.push(&[0]);
        assert_eq!(rig.read(0x3c) & 0x10, 0x10, "{select}");
    }
}

#[test]
fn without_the_fifo_there_is_one_byte() {
    let mut rig = Rig::new();
    assert_eq!(rig.push(b"ab"), 1);
    assert_eq!(rig.read(0x3c), 0x50);
    // Turning the FIFO on empties it.
    rig.write(0x2c, 0x10);
    assert_eq!((rig.read(0x18), rig.read(0x3c)), (0x97, 0));
}

#[test]
fn loop_back_joins_outputs_and_inputs() {
    let mut rig = Rig::new();
    rig.write(0x2c, 0x10);
    rig.write(0x30, 0x381);
    // The terminal's lines went away.
    assert_eq!((rig.read(0x18), rig.read(0x3c)), (0x90, 0x0e));
    rig.write(0x44, 0x7ff);
    rig.write(0x30, 0x3f81);
    assert_eq!((rig.read(0x18), rig.read(0x3c)), (0x197, 0x0f));
    assert_eq!(rig.push(b"x"), 0, "the line is cut");
    for _ in 0..17 {
        rig.write(0x00, 0x55);
    }
    assert_eq!((rig.uart.take_output(), rig.read(0x04), rig.read(0x3c) & 0x400), (vec![], 8, 0x400));
    assert_eq!((rig.read(0x00), rig.read(0x00)), (0x855, 0x55));
    rig.write(0x04, 0);
    assert_eq!(rig.read(0x04), 0);
}

#[test]
fn every_size_at_every_offset() {
    let mut rig = Rig::new();
    for offset in [0, 1, 3, 0x17, 0x3e, 0xffd, 0xfff, 0x1000, u64::MAX] {
        for len in 0..=8 {
            let mut data = [0; 8];
            rig.call(|uart, fx| uart.write(offset, &data[..len], fx));
            rig.call(|uart, fx| uart.read(offset, &mut data[..len], fx));
        }
    }
}

#[test]
fn a_saved_uart_goes_on_where_it_was() {
    let mut one = Rig::new();
    one.write(0x2c, 0x10);
    one.write(0x24, 0x1234);
    one.write(0x38, 0x40);
    one.push(b"ab");
    one.write(0x00, 0x7a);
    let state = one.uart.save();
    let text = serde_json::to_string(&state).unwrap();
    let mut two = Rig::new();
    two.uart.restore(serde_json::from_str(&text).unwrap());
    assert_eq!(two.uart.save(), state);
    assert_eq!((two.uart.take_output(), two.read(0x24)), (b"z".to_vec(), 0x1234));
    assert_eq!([two.read(0), two.read(0)], [0x61, 0x62]);
    assert_eq!(two.levels, [false], "it was asserted");
    let mut damaged = one.uart.save();
    damaged.received = vec![0; 1000];
    two.uart.restore(damaged);
    assert_eq!(two.uart.save().received.len(), 16);
}
