//! The ioctls of a VFIO container, on an iommufd.

use iommufd::errno::Result;
use iommufd::uapi::vfio::{
    self, DmaMapFlags, DmaUnmapFlags, IommuType1DirtyBitmap, IommuType1DmaMap, IommuType1DmaUnmap,
    IommuType1Info,
};
use iommufd::uapi::{VFIO_IOAS_GET, VfioIoas};

use super::call::{Call, Passing};

impl Call<'_> {
    /// Those that take a value.
    pub fn vfio_value(&mut self) {
        let nr = self.draw.one(&[
            vfio::ioctl::SET_IOMMU,
            vfio::ioctl::CHECK_EXTENSION,
            vfio::ioctl::GET_API_VERSION,
            vfio::ioctl::SET_IOMMU,
            vfio::ioctl::GROUP_GET_STATUS,
            0,
            u32::MAX,
        ]);
        let value = match self.draw.bits(4) {
            15 => u64::MAX,
            14 => 1 << 32 | 1,
            few => few,
        };
        let fd = self.fd;
        let _: Result<i64> = self.world.act(
            || format!("fd {fd}: request {nr:#x} with {value:#x}"),
            |actor| actor.process.ioctl(fd, nr, value),
        );
    }

    /// What can be mapped.
    pub fn vfio_info(&mut self) {
        let argsz = self.draw.one(&[24, 112, 96, 64, 40, 16, 15, 0, 4096, u32::MAX]);
        self.size_is_said(argsz);
        let _ = self.ioctl(IommuType1Info::default());
    }

    /// Maps.
    pub fn vfio_map(&mut self) {
        let ioas = self.compatible();
        let flags = DmaMapFlags::from_bits_retain(self.draw.flags(2) ^ 3);
        let vaddr = self.draw.user_address();
        let size = self.draw.length();
        let iova = self.iova(ioas.unwrap_or(0));
        let done = self.ioctl(IommuType1DmaMap { flags, vaddr, iova, size, ..Default::default() });
        if let (Ok(_), Some(ioas), Some(known)) = (done, ioas, self.world.known(self.context)) {
            known.map(ioas, iova, size);
        }
    }

    /// Unmaps.
    pub fn vfio_unmap(&mut self) {
        let ioas = self.compatible();
        let flags = DmaUnmapFlags::from_bits_retain(self.draw.flags(2) & !1);
        let (iova, size) = match flags == DmaUnmapFlags::ALL && !self.draw.flag() {
            true => (0, 0),
            false => (self.iova(ioas.unwrap_or(0)), self.draw.length()),
        };
        let done = self.ioctl(IommuType1DmaUnmap { flags, iova, size, ..Default::default() });
        if let Some(ioas) = ioas {
            let done = done.ok().map(|(_, done)| done.size);
            match flags.contains(DmaUnmapFlags::ALL) {
                true => self.unmapped(ioas, 0, u64::MAX, None),
                false => self.unmapped(ioas, iova, size, done),
            }
        }
    }

    /// The structure without an answer that iommufd does not take.
    pub fn vfio_dirty(&mut self) {
        let _ = self.ioctl(IommuType1DirtyBitmap::default());
    }

    /// The IOAS that VFIO's ioctls act on.
    fn compatible(&mut self) -> Option<u32> {
        let (passing, armed) = (self.passing, self.world.armed);
        (self.passing, self.world.armed) = (Passing::Plain, 0);
        let found = self.ioctl(VfioIoas { op: VFIO_IOAS_GET, ..Default::default() });
        (self.passing, self.world.armed) = (passing, armed);
        found.ok().map(|(_, found)| found.ioas_id)
    }

    fn size_is_said(&mut self, argsz: u32) {
        if self.passing == Passing::Plain && argsz as usize != size_of::<IommuType1Info>() {
            self.passing = Passing::Size(argsz);
        }
    }
}
