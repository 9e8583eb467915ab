//! One remapping unit: what it can do, bringing it up, and telling it what changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use devices::addr::Pa;

use super::SetupError;
use super::invalidation::{Invalidation, Queue};
use super::mmio::Registers;
use super::regs::{Cap, Ccmd, Ecap, Fsts, INTERRUPT_MASK, Iotlb, PROTECTED_STATUS, Rtaddr, offset};
use super::second_stage::Format;
use super::table_memory::TableMemory;
use crate::errno::{Errno, Result};
use crate::span::Span;
use crate::sync::{Mutex, lock};

/// How the unit's fault event interrupt is sent [VT-d 5.1.6.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultMessage {
    /// Vector, 16 to 254.
    pub vector: u8,
    /// APIC id that it goes to.
    pub destination: u32,
}

/// The hardware, in the state that the driver keeps it in.
pub(super) struct Unit {
    pub(super) registers: Registers,
    pub(super) cap: Cap,
    pub(super) ecap: Ecap,
    pub(super) memory: Arc<TableMemory>,
    /// Bits of a physical address.
    host_width: u32,
    queue: Mutex<Queue>,
    /// The root table.
    pub(super) root: Pa,
    /// A root table with no entry, for when nothing else helps.
    empty: Pa,
    /// The unit failed, and was told to let nothing pass.
    failed: AtomicBool,
}

impl Unit {
    /// Takes the unit over from whoever had it. What was blocked stays blocked on the way, and in the end
    /// everything is: translation that is on stays on while the root is replaced, and protected memory is
    /// given up after translation is on. DMA that passed before may pass until then. Only a root table of
    /// another mode has to be taken away with translation off [VT-d 11.4.5].
    pub(super) fn bring_up(
        registers: Registers,
        memory: TableMemory,
        host_width: u32,
        message: FaultMessage,
    ) -> std::result::Result<Self, SetupError> {
        let cap = Cap::from_raw(registers.read64(offset::CAP));
        let ecap = Ecap::from_raw(registers.read64(offset::ECAP));
        if (cap.raw(), ecap.raw()) == (u64::MAX, u64::MAX) {
            return Err(SetupError::Absent);
        }
        if !ecap.qi() {
            return Err(SetupError::NoQueue);
        }
        if !ecap.c() {
            return Err(SetupError::NotCoherent);
        }
        if levels(cap).is_none() {
            return Err(SetupError::NoSecondStage(cap.sagaw()));
        }
        if !(32..=52).contains(&host_width) {
            return Err(SetupError::HostWidth(host_width));
        }
        silence(&registers, cap)?;
        let (root, empty) = (memory.alloc()?, memory.alloc()?);
        registers.write64(offset::RTADDR, root.0);
        registers.command(|gcmd| gcmd.with_srtp(true), |gsts| gsts.srtp())?;
        let queue = Queue::new(&memory, &registers)?;
        registers.command(|gcmd| gcmd.with_qie(true), |gsts| gsts.qie())?;
        let (memory, queue) = (Arc::new(memory), Mutex::new(queue));
        let failed = AtomicBool::new(false);
        let unit = Self { registers, cap, ecap, memory, host_width, queue, root, empty, failed };
        if !cap.esrtps() {
            unit.invalidate(&[Invalidation::Contexts, Invalidation::Translations])?;
        }
        unit.unmask_faults(message);
        unit.registers.command(|gcmd| gcmd.with_te(true), |gsts| gsts.te())?;
        unprotect(&unit.registers, cap)?;
        Ok(unit)
    }

    fn unmask_faults(&self, FaultMessage { vector, destination }: FaultMessage) {
        self.registers.write32(offset::FEDATA, vector.into());
        self.registers.write32(offset::FEADDR, 0xfee0_0000 | (destination & 0xff) << 12);
        self.registers.write32(offset::FEUADDR, destination & !0xff);
        self.registers.write32(offset::FECTL, 0);
    }

    /// The tables it takes: the widest it supports.
    pub(super) fn format(&self) -> Format {
        // Level 1 always maps pages.
        let leaves = 1 << 1 | (self.cap.sllps() & 0b11) << 2;
        Format { levels: levels(self.cap).unwrap_or(3), leaves }
    }

    /// AW of a context entry for those tables.
    pub(super) fn width(&self) -> u8 {
        self.format().levels - 2
    }

    /// IOVAs it can translate [VT-d 3.7].
    pub(super) fn aperture(&self) -> Span {
        let bits = (12 + 9 * u32::from(self.format().levels)).min(u32::from(self.cap.mgaw()) + 1);
        Span { start: 0, last: (1 << bits) - 1 }
    }

    /// Physical addresses that tables can name.
    pub(super) fn physical(&self) -> Span {
        Span { start: 0, last: (1 << self.host_width) - 1 }
    }

    /// Last domain id.
    pub(super) fn last_domain(&self) -> u16 {
        // At most 16 bits; the widest encoding is reserved.
        u16::MAX >> (12 - 2 * self.cap.nd().min(6))
    }

    /// Returns when `what` is forgotten and no DMA uses it any more. If the unit fails at that, it lets
    /// no DMA pass from then on.
    ///
    /// # Errors
    /// `EIO` where the unit failed, now or before.
    pub(super) fn invalidate(&self, what: &[Invalidation]) -> Result<()> {
        if what.is_empty() {
            return Ok(());
        }
        let mut queue = lock(&self.queue);
        if self.failed.load(Ordering::Acquire) {
            return Err(Errno::EIO);
        }
        queue.submit(what, self.cap, &self.memory, &self.registers).map_err(|_| {
            self.block_everything();
            self.failed.store(true, Ordering::Release);
            Errno::EIO
        })
    }

    /// Makes entries visible that nothing has to be invalidated for [VT-d 6.8].
    ///
    /// # Errors
    /// `ETIMEDOUT`.
    pub(super) fn publish(&self) -> Result<()> {
        if !self.cap.rwbf() {
            return Ok(());
        }
        self.registers.command(|gcmd| gcmd.with_wbf(true), |gsts| !gsts.wbf())
    }

    /// The last resort: a root table without entries, by means that need no queue [VT-d 6.6, 6.5.1].
    /// What fails here has no one left to tell.
    fn block_everything(&self) {
        let registers = &self.registers;
        let _ = registers.command(|gcmd| gcmd.with_qie(false), |gsts| !gsts.qie());
        registers.write64(offset::RTADDR, self.empty.0);
        let _ = registers.command(|gcmd| gcmd.with_srtp(true), |gsts| gsts.srtp());
        registers.write64(offset::CCMD, Ccmd::ZERO.with_icc(true).with_cirg(0b01).raw());
        let _ = registers.poll(|| Ok(!Ccmd::from_raw(registers.read64(offset::CCMD)).icc()));
        let iotlb = u64::from(self.ecap.iro()) * 16 + 8;
        let global = Iotlb::ZERO.with_ivt(true).with_iirg(0b01).with_dr(true).with_dw(true);
        registers.write64(iotlb, global.raw());
        let _ = registers.poll(|| Ok(!Iotlb::from_raw(registers.read64(iotlb)).ivt()));
    }
}

/// Levels of the widest second-stage tables; `None` without any [VT-d 11.4.2].
fn levels(cap: Cap) -> Option<u8> {
    (3..=5).rev().find(|levels| cap.sagaw() & 1 << (levels - 2) != 0)
}

/// Gives up the memory that firmware had the unit protect, which translation does from now on
/// [VT-d 11.4.8.1].
fn unprotect(registers: &Registers, cap: Cap) -> Result<()> {
    if !cap.plmr() && !cap.phmr() {
        return Ok(());
    }
    registers.write32(offset::PMEN, 0);
    registers.poll(|| Ok(registers.read32(offset::PMEN) & PROTECTED_STATUS == 0))
}

/// Stops the queue that firmware or another driver left running, and forgets old faults. Interrupt
/// remapping is not this driver's and stays as it is.
fn silence(registers: &Registers, cap: Cap) -> Result<()> {
    registers.write32(offset::FECTL, INTERRUPT_MASK);
    let status = registers.status();
    if status.te() && Rtaddr::from_raw(registers.read64(offset::RTADDR)).ttm() != 0 {
        registers.command(|gcmd| gcmd.with_te(false), |gsts| !gsts.te())?;
    }
    if status.qie() {
        // A queue that has stopped at an error will not get there.
        let _ = registers.poll(|| Ok(registers.read64(offset::IQH) == registers.read64(offset::IQT)));
        registers.command(|gcmd| gcmd.with_qie(false), |gsts| !gsts.qie())?;
    }
    for record in 0..=u64::from(cap.nfr()) {
        registers.write32((u64::from(cap.fro()) + record) * 16 + 12, 1 << 31);
    }
    let errors = Fsts::ZERO.with_ite(true).with_ice(true).with_iqe(true).with_pfo(true);
    registers.write32(offset::FSTS, errors.raw());
    Ok(())
}
