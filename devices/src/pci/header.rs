//! The type 0 and type 1 headers [PCIe 7.5.1], dword by dword.

use super::config::{Builder, ConfigSpace};
use super::endpoint::Description;
use super::lines::Pin;
use crate::register;

/// Offset of [`CommandStatus`].
pub(super) const COMMAND: u16 = 0x04;
/// Offset of [`HeaderType`].
pub(super) const HEADER: u16 = 0x0c;
/// Offset of the first BAR.
pub(super) const BAR0: u16 = 0x10;
/// Offset of [`BusNumbers`] in a type 1 header.
pub(super) const BUS_NUMBERS: u16 = 0x18;
/// Offset of [`MemoryWindow`].
pub(super) const MEMORY: u16 = 0x20;
/// Offset of [`PrefetchWindow`].
pub(super) const PREFETCH: u16 = 0x24;
/// Offset of the upper half of the prefetchable base.
pub(super) const PREFETCH_BASE_UPPER: u16 = 0x28;
/// Offset of the upper half of the prefetchable limit.
pub(super) const PREFETCH_LIMIT_UPPER: u16 = 0x2c;
/// Offset of [`Interrupt`] and of [`BridgeControl`].
pub(super) const INTERRUPT: u16 = 0x3c;

register! {
    /// Device ID and Vendor ID [PCIe 7.5.1.1.1].
    pub(super) struct Identity: u32 {
        31:16 Ro device: u16,
        15:0  Ro vendor: u16,
    }
}

register! {
    /// Status and Command [PCIe 7.5.1.1.3, 7.5.1.1.4].
    pub(super) struct CommandStatus: u32 {
        31:31 Rw1c  detected_parity: bool,
        30:30 Rw1c  signaled_system: bool,
        29:29 Rw1c  received_master_abort: bool,
        28:28 Rw1c  received_target_abort: bool,
        27:27 Rw1c  signaled_target_abort: bool,
        26:25 Ro    _devsel,
        24:24 Rw1c  master_parity: bool,
        23:21 Ro    _r3,
        20:20 Ro    capabilities: bool,
        19:19 Ro    interrupt: bool,
        18:11 RsvdP _r2,
        10:10 Rw    interrupt_disable: bool,
        9:9   Ro    _back_to_back,
        8:8   Rw    serr: bool,
        7:7   Ro    _stepping,
        6:6   Rw    parity: bool,
        5:3   Ro    _r0,
        2:2   Rw    master: bool,
        1:1   Rw    memory: bool,
        0:0   Rw    io: bool,
    }
}

register! {
    /// Class Code and Revision ID [PCIe 7.5.1.1.5, 7.5.1.1.6].
    pub(super) struct Class: u32 {
        31:8 Ro class: u32,
        7:0  Ro revision: u8,
    }
}

register! {
    /// BIST, Header Type, Latency Timer and Cache Line Size [PCIe 7.5.1.1.7].
    pub(super) struct HeaderType: u32 {
        31:24 Ro bist: u8,
        23:23 Ro multi_function: bool,
        22:16 Ro layout: u8,
        15:8  Ro latency: u8,
        7:0   Rw cache_line: u8,
    }
}

register! {
    /// Subsystem ID and Subsystem Vendor ID [PCIe 7.5.1.2.3].
    pub(super) struct Subsystem: u32 {
        31:16 Ro id: u16,
        15:0  Ro vendor: u16,
    }
}

register! {
    /// Max_Lat, Min_Gnt, Interrupt Pin and Interrupt Line [PCIe 7.5.1.1.12].
    pub(super) struct Interrupt: u32 {
        31:16 Ro _latency,
        15:8  Ro pin: u8,
        7:0   Rw line: u8,
    }
}

register! {
    /// Secondary Latency Timer and bus numbers of a bridge [PCIe 7.5.1.3.1].
    pub(super) struct BusNumbers: u32 {
        31:24 Ro _latency,
        23:16 Rw subordinate: u8,
        15:8  Rw secondary: u8,
        7:0   Rw primary: u8,
    }
}

register! {
    /// Secondary Status, I/O Limit and I/O Base [PCIe 7.5.1.3.6, 7.5.1.3.7]. An I/O window that
    /// reads as zero and cannot be written is one that the bridge does not have.
    pub(super) struct SecondaryStatus: u32 {
        31:27 Rw1c  errors: u8,
        26:25 Ro    _devsel,
        24:24 Rw1c  master_parity: bool,
        23:16 Ro    _r0,
        15:0  Ro    _io_window,
    }
}

register! {
    /// Memory Limit and Memory Base [PCIe 7.5.1.3.8]: address bits 31:20.
    pub(super) struct MemoryWindow: u32 {
        31:20 Rw limit: u16,
        19:16 Ro _r1,
        15:4  Rw base: u16,
        3:0   Ro _r0,
    }
}

register! {
    /// Prefetchable Memory Limit and Base [PCIe 7.5.1.3.9]: address bits 31:20; kind 1 says that
    /// the upper halves exist.
    pub(super) struct PrefetchWindow: u32 {
        31:20 Rw limit: u16,
        19:16 Ro limit_kind: u8,
        15:4  Rw base: u16,
        3:0   Ro base_kind: u8,
    }
}

register! {
    /// Bridge Control, Interrupt Pin and Interrupt Line of a bridge [PCIe 7.5.1.3.13].
    pub(super) struct BridgeControl: u32 {
        31:23 Ro _r1,
        22:22 Rw secondary_reset: bool,
        21:18 Ro _r0,
        17:17 Rw serr: bool,
        16:16 Rw parity: bool,
        15:8  Ro pin: u8,
        7:0   Rw line: u8,
    }
}

/// What the first dwords of both headers say.
pub(super) struct Common {
    pub(super) vendor: u16,
    pub(super) device: u16,
    pub(super) revision: u8,
    pub(super) class: u32,
    /// 0: function, 1: bridge.
    pub(super) layout: u8,
}

impl Common {
    pub(super) fn build(&self, builder: &mut Builder) {
        builder.register(0x00, Identity::ZERO.with_vendor(self.vendor).with_device(self.device));
        builder.register(COMMAND, CommandStatus::ZERO);
        builder.register(0x08, Class::ZERO.with_class(self.class).with_revision(self.revision));
        builder.register(HEADER, HeaderType::ZERO.with_layout(self.layout));
    }
}

/// The type 0 header of a model, BARs included.
pub(super) fn type0(builder: &mut Builder, of: &Description) {
    let Description { vendor, device, revision, class, .. } = *of;
    Common { vendor, device, revision, class, layout: 0 }.build(builder);
    for bar in of.bars {
        bar.build(builder);
    }
    builder.register(0x2c, Subsystem::ZERO.with_vendor(of.subsystem_vendor).with_id(of.subsystem));
    builder.register(INTERRUPT, Interrupt::ZERO.with_pin(of.pin.map_or(0, Pin::register)));
}

/// The host bridge of a Q35 chipset: an identity and nothing else.
pub(super) fn host_bridge() -> ConfigSpace {
    let mut builder = Builder::new(false);
    Common { vendor: 0x8086, device: 0x29c0, revision: 0, class: 0x06_0000, layout: 0 }.build(&mut builder);
    builder.finish()
}
