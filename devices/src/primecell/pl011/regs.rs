//! Registers of the UART with fields of their own [DDI 0183 3.3].

use crate::register;

register! {
    /// Flag register, UARTFR, 0x018 [DDI 0183 3.3.3].
    pub(super) struct Flags: u32 {
        31:9 RsvdZ _r0,
        8:8  Ro    ri: bool,
        7:7  Ro    txfe: bool,
        6:6  Ro    rxff: bool,
        5:5  Ro    txff: bool,
        4:4  Ro    rxfe: bool,
        3:3  Ro    busy: bool,
        2:2  Ro    dcd: bool,
        1:1  Ro    dsr: bool,
        0:0  Ro    cts: bool,
    }
}

register! {
    /// Line control register, UARTLCR_H, 0x02c [DDI 0183 3.3.7].
    pub(super) struct LineControl: u32 {
        31:8 RsvdZ _r0,
        7:7  Rw    sps: bool,
        6:5  Rw    wlen: u8,
        4:4  Rw    fen: bool,
        3:3  Rw    stp2: bool,
        2:2  Rw    eps: bool,
        1:1  Rw    pen: bool,
        0:0  Rw    brk: bool,
    }
}

register! {
    /// Control register, UARTCR, 0x030 [DDI 0183 3.3.8].
    pub(super) struct Control: u32 {
        31:16 RsvdZ _r1,
        15:15 Rw    ctsen: bool,
        14:14 Rw    rtsen: bool,
        13:13 Rw    out2: bool,
        12:12 Rw    out1: bool,
        11:11 Rw    rts: bool,
        10:10 Rw    dtr: bool,
        9:9   Rw    rxe: bool,
        8:8   Rw    txe: bool,
        7:7   Rw    lbe: bool,
        6:3   RsvdZ _r0,
        2:2   Rw    sirlp: bool,
        1:1   Rw    siren: bool,
        0:0   Rw    uarten: bool,
    }
}

register! {
    /// Interrupt FIFO level select register, UARTIFLS, 0x034 [DDI 0183 3.3.9].
    pub(super) struct FifoLevels: u32 {
        31:6 RsvdZ _r0,
        5:3  Rw    rxiflsel: u8,
        2:0  Rw    txiflsel: u8,
    }
}

register! {
    /// The interrupts, as UARTIMSC, UARTRIS, UARTMIS and UARTICR have them [DDI 0183 3.3.10].
    pub(super) struct Interrupts: u32 {
        31:11 RsvdZ _r0,
        10:10 Rw    oe: bool,
        9:9   Rw    be: bool,
        8:8   Rw    pe: bool,
        7:7   Rw    fe: bool,
        6:6   Rw    rt: bool,
        5:5   Rw    tx: bool,
        4:4   Rw    rx: bool,
        3:3   Rw    dsr: bool,
        2:2   Rw    dcd: bool,
        1:1   Rw    cts: bool,
        0:0   Rw    ri: bool,
    }
}
