//! `IOMMU_HWPT_INVALIDATE`.

use super::nested::HwptNested;
use crate::ctx::Command;
use crate::errno::{Errno, Result};
use crate::uapi;
use crate::user_data::UserArray;
use crate::viommu::Viommu;

/// Most entries of a call.
const ENTRIES: u32 = 1 << 19;
/// Largest entry, bytes.
const ENTRY_BYTES: u32 = 4096;

pub(crate) fn invalidate(command: &mut Command<'_, uapi::HwptInvalidate>) -> Result<i64> {
    let kind = command.data_type;
    let (address, entry_bytes, count) = (command.data_uptr, command.entry_len, command.entry_num);
    let mut entries = UserArray::new(command.caller, kind, address, entry_bytes, count);
    let result = execute(command, &mut entries);
    // Whatever came of it, the caller learns how far it went.
    command.entry_num = entries.executed();
    command.respond().map_err(|_| Errno::EFAULT)?;
    result.map(|()| 0)
}

fn execute(command: &Command<'_, uapi::HwptInvalidate>, entries: &mut UserArray<'_>) -> Result<()> {
    if command.reserved != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let sound = command.data_uptr != 0
        && (1..=ENTRY_BYTES).contains(&command.entry_len)
        && command.entry_num <= ENTRIES;
    if command.entry_num != 0 && !sound {
        return Err(Errno::EINVAL);
    }
    let object = command.ctx.objects.get_any(command.hwpt_id)?;
    match object.downcast::<HwptNested>() {
        Ok(hwpt) => hwpt.domain.invalidate(entries),
        Err(other) => {
            let viommu = other.downcast::<Viommu>().map_err(|_| Errno::EINVAL)?;
            viommu.core.driver.invalidate(entries)
        }
    }
}
