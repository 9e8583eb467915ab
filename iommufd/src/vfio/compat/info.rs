//! `VFIO_IOMMU_GET_INFO`: a structure with a chain of capabilities behind it.
//!
//! A caller with too little room learns how much it takes, and sees what fits: nothing is written
//! past the end of its buffer.

use std::mem::offset_of;
use std::sync::Arc;

use devices::addr::PAGE_SIZE;
use zerocopy::IntoBytes;

use super::{is_short, read_part, write};
use crate::ctx::Ctx;
use crate::errno::{Errno, Result};
use crate::ioas::{Contextual, Ioas};
use crate::process::Caller;
use crate::uapi::Command;
use crate::uapi::vfio::{
    IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, IOMMU_TYPE1_INFO_DMA_AVAIL, InfoCapHeader, IommuInfoFlags,
    IommuType1Info, IommuType1InfoCapIovaRange, IommuType1InfoDmaAvail, IovaRange,
};

/// Capabilities begin at multiples of it.
const ALIGNMENT: usize = size_of::<u64>();

pub(super) fn get_info(ctx: &Arc<Ctx>, caller: &Caller<'_>, address: u64) -> Result<i64> {
    let mut info = IommuType1Info::default();
    read_part(caller, address, &mut info.as_mut_bytes()[..IommuType1Info::MIN_SIZE])?;
    if is_short(info.argsz, IommuType1Info::MIN_SIZE) {
        return Err(Errno::EINVAL);
    }
    let ioas = Contextual::compat(ctx)?;
    let buffer = Buffer { caller, address, bytes: info.argsz as usize };

    let first = size_of::<IommuType1Info>();
    let available = IommuType1InfoDmaAvail { header: header(IOMMU_TYPE1_INFO_DMA_AVAIL), avail: u32::MAX };
    buffer.put(first, available.as_bytes())?;
    let second = (first + size_of_val(&available)).next_multiple_of(ALIGNMENT);
    let total = put_ranges(&ioas, &buffer, second)?;
    if buffer.bytes >= second {
        let next = first + offset_of!(InfoCapHeader, next);
        buffer.put(next, u32::try_from(second).unwrap_or(u32::MAX).as_bytes())?;
    }

    let room = (info.argsz as usize).min(size_of::<IommuType1Info>());
    info.flags = IommuInfoFlags::PGSIZES | IommuInfoFlags::CAPS;
    info.iova_pgsizes = page_sizes(&ioas);
    info.cap_offset = if buffer.bytes >= total { u32::try_from(first).unwrap_or(0) } else { 0 };
    info.argsz = u32::try_from(total).unwrap_or(u32::MAX);
    write(caller, address, &info.as_bytes()[..room])?;
    Ok(0)
}

/// Puts the usable ranges at `at` as far as they fit, and says where they end.
fn put_ranges(ioas: &Ioas, buffer: &Buffer<'_>, at: usize) -> Result<usize> {
    let (usable, _) = ioas.table.usable();
    let mut end = at + size_of::<IommuType1InfoCapIovaRange>();
    for span in &usable {
        let range = IovaRange { start: span.start, end: span.last };
        buffer.put(end, range.as_bytes())?;
        end += size_of_val(&range);
    }
    if end <= buffer.bytes {
        let ranges = IommuType1InfoCapIovaRange {
            header: header(IOMMU_TYPE1_INFO_CAP_IOVA_RANGE),
            // Reservations take memory: there cannot be 2^32.
            nr_iovas: u32::try_from(usable.len()).unwrap_or(u32::MAX),
            reserved: 0,
        };
        buffer.put(at, ranges.as_bytes())?;
    }
    Ok(end)
}

fn header(id: u16) -> InfoCapHeader {
    InfoCapHeader { id, version: 1, next: 0 }
}

/// The caller's memory for the answer.
struct Buffer<'a> {
    caller: &'a Caller<'a>,
    address: u64,
    bytes: usize,
}

impl Buffer<'_> {
    /// Writes `data` at `offset` if all of it fits.
    fn put(&self, offset: usize, data: &[u8]) -> Result<()> {
        if offset + data.len() > self.bytes {
            return Ok(());
        }
        let address = self.address.checked_add(offset as u64).ok_or(Errno::EFAULT)?;
        write(self.caller, address, data)
    }
}

/// Leaf sizes that all domains have, in VFIO's way: what is smaller than a page counts as a page.
fn page_sizes(ioas: &Ioas) -> u64 {
    let mut sizes = ioas.table.page_sizes();
    let small = PAGE_SIZE - 1;
    if sizes & small != 0 {
        sizes = sizes & !small | PAGE_SIZE;
    }
    sizes.max(ioas.table.alignment())
}
