//! Hardware page tables: domains as objects [uapi iommu_hwpt_alloc].
//!
//! A paging HWPT is filled from its IOAS and holds it; a nested one is a user's stage 1 over a paging
//! one, or over a virtual IOMMU, and holds that. Everything an attachment asks of either is [`Hwpt`].

mod alloc;
mod bitmap;
mod dirty;
mod invalidate;
pub(crate) mod nested;
pub(crate) mod paging;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::ctx::Ctx;
use crate::driver::Attachment;
use crate::errno::Result;
use crate::fault::queue::FaultQueue;
use crate::object::{AnyRef, Hold, Ref};
use crate::viommu::ViommuCore;
use nested::HwptNested;
use paging::HwptPaging;

pub(crate) use alloc::alloc;
pub(crate) use dirty::{get_dirty_bitmap, set_dirty_tracking};
pub(crate) use invalidate::invalidate;

/// What can be attached to.
pub(crate) trait Hwpt {
    /// Its object id.
    fn id(&self) -> u32;

    /// The domain, as drivers know it.
    fn attachment(&self) -> Attachment;

    /// Where the mappings are: itself, or what a nested one stands on.
    fn paging(&self) -> &HwptPaging;

    /// It goes with PASIDs [uapi IOMMU_HWPT_ALLOC_PASID].
    fn takes_pasids(&self) -> bool;

    /// It is a user's stage 1.
    fn nested(&self) -> bool;

    /// Where its page requests go.
    fn fault(&self) -> Option<&Arc<FaultQueue>>;

    /// The virtual IOMMU it belongs to.
    fn viommu(&self) -> Option<&Arc<ViommuCore>>;
}

/// A HWPT in use by a running call.
pub(crate) enum HwptRef {
    /// Paging.
    Paging(Ref<HwptPaging>),
    /// Nested.
    Nested(Ref<HwptNested>),
}

impl HwptRef {
    /// The object as a HWPT, if it is one.
    pub(crate) fn downcast(object: AnyRef) -> std::result::Result<Self, AnyRef> {
        object.downcast().map(Self::Paging).or_else(|object| object.downcast().map(Self::Nested))
    }

    /// As what both kinds are.
    pub(crate) fn hwpt(&self) -> &dyn Hwpt {
        match self {
            Self::Paging(hwpt) => &**hwpt,
            Self::Nested(hwpt) => &**hwpt,
        }
    }
}

/// A HWPT that something is attached to.
#[derive(Clone)]
pub(crate) enum HwptHold {
    /// Paging.
    Paging(Hold<HwptPaging>),
    /// Nested.
    Nested(Hold<HwptNested>),
}

impl HwptHold {
    /// As what both kinds are.
    pub(crate) fn hwpt(&self) -> &dyn Hwpt {
        match self {
            Self::Paging(hwpt) => &**hwpt,
            Self::Nested(hwpt) => &**hwpt,
        }
    }

    /// Lets go. A HWPT that was made for what is attached to it goes with the last of these; without
    /// a context, which is being torn down then, it stays for that.
    pub(crate) fn release(self, ctx: Option<&Ctx>) {
        match (self, ctx) {
            (Self::Paging(hold), Some(ctx)) if hold.automatic => ctx.objects.release_auto(ctx, hold),
            (hold, _) => drop(hold),
        }
    }
}

/// A HWPT that is about to be attached to.
pub(crate) trait Candidate {
    /// It.
    fn hwpt(&self) -> &dyn Hwpt;

    /// Fills its domain, if that is not done.
    ///
    /// # Errors
    /// As [`crate::io_pagetable::IoPagetable::add_domain`].
    fn fill(&mut self) -> Result<()>;

    /// Holds it for the attachment; it is filled.
    fn hold(self) -> HwptHold;
}

impl Candidate for &HwptRef {
    fn hwpt(&self) -> &dyn Hwpt {
        (**self).hwpt()
    }

    fn fill(&mut self) -> Result<()> {
        Ok(())
    }

    fn hold(self) -> HwptHold {
        match self {
            HwptRef::Paging(hwpt) => HwptHold::Paging(hwpt.hold()),
            HwptRef::Nested(hwpt) => HwptHold::Nested(hwpt.hold()),
        }
    }
}
