//! Devices at fixed I/O ports.

use devices::fabric::Effects;
use devices::pic;

use super::{Q35, layout};
use crate::legacy::{DebugExit, FwCfg};

impl Q35 {
    /// Reads ports. Returns whether a device of the board has them; if not, they may be PCI's, and
    /// `data` is untouched.
    pub fn port_read(&mut self, port: u16, data: &mut [u8], fx: &mut Effects) -> bool {
        match Port::of(port) {
            Port::Serial(offset) => self.serial.read(offset, data, fx),
            Port::Rtc(offset) => self.rtc.read(offset, data, fx),
            Port::Pic => self.pic.read(port, data, fx),
            Port::FwCfg(offset) => self.fw_cfg.read(offset, data, fx),
            Port::Exit(offset) => self.debug_exit.read(offset, data, fx),
            Port::Other => return false,
        }
        true
    }

    /// Writes ports. Returns whether a device of the board has them.
    pub fn port_write(&mut self, port: u16, data: &[u8], fx: &mut Effects) -> bool {
        match Port::of(port) {
            Port::Serial(offset) => self.serial.write(offset, data, fx),
            Port::Rtc(offset) => self.rtc.write(offset, data, fx),
            Port::Pic => self.pic.write(port, data, fx),
            Port::FwCfg(offset) => self.fw_cfg.write(offset, data, fx),
            Port::Exit(offset) => self.debug_exit.write(offset, data, fx),
            Port::Other => return false,
        }
        true
    }
}

/// A device at fixed ports, with the offset in its range; what is not one of them may be PCI.
enum Port {
    Serial(u16),
    Rtc(u16),
    /// It has ports in several places and tells them apart itself.
    Pic,
    FwCfg(u16),
    Exit(u16),
    Other,
}

impl Port {
    fn of(port: u16) -> Self {
        let offset = |first: u16, ports: u16| port.checked_sub(first).filter(|offset| *offset < ports);
        if let Some(offset) = offset(layout::SERIAL_PORT, 8) {
            Self::Serial(offset)
        } else if let Some(offset) = offset(layout::RTC_PORT, 2) {
            Self::Rtc(offset)
        } else if pic::PORTS.iter().any(|ports| ports.contains(&port)) {
            Self::Pic
        } else if let Some(offset) = offset(layout::FW_CFG_PORT, FwCfg::PORTS) {
            Self::FwCfg(offset)
        } else if let Some(offset) = offset(layout::EXIT_PORT, DebugExit::PORTS) {
            Self::Exit(offset)
        } else {
            Self::Other
        }
    }
}
