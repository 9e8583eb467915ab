//! From ioctl number to handler, with the rules of extensible structures [uapi iommufd.h].
//!
//! The order of the checks is part of the interface: the size first (`EFAULT`), even for a number
//! that is not used; then the number (`ENOTTY`), the least size (`EINVAL`), and bytes that this
//! version does not know (`E2BIG`).

use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Command, Ctx};
use crate::errno::{Errno, Result};
use crate::process::Caller;
use crate::uapi::{self, Command as UapiCommand};
use crate::{device, fault, hwpt, ioas, selftest, vfio, viommu};

/// Every command is `_IO(';', nr)`: no size and no direction in it.
const TYPE: u32 = (b';' as u32) << 8;

pub(super) fn ioctl(ctx: &Arc<Ctx>, caller: &Caller<'_>, command: u32, argument: u64) -> Result<i64> {
    let nr = command & 0xff;
    // Numbers outside the table are VFIO's. `IOMMU_TEST_CMD` is the last, where it exists.
    let last = if ctx.host.options.selftest { uapi::test::TestCmd::NR } else { uapi::IoasNoiommuGetPa::NR };
    if !(uapi::Destroy::NR..=last).contains(&nr) {
        return vfio::compat::ioctl(ctx, caller, command, argument);
    }
    let mut size = [0; 4];
    caller.memory.read(argument, &mut size)?;
    if command != TYPE | nr {
        return Err(Errno::ENOTTY);
    }
    let call = Call { ctx, caller, address: argument, size: u32::from_ne_bytes(size) };
    match nr {
        uapi::Destroy::NR => call.run(destroy),
        uapi::IoasAlloc::NR => call.run(ioas::alloc),
        uapi::IoasAllowIovas::NR => call.run(ioas::allow_iovas),
        uapi::IoasCopy::NR => call.run(ioas::copy),
        uapi::IoasIovaRanges::NR => call.run(ioas::iova_ranges),
        uapi::IoasMap::NR => call.run(ioas::map),
        uapi::IoasMapFile::NR => call.run(ioas::map_file),
        uapi::IoasUnmap::NR => call.run(ioas::unmap),
        uapi::IoasChangeProcess::NR => call.run(ioas::change_process),
        uapi::IommuOption::NR => call.run(ioas::option),
        uapi::VfioIoas::NR => call.run(vfio::compat::vfio_ioas),
        uapi::HwptAlloc::NR => call.run(hwpt::alloc),
        uapi::HwptInvalidate::NR => call.run(hwpt::invalidate),
        uapi::HwptSetDirtyTracking::NR => call.run(hwpt::set_dirty_tracking),
        uapi::HwptGetDirtyBitmap::NR => call.run(hwpt::get_dirty_bitmap),
        uapi::HwInfo::NR => call.run(device::get_hw_info),
        uapi::FaultAlloc::NR => call.run(fault::alloc),
        uapi::ViommuAlloc::NR => call.run(viommu::alloc),
        uapi::VdeviceAlloc::NR => call.run(viommu::vdevice_alloc),
        uapi::VeventqAlloc::NR => call.run(viommu::veventq_alloc),
        uapi::HwQueueAlloc::NR => call.run(viommu::hw_queue_alloc),
        uapi::test::TestCmd::NR if ctx.host.options.selftest => call.run(selftest::test_cmd),
        _ => Err(Errno::ENOTTY),
    }
}

struct Call<'a> {
    ctx: &'a Arc<Ctx>,
    caller: &'a Caller<'a>,
    address: u64,
    size: u32,
}

impl<'a> Call<'a> {
    fn run<T>(&self, handler: impl FnOnce(&mut Command<'a, T>) -> Result<i64>) -> Result<i64>
    where
        T: UapiCommand + FromBytes + IntoBytes + Immutable + KnownLayout,
    {
        if (self.size as usize) < T::MIN_SIZE {
            return Err(Errno::EINVAL);
        }
        handler(&mut Command::read(self.ctx, self.caller, self.address, self.size)?)
    }
}

fn destroy(command: &mut Command<'_, uapi::Destroy>) -> Result<i64> {
    command.ctx.objects.destroy(command.ctx, command.id)?;
    Ok(0)
}
