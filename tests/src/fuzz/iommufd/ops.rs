//! The operations of `IOMMU_TEST_CMD`, on devices, accesses and page tables.

use iommufd::uapi::test::*;
use zerocopy::IntoBytes;

use super::call::Call;
use super::known::Kind;
use super::world::What;
use crate::simulated::PAGE;

/// How many there are.
pub const COUNT: u8 = 23;

impl Call<'_> {
    /// The operation `nr` of [`COUNT`].
    pub fn operation(&mut self, nr: u8) {
        match nr {
            0 => self.add_reserved(),
            1 => self.mock_domain(),
            2 => self.mock_domain_flags(),
            3 => self.mock_domain_replace(),
            4 => self.check_map(),
            5 => self.check_refs(),
            6 => self.create_access(),
            7 => self.destroy_access_pages(),
            8 => self.access_pages(),
            9 => self.access_rw(),
            10 => {
                let limit = self.draw.one(&[65536, 32, 12, 11, 0, u32::MAX]);
                let _ = self.test(0, MemoryLimit { limit });
            }
            11 => {
                let access = self.access();
                let ioas_id = self.id(Kind::Ioas);
                let _ = self.test(access, AccessReplaceIoas { ioas_id });
            }
            12 => self.dirty(),
            13 => {
                let id = self.id(Kind::Nested);
                let entry = self.draw.bits(3) as u32;
                let _ = self.test(id, CheckIotlb { id: entry, iotlb: TEST_IOTLB_DEFAULT });
            }
            14 => self.trigger_iopf(),
            15 => {
                let id = self.id(Kind::Device);
                let entry = self.draw.bits(3) as u32;
                let _ = self.test(id, CheckDevCache { id: entry, cache: TEST_DEV_CACHE_DEFAULT });
            }
            16 => {
                let dev_id = self.id(Kind::Device);
                let _ = self.test(0, TriggerVevent { dev_id });
            }
            17..=20 => self.pasid(nr),
            21 => self.dmabuf_get(),
            _ => {
                let dmabuf_fd = self.world.descriptor(&mut self.draw, What::DmaBuf);
                let revoked = self.draw.bits(1) as u32 ^ 1;
                let _ = self.test(0, DmabufRevoke { dmabuf_fd, revoked });
            }
        }
    }

    fn add_reserved(&mut self) {
        let ioas = self.id(Kind::Ioas);
        let (start, length) = (self.iova(ioas), self.draw.length());
        let _ = self.test(ioas, AddReserved { start, length });
    }

    fn mock_domain(&mut self) {
        let pt_id = self.page_table();
        if let Ok((_, done)) = self.test(pt_id, MockDomain::default()) {
            self.mock_device(pt_id, done.out_stdev_id, done.out_hwpt_id, done.out_idev_id);
        }
    }

    fn mock_domain_flags(&mut self) {
        let pt_id = self.page_table();
        let dev_flags = MockDeviceFlags::from_bits_retain(self.draw.flags(3) ^ 4);
        if let Ok((_, done)) = self.test(pt_id, MockDomainFlags { dev_flags, ..Default::default() }) {
            self.mock_device(pt_id, done.out_stdev_id, done.out_hwpt_id, done.out_idev_id);
        }
    }

    fn mock_device(&mut self, pt_id: u32, mock: u32, hwpt: u32, device: u32) {
        self.made(mock, Kind::Mock);
        self.made(device, Kind::Device);
        self.attached(hwpt, pt_id);
    }

    fn attached(&mut self, hwpt: u32, pt_id: u32) {
        if let Some(known) = self.world.known(self.context) {
            known.attached(hwpt, pt_id);
        }
    }

    fn mock_domain_replace(&mut self) {
        let mock = self.id(Kind::Mock);
        let pt_id = self.page_table();
        if let Ok((_, done)) = self.test(mock, MockDomainReplace { pt_id }) {
            self.attached(done.pt_id, pt_id);
        }
    }

    fn check_map(&mut self) {
        let hwpt = self.id(Kind::Paging);
        let ioas = self.world.known(self.context).and_then(|known| known.ioas_of(hwpt)).unwrap_or(0);
        let (iova, length, uptr) = (self.iova(ioas), self.draw.length(), self.draw.user_address());
        let _ = self.test(hwpt, CheckMap { iova, length, uptr });
    }

    fn check_refs(&mut self) {
        let (uptr, length) = (self.draw.user_address(), self.draw.length());
        let refs = self.draw.bits(2) as u32;
        let _ = self.test(0, CheckRefs { length, uptr, refs, padding: 0 });
    }

    /// An access, which is a descriptor.
    fn access(&mut self) -> u32 {
        // As a C program passes it: -1 is u32::MAX.
        self.world.descriptor(&mut self.draw, What::Access) as u32
    }

    fn create_access(&mut self) {
        let ioas = self.id(Kind::Ioas);
        let flags = CreateAccessFlags::from_bits_retain(self.draw.flags(1) ^ 1);
        if let Ok((_, done)) = self.test(ioas, CreateAccess { flags, ..Default::default() }) {
            self.opened(done.out_access_fd, What::Access);
        }
    }

    fn destroy_access_pages(&mut self) {
        let access = self.access();
        let access_pages_id = match self.draw.bits(4) {
            15 => u32::MAX,
            few => few as u32,
        };
        let _ = self.test(access, DestroyAccessPages { access_pages_id });
    }

    fn access_pages(&mut self) {
        let access = self.access();
        let ioas = self.id(Kind::Ioas);
        let flags = AccessPagesFlags::from_bits_retain(self.draw.flags(1));
        let iova = self.iova(ioas);
        let length = self.draw.length();
        let uptr = if self.draw.flag() { self.draw.user_address() } else { 0 };
        let _ = self.test(access, AccessPages { flags, iova, length, uptr, ..Default::default() });
    }

    fn access_rw(&mut self) {
        let access = self.access();
        let ioas = self.id(Kind::Ioas);
        let (write, slow, counted) = (self.draw.flag(), self.draw.flag(), self.draw.bits(3) == 7);
        let mut flags = AccessRwFlags::from_bits_retain(self.rarely(1 << 7));
        flags.set(AccessRwFlags::WRITE, write);
        flags.set(AccessRwFlags::SLOW_PATH, slow);
        flags.set(AccessRwFlags::SYZ, counted);
        let iova = if counted { self.draw.bits(2) | self.draw.bits(14) << 32 } else { self.iova(ioas) };
        let iova = iova.wrapping_add(self.draw.one(&[0, 0, 1, 7, PAGE - 3]));
        let length = self.draw.length();
        let uptr = self.draw.user_address();
        let _ = self.test(access, AccessRw { iova, length, uptr, flags, padding: 0 });
    }

    fn dirty(&mut self) {
        let hwpt = self.id(Kind::Paging);
        let ioas = self.world.known(self.context).and_then(|known| known.ioas_of(hwpt)).unwrap_or(0);
        let flags = self.rarely(1);
        let (iova, length) = (self.iova(ioas), self.draw.length());
        let page_size = self.draw.one(&[2048, 4096, 2048, 1, 0, 3, 1 << 63, u64::MAX]);
        let bitmap = self.draw.bits(16);
        self.world.actor().place([bitmap; 8].as_bytes());
        let uptr = self.draw.pointer();
        let _ = self.test(hwpt, Dirty { flags, iova, length, page_size, uptr, ..Default::default() });
    }

    fn trigger_iopf(&mut self) {
        let dev_id = self.id(Kind::Device);
        let pasid = self.pasid_number();
        let (grpid, perm) = (self.draw.bits(4) as u32, self.draw.bits(5) as u32);
        let addr = self.draw.bits(20) << 12;
        let _ = self.test(0, TriggerIopf { dev_id, pasid, grpid, perm, addr });
    }

    fn pasid_number(&mut self) -> u32 {
        self.draw.one(&[0, 1, 2, TEST_PASID_RESERVED, 1, 1 << 20, (1 << 20) - 1, u32::MAX])
    }

    fn pasid(&mut self, nr: u8) {
        let mock = self.id(Kind::Mock);
        let pasid = self.pasid_number();
        let pt_id = self.page_table();
        let _ = match nr {
            17 => self.test(mock, PasidAttach { pasid, pt_id }).map(|(value, _)| value),
            18 => self.test(mock, PasidReplace { pasid, pt_id }).map(|(value, _)| value),
            19 => self.test(mock, PasidDetach { pasid }).map(|(value, _)| value),
            _ => self.test(mock, PasidCheck { pasid, hwpt_id: pt_id }).map(|(value, _)| value),
        };
    }

    fn dmabuf_get(&mut self) {
        // The size in bytes is 32 bits wide, and never so great that one is lost.
        let length = self.draw.length().min(u64::from(u32::MAX)) as u32;
        self.world.dma_bufs = true;
        if let Ok((fd, _)) = self.test(0, DmabufGet { length, open_flags: 0 }) {
            self.opened(fd as u32, What::DmaBuf);
        }
    }
}
