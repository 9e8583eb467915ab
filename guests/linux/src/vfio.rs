//! VFIO devices, reached through a character device of their own or through a group of old.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use vfio_bindings::bindings::vfio;

use crate::iommufd::{Id, Iommufd};
use crate::sys::{self, Mapping};
use crate::uapi::{self, Argument, IrqSet, VECTORS};

/// Command, in configuration space [PCIe 7.5.1.1.3].
const COMMAND: u64 = 4;
/// Memory Space Enable and Bus Master Enable.
const MEMORY_AND_MASTER: u16 = 0b110;

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn call<A: Argument>(fd: BorrowedFd<'_>, mut argument: A) -> io::Result<A> {
    sys::ioctl(fd, &mut argument)?;
    Ok(argument)
}

/// A device.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Opens `/dev/vfio/devices/vfioN`.
    ///
    /// # Errors
    /// The kernel's, as everywhere here.
    pub fn open(path: &Path) -> io::Result<Self> {
        open(path).map(Self)
    }

    /// VFIO_DEVICE_BIND_IOMMUFD: returns the device's id there.
    pub fn bind(&self, iommufd: &Iommufd) -> io::Result<Id> {
        let bind =
            vfio::vfio_device_bind_iommufd { iommufd: iommufd.as_fd().as_raw_fd(), ..Default::default() };
        call(self.0.as_fd(), bind).map(|bind| Id(bind.out_devid))
    }

    /// VFIO_DEVICE_ATTACH_IOMMUFD_PT: to an address space or page tables, in place of what was.
    pub fn attach(&self, Id(pt_id): Id) -> io::Result<()> {
        call(self.0.as_fd(), vfio::vfio_device_attach_iommufd_pt { pt_id, ..Default::default() }).map(drop)
    }

    /// The same for requests with a PASID.
    pub fn attach_pasid(&self, Id(pt_id): Id, pasid: u32) -> io::Result<()> {
        let flags = vfio::VFIO_DEVICE_ATTACH_PASID;
        let attach = vfio::vfio_device_attach_iommufd_pt { flags, pt_id, pasid, ..Default::default() };
        call(self.0.as_fd(), attach).map(drop)
    }

    /// VFIO_DEVICE_DETACH_IOMMUFD_PT.
    pub fn detach(&self) -> io::Result<()> {
        call(self.0.as_fd(), vfio::vfio_device_detach_iommufd_pt::default()).map(drop)
    }

    fn region(&self, index: u32) -> io::Result<vfio::vfio_region_info> {
        call(self.0.as_fd(), vfio::vfio_region_info { index, ..Default::default() })
    }

    /// VFIO_DEVICE_GET_REGION_INFO of BAR 0: its size.
    pub fn bar_size(&self) -> io::Result<u64> {
        self.region(vfio::VFIO_PCI_BAR0_REGION_INDEX).map(|region| region.size)
    }

    /// Switches memory accesses and bus mastering on, and maps BAR 0.
    pub fn enable(&self) -> io::Result<Mapping> {
        let config = self.region(vfio::VFIO_PCI_CONFIG_REGION_INDEX)?;
        self.0.write_all_at(&MEMORY_AND_MASTER.to_le_bytes(), config.offset + COMMAND)?;
        let bar = self.region(vfio::VFIO_PCI_BAR0_REGION_INDEX)?;
        Mapping::file(self.0.as_fd(), bar.offset, bar.size as usize)
    }

    /// VFIO_DEVICE_SET_IRQS: an eventfd for each MSI-X vector.
    pub fn set_vectors(&self, eventfds: &[OwnedFd; VECTORS]) -> io::Result<()> {
        let flags = vfio::VFIO_IRQ_SET_DATA_EVENTFD | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
        let index = vfio::VFIO_PCI_MSIX_IRQ_INDEX;
        let eventfds = eventfds.each_ref().map(AsRawFd::as_raw_fd);
        let count = VECTORS as u32;
        call(self.0.as_fd(), IrqSet { flags, index, count, eventfds, ..Default::default() }).map(drop)
    }

    /// VFIO_DEVICE_SET_IRQS: no MSI-X any more.
    pub fn clear_vectors(&self) -> io::Result<()> {
        let flags = vfio::VFIO_IRQ_SET_DATA_NONE | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
        let index = vfio::VFIO_PCI_MSIX_IRQ_INDEX;
        call(self.0.as_fd(), IrqSet { flags, index, ..Default::default() }).map(drop)
    }
}

/// How often an eventfd was signalled since it was last asked.
pub fn signals(eventfd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut count = [0; 8];
    match File::from(eventfd.try_clone_to_owned()?).read_exact(&mut count) {
        Ok(()) => Ok(u64::from_ne_bytes(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}

/// A container with one group in it, and tables of kind type 1.
#[derive(Debug)]
pub struct Container {
    // Closed in this order: a group leaves its container before that goes.
    group: File,
    container: File,
}

impl Container {
    /// Opens `/dev/vfio/vfio` and `/dev/vfio/N`, and joins them.
    ///
    /// # Errors
    /// The kernel's; [`io::ErrorKind::Unsupported`] where it speaks another version or has no type 1.
    pub fn open(group: u32) -> io::Result<Self> {
        let container = open(Path::new("/dev/vfio/vfio"))?;
        let asked = |request, number| sys::ioctl_number(container.as_fd(), request, number);
        let v2 = vfio::VFIO_TYPE1v2_IOMMU.into();
        if asked(uapi::VFIO_GET_API_VERSION, 0)? != 0 || asked(uapi::VFIO_CHECK_EXTENSION, v2)? != 1 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let group = open(&Path::new("/dev/vfio").join(group.to_string()))?;
        let status = call(group.as_fd(), vfio::vfio_group_status::default())?;
        if status.flags & vfio::VFIO_GROUP_FLAGS_VIABLE == 0 {
            return Err(io::Error::other("the group is not viable: not all of its functions have vfio-pci"));
        }
        sys::ioctl_descriptor(group.as_fd(), uapi::VFIO_GROUP_SET_CONTAINER, container.as_fd())?;
        asked(uapi::VFIO_SET_IOMMU, v2)?;
        Ok(Self { group, container })
    }

    /// VFIO_GROUP_GET_DEVICE_FD: the function of this name.
    pub fn device(&self, name: &str) -> io::Result<Device> {
        let fd = sys::ioctl_open(self.group.as_fd(), uapi::VFIO_GROUP_GET_DEVICE_FD, &CString::new(name)?)?;
        Ok(Device(fd.into()))
    }

    /// VFIO_IOMMU_MAP_DMA: `size` bytes of memory, for reads and writes.
    pub fn map(&self, memory: &Mapping, (vaddr, size): (u64, u64), iova: u64) -> io::Result<()> {
        assert!(memory.holds(vaddr, size as usize), "what a device may reach is memory of ours");
        let flags = vfio::VFIO_DMA_MAP_FLAG_READ | vfio::VFIO_DMA_MAP_FLAG_WRITE;
        let map = vfio::vfio_iommu_type1_dma_map { flags, vaddr, iova, size, ..Default::default() };
        call(self.container.as_fd(), map).map(drop)
    }

    /// VFIO_IOMMU_UNMAP_DMA: returns how many bytes were mapped.
    pub fn unmap(&self, iova: u64, size: u64) -> io::Result<u64> {
        let unmap = vfio::vfio_iommu_type1_dma_unmap { iova, size, ..Default::default() };
        call(self.container.as_fd(), unmap).map(|unmap| unmap.size)
    }

    /// VFIO_GROUP_UNSET_CONTAINER; refused while a device is open.
    pub fn leave(&self) -> io::Result<()> {
        sys::ioctl_number(self.group.as_fd(), uapi::VFIO_GROUP_UNSET_CONTAINER, 0).map(drop)
    }
}
