//! A table of descriptors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Extent, FileTable, MemoryFile, PinAccess};
use crate::errno::{Errno, Result};
use crate::file::File;
use crate::span::Span;
use crate::sync::lock;

/// What is behind a descriptor.
#[derive(Clone)]
pub enum Descriptor {
    /// A file of the library.
    Library(Arc<dyn File>),
    /// A file of somebody else that [`IOMMU_IOAS_MAP_FILE`](crate::uapi::IoasMapFile) may map.
    Memory(Arc<dyn MemoryFile>),
    /// Anything else.
    Other,
    /// Nothing yet.
    Reserved,
}

/// The open descriptors of a process, at most 1,024.
#[derive(Default)]
pub struct Descriptors {
    open: Mutex<BTreeMap<i32, Descriptor>>,
}

impl Descriptors {
    /// Numbers are below: `RLIMIT_NOFILE`.
    pub const LIMIT: i32 = 1024;

    /// Opens `descriptor` at the lowest free number.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn open(&self, descriptor: Descriptor) -> Result<i32> {
        let mut open = self.table();
        let fd = (0..Self::LIMIT).find(|fd| !open.contains_key(fd)).ok_or(Errno::EMFILE)?;
        open.insert(fd, descriptor);
        Ok(fd)
    }

    /// What is open at `fd`.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn get(&self, fd: i32) -> Result<Descriptor> {
        match self.table().get(&fd) {
            None | Some(Descriptor::Reserved) => Err(Errno::EBADF),
            Some(descriptor) => Ok(descriptor.clone()),
        }
    }

    /// `close(2)`. A file that was open here alone is released before this returns.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn close(&self, fd: i32) -> Result<()> {
        self.get(fd)?;
        // Dropped without the table locked: a release may do anything.
        let closed = self.table().remove(&fd);
        drop(closed);
        Ok(())
    }

    /// What a child of this process gets: the same files at the same numbers.
    pub fn fork(&self) -> Self {
        Self { open: Mutex::new(self.table().clone()) }
    }

    /// Closes everything, in order.
    pub fn clear(&self) {
        let all = std::mem::take(&mut *self.table());
        all.into_values().for_each(drop);
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<i32, Descriptor>> {
        lock(&self.open)
    }
}

impl FileTable for Descriptors {
    fn reserve(&self) -> Result<i32> {
        self.open(Descriptor::Reserved)
    }

    fn install(&self, fd: i32, file: Arc<dyn File>) {
        self.table().insert(fd, Descriptor::Library(file));
    }

    fn release(&self, fd: i32) {
        self.table().remove(&fd);
    }

    fn file(&self, fd: i32) -> Result<Option<Arc<dyn File>>> {
        match self.get(fd)? {
            Descriptor::Library(file) => Ok(Some(file)),
            _ => Ok(None),
        }
    }

    fn memory_file(&self, fd: i32) -> Result<Arc<dyn MemoryFile>> {
        match self.get(fd)? {
            Descriptor::Memory(file) => Ok(file),
            _ => Ok(Arc::new(NoMemory)),
        }
    }
}

/// A file whose pages devices cannot have.
struct NoMemory;

impl MemoryFile for NoMemory {
    fn bytes(&self) -> u64 {
        0
    }

    fn pin(&self, _: Span, _: PinAccess) -> Result<Vec<Extent>> {
        Err(Errno::EINVAL)
    }
}
