//! Nested HWPTs: a user's stage 1 [kernel: iommufd_hwpt_nested_alloc].

use std::sync::Arc;

use super::Hwpt;
use super::paging::HwptPaging;
use crate::driver::{Attachment, NestedDomain};
use crate::fault::Fault;
use crate::fault::queue::FaultQueue;
use crate::object::{Hold, Object};
use crate::viommu::{Viommu, ViommuCore};

/// What a stage 1 stands on.
pub(crate) enum Base {
    /// A nesting parent.
    Parent(Hold<HwptPaging>),
    /// A virtual IOMMU, and its nesting parent.
    Viommu(Hold<Viommu>),
}

/// A user's stage 1.
pub(crate) struct HwptNested {
    pub(crate) id: u32,
    pub(crate) domain: Arc<dyn NestedDomain>,
    pub(crate) pasids: bool,
    pub(crate) fault: Option<Hold<Fault>>,
    pub(crate) base: Base,
}

impl Object for HwptNested {}

impl Hwpt for HwptNested {
    fn id(&self) -> u32 {
        self.id
    }

    fn attachment(&self) -> Attachment {
        Attachment::Nested(Arc::clone(&self.domain))
    }

    fn paging(&self) -> &HwptPaging {
        match &self.base {
            Base::Parent(parent) => parent,
            Base::Viommu(viommu) => &viommu.parent,
        }
    }

    fn takes_pasids(&self) -> bool {
        self.pasids
    }

    fn nested(&self) -> bool {
        true
    }

    fn fault(&self) -> Option<&Arc<FaultQueue>> {
        self.fault.as_ref().map(|fault| &fault.queue)
    }

    fn viommu(&self) -> Option<&Arc<ViommuCore>> {
        match &self.base {
            Base::Parent(_) => None,
            Base::Viommu(viommu) => Some(&viommu.core),
        }
    }
}
