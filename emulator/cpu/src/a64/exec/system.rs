//! Exception generation, waiting, PSTATE, system registers.

use crate::a64::core::{Activity, Core, Env, Message, Raised};
use crate::a64::exception::{self, Exception, syndrome};
use crate::a64::op::{Op, forms};
use crate::a64::regs::{El, PState, daif};
use crate::a64::sysreg::{self, Key, sctlr};
use crate::interp::{CallOutcome, Conduit};

forms! {
    /// What a [`super::super::op::Kind::System`] does.
    pub(in crate::a64) enum Form {
        Svc,
        Hvc,
        Smc,
        Brk,
        Eret,
        Yield,
        Wfe,
        Wfi,
        Sev,
        Sevl,
        Clrex,
        Isb,
        /// `a` is an [`Immediate`], `imm` the value.
        MsrImmediate,
        /// `imm` is the key, `rd` and `rn` the slots, `a` the register's number.
        Mrs,
        Msr,
        Sys,
        Sysl,
    }
}

impl Form {
    /// Does the next instruction follow in the same page, translated as this one, unless the loop is to be
    /// left for other reasons?
    pub(in crate::a64) fn stays(self) -> bool {
        matches!(self, Self::Sevl | Self::Clrex | Self::Isb | Self::MsrImmediate | Self::Mrs)
    }
}

forms! {
    /// A field of PSTATE that MSR (immediate) writes.
    pub(in crate::a64) enum Immediate {
        Uao,
        Pan,
        SpSel,
        Ssbs,
        Dit,
        DaifSet,
        DaifClr,
    }
}

fn undefined(core: &mut Core) -> Raised {
    core.raise(Exception::synchronous(syndrome::UNDEFINED))
}

/// Runs a [`super::super::op::Kind::System`]; PC is that of the instruction, and afterwards that of the next
/// one.
pub(in crate::a64) fn execute(core: &mut Core, env: &mut Env<'_>, op: Op) -> Result<(), Raised> {
    // Immediates of exception generation have 16 bits.
    let imm = op.imm as u32;
    match Form::of(op.form) {
        Form::Svc => {
            core.pc = core.pc.wrapping_add(4);
            // It completes, so a step of it is done.
            core.stepped = None;
            return Err(core.raise(Exception::synchronous(syndrome::syndrome(syndrome::class::SVC, imm))));
        }
        Form::Brk => {
            return Err(core.raise(Exception::synchronous(syndrome::syndrome(syndrome::class::BRK, imm))));
        }
        Form::Hvc => return firmware_call(core, env, Conduit::Hvc),
        Form::Smc => return firmware_call(core, env, Conduit::Smc),
        Form::Eret => {
            if core.pstate.el == El::El0 {
                return Err(undefined(core));
            }
            exception::exception_return(core, &env.settings.features);
            return Ok(());
        }
        // The next core has its turn.
        Form::Yield => core.yielded = true,
        Form::Wfi => wait_for_interrupt(core)?,
        Form::Wfe => wait_for_event(core, env)?,
        Form::Sev => {
            core.event = true;
            env.tell(Message::Event);
        }
        Form::Sevl => core.event = true,
        Form::Clrex => core.monitor = None,
        Form::Isb => {}
        Form::MsrImmediate => set_pstate(core, Immediate::of(u16::from(op.a)), op.imm)?,
        Form::Mrs => sysreg::mrs(core, env, op)?,
        Form::Msr => sysreg::msr(core, env, op)?,
        Form::Sys => sysreg::sys(core, env, op)?,
        // No operation here has a result.
        Form::Sysl => return Err(undefined(core)),
    }
    core.pc = core.pc.wrapping_add(4);
    if core.yielded || core.activity != Activity::Running {
        core.kick();
    }
    Ok(())
}

fn firmware_call(core: &mut Core, env: &mut Env<'_>, conduit: Conduit) -> Result<(), Raised> {
    if core.pstate.el == El::El0 || env.settings.conduit != Some(conduit) {
        return Err(undefined(core));
    }
    core.pc = core.pc.wrapping_add(4);
    let mut x = [0; 18];
    x.copy_from_slice(&core.x.named()[..18]);
    let at = core.at(env);
    let outcome = env.bus.firmware_call(at, conduit, &mut x);
    for (slot, value) in (0..).zip(x) {
        core.x[slot] = value;
    }
    core.poll_lines(env);
    match outcome {
        CallOutcome::Return => {}
        CallOutcome::Start { cpu, entry, context } => env.tell(Message::Start { cpu, entry, context }),
        CallOutcome::Off => core.activity = Activity::Off,
        CallOutcome::Suspend => core.activity = Activity::WaitInterrupt,
        CallOutcome::Stop => core.stopped = true,
    }
    Ok(())
}

/// A trap of WFI or WFE to EL1: COND always, TI for WFE.
fn trapped_wait(core: &mut Core, event: bool) -> Raised {
    let iss = 1 << 24 | 0xe << 20 | u32::from(event);
    core.raise(Exception::synchronous(syndrome::syndrome(syndrome::class::WFX, iss)))
}

fn wait_for_interrupt(core: &mut Core) -> Result<(), Raised> {
    if core.interrupt_pending() {
        return Ok(());
    }
    if core.pstate.el == El::El0 && core.sys.sctlr & sctlr::NTWI == 0 {
        return Err(trapped_wait(core, false));
    }
    core.activity = Activity::WaitInterrupt;
    Ok(())
}

fn wait_for_event(core: &mut Core, env: &Env<'_>) -> Result<(), Raised> {
    if std::mem::take(&mut core.event) || core.due_interrupt().is_some() {
        return Ok(());
    }
    if core.pstate.el == El::El0 && core.sys.sctlr & sctlr::NTWE == 0 {
        return Err(trapped_wait(core, true));
    }
    core.stream_due = core.stream_deadline(env.settings, core.now());
    core.activity = Activity::WaitEvent;
    Ok(())
}

fn set_pstate(core: &mut Core, field: Immediate, value: u64) -> Result<(), Raised> {
    let on = value & 1 != 0;
    // DAIF bits in the order of the immediate, which has four.
    let masks = (value as u32) << 6 & daif::ALL;
    let allowed = match field {
        Immediate::DaifSet | Immediate::DaifClr => core.sys.sctlr & sctlr::UMA != 0,
        Immediate::Ssbs | Immediate::Dit => true,
        Immediate::Uao | Immediate::Pan | Immediate::SpSel => false,
    };
    if core.pstate.el == El::El0 && !allowed {
        return Err(match field {
            Immediate::DaifSet | Immediate::DaifClr => {
                // MSR DAIFSet and DAIFClr: op0 0, op1 3, CRn 4, CRm the immediate.
                let op2 = if field == Immediate::DaifSet { 6 } else { 7 };
                let key = Key::new(0, 3, 4, (value & 15) as u16, op2);
                core.raise(Exception::synchronous(syndrome::system(key.0, 31, false)))
            }
            _ => undefined(core),
        });
    }
    match field {
        Immediate::Uao => core.pstate.uao = on,
        Immediate::Pan => {
            core.pstate.pan = on;
            core.context_changed();
        }
        Immediate::SpSel => {
            let pstate = PState { sp_sel: on, ..core.pstate };
            core.set_pstate(pstate);
        }
        Immediate::Ssbs => core.pstate.ssbs = on,
        Immediate::Dit => core.pstate.dit = on,
        Immediate::DaifSet => {
            core.pstate.daif |= masks;
            core.kick_for_debug(masks);
        }
        Immediate::DaifClr => {
            core.pstate.daif &= !masks;
            core.unmasked();
        }
    }
    Ok(())
}
