//! The processor's part of a GICv3, as the bare-metal programs set it up and use it.

use crate::machine::{Machine, layout};

/// The processor that runs the program.
const PROCESSOR: usize = 0;
/// GICD_CTLR: affinity routing, group 1.
const GICD_CTLR_ON: u32 = 1 << 4 | 1 << 1;
/// GICR_WAKER, with ProcessorSleep clear.
const GICR_WAKER: u64 = layout::virt::GICR_BASE + 0x14;
const AWAKE: u32 = 0;
/// ICC_IAR1_EL1, ICC_EOIR1_EL1, ICC_PMR_EL1 and ICC_IGRPEN1_EL1 as op0:op1:CRn:CRm:op2.
const IAR1: u16 = 0xc660;
const EOIR1: u16 = 0xc661;
const PMR: u16 = 0xc230;
const IGRPEN1: u16 = 0xc667;
/// Lets every priority in that is not the lowest.
const UNMASKED: u64 = 0xf0;
/// INTIDs that are no interrupts.
const SPECIAL: std::ops::RangeInclusive<u64> = 1020..=1023;

/// The interface, with group 1 let in.
#[derive(Debug)]
pub(super) struct CpuInterface {
    /// The interrupt that was taken last and did not end yet.
    in_service: Option<u64>,
}

impl CpuInterface {
    /// Switches the controller on for the processor.
    pub(super) fn open(machine: &mut Machine) -> Self {
        machine.write(layout::virt::GICD_BASE, &GICD_CTLR_ON.to_le_bytes());
        machine.write(GICR_WAKER, &AWAKE.to_le_bytes());
        // A board without these registers has no interrupts; nothing is lost.
        let _ = machine.write_gic_register(PROCESSOR, PMR, UNMASKED);
        let _ = machine.write_gic_register(PROCESSOR, IGRPEN1, 1);
        Self { in_service: None }
    }

    /// Whether the processor's input is asserted.
    pub(super) fn is_interrupted(machine: &Machine) -> bool {
        machine.interrupt_inputs(PROCESSOR).irq
    }

    /// Acknowledges the most urgent interrupt.
    pub(super) fn take(&mut self, machine: &mut Machine) -> Option<u32> {
        let intid = machine.read_gic_register(PROCESSOR, IAR1).filter(|intid| !SPECIAL.contains(intid))?;
        self.in_service = Some(intid);
        // 24 bits.
        u32::try_from(intid).ok()
    }

    /// Ends the interrupt that was taken last.
    pub(super) fn end(&mut self, machine: &mut Machine) {
        if let Some(intid) = self.in_service.take() {
            let _ = machine.write_gic_register(PROCESSOR, EOIR1, intid);
        }
    }
}
