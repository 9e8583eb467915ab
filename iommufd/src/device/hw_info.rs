//! What the IOMMU of a device is [uapi iommu_hw_info].

use super::Device;
use crate::ctx::Command;
use crate::driver::HwInfo;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::uapi::{self, HW_INFO_TYPE_DEFAULT, HwCapabilities, HwInfoFlags};

/// Bytes that are zeroed at once.
const PIECE: usize = 4096;

pub(crate) fn get_hw_info(command: &mut Command<'_, uapi::HwInfo>) -> Result<i64> {
    if !HwInfoFlags::all().contains(command.flags) || command.reserved != [0; 3] {
        return Err(Errno::EOPNOTSUPP);
    }
    let typed = command.flags.contains(HwInfoFlags::INPUT_TYPE);
    let requested = Some(command.in_data_type()).filter(|kind| typed && *kind != HW_INFO_TYPE_DEFAULT);
    let device = command.ctx.objects.get::<Device>(command.dev_id)?;
    let physical = &device.core.physical;
    let HwInfo { kind, data } = physical.driver().hw_info(physical, requested)?;
    let known = data.len().min(command.data_len as usize);
    fill(command, &data[..known])?;
    command.out_data_type = kind;
    command.data_len = u32::try_from(data.len()).map_err(|_| Errno::EOVERFLOW)?;
    let caps = physical.caps();
    command.out_max_pasid_log2 = caps.pasid_bits;
    let mut capabilities = HwCapabilities::empty();
    capabilities.set(HwCapabilities::DIRTY_TRACKING, caps.dirty_tracking);
    capabilities.set(HwCapabilities::PCI_ATS_NOT_SUPPORTED, caps.no_ats);
    command.out_capabilities = capabilities;
    command.respond()?;
    Ok(0)
}

/// Writes `data` to the caller's buffer and zeroes the rest of it.
fn fill(command: &Command<'_, uapi::HwInfo>, data: &[u8]) -> Result<()> {
    let memory = command.caller.memory;
    let bytes = u64::from(command.data_len);
    fault_point(Errno::EFAULT)?;
    if !data.is_empty() {
        memory.write(command.data_uptr, data)?;
    }
    let mut done = data.len() as u64;
    while done < bytes {
        let piece = (bytes - done).min(PIECE as u64);
        let address = command.data_uptr.checked_add(done).ok_or(Errno::EFAULT)?;
        // No more than PIECE.
        memory.write(address, &[0; PIECE][..piece as usize])?;
        done += piece;
    }
    Ok(())
}
