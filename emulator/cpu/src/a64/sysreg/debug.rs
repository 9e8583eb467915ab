//! Debug registers [Arm D23.3].

use super::{BREAKPOINTS, Key, Outcome, WATCHPOINTS, key, mdscr};
use crate::a64::core::Core;

/// MDSCR_EL1 bits that are kept: SS, ERR, TDCC, KDE, HDE, MDE and the receive and transmit state.
const MDSCR_WRITABLE: u64 = 1 | 1 << 6 | 0xf << 12 | 7 << 21 | 3 << 26 | 3 << 29;
/// DBGBCR: E, PMC, BAS, HMC, SSC, LBN, BT.
const BCR_WRITABLE: u64 = 0x00ff_e1e7;
/// DBGWCR: E, PAC, LSC, BAS, HMC, SSC, LBN, WT, MASK.
const WCR_WRITABLE: u64 = 0x1f1f_ffff;
/// OSLSR: OSLM, the OS lock is implemented.
const OSLM: u64 = 1 << 3;
/// Claim tags.
const CLAIM: u64 = 0xff;

/// A breakpoint or watchpoint register: its index, and whether it is a watchpoint's and a control
/// register.
fn numbered(key: Key) -> Option<(usize, bool, bool)> {
    if key.op1() != 0 || key.crn() != 0 {
        return None;
    }
    let index = usize::from(key.crm());
    match key.op2() {
        4 | 5 if index < BREAKPOINTS => Some((index, false, key.op2() == 5)),
        6 | 7 if index < WATCHPOINTS => Some((index, true, key.op2() == 7)),
        _ => None,
    }
}

pub(super) fn read(core: &Core, key: Key) -> Outcome<u64> {
    let sys = &core.sys;
    if let Some((index, watch, control)) = numbered(key) {
        let pair = if watch { sys.watchpoints[index] } else { sys.breakpoints[index] };
        return Outcome::Done(if control { pair.1 } else { pair.0 });
    }
    Outcome::Done(match key {
        key::MDSCR_EL1 => sys.mdscr,
        key::MDCCINT_EL1 => sys.mdccint,
        key::OSLSR_EL1 => OSLM | u64::from(sys.os_locked) << 1,
        key::OSDLR_EL1 => sys.osdlr,
        key::DBGCLAIMSET_EL1 => CLAIM,
        key::DBGCLAIMCLR_EL1 => sys.claim,
        // No external debugger is there: its channel is silent, nothing is authenticated.
        key::MDRAR_EL1
        | key::OSECCR_EL1
        | key::OSDTRRX_EL1
        | key::OSDTRTX_EL1
        | key::DBGPRCR_EL1
        | key::DBGAUTHSTATUS_EL1 => 0,
        key::MDCCSR_EL0 | key::DBGDTR_EL0 | key::DBGDTRRX_EL0 => {
            return Outcome::unless_trapped(core, sys.mdscr & mdscr::TDCC == 0, || 0);
        }
        _ => return Outcome::Undefined,
    })
}

pub(super) fn write(core: &mut Core, key: Key, value: u64) -> Outcome {
    if let Some((index, watch, control)) = numbered(key) {
        let pair = if watch { &mut core.sys.watchpoints[index] } else { &mut core.sys.breakpoints[index] };
        match (control, watch) {
            (true, false) => pair.1 = value & BCR_WRITABLE,
            (true, true) => pair.1 = value & WCR_WRITABLE,
            (false, true) => pair.0 = value & !3,
            // A context breakpoint compares all 32 bits.
            (false, false) => pair.0 = value,
        }
        core.debug_changed();
        return Outcome::Done(());
    }
    let sys = &mut core.sys;
    match key {
        key::MDSCR_EL1 => sys.mdscr = value & MDSCR_WRITABLE,
        key::MDCCINT_EL1 => sys.mdccint = value & 3 << 29,
        key::OSLAR_EL1 => sys.os_locked = value & 1 != 0,
        key::OSDLR_EL1 => sys.osdlr = value & 1,
        key::DBGCLAIMSET_EL1 => sys.claim |= value & CLAIM,
        key::DBGCLAIMCLR_EL1 => sys.claim &= !value,
        key::OSECCR_EL1 | key::OSDTRRX_EL1 | key::OSDTRTX_EL1 | key::DBGPRCR_EL1 => {}
        key::DBGDTR_EL0 | key::DBGDTRRX_EL0 => {
            return Outcome::unless_trapped(core, core.sys.mdscr & mdscr::TDCC == 0, || ());
        }
        _ => return Outcome::Undefined,
    }
    core.debug_changed();
    Outcome::Done(())
}
