//! System calls that the standard library does not have: the only unsafe code of the program.
#![allow(unsafe_code, reason = "system calls and memory that devices write")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use iommufd_bindings::iommu_hw_info;

use crate::uapi::Argument;

/// Makes a result of what a system call returned.
fn checked(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

/// An ioctl with a structure, whose size it sets first.
///
/// # Errors
/// What the kernel answered.
pub fn ioctl<A: Argument>(fd: BorrowedFd<'_>, argument: &mut A) -> io::Result<libc::c_int> {
    argument.set_size();
    // SAFETY: the structure is what the request takes, lives for the call, and says how long it is. The
    // memory its pointers name is a `Mapping` or a buffer of the caller's, set together with its length
    // (see `Argument`).
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), A::REQUEST as _, ptr::from_mut(argument)) })
}

/// An ioctl whose argument is a number.
///
/// # Errors
/// What the kernel answered.
pub fn ioctl_number(fd: BorrowedFd<'_>, request: u32, number: libc::c_ulong) -> io::Result<libc::c_int> {
    // SAFETY: the requests made so take a number and touch no memory.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, number) })
}

/// An ioctl whose argument is a file descriptor behind a pointer, VFIO_GROUP_SET_CONTAINER.
///
/// # Errors
/// What the kernel answered.
pub fn ioctl_descriptor(fd: BorrowedFd<'_>, request: u32, other: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    let mut number = other.as_raw_fd();
    // SAFETY: the request reads one int, which lives for the call.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, ptr::from_mut(&mut number)) })
}

/// An ioctl whose argument is a string and whose answer a file, VFIO_GROUP_GET_DEVICE_FD.
///
/// # Errors
/// What the kernel answered.
pub fn ioctl_open(fd: BorrowedFd<'_>, request: u32, name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the request reads the string up to its end.
    let opened = checked(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, name.as_ptr()) })?;
    Ok(adopt(opened))
}

/// Owns a file descriptor that the kernel has just handed out.
pub fn adopt(fd: libc::c_int) -> OwnedFd {
    // SAFETY: callers pass what a system call opened for them, and nothing else has seen it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The kind of data that GET_HW_INFO gave.
pub fn hw_info_kind(info: &iommu_hw_info) -> u32 {
    // SAFETY: both members are this number.
    unsafe { info.__bindgen_anon_1.out_data_type }
}

/// A counter of interrupts, read without blocking.
///
/// # Errors
/// The kernel's.
pub fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    checked(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }).map(adopt)
}

/// Waits until one of the files can be read, at most `milliseconds`.
///
/// # Errors
/// The kernel's.
pub fn wait_readable(files: &[BorrowedFd<'_>], milliseconds: libc::c_int) -> io::Result<()> {
    let mut polled: Vec<_> = files
        .iter()
        .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    // SAFETY: the array has as many elements as said, and lives for the call.
    checked(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) }).map(drop)
}

/// Mounts a file system that needs no device.
///
/// # Errors
/// The kernel's.
pub fn mount(kind: &CStr, at: &CStr) -> io::Result<()> {
    // SAFETY: the strings end, and no data is passed.
    checked(unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, ptr::null()) }).map(drop)
}

/// Switches the machine off.
///
/// # Errors
/// The kernel's, and none if it is off.
pub fn power_off() -> io::Result<()> {
    // SAFETY: neither touches memory of ours.
    unsafe {
        libc::sync();
        checked(libc::reboot(libc::RB_POWER_OFF)).map(drop)
    }
}

/// Memory that a device may read and write, or a window into a device's registers.
///
/// All accesses are volatile and whole, and panic outside: an address that a driver makes up is a
/// mistake of this program.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Zeroed memory, `len` bytes from a given multiple of the page size on, where nothing may be yet.
    ///
    /// # Errors
    /// The kernel's.
    pub fn memory(at: u64, len: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, which replaces nothing.
        let base = unsafe { libc::mmap(at as *mut libc::c_void, len, rights, flags, -1, 0) };
        Self::from_mmap(base, len)
    }

    /// A window into a file.
    ///
    /// # Errors
    /// The kernel's.
    pub fn file(fd: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        let offset = offset.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping; its memory is touched by volatile accesses only.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), len, rights, libc::MAP_SHARED, fd.as_raw_fd(), offset) };
        Self::from_mmap(base, len)
    }

    fn from_mmap(base: *mut libc::c_void, len: usize) -> io::Result<Self> {
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { base, len })
    }

    /// Address of the first byte.
    pub fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all these bytes are in it.
    pub fn holds(&self, address: u64, len: usize) -> bool {
        let offset = address.wrapping_sub(self.address());
        offset <= self.len as u64 && len as u64 <= self.len as u64 - offset
    }

    fn at<T>(&self, address: u64) -> *mut T {
        assert!(self.holds(address, size_of::<T>()), "{address:#x} is outside of what is mapped");
        assert!(address.is_multiple_of(align_of::<T>() as u64), "{address:#x} is not aligned");
        // Below `len`, which is a usize.
        self.base.as_ptr().wrapping_add((address - self.address()) as usize).cast()
    }

    /// Reads a value of an unsigned integer type.
    pub fn read<T: Word>(&self, address: u64) -> T {
        // SAFETY: mapped, aligned (see `at`), and any bits are a value.
        unsafe { self.at::<T>(address).read_volatile() }
    }

    /// Writes a value of an unsigned integer type.
    pub fn write<T: Word>(&self, address: u64, value: T) {
        // SAFETY: mapped and aligned (see `at`).
        unsafe { self.at::<T>(address).write_volatile(value) }
    }
}

/// A window that stays keeps a VFIO device open.
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and nothing refers to it but through this value. It cannot fail.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// The unsigned integers that registers are made of.
pub trait Word: Copy {}
impl Word for u8 {}
impl Word for u32 {}
impl Word for u64 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_and_bounded() {
        let memory = Mapping::memory(0x10_0000_0000, 0x3000).unwrap();
        assert_eq!(memory.address(), 0x10_0000_0000);
        assert!(Mapping::memory(0x10_0000_2000, 0x1000).is_err(), "something is there");
        assert_eq!(memory.read::<u64>(memory.address() + 0x2ff8), 0);
        memory.write(memory.address() + 4, 7u32);
        assert_eq!(memory.read::<u64>(memory.address()), 7 << 32);
        assert!(memory.holds(memory.address(), 0x3000));
        for (offset, len) in [(0, 0x3001), (0x3000, 1), (u64::MAX, 1)] {
            assert!(!memory.holds(memory.address().wrapping_add(offset), len), "{offset:#x}");
        }
    }
}
