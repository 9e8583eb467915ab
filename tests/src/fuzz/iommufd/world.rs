//! The host, two processes on it, and what is known of what they made.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Weak};

use iommufd::errno::Result;
use iommufd::file::File;
use iommufd::process::{Caller, Capabilities, MmId, RegionObject, UserMemory};
use iommufd::span::Span;
use iommufd::uapi::{Command, Destroy};
use iommufd::{Ctx, Host, Iommufd, Options, fault_point};

use zerocopy::IntoBytes;

use super::draw::{DATA, Draw, FILE, HUGE, LIBRARY, PRIVATE, Region, SHARED};
use super::known::{Kind, Known};
use crate::simulated::{Descriptor, Descriptors, HUGE_PAGE, MemFd, PAGE, Process, Sharing};

/// Users of the two processes.
const UIDS: [u32; 2] = [0, 1000];

/// A process and its descriptors.
pub struct Actor {
    /// The process.
    pub process: Process,
    /// What it has open, the newest last.
    pub open: Vec<Open>,
}

/// An open descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Its number.
    pub fd: i32,
    /// What is there.
    pub what: What,
}

/// What is behind a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An iommufd, of the context of this index.
    Iommufd(usize),
    /// An access.
    Access,
    /// A fault queue.
    Faults,
    /// A queue of a vIOMMU's events.
    Events,
    /// A dma-buf.
    DmaBuf,
    /// A memfd.
    MemFd,
}

/// A context and what is known of it.
pub struct Context {
    /// It must be gone when nothing is open.
    pub ctx: Weak<Ctx>,
    /// Its first file.
    pub file: Weak<Iommufd>,
    /// Its objects.
    pub known: Known,
}

/// What an input did.
#[derive(Debug, Default)]
pub struct Report {
    /// A line for each thing that was done, and what came of it.
    pub lines: Vec<String>,
    /// A bit for each kind of record of which something succeeded.
    pub done: u64,
}

/// Everything that an input acts on.
pub struct World {
    /// The host.
    pub host: Arc<Host>,
    /// The processes that live.
    pub actors: [Option<Actor>; 2],
    /// Whose turn it is.
    pub turn: usize,
    /// All contexts there ever were.
    pub contexts: Vec<Context>,
    /// Steps until one fails, 0 for never.
    pub armed: u32,
    /// Which rights processes have, from the input's first byte.
    config: u8,
    /// All address spaces there ever were.
    mms: Vec<MmId>,
    /// All memory that processes ever mapped.
    memory: Vec<Weak<RegionObject>>,
    /// Whether there were dma-bufs, which pin what is theirs while something maps them.
    pub dma_bufs: bool,
    /// What was done.
    pub report: Option<Report>,
    /// The kind of the record whose turn it is.
    pub kind: u8,
}

impl World {
    /// One process, and a second that is none of its children where `config` says so.
    pub fn new(config: u8, report: bool) -> Self {
        let host = Host::new(Options { selftest: true, ..Options::default() });
        let mut world = Self {
            host,
            actors: [None, None],
            turn: 0,
            contexts: Vec::new(),
            armed: 0,
            config,
            mms: Vec::new(),
            memory: Vec::new(),
            dma_bufs: false,
            report: report.then(Report::default),
            kind: 0,
        };
        world.start(0);
        if config & 0x10 != 0 {
            world.start(1);
        }
        world
    }

    /// Starts a process with its memory mapped, in an empty place.
    fn start(&mut self, place: usize) {
        let mut process = Process::root();
        process.credentials.uid = UIDS[place];
        let taken = [(0x2, Capabilities::IPC_LOCK), (0x4, Capabilities::SYS_RESOURCE)];
        for (bit, capability) in taken {
            process.credentials.capabilities.set(capability, self.config & bit == 0);
        }
        if self.config & 0x8 != 0 {
            process.credentials.memlock = 24 * PAGE;
        }
        let mut actor = Actor { process, open: Vec::new() };
        let layout = [(SHARED, Sharing::Shared), (PRIVATE, Sharing::Private), (DATA, Sharing::Private)];
        let memory = &actor.process.memory;
        let mut mapped = layout
            .iter()
            .all(|(region, sharing)| memory.map_anonymous(region.span(), *sharing, PAGE).is_ok());
        mapped &= memory.map_anonymous(HUGE.span(), Sharing::Shared, HUGE_PAGE).is_ok();
        if let Ok(file) = MemFd::new(FILE.pages * PAGE, PAGE) {
            mapped &= memory.map_memfd(FILE.span(), &file, 0).is_ok();
            actor.opened(actor.process.descriptors.open(Descriptor::Memory(file)), What::MemFd);
        }
        assert!(mapped, "the machine that fuzzes has no memory");
        self.actors[place] = Some(actor);
        self.seen(place);
    }

    /// Notes what the process at `place` has mapped, so that it is missed if it stays.
    pub fn seen(&mut self, place: usize) {
        if let Some(actor) = &self.actors[place] {
            let memory = &actor.process.memory;
            if !self.mms.contains(&memory.id()) {
                self.mms.push(memory.id());
            }
            self.memory.extend(memory.memory().iter().map(Arc::downgrade));
        }
    }

    /// Gives the turn to the process at `place`, or to the other where it has ended.
    pub fn turn_to(&mut self, place: usize) {
        self.turn = if self.actors[place].is_some() { place } else { 1 - place };
        if self.actors[self.turn].is_none() {
            self.start(self.turn);
        }
    }

    /// The process whose turn it is.
    ///
    /// # Panics
    /// If it has ended within its turn.
    pub fn actor(&mut self) -> &mut Actor {
        self.actors[self.turn].as_mut().expect("a turn is given to one who lives, and ends with it")
    }

    /// Opens `/dev/iommu`.
    pub fn open(&mut self) {
        let file = self.host.open();
        let (ctx, weak) = (Arc::downgrade(file.ctx()), Arc::downgrade(&file));
        let what = What::Iommufd(self.contexts.len());
        self.contexts.push(Context { ctx, file: weak, known: Known::default() });
        let actor = self.actor();
        let fd = actor.process.descriptors.open(Descriptor::Library(file));
        actor.opened(fd, what);
    }

    /// `fork(2)`, where there is room for a child.
    pub fn fork(&mut self) {
        let child = 1 - self.turn;
        if self.actors[child].is_some() {
            return;
        }
        let parent = self.actor();
        if let Ok(process) = parent.process.fork() {
            let open = parent.open.clone();
            self.actors[child] = Some(Actor { process, open });
            self.seen(child);
        }
    }

    /// `exit(2)`. With the last process everything must be gone.
    pub fn exit(&mut self) {
        let actor = self.actors[self.turn].take();
        let armed = self.armed;
        fault_point::arm(armed);
        if let Some(actor) = actor {
            actor.process.exit();
        }
        self.armed = fault_point::remaining();
        fault_point::arm(0);
        if self.actors.iter().all(Option::is_none) {
            self.assert_gone();
        }
    }

    /// Ends all processes.
    pub fn end(&mut self) {
        self.armed = 0;
        for place in 0..self.actors.len() {
            if self.actors[place].is_some() {
                self.turn = place;
                self.exit();
            }
        }
    }

    /// Takes away, one by one, all that makes memory be pinned, and leaves what is mapped. Nothing may be
    /// pinned or charged then.
    pub fn unwind(&mut self) {
        self.armed = 0;
        for actor in self.actors.iter().flatten() {
            // Whole pages, so that it cannot be refused.
            let _ = actor.process.memory.unmap(LIBRARY.span());
            let iommufds: Vec<i32> = actor.iommufds().map(|(fd, _)| fd).collect();
            // Not all that is open is known.
            for fd in (0..Descriptors::LIMIT).filter(|fd| !iommufds.contains(fd)) {
                let _ = actor.process.close(fd);
            }
        }
        for context in &self.contexts {
            if let Some(file) = context.file.upgrade() {
                self.destroy_all(&file, &context.known);
            }
        }
        self.assert_not_charged("with no domain and no access");
        assert!(self.dma_bufs || self.host.frames.is_empty(), "pinned with no domain and no access");
    }

    /// Destroys everything but IOASes. Those whose ids got lost go with the rest.
    fn destroy_all(&self, file: &Iommufd, known: &Known) {
        let Some(actor) = self.actors.iter().flatten().next() else { return };
        let ids: Vec<u32> = known.all_ids().filter(|id| !known.is(*id, Kind::Ioas)).collect();
        // What is in use by others goes after them, and they may be as many.
        while ids.iter().filter(|id| actor.destroy(file, **id).is_ok()).count() > 0 {}
    }

    fn assert_not_charged(&self, when: &str) {
        for mm in &self.mms {
            let charged = self.host.accounts.of_mm(*mm);
            assert_eq!((charged.pinned, charged.locked), (0, 0), "charged to {mm:?} {when}");
        }
        for uid in UIDS {
            assert_eq!(self.host.accounts.of_user(uid), 0, "charged to user {uid} {when}");
        }
    }

    /// Asserts that nothing is left of what the processes did.
    fn assert_gone(&self) {
        assert!(self.host.frames.is_empty(), "pinned after the last close");
        self.assert_not_charged("after the last close");
        assert!(self.memory.iter().all(|memory| memory.strong_count() == 0), "memory after the last close");
        let alive = self.contexts.iter().filter(|context| context.ctx.strong_count() > 0).count();
        assert_eq!(alive, 0, "contexts after the last close");
        assert_eq!(Arc::strong_count(&self.host), 1, "somebody holds the host after the last close");
    }

    /// An iommufd of the process whose turn it is, opened where it has none.
    pub fn iommufd(&mut self, draw: &mut Draw) -> (i32, usize) {
        let nth = draw.bits(2) as usize;
        for _ in 0..2 {
            let all: Vec<_> = self.actor().iommufds().collect();
            if !all.is_empty() {
                return all[nth % all.len()];
            }
            self.open();
        }
        // No descriptor is left for it.
        (-1, 0)
    }

    /// A descriptor: one of `what` if there is one, or any.
    pub fn descriptor(&mut self, draw: &mut Draw, what: What) -> i32 {
        let nth = draw.bits(3) as usize;
        let open = &self.actor().open;
        let fit: Vec<_> = open.iter().rev().filter(|open| open.what == what).collect();
        match nth {
            7 => -1,
            0..=5 if !fit.is_empty() => fit[nth % fit.len()].fd,
            _ => open.iter().rev().nth(nth).map_or(nth as i32, |open| open.fd),
        }
    }

    /// An object id of a context: one of `kind` if there is one, or any number.
    pub fn id(&self, draw: &mut Draw, context: usize, kind: Kind) -> u32 {
        let nth = draw.bits(4) as usize;
        let known = self.contexts.get(context).map(|context| &context.known);
        match nth {
            15 => u32::MAX,
            14 => 0,
            13 => draw.bits(4) as u32,
            _ => known.and_then(|known| known.nth(kind, nth)).unwrap_or(nth as u32 + 1),
        }
    }

    /// What is known of a context.
    pub fn known(&mut self, context: usize) -> Option<&mut Known> {
        self.contexts.get_mut(context).map(|context| &mut context.known)
    }

    /// First IOVAs of mappings of an IOAS.
    pub fn iovas(&self, context: usize, ioas: u32) -> Vec<u64> {
        self.contexts.get(context).map(|context| context.known.iovas(ioas)).unwrap_or_default()
    }

    /// Does something of the process whose turn it is that may be made fail, and logs it.
    pub fn act<T: Debug>(
        &mut self,
        what: impl FnOnce() -> String,
        act: impl FnOnce(&mut Actor) -> Result<T>,
    ) -> Result<T> {
        if let Some(report) = &mut self.report {
            let armed = if self.armed == 0 { String::new() } else { format!(" (step {} fails)", self.armed) };
            report.lines.push(format!("process {}{armed}: {}", self.turn, what()));
        }
        let armed = self.armed;
        let actor = self.actor();
        fault_point::arm(armed);
        let result = act(actor);
        self.armed = fault_point::remaining();
        fault_point::arm(0);
        if let Some(report) = &mut self.report
            && let Some(line) = report.lines.last_mut()
        {
            report.done |= u64::from(result.is_ok()) << self.kind;
            // Writing to a string does not fail.
            let _ = match &result {
                Ok(value) => write!(line, " = {value:?}"),
                Err(errno) => write!(line, " = {errno}"),
            };
        }
        result
    }

    /// Logs what a call left in its structure.
    pub fn answered(&mut self, answer: &impl Debug) {
        if let Some(line) = self.report.as_mut().and_then(|report| report.lines.last_mut()) {
            // Writing to a string does not fail.
            let _ = write!(line, ", {answer:x?}");
        }
    }
}

impl Actor {
    /// Notes what was opened.
    pub fn opened(&mut self, fd: Result<i32>, what: What) {
        if let Ok(fd) = fd {
            self.open.retain(|open| open.fd != fd);
            self.open.push(Open { fd, what });
        }
    }

    /// Its iommufds and the contexts of each, in the order they were opened.
    fn iommufds(&self) -> impl Iterator<Item = (i32, usize)> {
        self.open.iter().filter_map(|open| match open.what {
            What::Iommufd(context) => Some((open.fd, context)),
            _ => None,
        })
    }

    /// Copies `data` to [`DATA`].
    pub fn place(&self, data: &[u8]) {
        let placed = self.process.memory.write(DATA.start, data);
        assert!(placed.is_ok(), "nobody unmaps the data");
    }

    fn destroy(&self, file: &Iommufd, id: u32) -> Result<i64> {
        let command = Destroy { size: size_of::<Destroy>() as u32, id };
        self.process.memory.write(Process::ARGUMENTS, command.as_bytes())?;
        let memory: Arc<dyn UserMemory> = self.process.memory.clone();
        let (files, credentials) = (&self.process.descriptors, self.process.credentials);
        file.ioctl(&Caller { memory: &memory, files, credentials }, Destroy::REQUEST, Process::ARGUMENTS)
    }

    /// The file behind a descriptor, if it is one of the library's.
    pub fn file(&self, fd: i32) -> Option<Arc<dyn File>> {
        match self.process.descriptors.get(fd) {
            Ok(Descriptor::Library(file)) => Some(file),
            _ => None,
        }
    }
}

impl Region {
    /// All of it.
    pub fn span(self) -> Span {
        Span { start: self.start, last: self.end() - 1 }
    }
}
