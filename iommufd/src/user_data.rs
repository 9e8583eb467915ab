//! Driver-specific data and arrays that an ioctl argument points to.

use zerocopy::{FromBytes, IntoBytes};

use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::process::Caller;

/// Bytes of a page of the caller's.
const PAGE: usize = 4096;

/// Copies `bytes` at `address` into a `T`: a shorter source is extended with zeroes, a longer one
/// must be zero beyond the `T`.
///
/// # Errors
/// `EFAULT`; `E2BIG` where the part this library does not know is not zero.
pub fn copy_struct<T: FromBytes + IntoBytes>(caller: &Caller<'_>, address: u64, bytes: usize) -> Result<T> {
    fault_point(Errno::EFAULT)?;
    let mut value = T::new_zeroed();
    let known = value.as_mut_bytes();
    let common = bytes.min(known.len());
    let mut tail = bytes - common;
    let mut at = address.checked_add(common as u64).ok_or(Errno::EFAULT)?;
    let mut rest = [0; PAGE];
    while tail > 0 {
        // No piece is in two pages: what is not zero is told before a later page that is not there.
        let piece = tail.min(PAGE - (at % PAGE as u64) as usize);
        caller.memory.read(at, &mut rest[..piece])?;
        if rest[..piece].iter().any(|byte| *byte != 0) {
            return Err(Errno::E2BIG);
        }
        at = at.checked_add(piece as u64).ok_or(Errno::EFAULT)?;
        tail -= piece;
    }
    caller.memory.read(address, &mut known[..common])?;
    Ok(value)
}

/// A structure whose format a type number names [uapi iommu_hwpt_alloc data_type].
#[derive(Clone, Copy)]
pub struct UserData<'a> {
    caller: &'a Caller<'a>,
    kind: u32,
    address: u64,
    bytes: u32,
}

impl<'a> UserData<'a> {
    /// Data of type `kind`, `bytes` at `address`.
    pub fn new(caller: &'a Caller<'a>, kind: u32, address: u64, bytes: u32) -> Self {
        Self { caller, kind, address, bytes }
    }

    /// The type number.
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// Bytes the caller says there are.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// The structure, if it is of type `kind` and has between `min` bytes and those of a `T`.
    ///
    /// # Errors
    /// `EINVAL` for another type or number of bytes; `EFAULT`.
    pub fn read<T: FromBytes + IntoBytes>(&self, kind: u32, min: usize) -> Result<T> {
        let bytes = self.bytes as usize;
        if self.kind != kind || bytes < min || bytes > size_of::<T>() {
            return Err(Errno::EINVAL);
        }
        copy_struct(self.caller, self.address, bytes)
    }

    /// Writes the structure back, as much as the caller has room for.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn write(&self, value: &[u8]) -> Result<()> {
        fault_point(Errno::EFAULT)?;
        let bytes = value.len().min(self.bytes as usize);
        self.caller.memory.write(self.address, &value[..bytes])
    }
}

/// An array of entries whose format a type number names [uapi iommu_hwpt_invalidate].
pub struct UserArray<'a> {
    caller: &'a Caller<'a>,
    kind: u32,
    address: u64,
    entry_bytes: u32,
    count: u32,
    done: u32,
}

impl<'a> UserArray<'a> {
    /// `count` entries of `entry_bytes` each at `address`.
    pub fn new(caller: &'a Caller<'a>, kind: u32, address: u64, entry_bytes: u32, count: u32) -> Self {
        Self { caller, kind, address, entry_bytes, count, done: 0 }
    }

    /// The type number.
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// Bytes from one entry to the next.
    pub fn entry_bytes(&self) -> u32 {
        self.entry_bytes
    }

    /// Number of entries.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Entry `index`, if the array is of type `kind` and its entries have between `min` bytes and those
    /// of a `T`.
    ///
    /// # Errors
    /// `EINVAL` for another type, entries of another size or an index past the end; `EFAULT`.
    pub fn read<T: FromBytes + IntoBytes>(&self, kind: u32, index: u32, min: usize) -> Result<T> {
        let bytes = self.entry_bytes as usize;
        if self.kind != kind || index >= self.count || bytes < min || bytes > size_of::<T>() {
            return Err(Errno::EINVAL);
        }
        self.entry(index)
    }

    /// All entries at once, so that none is executed where one cannot be read; entries of any size, see
    /// [`copy_struct`].
    ///
    /// # Errors
    /// `EINVAL` for another type or an empty array, `ENOMEM`, and as [`copy_struct`].
    pub fn read_all<T: FromBytes + IntoBytes>(&self, kind: u32) -> Result<Vec<T>> {
        if self.kind != kind || self.count == 0 {
            return Err(Errno::EINVAL);
        }
        fault_point(Errno::ENOMEM)?;
        let mut entries = Vec::new();
        entries.try_reserve_exact(self.count as usize).map_err(|_| Errno::ENOMEM)?;
        for index in 0..self.count {
            entries.push(self.entry(index)?);
        }
        Ok(entries)
    }

    fn entry<T: FromBytes + IntoBytes>(&self, index: u32) -> Result<T> {
        let offset = u64::from(index) * u64::from(self.entry_bytes);
        let address = self.address.checked_add(offset).ok_or(Errno::EFAULT)?;
        copy_struct(self.caller, address, self.entry_bytes as usize)
    }

    /// Says that `entries` more were executed.
    pub fn done(&mut self, entries: u32) {
        self.done += entries;
    }

    /// How many were executed.
    pub fn executed(&self) -> u32 {
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::fake::FakeProcess;
    use crate::process::UserMemory;

    #[test]
    fn what_is_not_zero_is_told_before_a_page_that_is_not_there() {
        let process = FakeProcess::new(1);
        let end = FakeProcess::ARGUMENTS + PAGE as u64;
        let copy = || copy_struct::<u32>(&process.caller(), end - 16, PAGE);
        assert_eq!(copy(), Err(Errno::EFAULT));
        assert_eq!(process.memory.write(end - 1, &[1]), Ok(()));
        assert_eq!(copy(), Err(Errno::E2BIG));
    }
}
