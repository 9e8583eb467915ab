//! AArch64: Armv8-A in the AArch64 state, EL0 and EL1.
//!
//! # Rooms
//! | room | holds |
//! |---|---|
//! | `op` | the decoded operation: 16 bytes, and its kinds |
//! | `decode` | instruction word to operation, one file per group of the encoding tables |
//! | `exec` | operations at work: `run` is the one loop, with the common integer operations and fast loads and stores in it; `memory`, `system` and `arith` are called from it |
//! | `fp`, `simd` | scalar floating point and Advanced SIMD, decode and execution |
//! | `core` | one CPU: its registers and what it caches |
//! | `cluster` | all CPUs of a machine, turn by turn |
//! | `regs` | the register file, PSTATE, the flags |
//! | `features` | what is implemented, as bits |
//! | `sysreg` | system registers; the ID registers are computed from `features` |
//! | `mmu` | VMSAv8-64 stage 1: walk, permissions, faults, TLB maintenance, AT |
//! | `exception` | syndromes, entry and return, debug exceptions |
//! | `debugger`, `view` | stops and registers for debuggers outside the machine |
//!
//! # How an instruction runs
//! `run` looks the page of PC up (instruction TLB, then [`crate::interp::CodePages`]), and steps
//! through its operations. An operation that is not decoded yet is decoded in place. Straight-line
//! code costs nothing but itself; at each branch the instructions since the last one are taken off
//! the budget, and when that is used up the loop is left. Whoever needs attention (an interrupt, a
//! changed line, a debugger) does not test a flag in the loop: it empties the budget
//! (`Core::kick`).
//!
//! Operations that are rare carry a second-level kind in `form` and call their group's executor with
//! PC up to date. An executor that faults records the exception in the core and returns the token
//! `Raised`; the loop then takes the exception with PC as its preferred return address.
//!
//! # Where to add an instruction
//! A general one: a `op::Kind`, its decoder, its arm in `exec::run`. One of floating point or
//! Advanced SIMD: a form in `fp` or `simd`, decoded to `Op::group`; the loop has made sure
//! that access is enabled (CPACR_EL1.FPEN) before it calls the executor.
//!
//! # Invariants
//! - What is not advertised in an ID register is undefined, and the reverse.
//! - Slot `regs::ZR` of the register file is zero: decoders never name it as a destination.
//! - Memory is in order; barriers do nothing. ISB and exception entry or return end a block.
//! - There is no EL2, no EL3, no AArch32 and no big-endian data. Stage 2 would join in
//!   `mmu::walk`, and EL2 in `exception::entry`.
//!
//! # What is absent
//! EL2, EL3, Secure state and AArch32. Big-endian data. SVE, SME, MTE, PAuth, BTI, RAS, SPE, trace,
//! LPA2, 52-bit addresses, TTL hints, CSSC, MOPS, LS64, TME, RNG. Event counters of the PMU. External
//! debug and debug state. Contiguous hints are not used. Stores of one core are seen by another at
//! its turn, so no weak ordering is ever observed. Trapped floating-point exceptions.

mod cluster;
mod core;
mod debugger;
mod decode;
mod exception;
mod exec;
mod features;
mod fp;
mod mmu;
mod op;
mod regs;
mod simd;
mod sysreg;
#[cfg(test)]
mod tests;
mod view;

pub use cluster::{Cluster, ClusterState, Config, OtherCpus, Stop};
pub use core::CoreState;
pub use debugger::{Reason, Watch};
pub use features::Features;
pub use regs::{El, Nzcv, PState, daif};
pub use view::Registers;
