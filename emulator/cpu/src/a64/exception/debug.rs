//! Self-hosted debug: software step, breakpoints and watchpoints [Arm D2].

use crate::a64::core::Core;
use crate::a64::regs::{El, daif};
use crate::a64::sysreg::mdscr;

/// Are debug exceptions other than BRK taken from `el` with these masks [Arm D2.4.1]?
pub(in crate::a64) fn enabled(core: &Core, el: El, masks: u32) -> bool {
    if core.sys.os_locked || core.sys.osdlr & 1 != 0 {
        return false;
    }
    el == El::El0 || (core.sys.mdscr & mdscr::KDE != 0 && masks & daif::D == 0)
}

/// Does an exception return to `el` load PSTATE.SS [Arm D2.12.4]?
pub(super) fn step_after_return(core: &Core, el: El, spsr: u32) -> bool {
    core.sys.mdscr & mdscr::SS != 0
        && !enabled(core, core.pstate.el, core.pstate.daif)
        && enabled(core, el, spsr & daif::ALL)
}
