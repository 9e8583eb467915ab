//! Features of devices: one ioctl, whose flags say which feature and what to do with it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ioctl;

/// The bits of [`DeviceFeature::flags`] that say which feature [uapi VFIO_DEVICE_FEATURE_MASK].
pub const DEVICE_FEATURE_MASK: u32 = 0xffff;

flags! {
    /// What to do with a feature; the bits of [`DEVICE_FEATURE_MASK`] are no flags
    /// [uapi vfio_device_feature].
    pub struct DeviceFeatureFlags: u32 {
        /// Return it.
        const GET = 1 << 16;
        /// Set it.
        const SET = 1 << 17;
        /// Only say whether this could be done.
        const PROBE = 1 << 18;
    }

    /// Into which states, beyond running and failed, a device can be put [uapi vfio_device_feature_migration].
    pub struct MigrationFlags: u64 {
        /// Stopped, saving, and resuming.
        const STOP_COPY = 1 << 0;
        /// Running without DMA to other devices.
        const P2P = 1 << 1;
        /// Running while saving.
        const PRE_COPY = 1 << 2;
    }

    /// What an answer about migration data says [uapi vfio_precopy_info].
    pub struct PrecopyInfoFlags: u32 {
        /// There is initial data anew.
        const REINIT = 1 << 0;
    }
}

/// Probes, gets or sets a feature, whose data follows [uapi vfio_device_feature].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceFeature {
    /// Bytes passed, data included.
    pub argsz: u32,
    /// [`DeviceFeatureFlags`], and which feature in the bits of [`DEVICE_FEATURE_MASK`].
    pub flags: u32,
}
command!(DeviceFeature, ioctl::DEVICE_FEATURE, flags);

impl DeviceFeature {
    /// Which feature: a `DEVICE_FEATURE_*`.
    pub const fn feature(&self) -> u32 {
        self.flags & DEVICE_FEATURE_MASK
    }

    /// What to do with it, unknown bits included.
    pub const fn operation(&self) -> DeviceFeatureFlags {
        DeviceFeatureFlags::from_bits_retain(self.flags & !DEVICE_FEATURE_MASK)
    }
}

/// The token that drivers of virtual functions must know: 16 bytes [uapi VFIO_DEVICE_FEATURE_PCI_VF_TOKEN].
pub const DEVICE_FEATURE_PCI_VF_TOKEN: u32 = 0;
/// [`DeviceFeatureMigration`] [uapi VFIO_DEVICE_FEATURE_MIGRATION].
pub const DEVICE_FEATURE_MIGRATION: u32 = 1;
/// [`DeviceFeatureMigState`] [uapi VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE].
pub const DEVICE_FEATURE_MIG_DEVICE_STATE: u32 = 2;
/// The device may enter a low-power state; no data [uapi VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY].
pub const DEVICE_FEATURE_LOW_POWER_ENTRY: u32 = 3;
/// [`DeviceLowPowerEntryWithWakeup`] [uapi VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP].
pub const DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP: u32 = 4;
/// The device leaves a low-power state; no data [uapi VFIO_DEVICE_FEATURE_LOW_POWER_EXIT].
pub const DEVICE_FEATURE_LOW_POWER_EXIT: u32 = 5;
/// [`DeviceFeatureDmaLoggingControl`] [uapi VFIO_DEVICE_FEATURE_DMA_LOGGING_START].
pub const DEVICE_FEATURE_DMA_LOGGING_START: u32 = 6;
/// The device stops logging; no data [uapi VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP].
pub const DEVICE_FEATURE_DMA_LOGGING_STOP: u32 = 7;
/// [`DeviceFeatureDmaLoggingReport`] [uapi VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT].
pub const DEVICE_FEATURE_DMA_LOGGING_REPORT: u32 = 8;
/// [`DeviceFeatureMigDataSize`] [uapi VFIO_DEVICE_FEATURE_MIG_DATA_SIZE].
pub const DEVICE_FEATURE_MIG_DATA_SIZE: u32 = 9;
/// [`DeviceFeatureBusMaster`] [uapi VFIO_DEVICE_FEATURE_BUS_MASTER].
pub const DEVICE_FEATURE_BUS_MASTER: u32 = 10;
/// [`DeviceFeatureDmaBuf`] [uapi VFIO_DEVICE_FEATURE_DMA_BUF].
pub const DEVICE_FEATURE_DMA_BUF: u32 = 11;
/// [`PrecopyInfo::flags`] may say something; no data [uapi VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2].
pub const DEVICE_FEATURE_MIG_PRECOPY_INFOV2: u32 = 12;

/// Into which states a device can be put [uapi vfio_device_feature_migration].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceFeatureMigration {
    /// Which.
    pub flags: MigrationFlags,
}

/// The device failed and must be reset [uapi VFIO_DEVICE_STATE_ERROR].
pub const DEVICE_STATE_ERROR: u32 = 0;
/// The device does nothing [uapi VFIO_DEVICE_STATE_STOP].
pub const DEVICE_STATE_STOP: u32 = 1;
/// The device runs [uapi VFIO_DEVICE_STATE_RUNNING].
pub const DEVICE_STATE_RUNNING: u32 = 2;
/// The device does nothing, its state can be read [uapi VFIO_DEVICE_STATE_STOP_COPY].
pub const DEVICE_STATE_STOP_COPY: u32 = 3;
/// The device does nothing, its state can be written [uapi VFIO_DEVICE_STATE_RESUMING].
pub const DEVICE_STATE_RESUMING: u32 = 4;
/// The device runs without DMA to other devices [uapi VFIO_DEVICE_STATE_RUNNING_P2P].
pub const DEVICE_STATE_RUNNING_P2P: u32 = 5;
/// The device runs, its state can be read [uapi VFIO_DEVICE_STATE_PRE_COPY].
pub const DEVICE_STATE_PRE_COPY: u32 = 6;
/// The device runs without DMA to other devices, its state can be read
/// [uapi VFIO_DEVICE_STATE_PRE_COPY_P2P].
pub const DEVICE_STATE_PRE_COPY_P2P: u32 = 7;

/// The state of a device [uapi vfio_device_feature_mig_state].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceFeatureMigState {
    /// A `DEVICE_STATE_*`.
    pub device_state: u32,
    /// Out: the file of the migration data, or -1.
    pub data_fd: i32,
}

/// Asks a migration's data file how much there is to read before the device stops [uapi vfio_precopy_info].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PrecopyInfo {
    /// Bytes passed.
    pub argsz: u32,
    /// Out: what is said about the data.
    pub flags: PrecopyInfoFlags,
    /// Out: bytes of what must be read at first.
    pub initial_bytes: u64,
    /// Out: bytes of what has changed since it was read.
    pub dirty_bytes: u64,
}
command!(PrecopyInfo, ioctl::MIG_GET_PRECOPY_INFO, dirty_bytes);

/// The device may enter a low-power state, and tells when it has left it
/// [uapi vfio_device_low_power_entry_with_wakeup].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceLowPowerEntryWithWakeup {
    /// The eventfd to signal.
    pub wakeup_eventfd: i32,
    /// Zero.
    pub reserved: u32,
}

/// The device begins to log what it writes [uapi vfio_device_feature_dma_logging_control].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceFeatureDmaLoggingControl {
    /// In: the unit asked for, in bytes. Out: the unit chosen.
    pub page_size: u64,
    /// How many ranges.
    pub num_ranges: u32,
    /// Zero.
    pub reserved: u32,
    /// Address of an array of [`DeviceFeatureDmaLoggingRange`].
    pub ranges: u64,
}

/// A range to log [uapi vfio_device_feature_dma_logging_range].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceFeatureDmaLoggingRange {
    /// The first IOVA.
    pub iova: u64,
    /// Bytes.
    pub length: u64,
}

/// Reads and clears the log of a range [uapi vfio_device_feature_dma_logging_report].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceFeatureDmaLoggingReport {
    /// The IOVA of the first bit.
    pub iova: u64,
    /// Bytes of the range.
    pub length: u64,
    /// Bytes that one bit stands for.
    pub page_size: u64,
    /// Address of the bitmap; bits are only ever set in it.
    pub bitmap: u64,
}

/// How much data a migration will have when the device has stopped
/// [uapi vfio_device_feature_mig_data_size].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceFeatureMigDataSize {
    /// Bytes.
    pub stop_copy_length: u64,
}

/// The device may not be master of its bus [uapi VFIO_DEVICE_FEATURE_CLEAR_MASTER].
pub const DEVICE_FEATURE_CLEAR_MASTER: u32 = 0;
/// The device may be master of its bus [uapi VFIO_DEVICE_FEATURE_SET_MASTER].
pub const DEVICE_FEATURE_SET_MASTER: u32 = 1;

/// Whether a device may be master of a bus that does not say so itself
/// [uapi vfio_device_feature_bus_master].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceFeatureBusMaster {
    /// [`DEVICE_FEATURE_CLEAR_MASTER`] or [`DEVICE_FEATURE_SET_MASTER`].
    pub op: u32,
}

/// A part of a region [uapi vfio_region_dma_range].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RegionDmaRange {
    /// Where it begins in the region.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// Makes a dma-buf of parts of a region; `nr_ranges` [`RegionDmaRange`]s follow
/// [uapi vfio_device_feature_dma_buf].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct DeviceFeatureDmaBuf {
    /// The region.
    pub region_index: u32,
    /// Flags of `open`.
    pub open_flags: u32,
    /// None is defined: zero.
    pub flags: u32,
    /// How many parts follow.
    pub nr_ranges: u32,
}
