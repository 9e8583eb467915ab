//! Accesses of processors: which model an address or port belongs to.

use devices::addr::Pa;
use devices::trace::TraceEvent;

use super::board::Board;
use super::{Machine, Remapper, layout};

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

    /// Reads from I/O ports, of which only a q35 has any; `data` is 1, 2 or 4 bytes.
    pub fn io_read(&mut self, port: u16, data: &mut [u8]) {
        let mut fx = self.effects();
        let claimed = match &mut self.board {
            Board::Q35(board) => {
                board.port_read(port, data, &mut fx) || self.pci.io_read(port, data, &mut fx)
            }
            Board::Virt(_) => false,
        };
        if !claimed {
            data.fill(0xff);
            fx.trace(|| unclaimed("port", port.into(), data.len(), false));
        }
        self.deliver(fx);
    }

    /// Writes to I/O ports; `data` is 1, 2 or 4 bytes.
    pub fn io_write(&mut self, port: u16, data: &[u8]) {
        let mut fx = self.effects();
        let claimed = match &mut self.board {
            Board::Q35(board) => {
                board.port_write(port, data, &mut fx) || self.pci.io_write(port, data, &mut fx)
            }
            Board::Virt(_) => false,
        };
        if !claimed {
            fx.trace(|| unclaimed("port", port.into(), data.len(), true));
        }
        self.deliver(fx);
    }

    fn device_read(&mut self, address: u64, data: &mut [u8]) {
        let mut fx = self.effects();
        match self.window(address) {
            Window::Unit(index, offset) => {
                if let Some(Remapper { unit, device, .. }) = self.units.get_mut(index) {
                    fx.set_device(*device);
                    unit.read(offset, data, &mut fx);
                }
            }
            Window::Ecam(offset) => self.pci.ecam_read(offset, data),
            Window::Other { pci } => {
                let claimed = self.board.read(address, data, &mut fx)
                    || self.platform.read(address, data, &mut fx)
                    || pci && self.pci.mmio_read(address, data, &mut fx);
                if !claimed {
                    data.fill(0xff);
                    fx.trace(|| unclaimed("memory", address, data.len(), false));
                }
            }
        }
        self.deliver(fx);
    }

    fn device_write(&mut self, address: u64, data: &[u8]) {
        let mut fx = self.effects();
        match self.window(address) {
            Window::Unit(index, offset) => {
                if let Some(Remapper { unit, device, .. }) = self.units.get_mut(index) {
                    fx.set_device(*device);
                    unit.write(offset, data, &mut fx);
                    self.board.unit_changed();
                }
            }
            Window::Ecam(offset) => self.pci.ecam_write(offset, data, &mut fx),
            Window::Other { pci } => {
                let claimed = self.board.write(address, data, &mut fx)
                    || self.platform.write(address, data, &mut fx)
                    || pci && self.pci.mmio_write(address, data, &mut fx);
                if !claimed {
                    fx.trace(|| unclaimed("memory", address, data.len(), true));
                }
            }
        }
        self.deliver(fx);
    }

    /// What is at an address outside RAM.
    fn window(&self, address: u64) -> Window {
        let offset = |first: u64, size: u64| address.checked_sub(first).filter(|offset| *offset < size);
        let unit = |(index, remapper): (usize, &Remapper)| {
            Some(Window::Unit(index, offset(remapper.base, remapper.size())?))
        };
        let (ecam, size, pci) = match self.board {
            // Whatever the root complex does not take for itself goes to PCI.
            Board::Q35(_) => (layout::q35::ECAM_BASE, layout::q35::ECAM_SIZE, true),
            Board::Virt(_) => {
                let windows = [layout::virt::PCI_WINDOW, layout::virt::PCI_HIGH_WINDOW];
                let pci = windows.iter().any(|window| window.contains(&address));
                (layout::virt::ECAM_BASE, layout::virt::ECAM_SIZE, pci)
            }
        };
        let unit = self.units.iter().enumerate().find_map(unit);
        unit.or_else(|| offset(ecam, size).map(Window::Ecam)).unwrap_or(Window::Other { pci })
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

/// What is outside RAM, with the offset in it.
enum Window {
    /// The unit of this index.
    Unit(usize, u64),
    Ecam(u64),
    Other {
        /// Whether PCI functions can be there.
        pci: bool,
    },
}

fn unclaimed(space: &'static str, address: u64, len: usize, write: bool) -> TraceEvent {
    TraceEvent::Unclaimed { space, address, len: len as u64, write }
}
