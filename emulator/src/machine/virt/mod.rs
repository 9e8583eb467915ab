//! The board virt: what a machine for AArch64 has at fixed addresses.
//!
//! Interrupt lines are the shared peripheral interrupts of a GICv3, and messages go to its ITS; what
//! comes of them is the levels at the inputs of the processors.
//!
//! There are no I/O ports: nothing decodes the window that leads to PCI's.

mod processors;

use devices::events::{DeviceEvent, DeviceId};
use devices::fabric::{Effects, Initiator};
use devices::gic::{self, Gic};
use devices::mem::PhysMem;
use devices::primecell::{self, Pl011, Pl011State, Pl031, Pl031State};
use serde::{Deserialize, Serialize};

use super::board::Sender;
use super::layout::virt as layout;
use crate::config::VirtSpec;
use crate::legacy::Rtc;

/// The clock's number in the event queue.
const RTC: DeviceId = DeviceId(0x20);
/// That of the interrupt controller.
const GIC: DeviceId = DeviceId(0x21);

/// The devices of the board.
pub(super) struct Virt {
    pub gic: Gic,
    pub uart: Pl011,
    /// What programs of the guest say past its console.
    pub auxiliary_uart: Pl011,
    rtc: Pl031,
}

/// A saved [`Virt`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    gic: gic::State,
    uart: Pl011State,
    auxiliary_uart: Pl011State,
    rtc: Pl031State,
}

/// What is at fixed addresses, with the offset in it.
enum Window {
    Distributor(u64),
    Its(u64),
    Redistributors(u64),
    Uart(u64),
    AuxiliaryUart(u64),
    Rtc(u64),
}

impl Window {
    fn of(address: u64) -> Option<Self> {
        let offset = |first: u64, size: u64| address.checked_sub(first).filter(|offset| *offset < size);
        if let Some(offset) = offset(layout::GICD_BASE, gic::DISTRIBUTOR_SIZE) {
            Some(Self::Distributor(offset))
        } else if let Some(offset) = offset(layout::ITS_BASE, gic::its::FRAMES_SIZE) {
            Some(Self::Its(offset))
        } else if let Some(offset) = offset(layout::GICR_BASE, layout::GICR_SIZE) {
            Some(Self::Redistributors(offset))
        } else if let Some(offset) = offset(layout::UART_BASE, primecell::REGISTERS_SIZE) {
            Some(Self::Uart(offset))
        } else if let Some(offset) = offset(layout::AUXILIARY_UART_BASE, primecell::REGISTERS_SIZE) {
            Some(Self::AuxiliaryUart(offset))
        } else {
            offset(layout::RTC_BASE, primecell::REGISTERS_SIZE).map(Self::Rtc)
        }
    }
}

impl Virt {
    /// The board as after reset; tables of interrupts lie in `mem`.
    pub fn new(spec: VirtSpec, mem: PhysMem) -> Self {
        let gic =
            gic::Config { processors: spec.cpus, spis: layout::SPIS, device_bits: layout::DEVICE_ID_BITS };
        // The time of day at machine time 0 is the same on every board; it fits until 2106.
        let seconds = Rtc::EPOCH as u32;
        Self {
            gic: Gic::new(gic, mem),
            uart: Pl011::new(layout::UART_LINE),
            auxiliary_uart: Pl011::new(layout::AUXILIARY_UART_LINE),
            rtc: Pl031::new(seconds, layout::RTC_LINE),
        }
    }

    pub fn read(&mut self, address: u64, data: &mut [u8], fx: &mut Effects) -> bool {
        let Some(window) = Window::of(address) else { return false };
        fx.set_device(window.device());
        match window {
            Window::Distributor(offset) => self.gic.read_distributor(offset, data, fx),
            Window::Its(offset) => self.gic.read_its(offset, data, fx),
            Window::Redistributors(offset) => self.gic.read_redistributors(offset, data, fx),
            Window::Uart(offset) => self.uart.read(offset, data, fx),
            Window::AuxiliaryUart(offset) => self.auxiliary_uart.read(offset, data, fx),
            Window::Rtc(offset) => self.rtc.read(offset, data, fx),
        }
        true
    }

    pub fn write(&mut self, address: u64, data: &[u8], fx: &mut Effects) -> bool {
        let Some(window) = Window::of(address) else { return false };
        fx.set_device(window.device());
        match window {
            Window::Distributor(offset) => self.gic.write_distributor(offset, data, fx),
            Window::Its(offset) => self.gic.write_its(offset, data, fx),
            Window::Redistributors(offset) => self.gic.write_redistributors(offset, data, fx),
            Window::Uart(offset) => self.uart.write(offset, data, fx),
            Window::AuxiliaryUart(offset) => self.auxiliary_uart.write(offset, data, fx),
            Window::Rtc(offset) => self.rtc.write(offset, data, fx),
        }
        true
    }

    pub fn event(&mut self, device: DeviceId, event: DeviceEvent, fx: &mut Effects) -> bool {
        match device {
            RTC => self.rtc.event(event, fx),
            GIC => self.gic.event(event, fx),
            _ => return false,
        }
        true
    }

    /// An EventID was written to the doorbell.
    pub fn message(&mut self, sender: Sender, event: u32, fx: &mut Effects) {
        let device = match sender {
            Sender::Master(Initiator::Pci { source, .. }) => source.0.into(),
            Sender::Master(Initiator::Platform { stream, .. }) => stream.0,
            // The board has none.
            Sender::Master(Initiator::IoApic { .. }) => return,
            // At most 8.
            Sender::Unit(unit) => layout::UNITS_DEVICE_ID + unit.index() as u32,
        };
        fx.set_device(GIC);
        self.gic.message(device, event, fx);
    }

    pub fn save(&self) -> State {
        let Self { gic, uart, auxiliary_uart, rtc } = self;
        State { gic: gic.save(), uart: uart.save(), auxiliary_uart: auxiliary_uart.save(), rtc: rtc.save() }
    }

    pub fn restore(&mut self, state: State) {
        let State { gic, uart, auxiliary_uart, rtc } = state;
        self.gic.restore(gic);
        self.uart.restore(uart);
        self.auxiliary_uart.restore(auxiliary_uart);
        self.rtc.restore(rtc);
    }
}

impl Window {
    /// Whose registers these are, for those that ask to be called again.
    const fn device(&self) -> DeviceId {
        match self {
            Self::Distributor(_) | Self::Its(_) | Self::Redistributors(_) => GIC,
            // The UARTs never ask.
            Self::Uart(_) | Self::AuxiliaryUart(_) | Self::Rtc(_) => RTC,
        }
    }
}
