//! Stops that a debugger outside the machine asks for. The guest does not notice them.
//!
//! A breakpoint takes the place of the decoded operation at its address; a watchpoint keeps its page
//! out of the fast part of the TLB. So neither costs anything where it is not.

use super::cluster::Cluster;
use super::core::{Core, Env, Raised};
use crate::interp::PAGE_SIZE;

/// A range of virtual addresses to be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// First address.
    pub first: u64,
    /// Last address.
    pub last: u64,
    /// Loads stop.
    pub read: bool,
    /// Stores stop.
    pub write: bool,
}

/// Why a debugger is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// PC is at a breakpoint.
    Breakpoint,
    /// The instruction at PC is about to access a watched range.
    Watch {
        /// Address of the access.
        address: u64,
        /// It is a store.
        write: bool,
    },
}

/// What to stop at, on every CPU and in every address space.
#[derive(Clone, Debug, Default)]
pub(in crate::a64) struct Stops {
    /// Sorted.
    breakpoints: Vec<u64>,
    watches: Vec<Watch>,
}

impl Stops {
    /// Is there a breakpoint at `pc`?
    pub(in crate::a64) fn at(&self, pc: u64) -> bool {
        self.breakpoints.binary_search(&pc).is_ok()
    }

    /// Is there one at the same place of some page? Decoded pages are physical, so the address at
    /// which a place was decoded says nothing about the others at which it will run.
    pub(in crate::a64) fn at_offset(&self, pc: u64) -> bool {
        self.breakpoints.iter().any(|address| (address ^ pc).is_multiple_of(PAGE_SIZE))
    }

    /// Is anything in the page of `va` watched?
    pub(in crate::a64) fn watches_page(&self, va: u64) -> bool {
        let page = va & !(PAGE_SIZE - 1);
        self.watches.iter().any(|watch| watch.first <= (page | (PAGE_SIZE - 1)) && watch.last >= page)
    }

    fn hit(&self, va: u64, size: u64, write: bool) -> bool {
        let last = va.saturating_add(size - 1);
        self.watches.iter().any(|watch| {
            (if write { watch.write } else { watch.read }) && watch.first <= last && watch.last >= va
        })
    }
}

impl Core {
    /// Stops before an access that the debugger or the guest watches.
    pub(in crate::a64) fn check_watches(
        &mut self,
        env: &Env<'_>,
        va: u64,
        size: u64,
        write: bool,
    ) -> Result<(), Raised> {
        if !self.stepped_over && env.stops.hit(va, size, write) {
            return Err(self.stop_for_debugger(Reason::Watch { address: va, write }));
        }
        super::exception::debug::check_watchpoints(self, va, size, write)
    }
}

impl Cluster {
    /// Replaces the breakpoints: virtual addresses of instructions, before which [`Cluster::run`]
    /// stops. [`Cluster::step`] passes them.
    pub fn set_breakpoints(&mut self, mut addresses: Vec<u64>) {
        addresses.sort_unstable();
        self.stops_mut().breakpoints = addresses;
        self.forget_decoded();
    }

    /// Replaces the watchpoints: [`Cluster::run`] stops before an instruction that accesses one,
    /// [`Cluster::step`] passes them. What a page table walk reads is not watched.
    pub fn set_watchpoints(&mut self, watches: Vec<Watch>) {
        self.stops_mut().watches = watches;
        self.forget_translations();
    }
}
