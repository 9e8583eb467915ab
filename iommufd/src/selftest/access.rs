//! Accesses: software that reads, writes and pins an IOAS.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bitflags::Flags;
use devices::addr::Iova;

use super::user_pages::{self, PAGE, page_of};
use crate::ctx::Command;
use crate::errno::{Errno, Result};
use crate::fault::FdGuard;
use crate::fault_point::fault_point;
use crate::file::File;
use crate::ioas::access::{Access, AccessFlags, AccessOps, AccessRw};
use crate::pages::AccessFrom;
use crate::span::Span;
use crate::sync::lock;
use crate::uapi::test::{
    self as op, AccessPagesFlags, AccessRwFlags, CreateAccess, CreateAccessFlags, DestroyAccessPages, TestCmd,
};

/// Most bytes that are pinned or copied by one operation.
const LENGTH_MAX: u64 = 16 << 20;

/// An access behind a descriptor. Closed, it lets go of everything.
struct AccessFile {
    access: Arc<Access>,
    pins: Arc<Pins>,
    may_pin: bool,
}

impl AccessFile {
    /// `iova`, or the place that it counts to.
    fn iova(&self, iova: u64, counted: bool) -> u64 {
        if counted { super::counted(iova, |nth| self.access.nth_area(nth)) } else { iova }
    }
}

impl File for AccessFile {}

impl Drop for AccessFile {
    fn drop(&mut self) {
        let released = self.pins.close();
        // The access ends here: not in a callback, which it would wait for.
        drop(released);
    }
}

/// What an access has pinned, by the numbers that the user knows the pins by.
#[derive(Default)]
struct Pins(Mutex<PinTable>);

#[derive(Default)]
struct PinTable {
    /// Until the file is closed.
    access: Option<Arc<Access>>,
    items: BTreeMap<u32, Span>,
    next: u32,
}

impl PinTable {
    fn release(&mut self, number: u32) -> Option<()> {
        let span = self.items.remove(&number)?;
        if let Some(access) = &self.access {
            access.unpin(Iova(span.start), span.bytes());
        }
        Some(())
    }

    fn release_in(&mut self, span: Span) {
        let hit: Vec<u32> =
            self.items.iter().filter(|(_, item)| item.meets(span)).map(|(number, _)| *number).collect();
        for number in hit {
            self.release(number);
        }
    }

    /// Keeps a pin under a number that no other has.
    fn add(&mut self, item: Span) -> u32 {
        while self.items.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.items.insert(number, item);
        number
    }
}

impl Pins {
    fn close(&self) -> Option<Arc<Access>> {
        let mut table = lock(&self.0);
        table.release_in(Span::ALL);
        table.access.take()
    }
}

impl AccessOps for Pins {
    fn unmap(&self, span: Span) {
        lock(&self.0).release_in(span);
    }
}

fn file(command: &Command<'_, TestCmd>) -> Result<Arc<AccessFile>> {
    let fd = i32::try_from(command.id).map_err(|_| Errno::EBADFD)?;
    let file: Arc<dyn Any + Send + Sync> =
        command.caller.files.file(fd).ok().flatten().ok_or(Errno::EBADFD)?;
    file.downcast().map_err(|_| Errno::EBADFD)
}

/// Makes an access to an IOAS and gives the descriptor.
pub(super) fn create(command: &mut Command<'_, TestCmd>) -> Result<i64> {
    let mut op: CreateAccess = command.get();
    if op.flags.contains_unknown_bits() {
        return Err(Errno::EOPNOTSUPP);
    }
    fault_point(Errno::ENOMEM)?;
    let pins = Arc::new(Pins::default());
    // Here, the kernel has no memory where there is no descriptor.
    let fd = FdGuard::reserve(command.caller.files).map_err(|_| Errno::ENOMEM)?;
    let may_pin = op.flags.contains(CreateAccessFlags::NEEDS_PIN_PAGES);
    let ops: Arc<dyn AccessOps> = pins.clone();
    let access = Arc::new(Access::new(command.ctx, ops, AccessFlags { pins: may_pin })?);
    access.attach(command.id)?;
    op.out_access_fd = fd.number();
    command.set(&op);
    command.respond()?;
    lock(&pins.0).access = Some(Arc::clone(&access));
    fd.install(Arc::new(AccessFile { access, pins, may_pin }));
    Ok(0)
}

/// Moves an access to another IOAS.
pub(super) fn replace_ioas(command: &Command<'_, TestCmd>) -> Result<i64> {
    let op::AccessReplaceIoas { ioas_id } = command.get();
    file(command)?.access.replace(ioas_id)?;
    Ok(0)
}

/// Pins, compares with what the caller has at an address, and gives the pin's number.
pub(super) fn pin(command: &mut Command<'_, TestCmd>) -> Result<i64> {
    let mut op: op::AccessPages = command.get();
    if op.length > LENGTH_MAX {
        return Err(Errno::ENOMEM);
    }
    if op.flags.contains_unknown_bits() {
        return Err(Errno::EOPNOTSUPP);
    }
    let file = file(command)?;
    if !file.may_pin {
        return Err(Errno::EOPNOTSUPP);
    }
    let iova = file.iova(op.iova, op.flags.contains(AccessPagesFlags::SYZ));
    let rw = if op.flags.contains(AccessPagesFlags::WRITE) { AccessRw::Write } else { AccessRw::Read };
    fault_point(Errno::ENOMEM)?;
    // From the pin until the table knows it, no unmap must miss it.
    let mut table = lock(&file.pins.0);
    let frames = file.access.pin(Iova(iova), op.length, rw)?;
    let kept = (|| {
        if op.uptr != 0 {
            compare(command, &file.access, op.uptr.wrapping_sub(iova % PAGE), &frames)?;
        }
        fault_point(Errno::ENOMEM)?;
        op.out_access_pages_id = table.add(Span::sized(iova, op.length)?);
        command.set(&op);
        command.respond().inspect_err(|_| {
            table.items.remove(&op.out_access_pages_id);
        })
    })();
    if kept.is_err() {
        file.access.unpin(Iova(iova), op.length);
    }
    kept.map(|()| 0)
}

/// Whether the caller's pages from `address` on are `frames`.
fn compare(command: &Command<'_, TestCmd>, access: &Access, address: u64, frames: &[Span]) -> Result<()> {
    let mut user = page_of(address);
    for expected in frames {
        user_pages::compare(command.caller, &access.frames(), user, *expected, Errno::EBADE)?;
        user = user.wrapping_add(expected.bytes());
    }
    Ok(())
}

/// Undoes a pin by its number.
pub(super) fn unpin(command: &Command<'_, TestCmd>) -> Result<i64> {
    let DestroyAccessPages { access_pages_id } = command.get();
    let file = file(command)?;
    let released = lock(&file.pins.0).release(access_pages_id);
    released.map(|()| 0).ok_or(Errno::ENOENT)
}

/// Copies between the caller and the IOAS.
pub(super) fn rw(command: &Command<'_, TestCmd>) -> Result<i64> {
    let op::AccessRw { iova, length, uptr, flags, .. } = command.get();
    if length > LENGTH_MAX {
        return Err(Errno::ENOMEM);
    }
    if flags.contains_unknown_bits() {
        return Err(Errno::EOPNOTSUPP);
    }
    let file = file(command)?;
    fault_point(Errno::ENOMEM)?;
    let mut data = Vec::new();
    // At most 16 MiB.
    let bytes = length as usize;
    data.try_reserve_exact(bytes).map_err(|_| Errno::ENOMEM)?;
    data.resize(bytes, 0);
    let write = flags.contains(AccessRwFlags::WRITE);
    if write {
        fault_point(Errno::EFAULT)?;
        command.caller.memory.read(uptr, &mut data)?;
    }
    let iova = file.iova(iova, flags.contains(AccessRwFlags::SYZ));
    let direction = if write { AccessRw::Write } else { AccessRw::Read };
    let from = match flags.contains(AccessRwFlags::SLOW_PATH) {
        true => AccessFrom::Stranger,
        false => AccessFrom::Process(command.caller.memory.id()),
    };
    file.access.rw_by(from, Iova(iova), &mut data, direction)?;
    if !write {
        fault_point(Errno::EFAULT)?;
        command.caller.memory.write(uptr, &data)?;
    }
    Ok(0)
}
