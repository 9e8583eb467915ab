//! `IOMMU_TEST_CMD`: what the kernel's own tests drive the mock IOMMU with [kernel: selftest.c].
//!
//! Each operation does what the kernel's does and refuses what that refuses, in the same order; where
//! the kernel compares page frames, this compares places in [`crate::frames`].

mod access;
mod check;
mod device;
mod dirty;
mod dmabuf;
mod trigger;
mod user_pages;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex};

use devices::addr::Iova;
use vm_allocator::IdAllocator;

use crate::ctx::Command;
use crate::device::PhysicalDevices;
use crate::driver::IommuDriver;
use crate::driver::mock::MockDriver;
use crate::errno::{Errno, Result};
use crate::frames::Frames;
use crate::io_pagetable::ReservedBy;
use crate::ioas::Ioas;
use crate::span::Span;
use crate::sync::lock;
use crate::uapi::test::{self as op, AccessPagesFlags, MockDeviceFlags, Operation, TestCmd};
use crate::uapi::{IoasCopy, IoasMapFlags};

/// The least `IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT`: one entry of what the kernel gathers pages in.
const MEMORY_LIMIT_MIN: u32 = 12;

/// The mock IOMMU and its devices, one of each host.
pub(crate) struct Selftest {
    driver: Arc<MockDriver>,
    /// Numbers of mock devices, for their names.
    numbers: Mutex<IdAllocator>,
}

impl Selftest {
    pub(crate) fn new(devices: &Arc<PhysicalDevices>, frames: &Arc<Frames>) -> Self {
        let driver = Arc::new(MockDriver::default());
        let events = Arc::downgrade(devices);
        driver.connect(events, Arc::clone(frames));
        // The range is not empty, the one thing that can be wrong with it.
        let numbers = IdAllocator::new(0, i32::MAX as u32).unwrap_or_else(|error| unreachable!("{error}"));
        Self { driver, numbers: Mutex::new(numbers) }
    }

    fn take_number(&self) -> Result<u32> {
        lock(&self.numbers).allocate_id().map_err(|_| Errno::ENOMEM)
    }

    fn free_number(&self, number: u32) {
        let freed = lock(&self.numbers).free_id(number);
        debug_assert!(freed.is_ok(), "mock device {number} was numbered once");
    }
}

pub(crate) fn test_cmd(command: &mut Command<'_, TestCmd>) -> Result<i64> {
    match command.op {
        op::AddReserved::OP => add_reserved(command),
        op::MockDomain::OP => device::add(command, MockDeviceFlags::empty()),
        op::MockDomainFlags::OP => {
            let flags = command.get::<op::MockDomainFlags>().dev_flags;
            device::add(command, flags)
        }
        op::MockDomainReplace::OP => device::replace(command),
        op::CheckMap::OP => check::map(command),
        op::CheckRefs::OP => check::refs(command),
        op::CheckIotlb::OP => check::iotlb(command),
        op::CheckDevCache::OP => check::device_cache(command),
        op::CreateAccess::OP => access::create(command),
        op::AccessReplaceIoas::OP => access::replace_ioas(command),
        op::AccessPages::OP => access::pin(command),
        op::DestroyAccessPages::OP => access::unpin(command),
        op::AccessRw::OP => access::rw(command),
        op::MemoryLimit::OP => memory_limit(command),
        op::Dirty::OP => dirty::write(command),
        op::TriggerIopf::OP => trigger::page_request(command),
        op::TriggerVevent::OP => trigger::event(command),
        op::PasidAttach::OP => device::attach_pasid(command),
        op::PasidReplace::OP => device::replace_pasid(command),
        op::PasidDetach::OP => device::detach_pasid(command),
        op::PasidCheck::OP => device::check_pasid(command),
        op::DmabufGet::OP => dmabuf::get(command),
        op::DmabufRevoke::OP => dmabuf::revoke(command),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// The mock driver of the host that `command` came to.
fn driver<'a>(command: &'a Command<'_, TestCmd>) -> Result<&'a Arc<MockDriver>> {
    Ok(&command.ctx.host.selftest.as_ref().ok_or(Errno::ENOTTY)?.driver)
}

/// Where `iova` counts to: its low half is the number of an area, its high half an offset there. 0 where
/// there is no such area. Random tests find mapped memory so.
fn counted(iova: u64, nth_area: impl FnOnce(u32) -> Option<Iova>) -> u64 {
    // The low half.
    nth_area(iova as u32).map_or(0, |area| area.0.wrapping_add(iova >> 32))
}

/// Lets the source of a copy be counted, with a flag that only the self-tests know
/// [uapi MOCK_FLAGS_ACCESS_SYZ].
pub(crate) fn count_source(command: &mut Command<'_, IoasCopy>) {
    let flag = IoasMapFlags::from_bits_retain(AccessPagesFlags::SYZ.bits());
    if !command.ctx.host.options.selftest || !command.flags.contains(flag) {
        return;
    }
    command.flags.remove(flag);
    if let Ok(ioas) = command.ctx.objects.get::<Ioas>(command.src_ioas_id) {
        command.src_iova = counted(command.src_iova, |nth| ioas.table.nth_area(nth));
    }
}

fn add_reserved(command: &Command<'_, TestCmd>) -> Result<i64> {
    let op::AddReserved { start, length } = command.get();
    let span = Span::sized(start, length)?;
    let ioas = command.ctx.objects.get::<Ioas>(command.id)?;
    ioas.table.reserve(ReservedBy::NoOne, span)?;
    Ok(0)
}

/// DEVIATION: the kernel maps by batches, and this bounds them. Here what is mapped is kept as ranges, and
/// there is no batch: the limit is checked and has nothing to bound.
fn memory_limit(command: &Command<'_, TestCmd>) -> Result<i64> {
    if command.get::<op::MemoryLimit>().limit < MEMORY_LIMIT_MIN { Err(Errno::EINVAL) } else { Ok(0) }
}
