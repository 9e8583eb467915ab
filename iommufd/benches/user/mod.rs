//! A process with `/dev/iommu` open, and what the benchmarks do with it.

// Each benchmark uses a part of it.
#![allow(dead_code)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Bencher, Criterion};
use iommufd::process::{
    Caller, Capabilities, Credentials, Descriptors, Extent, MmId, PinAccess, RegionMemory, UserMemory,
};
use iommufd::span::Span;
use iommufd::uapi::test::{MockDomain, Operation, TestCmd};
use iommufd::uapi::{Command, Destroy, HwptAlloc, IoasAlloc, IoasMap, IoasMapFlags, IoasUnmap};
use iommufd::{Errno, Host, Iommufd, Options, Result};
use vm_memory::{GuestAddress, GuestMemoryMmap};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Bytes of the process's buffer.
pub const BUFFER_BYTES: u64 = 1 << 30;
/// Where the process has it.
pub const BUFFER: u64 = 1 << 40;
/// Where the arguments of calls are.
pub const ARGUMENTS: u64 = 1 << 20;
/// An IOVA with 1 GiB above it in the mock's domains.
pub const IOVA: u64 = 1 << 30;

/// How the pages of the buffer lie in physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All in a row.
    Contiguous,
    /// No two neighbours side by side.
    Scattered,
}

/// Memory whose pages have been shuffled: each is an extent of its own.
struct Scattered {
    memory: Arc<RegionMemory>,
    extents: Vec<Extent>,
}

impl Scattered {
    fn new(memory: Arc<RegionMemory>) -> Self {
        let buffer = Span { start: BUFFER, last: BUFFER + (BUFFER_BYTES - 1) };
        let whole = memory.pin(buffer, PinAccess::Write).expect("the buffer is there");
        let pages = BUFFER_BYTES / PAGE;
        // An odd factor visits every page of a power of two, and its successor is far away.
        let extent = |n| Extent { offset: n * 100_003 % pages * PAGE, bytes: PAGE, ..whole[0].clone() };
        Self { memory, extents: (0..pages).map(extent).collect() }
    }
}

impl UserMemory for Scattered {
    fn id(&self) -> MmId {
        self.memory.id()
    }

    fn read(&self, address: u64, data: &mut [u8]) -> Result<()> {
        self.memory.read(address, data)
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<()> {
        self.memory.write(address, data)
    }

    fn pin(&self, pages: Span, _: PinAccess) -> Result<Vec<Extent>> {
        let page = |address: u64| ((address - BUFFER) / PAGE) as usize;
        self.extents.get(page(pages.start)..=page(pages.last)).map(<[_]>::to_vec).ok_or(Errno::EFAULT)
    }
}

/// The process.
pub struct User {
    pub memory: Arc<dyn UserMemory>,
    pub iommufd: Arc<Iommufd>,
    files: Descriptors,
}

impl User {
    /// One with 1 GiB of memory that nobody has touched, on a host with the mock IOMMU.
    pub fn new(layout: Layout) -> Self {
        let ranges =
            [(GuestAddress(ARGUMENTS), PAGE as usize), (GuestAddress(BUFFER), BUFFER_BYTES as usize)];
        let regions = GuestMemoryMmap::<()>::from_ranges(&ranges).expect("memory for the benchmark");
        let memory = RegionMemory::new(&regions).expect("the regions are whole pages");
        let memory: Arc<dyn UserMemory> = match layout {
            Layout::Contiguous => memory,
            Layout::Scattered => Arc::new(Scattered::new(memory)),
        };
        let iommufd = Host::new(Options { selftest: true, ..Options::default() }).open();
        Self { memory, iommufd, files: Descriptors::default() }
    }

    /// The process in a call.
    pub fn caller(&self) -> Caller<'_> {
        let credentials = Credentials { uid: 1000, capabilities: Capabilities::empty(), memlock: 4 << 30 };
        Caller { memory: &self.memory, files: &self.files, credentials }
    }

    /// Does `command` and gives what it answers.
    pub fn try_call<T: Command>(&self, command: T) -> Result<T> {
        self.caller().call(&*self.iommufd, ARGUMENTS, black_box(command))
    }

    /// Does `command`, which works.
    pub fn call<T: Command>(&self, command: T) -> T {
        self.try_call(command).expect("the call works")
    }

    /// Does an operation of the self-tests on the object `id`.
    pub fn test<T: Operation>(&self, id: u32, operation: T) -> T {
        let mut command = TestCmd { op: T::OP, id, ..TestCmd::default() };
        command.set(&operation);
        self.call(command).get()
    }

    /// A new IOAS that is in so many domains.
    pub fn ioas(&self, domains: u32) -> u32 {
        let ioas = self.call(IoasAlloc::default()).out_ioas_id;
        if domains > 0 {
            let dev_id = self.test(ioas, MockDomain::default()).out_idev_id;
            for _ in 1..domains {
                self.hwpt(dev_id, ioas);
            }
        }
        ioas
    }

    /// A new HWPT on `pt_id`.
    pub fn hwpt(&self, dev_id: u32, pt_id: u32) -> u32 {
        self.call(HwptAlloc { dev_id, pt_id, ..HwptAlloc::default() }).out_hwpt_id
    }

    /// Maps part of the buffer at `iova`, or where the library likes.
    pub fn map(&self, ioas_id: u32, iova: Option<u64>, offset: u64, length: u64) -> u64 {
        let fixed = if iova.is_some() { IoasMapFlags::FIXED_IOVA } else { IoasMapFlags::empty() };
        let flags = fixed | IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE;
        let (iova, user_va) = (iova.unwrap_or(0), BUFFER + offset);
        self.call(IoasMap { flags, ioas_id, user_va, length, iova, ..IoasMap::default() }).iova
    }

    /// Unmaps what was mapped as a whole.
    pub fn unmap(&self, ioas_id: u32, iova: u64, length: u64) {
        let unmapped = self.call(IoasUnmap { ioas_id, iova, length, ..IoasUnmap::default() });
        assert_eq!(unmapped.length, length);
    }

    /// Destroys an object.
    pub fn destroy(&self, id: u32) {
        self.call(Destroy { id, ..Destroy::default() });
    }
}

/// Times `timed` alone, with `undo` after each, which is given what it made.
pub fn time<T>(b: &mut Bencher<'_>, mut timed: impl FnMut() -> T, mut undo: impl FnMut(T)) {
    b.iter_custom(|iterations| {
        (0..iterations).fold(Duration::ZERO, |sum, _| {
            let start = Instant::now();
            let made = timed();
            let elapsed = start.elapsed();
            undo(made);
            sum + elapsed
        })
    });
}

/// Short runs: what is measured is seldom within a few percent of its aim.
pub fn settings() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
}
