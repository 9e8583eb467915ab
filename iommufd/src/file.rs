//! The files that the library puts behind descriptors: the iommufd itself, fault and event queues,
//! accesses, device files.
//!
//! A file is released when its last `Arc` goes, at once and in the thread that let it go: what a
//! close frees is free when the close returns.

use std::any::Any;
use std::sync::Arc;

use bitflags::bitflags;
use vm_memory::MmapRegion;

use crate::errno::{Errno, Result};
use crate::process::Caller;

bitflags! {
    /// What `poll` reports [poll(2)], with Linux's bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Ready: u32 {
        /// `POLLIN`: a read finds a record.
        const IN = 0x1;
        /// `POLLOUT`: a write is taken.
        const OUT = 0x4;
        /// `POLLERR`: the queue is broken.
        const ERR = 0x8;
        /// `POLLHUP`: the other side is gone.
        const HUP = 0x10;
    }
}

/// Told when a file's [`Ready`] may have changed. Called without any lock of the library held.
pub trait Wake: Send + Sync {
    /// Look again.
    fn wake(&self);
}

/// A request to map a file [mmap(2)].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRequest {
    /// Offset in the file; a multiple of 4 KiB.
    pub offset: u64,
    /// Bytes asked for.
    pub bytes: u64,
    /// `MAP_SHARED`.
    pub shared: bool,
    /// `PROT_EXEC`.
    pub executable: bool,
}

/// What a successful `mmap` gives: the memory, and what must live as long as the mapping does.
pub struct Mapped {
    /// The memory to map.
    pub memory: Arc<MmapRegion>,
    /// Dropped by the process when it unmaps the last of the range.
    pub hold: Box<dyn Any + Send + Sync>,
}

/// A file behind a descriptor.
pub trait File: Any + Send + Sync {
    /// `ioctl(2)`.
    ///
    /// # Errors
    /// The errno of the call; `ENOTTY` where the file has no ioctls.
    fn ioctl(&self, caller: &Caller<'_>, command: u32, argument: u64) -> Result<i64> {
        let _ = (caller, command, argument);
        Err(Errno::ENOTTY)
    }

    /// `read(2)` at position 0: fills `data` from its start and says how many bytes. Never blocks.
    ///
    /// # Errors
    /// The errno of the call; `EINVAL` where the file cannot be read.
    fn read(&self, data: &mut [u8]) -> Result<usize> {
        let _ = data;
        Err(Errno::EINVAL)
    }

    /// `write(2)`: says how many bytes were taken.
    ///
    /// # Errors
    /// The errno of the call; `EINVAL` where the file cannot be written.
    fn write(&self, data: &[u8]) -> Result<usize> {
        let _ = data;
        Err(Errno::EINVAL)
    }

    /// `poll(2)`. A file without a queue is always readable and writable.
    fn poll(&self) -> Ready {
        Ready::IN | Ready::OUT
    }

    /// Registers who is told of changes; kept weakly by no one: it lives as long as the file.
    fn watch(&self, wake: Arc<dyn Wake>) {
        let _ = wake;
    }

    /// `mmap(2)`.
    ///
    /// # Errors
    /// The errno of the call; `ENODEV` where the file cannot be mapped.
    fn mmap(&self, request: MapRequest) -> Result<Mapped> {
        let _ = request;
        Err(Errno::ENODEV)
    }
}
