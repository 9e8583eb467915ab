//! Hardware queues: a guest's queue in its own memory, worked by the hardware
//! [uapi iommu_hw_queue_alloc].
//!
//! The hardware reads it by physical address, so the memory must be contiguous and stay mapped as
//! long as the queue lives.

use std::any::Any;
use std::sync::{Arc, Mutex};

use devices::addr::{PAGE_SIZE, Pa};

use super::Viommu;
use crate::ctx::{Command, Ctx};
use crate::errno::{Errno, Result};
use crate::ioas::access::LockedPin;
use crate::object::{Hold, Object};
use crate::span::Span;
use crate::sync::lock;
use crate::uapi::{self, HW_QUEUE_TYPE_DEFAULT};

/// Most pages of a queue: the kernel lists them by address in at most `i32::MAX` bytes.
const MAX_PAGES: u64 = i32::MAX as u64 / 8;

/// The object.
struct HwQueue {
    /// Type and index.
    place: (u32, u32),
    /// What the driver made.
    driver: Mutex<Option<Box<dyn Any + Send + Sync>>>,
    _pin: LockedPin,
    /// The queue that this one needs.
    _needs: Option<Hold<HwQueue>>,
    viommu: Hold<Viommu>,
}

impl Object for HwQueue {
    fn destroy(&self, _ctx: &Ctx) {
        let mut queues = lock(&self.viommu.core.queues);
        drop(lock(&self.driver).take());
        queues.remove(&self.place);
    }
}

pub(crate) fn alloc(command: &mut Command<'_, uapi::HwQueueAlloc>) -> Result<i64> {
    let (kind, index) = (command.type_, command.index);
    if command.flags != 0 || kind == HW_QUEUE_TYPE_DEFAULT {
        return Err(Errno::EOPNOTSUPP);
    }
    let span = Span::sized(command.nesting_parent_iova, command.length)?;
    let objects = &command.ctx.objects;
    let viommu = objects.get::<Viommu>(command.viommu_id)?;
    let core = &viommu.core;
    if !core.driver.has_queue(kind) {
        return Err(Errno::EOPNOTSUPP);
    }
    let pending = objects.reserve()?;
    let pages = pages(span)?;
    let pin = LockedPin::new(command.ctx, &viommu.parent.ioas, pages)?;
    let base = contiguous(pin.frames()).ok_or(Errno::EFAULT)?;
    let base = Pa(base + span.start % PAGE_SIZE);
    let mut queues = lock(&core.queues);
    let driver = core.driver.alloc_queue(kind, index, base, command.length)?;
    let needs = match core.driver.queue_needs(kind, index) {
        Some(other) => {
            // One that is being destroyed is as good as gone.
            let id = queues.get(&(kind, other)).ok_or(Errno::EIO)?;
            Some(objects.find::<HwQueue>(*id).ok_or(Errno::EIO)?.hold())
        }
        None => None,
    };
    command.out_hw_queue_id = pending.id();
    command.respond()?;
    queues.insert((kind, index), pending.id());
    pending.publish(Arc::new(HwQueue {
        place: (kind, index),
        driver: Mutex::new(Some(driver)),
        _pin: pin,
        _needs: needs,
        viommu: viommu.hold(),
    }));
    Ok(0)
}

/// The pages of a queue.
///
/// # Errors
/// `ERANGE` where they are all of the space, `ENOMEM` where they are more than a list of them can
/// be made for.
fn pages(span: Span) -> Result<Span> {
    let pages = Span { start: span.start & !(PAGE_SIZE - 1), last: span.last | (PAGE_SIZE - 1) };
    let bytes = pages.beyond().checked_add(1).ok_or(Errno::ERANGE)?;
    if bytes / PAGE_SIZE > MAX_PAGES { Err(Errno::ENOMEM) } else { Ok(pages) }
}

/// Where `frames` start, if each follows on the one before.
fn contiguous(frames: &[Span]) -> Option<u64> {
    let follows = |pair: &[Span]| pair[0].last.checked_add(1) == Some(pair[1].start);
    frames.windows(2).all(follows).then(|| frames.first().map(|first| first.start))?
}
