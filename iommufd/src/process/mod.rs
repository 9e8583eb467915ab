//! What an ioctl needs of the process that makes it.
//!
//! The library never touches a host process by itself: pointers in arguments are offsets into a
//! [`UserMemory`], descriptors are entries of a [`FileTable`], capabilities and limits are
//! [`Credentials`]. A test gives a simulated process, a VMM its own memory, a shim the process it
//! lives in.
//!
//! Ready-made are [`RegionMemory`], for whoever has vm-memory's regions (a VMM's guest memory), and
//! [`Descriptors`].
//!
//! What is absent: a way to keep a pointer. What outlives the ioctl is a [`MemoryObject`], which
//! stays readable and writable after the process unmapped it or died.

mod descriptors;
mod object;
mod regions;

use std::sync::Arc;

use bitflags::bitflags;
use vm_memory::MmapRegion;

use crate::errno::Result;
use crate::file::File;
use crate::span::Span;
use crate::uapi::Command;

pub use descriptors::{Descriptor, Descriptors};
pub use object::RegionObject;
pub use regions::RegionMemory;

/// Identity of an address space: what Linux calls an `mm`. Never reused in the life of a `Host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MmId(pub u64);

/// Identity of a [`MemoryObject`]: equal for the same pages, in whatever process they are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(pub u64);

impl ObjectKey {
    /// Keys from this one on are those that [`Self::unique`] gives, to the library's own objects too.
    pub const OWN: Self = Self(1 << 63);
}

/// What a pin must allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinAccess {
    /// Devices read only.
    Read,
    /// Devices may write; private pages are broken from their copy-on-write source first.
    Write,
}

/// An address space: where the pointers of ioctl arguments point.
pub trait UserMemory: Send + Sync {
    /// Its identity.
    fn id(&self) -> MmId;

    /// Copies in `data.len()` bytes at `address`.
    ///
    /// # Errors
    /// `EFAULT` where any byte is not mapped readable.
    fn read(&self, address: u64, data: &mut [u8]) -> Result<()>;

    /// Copies `data` out to `address`.
    ///
    /// # Errors
    /// `EFAULT` where any byte is not mapped writable.
    fn write(&self, address: u64, data: &[u8]) -> Result<()>;

    /// Faults in every page of `pages` (whole 4-KiB pages) and names the memory behind them, in
    /// address order and without gaps. Contiguous pages of one object are one extent.
    ///
    /// # Errors
    /// `EFAULT` for a hole, for `Write` on a read-only mapping, for memory that cannot be pinned
    /// (device memory), and when the process is gone; `ENOMEM` where the host has no memory.
    fn pin(&self, pages: Span, access: PinAccess) -> Result<Vec<Extent>>;
}

/// Bytes of a [`MemoryObject`].
#[derive(Clone)]
pub struct Extent {
    /// The memory.
    pub object: Arc<dyn MemoryObject>,
    /// First byte in the object; a multiple of 4 KiB.
    pub offset: u64,
    /// How many bytes; a multiple of 4 KiB, not 0.
    pub bytes: u64,
}

/// Memory that can be the target of DMA: a memfd, an anonymous mapping, guest RAM.
///
/// It is the owner of its pages: they stay while it lives, whatever the process does.
pub trait MemoryObject: Send + Sync {
    /// Its identity.
    fn key(&self) -> ObjectKey;

    /// Its size, a multiple of 4 KiB. It does not shrink.
    fn bytes(&self) -> u64;

    /// Where byte 0 lies within a 2-MiB frame (0 to 2 MiB - 4 KiB, a multiple of 4 KiB): a mapping
    /// that is well aligned in the process then is so in physical memory.
    fn phase(&self) -> u64;

    /// Size of its pages: 4 KiB, or more for hugetlb memory.
    fn page_bytes(&self) -> u64;

    /// Copies out of the object.
    ///
    /// # Errors
    /// `EFAULT` beyond its end or where the memory is gone.
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<()>;

    /// Copies into the object.
    ///
    /// # Errors
    /// `EFAULT` beyond its end or where the memory is gone.
    fn write(&self, offset: u64, data: &[u8]) -> Result<()>;

    /// The whole object mapped in the emulator's process, so that modelled devices can master it.
    /// `None` where that cannot be had; such memory serves accesses by copy only.
    fn mapping(&self) -> Option<Arc<MmapRegion>>;
}

/// A file that `IOMMU_IOAS_MAP_FILE` may map [uapi iommu_ioas_map_file].
pub trait MemoryFile: Send + Sync {
    /// Size in bytes now.
    fn bytes(&self) -> u64;

    /// As [`UserMemory::pin`], over bytes of the file.
    ///
    /// # Errors
    /// `EINVAL` for a file that is no memfd, and beyond its size.
    fn pin(&self, pages: Span, access: PinAccess) -> Result<Vec<Extent>>;
}

/// The descriptors of a process.
pub trait FileTable: Send + Sync {
    /// Takes the lowest free descriptor, which stays unusable until [`Self::install`].
    ///
    /// # Errors
    /// `EMFILE`.
    fn reserve(&self) -> Result<i32>;

    /// Puts `file` behind a reserved descriptor, close-on-exec.
    fn install(&self, fd: i32, file: Arc<dyn File>);

    /// Gives a reserved descriptor back.
    fn release(&self, fd: i32);

    /// The file behind `fd` if it is one of this library's, `None` if it is another.
    ///
    /// # Errors
    /// `EBADF` where nothing is open.
    fn file(&self, fd: i32) -> Result<Option<Arc<dyn File>>>;

    /// The file behind `fd` as memory.
    ///
    /// # Errors
    /// `EBADF` where nothing is open.
    fn memory_file(&self, fd: i32) -> Result<Arc<dyn MemoryFile>>;
}

bitflags! {
    /// The capabilities that iommufd asks for [capabilities(7)].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Capabilities: u32 {
        /// `CAP_IPC_LOCK`: pins are not charged.
        const IPC_LOCK = 1 << 0;
        /// `CAP_SYS_RESOURCE`: may choose how pins are charged.
        const SYS_RESOURCE = 1 << 1;
        /// `CAP_SYS_RAWIO`.
        const SYS_RAWIO = 1 << 2;
    }
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Real user id: whose locked memory is charged.
    pub uid: u32,
    /// Effective capabilities.
    pub capabilities: Capabilities,
    /// `RLIMIT_MEMLOCK` in bytes; `u64::MAX` is unlimited.
    pub memlock: u64,
}

/// The process that makes a call.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Its memory.
    pub memory: &'a Arc<dyn UserMemory>,
    /// Its descriptors.
    pub files: &'a dyn FileTable,
    /// Its rights and limits.
    pub credentials: Credentials,
}

impl Caller<'_> {
    /// Does `command` on `file`, with its structure put at `argument` in the caller's memory and its size
    /// filled in, and gives what the call left in it.
    ///
    /// # Errors
    /// The errno of the call; `EFAULT` where the structure cannot be at `argument`.
    pub fn call<T: Command>(&self, file: &dyn File, argument: u64, command: T) -> Result<T> {
        let mut command = command;
        // The first field of every structure is its size, which fits.
        command.as_mut_bytes()[..4].copy_from_slice(&(size_of::<T>() as u32).to_ne_bytes());
        self.memory.write(argument, command.as_bytes())?;
        file.ioctl(self, T::REQUEST, argument)?;
        self.memory.read(argument, command.as_mut_bytes())?;
        Ok(command)
    }
}
