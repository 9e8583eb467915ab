//! Controller registers [NVMe 3.1].

use crate::register;

register! {
    /// Controller Capabilities [NVMe 3.1.1].
    pub(super) struct Cap: u64 {
        63:58 Ro _r3,
        57:57 Ro cmbs: bool,
        56:56 Ro pmrs: bool,
        55:52 Ro mpsmax: u8,
        51:48 Ro mpsmin: u8,
        47:46 Ro _r2,
        45:45 Ro bps: bool,
        44:37 Ro css: u8,
        36:36 Ro nssrs: bool,
        35:32 Ro dstrd: u8,
        31:24 Ro to: u8,
        23:19 Ro _r1,
        18:17 Ro ams: u8,
        16:16 Ro cqr: bool,
        15:0  Ro mqes: u16,
    }
}

register! {
    /// Controller Configuration [NVMe 3.1.5].
    pub(super) struct Cc: u32 {
        31:24 RsvdZ _r1,
        23:20 Rw    iocqes: u8,
        19:16 Rw    iosqes: u8,
        15:14 Rw    shn: u8,
        13:11 Rw    ams: u8,
        10:7  Rw    mps: u8,
        6:4   Rw    css: u8,
        3:1   RsvdZ _r0,
        0:0   Rw    en: bool,
    }
}

register! {
    /// Controller Status [NVMe 3.1.6].
    pub(super) struct Csts: u32 {
        31:6 RsvdZ _r0,
        5:5  Ro    pp: bool,
        4:4  Rw1c  nssro: bool,
        3:2  Ro    shst: u8,
        1:1  Ro    cfs: bool,
        0:0  Ro    rdy: bool,
    }
}

register! {
    /// Admin Queue Attributes [NVMe 3.1.8].
    pub(super) struct Aqa: u32 {
        31:28 RsvdZ _r1,
        27:16 Rw    acqs: u16,
        15:12 RsvdZ _r0,
        11:0  Rw    asqs: u16,
    }
}

/// Version 1.4 [NVMe 3.1.2].
pub(super) const VERSION: u32 = 0x0001_0400;

/// Bits 11:0 of the base addresses of the admin queues are reserved [NVMe 3.1.9, 3.1.10].
pub(super) const QUEUE_BASE: u64 = !0xfff;

/// What this controller can do. The largest memory page has 64 KiB.
pub(super) const CAP: Cap = Cap::ZERO
    .with_mqes(super::QUEUE_ENTRIES_MAX - 1)
    .with_cqr(true)
    // 10 s, in units of 500 ms.
    .with_to(20)
    // The NVM command set.
    .with_css(1)
    .with_mpsmax(4);

/// Offset of the first doorbell.
const DOORBELLS: u64 = 0x1000;

/// A doorbell [NVMe 3.1.24, 3.1.25].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doorbell {
    /// Submission Queue Tail, of this queue.
    Tail(u16),
    /// Completion Queue Head, of this queue.
    Head(u16),
}

impl Doorbell {
    /// The doorbell at `offset`, a multiple of 4; CAP.DSTRD is 0.
    pub(super) fn at(offset: u64) -> Option<Self> {
        let number = offset.checked_sub(DOORBELLS)? / 4;
        let queue = u16::try_from(number / 2).ok()?;
        Some(if number.is_multiple_of(2) { Self::Tail(queue) } else { Self::Head(queue) })
    }
}
