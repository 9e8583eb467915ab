//! A context: what one open of `/dev/iommu` gives [uapi iommufd.h].
//!
//! The context lives while any of its files does: the iommufd itself, an access, a fault or event
//! queue, a bound device. When the last goes, everything it holds is torn down, what nothing
//! depends on first.

mod command;
mod dispatch;

use std::sync::Arc;

use crate::errno::Result;
use crate::file::{File, MapRequest, Mapped};
use crate::host::Host;
use crate::object::Objects;
use crate::process::Caller;

pub(crate) use command::Command;

/// One context.
pub struct Ctx {
    pub(crate) host: Arc<Host>,
    pub(crate) objects: Arc<Objects>,
    /// Per-subsystem state that has no id of its own.
    pub(crate) ioas: crate::ioas::Contextual,
    pub(crate) groups: crate::device::Groups,
    pub(crate) windows: crate::viommu::Windows,
}

impl Ctx {
    pub(crate) fn new(host: Arc<Host>) -> Arc<Self> {
        Arc::new(Self {
            host,
            objects: Arc::default(),
            ioas: Default::default(),
            groups: Default::default(),
            windows: Default::default(),
        })
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        let objects = Arc::clone(&self.objects);
        objects.teardown(self);
    }
}

/// The file behind an open of `/dev/iommu`.
pub struct Iommufd {
    ctx: Arc<Ctx>,
}

impl Iommufd {
    pub(crate) fn new(ctx: Arc<Ctx>) -> Self {
        Self { ctx }
    }

    /// Its context, for whoever binds devices or makes accesses.
    pub fn ctx(&self) -> &Arc<Ctx> {
        &self.ctx
    }
}

impl File for Iommufd {
    fn ioctl(&self, caller: &Caller<'_>, command: u32, argument: u64) -> Result<i64> {
        dispatch::ioctl(&self.ctx, caller, command, argument)
    }

    fn mmap(&self, request: MapRequest) -> Result<Mapped> {
        crate::viommu::mmap(&self.ctx, request)
    }
}
