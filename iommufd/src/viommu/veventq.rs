//! Event queues of virtual IOMMUs [uapi iommu_veventq_alloc].
//!
//! A queue holds as many events as its depth says. What does not fit is lost, which one header at
//! the end of the queue tells, renewed with each further loss; every event has a number, lost or not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use zerocopy::IntoBytes;

use super::{Viommu, ViommuCore};
use crate::ctx::{Command, Ctx};
use crate::errno::{Errno, Result};
use crate::fault::FdGuard;
use crate::fault_point::fault_point;
use crate::file::{File, Ready, Wake};
use crate::object::{Hold, Object};
use crate::sync::lock;
use crate::uapi::{self, VEVENTQ_TYPE_DEFAULT, VeventHeader, VeventqFlags};

/// Most events of a queue.
const DEPTH: u32 = 1 << 19;
const HEADER: usize = size_of::<VeventHeader>();

struct Event {
    sequence: u32,
    data: Box<[u8]>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    /// Number of the latest loss, where no event follows it.
    lost: Option<u32>,
    sequence: u32,
    watchers: Vec<Arc<dyn Wake>>,
}

/// The queue behind an event queue object.
pub(crate) struct EventQueue {
    depth: u32,
    state: Mutex<State>,
}

impl EventQueue {
    pub(super) fn new(depth: u32) -> Self {
        Self { depth, state: Mutex::default() }
    }

    #[cfg(test)]
    pub(super) fn wind_to(&self, sequence: u32) {
        lock(&self.state).sequence = sequence;
    }

    /// Queues an event, or its loss.
    pub(super) fn report(&self, data: &[u8]) {
        let mut state = lock(&self.state);
        let sequence = state.sequence;
        state.sequence = (sequence + 1) & i32::MAX.cast_unsigned();
        if state.events.len() >= self.depth as usize {
            state.lost = Some(sequence);
        } else {
            state.lost = None;
            state.events.push_back(Event { sequence, data: data.into() });
        }
        let watchers = state.watchers.clone();
        drop(state);
        watchers.iter().for_each(|watcher| watcher.wake());
    }

    /// Reads whole events.
    pub(super) fn read(&self, data: &mut [u8]) -> Result<usize> {
        if data.len() < HEADER {
            return Err(Errno::EINVAL);
        }
        let mut state = lock(&self.state);
        let mut done = 0;
        while let Some(event) = state.events.front() {
            let bytes = HEADER + event.data.len();
            if bytes > data.len() - done {
                return if done == 0 { Err(Errno::EINVAL) } else { Ok(done) };
            }
            let header = VeventHeader { flags: VeventqFlags::empty(), sequence: event.sequence };
            data[done..done + HEADER].copy_from_slice(header.as_bytes());
            data[done + HEADER..done + bytes].copy_from_slice(&event.data);
            done += bytes;
            state.events.pop_front();
        }
        if let Some(sequence) = state.lost
            && HEADER <= data.len() - done
        {
            let header = VeventHeader { flags: VeventqFlags::LOST_EVENTS, sequence };
            data[done..done + HEADER].copy_from_slice(header.as_bytes());
            done += HEADER;
            state.lost = None;
        }
        Ok(done)
    }

    pub(super) fn readable(&self) -> bool {
        let state = lock(&self.state);
        !state.events.is_empty() || state.lost.is_some()
    }
}

/// The object.
struct Veventq {
    kind: u32,
    queue: Arc<EventQueue>,
    viommu: Hold<Viommu>,
}

impl Veventq {
    fn core(&self) -> &ViommuCore {
        &self.viommu.core
    }
}

impl Object for Veventq {
    fn destroy(&self, _ctx: &Ctx) {
        lock(&self.core().events).remove(&self.kind);
    }
}

/// Its file; open, it holds the object and the context.
struct VeventqFile {
    veventq: Hold<Veventq>,
    _ctx: Arc<Ctx>,
}

impl File for VeventqFile {
    fn read(&self, data: &mut [u8]) -> Result<usize> {
        self.veventq.queue.read(data)
    }

    fn poll(&self) -> Ready {
        if self.veventq.queue.readable() { Ready::IN } else { Ready::empty() }
    }

    fn watch(&self, wake: Arc<dyn Wake>) {
        lock(&self.veventq.queue.state).watchers.push(wake);
    }
}

impl Drop for VeventqFile {
    fn drop(&mut self) {
        let watchers = std::mem::take(&mut lock(&self.veventq.queue.state).watchers);
        drop(watchers);
    }
}

pub(crate) fn alloc(command: &mut Command<'_, uapi::VeventqAlloc>) -> Result<i64> {
    let kind = command.type_;
    if command.flags != 0 || command.reserved != 0 || kind == VEVENTQ_TYPE_DEFAULT {
        return Err(Errno::EOPNOTSUPP);
    }
    if !(1..=DEPTH).contains(&command.veventq_depth) {
        return Err(Errno::EINVAL);
    }
    let viommu = command.ctx.objects.get::<Viommu>(command.viommu_id)?;
    let mut events = lock(&viommu.core.events);
    if events.contains_key(&kind) {
        return Err(Errno::EEXIST);
    }
    let pending = command.ctx.objects.reserve()?;
    fault_point(Errno::ENOMEM)?;
    let fd = FdGuard::reserve(command.caller.files)?;
    command.out_veventq_id = pending.id();
    command.out_veventq_fd = fd.number();
    command.respond()?;
    let queue = Arc::new(EventQueue::new(command.veventq_depth));
    events.insert(kind, Arc::clone(&queue));
    let veventq = pending.publish_held(Arc::new(Veventq { kind, queue, viommu: viommu.hold() }));
    drop(events);
    fd.install(Arc::new(VeventqFile { veventq, _ctx: Arc::clone(command.ctx) }));
    Ok(0)
}
