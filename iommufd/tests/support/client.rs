//! A process with `/dev/iommu` open, and its ioctls as structures in and out.

use std::sync::Arc;

use iommufd::errno::Result;
use iommufd::process::UserMemory;
use iommufd::uapi::test::{self, Operation, TestCmd};
use iommufd::uapi::{
    Command, Destroy, HwptAlloc, HwptAllocFlags, IoasAlloc, IoasMap, IoasMapFlags, IoasUnmap,
};
use iommufd::{Host, Options};
use zerocopy::IntoBytes;

use super::Process;

/// One who uses an iommufd.
pub struct Client {
    /// The host that the iommufd is of.
    pub host: Arc<Host>,
    /// Who calls.
    pub process: Process,
    /// The descriptor.
    pub iommufd: i32,
}

impl Client {
    /// Root on a host with the mock IOMMU.
    pub fn new() -> Self {
        Self::on(&Host::new(Options { selftest: true, ..Options::default() }))
    }

    /// Root on `host`.
    pub fn on(host: &Arc<Host>) -> Self {
        let process = Process::root();
        let iommufd = process.open(host).unwrap();
        Self { host: Arc::clone(host), process, iommufd }
    }

    /// Does `command`, filling in its size, and returns what the call returned and left in it.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn call<T: Command>(&self, command: T) -> Result<(i64, T)> {
        call(&self.process, self.iommufd, command)
    }

    /// Does `command` for what it leaves in its structure.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn get<T: Command>(&self, command: T) -> Result<T> {
        self.call(command).map(|(_, command)| command)
    }

    /// Does an operation of the self-tests on the object `id`.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn test<T: Operation>(&self, id: u32, operation: T) -> Result<T> {
        let mut command = TestCmd { op: T::OP, id, ..TestCmd::default() };
        command.set(&operation);
        self.get(command).map(|command| command.get())
    }

    /// A new IOAS.
    pub fn ioas(&self) -> u32 {
        self.get(IoasAlloc::default()).unwrap().out_ioas_id
    }

    /// A new mock device, attached to `pt_id`.
    pub fn mock_device(&self, pt_id: u32) -> test::MockDomain {
        self.test(pt_id, test::MockDomain::default()).unwrap()
    }

    /// A new HWPT of the mock, on the IOAS `pt_id` without data, on a HWPT or vIOMMU with.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn hwpt(&self, dev_id: u32, pt_id: u32, flags: HwptAllocFlags, data: Option<u64>) -> Result<u32> {
        let mut command = HwptAlloc { flags, dev_id, pt_id, ..HwptAlloc::default() };
        if let Some(address) = data {
            let value = test::HwptSelftest { iotlb: test::TEST_IOTLB_DEFAULT, pagetable_type: 0 };
            self.process.memory.write(address, value.as_bytes())?;
            command.data_type = test::HWPT_DATA_SELFTEST;
            command.data_len = size_of_val(&value) as u32;
            command.data_uptr = address;
        }
        self.get(command).map(|command| command.out_hwpt_id)
    }

    /// Maps memory of the process, for reading and writing, where the library likes.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn map(&self, ioas_id: u32, user_va: u64, length: u64) -> Result<u64> {
        let flags = IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE;
        self.get(IoasMap { flags, ioas_id, user_va, length, ..IoasMap::default() }).map(|map| map.iova)
    }

    /// Unmaps.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn unmap(&self, ioas_id: u32, iova: u64, length: u64) -> Result<u64> {
        self.get(IoasUnmap { ioas_id, iova, length, ..IoasUnmap::default() }).map(|unmap| unmap.length)
    }

    /// Destroys the object `id`.
    ///
    /// # Errors
    /// The errno of the call.
    pub fn destroy(&self, id: u32) -> Result<()> {
        self.get(Destroy { id, ..Destroy::default() }).map(|_| ())
    }
}

/// Does `command` on `fd`, filling in its size, and returns what the call returned and left in it.
///
/// # Errors
/// The errno of the call.
pub fn call<T: Command>(process: &Process, fd: i32, command: T) -> Result<(i64, T)> {
    let mut command = command;
    // The first field of every structure is its size.
    command.as_mut_bytes()[..4].copy_from_slice(&(size_of::<T>() as u32).to_ne_bytes());
    process.memory.write(Process::ARGUMENTS, command.as_bytes())?;
    let result = process.ioctl(fd, T::REQUEST, Process::ARGUMENTS)?;
    process.memory.read(Process::ARGUMENTS, command.as_mut_bytes())?;
    Ok((result, command))
}
