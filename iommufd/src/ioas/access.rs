//! Access to an IOAS by software: what emulated devices use instead of a domain
//! [kernel: iommufd_access].

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use devices::addr::{Iova, PAGE_SIZE};

use super::Ioas;
use crate::ctx::Ctx;
use crate::errno::{Errno, Result};
use crate::frames::Frames;
use crate::io_pagetable::AccessSlot;
use crate::object::{Hold, Object};
use crate::pages::{AccessFrom, Direction};
use crate::span::Span;
use crate::sync::lock;

/// The owner of an access.
pub trait AccessOps: Send + Sync {
    /// `span` is about to be unmapped: everything pinned in it must be unpinned before this returns.
    /// Called without locks of the library held. A call that began before the access was detached or
    /// dropped may still be running after.
    fn unmap(&self, span: Span);
}

/// What an access may be asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessFlags {
    /// Pins are needed: everything in the IOAS must be aligned to 4 KiB.
    pub pins: bool,
}

/// Read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRw {
    /// Out of the IOAS.
    Read,
    /// Into it.
    Write,
}

impl From<AccessRw> for Direction {
    fn from(rw: AccessRw) -> Self {
        match rw {
            AccessRw::Read => Self::Read,
            AccessRw::Write => Self::Write,
        }
    }
}

/// The place of an access in the context's table.
struct AccessObject;

impl Object for AccessObject {}

/// An IOAS that is accessed, and the place in it.
struct Attached {
    ioas: Hold<Ioas>,
    slot: AccessSlot,
}

impl Attached {
    fn new(ioas: Hold<Ioas>, ops: Option<Arc<dyn AccessOps>>, alignment: u64) -> Result<Self> {
        let slot = ioas.table.add_access(ops, alignment)?;
        Ok(Self { ioas, slot })
    }

    fn leave(self) {
        self.ioas.table.remove_access(self.slot);
    }
}

#[derive(Default)]
enum Attachment {
    #[default]
    Detached,
    Attached(Attached),
    /// Everything pinned is being asked back: it can be unpinned, and nothing else.
    Leaving(Attached),
}

/// An access; it keeps its context alive. Dropped, it is gone.
pub struct Access {
    ctx: Arc<Ctx>,
    ops: Arc<dyn AccessOps>,
    flags: AccessFlags,
    attachment: Mutex<Attachment>,
    /// `None` only while it is being dropped.
    object: Option<Hold<AccessObject>>,
    id: u32,
}

impl Access {
    /// A new one, attached to nothing. Takes an object id.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(ctx: &Arc<Ctx>, ops: Arc<dyn AccessOps>, flags: AccessFlags) -> Result<Self> {
        let pending = ctx.objects.reserve()?;
        let id = pending.id();
        let object = Some(pending.publish_held(Arc::new(AccessObject)));
        Ok(Self { ctx: Arc::clone(ctx), ops, flags, attachment: Mutex::default(), object, id })
    }

    /// Its object id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Attaches to IOAS `ioas`.
    ///
    /// # Errors
    /// `EINVAL` where it is attached already, `ENOENT`, `EADDRINUSE`.
    pub fn attach(&self, ioas: u32) -> Result<()> {
        let mut attachment = self.lock();
        match &*attachment {
            Attachment::Detached => {}
            Attachment::Attached(_) => return Err(Errno::EINVAL),
            Attachment::Leaving(_) => return Err(Errno::EBUSY),
        }
        *attachment = Attachment::Attached(self.join(ioas)?);
        Ok(())
    }

    /// Moves to IOAS `ioas`: everything pinned is asked back through [`AccessOps::unmap`].
    ///
    /// # Errors
    /// `ENOENT` also where it is not attached, `EADDRINUSE`, `EBUSY` while another call moves it.
    pub fn replace(&self, ioas: u32) -> Result<()> {
        let attachment = self.lock();
        match &*attachment {
            Attachment::Attached(old) if old.ioas.id() == ioas => {
                // Its id can be nobody else's: it is held.
                return self.ctx.objects.get::<Ioas>(ioas).map(|_| ());
            }
            Attachment::Attached(_) => {}
            Attachment::Detached | Attachment::Leaving(_) => return Err(Errno::ENOENT),
        }
        let new = self.join(ioas)?;
        self.change(attachment, Attachment::Attached(new));
        Ok(())
    }

    /// Detaches; everything pinned is asked back.
    pub fn detach(&self) {
        self.change(self.lock(), Attachment::Detached);
    }

    /// Pins `bytes` from `iova` on and gives the frames, in IOVA order.
    ///
    /// # Errors
    /// `ENOENT`, `EINVAL`, `EPERM`, `EOVERFLOW` as the kernel's `iommufd_access_pin_pages`.
    pub fn pin(&self, iova: Iova, bytes: u64, rw: AccessRw) -> Result<Vec<Span>> {
        if !self.flags.pins {
            return Err(Errno::EINVAL);
        }
        let span = Span::sized(iova.0, bytes)?;
        self.attached(|ioas| ioas.table.pin(span, rw.into(), false))
    }

    /// Undoes a [`Self::pin`] of the same range.
    pub fn unpin(&self, iova: Iova, bytes: u64) {
        let Ok(span) = Span::sized(iova.0, bytes) else { return };
        match &*self.lock() {
            Attachment::Detached => {}
            Attachment::Attached(to) | Attachment::Leaving(to) => to.ioas.table.unpin(span, false),
        }
    }

    /// Copies `data` out of or into the IOAS at `iova`, as the kernel for itself.
    ///
    /// # Errors
    /// As [`Self::rw_by`].
    pub fn rw(&self, iova: Iova, data: &mut [u8], rw: AccessRw) -> Result<()> {
        self.rw_by(AccessFrom::Kernel, iova, data, rw)
    }

    /// Copies `data` out of or into the IOAS at `iova`, for `from`.
    ///
    /// # Errors
    /// As the kernel's `iommufd_access_rw`; what precedes a hole has been copied.
    pub fn rw_by(&self, from: AccessFrom, iova: Iova, data: &mut [u8], rw: AccessRw) -> Result<()> {
        let span = Span::sized(iova.0, data.len() as u64)?;
        self.attached(|ioas| ioas.table.rw(from, span, data, rw.into()))
    }

    /// First IOVA of the `nth` area from the lowest on, counted from 0; `None` where there are fewer, or
    /// without an IOAS.
    pub(crate) fn nth_area(&self, nth: u32) -> Option<Iova> {
        self.attached(|ioas| Ok(ioas.table.nth_area(nth))).ok().flatten()
    }

    /// The frames it pins from.
    pub fn frames(&self) -> Arc<Frames> {
        Arc::clone(&self.ctx.host.frames)
    }

    fn join(&self, ioas: u32) -> Result<Attached> {
        let ioas = self.ctx.objects.get::<Ioas>(ioas)?;
        let alignment = if self.flags.pins { PAGE_SIZE } else { 1 };
        Attached::new(ioas.hold(), Some(Arc::clone(&self.ops)), alignment)
    }

    /// Asks everything pinned back, then makes the attachment `to`.
    fn change(&self, mut attachment: MutexGuard<'_, Attachment>, to: Attachment) {
        match std::mem::take(&mut *attachment) {
            Attachment::Attached(old) => {
                *attachment = Attachment::Leaving(old);
                drop(attachment);
                self.ops.unmap(Span::ALL);
                let mut attachment = self.lock();
                let old = std::mem::replace(&mut *attachment, to);
                drop(attachment);
                if let Attachment::Attached(old) | Attachment::Leaving(old) = old {
                    old.leave();
                }
            }
            other => *attachment = other,
        }
    }

    fn attached<T>(&self, act: impl FnOnce(&Ioas) -> Result<T>) -> Result<T> {
        match &*self.lock() {
            Attachment::Attached(to) => act(&to.ioas),
            Attachment::Detached | Attachment::Leaving(_) => Err(Errno::ENOENT),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Attachment> {
        lock(&self.attachment)
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.detach();
        if let Some(object) = self.object.take() {
            // Nobody else can hold it: no call gives an access to anyone.
            let _ = self.ctx.objects.destroy_held(&self.ctx, object, false);
        }
    }
}

/// Pages of an IOAS that the library itself keeps pinned: unmapping any of them is `EBUSY`. It takes
/// an object id of the context, as any access does, but does not keep the context alive.
pub(crate) struct LockedPin {
    ctx: Weak<Ctx>,
    /// `None` only while it is being dropped, as `object`.
    attached: Option<Attached>,
    pages: Span,
    frames: Vec<Span>,
    object: Option<Hold<AccessObject>>,
}

impl LockedPin {
    /// Pins `pages`, whole pages, for reading.
    ///
    /// # Errors
    /// `ENOMEM`, `EADDRINUSE`, and as [`Access::pin`].
    pub(crate) fn new(ctx: &Arc<Ctx>, ioas: &Hold<Ioas>, pages: Span) -> Result<Self> {
        let object = ctx.objects.reserve()?.publish_held(Arc::new(AccessObject));
        let mut pin = Self {
            ctx: Arc::downgrade(ctx),
            attached: None,
            pages,
            frames: Vec::new(),
            object: Some(object),
        };
        let attached = Attached::new(ioas.clone(), None, PAGE_SIZE)?;
        let attached = pin.attached.insert(attached);
        pin.frames = attached.ioas.table.pin(pages, Direction::Read, true)?;
        Ok(pin)
    }

    /// The frames, in IOVA order.
    pub(crate) fn frames(&self) -> &[Span] {
        &self.frames
    }
}

impl Drop for LockedPin {
    fn drop(&mut self) {
        if let Some(attached) = self.attached.take() {
            if !self.frames.is_empty() {
                attached.ioas.table.unpin(self.pages, true);
            }
            attached.leave();
        }
        // Without a context, all its objects are on their way out.
        if let (Some(ctx), Some(object)) = (self.ctx.upgrade(), self.object.take()) {
            let _ = ctx.objects.destroy_held(&ctx, object, false);
        }
    }
}
