//! A process, and the system calls it makes.

use std::sync::Arc;

use iommufd::Host;
use iommufd::errno::{Errno, Result};
use iommufd::file::{File, MapRequest, Ready};
use iommufd::process::{Caller, Capabilities, Credentials, UserMemory};
use iommufd::span::Span;

use super::{AddressSpace, Descriptor, Descriptors, PAGE, Sharing};

/// A process.
pub struct Process {
    /// Its memory.
    pub memory: Arc<AddressSpace>,
    /// The same, as the library sees it.
    user_memory: Arc<dyn UserMemory>,
    /// Its descriptors.
    pub descriptors: Descriptors,
    /// Its rights and limits.
    pub credentials: Credentials,
}

impl Process {
    /// Where a page is mapped for the arguments of calls.
    pub const ARGUMENTS: u64 = 0x7fff_ffff_e000;

    /// One of root's, with nothing mapped but a page for arguments, and nothing open.
    pub fn root() -> Self {
        let credentials = Credentials { uid: 0, capabilities: Capabilities::all(), memlock: 8 << 20 };
        let memory = AddressSpace::new();
        let page = Span { start: Self::ARGUMENTS, last: Self::ARGUMENTS + PAGE - 1 };
        memory.map_anonymous(page, Sharing::Private, PAGE).unwrap();
        Self::of(memory, Descriptors::default(), credentials)
    }

    fn of(memory: AddressSpace, descriptors: Descriptors, credentials: Credentials) -> Self {
        let memory = Arc::new(memory);
        Self { user_memory: memory.clone(), memory, descriptors, credentials }
    }

    /// Opens `/dev/iommu` of `host`.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn open(&self, host: &Arc<Host>) -> Result<i32> {
        self.descriptors.open(Descriptor::Library(host.open()))
    }

    /// `close(2)`.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn close(&self, fd: i32) -> Result<()> {
        self.descriptors.close(fd)
    }

    /// `ioctl(2)`.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn ioctl(&self, fd: i32, command: u32, argument: u64) -> Result<i64> {
        let caller =
            Caller { memory: &self.user_memory, files: &self.descriptors, credentials: self.credentials };
        match self.descriptors.get(fd)? {
            Descriptor::Library(file) => file.ioctl(&caller, command, argument),
            _ => Err(Errno::ENOTTY),
        }
    }

    /// `read(2)` of `count` bytes to `address`.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn read(&self, fd: i32, address: u64, count: usize) -> Result<usize> {
        let mut data = vec![0; count];
        let bytes = self.library_file(fd)?.read(&mut data)?;
        self.memory.write(address, &data[..bytes])?;
        Ok(bytes)
    }

    /// `write(2)` of `count` bytes at `address`.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn write(&self, fd: i32, address: u64, count: usize) -> Result<usize> {
        let mut data = vec![0; count];
        self.memory.read(address, &mut data)?;
        self.library_file(fd)?.write(&data)
    }

    /// `poll(2)` of one descriptor, without waiting.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn poll(&self, fd: i32) -> Result<Ready> {
        Ok(self.library_file(fd)?.poll())
    }

    /// `mmap(2)` of one of the library's files at `address`.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn mmap(&self, address: u64, fd: i32, request: MapRequest) -> Result<()> {
        let mapped = self.library_file(fd)?.mmap(request)?;
        self.memory.map_library(address, mapped)
    }

    /// `fork(2)`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn fork(&self) -> Result<Self> {
        Ok(Self::of(self.memory.fork()?, self.descriptors.fork(), self.credentials))
    }

    /// `exit(2)`: gives all memory back, then closes all descriptors.
    pub fn exit(self) {
        self.memory.clear();
        self.descriptors.clear();
    }

    fn library_file(&self, fd: i32) -> Result<Arc<dyn File>> {
        match self.descriptors.get(fd)? {
            Descriptor::Library(file) => Ok(file),
            _ => Err(Errno::EINVAL),
        }
    }
}
