//! Guest memory by virtual addresses, as a CPU translates them now.
//!
//! Device registers are no memory to a debugger: looking at one may change it.

use cpu::interp::PAGE_SIZE;
use vm_memory::{Bytes, GuestAddress};

use crate::soft::{Board, Soft};

/// Reads memory as `cpu` sees it at EL1; returns how many bytes could be read before one could not.
pub(super) fn read<B: Board>(soft: &Soft<B>, cpu: usize, address: u64, data: &mut [u8]) -> usize {
    let mut done = 0;
    while done < data.len() {
        let Some(at) = address.checked_add(done as u64) else { break };
        let chunk = in_page(at, data.len() - done);
        let Some(pa) = soft.cluster().translate(cpu, at, false) else { break };
        let place = &mut data[done..done + chunk];
        if soft.board().memory().read_slice(place, GuestAddress(pa)).is_err() {
            break;
        }
        done += chunk;
    }
    done
}

/// Writes memory as `cpu` sees it, whether the guest could write there or not; whether all of it could
/// be. The CPUs see changed code.
pub(super) fn write<B: Board>(soft: &Soft<B>, cpu: usize, address: u64, data: &[u8]) -> bool {
    let watch = soft.code_watch();
    let mut done = 0;
    while done < data.len() {
        let Some(at) = address.checked_add(done as u64) else { return false };
        let chunk = in_page(at, data.len() - done);
        let Some(pa) = soft.cluster().translate(cpu, at, false) else { return false };
        if soft.board().memory().write_slice(&data[done..done + chunk], GuestAddress(pa)).is_err() {
            return false;
        }
        // It was just found to be RAM.
        watch.written(pa, pa + (chunk as u64 - 1));
        done += chunk;
    }
    true
}

/// How many of `left` bytes from `at` on lie in its page.
fn in_page(at: u64, left: usize) -> usize {
    let room = PAGE_SIZE - at % PAGE_SIZE;
    // A page's size fits.
    left.min(room as usize)
}
