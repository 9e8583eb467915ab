//! The ioctl by which the kernel's self-tests steer the mock driver, and that driver's own structures.
//!
//! It is no stable user API: the header lies with the kernel's sources [uapi iommufd_test.h].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ioctl;

flags! {
    /// How an access pins pages [uapi iommu_test_cmd.access_pages].
    pub struct AccessPagesFlags: u32 {
        /// To write. The header calls it `MOCK_FLAGS_ACCESS_WRITE`.
        const WRITE = 1 << 0;
        /// `iova` counts from the beginning of mapped memory. `MOCK_FLAGS_ACCESS_SYZ`.
        const SYZ = 1 << 16;
    }

    /// How an access copies bytes [uapi iommu_test_cmd.access_rw].
    pub struct AccessRwFlags: u32 {
        /// To the IOAS. The header calls it `MOCK_ACCESS_RW_WRITE`.
        const WRITE = 1 << 0;
        /// Without the short cut for the caller's own memory. `MOCK_ACCESS_RW_SLOW_PATH`.
        const SLOW_PATH = 1 << 2;
        /// As [`AccessPagesFlags::SYZ`], whose bit it is.
        const SYZ = 1 << 16;
    }

    /// What an access is for [uapi iommu_test_cmd.create_access].
    pub struct CreateAccessFlags: u32 {
        /// To pin pages. The header calls it `MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES`.
        const NEEDS_PIN_PAGES = 1 << 0;
    }

    /// What a mock device is like [uapi iommu_test_cmd.mock_domain_flags].
    pub struct MockDeviceFlags: u32 {
        /// Its IOMMU tracks no dirty pages. The header calls it `MOCK_FLAGS_DEVICE_NO_DIRTY`.
        const NO_DIRTY = 1 << 0;
        /// It has PASIDs. `MOCK_FLAGS_DEVICE_PASID`.
        const PASID = 1 << 2;
    }

    /// What is invalidated of a mock HWPT or vIOMMU [uapi IOMMU_TEST_INVALIDATE_FLAG_ALL].
    pub struct TestInvalidateFlags: u32 {
        /// Everything, not one entry.
        const ALL = 1 << 0;
    }
}

/// Does one of the self-tests' operations [uapi iommu_test_cmd].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TestCmd {
    /// Bytes passed.
    pub size: u32,
    /// Which operation: an [`Operation::OP`].
    pub op: u32,
    /// The object that the operation acts on.
    pub id: u32,
    /// Zero.
    pub reserved: u32,
    /// The operation's parameters, a union in C; see [`get`](Self::get).
    pub parameters: [u64; 6],
    /// Marks the end.
    pub last: u32,
    /// Unnamed in C.
    pub padding: u32,
}
command!(TestCmd, ioctl::TEST_CMD, last);

impl TestCmd {
    /// The union as the parameters of operation `T`, whatever `op` says.
    pub fn get<T: Operation>(&self) -> T {
        const { assert!(size_of::<T>() <= size_of::<[u64; 6]>(), "an operation must fit into the union") };
        let mut parameters = T::new_zeroed();
        let bytes = parameters.as_mut_bytes();
        bytes.copy_from_slice(&self.parameters.as_bytes()[..bytes.len()]);
        parameters
    }

    /// Puts the parameters of an operation into the union. What they do not cover stays.
    pub fn set<T: Operation>(&mut self, parameters: &T) {
        const { assert!(size_of::<T>() <= size_of::<[u64; 6]>(), "an operation must fit into the union") };
        let bytes = parameters.as_bytes();
        self.parameters.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    }
}

/// The parameters of an operation of [`TestCmd`].
pub trait Operation: FromBytes + IntoBytes + Immutable + KnownLayout + Copy {
    /// The operation's number [uapi IOMMU_TEST_OP_ADD_RESERVED].
    const OP: u32;
}

/// Declares the parameters of operations, in the order of the union, each with its number.
macro_rules! operations {
    ($(
        $(#[$meta:meta])*
        $op:literal => $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl Operation for $name {
            const OP: u32 = $op;
        }
    )*};
}

operations! {
    /// Reserves a range of the IOAS `id` [uapi IOMMU_TEST_OP_ADD_RESERVED].
    1 => AddReserved {
        /// The first IOVA.
        start: u64,
        /// Bytes.
        length: u64,
    }

    /// Makes a mock device and attaches it to the IOAS or HWPT `id` [uapi IOMMU_TEST_OP_MOCK_DOMAIN].
    2 => MockDomain {
        /// Out: the mock device.
        out_stdev_id: u32,
        /// Out: the HWPT it is attached to.
        out_hwpt_id: u32,
        /// Out: the device as bound to the iommufd.
        out_idev_id: u32,
    }

    /// As [`MockDomain`], of a certain kind of device [uapi IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS].
    12 => MockDomainFlags {
        /// Out: the mock device.
        out_stdev_id: u32,
        /// Out: the HWPT it is attached to.
        out_hwpt_id: u32,
        /// Out: the device as bound to the iommufd.
        out_idev_id: u32,
        /// What the device is like.
        dev_flags: MockDeviceFlags,
    }

    /// Attaches the mock device `id` elsewhere [uapi IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE].
    10 => MockDomainReplace {
        /// In: the IOAS or HWPT. Out: the HWPT.
        pt_id: u32,
    }

    /// Compares what the paging HWPT `id` maps with memory of the caller [uapi IOMMU_TEST_OP_MD_CHECK_MAP].
    3 => CheckMap {
        /// The first IOVA.
        iova: u64,
        /// Bytes.
        length: u64,
        /// The address in the caller.
        uptr: u64,
    }

    /// Compares how often pages of the caller are pinned [uapi IOMMU_TEST_OP_MD_CHECK_REFS].
    4 => CheckRefs {
        /// Bytes.
        length: u64,
        /// The address in the caller.
        uptr: u64,
        /// How often each page should be pinned.
        refs: u32,
        /// Unnamed in C.
        padding: u32,
    }

    /// Makes an access to the IOAS `id` [uapi IOMMU_TEST_OP_CREATE_ACCESS].
    5 => CreateAccess {
        /// Out: the access, a file.
        out_access_fd: u32,
        /// What the access is for.
        flags: CreateAccessFlags,
    }

    /// Unpins pages of the access `id`, a file [uapi IOMMU_TEST_OP_DESTROY_ACCESS_PAGES].
    6 => DestroyAccessPages {
        /// What [`AccessPages`] returned.
        access_pages_id: u32,
    }

    /// Pins pages by the access `id`, a file [uapi IOMMU_TEST_OP_ACCESS_PAGES].
    7 => AccessPages {
        /// How.
        flags: AccessPagesFlags,
        /// Out: the pins.
        out_access_pages_id: u32,
        /// The first IOVA.
        iova: u64,
        /// Bytes.
        length: u64,
        /// The address in the caller to compare with, or zero.
        uptr: u64,
    }

    /// Copies bytes by the access `id`, a file [uapi IOMMU_TEST_OP_ACCESS_RW].
    8 => AccessRw {
        /// The first IOVA.
        iova: u64,
        /// Bytes.
        length: u64,
        /// The address in the caller to copy to or from.
        uptr: u64,
        /// How.
        flags: AccessRwFlags,
        /// Unnamed in C.
        padding: u32,
    }

    /// Limits what mapping may allocate at once [uapi IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT].
    9 => MemoryLimit {
        /// Bytes.
        limit: u32,
    }

    /// Moves the access `id`, a file, to another IOAS [uapi IOMMU_TEST_OP_ACCESS_REPLACE_IOAS].
    11 => AccessReplaceIoas {
        /// The IOAS.
        ioas_id: u32,
    }

    /// Makes pages of the paging HWPT `id` dirty [uapi IOMMU_TEST_OP_DIRTY].
    13 => Dirty {
        /// None is defined: zero.
        flags: u32,
        /// Unnamed in C.
        padding: u32,
        /// The IOVA of the first bit.
        iova: u64,
        /// Bytes of the range.
        length: u64,
        /// Bytes that one bit stands for.
        page_size: u64,
        /// Address of the bitmap.
        uptr: u64,
        /// Out: how many bits are set in it.
        out_nr_dirty: u64,
    }

    /// Compares an entry of the nested HWPT `id` [uapi IOMMU_TEST_OP_MD_CHECK_IOTLB].
    14 => CheckIotlb {
        /// Which entry, up to [`MOCK_NESTED_DOMAIN_IOTLB_ID_MAX`].
        id: u32,
        /// What it should be.
        iotlb: u32,
    }

    /// Makes a device request a page [uapi IOMMU_TEST_OP_TRIGGER_IOPF].
    15 => TriggerIopf {
        /// The device.
        dev_id: u32,
        /// The PASID, or zero for none.
        pasid: u32,
        /// The Page Request Group Index.
        grpid: u32,
        /// The permissions asked for.
        perm: u32,
        /// The address.
        addr: u64,
    }

    /// Compares an entry of the cache of the device `id` [uapi IOMMU_TEST_OP_DEV_CHECK_CACHE].
    16 => CheckDevCache {
        /// Which entry, up to [`MOCK_DEV_CACHE_ID_MAX`].
        id: u32,
        /// What it should be.
        cache: u32,
    }

    /// Makes a device report an event to its vIOMMU [uapi IOMMU_TEST_OP_TRIGGER_VEVENT].
    17 => TriggerVevent {
        /// The device.
        dev_id: u32,
    }

    /// Attaches a PASID of the mock device `id` [uapi IOMMU_TEST_OP_PASID_ATTACH].
    18 => PasidAttach {
        /// The PASID.
        pasid: u32,
        /// The HWPT.
        pt_id: u32,
    }

    /// Attaches a PASID of the mock device `id` elsewhere [uapi IOMMU_TEST_OP_PASID_REPLACE].
    19 => PasidReplace {
        /// The PASID.
        pasid: u32,
        /// The HWPT.
        pt_id: u32,
    }

    /// Detaches a PASID of the mock device `id` [uapi IOMMU_TEST_OP_PASID_DETACH].
    20 => PasidDetach {
        /// The PASID.
        pasid: u32,
    }

    /// Compares what a PASID of the mock device `id` is attached to [uapi IOMMU_TEST_OP_PASID_CHECK_HWPT].
    21 => PasidCheck {
        /// The PASID.
        pasid: u32,
        /// The HWPT it should be attached to, or zero for none.
        hwpt_id: u32,
    }

    /// Makes a dma-buf; its file is what the ioctl returns [uapi IOMMU_TEST_OP_DMABUF_GET].
    22 => DmabufGet {
        /// Bytes.
        length: u32,
        /// Flags of `open`.
        open_flags: u32,
    }

    /// Takes a dma-buf's memory away, or gives it back [uapi IOMMU_TEST_OP_DMABUF_REVOKE].
    23 => DmabufRevoke {
        /// The dma-buf.
        dmabuf_fd: i32,
        /// Non-zero takes away.
        revoked: u32,
    }
}

/// The mock's ordinary page table [uapi MOCK_IOMMUPT_DEFAULT].
pub const MOCK_IOMMUPT_DEFAULT: u32 = 0;
/// The mock's page table with 1 MiB pages [uapi MOCK_IOMMUPT_HUGE].
pub const MOCK_IOMMUPT_HUGE: u32 = 1;
/// The first IOVA of the ordinary table [uapi MOCK_APERTURE_START].
pub const MOCK_APERTURE_START: u64 = 1 << 24;
/// The last IOVA of the ordinary table [uapi MOCK_APERTURE_LAST].
pub const MOCK_APERTURE_LAST: u64 = (1 << 31) - 1;
/// Bytes of the ordinary table's smallest page [uapi MOCK_PAGE_SIZE].
pub const MOCK_PAGE_SIZE: u64 = 2048;
/// Bytes of a huge page [uapi MOCK_HUGE_PAGE_SIZE].
pub const MOCK_HUGE_PAGE_SIZE: u64 = 512 * MOCK_PAGE_SIZE;
/// The width of the mock's PASIDs in bits [uapi MOCK_PASID_WIDTH].
pub const MOCK_PASID_WIDTH: u8 = 20;
/// The PASID whose second attachment fails once [uapi IOMMU_TEST_PASID_RESERVED].
pub const TEST_PASID_RESERVED: u32 = 1024;

/// [`TestHwInfo`] [uapi IOMMU_HW_INFO_TYPE_SELFTEST].
pub const HW_INFO_TYPE_SELFTEST: u32 = 0xfeed_beef;
/// The value of [`TestHwInfo::test_reg`] [uapi IOMMU_HW_INFO_SELFTEST_REGVAL].
pub const HW_INFO_SELFTEST_REGVAL: u32 = 0xdead_beef;

/// What the mock tells of itself [uapi iommu_test_hw_info].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TestHwInfo {
    /// Zero.
    pub flags: u32,
    /// [`HW_INFO_SELFTEST_REGVAL`].
    pub test_reg: u32,
}

/// [`HwptSelftest`] [uapi IOMMU_HWPT_DATA_SELFTEST].
pub const HWPT_DATA_SELFTEST: u32 = 0xdead;
/// What the self-tests fill a nested HWPT with, and an invalidated entry holds
/// [uapi IOMMU_TEST_IOTLB_DEFAULT].
pub const TEST_IOTLB_DEFAULT: u32 = 0x0bad_beef;
/// The greatest entry of a nested HWPT [uapi MOCK_NESTED_DOMAIN_IOTLB_ID_MAX].
pub const MOCK_NESTED_DOMAIN_IOTLB_ID_MAX: u32 = 3;
/// How many entries a nested HWPT has [uapi MOCK_NESTED_DOMAIN_IOTLB_NUM].
pub const MOCK_NESTED_DOMAIN_IOTLB_NUM: usize = 4;
/// What an entry of a device's cache holds at first [uapi IOMMU_TEST_DEV_CACHE_DEFAULT].
pub const TEST_DEV_CACHE_DEFAULT: u32 = 0x00ba_ddad;
/// The greatest entry of a device's cache [uapi MOCK_DEV_CACHE_ID_MAX].
pub const MOCK_DEV_CACHE_ID_MAX: u32 = 3;
/// How many entries a device's cache has [uapi MOCK_DEV_CACHE_NUM].
pub const MOCK_DEV_CACHE_NUM: usize = 4;

/// The data of a mock HWPT, of which a caller may leave out the second word [uapi iommu_hwpt_selftest].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptSelftest {
    /// What every entry of a nested HWPT holds at first.
    pub iotlb: u32,
    /// [`MOCK_IOMMUPT_DEFAULT`] or [`MOCK_IOMMUPT_HUGE`].
    pub pagetable_type: u32,
}

/// Entries are [`HwptInvalidateSelftest`] [uapi IOMMU_HWPT_INVALIDATE_DATA_SELFTEST].
pub const HWPT_INVALIDATE_DATA_SELFTEST: u32 = 0xdead_beef;
/// A type that the mock refuses [uapi IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID].
pub const HWPT_INVALIDATE_DATA_SELFTEST_INVALID: u32 = 0x0dad_beef;

/// Invalidates an entry of a nested HWPT [uapi iommu_hwpt_invalidate_selftest].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HwptInvalidateSelftest {
    /// What is invalidated.
    pub flags: TestInvalidateFlags,
    /// Which entry.
    pub iotlb_id: u32,
}

/// [`ViommuSelftest`] [uapi IOMMU_VIOMMU_TYPE_SELFTEST].
pub const VIOMMU_TYPE_SELFTEST: u32 = 0xdead_beef;

/// The data of a mock vIOMMU [uapi iommu_viommu_selftest].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ViommuSelftest {
    /// Any number.
    pub in_data: u32,
    /// Out: the same.
    pub out_data: u32,
    /// Out: the offset for `mmap`.
    pub out_mmap_offset: u64,
    /// Out: the length for `mmap`.
    pub out_mmap_length: u64,
}

/// Entries are [`ViommuInvalidateSelftest`] [uapi IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST].
pub const VIOMMU_INVALIDATE_DATA_SELFTEST: u32 = 0xdead_beef;
/// A type that the mock refuses [uapi IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID].
pub const VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID: u32 = 0x0dad_beef;

/// Invalidates an entry of a device's cache [uapi iommu_viommu_invalidate_selftest].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ViommuInvalidateSelftest {
    /// What is invalidated.
    pub flags: TestInvalidateFlags,
    /// The guest's number of the device.
    pub vdev_id: u32,
    /// Which entry.
    pub cache_id: u32,
}

/// Events are [`ViommuEventSelftest`] [uapi IOMMU_VEVENTQ_TYPE_SELFTEST].
pub const VEVENTQ_TYPE_SELFTEST: u32 = 0xbeef_beef;

/// An event of the mock [uapi iommu_viommu_event_selftest].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ViommuEventSelftest {
    /// The guest's number of the device.
    pub virt_id: u32,
}

/// A hardware queue of the mock [uapi IOMMU_HW_QUEUE_TYPE_SELFTEST].
pub const HW_QUEUE_TYPE_SELFTEST: u32 = 0xdead_beef;
/// How many of them a mock vIOMMU has [uapi IOMMU_TEST_HW_QUEUE_MAX].
pub const TEST_HW_QUEUE_MAX: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of the C structure with its union set to `access_pages`, written by hand.
    #[test]
    fn the_union_is_seen_as_the_operation() {
        let mut bytes = [0u8; 72];
        bytes[4] = 7;
        bytes[16..20].copy_from_slice(&0x1_0001u32.to_ne_bytes());
        bytes[20..24].copy_from_slice(&0x1122_3344u32.to_ne_bytes());
        bytes[24..32].copy_from_slice(&0x1000u64.to_ne_bytes());
        bytes[32..40].copy_from_slice(&0x2000u64.to_ne_bytes());
        bytes[40..48].copy_from_slice(&0x7fff_0000_1234u64.to_ne_bytes());
        let command = TestCmd::read_from_bytes(&bytes).unwrap();
        assert_eq!(command.op, AccessPages::OP);
        assert_eq!(
            command.get::<AccessPages>(),
            AccessPages {
                flags: AccessPagesFlags::WRITE | AccessPagesFlags::SYZ,
                out_access_pages_id: 0x1122_3344,
                iova: 0x1000,
                length: 0x2000,
                uptr: 0x7fff_0000_1234,
            }
        );
    }

    #[test]
    fn an_answer_leaves_the_rest_of_the_union_alone() {
        let mut command = TestCmd { parameters: [u64::MAX; 6], last: 5, ..Default::default() };
        command.set(&MockDomain { out_stdev_id: 1, out_hwpt_id: 2, out_idev_id: 3 });
        let mut expected = [0xff; 48];
        expected[..12].copy_from_slice([1u32, 2, 3].as_bytes());
        assert_eq!(command.parameters.as_bytes(), expected);
        assert_eq!((command.reserved, command.last), (0, 5));
    }
}
