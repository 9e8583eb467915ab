//! A process of some pages, for tests of this part.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use vm_memory::MmapRegion;
use zerocopy::{FromBytes, IntoBytes};

use crate::ctx::Iommufd;
use crate::errno::{Errno, Result};
use crate::file::File;
use crate::process::{
    Caller, Capabilities, Credentials, Extent, FileTable, MemoryFile, MemoryObject, MmId, ObjectKey,
    PinAccess, UserMemory,
};
use crate::span::Span;
use crate::sync::lock;
use crate::uapi::Command;
use crate::uapi::test::{Operation, TestCmd};

pub(crate) const PAGE: u64 = 4096;
/// Where the process has its memory.
pub(crate) const BASE: u64 = 0x7f00_0020_0000;
const PAGES: u64 = 600;
/// Where arguments are put, by thread: each has a page.
const ARGUMENTS: u64 = BASE + (PAGES - 8) * PAGE;

static KEYS: AtomicU64 = AtomicU64::new(1);

struct Object {
    key: ObjectKey,
    page_bytes: u64,
    data: Mutex<Vec<u8>>,
}

impl MemoryObject for Object {
    fn key(&self) -> ObjectKey {
        self.key
    }
    fn bytes(&self) -> u64 {
        PAGES * PAGE
    }
    fn phase(&self) -> u64 {
        BASE % (2 << 20)
    }
    fn page_bytes(&self) -> u64 {
        self.page_bytes
    }
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        let at = offset as usize;
        data.copy_from_slice(lock(&self.data).get(at..at + data.len()).ok_or(Errno::EFAULT)?);
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let at = offset as usize;
        lock(&self.data).get_mut(at..at + data.len()).ok_or(Errno::EFAULT)?.copy_from_slice(data);
        Ok(())
    }
    fn mapping(&self) -> Option<Arc<MmapRegion>> {
        None
    }
}

struct Memory {
    object: Arc<Object>,
    /// A page that is not mapped.
    hole: Mutex<Option<u64>>,
}

impl Memory {
    fn offset(&self, span: Span) -> Result<u64> {
        let all = Span { start: BASE, last: BASE + PAGES * PAGE - 1 };
        let torn =
            lock(&self.hole).is_some_and(|hole| span.meets(Span { start: hole, last: hole + PAGE - 1 }));
        if torn || !all.covers(span) { Err(Errno::EFAULT) } else { Ok(span.start - BASE) }
    }
}

impl UserMemory for Memory {
    fn id(&self) -> MmId {
        MmId(self.object.key.0)
    }
    fn read(&self, address: u64, data: &mut [u8]) -> Result<()> {
        let Ok(span) = Span::sized(address, data.len() as u64) else { return Ok(()) };
        self.object.read(self.offset(span)?, data)
    }
    fn write(&self, address: u64, data: &[u8]) -> Result<()> {
        let Ok(span) = Span::sized(address, data.len() as u64) else { return Ok(()) };
        self.object.write(self.offset(span)?, data)
    }
    fn pin(&self, pages: Span, _access: PinAccess) -> Result<Vec<Extent>> {
        let offset = self.offset(pages)?;
        Ok(vec![Extent { object: self.object.clone(), offset, bytes: pages.bytes() }])
    }
}

/// A thread of a process.
pub(crate) struct Process {
    memory: Arc<Memory>,
    user: Arc<dyn UserMemory>,
    files: Arc<Files>,
    argument: u64,
}

#[derive(Default)]
struct Files(Mutex<Vec<Option<Arc<dyn File>>>>);

impl FileTable for Files {
    fn reserve(&self) -> Result<i32> {
        let mut files = lock(&self.0);
        files.push(None);
        Ok(files.len() as i32 - 1)
    }
    fn install(&self, fd: i32, file: Arc<dyn File>) {
        lock(&self.0)[fd as usize] = Some(file);
    }
    fn release(&self, fd: i32) {
        let mut files = lock(&self.0);
        assert_eq!(fd as usize, files.len() - 1, "only the last is given back here");
        files.pop();
    }
    fn file(&self, fd: i32) -> Result<Option<Arc<dyn File>>> {
        let files = lock(&self.0);
        let file = files.get(usize::try_from(fd).map_err(|_| Errno::EBADF)?).cloned();
        file.flatten().map(Some).ok_or(Errno::EBADF)
    }
    fn memory_file(&self, _fd: i32) -> Result<Arc<dyn MemoryFile>> {
        Err(Errno::EBADF)
    }
}

impl Process {
    pub(crate) fn new() -> Self {
        Self::with_pages_of(PAGE)
    }

    /// One whose memory counts as pages of `page_bytes`.
    pub(crate) fn with_pages_of(page_bytes: u64) -> Self {
        let key = ObjectKey(KEYS.fetch_add(1, Ordering::Relaxed));
        let data = Mutex::new(vec![0; (PAGES * PAGE) as usize]);
        let memory =
            Arc::new(Memory { object: Arc::new(Object { key, page_bytes, data }), hole: Mutex::default() });
        Self { user: memory.clone(), memory, files: Arc::default(), argument: ARGUMENTS }
    }

    /// Another thread of it, the `nth`.
    pub(crate) fn with_argument(&self, nth: u64) -> Self {
        Self {
            memory: Arc::clone(&self.memory),
            user: Arc::clone(&self.user),
            files: Arc::clone(&self.files),
            argument: ARGUMENTS + nth * PAGE,
        }
    }

    pub(crate) fn caller(&self) -> Caller<'_> {
        let credentials = Credentials { uid: 0, capabilities: Capabilities::IPC_LOCK, memlock: u64::MAX };
        Caller { memory: &self.user, files: &*self.files, credentials }
    }

    pub(crate) fn write(&self, address: u64, data: &[u8]) {
        assert_eq!(self.memory.write(address, data), Ok(()));
    }

    pub(crate) fn read(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut data = vec![0; bytes];
        assert_eq!(self.memory.read(address, &mut data), Ok(()));
        data
    }

    /// Unmaps a page, or maps it again.
    pub(crate) fn tear(&self, hole: Option<u64>) {
        *lock(&self.memory.hole) = hole;
    }

    pub(crate) fn close(&self, fd: i32) {
        let file = lock(&self.files.0)[fd as usize].take();
        drop(file);
    }

    pub(crate) fn close_all(&self) {
        let files = std::mem::take(&mut *lock(&self.files.0));
        drop(files);
    }

    pub(crate) fn open_files(&self) -> usize {
        lock(&self.files.0).iter().flatten().count()
    }

    /// Makes a call with `arguments`, which are what they were made when it returns.
    pub(crate) fn ioctl<T>(&self, file: &Iommufd, arguments: &mut T) -> Result<i64>
    where
        T: Command + FromBytes + IntoBytes + zerocopy::Immutable + zerocopy::KnownLayout,
    {
        let bytes = size_of::<T>();
        arguments.as_mut_bytes()[..4].copy_from_slice(&(bytes as u32).to_ne_bytes());
        self.write(self.argument, arguments.as_bytes());
        let outcome = file.ioctl(&self.caller(), T::REQUEST, self.argument);
        arguments.as_mut_bytes().copy_from_slice(&self.read(self.argument, bytes));
        outcome
    }

    /// Makes an operation of the self-tests on `id`.
    pub(crate) fn test<T: Operation>(&self, file: &Iommufd, id: u32, parameters: T) -> Result<(i64, T)> {
        let mut command = TestCmd { op: T::OP, id, ..TestCmd::default() };
        command.set(&parameters);
        let value = self.ioctl(file, &mut command)?;
        Ok((value, command.get()))
    }
}
