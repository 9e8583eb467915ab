//! All that is unsafe in this back end: memory slots, and the exit record shared with the kernel.
#![allow(unsafe_code)]

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{VcpuExit, VcpuFd, VmFd};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

/// A virtual machine whose slots are mapped, together with the memory behind them.
///
/// Fields drop in order: the machine's descriptor goes first.
pub(super) struct MappedVm {
    fd: VmFd,
    _memory: GuestMemoryMmap,
}

impl MappedVm {
    /// Makes every region of `memory` a slot.
    pub(super) fn new(fd: VmFd, memory: &GuestMemoryMmap) -> Result<Self, kvm_ioctls::Error> {
        for (slot, region) in (0..).zip(memory.iter()) {
            let region = kvm_userspace_memory_region {
                slot,
                flags: 0,
                guest_phys_addr: region.start_addr().raw_value(),
                memory_size: region.len(),
                userspace_addr: region.as_ptr() as u64,
            };
            // SAFETY: the range is a mapping of `memory`, a clone of which lives in `Self` beside the
            // descriptor, so the guest, which only runs through it, never reaches unmapped addresses.
            // The host sees that memory through vm-memory's volatile accesses only, never as a Rust
            // reference that the guest's stores would contradict.
            unsafe { fd.set_user_memory_region(region)? };
        }
        Ok(Self { fd, _memory: memory.clone() })
    }

    pub(super) fn fd(&self) -> &VmFd {
        &self.fd
    }
}

/// What an access is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A port; the access repeats (string instructions) until all data is moved.
    Port {
        port: u16,
        /// Bytes of one access.
        size: usize,
    },
    /// A physical address.
    Memory(u64),
}

/// Why the guest stopped running.
pub(super) enum Exit<'a> {
    /// It waits for `data`.
    Read { target: Target, data: &'a mut [u8] },
    /// It has written `data`.
    Write { target: Target, data: &'a [u8] },
    /// It has ended an interrupt that some route names.
    EndOfInterrupt { vector: u8 },
    /// Its processor has shut down.
    Shutdown,
    /// KVM gave up.
    InternalError { suberror: u32 },
    /// None of the above, for the report.
    Other(String),
}

/// Runs the guest until it needs something.
pub(super) fn run(vcpu: &mut VcpuFd) -> Result<Exit<'_>, kvm_ioctls::Error> {
    // The size of a port access is only in the record, so the data is held as a pointer meanwhile.
    let (address, data, len, port, read) = match vcpu.run()? {
        VcpuExit::IoIn(port, data) => (port.into(), data.as_mut_ptr(), data.len(), Some(port), true),
        VcpuExit::IoOut(port, data) => (port.into(), data.as_ptr().cast_mut(), data.len(), Some(port), false),
        VcpuExit::MmioRead(address, data) => (address, data.as_mut_ptr(), data.len(), None, true),
        VcpuExit::MmioWrite(address, data) => (address, data.as_ptr().cast_mut(), data.len(), None, false),
        VcpuExit::IoapicEoi(vector) => return Ok(Exit::EndOfInterrupt { vector }),
        VcpuExit::Shutdown => return Ok(Exit::Shutdown),
        VcpuExit::InternalError => {
            let record = vcpu.get_kvm_run();
            // SAFETY: any bit pattern is valid for these integers, and this is the member that the
            // exit reason names.
            let suberror = unsafe { record.__bindgen_anon_1.internal.suberror };
            return Ok(Exit::InternalError { suberror });
        }
        exit => return Ok(Exit::Other(format!("{exit:?}"))),
    };
    let target = match port {
        Some(port) => Target::Port { port, size: port_size(vcpu) },
        None => Target::Memory(address),
    };
    // SAFETY: pointer and length are those of the slice that `VcpuFd::run` gave. It lies in the
    // mapping that `vcpu` owns, which the result keeps borrowed. Since then only `port_size` made a
    // reference to the record, and a port's data lies behind the record, not in it. What came as a
    // shared slice goes on as one below.
    let data = unsafe { std::slice::from_raw_parts_mut(data, len) };
    Ok(if read { Exit::Read { target, data } } else { Exit::Write { target, data } })
}

/// The size of the port access that `vcpu` stopped for; 1 to 4.
fn port_size(vcpu: &mut VcpuFd) -> usize {
    let record = vcpu.get_kvm_run();
    // SAFETY: as for `suberror`.
    usize::from(unsafe { record.__bindgen_anon_1.io.size }).clamp(1, 4)
}
