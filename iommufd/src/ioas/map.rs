//! `IOMMU_IOAS_MAP`, `_MAP_FILE`, `_COPY` and `_UNMAP`.
//!
//! A call that mapped and then cannot write its answer back has mapped all the same, as in the
//! kernel: the mapping is at no fault, and its IOVA can still be found by unmapping.

use std::any::Any;
use std::sync::Arc;

use bitflags::Flags;

use super::Ioas;
use crate::accounting::Payer;
use crate::ctx::{Command, Ctx};
use crate::driver::Protection;
use crate::errno::{Errno, Result};
use crate::io_pagetable::{At, Slice};
use crate::pages::Pages;
use crate::pages::dmabuf::{DmaBuf, DmaBufFile};
use crate::process::Caller;
use crate::span::Span;
use crate::uapi::{self, IoasMapFlags};

pub(crate) fn map(command: &mut Command<'_, uapi::IoasMap>) -> Result<i64> {
    if command.reserved != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let protection = protection(command.flags, &[command.iova, command.length])?;
    let ioas = command.ctx.objects.get::<Ioas>(command.ioas_id)?;
    let at = at(command.flags, command.iova);
    command.iova =
        map_user(command.ctx, command.caller, &ioas, at, command.user_va, command.length, protection)?;
    command.respond()?;
    Ok(0)
}

/// Maps `bytes` of the caller's memory at `address`, and says where.
///
/// # Errors
/// As [`Pages::of_user`] and [`crate::io_pagetable::IoPagetable::map`].
pub(crate) fn map_user(
    ctx: &Arc<Ctx>,
    caller: &Caller<'_>,
    ioas: &Ioas,
    at: At,
    address: u64,
    bytes: u64,
    protection: Protection,
) -> Result<u64> {
    let payer = Payer::new(caller, ctx.ioas.by_mm());
    let writable = protection.contains(Protection::WRITE);
    let (pages, start_byte) = Pages::of_user(&ctx.host, caller, payer, address, bytes, writable)?;
    ioas.table.map(vec![Slice { pages, start_byte, bytes }], at, protection)
}

pub(crate) fn map_file(command: &mut Command<'_, uapi::IoasMapFile>) -> Result<i64> {
    let protection = protection(command.flags, &[command.iova, command.length])?;
    let ioas = command.ctx.objects.get::<Ioas>(command.ioas_id)?;
    let (start, bytes) = (command.start, command.length);
    Span::sized(start, bytes)?;
    let payer = Payer::new(command.caller, command.ctx.ioas.by_mm());
    let writable = protection.contains(Protection::WRITE);
    let host = &command.ctx.host;
    let (pages, start_byte) = match dmabuf(command.caller, command.fd)? {
        Some(buffer) => Pages::of_dmabuf(host, payer, buffer, start, bytes, writable)?,
        None => {
            let file = command.caller.files.memory_file(command.fd)?;
            Pages::of_file(host, payer, file, start, bytes, writable)?
        }
    };
    let at = at(command.flags, command.iova);
    command.iova = ioas.table.map(vec![Slice { pages, start_byte, bytes }], at, protection)?;
    command.respond()?;
    Ok(0)
}

pub(crate) fn copy(command: &mut Command<'_, uapi::IoasCopy>) -> Result<i64> {
    crate::selftest::count_source(command);
    let protection = protection(command.flags, &[command.length, command.src_iova, command.dst_iova])?;
    let source = command.ctx.objects.get::<Ioas>(command.src_ioas_id)?;
    let slices = source.table.slices(Span::sized(command.src_iova, command.length)?)?;
    drop(source);
    let target = command.ctx.objects.get::<Ioas>(command.dst_ioas_id)?;
    command.dst_iova = target.table.map(slices, at(command.flags, command.dst_iova), protection)?;
    command.respond()?;
    Ok(0)
}

pub(crate) fn unmap(command: &mut Command<'_, uapi::IoasUnmap>) -> Result<i64> {
    let ioas = command.ctx.objects.get::<Ioas>(command.ioas_id)?;
    let all = command.iova == 0 && command.length == u64::MAX;
    let span = if all {
        Span::ALL
    } else if command.iova == u64::MAX || command.length == u64::MAX {
        return Err(Errno::EOVERFLOW);
    } else {
        Span::sized(command.iova, command.length)?
    };
    let unmapped = ioas.table.unmap(span);
    unmapped.result?;
    if unmapped.bytes == 0 && !all {
        return Err(Errno::ENOENT);
    }
    command.length = unmapped.bytes;
    command.respond()?;
    Ok(0)
}

/// Checks what the calls that map have in common, `sizes` being their addresses and lengths.
fn protection(flags: IoasMapFlags, sizes: &[u64]) -> Result<Protection> {
    if flags.contains_unknown_bits() {
        return Err(Errno::EOPNOTSUPP);
    }
    if sizes.contains(&u64::MAX) {
        return Err(Errno::EOVERFLOW);
    }
    let mut protection = Protection::CACHE;
    protection.set(Protection::READ, flags.contains(IoasMapFlags::READABLE));
    protection.set(Protection::WRITE, flags.contains(IoasMapFlags::WRITEABLE));
    if protection == Protection::CACHE { Err(Errno::EINVAL) } else { Ok(protection) }
}

fn at(flags: IoasMapFlags, iova: u64) -> At {
    if flags.contains(IoasMapFlags::FIXED_IOVA) { At::Fixed(iova) } else { At::Automatic }
}

/// The dma-buf behind `fd`, if it is one.
fn dmabuf(caller: &Caller<'_>, fd: i32) -> Result<Option<Arc<dyn DmaBuf>>> {
    let Some(file) = caller.files.file(fd)? else { return Ok(None) };
    let file: Arc<dyn Any + Send + Sync> = file;
    Ok(file.downcast::<DmaBufFile>().ok().map(|file| Arc::clone(file.buffer())))
}
