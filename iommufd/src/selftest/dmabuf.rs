//! dma-bufs over memory that belongs to no process.

use std::any::Any;
use std::sync::{Arc, Mutex, Weak};

use devices::addr::Pa;

use super::user_pages::PAGE;
use crate::ctx::Command;
use crate::errno::{Errno, Result};
use crate::fault::FdGuard;
use crate::fault_point::fault_point;
use crate::frames::Frames;
use crate::pages::dmabuf::{DmaBuf, DmaBufFile, Importer};
use crate::process::{Extent, RegionObject};
use crate::span::Span;
use crate::sync::lock;
use crate::uapi::test::{DmabufGet, DmabufRevoke, TestCmd};

/// Largest dma-buf.
const BYTES_MAX: u64 = 512 * PAGE;

/// A dma-buf of the self-tests: memory in a place of its own, that can be taken away.
struct TestDmaBuf {
    frames: Arc<Frames>,
    place: Span,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revoked: bool,
    importers: Vec<Weak<dyn Importer>>,
}

impl TestDmaBuf {
    fn new(frames: &Arc<Frames>, bytes: u64) -> Result<Self> {
        fault_point(Errno::ENOMEM)?;
        let object = RegionObject::anonymous(bytes, 0, PAGE)?;
        let Pa(start) = frames.pin(&Extent { object, offset: 0, bytes })?;
        let place = Span::sized(start, bytes)?;
        Ok(Self { frames: Arc::clone(frames), place, state: Mutex::default() })
    }

    /// Takes the memory away, or lets it be mapped again. Either way what is mapped is so no more.
    fn revoke(&self, revoked: bool) {
        let mut state = lock(&self.state);
        state.revoked = revoked;
        state.importers.retain(|importer| importer.strong_count() > 0);
        let importers: Vec<_> = state.importers.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        importers.iter().for_each(|importer| importer.revoked());
    }
}

impl DmaBuf for TestDmaBuf {
    fn bytes(&self) -> u64 {
        self.place.bytes()
    }

    fn phys(&self) -> Option<Pa> {
        (!lock(&self.state).revoked).then_some(Pa(self.place.start))
    }

    fn attach(&self, importer: Weak<dyn Importer>) {
        let mut state = lock(&self.state);
        state.importers.retain(|importer| importer.strong_count() > 0);
        state.importers.push(importer);
    }
}

impl Drop for TestDmaBuf {
    fn drop(&mut self) {
        self.frames.unpin(self.place);
    }
}

/// Makes a dma-buf; the ioctl's value is its descriptor.
pub(super) fn get(command: &Command<'_, TestCmd>) -> Result<i64> {
    let DmabufGet { length, .. } = command.get();
    let bytes = u64::from(length).next_multiple_of(PAGE);
    if bytes == 0 || bytes > BYTES_MAX {
        return Err(Errno::EINVAL);
    }
    fault_point(Errno::ENOMEM)?;
    let buffer = Arc::new(TestDmaBuf::new(&command.ctx.host.frames, bytes)?);
    let fd = FdGuard::reserve(command.caller.files)?;
    let number = fd.number();
    fd.install(Arc::new(DmaBufFile::new(buffer)));
    Ok(i64::from(number))
}

/// Takes a dma-buf's memory away, or gives it back.
pub(super) fn revoke(command: &Command<'_, TestCmd>) -> Result<i64> {
    let DmabufRevoke { dmabuf_fd, revoked } = command.get();
    let file = command.caller.files.file(dmabuf_fd)?.ok_or(Errno::EINVAL)?;
    let file: Arc<dyn Any + Send + Sync> = file;
    let file = file.downcast::<DmaBufFile>().map_err(|_| Errno::EINVAL)?;
    let buffer: &dyn Any = &**file.buffer();
    let buffer: &TestDmaBuf = buffer.downcast_ref().ok_or(Errno::EOPNOTSUPP)?;
    buffer.revoke(revoked != 0);
    Ok(0)
}
