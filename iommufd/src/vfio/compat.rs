//! VFIO type1 ioctls on an iommufd [kernel: vfio_compat.c].
//!
//! They act on one IOAS of the context, which `IOMMU_VFIO_IOAS` names or attaching a VFIO container
//! makes. Type 1 may unmap parts of mappings: it forbids large leaves, and unmapping cuts.

mod info;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use zerocopy::{FromBytes, IntoBytes};

use crate::ctx::{Command, Ctx};
use crate::driver::Protection;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::io_pagetable::{At, Unmapped};
use crate::ioas::{self, Contextual, Ioas};
use crate::process::Caller;
use crate::span::Span;
use crate::uapi;
use crate::uapi::vfio::{self, DmaMapFlags, DmaUnmapFlags, IommuType1DmaMap, IommuType1DmaUnmap};

pub(crate) fn ioctl(ctx: &Arc<Ctx>, caller: &Caller<'_>, command: u32, argument: u64) -> Result<i64> {
    match command {
        vfio::ioctl::GET_API_VERSION => Ok(i64::from(vfio::API_VERSION)),
        vfio::ioctl::CHECK_EXTENSION => check_extension(ctx, argument),
        vfio::ioctl::SET_IOMMU => set_iommu(ctx, argument),
        vfio::ioctl::IOMMU_GET_INFO => info::get_info(ctx, caller, argument),
        vfio::ioctl::IOMMU_MAP_DMA => map_dma(ctx, caller, argument),
        vfio::ioctl::IOMMU_UNMAP_DMA => unmap_dma(ctx, caller, argument),
        // VFIO_IOMMU_DIRTY_PAGES among them: iommufd tracks by HWPT.
        _ => Err(Errno::ENOTTY),
    }
}

pub(crate) fn vfio_ioas(command: &mut Command<'_, uapi::VfioIoas>) -> Result<i64> {
    if command.reserved != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    match command.op {
        uapi::VFIO_IOAS_GET => {
            command.ioas_id = Contextual::compat(command.ctx)?.id();
            command.respond()?;
        }
        uapi::VFIO_IOAS_SET => {
            let ioas = command.ctx.objects.get::<Ioas>(command.ioas_id)?;
            command.ctx.ioas.set_compat(Some(&ioas));
        }
        uapi::VFIO_IOAS_CLEAR => command.ctx.ioas.set_compat(None),
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(0)
}

fn check_extension(ctx: &Arc<Ctx>, extension: u64) -> Result<i64> {
    match u32::try_from(extension) {
        Ok(vfio::TYPE1_IOMMU | vfio::TYPE1V2_IOMMU | vfio::UNMAP_ALL) => Ok(1),
        Ok(vfio::DMA_CC_IOMMU) => {
            let ioas = Contextual::compat(ctx)?;
            Ok(i64::from(ioas.enforces_cache_coherency()))
        }
        // Devices without an IOMMU, nesting by VFIO and new addresses for old mappings among them.
        _ => Ok(0),
    }
}

fn set_iommu(ctx: &Arc<Ctx>, kind: u64) -> Result<i64> {
    let kind = u32::try_from(kind).map_err(|_| Errno::EINVAL)?;
    if kind != vfio::TYPE1_IOMMU && kind != vfio::TYPE1V2_IOMMU {
        return Err(Errno::EINVAL);
    }
    let ioas = Contextual::compat(ctx)?;
    if kind == vfio::TYPE1_IOMMU {
        ioas.table.set_large_leaves(false)?;
    }
    Ok(0)
}

fn map_dma(ctx: &Arc<Ctx>, caller: &Caller<'_>, address: u64) -> Result<i64> {
    let map: IommuType1DmaMap = read(caller, address)?;
    let known = DmaMapFlags::READ | DmaMapFlags::WRITE;
    if is_short(map.argsz, size_of::<IommuType1DmaMap>()) || !known.contains(map.flags) {
        return Err(Errno::EINVAL);
    }
    let mut protection = Protection::CACHE;
    protection.set(Protection::READ, map.flags.contains(DmaMapFlags::READ));
    protection.set(Protection::WRITE, map.flags.contains(DmaMapFlags::WRITE));
    let ioas = Contextual::compat(ctx)?;
    ioas::map_user(ctx, caller, &ioas, At::Fixed(map.iova), map.vaddr, map.size, protection)?;
    Ok(0)
}

fn unmap_dma(ctx: &Arc<Ctx>, caller: &Caller<'_>, address: u64) -> Result<i64> {
    let mut unmap: IommuType1DmaUnmap = read(caller, address)?;
    if is_short(unmap.argsz, size_of::<IommuType1DmaUnmap>()) || !DmaUnmapFlags::ALL.contains(unmap.flags) {
        return Err(Errno::EINVAL);
    }
    let ioas = Contextual::compat(ctx)?;
    let unmapped = if unmap.flags.contains(DmaUnmapFlags::ALL) {
        if unmap.iova != 0 || unmap.size != 0 {
            return Err(Errno::EINVAL);
        }
        ioas.table.unmap(Span::ALL)
    } else {
        if !ioas.table.large_leaves() {
            cut(&ioas, &unmap)?;
        }
        match Span::sized(unmap.iova, unmap.size) {
            Ok(span) => ioas.table.unmap(span),
            Err(errno) => Unmapped { bytes: 0, result: Err(errno) },
        }
    };
    // The caller learns how far it came, also where it failed.
    unmap.size = unmapped.bytes;
    write(caller, address, unmap.as_bytes())?;
    unmapped.result.map(|()| 0)
}

/// Makes seams at both ends of the range.
fn cut(ioas: &Ioas, unmap: &IommuType1DmaUnmap) -> Result<()> {
    let last = unmap.iova.wrapping_add(unmap.size).wrapping_sub(1);
    match unmap.iova.checked_sub(1) {
        Some(before) => ioas.table.cut(&[last, before]),
        None => ioas.table.cut(&[last]),
    }
}

fn is_short(argsz: u32, bytes: usize) -> bool {
    (argsz as usize) < bytes
}

fn read<T: FromBytes + IntoBytes>(caller: &Caller<'_>, address: u64) -> Result<T> {
    let mut value = T::new_zeroed();
    let bytes = value.as_mut_bytes();
    read_part(caller, address, bytes)?;
    Ok(value)
}

fn read_part(caller: &Caller<'_>, address: u64, bytes: &mut [u8]) -> Result<()> {
    fault_point(Errno::EFAULT)?;
    caller.memory.read(address, bytes)
}

fn write(caller: &Caller<'_>, address: u64, bytes: &[u8]) -> Result<()> {
    fault_point(Errno::EFAULT)?;
    caller.memory.write(address, bytes)
}
