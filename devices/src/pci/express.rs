//! The PCI Express capability, version 2 [PCIe 7.5.3].
//!
//! Links are 2.5 GT/s, one lane, always up. Registers that a kind of function does not have read as
//! zero, as version 2 demands.

use super::config::{Builder, ConfigSpace};
use crate::register;

const ID: u8 = 0x10;
const LEN: u16 = 0x3c;
const CONTROL: u16 = 0x08;

register! {
    /// PCI Express Capabilities, and the list header before it [PCIe 7.5.3.1, 7.5.3.2].
    pub(super) struct Capabilities: u32 {
        31:30 Ro _r0,
        29:25 Ro message: u8,
        24:24 Ro slot: bool,
        23:20 Ro kind: u8,
        19:16 Ro version: u8,
        15:8  Ro next: u8,
        7:0   Ro id: u8,
    }
}

register! {
    /// Device Capabilities [PCIe 7.5.3.3].
    pub(super) struct DeviceCapabilities: u32 {
        31:29 Ro _r1,
        28:28 Ro flr: bool,
        27:16 Ro _power,
        15:15 Ro role_based_errors: bool,
        14:6  Ro _r0,
        5:5   Ro extended_tag: bool,
        4:3   Ro phantom: u8,
        2:0   Ro max_payload: u8,
    }
}

register! {
    /// Device Status and Device Control [PCIe 7.5.3.4, 7.5.3.5].
    pub(super) struct Device: u32 {
        31:22 RsvdZ _r0,
        21:21 Ro    pending: bool,
        20:20 Ro    _aux_power,
        19:19 Rw1c  unsupported: bool,
        18:18 Rw1c  fatal: bool,
        17:17 Rw1c  nonfatal: bool,
        16:16 Rw1c  correctable: bool,
        15:15 Rw    initiate_flr: bool,
        14:12 Rw    max_read_request: u8,
        11:11 Rw    no_snoop: bool,
        10:10 Ro    _aux_power_enable,
        9:9   Ro    _phantom_enable,
        8:8   Ro    _extended_tag_enable,
        7:5   Rw    max_payload: u8,
        4:4   Rw    relaxed_ordering: bool,
        3:0   Rw    report: u8,
    }
}

register! {
    /// Link Capabilities [PCIe 7.5.3.6].
    pub(super) struct LinkCapabilities: u32 {
        31:24 Ro port: u8,
        23:23 Ro _r1,
        22:22 Ro aspm_optional: bool,
        21:21 Ro bandwidth_notification: bool,
        20:20 Ro active_reporting: bool,
        19:10 Ro _r0,
        9:4   Ro width: u8,
        3:0   Ro speed: u8,
    }
}

register! {
    /// Link Status and Link Control [PCIe 7.5.3.7, 7.5.3.8].
    pub(super) struct Link: u32 {
        31:30 RsvdZ _r3,
        29:29 Ro    active: bool,
        28:26 Ro    _r2,
        25:20 Ro    width: u8,
        19:16 Ro    speed: u8,
        15:8  RsvdP _r1,
        7:7   Rw    extended_synch: bool,
        6:6   Rw    common_clock: bool,
        5:2   Ro    _r0,
        1:0   Rw    aspm: u8,
    }
}

register! {
    /// Root Capabilities and Root Control [PCIe 7.5.3.12, 7.5.3.13].
    pub(super) struct Root: u32 {
        31:4 Ro _r0,
        3:3  Rw pme: bool,
        2:2  Rw fatal: bool,
        1:1  Rw nonfatal: bool,
        0:0  Rw correctable: bool,
    }
}

register! {
    /// Device Capabilities 2 [PCIe 7.5.3.15].
    pub(super) struct DeviceCapabilities2: u32 {
        31:22 Ro _r2,
        21:21 Ro prefixes: bool,
        20:5  Ro _r1,
        4:4   Ro timeout_disable: bool,
        3:0   Ro _r0,
    }
}

register! {
    /// Device Status 2 and Device Control 2 [PCIe 7.5.3.16, 7.5.3.17].
    pub(super) struct Device2: u32 {
        31:5 RsvdP _r1,
        4:4  Rw    timeout_disable: bool,
        3:0  Ro    _r0,
    }
}

register! {
    /// Link Capabilities 2 [PCIe 7.5.3.18].
    pub(super) struct LinkCapabilities2: u32 {
        31:8 Ro _r1,
        7:1  Ro speeds: u8,
        0:0  Ro _r0,
    }
}

register! {
    /// Link Status 2 and Link Control 2 [PCIe 7.5.3.19, 7.5.3.20].
    pub(super) struct Link2: u32 {
        31:4 RsvdP _r0,
        3:0  Rw    target_speed: u8,
    }
}

/// Device/Port Type [PCIe 7.5.3.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Endpoint,
    RootPort,
    RootComplexEndpoint,
}

impl Kind {
    const fn encoding(self) -> u8 {
        match self {
            Self::Endpoint => 0,
            Self::RootPort => 4,
            Self::RootComplexEndpoint => 9,
        }
    }
}

/// Appends the capability and returns its offset.
pub(super) fn build(builder: &mut Builder, kind: Kind) -> u16 {
    let at = builder.capability(LEN);
    let header = Capabilities::ZERO.with_id(ID).with_version(2).with_kind(kind.encoding());
    builder.register(at, header);
    let endpoint = kind != Kind::RootPort;
    let capabilities = DeviceCapabilities::ZERO.with_role_based_errors(true).with_flr(endpoint);
    builder.register(at + 0x04, capabilities);
    let device = Device::ZERO.with_relaxed_ordering(true).with_no_snoop(true).with_max_read_request(2);
    builder.register(at + CONTROL, device);
    if !endpoint {
        builder.make_read_only(at + CONTROL, Device::ZERO.with_initiate_flr(true).raw());
        builder.register(at + 0x1c, Root::ZERO);
    }
    builder.register(at + 0x24, DeviceCapabilities2::ZERO.with_timeout_disable(true));
    builder.register(at + 0x28, Device2::ZERO);
    if kind != Kind::RootComplexEndpoint {
        let port = !endpoint;
        builder.register(
            at + 0x0c,
            LinkCapabilities::ZERO.with_speed(1).with_width(1).with_active_reporting(port),
        );
        builder.register(at + 0x10, Link::ZERO.with_speed(1).with_width(1).with_active(port));
        builder.register(at + 0x2c, LinkCapabilities2::ZERO.with_speeds(1));
        builder.register(at + 0x30, Link2::ZERO.with_target_speed(1));
    }
    at
}

/// Whether software has just asked for a function-level reset [PCIe 6.6.2].
pub(super) fn initiates_flr(config: &ConfigSpace, at: u16) -> bool {
    Device::from_raw(config.dword(at + CONTROL)).initiate_flr()
}
