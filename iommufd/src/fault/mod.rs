//! Fault queues: page requests for user space to answer [uapi iommu_fault_alloc].
//!
//! A request comes by an attachment to a HWPT that has a fault queue. It is delivered with the others
//! of its group or not at all, keeps a cookie from being read to being answered, and is refused when
//! its attachment ends.
//!
//! Absent: blocking; a read of an empty queue gives nothing.

pub(crate) mod queue;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::ctx::{Command, Ctx};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::file::{File, Ready, Wake};
use crate::object::{Hold, Object};
use crate::uapi;
use queue::FaultQueue;

/// The object.
#[derive(Default)]
pub(crate) struct Fault {
    pub(crate) queue: Arc<FaultQueue>,
}

impl Object for Fault {
    fn destroy(&self, _ctx: &Ctx) {
        self.queue.end();
    }
}

/// Its file; open, it holds the object and the context.
struct FaultFile {
    fault: Hold<Fault>,
    _ctx: Arc<Ctx>,
}

impl File for FaultFile {
    fn read(&self, data: &mut [u8]) -> Result<usize> {
        self.fault.queue.read(data)
    }

    fn write(&self, data: &[u8]) -> Result<usize> {
        self.fault.queue.write(data)
    }

    fn poll(&self) -> Ready {
        if self.fault.queue.readable() { Ready::IN | Ready::OUT } else { Ready::OUT }
    }

    fn watch(&self, wake: Arc<dyn Wake>) {
        self.fault.queue.watch(wake);
    }
}

impl Drop for FaultFile {
    fn drop(&mut self) {
        self.fault.queue.unwatch();
    }
}

pub(crate) fn alloc(command: &mut Command<'_, uapi::FaultAlloc>) -> Result<i64> {
    if command.flags != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let pending = command.ctx.objects.reserve()?;
    fault_point(Errno::ENOMEM)?;
    let fd = FdGuard::reserve(command.caller.files)?;
    command.out_fault_id = pending.id();
    command.out_fault_fd = fd.number();
    command.respond()?;
    let fault = pending.publish_held(Arc::<Fault>::default());
    fd.install(Arc::new(FaultFile { fault, _ctx: Arc::clone(command.ctx) }));
    Ok(0)
}

/// A reserved descriptor, given back where nothing is installed.
pub(crate) struct FdGuard<'a> {
    files: &'a dyn crate::process::FileTable,
    fd: Option<i32>,
}

impl<'a> FdGuard<'a> {
    /// Reserves one.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(crate) fn reserve(files: &'a dyn crate::process::FileTable) -> Result<Self> {
        fault_point(Errno::ENOMEM)?;
        Ok(Self { files, fd: Some(files.reserve()?) })
    }

    /// As arguments hold it.
    pub(crate) fn number(&self) -> u32 {
        self.fd.unwrap_or(-1).cast_unsigned()
    }

    pub(crate) fn install(mut self, file: Arc<dyn File>) {
        if let Some(fd) = self.fd.take() {
            self.files.install(fd, file);
        }
    }
}

impl Drop for FdGuard<'_> {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            self.files.release(fd);
        }
    }
}
