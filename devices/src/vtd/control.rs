//! The half that software meets: registers and the invalidation queue [VT-d 11, 6.5].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::capability::Config;
use super::fault::{Fate, Fault, Recorder};
use super::interrupt::{EventInterrupt, EventRegister};
use super::invalidation::{BackEnd, ContextScope, InterruptMode, InterruptScope, IotlbScope};
use super::invalidation_queue::{Descriptor, Queue, QueueError, context_scope, decode, iotlb_scope};
use super::protected::Protected;
use super::regs::{Ccmd, Fsts, Gcmd, Gsts, Ics, Iotlb, Irta, Iva, Place, Reg, Rtaddr, name_at, place};
use crate::events::DeviceEvent;
use crate::fabric::Effects;
use crate::iommu::changes::Changes;
use crate::mem::PhysMem;
use crate::register::block::DwordSpace;
use crate::trace::TraceEvent;

/// Descriptors processed before the unit lets others run.
const QUEUE_STEP: u32 = 256;

/// The control half of a unit.
pub struct Control {
    config: Config,
    mem: PhysMem,
    changes: Changes<dyn BackEnd>,
    state: State,
}

/// A saved [`Control`]: all of its registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    gsts: Gsts,
    rtaddr: Rtaddr,
    /// RTADDR_REG as SRTP latched it.
    latched: Rtaddr,
    ccmd: Ccmd,
    iva: Iva,
    iotlb: Iotlb,
    faults: Recorder,
    fault_event: EventInterrupt,
    queue: Queue,
    ics: Ics,
    invalidation_event: EventInterrupt,
    irta: Irta,
    protected: Protected,
    /// An event to continue the queue is on its way.
    queue_scheduled: bool,
}

impl State {
    const RESET: Self = Self {
        gsts: Gsts::ZERO,
        rtaddr: Rtaddr::ZERO,
        latched: Rtaddr::ZERO,
        ccmd: Ccmd::ZERO,
        iva: Iva::ZERO,
        iotlb: Iotlb::ZERO,
        faults: Recorder::RESET,
        fault_event: EventInterrupt::RESET,
        queue: Queue::RESET,
        ics: Ics::ZERO,
        invalidation_event: EventInterrupt::RESET,
        irta: Irta::ZERO,
        protected: Protected::RESET,
        queue_scheduled: false,
    };
}

impl Control {
    /// Registers as after reset.
    pub fn new(config: Config, mem: PhysMem, back_end: Arc<dyn BackEnd>) -> Self {
        Self { config, mem, changes: Changes::new(back_end), state: State::RESET }
    }

    /// Returns the registers to their reset values; the back end is the caller's to reset.
    pub fn reset(&mut self) {
        self.state = State::RESET;
    }

    /// The registers as data.
    pub fn save(&self) -> State {
        self.state.clone()
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        self.state = state;
    }

    /// What the unit was made to be, and the memory that its tables lie in.
    pub(super) fn parts(&self) -> (&Config, &PhysMem) {
        (&self.config, &self.mem)
    }

    /// Records a fault [VT-d 7.2.1].
    pub fn fault(&mut self, fault: Fault, fx: &mut Effects) {
        let quiet = !self.fault_condition();
        let fate = self.state.faults.record(fault, &self.config);
        let Fault { source, address, access: _, reason } = fault;
        fx.trace(|| TraceEvent::Fault {
            unit: self.config.unit.name(),
            source,
            reason: reason.code(),
            what: reason.describe(),
            address: address.0,
            fate: fate.describe(),
        });
        if quiet && fate == (Fate::Recorded { first: true }) {
            self.state.fault_event.raise(self.config.unit, fx);
        }
    }

    /// Continues what was cut off.
    pub fn event(&mut self, event: DeviceEvent, fx: &mut Effects) {
        match event {
            DeviceEvent::Work => {
                self.state.queue_scheduled = false;
                self.run_queue(fx);
            }
            // The unit never asks for one.
            DeviceEvent::Timer(_) => {}
        }
        self.changes.complete();
    }

    /// One dword of the register file.
    pub fn read_dword(&self, offset: u64) -> u32 {
        let Some(Place { reg, dword }) = place(offset) else { return 0 };
        let s = &self.state;
        let value = match reg {
            Reg::Ver => u64::from(self.config.ver().raw()),
            Reg::Cap => self.config.cap().raw(),
            Reg::Ecap => self.config.ecap().raw(),
            Reg::Gsts => u64::from(s.gsts.raw()),
            Reg::Rtaddr => s.rtaddr.raw(),
            // SID is write only, but kept for a command in two dwords.
            Reg::Ccmd => s.ccmd.with_sid(0).raw(),
            Reg::Iotlb => s.iotlb.raw(),
            Reg::Fsts => u64::from(self.fsts().raw()),
            Reg::Fectl => u64::from(s.fault_event.read(EventRegister::Control)),
            Reg::Fedata => u64::from(s.fault_event.read(EventRegister::Data)),
            Reg::Feaddr => u64::from(s.fault_event.read(EventRegister::Address)),
            Reg::Feuaddr => u64::from(s.fault_event.read(EventRegister::UpperAddress)),
            Reg::Iqh => s.queue.iqh().raw(),
            Reg::Iqt => s.queue.iqt().raw(),
            Reg::Iqa => s.queue.iqa().raw(),
            Reg::Iqercd => s.queue.iqercd().raw(),
            Reg::Irta => s.irta.raw(),
            Reg::Ics => u64::from(s.ics.raw()),
            Reg::Iectl => u64::from(s.invalidation_event.read(EventRegister::Control)),
            Reg::Iedata => u64::from(s.invalidation_event.read(EventRegister::Data)),
            Reg::Ieaddr => u64::from(s.invalidation_event.read(EventRegister::Address)),
            Reg::Ieuaddr => u64::from(s.invalidation_event.read(EventRegister::UpperAddress)),
            Reg::Frcd(index) => return s.faults.read(index, dword),
            Reg::Pmen | Reg::Plmbase | Reg::Plmlimit | Reg::Phmbase | Reg::Phmlimit => s.protected.read(reg),
            // Write only.
            Reg::Gcmd | Reg::Iva => 0,
        };
        // The wanted dword is the low one after the shift.
        (value >> (32 * dword)) as u32
    }

    fn write_dword(&mut self, offset: u64, value: u32, fx: &mut Effects) {
        let Some(Place { reg, dword }) = place(offset) else { return };
        let unit = self.config.unit;
        let s = &mut self.state;
        match reg {
            Reg::Gcmd => self.global_command(Gcmd::from_raw(value), fx),
            Reg::Rtaddr => s.rtaddr = s.rtaddr.written(merge(s.rtaddr.raw(), dword, value)),
            Reg::Ccmd => self.context_command(dword, value, fx),
            Reg::Iva => s.iva = Iva::from_raw(merge(s.iva.raw(), dword, value)),
            Reg::Iotlb => self.iotlb_command(dword, value, fx),
            Reg::Fsts => self.fault_status(Fsts::from_raw(value), fx),
            Reg::Fectl => s.fault_event.write(unit, EventRegister::Control, value, fx),
            Reg::Fedata => s.fault_event.write(unit, EventRegister::Data, value, fx),
            Reg::Feaddr => s.fault_event.write(unit, EventRegister::Address, value, fx),
            Reg::Feuaddr => s.fault_event.write(unit, EventRegister::UpperAddress, value, fx),
            Reg::Iqt => {
                s.queue.set_tail(merge(s.queue.iqt().raw(), dword, value));
                // The high dword is reserved; the low one is the doorbell.
                if dword == 0 {
                    self.run_queue(fx);
                }
            }
            Reg::Iqa => s.queue.set_base(merge(s.queue.iqa().raw(), dword, value)),
            // These belong to features that may not be there.
            Reg::Pmen if self.config.protected_regions => {
                if let Some(ranges) = s.protected.enable(value) {
                    self.changes.make().set_protected(ranges);
                }
            }
            Reg::Plmbase | Reg::Plmlimit | Reg::Phmbase | Reg::Phmlimit if self.config.protected_regions => {
                s.protected.write(reg, dword, value);
            }
            Reg::Irta if self.config.interrupt_remapping => {
                s.irta = s.irta.written(merge(s.irta.raw(), dword, value));
            }
            Reg::Ics => {
                s.ics = s.ics.written(value);
                if !s.ics.iwc() {
                    s.invalidation_event.withdraw();
                }
            }
            Reg::Iectl => s.invalidation_event.write(unit, EventRegister::Control, value, fx),
            Reg::Iedata => s.invalidation_event.write(unit, EventRegister::Data, value, fx),
            Reg::Ieaddr => s.invalidation_event.write(unit, EventRegister::Address, value, fx),
            Reg::Ieuaddr => s.invalidation_event.write(unit, EventRegister::UpperAddress, value, fx),
            Reg::Frcd(index) => {
                s.faults.write(index, dword, value);
                self.withdraw_fault_event();
            }
            Reg::Irta
            | Reg::Ver
            | Reg::Cap
            | Reg::Ecap
            | Reg::Gsts
            | Reg::Pmen
            | Reg::Plmbase
            | Reg::Plmlimit
            | Reg::Phmbase
            | Reg::Phmlimit
            | Reg::Iqh
            | Reg::Iqercd => {}
        }
    }

    /// GCMD was written: level bits take the value written, one-shot bits act if set [VT-d 11.4.4.1].
    /// The queue and the root come before translation, should software change several at once.
    fn global_command(&mut self, gcmd: Gcmd, fx: &mut Effects) {
        let s = &mut self.state;
        if gcmd.srtp() {
            s.latched = s.rtaddr;
            self.changes.make().set_root(s.latched);
            if self.config.root_set_invalidates {
                self.changes.make().invalidate_context(ContextScope::Global);
                self.changes.make().invalidate_iotlb(IotlbScope::Global);
            }
            s.gsts = s.gsts.with_rtps(true);
        }
        let was_on = s.gsts.tes() || s.gsts.ires();
        if gcmd.qie() != s.gsts.qies() {
            s.gsts = s.gsts.with_qies(gcmd.qie());
            if gcmd.qie() {
                self.run_queue(fx);
            } else {
                s.queue.disable();
            }
        }
        let s = &mut self.state;
        if self.config.interrupt_remapping {
            if gcmd.sirtp() {
                self.changes.make().set_interrupt_table(s.irta);
                s.gsts = s.gsts.with_irtps(true);
            }
            let switched_off = s.gsts.ires() && !gcmd.ire();
            s.gsts = s.gsts.with_ires(gcmd.ire()).with_cfis(gcmd.cfi());
            let (enabled, compatibility) = (gcmd.ire(), gcmd.cfi());
            self.changes.make().set_interrupt_mode(InterruptMode { enabled, compatibility });
            // ESIRTPS covers both [VT-d 11.4.2, 11.4.4.1].
            if self.config.interrupt_set_invalidates && (gcmd.sirtp() || switched_off) {
                self.changes.make().invalidate_interrupts(InterruptScope::Global);
            }
        }
        if gcmd.te() != s.gsts.tes() {
            self.changes.make().set_enabled(gcmd.te());
            s.gsts = s.gsts.with_tes(gcmd.te());
        }
        // Recording starts over when the last of the two goes off [VT-d 7.2.1].
        if was_on && !s.gsts.tes() && !s.gsts.ires() {
            s.faults.restart();
        }
    }

    /// CCMD was written. The command starts with the dword that holds ICC; with the queue in use or
    /// another table mode it is refused: nothing is done and CAIG is 0 [VT-d 6.5.1, 11.4.6.1].
    fn context_command(&mut self, dword: u32, value: u32, fx: &mut Effects) {
        let raw = merge(self.state.ccmd.raw(), dword, value);
        let command = Ccmd::from_raw(raw);
        let stored = self.state.ccmd.written(raw).with_sid(command.sid()).with_icc(false);
        if dword == 0 || !command.icc() {
            self.state.ccmd = stored;
            return;
        }
        let scope = context_scope(command.cirg(), command.did(), command.sid(), command.fm());
        let scope = scope.ok().filter(|_| self.registers_usable());
        if let Some(scope) = scope {
            self.invalidate_context(scope, fx);
        }
        self.state.ccmd = stored.with_caig(if scope.is_some() { command.cirg() } else { 0 });
    }

    /// IOTLB_REG was written; as [`Self::context_command`] [VT-d 11.4.6.2.1].
    fn iotlb_command(&mut self, dword: u32, value: u32, fx: &mut Effects) {
        let raw = merge(self.state.iotlb.raw(), dword, value);
        let command = Iotlb::from_raw(raw);
        let stored = self.state.iotlb.written(raw).with_ivt(false);
        if dword == 0 || !command.ivt() {
            self.state.iotlb = stored;
            return;
        }
        let iva = self.state.iva;
        let scope = iotlb_scope(
            command.iirg(),
            command.did(),
            iva.addr() << 12,
            iva.am(),
            iva.ih(),
            self.config.cap(),
        );
        let scope = scope.ok().filter(|_| self.registers_usable());
        if let Some(scope) = scope {
            self.invalidate_iotlb(scope, fx);
        }
        self.state.iotlb = stored.with_iaig(if scope.is_some() { command.iirg() } else { 0 });
    }

    /// Register-based invalidation serves legacy mode while the queue is off.
    fn registers_usable(&self) -> bool {
        self.state.latched.ttm() == 0 && !self.state.gsts.qies()
    }

    fn fsts(&self) -> Fsts {
        self.state.faults.status().with_iqe(self.state.queue.error())
    }

    /// FSTS was written: RW1C bits clear, and the queue goes on once IQE is clear.
    fn fault_status(&mut self, written: Fsts, fx: &mut Effects) {
        if written.pfo() {
            self.state.faults.clear_overflow();
        }
        if written.iqe() && self.state.queue.error() {
            self.state.queue.clear_error();
            self.withdraw_fault_event();
            self.run_queue(fx);
        }
        self.withdraw_fault_event();
    }

    /// Whether the fault event has anything to tell.
    fn fault_condition(&self) -> bool {
        let fsts = self.fsts();
        fsts.ppf() || fsts.pfo() || fsts.iqe()
    }

    fn withdraw_fault_event(&mut self) {
        if !self.fault_condition() {
            self.state.fault_event.withdraw();
        }
    }

    /// Fetches and processes descriptors until the queue is empty, stops at an error, or the bound
    /// of one step is reached [VT-d 6.5.2.11].
    fn run_queue(&mut self, fx: &mut Effects) {
        for _ in 0..QUEUE_STEP {
            if !self.state.gsts.qies() || !self.state.queue.waiting() {
                return;
            }
            if let Err(error) = self.process_descriptor(fx) {
                let quiet = !self.fault_condition();
                self.state.queue.fail(error);
                if quiet {
                    self.state.fault_event.raise(self.config.unit, fx);
                }
                return;
            }
        }
        if self.state.queue.waiting() && !self.state.queue_scheduled {
            self.state.queue_scheduled = true;
            fx.schedule_after(0, DeviceEvent::Work);
        }
    }

    fn process_descriptor(&mut self, fx: &mut Effects) -> Result<(), QueueError> {
        // In legacy mode both widths serve; 256 bits come with abort-DMA mode [VT-d 6.5.2.11].
        let narrow = match self.state.latched.ttm() {
            0b00 => true,
            0b11 if self.config.abort_dma => false,
            _ => return Err(QueueError::InvalidMode),
        };
        let words = self.state.queue.fetch(&self.mem, self.config.abort_dma, narrow)?;
        let index = u64::from(self.state.queue.iqh().qh());
        let decoded = decode(words, self.config.cap(), self.config.ecap());
        let kind = decoded.as_ref().map_or("malformed", Descriptor::kind);
        let unit = self.config.unit.name();
        fx.trace(|| TraceEvent::QueueEntry { unit, index, kind, words: [words[0], words[1]] });
        let descriptor = decoded?;
        self.state.queue.advance();
        match descriptor {
            Descriptor::Context(scope) => self.invalidate_context(scope, fx),
            Descriptor::Iotlb(scope) => self.invalidate_iotlb(scope, fx),
            Descriptor::Interrupt(scope) => {
                let what = match scope {
                    InterruptScope::Global => "all interrupt entries",
                    InterruptScope::Index { .. } => "interrupt entries by index",
                };
                fx.trace(|| TraceEvent::Invalidation { unit, what, domain: None, range: None });
                self.changes.make().invalidate_interrupts(scope);
            }
            Descriptor::Wait { status, interrupt } => {
                self.changes.complete();
                if let Some((at, data)) = status {
                    // A status write that no memory takes has nowhere to be reported.
                    let _ = self.mem.write(at, &data.to_le_bytes());
                }
                if interrupt && !self.state.ics.iwc() {
                    self.state.ics = self.state.ics.with_iwc(true);
                    self.state.invalidation_event.raise(self.config.unit, fx);
                }
            }
        }
        Ok(())
    }

    fn invalidate_context(&mut self, scope: ContextScope, fx: &mut Effects) {
        let (what, domain) = match scope {
            ContextScope::Global => ("all context entries", None),
            ContextScope::Domain(domain) => ("context entries of a domain", Some(domain)),
            ContextScope::Device { domain, .. } => ("context entries of a device", Some(domain)),
        };
        let unit = self.config.unit.name();
        fx.trace(|| TraceEvent::Invalidation { unit, what, domain, range: None });
        self.changes.make().invalidate_context(scope);
    }

    fn invalidate_iotlb(&mut self, scope: IotlbScope, fx: &mut Effects) {
        let (what, domain, range) = match scope {
            IotlbScope::Global => ("all translations", None, None),
            IotlbScope::Domain(domain) => ("translations of a domain", Some(domain), None),
            IotlbScope::Pages { domain, first, last, leaf_only: _ } => {
                ("translations of pages", Some(domain), Some((first, last)))
            }
        };
        let unit = self.config.unit.name();
        fx.trace(|| TraceEvent::Invalidation { unit, what, domain, range });
        self.changes.make().invalidate_iotlb(scope);
    }
}

/// The register file as software accesses it, traced.
pub(super) struct Registers<'a> {
    pub control: &'a mut Control,
    pub fx: &'a mut Effects,
}

impl DwordSpace for Registers<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let value = self.control.read_dword(offset);
        let register = name_at(offset);
        let unit = self.control.config.unit.name();
        self.fx.trace(|| TraceEvent::RegisterRead { unit, register, offset, value });
        value
    }

    fn write_dword(&mut self, offset: u64, value: u32, _lanes: u32) {
        let register = name_at(offset);
        let unit = self.control.config.unit.name();
        self.fx.trace(|| TraceEvent::RegisterWrite { unit, register, offset, value });
        self.control.write_dword(offset, value, self.fx);
        // Software can read the registers next.
        self.control.changes.complete();
    }
}

/// `old` with one of its dwords replaced.
pub(super) fn merge(old: u64, dword: u32, value: u32) -> u64 {
    let shift = 32 * dword;
    (old & !(0xffff_ffff << shift)) | u64::from(value) << shift
}
