//! The host machine as iommufd sees it: IOMMUs, the devices behind them, physical memory, limits.

use std::sync::{Arc, Weak};

use crate::accounting::Accounts;
use crate::ctx::{Ctx, Iommufd};
use crate::device::{GroupId, PhysicalDevice, PhysicalDevices};
use crate::driver::IommuDriver;
use crate::errno::Result;
use crate::frames::Frames;

/// What the kernel was built and booted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `CONFIG_IOMMUFD_TEST`: `IOMMU_TEST_CMD` and the mock IOMMU exist.
    pub selftest: bool,
    /// `allow_unsafe_interrupts`: devices without isolated message interrupts may be bound.
    pub allow_unsafe_interrupts: bool,
    /// `iommu.passthrough=1`: DMA of devices that no context claimed is physical. Otherwise it is
    /// blocked, as it is on a host whose own drivers have nothing mapped.
    pub passthrough: bool,
}

/// One host. Everything that several opens of `/dev/iommu` share.
pub struct Host {
    /// Physical memory behind pins.
    pub frames: Arc<Frames>,
    /// Who has how much pinned.
    pub accounts: Accounts,
    pub(crate) options: Options,
    pub(crate) devices: Arc<PhysicalDevices>,
    pub(crate) selftest: Option<crate::selftest::Selftest>,
}

impl Host {
    /// A host without IOMMUs but, where `options` say so, the mock.
    pub fn new(options: Options) -> Arc<Self> {
        let frames = Arc::new(Frames::default());
        let devices = Arc::new(PhysicalDevices::new(options.passthrough));
        let selftest = options.selftest.then(|| crate::selftest::Selftest::new(&devices, &frames));
        Arc::new(Self { frames, accounts: Accounts::default(), options, devices, selftest })
    }

    /// Connects a driver; devices can be added behind it from then on.
    pub fn add_driver(&self, driver: &Arc<dyn IommuDriver>) {
        let events: Weak<PhysicalDevices> = Arc::downgrade(&self.devices);
        driver.connect(events, Arc::clone(&self.frames));
    }

    /// Adds a device behind `driver`. Devices of one `group` cannot be told apart by the IOMMU; a
    /// device with `None` has a group of its own.
    ///
    /// # Errors
    /// What the driver's `probe` says.
    pub fn add_device(
        &self,
        name: &str,
        driver: &Arc<dyn IommuDriver>,
        group: Option<GroupId>,
    ) -> Result<Arc<PhysicalDevice>> {
        self.devices.add(name, driver, group)
    }

    /// Takes a device away; nothing finds or binds it any more.
    ///
    /// # Errors
    /// `EBUSY` while it is bound, `ENODEV` where it is none of this host's.
    pub fn remove_device(&self, device: &Arc<PhysicalDevice>) -> Result<()> {
        self.devices.remove(device)
    }

    /// Opens `/dev/iommu`.
    pub fn open(self: &Arc<Self>) -> Arc<Iommufd> {
        Arc::new(Iommufd::new(Ctx::new(Arc::clone(self))))
    }
}
