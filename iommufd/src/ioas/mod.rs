//! I/O address spaces: the object, and the ioctls on it [uapi iommu_ioas_alloc and following].

pub(crate) mod access;
mod change_process;
mod map;
mod option;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use rangemap::RangeInclusiveSet;
use zerocopy::{FromBytes, IntoBytes};

use crate::ctx::{Command, Ctx};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::hwpt::paging::HwptPaging;
use crate::io_pagetable::IoPagetable;
use crate::object::{Object, Ref};
use crate::process::Caller;
use crate::span::Span;
use crate::sync::lock;
use crate::uapi;

pub(crate) use change_process::change_process;
pub(crate) use map::{copy, map, map_file, map_user, unmap};
pub(crate) use option::option;

/// An IOAS.
pub(crate) struct Ioas {
    pub(crate) id: u32,
    pub(crate) table: IoPagetable,
    /// The paging HWPTs over it in the order they were made; the lock also keeps attaching and
    /// choosing among them apart. They hold the IOAS, not the reverse.
    pub(crate) hwpts: Mutex<Vec<Weak<HwptPaging>>>,
}

impl Object for Ioas {
    fn destroy(&self, ctx: &Ctx) {
        // Accesses hold the IOAS, so none can be in the way.
        let _ = self.table.unmap(Span::ALL);
        ctx.ioas.forget(self);
    }
}

impl Ioas {
    /// Whether DMA through each of its HWPTs is forced coherent.
    pub(crate) fn enforces_cache_coherency(&self) -> bool {
        let hwpts = lock(&self.hwpts);
        hwpts.iter().filter_map(Weak::upgrade).all(|hwpt| hwpt.coherent)
    }
}

/// What a context keeps for its address spaces.
#[derive(Default)]
pub(crate) struct Contextual {
    /// Pins count per address space, not per user.
    by_mm: AtomicBool,
    /// The IOAS that VFIO's ioctls act on.
    compat: Mutex<Weak<Ioas>>,
    /// Every IOAS. Whoever locks several tables holds this lock, so that no two do.
    all: Mutex<BTreeMap<u32, Weak<Ioas>>>,
}

impl Contextual {
    /// Whether pins count per address space [uapi IOMMU_OPTION_RLIMIT_MODE].
    pub(crate) fn by_mm(&self) -> bool {
        self.by_mm.load(Ordering::Relaxed)
    }

    fn set_by_mm(&self, by_mm: bool) {
        self.by_mm.store(by_mm, Ordering::Relaxed);
    }

    /// The IOAS of VFIO's ioctls, for the time of a call.
    ///
    /// # Errors
    /// `ENODEV` where there is none.
    pub(crate) fn compat(ctx: &Ctx) -> Result<Ref<Ioas>> {
        let ioas = lock(&ctx.ioas.compat).clone();
        let id = ioas.upgrade().ok_or(Errno::ENODEV)?.id;
        let found = ctx.objects.get::<Ioas>(id).map_err(|_| Errno::ENODEV)?;
        // The id may be another's by now.
        if std::ptr::eq(ioas.as_ptr(), &*found) { Ok(found) } else { Err(Errno::ENODEV) }
    }

    /// Makes `ioas`, which is in use, that of VFIO's ioctls, or none.
    pub(crate) fn set_compat(&self, ioas: Option<&Ioas>) {
        let ioas = ioas.and_then(|ioas| lock(&self.all).get(&ioas.id).cloned());
        *lock(&self.compat) = ioas.unwrap_or_default();
    }

    fn remember(&self, ioas: &Arc<Ioas>) {
        lock(&self.all).insert(ioas.id, Arc::downgrade(ioas));
    }

    fn forget(&self, ioas: &Ioas) {
        let mut all = lock(&self.all);
        // The id may be another's by now.
        if all.get(&ioas.id).is_some_and(|other| std::ptr::eq(other.as_ptr(), ioas)) {
            all.remove(&ioas.id);
        }
    }
}

pub(crate) fn alloc(command: &mut Command<'_, uapi::IoasAlloc>) -> Result<i64> {
    if command.flags != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let pending = command.ctx.objects.reserve()?;
    let id = pending.id();
    command.out_ioas_id = id;
    command.respond()?;
    let ioas = Arc::new(Ioas { id, table: IoPagetable::default(), hwpts: Mutex::default() });
    command.ctx.ioas.remember(&ioas);
    pending.publish(ioas);
    Ok(0)
}

pub(crate) fn iova_ranges(command: &mut Command<'_, uapi::IoasIovaRanges>) -> Result<i64> {
    if command.reserved != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let ioas = command.ctx.objects.get::<Ioas>(command.ioas_id)?;
    let (usable, alignment) = ioas.table.usable();
    let room = command.num_iovas;
    // Reservations take memory: there cannot be 2^32.
    command.num_iovas = u32::try_from(usable.len()).unwrap_or(u32::MAX);
    command.out_iova_alignment = alignment;
    for (index, span) in (0..room).zip(&usable) {
        let range = uapi::IovaRange { start: span.start, last: span.last };
        write_at(command.caller, command.allowed_iovas, index, &range)?;
    }
    command.respond()?;
    if command.num_iovas > room { Err(Errno::EMSGSIZE) } else { Ok(0) }
}

pub(crate) fn allow_iovas(command: &mut Command<'_, uapi::IoasAllowIovas>) -> Result<i64> {
    if command.reserved != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let ioas = command.ctx.objects.get::<Ioas>(command.ioas_id)?;
    let mut allowed = RangeInclusiveSet::new();
    for index in 0..command.num_iovas {
        let range: uapi::IovaRange = read_at(command.caller, command.allowed_iovas, index)?;
        if range.start >= range.last || allowed.overlaps(&(range.start..=range.last)) {
            return Err(Errno::EINVAL);
        }
        fault_point(Errno::ENOMEM)?;
        allowed.insert(range.start..=range.last);
    }
    ioas.table.allow(allowed)?;
    Ok(0)
}

/// Entry `index` of the caller's array at `address`.
fn read_at<T: FromBytes + IntoBytes>(caller: &Caller<'_>, address: u64, index: u32) -> Result<T> {
    fault_point(Errno::EFAULT)?;
    let mut entry = T::new_zeroed();
    caller.memory.read(entry_address::<T>(address, index)?, entry.as_mut_bytes())?;
    Ok(entry)
}

/// Writes entry `index` of the caller's array at `address`.
fn write_at<T: IntoBytes + zerocopy::Immutable>(
    caller: &Caller<'_>,
    address: u64,
    index: u32,
    entry: &T,
) -> Result<()> {
    fault_point(Errno::EFAULT)?;
    caller.memory.write(entry_address::<T>(address, index)?, entry.as_bytes())
}

fn entry_address<T>(address: u64, index: u32) -> Result<u64> {
    address.checked_add(u64::from(index) * size_of::<T>() as u64).ok_or(Errno::EFAULT)
}
