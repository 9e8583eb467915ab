//! `IOMMU_OPTION`.

use super::Ioas;
use crate::ctx::Command;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::process::Capabilities;
use crate::uapi::{IommuOption, OPTION_HUGE_PAGES, OPTION_OP_GET, OPTION_OP_SET, OPTION_RLIMIT_MODE};

/// Whether an option is asked for or set; its values are 0 and 1.
enum Op {
    Get,
    Set(u64),
}

pub(crate) fn option(command: &mut Command<'_, IommuOption>) -> Result<i64> {
    if command.reserved != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let value = match command.option_id {
        OPTION_RLIMIT_MODE => rlimit_mode(command)?,
        OPTION_HUGE_PAGES => huge_pages(command)?,
        _ => return Err(Errno::EOPNOTSUPP),
    };
    if let Some(value) = value {
        command.val64 = u64::from(value);
    }
    // Only the value is written back, whatever the size of the caller's structure.
    fault_point(Errno::EFAULT)?;
    let offset = std::mem::offset_of!(IommuOption, val64) as u64;
    let address = command.address().checked_add(offset).ok_or(Errno::EFAULT)?;
    command.caller.memory.write(address, &command.val64.to_ne_bytes())?;
    Ok(0)
}

fn op(command: &IommuOption) -> Result<Op> {
    match command.op {
        OPTION_OP_GET => Ok(Op::Get),
        OPTION_OP_SET => Ok(Op::Set(command.val64)),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

fn flag(value: u64) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::EINVAL),
    }
}

fn rlimit_mode(command: &Command<'_, IommuOption>) -> Result<Option<bool>> {
    if command.object_id != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    match op(command)? {
        Op::Get => Ok(Some(command.ctx.ioas.by_mm())),
        Op::Set(value) => {
            if !command.caller.credentials.capabilities.contains(Capabilities::SYS_RESOURCE) {
                return Err(Errno::EPERM);
            }
            command.ctx.objects.if_unused(|| {
                command.ctx.ioas.set_by_mm(flag(value)?);
                Ok(())
            })?;
            Ok(None)
        }
    }
}

fn huge_pages(command: &Command<'_, IommuOption>) -> Result<Option<bool>> {
    let ioas = command.ctx.objects.get::<Ioas>(command.object_id)?;
    match op(command)? {
        Op::Get => Ok(Some(ioas.table.large_leaves())),
        Op::Set(value) => {
            ioas.table.set_large_leaves(flag(value)?)?;
            Ok(None)
        }
    }
}
