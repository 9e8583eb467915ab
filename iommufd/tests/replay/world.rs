//! The host, the processes on it, and their calls.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use iommufd::errno::Errno;
use iommufd::process::{MemoryObject, ObjectKey, RegionObject, UserMemory};
use iommufd::span::Span;
use iommufd::{Host, Options};

use crate::recording::{Action, Answer, Argument, Call};
use crate::support::{Descriptor, MemFd, PAGE, Process, Sharing};

/// Shared pages that the self-tests map: their `buffer`, of which [`BUFFER_BYTES`].
pub const BUFFER: u64 = 0x7f3e_8100_0000;
/// A memfd that they map, open at [`MFD`]: their `mfd_buffer`, as big.
pub const MFD_BUFFER: u64 = 0x7f3e_80e2_7000;
/// Bytes of each.
pub const BUFFER_BYTES: u64 = 16 * PAGE;
/// The descriptor of the memfd.
const MFD: i32 = 3;
/// The descriptor that `/dev/iommu` gets.
pub const IOMMUFD: i32 = 4;
/// The descriptor after that and one which the test harness has: what a case opens itself.
pub const OPENED: i32 = 6;

/// Where variables of the self-tests are that structures point to.
const STACK: Span = Span { start: 0x7fff_e819_2000, last: 0x7fff_e81a_2fff };
/// Where they allocate bitmaps.
const HEAP: Span = Span { start: 0x55ab_b10b_5000, last: 0x55ab_b10b_8fff };
/// What the page of arguments is filled with beyond them: nobody may write there.
const UNTOUCHED: u8 = 0xa5;

/// A host and its processes. Scripts change what is in it, not the set of processes' names.
pub struct World {
    host: Arc<Host>,
    main: u32,
    processes: RefCell<BTreeMap<u32, Process>>,
    memory: RefCell<BTreeMap<ObjectKey, Weak<RegionObject>>>,
}

impl World {
    /// A host with the mock IOMMU, and process `main` as the self-tests begin: with the addresses and
    /// descriptors that the recorded ones had, so that recorded pointers and descriptors mean the same.
    pub fn new(main: u32) -> Self {
        let host = Host::new(Options { selftest: true, ..Options::default() });
        let processes = RefCell::new(BTreeMap::from([(main, begin())]));
        Self { host, main, processes, memory: RefCell::default() }
    }

    /// The process that began.
    pub fn main(&self) -> Ref<'_, Process> {
        Ref::map(self.processes.borrow(), |processes| &processes[&self.main])
    }

    /// The children exit.
    pub fn end_children(&self) {
        let mut processes = self.processes.borrow_mut();
        let children = processes.extract_if(.., |name, _| *name != self.main);
        children.for_each(|(_, process)| process.exit());
    }

    /// Makes `call`, forking its process where it is new.
    pub fn make(&self, call: &Call) -> Answer {
        if !self.processes.borrow().contains_key(&call.process) {
            let child = self.main().fork().unwrap();
            self.processes.borrow_mut().insert(call.process, child);
        }
        self.note_memory();
        let processes = self.processes.borrow();
        let process = &processes[&call.process];
        let plain = |result| Answer { result, bytes: Vec::new() };
        match &call.action {
            Action::Open => plain(process.open(&self.host).map(i64::from)),
            Action::Close { fd } => plain(process.close(*fd).map(|()| 0)),
            Action::Ioctl { fd, command, argument: Argument::Value(value) } => {
                plain(process.ioctl(*fd, *command, *value))
            }
            Action::Ioctl { fd, command, argument: Argument::Structure(bytes) } => {
                let mut result = Err(Errno::EFAULT);
                let bytes = with_argument(process, bytes, || {
                    result = process.ioctl(*fd, *command, Process::ARGUMENTS)
                });
                Answer { result, bytes }
            }
            Action::Read { fd, count } => {
                let mut result = Err(Errno::EFAULT);
                let empty = vec![0; *count];
                let mut bytes =
                    with_argument(process, &empty, || result = process.read(*fd, Process::ARGUMENTS, *count));
                bytes.truncate(result.unwrap_or(0));
                Answer { result: result.map(|count| count as i64), bytes }
            }
            Action::Write { fd, data } => {
                let mut result = Err(Errno::EFAULT);
                with_argument(process, data, || result = process.write(*fd, Process::ARGUMENTS, data.len()));
                plain(result.map(|count| count as i64))
            }
        }
    }

    /// Everybody exits; nobody may hold their memory then.
    pub fn end(self) {
        self.note_memory();
        self.processes.into_inner().into_values().for_each(Process::exit);
        let held = self.memory.into_inner().into_values().filter(|memory| memory.strong_count() > 0).count();
        assert_eq!(held, 0, "objects that the library holds after the last close");
    }

    fn note_memory(&self) {
        let mut known = self.memory.borrow_mut();
        for process in self.processes.borrow().values() {
            let memory = process.memory.memory().into_iter();
            known.extend(memory.map(|memory| (memory.key(), Arc::downgrade(&memory))));
        }
    }
}

/// Puts `argument` where `call` finds it and returns what is there afterwards.
fn with_argument(process: &Process, argument: &[u8], call: impl FnOnce()) -> Vec<u8> {
    let mut page = vec![UNTOUCHED; PAGE as usize];
    page[..argument.len()].copy_from_slice(argument);
    process.memory.write(Process::ARGUMENTS, &page).unwrap();
    call();
    process.memory.read(Process::ARGUMENTS, &mut page).unwrap();
    assert!(page[argument.len()..].iter().all(|byte| *byte == UNTOUCHED), "written beyond the argument");
    page.truncate(argument.len());
    page
}

fn begin() -> Process {
    let process = Process::root();
    let span = |start| Span::sized(start, BUFFER_BYTES).unwrap();
    let memfd = MemFd::new(BUFFER_BYTES, PAGE).unwrap();
    process.memory.map_anonymous(span(BUFFER), Sharing::Shared, PAGE).unwrap();
    process.memory.map_memfd(span(MFD_BUFFER), &memfd, 0).unwrap();
    process.memory.map_anonymous(STACK, Sharing::Private, PAGE).unwrap();
    process.memory.map_anonymous(HEAP, Sharing::Private, PAGE).unwrap();
    for fd in 0..OPENED {
        let descriptor = if fd == MFD { Descriptor::Memory(memfd.clone()) } else { Descriptor::Other };
        assert_eq!(process.descriptors.open(descriptor), Ok(fd));
    }
    process.descriptors.close(IOMMUFD).unwrap();
    process
}
