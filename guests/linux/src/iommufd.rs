//! `/dev/iommu`: address spaces, page tables and virtual IOMMUs as objects with ids.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use guests::smmuv3::{Command, Record};
use iommufd_bindings as uapi;

use crate::sys::{self, Mapping};

/// The id of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub u32);

/// Device rights of a mapping [uapi iommufd_ioas_map_flags].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Reads.
    Read,
    /// Reads and writes.
    ReadWrite,
}

/// What a HWPT is made for [uapi iommufd_hwpt_alloc_flags].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing in particular.
    Plain,
    /// Stage 2 under tables of a guest.
    NestParent,
    /// Telling which pages devices wrote.
    DirtyTracking,
}

/// What GET_HW_INFO says of the IOMMU behind a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HwInfo {
    /// Kind of the data, 2 for an SMMUv3 [uapi iommu_hw_info_type].
    pub kind: u32,
    /// Bytes of data that the kernel has.
    pub len: u32,
    /// IDR0 to IDR5.
    pub idr: [u32; 6],
    /// IIDR.
    pub iidr: u32,
    /// AIDR.
    pub aidr: u32,
    /// Bits of a PASID that the device may use, 0 for none.
    pub pasid_bits: u8,
    /// [uapi iommufd_hw_capabilities].
    pub capabilities: u64,
}

impl HwInfo {
    /// Whether the kernel tracks dirty pages for the device.
    pub const fn tracks_dirty(&self) -> bool {
        self.capabilities & uapi::iommufd_hw_capabilities_IOMMU_HW_CAP_DIRTY_TRACKING as u64 != 0
    }
}

/// What a vEVENTQ gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vevent {
    /// An event record with the guest's StreamID.
    Record {
        /// Counts events, lost ones too.
        sequence: u32,
        /// The record.
        record: Record,
    },
    /// Events did not fit.
    Lost {
        /// The number of the first that is missing.
        sequence: u32,
    },
}

/// The queue of a virtual IOMMU's events.
#[derive(Debug)]
pub struct Veventq {
    /// Its id.
    pub id: Id,
    file: File,
}

impl Veventq {
    /// The oldest event; `None` if there is none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn take(&mut self) -> io::Result<Option<Vevent>> {
        // One event and no more: a header of 8 bytes, and a record of 32 unless events were lost. Without
        // an event, the kernel gives no bytes at once.
        let mut bytes = [0; 40];
        let len = self.file.read(&mut bytes)?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let sequence = word(4);
        match (len, word(0)) {
            (0, _) => Ok(None),
            (8, 1) => Ok(Some(Vevent::Lost { sequence })),
            (40, 0) => {
                let record = Record([long(8), long(16), long(24), long(32)]);
                Ok(Some(Vevent::Record { sequence, record }))
            }
            (len, flags) => Err(io::Error::other(format!("{len} bytes with flags {flags:#x}"))),
        }
    }
}

/// An open `/dev/iommu`.
#[derive(Debug)]
pub struct Iommufd(OwnedFd);

impl AsFd for Iommufd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Iommufd {
    /// Opens it.
    ///
    /// # Errors
    /// The kernel's, as everywhere here.
    pub fn open() -> io::Result<Self> {
        Ok(Self(OpenOptions::new().read(true).write(true).open("/dev/iommu")?.into()))
    }

    fn call<A: crate::uapi::Argument>(&self, mut argument: A) -> io::Result<A> {
        sys::ioctl(self.as_fd(), &mut argument)?;
        Ok(argument)
    }

    /// IOMMU_DESTROY.
    pub fn destroy(&self, Id(id): Id) -> io::Result<()> {
        self.call(uapi::iommu_destroy { id, ..Default::default() }).map(drop)
    }

    /// IOMMU_IOAS_ALLOC: an empty address space.
    pub fn ioas(&self) -> io::Result<Id> {
        self.call(uapi::iommu_ioas_alloc::default()).map(|alloc| Id(alloc.out_ioas_id))
    }

    /// IOMMU_IOAS_IOVA_RANGES: the addresses that may be mapped, at most 16 ranges.
    pub fn iova_ranges(&self, Id(ioas_id): Id) -> io::Result<Vec<(u64, u64)>> {
        let mut ranges = [uapi::iommu_iova_range::default(); 16];
        let ranges_at = ranges.as_mut_ptr() as u64;
        let asked = self.call(uapi::iommu_ioas_iova_ranges {
            ioas_id,
            num_iovas: ranges.len() as u32,
            allowed_iovas: ranges_at,
            ..Default::default()
        })?;
        Ok(ranges.iter().take(asked.num_iovas as usize).map(|range| (range.start, range.last)).collect())
    }

    /// IOMMU_IOAS_MAP: `len` bytes of memory, from `address` on, at an IOVA.
    pub fn map(
        &self,
        Id(ioas_id): Id,
        memory: &Mapping,
        (address, len): (u64, u64),
        iova: u64,
        rights: Rights,
    ) -> io::Result<()> {
        assert!(memory.holds(address, len as usize), "what a device may reach is memory of ours");
        let rights = match rights {
            Rights::Read => uapi::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_READABLE,
            Rights::ReadWrite => {
                uapi::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_READABLE
                    | uapi::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_WRITEABLE
            }
        };
        let map = uapi::iommu_ioas_map {
            flags: uapi::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_FIXED_IOVA | rights,
            ioas_id,
            user_va: address,
            length: len,
            iova,
            ..Default::default()
        };
        self.call(map).map(drop)
    }

    /// IOMMU_IOAS_UNMAP: returns how many bytes were mapped.
    pub fn unmap(&self, Id(ioas_id): Id, iova: u64, length: u64) -> io::Result<u64> {
        self.call(uapi::iommu_ioas_unmap { ioas_id, iova, length, ..Default::default() })
            .map(|unmap| unmap.length)
    }

    /// IOMMU_GET_HW_INFO.
    pub fn hw_info(&self, Id(dev_id): Id) -> io::Result<HwInfo> {
        let mut data = uapi::iommu_hw_info_arm_smmuv3::default();
        let info = self.call(uapi::iommu_hw_info {
            dev_id,
            data_len: size_of_val(&data) as u32,
            data_uptr: std::ptr::from_mut(&mut data) as u64,
            ..Default::default()
        })?;
        Ok(HwInfo {
            kind: sys::hw_info_kind(&info),
            len: info.data_len,
            idr: data.idr,
            iidr: data.iidr,
            aidr: data.aidr,
            pasid_bits: info.out_max_pasid_log2,
            capabilities: info.out_capabilities,
        })
    }

    /// IOMMU_HWPT_ALLOC of the kernel's own tables, for an address space or a nesting parent.
    pub fn hwpt(&self, Id(dev_id): Id, Id(pt_id): Id, purpose: Purpose) -> io::Result<Id> {
        let flags = match purpose {
            Purpose::Plain => 0,
            Purpose::NestParent => uapi::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_NEST_PARENT,
            Purpose::DirtyTracking => uapi::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
        };
        self.call(uapi::iommu_hwpt_alloc { flags, dev_id, pt_id, ..Default::default() })
            .map(|alloc| Id(alloc.out_hwpt_id))
    }

    /// IOMMU_HWPT_ALLOC of a guest's tables, as qwords 0 and 1 of the STE that the guest wrote.
    pub fn nested_hwpt(&self, Id(dev_id): Id, Id(viommu): Id, ste: [u64; 2]) -> io::Result<Id> {
        let mut data = uapi::iommu_hwpt_arm_smmuv3 { ste: ste.map(u64::to_le) };
        self.call(uapi::iommu_hwpt_alloc {
            dev_id,
            pt_id: viommu,
            data_type: uapi::iommu_hwpt_data_type_IOMMU_HWPT_DATA_ARM_SMMUV3,
            data_len: size_of_val(&data) as u32,
            data_uptr: std::ptr::from_mut(&mut data) as u64,
            ..Default::default()
        })
        .map(|alloc| Id(alloc.out_hwpt_id))
    }

    /// IOMMU_VIOMMU_ALLOC of a virtual SMMUv3 over a nesting parent.
    pub fn viommu(&self, Id(dev_id): Id, Id(hwpt_id): Id) -> io::Result<Id> {
        self.call(uapi::iommu_viommu_alloc {
            type_: uapi::iommu_viommu_type_IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
            dev_id,
            hwpt_id,
            ..Default::default()
        })
        .map(|alloc| Id(alloc.out_viommu_id))
    }

    /// IOMMU_VDEVICE_ALLOC: the StreamID that the guest knows a device by.
    pub fn vdevice(&self, Id(viommu_id): Id, Id(dev_id): Id, stream: u32) -> io::Result<Id> {
        let virt_id = stream.into();
        self.call(uapi::iommu_vdevice_alloc { viommu_id, dev_id, virt_id, ..Default::default() })
            .map(|alloc| Id(alloc.out_vdevice_id))
    }

    /// IOMMU_VEVENTQ_ALLOC: a queue of `depth` events.
    pub fn veventq(&self, Id(viommu_id): Id, depth: u32) -> io::Result<Veventq> {
        let alloc = self.call(uapi::iommu_veventq_alloc {
            viommu_id,
            type_: uapi::iommu_veventq_type_IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
            veventq_depth: depth,
            ..Default::default()
        })?;
        // The kernel's file descriptors fit an int.
        let file = sys::adopt(alloc.out_veventq_fd as i32).into();
        Ok(Veventq { id: Id(alloc.out_veventq_id), file })
    }

    /// IOMMU_HWPT_INVALIDATE of a virtual SMMUv3, with commands as the guest would queue them.
    pub fn invalidate(&self, Id(hwpt_id): Id, commands: &[Command]) -> io::Result<()> {
        let mut data: Vec<_> = commands
            .iter()
            .map(|Command(words)| uapi::iommu_viommu_arm_smmuv3_invalidate { cmd: *words })
            .collect();
        let asked = self.call(uapi::iommu_hwpt_invalidate {
            hwpt_id,
            data_uptr: data.as_mut_ptr() as u64,
            data_type: uapi::iommu_hwpt_invalidate_data_type_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
            entry_len: size_of::<uapi::iommu_viommu_arm_smmuv3_invalidate>() as u32,
            entry_num: data.len() as u32,
            ..Default::default()
        })?;
        if asked.entry_num as usize == commands.len() {
            Ok(())
        } else {
            Err(io::Error::other(format!("{} of {} commands were done", asked.entry_num, commands.len())))
        }
    }

    /// IOMMU_HWPT_SET_DIRTY_TRACKING.
    pub fn track_dirty(&self, Id(hwpt_id): Id, on: bool) -> io::Result<()> {
        let flags =
            if on { uapi::iommufd_hwpt_set_dirty_tracking_flags_IOMMU_HWPT_DIRTY_TRACKING_ENABLE } else { 0 };
        self.call(uapi::iommu_hwpt_set_dirty_tracking { flags, hwpt_id, ..Default::default() }).map(drop)
    }

    /// IOMMU_HWPT_GET_DIRTY_BITMAP of up to 64 pages of 4 KiB: bit n is page n.
    pub fn dirty(&self, Id(hwpt_id): Id, iova: u64, pages: u64, clear: bool) -> io::Result<u64> {
        assert!(pages <= 64, "one qword has 64 bits");
        let mut bitmap = 0u64;
        let flags = if clear {
            0
        } else {
            uapi::iommufd_hwpt_get_dirty_bitmap_flags_IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR
        };
        self.call(uapi::iommu_hwpt_get_dirty_bitmap {
            hwpt_id,
            flags,
            iova,
            length: pages << 12,
            page_size: 1 << 12,
            data: std::ptr::from_mut(&mut bitmap) as u64,
            ..Default::default()
        })?;
        Ok(u64::from_le(bitmap))
    }
}
