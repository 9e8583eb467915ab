//! The ioctls of iommufd, with arguments that are mostly what they should be.

use iommufd::uapi::test::{
    HW_QUEUE_TYPE_SELFTEST, HWPT_DATA_SELFTEST, HWPT_INVALIDATE_DATA_SELFTEST, VEVENTQ_TYPE_SELFTEST,
    VIOMMU_TYPE_SELFTEST,
};
use iommufd::uapi::*;
use zerocopy::IntoBytes;

use super::call::Call;
use super::check;
use super::draw::FILE;
use super::known::Kind;
use super::world::What;
use crate::simulated::PAGE;

/// How many there are.
pub const COUNT: u8 = 21;

impl Call<'_> {
    /// The ioctl `nr` of [`COUNT`].
    pub fn iommufd(&mut self, nr: u8) {
        match nr {
            0 => self.destroy(),
            1 => self.ioas_alloc(),
            2 => self.allow_iovas(),
            3 => self.copy(),
            4 => self.iova_ranges(),
            5 => self.map(),
            6 => self.map_file(),
            7 => self.unmap(),
            8 => self.option(),
            9 => self.vfio_ioas(),
            10 => self.hwpt_alloc(),
            11 => self.hw_info(),
            12 => self.set_dirty_tracking(),
            13 => self.get_dirty_bitmap(),
            14 => self.invalidate(),
            15 => self.fault_alloc(),
            16 => self.viommu_alloc(),
            17 => self.vdevice_alloc(),
            18 => self.veventq_alloc(),
            19 => self.hw_queue_alloc(),
            _ => {
                let reserved = self.rarely(1);
                let _ = self.ioctl(IoasChangeProcess { reserved, ..Default::default() });
            }
        }
    }

    /// An object id, drawn.
    pub(super) fn id(&mut self, kind: Kind) -> u32 {
        self.world.id(&mut self.draw, self.context, kind)
    }

    /// 0, but one time of eight `value`.
    pub(super) fn rarely(&mut self, value: u32) -> u32 {
        if self.draw.bits(3) == 7 { value } else { 0 }
    }

    /// An IOVA of an IOAS, drawn.
    pub(super) fn iova(&mut self, ioas: u32) -> u64 {
        let known = self.world.iovas(self.context, ioas);
        self.draw.iova(&known)
    }

    /// Something that a device can be attached to.
    pub(super) fn page_table(&mut self) -> u32 {
        let kind = self.draw.one(&[Kind::Ioas, Kind::Paging, Kind::Nested, Kind::Ioas]);
        self.id(kind)
    }

    /// Notes a new object.
    pub(super) fn made(&mut self, id: u32, kind: Kind) {
        if let Some(known) = self.world.known(self.context) {
            known.add(id, kind);
        }
    }

    /// Notes a new file.
    pub(super) fn opened(&mut self, fd: u32, what: What) {
        self.world.actor().opened(Ok(fd as i32), what);
    }

    fn destroy(&mut self) {
        let kinds = [
            Kind::Ioas,
            Kind::Paging,
            Kind::Nested,
            Kind::Mock,
            Kind::Device,
            Kind::Faults,
            Kind::Viommu,
            Kind::Vdevice,
            Kind::Events,
            Kind::HwQueue,
            Kind::Mock,
            Kind::Paging,
        ];
        let kind = self.draw.one(&kinds);
        let id = self.id(kind);
        if self.ioctl(Destroy { id, ..Default::default() }).is_ok()
            && let Some(known) = self.world.known(self.context)
        {
            known.gone(id);
        }
    }

    fn ioas_alloc(&mut self) {
        let flags = self.rarely(1);
        if let Ok((_, done)) = self.ioctl(IoasAlloc { flags, ..Default::default() }) {
            self.made(done.out_ioas_id, Kind::Ioas);
        }
    }

    fn allow_iovas(&mut self) {
        let ioas_id = self.id(Kind::Ioas);
        let num_iovas = self.draw.one(&[0, 1, 2, 3, 1, 2, 300, u32::MAX]);
        let mut ranges = Vec::new();
        for _ in 0..num_iovas.min(3) {
            let start = self.iova(ioas_id);
            ranges.push(IovaRange { start, last: start.wrapping_add(self.draw.length()).wrapping_sub(1) });
        }
        self.world.actor().place(ranges.as_bytes());
        let allowed_iovas = self.draw.pointer();
        let reserved = self.rarely(1);
        let _ =
            self.ioctl(IoasAllowIovas { ioas_id, num_iovas, reserved, allowed_iovas, ..Default::default() });
    }

    fn copy(&mut self) {
        let (src_ioas_id, dst_ioas_id) = (self.id(Kind::Ioas), self.id(Kind::Ioas));
        let flags = IoasMapFlags::from_bits_retain(self.draw.flags(3) ^ 7);
        let src_iova = self.iova(src_ioas_id);
        let length = self.draw.length();
        let dst_iova = self.iova(dst_ioas_id);
        let copy =
            IoasCopy { flags, src_ioas_id, dst_ioas_id, length, src_iova, dst_iova, ..Default::default() };
        if let Ok((_, done)) = self.ioctl(copy) {
            self.mapped(dst_ioas_id, done.dst_iova, length);
        }
    }

    fn iova_ranges(&mut self) {
        let ioas_id = self.id(Kind::Ioas);
        let num_iovas = self.draw.one(&[0, 1, 2, 16, 600, u32::MAX]);
        let allowed_iovas = self.draw.pointer();
        let reserved = self.rarely(1);
        let _ =
            self.ioctl(IoasIovaRanges { ioas_id, num_iovas, allowed_iovas, reserved, ..Default::default() });
    }

    fn mapped(&mut self, ioas: u32, iova: u64, bytes: u64) {
        if let Some(known) = self.world.known(self.context) {
            known.map(ioas, iova, bytes);
        }
    }

    fn map(&mut self) {
        let ioas_id = self.id(Kind::Ioas);
        let verify = self.draw.flag();
        let flags = IoasMapFlags::from_bits_retain(self.draw.flags(3) ^ 7);
        let user_va = self.draw.user_address();
        let length = self.draw.length();
        let iova = self.iova(ioas_id);
        let reserved = self.rarely(1);
        let map = IoasMap { flags, ioas_id, reserved, user_va, length, iova, ..Default::default() };
        if let Ok((_, done)) = self.ioctl(map) {
            self.mapped(ioas_id, done.iova, length);
            if verify {
                check::fresh(self.world, self.context, ioas_id, done.iova, user_va, length);
            }
        }
    }

    fn map_file(&mut self) {
        let ioas_id = self.id(Kind::Ioas);
        let flags = IoasMapFlags::from_bits_retain(self.draw.flags(3) ^ 7);
        let what = self.draw.one(&[What::MemFd, What::MemFd, What::DmaBuf, What::Access]);
        let fd = self.world.descriptor(&mut self.draw, what);
        let start = self.draw.bits(5) * PAGE / 2;
        let start = if start > 14 * PAGE { FILE.pages * PAGE - start } else { start };
        let length = self.draw.length();
        let iova = self.iova(ioas_id);
        let map = IoasMapFile { flags, ioas_id, fd, start, length, iova, ..Default::default() };
        if let Ok((_, done)) = self.ioctl(map) {
            self.mapped(ioas_id, done.iova, length);
        }
    }

    fn unmap(&mut self) {
        let ioas_id = self.id(Kind::Ioas);
        let (iova, length) = match self.draw.bits(2) {
            3 => (0, u64::MAX),
            _ => (self.iova(ioas_id), self.draw.length()),
        };
        let result = self.ioctl(IoasUnmap { ioas_id, iova, length, ..Default::default() });
        self.unmapped(ioas_id, iova, length, result.ok().map(|(_, done)| done.length));
    }

    /// Notes that a range was to be unmapped, and how many bytes were where all were.
    pub(super) fn unmapped(&mut self, ioas: u32, iova: u64, length: u64, done: Option<u64>) {
        let last = if length == u64::MAX { u64::MAX } else { iova.wrapping_add(length).wrapping_sub(1) };
        let Some(span) = iommufd::span::Span::new(iova, last) else { return };
        let Some(known) = self.world.known(self.context) else { return };
        let bytes = known.unmap(ioas, span);
        if let Some(done) = done {
            assert!(done >= bytes, "unmapped {done:#x} bytes of {bytes:#x} at {span:x?}");
        }
    }

    fn option(&mut self) {
        let option_id = self.draw.one(&[OPTION_HUGE_PAGES, OPTION_RLIMIT_MODE, 2]);
        let op = self.draw.one(&[OPTION_OP_SET, OPTION_OP_GET, OPTION_OP_SET, 2]);
        let val64 = self.draw.one(&[0, 1, 0, 1, 2, u64::MAX]);
        let object_id = if self.draw.flag() { self.id(Kind::Ioas) } else { 0 };
        let reserved = self.rarely(1) as u16;
        let _ = self.ioctl(IommuOption { option_id, op, reserved, object_id, val64, ..Default::default() });
    }

    fn vfio_ioas(&mut self) {
        let op = self.draw.one(&[VFIO_IOAS_SET, VFIO_IOAS_GET, VFIO_IOAS_CLEAR, 3]);
        let ioas_id = self.id(Kind::Ioas);
        let reserved = self.rarely(1) as u16;
        let _ = self.ioctl(VfioIoas { ioas_id, op, reserved, ..Default::default() });
    }

    fn hwpt_alloc(&mut self) {
        let dev_id = self.id(Kind::Device);
        let parent = self.draw.one(&[Kind::Ioas, Kind::Paging, Kind::Viommu, Kind::Ioas]);
        let pt_id = self.id(parent);
        let flags = HwptAllocFlags::from_bits_retain(self.draw.flags(4));
        let fault_id = if flags.contains(HwptAllocFlags::FAULT_ID_VALID) { self.id(Kind::Faults) } else { 0 };
        let with_data = (parent != Kind::Ioas) ^ (self.draw.bits(3) == 7);
        let data_type = self.rarely(HWPT_DATA_VTD_S1 ^ HWPT_DATA_SELFTEST) ^ HWPT_DATA_SELFTEST;
        let data_len = self.draw.one(&[8, 8, 8, 8, 4, 8, 3, 9, 0, 24, u32::MAX, 8]);
        // The kind of page table is rarely none that there is.
        let pagetable_type = self.draw.one(&[0, 0, 1, 0, 1, 2]);
        self.world.actor().place([0x0bad_beef_u32, pagetable_type].as_bytes());
        let data_uptr = self.draw.pointer();
        let mut alloc = HwptAlloc { flags, dev_id, pt_id, fault_id, ..Default::default() };
        if with_data {
            alloc = HwptAlloc { data_type, data_len, data_uptr, ..alloc };
        }
        alloc.reserved = self.rarely(1);
        let Ok((_, done)) = self.ioctl(alloc) else { return };
        let Some(known) = self.world.known(self.context) else { return };
        match (parent, known.ioas_of(pt_id)) {
            (Kind::Ioas, Some(ioas)) if ioas == pt_id => known.add_paging(done.out_hwpt_id, ioas),
            _ => known.add(done.out_hwpt_id, Kind::Nested),
        }
    }

    fn hw_info(&mut self) {
        let dev_id = self.id(Kind::Device);
        let flags = HwInfoFlags::from_bits_retain(self.draw.flags(1));
        let out_data_type = self.draw.one(&[0, test::HW_INFO_TYPE_SELFTEST, 1]);
        let data_len = self.draw.one(&[8, 0, 4, 9, 100, 9000, u32::MAX]);
        let data_uptr = self.draw.pointer();
        let _ =
            self.ioctl(HwInfo { flags, dev_id, data_len, data_uptr, out_data_type, ..Default::default() });
    }

    fn set_dirty_tracking(&mut self) {
        let hwpt_id = self.id(Kind::Paging);
        let flags = HwptSetDirtyTrackingFlags::from_bits_retain(self.draw.flags(1) ^ 1);
        let reserved = self.rarely(1);
        let _ = self.ioctl(HwptSetDirtyTracking { flags, hwpt_id, reserved, ..Default::default() });
    }

    fn get_dirty_bitmap(&mut self) {
        let hwpt_id = self.id(Kind::Paging);
        let ioas = self.world.known(self.context).and_then(|known| known.ioas_of(hwpt_id)).unwrap_or(0);
        let flags = HwptGetDirtyBitmapFlags::from_bits_retain(self.draw.flags(1));
        let iova = self.iova(ioas);
        let length = self.draw.length();
        let page_size = self.draw.one(&[2048, 4096, 4096, 1, 2 << 20, 0, 3, 1 << 63, u64::MAX]);
        let data = self.draw.pointer();
        let reserved = self.rarely(1);
        let get = HwptGetDirtyBitmap {
            hwpt_id,
            flags,
            reserved,
            iova,
            length,
            page_size,
            data,
            ..Default::default()
        };
        let _ = self.ioctl(get);
    }

    fn invalidate(&mut self) {
        let kind = self.draw.one(&[Kind::Nested, Kind::Viommu, Kind::Paging]);
        let hwpt_id = self.id(kind);
        let data_type = self.rarely(HWPT_INVALIDATE_DATA_SELFTEST) ^ HWPT_INVALIDATE_DATA_SELFTEST;
        let natural = if kind == Kind::Viommu { 12 } else { 8 };
        let entry_len = self.draw.one(&[natural, natural, natural, natural, 1, 13, 0, 4096, 4097, u32::MAX]);
        let entry_num = self.draw.one(&[1, 2, 3, 1, 0, 600, 1 << 19, (1 << 19) + 1, u32::MAX]);
        // Entries of words that are small: flags, a vDEVICE's number, a place in a cache.
        let words: [u32; 12] = std::array::from_fn(|_| self.draw.bits(2) as u32);
        self.world.actor().place(words.as_bytes());
        let data_uptr = self.draw.pointer();
        let reserved = self.rarely(1);
        let invalidate = HwptInvalidate {
            hwpt_id,
            data_uptr,
            data_type,
            entry_len,
            entry_num,
            reserved,
            ..Default::default()
        };
        let _ = self.ioctl(invalidate);
    }

    fn fault_alloc(&mut self) {
        let flags = self.rarely(1);
        if let Ok((_, done)) = self.ioctl(FaultAlloc { flags, ..Default::default() }) {
            self.made(done.out_fault_id, Kind::Faults);
            self.opened(done.out_fault_fd, What::Faults);
        }
    }

    fn viommu_alloc(&mut self) {
        let (dev_id, hwpt_id) = (self.id(Kind::Device), self.id(Kind::Paging));
        let type_ = self.rarely(VIOMMU_TYPE_SELFTEST) ^ VIOMMU_TYPE_SELFTEST;
        let flags = self.rarely(1);
        let data_len = self.draw.one(&[24, 0, 8, 23, 25, 24, 4, u32::MAX]);
        self.world.actor().place(&[0; 32]);
        let data_uptr = if data_len == 0 { 0 } else { self.draw.pointer() };
        let alloc = ViommuAlloc { flags, type_, dev_id, hwpt_id, data_len, data_uptr, ..Default::default() };
        let Ok((_, done)) = self.ioctl(alloc) else { return };
        self.made(done.out_viommu_id, Kind::Viommu);
        if data_len >= 24 {
            let mut data = test::ViommuSelftest::default();
            let memory = self.world.actor().process.memory.clone();
            let read = iommufd::process::UserMemory::read(&*memory, data_uptr, data.as_mut_bytes());
            if let (Ok(()), Some(known)) = (read, self.world.known(self.context)) {
                known.windows.push((data.out_mmap_offset, data.out_mmap_length));
            }
        }
    }

    fn vdevice_alloc(&mut self) {
        let (viommu_id, dev_id) = (self.id(Kind::Viommu), self.id(Kind::Device));
        let virt_id = self.draw.one(&[1, 2, 0, 3, 1 << 32, u64::MAX]);
        let alloc = VdeviceAlloc { viommu_id, dev_id, virt_id, ..Default::default() };
        if let Ok((_, done)) = self.ioctl(alloc) {
            self.made(done.out_vdevice_id, Kind::Vdevice);
        }
    }

    fn veventq_alloc(&mut self) {
        let viommu_id = self.id(Kind::Viommu);
        let type_ = self.rarely(VEVENTQ_TYPE_SELFTEST) ^ VEVENTQ_TYPE_SELFTEST;
        let veventq_depth = self.draw.one(&[1, 2, 3, 0, 1 << 19, (1 << 19) + 1, u32::MAX]);
        let (flags, reserved) = (self.rarely(1), self.rarely(1));
        let alloc = VeventqAlloc { flags, viommu_id, type_, veventq_depth, reserved, ..Default::default() };
        if let Ok((_, done)) = self.ioctl(alloc) {
            self.made(done.out_veventq_id, Kind::Events);
            self.opened(done.out_veventq_fd, What::Events);
        }
    }

    fn hw_queue_alloc(&mut self) {
        let viommu_id = self.id(Kind::Viommu);
        let type_ = self.rarely(HW_QUEUE_TYPE_SELFTEST) ^ HW_QUEUE_TYPE_SELFTEST;
        let index = self.draw.one(&[0, 1, 0, 1, 2, u32::MAX]);
        let ioas = self.id(Kind::Ioas);
        let nesting_parent_iova = self.iova(ioas);
        let length = self.draw.length();
        let flags = self.rarely(1);
        let alloc = HwQueueAlloc {
            flags,
            viommu_id,
            type_,
            index,
            nesting_parent_iova,
            length,
            ..Default::default()
        };
        if let Ok((_, done)) = self.ioctl(alloc) {
            self.made(done.out_hw_queue_id, Kind::HwQueue);
        }
    }
}
