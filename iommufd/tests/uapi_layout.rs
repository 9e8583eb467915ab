//! Layouts, request numbers and constants against what bindgen makes of Linux's headers, and against
//! literals where its bindings say nothing: the self-tests' header, the requests of VFIO, and what the
//! bindings are too old for.

use std::mem::{align_of, offset_of};

use iommufd::uapi::ioctl::{self, Command};
use iommufd::uapi::{test, vfio, *};
use iommufd_bindings as linux;
use vfio_bindings::bindings::vfio as linux_vfio;

/// The size of a structure's field.
fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// Compares our structure with the bindings' one: size, alignment, and each field's place and size. The
/// rows must be all fields of ours, and may give the name that the bindings have for a field.
macro_rules! same {
    ($($ours:path = $theirs:path { $($field:ident $(= $their:ident)?),* $(,)? })*) => {$({
        let name = stringify!($ours);
        assert_eq!(size_of::<$ours>(), size_of::<$theirs>(), "size of {name}");
        assert_eq!(align_of::<$ours>(), align_of::<$theirs>(), "alignment of {name}");
        $(same!(@field $ours, $theirs, $field, $($their)? $field);)*
        let $ours { $($field: _),* } = Default::default();
    })*};
    (@field $ours:path, $theirs:path, $field:ident, $their:ident $($rest:ident)?) => {
        let name = concat!(stringify!($ours), "::", stringify!($field));
        assert_eq!(offset_of!($ours, $field), offset_of!($theirs, $their), "offset of {name}");
        assert_eq!(
            size_of_field(|x: &$ours| &x.$field),
            size_of_field(|x: &$theirs| &x.$their),
            "size of {name}"
        );
    };
}

/// Compares our structure with literals: its size, and `offset + size` of each field.
macro_rules! literal {
    ($($ours:path, $size:literal { $($field:ident $offset:literal + $bytes:literal),* $(,)? })*) => {$({
        let name = stringify!($ours);
        assert_eq!(size_of::<$ours>(), $size, "size of {name}");
        let mut end = 0;
        $(
            let name = concat!(stringify!($ours), "::", stringify!($field));
            assert_eq!(offset_of!($ours, $field), $offset, "offset of {name}");
            assert_eq!(size_of_field(|x: &$ours| &x.$field), $bytes, "size of {name}");
            assert_eq!($offset, end, "{name} follows its neighbour");
            end = $offset + $bytes;
        )*
        assert_eq!(end, $size, "end of {}", stringify!($ours));
        let $ours { $($field: _),* } = Default::default();
    })*};
}

/// Compares our constants with the bindings' ones, or with literals.
macro_rules! values {
    ($($ours:expr => $theirs:expr;)*) => {$(
        assert_eq!(u64::from($ours), u64::from($theirs), stringify!($ours));
    )*};
}

/// Compares sets of flags: each flag's bits, and that no other is known.
macro_rules! flags {
    ($($set:path { $($flag:ident => $theirs:expr),* $(,)? })*) => {$({
        let mut known = 0u64;
        $(
            let name = concat!(stringify!($set), "::", stringify!($flag));
            assert_eq!(u64::from(<$set>::$flag.bits()), u64::from($theirs), "{name}");
            known |= u64::from($theirs);
        )*
        assert_eq!(u64::from(<$set>::all().bits()), known, "known bits of {}", stringify!($set));
    })*};
}

/// Compares a command's request number and smallest size with literals.
macro_rules! commands {
    ($($command:path = $request:literal, $min_size:literal;)*) => {$({
        let name = stringify!($command);
        assert_eq!(<$command>::REQUEST, $request, "request of {name}");
        assert_eq!(<$command>::NR, $request & 0xff, "number of {name}");
        assert_eq!(<$command>::MIN_SIZE, $min_size, "smallest size of {name}");
    })*};
}

#[test]
fn ioas_structures_are_linuxs() {
    same! {
        Destroy = linux::iommu_destroy { size, id }
        IoasAlloc = linux::iommu_ioas_alloc { size, flags, out_ioas_id }
        IovaRange = linux::iommu_iova_range { start, last }
        IoasIovaRanges = linux::iommu_ioas_iova_ranges {
            size, ioas_id, num_iovas, reserved = __reserved, allowed_iovas, out_iova_alignment,
        }
        IoasAllowIovas = linux::iommu_ioas_allow_iovas {
            size, ioas_id, num_iovas, reserved = __reserved, allowed_iovas,
        }
        IoasMap = linux::iommu_ioas_map {
            size, flags, ioas_id, reserved = __reserved, user_va, length, iova,
        }
        IoasMapFile = linux::iommu_ioas_map_file { size, flags, ioas_id, fd, start, length, iova }
        IoasCopy = linux::iommu_ioas_copy {
            size, flags, dst_ioas_id, src_ioas_id, length, dst_iova, src_iova,
        }
        IoasUnmap = linux::iommu_ioas_unmap { size, ioas_id, iova, length }
        IoasChangeProcess = linux::iommu_ioas_change_process { size, reserved = __reserved }
        IommuOption = linux::iommu_option { size, option_id, op, reserved = __reserved, object_id, val64 }
        VfioIoas = linux::iommu_vfio_ioas { size, ioas_id, op, reserved = __reserved }
    }
    literal! {
        IoasNoiommuGetPa, 40 {
            size 0 + 4, flags 4 + 4, ioas_id 8 + 4, reserved 12 + 4, iova 16 + 8, length 24 + 8, out_phys 32 + 8,
        }
    }
}

#[test]
fn hwpt_structures_are_linuxs() {
    same! {
        HwptAlloc = linux::iommu_hwpt_alloc {
            size, flags, dev_id, pt_id, out_hwpt_id, reserved = __reserved, data_type, data_len, data_uptr,
            fault_id, reserved2 = __reserved2,
        }
        HwptVtdS1 = linux::iommu_hwpt_vtd_s1 { flags, pgtbl_addr, addr_width, reserved = __reserved }
        HwptArmSmmuv3 = linux::iommu_hwpt_arm_smmuv3 { ste }
        HwptAmdGuest = linux::iommu_hwpt_amd_guest { dte }
        HwptInvalidate = linux::iommu_hwpt_invalidate {
            size, hwpt_id, data_uptr, data_type, entry_len, entry_num, reserved = __reserved,
        }
        HwptVtdS1Invalidate = linux::iommu_hwpt_vtd_s1_invalidate {
            addr, npages, flags, reserved = __reserved,
        }
        ViommuArmSmmuv3Invalidate = linux::iommu_viommu_arm_smmuv3_invalidate { cmd }
        HwptSetDirtyTracking = linux::iommu_hwpt_set_dirty_tracking {
            size, flags, hwpt_id, reserved = __reserved,
        }
        HwptGetDirtyBitmap = linux::iommu_hwpt_get_dirty_bitmap {
            size, hwpt_id, flags, reserved = __reserved, iova, length, page_size, data,
        }
        HwInfo = linux::iommu_hw_info {
            size, flags, dev_id, data_len, data_uptr, out_data_type = __bindgen_anon_1, out_max_pasid_log2,
            reserved = __reserved, out_capabilities,
        }
        HwInfoVtd = linux::iommu_hw_info_vtd { flags, reserved = __reserved, cap_reg, ecap_reg }
        HwInfoArmSmmuv3 = linux::iommu_hw_info_arm_smmuv3 { flags, reserved = __reserved, idr, iidr, aidr }
        HwInfoTegra241Cmdqv = linux::iommu_hw_info_tegra241_cmdqv {
            flags, version, log2vcmdqs, log2vsids, reserved = __reserved,
        }
        HwInfoAmd = linux::iommu_hw_info_amd { efr, efr2 }
    }
}

#[test]
fn fault_and_viommu_structures_are_linuxs() {
    same! {
        FaultAlloc = linux::iommu_fault_alloc { size, flags, out_fault_id, out_fault_fd }
        HwptPgfault = linux::iommu_hwpt_pgfault {
            flags, dev_id, pasid, grpid, perm, reserved = __reserved, addr, length, cookie,
        }
        HwptPageResponse = linux::iommu_hwpt_page_response { cookie, code }
        ViommuAlloc = linux::iommu_viommu_alloc {
            size, flags, type_, dev_id, hwpt_id, out_viommu_id, data_len, reserved = __reserved, data_uptr,
        }
        ViommuTegra241Cmdqv = linux::iommu_viommu_tegra241_cmdqv {
            out_vintf_mmap_offset, out_vintf_mmap_length,
        }
        VdeviceAlloc = linux::iommu_vdevice_alloc { size, viommu_id, dev_id, out_vdevice_id, virt_id }
        VeventqAlloc = linux::iommu_veventq_alloc {
            size, flags, viommu_id, type_, veventq_depth, out_veventq_id, out_veventq_fd,
            reserved = __reserved,
        }
        VeventHeader = linux::iommufd_vevent_header { flags, sequence }
        VeventArmSmmuv3 = linux::iommu_vevent_arm_smmuv3 { evt }
        VeventTegra241Cmdqv = linux::iommu_vevent_tegra241_cmdqv { lvcmdq_err_map }
        HwQueueAlloc = linux::iommu_hw_queue_alloc {
            size, flags, viommu_id, type_, index, out_hw_queue_id, nesting_parent_iova, length,
        }
    }
}

#[test]
fn test_structures_are_the_self_tests() {
    literal! {
        test::TestCmd, 72 {
            size 0 + 4, op 4 + 4, id 8 + 4, reserved 12 + 4, parameters 16 + 48, last 64 + 4, padding 68 + 4,
        }
        test::AddReserved, 16 { start 0 + 8, length 8 + 8 }
        test::MockDomain, 12 { out_stdev_id 0 + 4, out_hwpt_id 4 + 4, out_idev_id 8 + 4 }
        test::MockDomainFlags, 16 {
            out_stdev_id 0 + 4, out_hwpt_id 4 + 4, out_idev_id 8 + 4, dev_flags 12 + 4,
        }
        test::MockDomainReplace, 4 { pt_id 0 + 4 }
        test::CheckMap, 24 { iova 0 + 8, length 8 + 8, uptr 16 + 8 }
        test::CheckRefs, 24 { length 0 + 8, uptr 8 + 8, refs 16 + 4, padding 20 + 4 }
        test::CreateAccess, 8 { out_access_fd 0 + 4, flags 4 + 4 }
        test::DestroyAccessPages, 4 { access_pages_id 0 + 4 }
        test::AccessPages, 32 {
            flags 0 + 4, out_access_pages_id 4 + 4, iova 8 + 8, length 16 + 8, uptr 24 + 8,
        }
        test::AccessRw, 32 { iova 0 + 8, length 8 + 8, uptr 16 + 8, flags 24 + 4, padding 28 + 4 }
        test::MemoryLimit, 4 { limit 0 + 4 }
        test::AccessReplaceIoas, 4 { ioas_id 0 + 4 }
        test::Dirty, 48 {
            flags 0 + 4, padding 4 + 4, iova 8 + 8, length 16 + 8, page_size 24 + 8, uptr 32 + 8,
            out_nr_dirty 40 + 8,
        }
        test::CheckIotlb, 8 { id 0 + 4, iotlb 4 + 4 }
        test::TriggerIopf, 24 { dev_id 0 + 4, pasid 4 + 4, grpid 8 + 4, perm 12 + 4, addr 16 + 8 }
        test::CheckDevCache, 8 { id 0 + 4, cache 4 + 4 }
        test::TriggerVevent, 4 { dev_id 0 + 4 }
        test::PasidAttach, 8 { pasid 0 + 4, pt_id 4 + 4 }
        test::PasidReplace, 8 { pasid 0 + 4, pt_id 4 + 4 }
        test::PasidDetach, 4 { pasid 0 + 4 }
        test::PasidCheck, 8 { pasid 0 + 4, hwpt_id 4 + 4 }
        test::DmabufGet, 8 { length 0 + 4, open_flags 4 + 4 }
        test::DmabufRevoke, 8 { dmabuf_fd 0 + 4, revoked 4 + 4 }
        test::TestHwInfo, 8 { flags 0 + 4, test_reg 4 + 4 }
        test::HwptSelftest, 8 { iotlb 0 + 4, pagetable_type 4 + 4 }
        test::HwptInvalidateSelftest, 8 { flags 0 + 4, iotlb_id 4 + 4 }
        test::ViommuSelftest, 24 {
            in_data 0 + 4, out_data 4 + 4, out_mmap_offset 8 + 8, out_mmap_length 16 + 8,
        }
        test::ViommuInvalidateSelftest, 12 { flags 0 + 4, vdev_id 4 + 4, cache_id 8 + 4 }
        test::ViommuEventSelftest, 4 { virt_id 0 + 4 }
    }
}

#[test]
fn vfio_structures_are_linuxs() {
    same! {
        vfio::InfoCapHeader = linux_vfio::vfio_info_cap_header { id, version, next }
        vfio::GroupStatus = linux_vfio::vfio_group_status { argsz, flags }
        vfio::IommuType1Info = linux_vfio::vfio_iommu_type1_info {
            argsz, flags, iova_pgsizes, cap_offset, pad,
        }
        vfio::IovaRange = linux_vfio::vfio_iova_range { start, end }
        vfio::IommuType1InfoCapIovaRange = linux_vfio::vfio_iommu_type1_info_cap_iova_range {
            header, nr_iovas, reserved,
        }
        vfio::IommuType1InfoDmaAvail = linux_vfio::vfio_iommu_type1_info_dma_avail { header, avail }
        vfio::IommuType1DmaMap = linux_vfio::vfio_iommu_type1_dma_map { argsz, flags, vaddr, iova, size }
        vfio::Bitmap = linux_vfio::vfio_bitmap { pgsize, size, data }
        vfio::IommuType1DmaUnmap = linux_vfio::vfio_iommu_type1_dma_unmap { argsz, flags, iova, size }
        vfio::IommuType1DirtyBitmap = linux_vfio::vfio_iommu_type1_dirty_bitmap { argsz, flags }
        vfio::IommuType1DirtyBitmapGet = linux_vfio::vfio_iommu_type1_dirty_bitmap_get {
            iova, size, bitmap,
        }
        vfio::DeviceInfo = linux_vfio::vfio_device_info {
            argsz, flags, num_regions, num_irqs, cap_offset, pad,
        }
        vfio::DeviceInfoCapPciAtomicComp = linux_vfio::vfio_device_info_cap_pci_atomic_comp {
            header, flags, reserved,
        }
        vfio::RegionInfo = linux_vfio::vfio_region_info { argsz, flags, index, cap_offset, size, offset }
        vfio::RegionSparseMmapArea = linux_vfio::vfio_region_sparse_mmap_area { offset, size }
        vfio::RegionInfoCapSparseMmap = linux_vfio::vfio_region_info_cap_sparse_mmap {
            header, nr_areas, reserved,
        }
        vfio::RegionInfoCapType = linux_vfio::vfio_region_info_cap_type { header, type_, subtype }
        vfio::IrqInfo = linux_vfio::vfio_irq_info { argsz, flags, index, count }
        vfio::IrqSet = linux_vfio::vfio_irq_set { argsz, flags, index, start, count }
        vfio::DeviceIoeventfd = linux_vfio::vfio_device_ioeventfd {
            argsz, flags, offset, data, fd, reserved,
        }
        vfio::DeviceBindIommufd = linux_vfio::vfio_device_bind_iommufd {
            argsz, flags, iommufd, out_devid, token_uuid_ptr,
        }
        vfio::DeviceAttachIommufdPt = linux_vfio::vfio_device_attach_iommufd_pt {
            argsz, flags, pt_id, pasid,
        }
        vfio::DeviceDetachIommufdPt = linux_vfio::vfio_device_detach_iommufd_pt { argsz, flags, pasid }
        vfio::PciDependentDevice = linux_vfio::vfio_pci_dependent_device {
            group_id = __bindgen_anon_1, segment, bus, devfn,
        }
        vfio::PciHotResetInfo = linux_vfio::vfio_pci_hot_reset_info { argsz, flags, count }
        vfio::PciHotReset = linux_vfio::vfio_pci_hot_reset { argsz, flags, count }
        vfio::DeviceFeature = linux_vfio::vfio_device_feature { argsz, flags }
        vfio::DeviceFeatureMigration = linux_vfio::vfio_device_feature_migration { flags }
        vfio::DeviceFeatureMigState = linux_vfio::vfio_device_feature_mig_state { device_state, data_fd }
        vfio::PrecopyInfo = linux_vfio::vfio_precopy_info { argsz, flags, initial_bytes, dirty_bytes }
        vfio::DeviceLowPowerEntryWithWakeup = linux_vfio::vfio_device_low_power_entry_with_wakeup {
            wakeup_eventfd, reserved,
        }
        vfio::DeviceFeatureDmaLoggingControl = linux_vfio::vfio_device_feature_dma_logging_control {
            page_size, num_ranges, reserved = __reserved, ranges,
        }
        vfio::DeviceFeatureDmaLoggingRange = linux_vfio::vfio_device_feature_dma_logging_range {
            iova, length,
        }
        vfio::DeviceFeatureDmaLoggingReport = linux_vfio::vfio_device_feature_dma_logging_report {
            iova, length, page_size, bitmap,
        }
        vfio::DeviceFeatureMigDataSize = linux_vfio::vfio_device_feature_mig_data_size { stop_copy_length }
        vfio::DeviceFeatureBusMaster = linux_vfio::vfio_device_feature_bus_master { op }
        vfio::RegionDmaRange = linux_vfio::vfio_region_dma_range { offset, length }
        vfio::DeviceFeatureDmaBuf = linux_vfio::vfio_device_feature_dma_buf {
            region_index, open_flags, flags, nr_ranges,
        }
    }
    // C leaves a hole where ours has a field, which `same` could not look up.
    literal! {
        vfio::IommuType1InfoCapMigration, 32 {
            header 0 + 8, flags 8 + 4, padding 12 + 4, pgsize_bitmap 16 + 8, max_dirty_bitmap_size 24 + 8,
        }
    }
    type Theirs = linux_vfio::vfio_iommu_type1_info_cap_migration;
    assert_eq!(size_of::<Theirs>(), 32);
    assert_eq!(offset_of!(Theirs, pgsize_bitmap), 16);
}

#[test]
fn iommufd_requests_are_linuxs() {
    assert_eq!(ioctl::TYPE, linux::IOMMUFD_TYPE);
    values! {
        ioctl::CMD_BASE => linux::IOMMUFD_CMD_BASE;
        ioctl::nr(ioctl::DESTROY) => linux::IOMMUFD_CMD_DESTROY;
        ioctl::nr(ioctl::IOAS_ALLOC) => linux::IOMMUFD_CMD_IOAS_ALLOC;
        ioctl::nr(ioctl::IOAS_ALLOW_IOVAS) => linux::IOMMUFD_CMD_IOAS_ALLOW_IOVAS;
        ioctl::nr(ioctl::IOAS_COPY) => linux::IOMMUFD_CMD_IOAS_COPY;
        ioctl::nr(ioctl::IOAS_IOVA_RANGES) => linux::IOMMUFD_CMD_IOAS_IOVA_RANGES;
        ioctl::nr(ioctl::IOAS_MAP) => linux::IOMMUFD_CMD_IOAS_MAP;
        ioctl::nr(ioctl::IOAS_UNMAP) => linux::IOMMUFD_CMD_IOAS_UNMAP;
        ioctl::nr(ioctl::OPTION) => linux::IOMMUFD_CMD_OPTION;
        ioctl::nr(ioctl::VFIO_IOAS) => linux::IOMMUFD_CMD_VFIO_IOAS;
        ioctl::nr(ioctl::HWPT_ALLOC) => linux::IOMMUFD_CMD_HWPT_ALLOC;
        ioctl::nr(ioctl::GET_HW_INFO) => linux::IOMMUFD_CMD_GET_HW_INFO;
        ioctl::nr(ioctl::HWPT_SET_DIRTY_TRACKING) => linux::IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING;
        ioctl::nr(ioctl::HWPT_GET_DIRTY_BITMAP) => linux::IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP;
        ioctl::nr(ioctl::HWPT_INVALIDATE) => linux::IOMMUFD_CMD_HWPT_INVALIDATE;
        ioctl::nr(ioctl::FAULT_QUEUE_ALLOC) => linux::IOMMUFD_CMD_FAULT_QUEUE_ALLOC;
        ioctl::nr(ioctl::IOAS_MAP_FILE) => linux::IOMMUFD_CMD_IOAS_MAP_FILE;
        ioctl::nr(ioctl::VIOMMU_ALLOC) => linux::IOMMUFD_CMD_VIOMMU_ALLOC;
        ioctl::nr(ioctl::VDEVICE_ALLOC) => linux::IOMMUFD_CMD_VDEVICE_ALLOC;
        ioctl::nr(ioctl::IOAS_CHANGE_PROCESS) => linux::IOMMUFD_CMD_IOAS_CHANGE_PROCESS;
        ioctl::nr(ioctl::VEVENTQ_ALLOC) => linux::IOMMUFD_CMD_VEVENTQ_ALLOC;
        ioctl::nr(ioctl::HW_QUEUE_ALLOC) => linux::IOMMUFD_CMD_HW_QUEUE_ALLOC;
    }
}

#[test]
fn commands_have_their_request_and_smallest_size() {
    commands! {
        Destroy = 0x3b80, 8;
        IoasAlloc = 0x3b81, 12;
        IoasAllowIovas = 0x3b82, 24;
        IoasCopy = 0x3b83, 40;
        IoasIovaRanges = 0x3b84, 32;
        IoasMap = 0x3b85, 40;
        IoasUnmap = 0x3b86, 24;
        IommuOption = 0x3b87, 24;
        VfioIoas = 0x3b88, 12;
        HwptAlloc = 0x3b89, 24;
        HwInfo = 0x3b8a, 32;
        HwptSetDirtyTracking = 0x3b8b, 16;
        HwptGetDirtyBitmap = 0x3b8c, 48;
        HwptInvalidate = 0x3b8d, 32;
        FaultAlloc = 0x3b8e, 16;
        IoasMapFile = 0x3b8f, 40;
        ViommuAlloc = 0x3b90, 24;
        VdeviceAlloc = 0x3b91, 24;
        IoasChangeProcess = 0x3b92, 8;
        VeventqAlloc = 0x3b93, 28;
        HwQueueAlloc = 0x3b94, 40;
        IoasNoiommuGetPa = 0x3b95, 40;
        test::TestCmd = 0x3ba0, 68;

        vfio::GroupStatus = 0x3b67, 8;
        vfio::DeviceInfo = 0x3b6b, 16;
        vfio::RegionInfo = 0x3b6c, 32;
        vfio::IrqInfo = 0x3b6d, 16;
        vfio::IrqSet = 0x3b6e, 20;
        vfio::PciHotResetInfo = 0x3b70, 12;
        vfio::PciHotReset = 0x3b71, 12;
        vfio::DeviceIoeventfd = 0x3b74, 28;
        vfio::DeviceFeature = 0x3b75, 8;
        vfio::DeviceBindIommufd = 0x3b76, 16;
        vfio::DeviceAttachIommufdPt = 0x3b77, 12;
        vfio::DeviceDetachIommufdPt = 0x3b78, 8;
        vfio::PrecopyInfo = 0x3b79, 24;
        vfio::IommuType1Info = 0x3b70, 16;
        vfio::IommuType1DmaMap = 0x3b71, 32;
        vfio::IommuType1DmaUnmap = 0x3b72, 24;
        vfio::IommuType1DirtyBitmap = 0x3b75, 8;
    }
    values! {
        vfio::ioctl::BASE => linux_vfio::VFIO_BASE;
        vfio::ioctl::GET_API_VERSION => 0x3b64u32;
        vfio::ioctl::CHECK_EXTENSION => 0x3b65u32;
        vfio::ioctl::SET_IOMMU => 0x3b66u32;
        vfio::ioctl::GROUP_SET_CONTAINER => 0x3b68u32;
        vfio::ioctl::GROUP_UNSET_CONTAINER => 0x3b69u32;
        vfio::ioctl::GROUP_GET_DEVICE_FD => 0x3b6au32;
        vfio::ioctl::DEVICE_RESET => 0x3b6fu32;
        vfio::ioctl::IOMMU_ENABLE => 0x3b73u32;
        vfio::ioctl::IOMMU_DISABLE => 0x3b74u32;
    }
}

#[test]
fn iommufd_flags_are_linuxs() {
    flags! {
        IoasMapFlags {
            FIXED_IOVA => linux::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_FIXED_IOVA,
            WRITEABLE => linux::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_WRITEABLE,
            READABLE => linux::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_READABLE,
        }
        HwptAllocFlags {
            NEST_PARENT => linux::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_NEST_PARENT,
            DIRTY_TRACKING => linux::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
            FAULT_ID_VALID => linux::iommufd_hwpt_alloc_flags_IOMMU_HWPT_FAULT_ID_VALID,
            PASID => linux::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_PASID,
        }
        VtdS1Flags {
            SRE => linux::iommu_hwpt_vtd_s1_flags_IOMMU_VTD_S1_SRE,
            EAFE => linux::iommu_hwpt_vtd_s1_flags_IOMMU_VTD_S1_EAFE,
            WPE => linux::iommu_hwpt_vtd_s1_flags_IOMMU_VTD_S1_WPE,
        }
        HwptSetDirtyTrackingFlags {
            ENABLE => linux::iommufd_hwpt_set_dirty_tracking_flags_IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
        }
        HwptGetDirtyBitmapFlags {
            NO_CLEAR => linux::iommufd_hwpt_get_dirty_bitmap_flags_IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR,
        }
        VtdInvFlags { LEAF => linux::iommu_hwpt_vtd_s1_invalidate_flags_IOMMU_VTD_INV_FLAGS_LEAF }
        HwInfoFlags { INPUT_TYPE => linux::iommufd_hw_info_flags_IOMMU_HW_INFO_FLAG_INPUT_TYPE }
        HwCapabilities {
            DIRTY_TRACKING => linux::iommufd_hw_capabilities_IOMMU_HW_CAP_DIRTY_TRACKING,
            PCI_PASID_EXEC => linux::iommufd_hw_capabilities_IOMMU_HW_CAP_PCI_PASID_EXEC,
            PCI_PASID_PRIV => linux::iommufd_hw_capabilities_IOMMU_HW_CAP_PCI_PASID_PRIV,
            PCI_ATS_NOT_SUPPORTED => linux::iommufd_hw_capabilities_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED,
        }
        HwInfoVtdFlags {
            ERRATA_772415_SPR17 => linux::iommu_hw_info_vtd_flags_IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17,
        }
        HwInfoArmSmmuv3Flags { ERRATA_REPEAT_TLBI_CFGI => 1u32 }
        PgfaultFlags {
            PASID_VALID => linux::iommu_hwpt_pgfault_flags_IOMMU_PGFAULT_FLAGS_PASID_VALID,
            LAST_PAGE => linux::iommu_hwpt_pgfault_flags_IOMMU_PGFAULT_FLAGS_LAST_PAGE,
        }
        PgfaultPerm {
            READ => linux::iommu_hwpt_pgfault_perm_IOMMU_PGFAULT_PERM_READ,
            WRITE => linux::iommu_hwpt_pgfault_perm_IOMMU_PGFAULT_PERM_WRITE,
            EXEC => linux::iommu_hwpt_pgfault_perm_IOMMU_PGFAULT_PERM_EXEC,
            PRIV => linux::iommu_hwpt_pgfault_perm_IOMMU_PGFAULT_PERM_PRIV,
        }
        VeventqFlags { LOST_EVENTS => linux::iommu_veventq_flag_IOMMU_VEVENTQ_FLAG_LOST_EVENTS }
        test::AccessPagesFlags { WRITE => 1u32, SYZ => 0x10000u32 }
        test::AccessRwFlags { WRITE => 1u32, SLOW_PATH => 4u32, SYZ => 0x10000u32 }
        test::CreateAccessFlags { NEEDS_PIN_PAGES => 1u32 }
        test::MockDeviceFlags { NO_DIRTY => 1u32, PASID => 4u32 }
        test::TestInvalidateFlags { ALL => 1u32 }
    }
}

#[test]
fn iommufd_constants_are_linuxs() {
    values! {
        OPTION_RLIMIT_MODE => linux::iommufd_option_IOMMU_OPTION_RLIMIT_MODE;
        OPTION_HUGE_PAGES => linux::iommufd_option_IOMMU_OPTION_HUGE_PAGES;
        OPTION_OP_SET => linux::iommufd_option_ops_IOMMU_OPTION_OP_SET;
        OPTION_OP_GET => linux::iommufd_option_ops_IOMMU_OPTION_OP_GET;
        VFIO_IOAS_GET => linux::iommufd_vfio_ioas_op_IOMMU_VFIO_IOAS_GET;
        VFIO_IOAS_SET => linux::iommufd_vfio_ioas_op_IOMMU_VFIO_IOAS_SET;
        VFIO_IOAS_CLEAR => linux::iommufd_vfio_ioas_op_IOMMU_VFIO_IOAS_CLEAR;
        HWPT_DATA_NONE => linux::iommu_hwpt_data_type_IOMMU_HWPT_DATA_NONE;
        HWPT_DATA_VTD_S1 => linux::iommu_hwpt_data_type_IOMMU_HWPT_DATA_VTD_S1;
        HWPT_DATA_ARM_SMMUV3 => linux::iommu_hwpt_data_type_IOMMU_HWPT_DATA_ARM_SMMUV3;
        HWPT_DATA_AMD_GUEST => linux::iommu_hwpt_data_type_IOMMU_HWPT_DATA_AMD_GUEST;
        HWPT_INVALIDATE_DATA_VTD_S1 =>
            linux::iommu_hwpt_invalidate_data_type_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1;
        VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 =>
            linux::iommu_hwpt_invalidate_data_type_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3;
        HW_INFO_TYPE_NONE => linux::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_NONE;
        HW_INFO_TYPE_DEFAULT => linux::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_DEFAULT;
        HW_INFO_TYPE_INTEL_VTD => linux::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_INTEL_VTD;
        HW_INFO_TYPE_ARM_SMMUV3 => linux::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
        HW_INFO_TYPE_TEGRA241_CMDQV => linux::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV;
        HW_INFO_TYPE_AMD => linux::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_AMD;
        PAGE_RESP_SUCCESS => linux::iommufd_page_response_code_IOMMUFD_PAGE_RESP_SUCCESS;
        PAGE_RESP_INVALID => linux::iommufd_page_response_code_IOMMUFD_PAGE_RESP_INVALID;
        VIOMMU_TYPE_DEFAULT => linux::iommu_viommu_type_IOMMU_VIOMMU_TYPE_DEFAULT;
        VIOMMU_TYPE_ARM_SMMUV3 => linux::iommu_viommu_type_IOMMU_VIOMMU_TYPE_ARM_SMMUV3;
        VIOMMU_TYPE_TEGRA241_CMDQV => linux::iommu_viommu_type_IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV;
        VEVENTQ_TYPE_DEFAULT => linux::iommu_veventq_type_IOMMU_VEVENTQ_TYPE_DEFAULT;
        VEVENTQ_TYPE_ARM_SMMUV3 => linux::iommu_veventq_type_IOMMU_VEVENTQ_TYPE_ARM_SMMUV3;
        VEVENTQ_TYPE_TEGRA241_CMDQV => linux::iommu_veventq_type_IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV;
        HW_QUEUE_TYPE_DEFAULT => linux::iommu_hw_queue_type_IOMMU_HW_QUEUE_TYPE_DEFAULT;
        HW_QUEUE_TYPE_TEGRA241_CMDQV => linux::iommu_hw_queue_type_IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV;
    }
}

#[test]
fn test_constants_are_the_self_tests() {
    fn op<T: test::Operation>() -> u32 {
        T::OP
    }
    values! {
        op::<test::AddReserved>() => 1u32;
        op::<test::MockDomain>() => 2u32;
        op::<test::CheckMap>() => 3u32;
        op::<test::CheckRefs>() => 4u32;
        op::<test::CreateAccess>() => 5u32;
        op::<test::DestroyAccessPages>() => 6u32;
        op::<test::AccessPages>() => 7u32;
        op::<test::AccessRw>() => 8u32;
        op::<test::MemoryLimit>() => 9u32;
        op::<test::MockDomainReplace>() => 10u32;
        op::<test::AccessReplaceIoas>() => 11u32;
        op::<test::MockDomainFlags>() => 12u32;
        op::<test::Dirty>() => 13u32;
        op::<test::CheckIotlb>() => 14u32;
        op::<test::TriggerIopf>() => 15u32;
        op::<test::CheckDevCache>() => 16u32;
        op::<test::TriggerVevent>() => 17u32;
        op::<test::PasidAttach>() => 18u32;
        op::<test::PasidReplace>() => 19u32;
        op::<test::PasidDetach>() => 20u32;
        op::<test::PasidCheck>() => 21u32;
        op::<test::DmabufGet>() => 22u32;
        op::<test::DmabufRevoke>() => 23u32;
        test::MOCK_IOMMUPT_DEFAULT => 0u32;
        test::MOCK_IOMMUPT_HUGE => 1u32;
        test::MOCK_APERTURE_START => 0x0100_0000u32;
        test::MOCK_APERTURE_LAST => 0x7fff_ffffu32;
        test::MOCK_PAGE_SIZE => 2048u32;
        test::MOCK_HUGE_PAGE_SIZE => 0x10_0000u32;
        test::MOCK_PASID_WIDTH => 20u32;
        test::TEST_PASID_RESERVED => 1024u32;
        test::HW_INFO_TYPE_SELFTEST => 0xfeed_beefu32;
        test::HW_INFO_SELFTEST_REGVAL => 0xdead_beefu32;
        test::HWPT_DATA_SELFTEST => 0xdeadu32;
        test::TEST_IOTLB_DEFAULT => 0xbad_beefu32;
        test::TEST_DEV_CACHE_DEFAULT => 0xbad_dadu32;
        test::MOCK_NESTED_DOMAIN_IOTLB_ID_MAX => 3u32;
        test::MOCK_NESTED_DOMAIN_IOTLB_NUM as u32 => 4u32;
        test::MOCK_DEV_CACHE_ID_MAX => 3u32;
        test::MOCK_DEV_CACHE_NUM as u32 => 4u32;
        test::HWPT_INVALIDATE_DATA_SELFTEST => 0xdead_beefu32;
        test::HWPT_INVALIDATE_DATA_SELFTEST_INVALID => 0xdad_beefu32;
        test::VIOMMU_TYPE_SELFTEST => 0xdead_beefu32;
        test::VIOMMU_INVALIDATE_DATA_SELFTEST => 0xdead_beefu32;
        test::VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID => 0xdad_beefu32;
        test::VEVENTQ_TYPE_SELFTEST => 0xbeef_beefu32;
        test::HW_QUEUE_TYPE_SELFTEST => 0xdead_beefu32;
        test::TEST_HW_QUEUE_MAX => 2u32;
    }
}

#[test]
fn vfio_flags_are_linuxs() {
    use linux_vfio as l;
    flags! {
        vfio::GroupFlags {
            VIABLE => l::VFIO_GROUP_FLAGS_VIABLE, CONTAINER_SET => l::VFIO_GROUP_FLAGS_CONTAINER_SET,
        }
        vfio::IommuInfoFlags { PGSIZES => l::VFIO_IOMMU_INFO_PGSIZES, CAPS => l::VFIO_IOMMU_INFO_CAPS }
        vfio::DmaMapFlags {
            READ => l::VFIO_DMA_MAP_FLAG_READ,
            WRITE => l::VFIO_DMA_MAP_FLAG_WRITE,
            VADDR => l::VFIO_DMA_MAP_FLAG_VADDR,
        }
        vfio::DmaUnmapFlags {
            GET_DIRTY_BITMAP => l::VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
            ALL => l::VFIO_DMA_UNMAP_FLAG_ALL,
            VADDR => l::VFIO_DMA_UNMAP_FLAG_VADDR,
        }
        vfio::DirtyPagesFlags {
            START => l::VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
            STOP => l::VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
            GET_BITMAP => l::VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
        }
        vfio::DeviceFlags {
            RESET => l::VFIO_DEVICE_FLAGS_RESET,
            PCI => l::VFIO_DEVICE_FLAGS_PCI,
            PLATFORM => l::VFIO_DEVICE_FLAGS_PLATFORM,
            AMBA => l::VFIO_DEVICE_FLAGS_AMBA,
            CCW => l::VFIO_DEVICE_FLAGS_CCW,
            AP => l::VFIO_DEVICE_FLAGS_AP,
            FSL_MC => l::VFIO_DEVICE_FLAGS_FSL_MC,
            CAPS => l::VFIO_DEVICE_FLAGS_CAPS,
            CDX => l::VFIO_DEVICE_FLAGS_CDX,
        }
        vfio::RegionInfoFlags {
            READ => l::VFIO_REGION_INFO_FLAG_READ,
            WRITE => l::VFIO_REGION_INFO_FLAG_WRITE,
            MMAP => l::VFIO_REGION_INFO_FLAG_MMAP,
            CAPS => l::VFIO_REGION_INFO_FLAG_CAPS,
        }
        vfio::IrqInfoFlags {
            EVENTFD => l::VFIO_IRQ_INFO_EVENTFD,
            MASKABLE => l::VFIO_IRQ_INFO_MASKABLE,
            AUTOMASKED => l::VFIO_IRQ_INFO_AUTOMASKED,
            NORESIZE => l::VFIO_IRQ_INFO_NORESIZE,
        }
        vfio::IrqSetFlags {
            DATA_NONE => l::VFIO_IRQ_SET_DATA_NONE,
            DATA_BOOL => l::VFIO_IRQ_SET_DATA_BOOL,
            DATA_EVENTFD => l::VFIO_IRQ_SET_DATA_EVENTFD,
            ACTION_MASK => l::VFIO_IRQ_SET_ACTION_MASK,
            ACTION_UNMASK => l::VFIO_IRQ_SET_ACTION_UNMASK,
            ACTION_TRIGGER => l::VFIO_IRQ_SET_ACTION_TRIGGER,
            DATA_TYPE_MASK => l::VFIO_IRQ_SET_DATA_TYPE_MASK,
            ACTION_TYPE_MASK => l::VFIO_IRQ_SET_ACTION_TYPE_MASK,
        }
        vfio::BindFlags { TOKEN => l::VFIO_DEVICE_BIND_FLAG_TOKEN }
        vfio::AttachFlags { PASID => l::VFIO_DEVICE_ATTACH_PASID }
        vfio::IoeventfdFlags {
            SIZE_8 => l::VFIO_DEVICE_IOEVENTFD_8,
            SIZE_16 => l::VFIO_DEVICE_IOEVENTFD_16,
            SIZE_32 => l::VFIO_DEVICE_IOEVENTFD_32,
            SIZE_64 => l::VFIO_DEVICE_IOEVENTFD_64,
        }
        vfio::PciAtomicComp {
            COMP32 => l::VFIO_PCI_ATOMIC_COMP32,
            COMP64 => l::VFIO_PCI_ATOMIC_COMP64,
            COMP128 => l::VFIO_PCI_ATOMIC_COMP128,
        }
        vfio::PciHotResetFlags {
            DEV_ID => l::VFIO_PCI_HOT_RESET_FLAG_DEV_ID,
            DEV_ID_OWNED => l::VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED,
        }
        vfio::DeviceFeatureFlags {
            GET => l::VFIO_DEVICE_FEATURE_GET,
            SET => l::VFIO_DEVICE_FEATURE_SET,
            PROBE => l::VFIO_DEVICE_FEATURE_PROBE,
        }
        vfio::MigrationFlags {
            STOP_COPY => l::VFIO_MIGRATION_STOP_COPY,
            P2P => l::VFIO_MIGRATION_P2P,
            PRE_COPY => l::VFIO_MIGRATION_PRE_COPY,
        }
        vfio::PrecopyInfoFlags { REINIT => l::VFIO_PRECOPY_INFO_REINIT }
    }
    assert_eq!(vfio::AttachFlags::PASID.bits(), l::VFIO_DEVICE_DETACH_PASID);
}

#[test]
fn vfio_constants_are_linuxs() {
    use linux_vfio as l;
    values! {
        vfio::API_VERSION => l::VFIO_API_VERSION;
        vfio::TYPE1_IOMMU => l::VFIO_TYPE1_IOMMU;
        vfio::TYPE1V2_IOMMU => l::VFIO_TYPE1v2_IOMMU;
        vfio::DMA_CC_IOMMU => l::VFIO_DMA_CC_IOMMU;
        vfio::RESERVED_TYPE1_NESTING_IOMMU => l::__VFIO_RESERVED_TYPE1_NESTING_IOMMU;
        vfio::NOIOMMU_IOMMU => l::VFIO_NOIOMMU_IOMMU;
        vfio::UNMAP_ALL => l::VFIO_UNMAP_ALL;
        vfio::UPDATE_VADDR => l::VFIO_UPDATE_VADDR;
        vfio::IOMMU_TYPE1_INFO_CAP_IOVA_RANGE => l::VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
        vfio::IOMMU_TYPE1_INFO_CAP_MIGRATION => l::VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION;
        vfio::IOMMU_TYPE1_INFO_DMA_AVAIL => l::VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
        vfio::DEVICE_INFO_CAP_PCI_ATOMIC_COMP => l::VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP;
        vfio::REGION_INFO_CAP_SPARSE_MMAP => l::VFIO_REGION_INFO_CAP_SPARSE_MMAP;
        vfio::REGION_INFO_CAP_TYPE => l::VFIO_REGION_INFO_CAP_TYPE;
        vfio::REGION_INFO_CAP_MSIX_MAPPABLE => l::VFIO_REGION_INFO_CAP_MSIX_MAPPABLE;
        vfio::PCI_BAR0_REGION_INDEX => l::VFIO_PCI_BAR0_REGION_INDEX;
        vfio::PCI_BAR5_REGION_INDEX => l::VFIO_PCI_BAR5_REGION_INDEX;
        vfio::PCI_ROM_REGION_INDEX => l::VFIO_PCI_ROM_REGION_INDEX;
        vfio::PCI_CONFIG_REGION_INDEX => l::VFIO_PCI_CONFIG_REGION_INDEX;
        vfio::PCI_VGA_REGION_INDEX => l::VFIO_PCI_VGA_REGION_INDEX;
        vfio::PCI_NUM_REGIONS => l::VFIO_PCI_NUM_REGIONS;
        vfio::PCI_INTX_IRQ_INDEX => l::VFIO_PCI_INTX_IRQ_INDEX;
        vfio::PCI_MSI_IRQ_INDEX => l::VFIO_PCI_MSI_IRQ_INDEX;
        vfio::PCI_MSIX_IRQ_INDEX => l::VFIO_PCI_MSIX_IRQ_INDEX;
        vfio::PCI_ERR_IRQ_INDEX => l::VFIO_PCI_ERR_IRQ_INDEX;
        vfio::PCI_REQ_IRQ_INDEX => l::VFIO_PCI_REQ_IRQ_INDEX;
        vfio::PCI_NUM_IRQS => l::VFIO_PCI_NUM_IRQS;
        vfio::PCI_DEVID_OWNED => l::VFIO_PCI_DEVID_OWNED;
        vfio::PCI_DEVID_NOT_OWNED => l::VFIO_PCI_DEVID_NOT_OWNED as u32;
        vfio::DEVICE_FEATURE_MASK => l::VFIO_DEVICE_FEATURE_MASK;
        vfio::DEVICE_FEATURE_PCI_VF_TOKEN => l::VFIO_DEVICE_FEATURE_PCI_VF_TOKEN;
        vfio::DEVICE_FEATURE_MIGRATION => l::VFIO_DEVICE_FEATURE_MIGRATION;
        vfio::DEVICE_FEATURE_MIG_DEVICE_STATE => l::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
        vfio::DEVICE_FEATURE_LOW_POWER_ENTRY => l::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY;
        vfio::DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP =>
            l::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP;
        vfio::DEVICE_FEATURE_LOW_POWER_EXIT => l::VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
        vfio::DEVICE_FEATURE_DMA_LOGGING_START => l::VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
        vfio::DEVICE_FEATURE_DMA_LOGGING_STOP => l::VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP;
        vfio::DEVICE_FEATURE_DMA_LOGGING_REPORT => l::VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
        vfio::DEVICE_FEATURE_MIG_DATA_SIZE => l::VFIO_DEVICE_FEATURE_MIG_DATA_SIZE;
        vfio::DEVICE_FEATURE_BUS_MASTER => l::VFIO_DEVICE_FEATURE_BUS_MASTER;
        vfio::DEVICE_FEATURE_DMA_BUF => l::VFIO_DEVICE_FEATURE_DMA_BUF;
        vfio::DEVICE_FEATURE_MIG_PRECOPY_INFOV2 => l::VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2;
        vfio::DEVICE_FEATURE_CLEAR_MASTER => l::VFIO_DEVICE_FEATURE_CLEAR_MASTER;
        vfio::DEVICE_FEATURE_SET_MASTER => l::VFIO_DEVICE_FEATURE_SET_MASTER;
        vfio::DEVICE_STATE_ERROR => l::vfio_device_mig_state_VFIO_DEVICE_STATE_ERROR;
        vfio::DEVICE_STATE_STOP => l::vfio_device_mig_state_VFIO_DEVICE_STATE_STOP;
        vfio::DEVICE_STATE_RUNNING => l::vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING;
        vfio::DEVICE_STATE_STOP_COPY => l::vfio_device_mig_state_VFIO_DEVICE_STATE_STOP_COPY;
        vfio::DEVICE_STATE_RESUMING => l::vfio_device_mig_state_VFIO_DEVICE_STATE_RESUMING;
        vfio::DEVICE_STATE_RUNNING_P2P => l::vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING_P2P;
        vfio::DEVICE_STATE_PRE_COPY => l::vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY;
        vfio::DEVICE_STATE_PRE_COPY_P2P => l::vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY_P2P;
    }
}
