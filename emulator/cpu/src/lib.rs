//! Software CPUs.
//!
//! An instruction set here is a predecoding interpreter: a physical page of code is decoded once
//! into an array of compact operations, and one `match` loop runs them. [`a64`] is AArch64;
//! [`interp`] is what any instruction set needs: memory by host pointer, the software TLB, the
//! cache of decoded pages.
//!
//! # Invariants
//! - Nothing here knows a machine. RAM is given as [`interp::Ram`]; whatever else lies behind an
//!   address, the system counter's scale, interrupt lines, the GIC's CPU interface and firmware
//!   calls come through the [`interp::Bus`] trait.
//! - No clock is read. Time is the number of instructions retired by all CPUs together, plus what
//!   was skipped while all of them waited for an interrupt. So a run is a function of memory,
//!   state and what the bus answers.
//! - `unsafe` lives in `interp::mem` alone.
//! - A guest cannot make this crate panic, allocate without bound, or stay in a call longer than
//!   the time it was given.

#![deny(clippy::undocumented_unsafe_blocks)]

pub mod a64;
pub mod interp;
