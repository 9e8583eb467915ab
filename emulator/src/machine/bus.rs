//! Accesses of processors: which model an address or port belongs to.

use devices::addr::Pa;
use devices::ioapic;
use devices::pic;
use devices::trace::TraceEvent;
use devices::vtd;

use super::{Machine, Remapper, layout};
use crate::legacy::{DebugExit, FwCfg};

/// Bytes of the widest access that reaches a model.
const WIDEST: usize = 8;

impl Machine {
    /// Reads memory or device registers, as a processor does. Any size and alignment is served:
    /// parts in RAM are copied, others reach their model in accesses of at most 8 bytes.
    pub fn read(&mut self, address: u64, data: &mut [u8]) {
        let mut done = 0;
        while done < data.len() {
            let Some(at) = address.checked_add(done as u64) else { return data[done..].fill(0xff) };
            match self.piece(at, data.len() - done) {
                Piece::Ram(len) => {
                    let read = self.phys.read(Pa(at), &mut data[done..done + len]);
                    debug_assert!(read.is_ok(), "the piece was found in RAM");
                    done += len;
                }
                Piece::Device(len) => {
                    self.device_read(at, &mut data[done..done + len]);
                    done += len;
                }
            }
        }
    }

    /// Writes memory or device registers, as a processor does; see [`Self::read`].
    pub fn write(&mut self, address: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let Some(at) = address.checked_add(done as u64) else { return };
            match self.piece(at, data.len() - done) {
                Piece::Ram(len) => {
                    let written = self.phys.write(Pa(at), &data[done..done + len]);
                    debug_assert!(written.is_ok(), "the piece was found in RAM");
                    done += len;
                }
                Piece::Device(len) => {
                    self.device_write(at, &data[done..done + len]);
                    done += len;
                }
            }
        }
    }

    /// Reads from I/O ports; `data` is 1, 2 or 4 bytes.
    pub fn io_read(&mut self, port: u16, data: &mut [u8]) {
        let mut fx = self.effects();
        match Port::of(port) {
            Port::Serial(offset) => self.serial.read(offset, data, &mut fx),
            Port::Rtc(offset) => self.rtc.read(offset, data, &mut fx),
            Port::Pic => self.pic.read(port, data, &mut fx),
            Port::FwCfg(offset) => self.fw_cfg.read(offset, data, &mut fx),
            Port::Exit(offset) => self.debug_exit.read(offset, data, &mut fx),
            Port::Other if self.pci.io_read(port, data, &mut fx) => {}
            Port::Other => {
                data.fill(0xff);
                fx.trace(|| unclaimed("port", port.into(), data.len(), false));
            }
        }
        self.deliver(fx);
    }

    /// Writes to I/O ports; `data` is 1, 2 or 4 bytes.
    pub fn io_write(&mut self, port: u16, data: &[u8]) {
        let mut fx = self.effects();
        match Port::of(port) {
            Port::Serial(offset) => self.serial.write(offset, data, &mut fx),
            Port::Rtc(offset) => self.rtc.write(offset, data, &mut fx),
            Port::Pic => self.pic.write(port, data, &mut fx),
            Port::FwCfg(offset) => self.fw_cfg.write(offset, data, &mut fx),
            Port::Exit(offset) => self.debug_exit.write(offset, data, &mut fx),
            Port::Other if self.pci.io_write(port, data, &mut fx) => {}
            Port::Other => fx.trace(|| unclaimed("port", port.into(), data.len(), true)),
        }
        self.deliver(fx);
    }

    fn device_read(&mut self, address: u64, data: &mut [u8]) {
        let mut fx = self.effects();
        match Window::of(address, &mut self.units) {
            Window::Unit(Remapper { unit, device, .. }, offset) => {
                fx.set_device(*device);
                unit.read(offset, data, &mut fx);
            }
            Window::IoApic(offset) => self.ioapic.read(offset, data, &mut fx),
            Window::Ecam(offset) => self.pci.ecam_read(offset, data),
            _ if self.pci.mmio_read(address, data, &mut fx) => {}
            _ => {
                data.fill(0xff);
                fx.trace(|| unclaimed("memory", address, data.len(), false));
            }
        }
        self.deliver(fx);
    }

    fn device_write(&mut self, address: u64, data: &[u8]) {
        let mut fx = self.effects();
        match Window::of(address, &mut self.units) {
            Window::Unit(Remapper { unit, device, .. }, offset) => {
                fx.set_device(*device);
                unit.write(offset, data, &mut fx);
                self.routes.touch();
            }
            Window::IoApic(offset) => {
                self.ioapic.write(offset, data, &mut fx);
                self.routes.touch();
            }
            Window::Ecam(offset) => self.pci.ecam_write(offset, data, &mut fx),
            _ if self.pci.mmio_write(address, data, &mut fx) => {}
            _ => fx.trace(|| unclaimed("memory", address, data.len(), true)),
        }
        self.deliver(fx);
    }

    /// Cuts the next piece off an access of `left` bytes at `at`.
    fn piece(&self, at: u64, left: usize) -> Piece {
        if let Some((_, ram)) = self.phys.resolve(Pa(at)) {
            return Piece::Ram(usize::try_from(ram).map_or(left, |ram| ram.min(left)));
        }
        if left <= WIDEST {
            // A device's part ends where RAM begins.
            let is_ram = |ahead: &usize| self.phys.resolve(Pa(at.wrapping_add(*ahead as u64))).is_some();
            return Piece::Device((1..left).find(is_ram).unwrap_or(left));
        }
        // The largest power of two that divides the address; all of them divide address 0.
        let aligned = 1 << at.trailing_zeros().min(WIDEST.ilog2());
        Piece::Device(aligned)
    }
}

enum Piece {
    Ram(usize),
    Device(usize),
}

/// What is at fixed addresses outside RAM, with the offset in it.
enum Window<'a> {
    Unit(&'a mut Remapper, u64),
    IoApic(u64),
    Ecam(u64),
    Other,
}

impl<'a> Window<'a> {
    fn of(address: u64, units: &'a mut [Remapper]) -> Self {
        let offset = |first: u64, size: u64| address.checked_sub(first).filter(|offset| *offset < size);
        let unit = |remapper: &'a mut Remapper| Some((offset(remapper.base, vtd::REGISTERS_SIZE)?, remapper));
        if let Some((offset, remapper)) = units.iter_mut().find_map(unit) {
            Self::Unit(remapper, offset)
        } else if let Some(offset) = offset(layout::IOAPIC_BASE, ioapic::REGISTERS_SIZE) {
            Self::IoApic(offset)
        } else if let Some(offset) = offset(layout::ECAM_BASE, layout::ECAM_SIZE) {
            Self::Ecam(offset)
        } else {
            Self::Other
        }
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

fn unclaimed(space: &'static str, address: u64, len: usize, write: bool) -> TraceEvent {
    TraceEvent::Unclaimed { space, address, len: len as u64, write }
}
