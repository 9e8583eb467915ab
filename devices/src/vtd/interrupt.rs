//! Event interrupts: the control, data and address registers that the fault event and the
//! invalidation event each have [VT-d 7.3, 6.5.2.10].

use serde::{Deserialize, Serialize};

use super::UnitId;
use super::regs::{EventAddress, EventControl, EventData};
use crate::fabric::{Effect, Effects};

/// One event's registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInterrupt {
    control: EventControl,
    data: EventData,
    address: EventAddress,
    upper: u32,
}

impl EventInterrupt {
    /// Masked, as after reset.
    pub const RESET: Self = Self {
        control: EventControl::from_raw(0x8000_0000),
        data: EventData::ZERO,
        address: EventAddress::ZERO,
        upper: 0,
    };

    /// The control, data, address and upper address registers, in this order.
    pub fn read(&self, register: EventRegister) -> u32 {
        match register {
            EventRegister::Control => self.control.raw(),
            EventRegister::Data => self.data.raw(),
            EventRegister::Address => self.address.raw(),
            EventRegister::UpperAddress => self.upper,
        }
    }

    /// Software wrote a register of `unit`. Unmasking sends what is pending.
    pub fn write(&mut self, unit: UnitId, register: EventRegister, value: u32, fx: &mut Effects) {
        match register {
            EventRegister::Control => {
                self.control = self.control.written(value);
                self.send_if_unmasked(unit, fx);
            }
            EventRegister::Data => self.data = self.data.written(value),
            EventRegister::Address => self.address = self.address.written(value),
            EventRegister::UpperAddress => self.upper = value,
        }
    }

    /// A new condition of `unit` arose while no other of its group was pending.
    pub fn raise(&mut self, unit: UnitId, fx: &mut Effects) {
        self.control = self.control.with_ip(true);
        self.send_if_unmasked(unit, fx);
    }

    /// Software cleared the last condition of the group: nothing is left to tell.
    pub fn withdraw(&mut self) {
        self.control = self.control.with_ip(false);
    }

    fn send_if_unmasked(&mut self, unit: UnitId, fx: &mut Effects) {
        if self.control.im() || !self.control.ip() {
            return;
        }
        self.control = self.control.with_ip(false);
        let address = u64::from(self.upper) << 32 | u64::from(self.address.raw());
        let data = self.data.raw();
        fx.push(Effect::PostedWrite { unit, address, data });
    }
}

/// Which of the four registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventRegister {
    /// FECTL, IECTL.
    Control,
    /// FEDATA, IEDATA.
    Data,
    /// FEADDR, IEADDR.
    Address,
    /// FEUADDR, IEUADDR.
    UpperAddress,
}
