//! What the IOMMU of a device can do, as its own registers tell it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ioctl;

flags! {
    /// What a caller says about its question [uapi iommufd_hw_info_flags].
    pub struct HwInfoFlags: u32 {
        /// The caller asks for a certain type of answer.
        const INPUT_TYPE = 1 << 0;
    }

    /// What every kind of IOMMU may be able to do [uapi iommufd_hw_capabilities].
    pub struct HwCapabilities: u64 {
        /// Dirty tracking. The header calls it `IOMMU_HW_CAP_DIRTY_TRACKING`.
        const DIRTY_TRACKING = 1 << 0;
        /// The device's PASIDs may ask for execute permission.
        const PCI_PASID_EXEC = 1 << 1;
        /// The device's PASIDs may be privileged.
        const PCI_PASID_PRIV = 1 << 2;
        /// The device has no use of ATS here.
        const PCI_ATS_NOT_SUPPORTED = 1 << 3;
    }

    /// Errata of VT-d that a caller must respect [uapi iommu_hw_info_vtd_flags].
    pub struct HwInfoVtdFlags: u32 {
        /// No read-only mapping may be in the parent of a nested HWPT.
        const ERRATA_772415_SPR17 = 1 << 0;
    }

    /// Errata of SMMUv3 that a caller must respect [uapi iommu_hw_info_arm_smmuv3].
    pub struct HwInfoArmSmmuv3Flags: u32 {
        /// TLBI and CFGI commands must be given twice.
        const ERRATA_REPEAT_TLBI_CFGI = 1 << 0;
    }
}

/// Out: the IOMMU tells nothing of its own [uapi IOMMU_HW_INFO_TYPE_NONE].
pub const HW_INFO_TYPE_NONE: u32 = 0;
/// In: any type will do [uapi IOMMU_HW_INFO_TYPE_DEFAULT].
pub const HW_INFO_TYPE_DEFAULT: u32 = 0;
/// [`HwInfoVtd`] [uapi IOMMU_HW_INFO_TYPE_INTEL_VTD].
pub const HW_INFO_TYPE_INTEL_VTD: u32 = 1;
/// [`HwInfoArmSmmuv3`] [uapi IOMMU_HW_INFO_TYPE_ARM_SMMUV3].
pub const HW_INFO_TYPE_ARM_SMMUV3: u32 = 2;
/// [`HwInfoTegra241Cmdqv`] [uapi IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV].
pub const HW_INFO_TYPE_TEGRA241_CMDQV: u32 = 3;
/// [`HwInfoAmd`] [uapi IOMMU_HW_INFO_TYPE_AMD].
pub const HW_INFO_TYPE_AMD: u32 = 4;

/// Asks what the IOMMU behind a device can do [uapi iommu_hw_info].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwInfo {
    /// Bytes passed.
    pub size: u32,
    /// What is said about the question.
    pub flags: HwInfoFlags,
    /// The device.
    pub dev_id: u32,
    /// In: bytes of the buffer. Out: bytes of the structure that belongs in it.
    pub data_len: u32,
    /// Address of the buffer. What the structure does not fill is zeroed.
    pub data_uptr: u64,
    /// Out: the type of the structure, a `HW_INFO_TYPE_*`. The same word is `in_data_type`: in, the type
    /// asked for, if [`HwInfoFlags::INPUT_TYPE`].
    pub out_data_type: u32,
    /// Out: the width of the device's PASIDs in bits, 0 for none.
    pub out_max_pasid_log2: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// Out: what is not particular to the type.
    pub out_capabilities: HwCapabilities,
}
// `out_capabilities` came later.
command!(HwInfo, ioctl::GET_HW_INFO, reserved);

impl HwInfo {
    /// `in_data_type`, which shares its word with [`out_data_type`](Self::out_data_type).
    pub const fn in_data_type(&self) -> u32 {
        self.out_data_type
    }
}

/// The registers of VT-d [uapi iommu_hw_info_vtd].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwInfoVtd {
    /// Errata.
    pub flags: HwInfoVtdFlags,
    /// Zero.
    pub reserved: u32,
    /// The Capability Register [VT-d 11.4.2].
    pub cap_reg: u64,
    /// The Extended Capability Register [VT-d 11.4.3].
    pub ecap_reg: u64,
}

/// The registers of SMMUv3 [uapi iommu_hw_info_arm_smmuv3].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwInfoArmSmmuv3 {
    /// Errata.
    pub flags: HwInfoArmSmmuv3Flags,
    /// Zero.
    pub reserved: u32,
    /// SMMU_IDR0 to SMMU_IDR5 [SMMUv3 6.3.1].
    pub idr: [u32; 6],
    /// SMMU_IIDR.
    pub iidr: u32,
    /// SMMU_AIDR.
    pub aidr: u32,
}

/// Tegra241's extension of SMMUv3 [uapi iommu_hw_info_tegra241_cmdqv].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwInfoTegra241Cmdqv {
    /// None is defined: zero.
    pub flags: u32,
    /// The version of the hardware.
    pub version: u8,
    /// Log2 of the number of virtual command queues.
    pub log2vcmdqs: u8,
    /// Log2 of the number of StreamIDs that can be replaced.
    pub log2vsids: u8,
    /// Zero.
    pub reserved: u8,
}

/// The registers of AMD's IOMMU [uapi iommu_hw_info_amd].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwInfoAmd {
    /// The Extended Feature Register.
    pub efr: u64,
    /// The Extended Feature 2 Register.
    pub efr2: u64,
}
