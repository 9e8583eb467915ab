//! Self-hosted debug: software step, breakpoints and watchpoints [Arm D2].
//!
//! The loop knows nothing of these. While a step or a breakpoint is armed the core runs one
//! instruction at a time and asks [`before_instruction`]; pages with watchpoints have no fast
//! entries in the TLB, so the slow way of an access asks [`check_watchpoints`].

use super::{Exception, syndrome};
use crate::a64::core::{Core, Raised};
use crate::a64::mmu::bank;
use crate::a64::regs::{El, daif};
use crate::a64::sysreg::mdscr;
use crate::interp::PAGE_SIZE;

/// Fault status code of debug exceptions.
const DEBUG: u32 = 0x22;
/// Step syndrome: EX is valid.
const ISV: u32 = 1 << 24;
/// Step syndrome: the instruction stepped was a load-exclusive.
pub(in crate::a64) const EX: u32 = 1 << 6;

/// Are debug exceptions other than BRK taken from `el` with these masks [Arm D2.4.1]?
fn enabled(core: &Core, el: El, masks: u32) -> bool {
    if core.sys.os_locked || core.sys.osdlr & 1 != 0 {
        return false;
    }
    el == El::El0 || (core.sys.mdscr & mdscr::KDE != 0 && masks & daif::D == 0)
}

fn enabled_now(core: &Core) -> bool {
    enabled(core, core.pstate.el, core.pstate.daif)
}

/// Is a debug feature armed that needs instructions to be looked at one by one?
pub(in crate::a64) fn needs_care(core: &Core) -> bool {
    let step = core.sys.mdscr & mdscr::SS != 0;
    let breakpoint =
        core.sys.mdscr & mdscr::MDE != 0 && core.sys.breakpoints.iter().any(|pair| pair.1 & 1 != 0);
    (step || breakpoint) && enabled_now(core)
}

/// Does an exception return to `el` load PSTATE.SS [Arm D2.12.4]?
pub(super) fn step_after_return(core: &Core, el: El, spsr: u32) -> bool {
    core.sys.mdscr & mdscr::SS != 0 && !enabled_now(core) && enabled(core, el, spsr & daif::ALL)
}

/// The class for the exception level that an exception comes from, given that for a lower one.
fn class(core: &Core, lower: u32) -> u32 {
    if core.pstate.el == El::El0 { lower } else { lower + 1 }
}

/// The software step exception that is due before anything else happens at PC.
pub(in crate::a64) fn step_due(core: &mut Core) -> Result<(), Raised> {
    let stepped = core.stepped.take();
    if core.sys.mdscr & mdscr::SS == 0 || core.pstate.ss || !enabled_now(core) {
        return Ok(());
    }
    let iss = stepped.map_or(0, |extra| ISV | extra) | DEBUG;
    let class = class(core, syndrome::class::STEP_LOWER);
    Err(core.raise(Exception::synchronous(syndrome::syndrome(class, iss))))
}

/// The breakpoint exception of the instruction at PC. Without one, a step that is armed is used up
/// by this instruction.
pub(in crate::a64) fn before_instruction(core: &mut Core) -> Result<(), Raised> {
    if !enabled_now(core) {
        return Ok(());
    }
    if core.sys.mdscr & mdscr::MDE != 0
        && (0..core.sys.breakpoints.len()).any(|n| breakpoint_matches(core, n))
    {
        let class = class(core, syndrome::class::BREAKPOINT_LOWER);
        return Err(core.raise(Exception::synchronous(syndrome::syndrome(class, DEBUG))));
    }
    if core.sys.mdscr & mdscr::SS != 0 {
        core.pstate.ss = false;
        core.stepped = Some(0);
    }
    Ok(())
}

/// Do the privilege fields of a control register match? There is no EL2, and no Secure state.
fn privilege_matches(control: u64, privileged: bool) -> bool {
    const HMC: u64 = 1 << 13;
    let (secure_only, el2_only) = (control >> 14 & 3 == 2, control & HMC != 0 && control >> 14 & 3 == 3);
    let wanted = if privileged { 1 } else { 2 };
    !secure_only && !el2_only && control >> 1 & 3 & wanted != 0
}

/// Does the context breakpoint that `control` links to, as BT or WT say, match?
fn link_matches(core: &Core, control: u64) -> bool {
    let linked = core.sys.breakpoints.get((control >> 16 & 15) as usize);
    linked.is_some_and(|(value, control)| {
        control & 1 != 0 && control >> 20 & 15 == 0b0011 && *value & 0xffff_ffff == core.sys.contextidr
    })
}

fn breakpoint_matches(core: &Core, number: usize) -> bool {
    let (value, control) = core.sys.breakpoints[number];
    if control & 1 == 0 || !privilege_matches(control, core.pstate.el == El::El1) {
        return false;
    }
    // Addresses are compared as they are translated: bits 63:49 repeat bit 48.
    let address = ((value << 15) as i64 >> 15) as u64 & !3 == core.pc;
    match control >> 20 & 15 {
        0b0000 => address,
        0b0001 => address && link_matches(core, control),
        0b0010 => value & 0xffff_ffff == core.sys.contextidr,
        // A linked context alone does nothing.
        _ => false,
    }
}

/// First and last address of a watchpoint, `None` for one that selects no byte.
fn watched_range(value: u64, control: u64) -> Option<(u64, u64)> {
    let base = ((value << 15) as i64 >> 15) as u64;
    let mask = control >> 24 & 31;
    if mask >= 3 {
        let below = (1u64 << mask) - 1;
        return Some((base & !below, base | below));
    }
    // The bytes selected are contiguous where software keeps the rules.
    let select = control >> 5 & 0xff;
    let first = u64::from(select.trailing_zeros());
    let last = u64::from(select.checked_ilog2()?);
    Some((base & !7 | first, (base & !7) + last))
}

fn armed_watchpoints(core: &Core) -> impl Iterator<Item = (u64, u64)> {
    let armed = core.sys.mdscr & mdscr::MDE != 0;
    core.sys.watchpoints.into_iter().filter(move |(_, control)| armed && control & 1 != 0)
}

/// Does a watchpoint look at the page of `va`?
pub(in crate::a64) fn watched(core: &Core, va: u64) -> bool {
    let page = va & !(PAGE_SIZE - 1);
    armed_watchpoints(core)
        .filter_map(|(value, control)| watched_range(value, control))
        .any(|(first, last)| first <= (page | (PAGE_SIZE - 1)) && last >= page)
}

/// Raises the watchpoint exception that an access makes, if any.
pub(in crate::a64) fn check_watchpoints(
    core: &mut Core,
    va: u64,
    size: u64,
    write: bool,
) -> Result<(), Raised> {
    if core.sys.mdscr & mdscr::MDE == 0 || !enabled_now(core) {
        return Ok(());
    }
    let privileged = core.mmu.data.bank() != bank::EL0;
    let (first, last) = (va, va.wrapping_add(size - 1));
    let wanted = if write { 2 } else { 1 };
    let hit = armed_watchpoints(core).any(|(value, control)| {
        privilege_matches(control, privileged)
            && control >> 3 & 3 & wanted != 0
            && (control & 1 << 20 == 0 || link_matches(core, control))
            && watched_range(value, control).is_some_and(|(from, to)| first <= to && last >= from)
    });
    if !hit {
        return Ok(());
    }
    let class = class(core, syndrome::class::WATCHPOINT_LOWER);
    let iss = DEBUG | u32::from(write) << 6;
    Err(core.raise(Exception::at(syndrome::syndrome(class, iss), va)))
}
