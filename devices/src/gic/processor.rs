//! What processors do at the controller: its lines and its system registers.

use super::bank::{Bank, Candidate, Group};
use super::cpu_interface::SPURIOUS;
use super::distributor::FIRST_SPI;
use super::sysreg::{Register, SgiRequest, register_at};
use super::{Gic, Lines, UNIT, is_lpi};
use crate::fabric::Effects;
use crate::trace::TraceEvent;

impl Gic {
    /// The interrupt inputs of a processor.
    pub fn lines(&self, processor: usize) -> Lines {
        match self.signalled(processor) {
            Some(Candidate { group: Group::One, .. }) => Lines { irq: true, fiq: false },
            Some(Candidate { group: Group::Zero, .. }) => Lines { irq: false, fiq: true },
            None => Lines::default(),
        }
    }

    /// A processor reads a system register, by its encoding `op0:op1:CRn:CRm:op2` in 2, 3, 4, 4 and 3
    /// bits. `None` where that is undefined: no such register, or write only.
    pub fn read_register(&mut self, processor: usize, encoding: u16, fx: &mut Effects) -> Option<u64> {
        let interface = self.interfaces.get(processor)?;
        match register_at(encoding)? {
            Register::Local(register) => Some(interface.read(register)),
            Register::Rpr => Some(interface.running_priority().into()),
            Register::Hppir(group) => {
                let candidate = self.candidates.get(processor).copied().flatten();
                let found = candidate.filter(|candidate| candidate.group == group);
                Some(found.map_or(SPURIOUS, |candidate| candidate.intid).into())
            }
            Register::Iar(group) => Some(self.acknowledge(processor, group, fx).into()),
            Register::Eoir(_) | Register::Dir | Register::Sgir(_) | Register::Asgi1r => None,
        }
    }

    /// A processor writes a system register; `None` where that is undefined: no such register, or read
    /// only.
    pub fn write_register(&mut self, processor: usize, encoding: u16, value: u64) -> Option<()> {
        let interface = self.interfaces.get_mut(processor)?;
        // INTIDs have 24 bits here.
        let intid = value as u32 & 0xff_ffff;
        match register_at(encoding)? {
            Register::Local(register) => interface.write(register, value),
            Register::Eoir(group) => self.end(processor, group, intid),
            Register::Dir if interface.eoi_mode() => self.deactivate(processor, intid),
            // Without EOImode there is nothing left to deactivate.
            Register::Dir => {}
            Register::Sgir(group) => self.send_sgi(processor, group, value),
            Register::Asgi1r => {}
            Register::Iar(_) | Register::Hppir(_) | Register::Rpr => return None,
        }
        self.update();
        Some(())
    }

    /// What is signalled to a processor.
    fn signalled(&self, processor: usize) -> Option<Candidate> {
        let interface = self.interfaces.get(processor)?;
        self.candidates.get(processor).copied().flatten().filter(|candidate| interface.signals(*candidate))
    }

    /// ICC_IAR was read: takes what is signalled, if it is of `group` [GICv3 ICC_IAR1_EL1].
    fn acknowledge(&mut self, processor: usize, group: Group, fx: &mut Effects) -> u32 {
        let Some(taken) = self.signalled(processor).filter(|found| found.group == group) else {
            return SPURIOUS;
        };
        let Candidate { intid, priority, group: _ } = taken;
        if let Some(interface) = self.interfaces.get_mut(processor) {
            interface.activate(taken);
        }
        if let Some((bank, bit)) = self.bank_of(processor, intid) {
            bank.acknowledge(bit);
        } else if let Some(redistributor) = self.redistributors.get_mut(processor) {
            redistributor.acknowledge_lpi(intid);
        }
        fx.trace(|| TraceEvent::Acknowledged { unit: UNIT, processor, intid, priority });
        self.update();
        intid
    }

    /// ICC_EOIR was written [GICv3 ICC_EOIR1_EL1]. A number that no interrupt has is ignored, and so is
    /// one written to the register of the group that is not running.
    fn end(&mut self, processor: usize, group: Group, intid: u32) {
        let exists = is_lpi(intid) || self.bank_of(processor, intid).is_some();
        let Some(interface) = self.interfaces.get_mut(processor).filter(|_| exists) else { return };
        if interface.drop_priority(group) && !interface.eoi_mode() {
            self.deactivate(processor, intid);
        }
    }

    /// LPIs have no active state.
    fn deactivate(&mut self, processor: usize, intid: u32) {
        if let Some((bank, bit)) = self.bank_of(processor, intid) {
            bank.deactivate(bit);
        }
    }

    /// ICC_SGI0R or ICC_SGI1R was written [GICv3 ICC_SGI1R_EL1]. An SGI reaches a processor where it is
    /// configured to be of `group`.
    fn send_sgi(&mut self, sender: usize, group: Group, value: u64) {
        let sgi = SgiRequest::from_raw(value);
        let others = sgi.interrupt_routing_mode();
        let named = sgi.aff3() == 0 && sgi.aff2() == 0 && sgi.aff1() == 0;
        for (processor, redistributor) in self.redistributors.iter_mut().enumerate() {
            let listed = named && sgi.target_list() >> processor & 1 != 0;
            if if others { processor != sender } else { listed } {
                redistributor.bank().pend(sgi.intid().into(), group);
            }
        }
    }

    /// Bank and bit of an interrupt that is no LPI, as `processor` sees it.
    fn bank_of(&mut self, processor: usize, intid: u32) -> Option<(&mut Bank, u32)> {
        if intid < FIRST_SPI {
            Some((self.redistributors.get_mut(processor)?.bank(), intid))
        } else {
            self.distributor.spi(intid)
        }
    }
}
