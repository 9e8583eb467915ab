//! Machines made of the models of `devices`, and the drivers that run them.
//!
//! A machine is passive: a driver (a virtual CPU, a guest program in this process, a script over a
//! socket) reads and writes addresses and ports, lets time pass and takes the interrupts. Which
//! driver it is makes no difference to any model.

pub mod boot;
pub mod config;
pub mod control;
pub mod exit;
pub mod gdb;
pub mod hosted;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub mod kvm;
pub mod legacy;
pub mod linux;
pub mod machine;
pub mod qtest;
pub mod report;
pub mod snapshot;
pub mod soft;
pub mod story;
pub mod trace;
