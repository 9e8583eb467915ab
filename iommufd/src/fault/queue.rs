//! Page requests waiting to be read, and those read and not answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use vm_allocator::IdAllocator;
use zerocopy::{FromBytes, IntoBytes};

use crate::device::{PhysicalDevice, Route};
use crate::driver::{PageRequest, PageResponse};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::file::Wake;
use crate::sync::lock;
use crate::uapi::{
    HwptPageResponse, HwptPgfault, PAGE_RESP_INVALID, PAGE_RESP_SUCCESS, PgfaultFlags, PgfaultPerm,
};

const RECORD: usize = size_of::<HwptPgfault>();
const RESPONSE: usize = size_of::<HwptPageResponse>();

/// Page requests a queue keeps, read or not.
///
/// DEVIATION: what a full queue refuses is answered as invalid and not told to who reads the queue. The
/// kernel has no such bound of its own: there, memory ends first.
const REQUESTS: usize = 1 << 16;

/// A page request group: requests that are answered together.
pub(crate) struct FaultGroup {
    pub(crate) device: Arc<PhysicalDevice>,
    /// In the order they are reported, `last` among them.
    pub(crate) requests: Vec<PageRequest>,
    pub(crate) last: PageRequest,
}

impl FaultGroup {
    /// Answers it to the device. No lock of the library is held.
    pub(crate) fn answer(self, response: PageResponse) {
        let PageRequest { pasid, group, .. } = self.last;
        self.device.driver().page_response(&self.device, pasid, group, response);
    }
}

/// A group and the attachment it came by.
struct Waiting {
    route: Arc<Route>,
    group: FaultGroup,
}

struct State {
    /// To be read, the oldest first.
    deliver: VecDeque<Waiting>,
    /// Read, by cookie.
    response: BTreeMap<u32, Waiting>,
    /// The lowest that is free, from 1 on.
    cookies: IdAllocator,
    /// Requests in both.
    requests: usize,
    watchers: Vec<Arc<dyn Wake>>,
}

impl Default for State {
    fn default() -> Self {
        // The range is not empty, the one thing that can be wrong with it.
        let cookies = IdAllocator::new(1, u32::MAX).unwrap_or_else(|error| unreachable!("{error}"));
        Self {
            deliver: VecDeque::new(),
            response: BTreeMap::new(),
            cookies,
            requests: 0,
            watchers: Vec::new(),
        }
    }
}

impl State {
    fn cookie(&mut self) -> Result<u32> {
        fault_point(Errno::ENOMEM)?;
        self.cookies.allocate_id().map_err(|_| Errno::EBUSY)
    }

    /// The group read with `cookie`, which is free then.
    fn take(&mut self, cookie: u32) -> Option<FaultGroup> {
        let waiting = self.response.remove(&cookie)?;
        let freed = self.cookies.free_id(cookie);
        debug_assert!(freed.is_ok(), "cookie {cookie} was allocated and is freed once");
        self.requests -= waiting.group.requests.len();
        Some(waiting.group)
    }
}

/// The queue behind a fault object.
#[derive(Default)]
pub(crate) struct FaultQueue {
    state: Mutex<State>,
}

impl FaultQueue {
    /// Queues a group.
    ///
    /// # Errors
    /// The group, where its attachment ended or the queue is full.
    pub(crate) fn deliver(
        &self,
        route: &Arc<Route>,
        group: FaultGroup,
    ) -> std::result::Result<(), FaultGroup> {
        let mut state = lock(&self.state);
        let requests = state.requests + group.requests.len();
        if route.closed.load(Ordering::Relaxed) || requests > REQUESTS {
            return Err(group);
        }
        state.requests = requests;
        state.deliver.push_back(Waiting { route: Arc::clone(route), group });
        let watchers = state.watchers.clone();
        drop(state);
        watchers.iter().for_each(|watcher| watcher.wake());
        Ok(())
    }

    /// Ends an attachment: what came by it is refused, and so is what still comes.
    pub(crate) fn close(&self, route: &Arc<Route>) {
        let mut state = lock(&self.state);
        route.closed.store(true, Ordering::Relaxed);
        let mut ended = Vec::new();
        for waiting in std::mem::take(&mut state.deliver) {
            if Arc::ptr_eq(&waiting.route, route) {
                state.requests -= waiting.group.requests.len();
                ended.push(waiting.group);
            } else {
                state.deliver.push_back(waiting);
            }
        }
        let read = state.response.iter().filter(|(_, waiting)| Arc::ptr_eq(&waiting.route, route));
        let cookies: Vec<u32> = read.map(|(cookie, _)| *cookie).collect();
        ended.extend(cookies.into_iter().filter_map(|cookie| state.take(cookie)));
        drop(state);
        ended.into_iter().for_each(|group| group.answer(PageResponse::Invalid));
    }

    /// Refuses everything.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        let State { deliver, response, .. } = std::mem::take(&mut *state);
        drop(state);
        let ended = deliver.into_iter().chain(response.into_values());
        ended.for_each(|waiting| waiting.group.answer(PageResponse::Invalid));
    }

    pub(super) fn readable(&self) -> bool {
        !lock(&self.state).deliver.is_empty()
    }

    pub(super) fn watch(&self, wake: Arc<dyn Wake>) {
        lock(&self.state).watchers.push(wake);
    }

    pub(super) fn unwatch(&self) {
        let watchers = std::mem::take(&mut lock(&self.state).watchers);
        drop(watchers);
    }

    /// Reads whole groups.
    ///
    /// # Errors
    /// `ESPIPE` for a size that is not of whole records, `EINVAL` where the first group does not fit.
    pub(super) fn read(&self, data: &mut [u8]) -> Result<usize> {
        if !data.len().is_multiple_of(RECORD) {
            return Err(Errno::ESPIPE);
        }
        let mut state = lock(&self.state);
        let mut done = 0;
        while let Some(waiting) = state.deliver.front() {
            if waiting.group.requests.len() * RECORD > data.len() - done {
                return if done == 0 { Err(Errno::EINVAL) } else { Ok(done) };
            }
            let cookie = match state.cookie() {
                Ok(cookie) => cookie,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            };
            let Some(waiting) = state.deliver.pop_front() else { break };
            for request in &waiting.group.requests {
                let record = record(waiting.route.device, request, cookie);
                data[done..done + RECORD].copy_from_slice(record.as_bytes());
                done += RECORD;
            }
            state.response.insert(cookie, waiting);
        }
        Ok(done)
    }

    /// Takes answers.
    ///
    /// # Errors
    /// `ESPIPE` for a size that is not of whole answers; `EINVAL` where the first has a code or a
    /// cookie that is none.
    pub(super) fn write(&self, data: &[u8]) -> Result<usize> {
        if !data.len().is_multiple_of(RESPONSE) {
            return Err(Errno::ESPIPE);
        }
        let mut done = 0;
        for answer in data.chunks_exact(RESPONSE) {
            match self.answer(answer) {
                Ok(()) => done += RESPONSE,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn answer(&self, bytes: &[u8]) -> Result<()> {
        let answer = HwptPageResponse::read_from_bytes(bytes).map_err(|_| Errno::EINVAL)?;
        let response = match answer.code {
            PAGE_RESP_SUCCESS => PageResponse::Success,
            PAGE_RESP_INVALID => PageResponse::Invalid,
            _ => return Err(Errno::EINVAL),
        };
        let mut state = lock(&self.state);
        let group = state.take(answer.cookie).ok_or(Errno::EINVAL)?;
        drop(state);
        group.answer(response);
        Ok(())
    }
}

fn record(device: u32, request: &PageRequest, cookie: u32) -> HwptPgfault {
    let mut flags = PgfaultFlags::empty();
    flags.set(PgfaultFlags::PASID_VALID, request.pasid.is_some());
    flags.set(PgfaultFlags::LAST_PAGE, request.last);
    HwptPgfault {
        flags,
        dev_id: device,
        pasid: request.pasid.map_or(0, |pasid| pasid.0),
        grpid: request.group,
        perm: PgfaultPerm::from_bits_retain(request.permissions),
        addr: request.address,
        cookie,
        ..Default::default()
    }
}
