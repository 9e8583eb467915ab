//! Interrupts by a GICv3 with system registers, and waiting for them [IHI 0069 12].
//!
//! Interrupts are masked but for the windows that [`take`] and [`idle`] open, so an interrupt waits in
//! the GIC until the program asks. A machine without a GIC has no interrupts; waiting then ends by
//! the timer's event stream alone.

use core::sync::atomic::{AtomicBool, Ordering};

use super::super::ring;
use super::cpu::{self, load32, load64, read_register, store32, write_register};

/// INTID of the virtual timer [Arm BSA].
pub const VIRTUAL_TIMER: u32 = 27;
/// INTIDs from here on are special: 1023 means that there is no interrupt.
const SPECIAL: u32 = 1020;
/// The lowest priority that every GIC has room for above the mask.
const PRIORITY: u32 = 0xa0a0_a0a0;
/// Looks at a register that is to follow.
const LOOKS: u32 = 10_000;

/// Registers of the distributor.
const GICD_CTLR: u64 = 0x0000;
/// Affinity routing, group 1.
const GICD_CTLR_ON: u32 = 1 << 4 | 1 << 1;
const GICD_RWP: u32 = 1 << 31;
const GICD_IGROUPR: u64 = 0x0080;
const GICD_ISENABLER: u64 = 0x0100;
const GICD_ISPENDR: u64 = 0x0200;
const GICD_IPRIORITYR: u64 = 0x0400;
const GICD_ICFGR: u64 = 0x0c00;
const GICD_IROUTER: u64 = 0x6000;
/// Registers of a redistributor; those of SGIs and PPIs have a frame of their own.
const GICR_TYPER: u64 = 0x0008;
const GICR_TYPER_LAST: u64 = 1 << 4;
const GICR_WAKER: u64 = 0x0014;
const PROCESSOR_SLEEP: u32 = 1 << 1;
const CHILDREN_ASLEEP: u32 = 1 << 2;
const SGI_FRAME: u64 = 0x1_0000;
const FRAMES: u64 = 0x2_0000;
/// Redistributors that are looked at.
const REDISTRIBUTORS: u64 = 64;

static PRESENT: AtomicBool = AtomicBool::new(false);

/// Sets the GIC up for this CPU, which takes all interrupts, and starts the event stream.
pub fn init(gic: Option<(u64, u64)>) {
    event_stream();
    let Some((distributor, redistributors)) = gic else { return };
    store32(distributor + GICD_CTLR, GICD_CTLR_ON);
    let _done = (0..LOOKS).any(|_| load32(distributor + GICD_CTLR) & GICD_RWP == 0);

    let Some(redistributor) = own_redistributor(redistributors) else { return };
    store32(redistributor + GICR_WAKER, load32(redistributor + GICR_WAKER) & !PROCESSOR_SLEEP);
    let _awake = (0..LOOKS).any(|_| load32(redistributor + GICR_WAKER) & CHILDREN_ASLEEP == 0);
    let sgi = redistributor + SGI_FRAME;
    store32(sgi + GICD_IGROUPR, u32::MAX);
    store32(sgi + GICD_IPRIORITYR + u64::from(VIRTUAL_TIMER / 4 * 4), PRIORITY);
    store32(sgi + GICD_ISENABLER, 1 << VIRTUAL_TIMER);

    // ICC_SRE_EL1, ICC_PMR_EL1, ICC_BPR1_EL1, ICC_IGRPEN1_EL1.
    write_register!("S3_0_C12_C12_5", read_register!("S3_0_C12_C12_5") | 1);
    write_register!("S3_0_C4_C6_0", 0xf0);
    write_register!("S3_0_C12_C12_3", 0);
    write_register!("S3_0_C12_C12_7", 1);
    PRESENT.store(true, Ordering::Relaxed);
}

/// The redistributor with this CPU's affinity.
fn own_redistributor(first: u64) -> Option<u64> {
    let mpidr = read_register!("mpidr_el1");
    let affinity = mpidr >> 8 & 0xff00_0000 | mpidr & 0xff_ffff;
    for index in 0..REDISTRIBUTORS {
        let at = first + index * FRAMES;
        let typer = load64(at + GICR_TYPER);
        if typer >> 32 == affinity {
            return Some(at);
        }
        if typer & GICR_TYPER_LAST != 0 {
            break;
        }
    }
    None
}

/// Lets the SPI `intid` in, edge-triggered or level-sensitive, on this CPU.
pub fn enable_spi(distributor: u64, intid: u32, edge: bool) {
    let (word, bit) = (u64::from(intid / 32) * 4, 1 << (intid % 32));
    let group = load32(distributor + GICD_IGROUPR + word);
    store32(distributor + GICD_IGROUPR + word, group | bit);
    store32(distributor + GICD_IPRIORITYR + u64::from(intid / 4 * 4), PRIORITY);
    let (config, trigger) = (distributor + GICD_ICFGR + u64::from(intid / 16) * 4, 0b10 << (intid % 16 * 2));
    let others = load32(config) & !trigger;
    store32(config, if edge { others | trigger } else { others });
    let mpidr = read_register!("mpidr_el1") & 0xff_00ff_ffff;
    cpu::store64(distributor + GICD_IROUTER + u64::from(intid) * 8, mpidr);
    store32(distributor + GICD_ISENABLER + word, bit);
}

/// Makes the SPI `intid` pending.
pub fn pend_spi(distributor: u64, intid: u32) {
    store32(distributor + GICD_ISPENDR + u64::from(intid / 32) * 4, 1 << (intid % 32));
}

/// Is there a GIC that this CPU takes interrupts from?
pub fn present() -> bool {
    PRESENT.load(Ordering::Relaxed)
}

/// Takes the interrupts that are pending.
pub fn handle() {
    loop {
        // ICC_IAR1_EL1, ICC_EOIR1_EL1; an INTID has 24 bits.
        let intid = read_register!("S3_0_C12_C12_0") as u32 & 0xff_ffff;
        if (SPECIAL..=1023).contains(&intid) {
            return;
        }
        if intid == VIRTUAL_TIMER {
            // Its level stays high until it is masked.
            mask_timer();
        }
        ring::push(intid);
        write_register!("S3_0_C12_C12_1", u64::from(intid));
    }
}

/// Lets pending interrupts in, then takes the oldest.
pub fn take() -> Option<u32> {
    if ring::is_empty() {
        cpu::interrupt_window();
    }
    ring::pop()
}

/// Waits for an interrupt, or about a millisecond.
pub fn idle() {
    let (start, ticks) = (cpu::counter(), cpu::counter_frequency() / 1000);
    while ring::is_empty() && cpu::counter().wrapping_sub(start) < ticks {
        cpu::wait_for_event();
    }
}

/// An event every 30 to 100 microseconds or so ends WFE [Arm D12.2.3]: CNTKCTL_EL1.EVNTI names the bit of
/// the counter whose change makes it.
fn event_stream() {
    let ticks = (cpu::counter_frequency() / 20_000).max(2);
    let bit = u64::from(ticks.ilog2() - 1).min(15);
    write_register!("cntkctl_el1", bit << 4 | 1 << 2);
}

/// Has the virtual timer fire in `ticks`, with its interrupt on.
pub fn arm_timer(ticks: u64) {
    write_register!("cntv_cval_el0", cpu::counter().wrapping_add(ticks));
    write_register!("cntv_ctl_el0", 1);
}

/// Has the virtual timer's interrupt masked; its status goes on telling whether it has fired.
pub fn mask_timer() {
    write_register!("cntv_ctl_el0", 0b11);
}

/// Has the virtual timer fired? CNTV_CTL_EL0.ISTATUS.
pub fn timer_fired() -> bool {
    read_register!("cntv_ctl_el0") & 1 << 2 != 0
}
