//! Debian's stock kernel for arm64, as it is shipped, on the board virt behind an SMMUv3.
//!
//! Kernel, modules and busybox come from the host's own package mirrors, once; later runs take them from
//! the user's cache. Each boot is made once and judged by several tests: what the kernel and its programs
//! said, what went over the fabric meanwhile, and what is on the disk afterwards.
#![allow(clippy::unwrap_used)]

mod disk;
mod guest;
mod heard;
mod passthrough;
mod strict;
