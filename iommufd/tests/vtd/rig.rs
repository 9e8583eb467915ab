//! A host with a unit, its driver and devices, and user memory to map.

use std::sync::{Arc, Mutex};

use devices::addr::{Iova, Pa, SourceId};
use devices::mem::PhysMem;
use devices::vtd::Config;
use iommufd::device::PhysicalDevice;
use iommufd::driver::vtd::{Mmio, Setup, VtdDriver};
use iommufd::driver::{Attachment, DmaFault, IommuDriver, PagingDomain, PagingFlags, Protection};
use iommufd::span::Span;
use iommufd::{Errno, Host, Options, Result};
use vm_memory::MmapRegion;

use crate::exerciser::{Driver, UserView};
use crate::machine::Machine;

/// Where a user's ring is for its device.
pub const RING: u64 = 0x7000_0000;
/// Where pinned memory may begin in physical memory.
pub const PINNED: u64 = 1 << 40;

/// Read and write.
pub const RW: Protection = Protection::READ.union(Protection::WRITE);

/// Pinned memory of a user, in physical memory at `base`.
#[derive(Clone)]
pub struct Pinned {
    mem: PhysMem,
    /// Its first byte.
    pub base: Pa,
}

impl Pinned {
    /// The byte at an offset.
    pub fn at(&self, offset: u64) -> Pa {
        Pa(self.base.0 + offset)
    }

    /// Some bytes.
    pub fn bytes<const N: usize>(&self, offset: u64) -> [u8; N] {
        let mut data = [0; N];
        self.read(offset, &mut data);
        data
    }
}

impl UserView for Pinned {
    fn read(&self, offset: u64, data: &mut [u8]) {
        self.mem.read(self.at(offset), data).unwrap();
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.mem.write(self.at(offset), data).unwrap();
    }
}

/// The host.
pub struct Rig {
    pub machine: Arc<Machine>,
    pub host: Arc<Host>,
    pub driver: Arc<dyn IommuDriver>,
}

/// A device in the hands of a user, with its domain.
pub struct User {
    pub source: SourceId,
    pub device: Arc<PhysicalDevice>,
    pub domain: Arc<dyn PagingDomain>,
    pub exerciser: Driver<Pinned>,
}

impl Rig {
    /// A host whose unit is as `config` says.
    pub fn new(config: Config) -> Self {
        Self::with(config, |machine| (machine.registers(), machine.setup()))
    }

    /// A host whose driver is given what `seam` makes of the machine.
    pub fn with(config: Config, seam: impl FnOnce(&Arc<Machine>) -> (Arc<dyn Mmio>, Setup)) -> Self {
        let machine = Machine::new(config);
        let (mmio, setup) = seam(&machine);
        let driver = VtdDriver::new(mmio, setup).unwrap();
        machine.set_driver(&driver);
        // Nobody here remaps interrupts.
        let options = Options { allow_unsafe_interrupts: true, ..Options::default() };
        let (host, driver): (_, Arc<dyn IommuDriver>) = (Host::new(options), driver);
        host.add_driver(&driver);
        Self { machine, host, driver }
    }

    /// A unit of the plain preset.
    pub fn plain() -> Self {
        Self::new(preset("vtd-legacy"))
    }

    /// Adds an exerciser at 00:`number`.0.
    pub fn device(&self, number: u8) -> (SourceId, Arc<PhysicalDevice>) {
        let source = self.machine.add_exerciser(number);
        (source, self.host.add_device(&format!("0000:{source}"), &self.driver, None).unwrap())
    }

    /// A domain.
    pub fn domain(&self, device: &PhysicalDevice) -> Arc<dyn PagingDomain> {
        self.driver.alloc_paging(device, PagingFlags::empty(), None).unwrap()
    }

    /// Attaches a device.
    pub fn attach(&self, device: &PhysicalDevice, to: Attachment) -> Result<()> {
        self.driver.attach(device, None, &to)
    }

    /// User memory of so many bytes at `base`.
    pub fn pinned(&self, base: u64, bytes: usize) -> Pinned {
        let base = Pa(base);
        self.machine.mem.plug(base, Arc::new(MmapRegion::new(bytes).unwrap())).unwrap();
        Pinned { mem: self.machine.mem.clone(), base }
    }

    /// RAM, by physical address.
    pub fn ram(&self) -> Pinned {
        Pinned { mem: self.machine.mem.clone(), base: Pa(0) }
    }

    /// A device that is attached to a domain of its own, in which only its ring is mapped: the first page
    /// of `memory`.
    pub fn user(&self, number: u8, memory: &Pinned) -> User {
        let (source, device) = self.device(number);
        let domain = self.domain(&device);
        domain.map(Iova(RING), memory.base, 4096, RW, true).unwrap();
        self.attach(&device, Attachment::Paging(domain.clone())).unwrap();
        let exerciser = Driver::new(&self.machine, source, memory.clone(), 0, RING);
        User { source, device, domain, exerciser }
    }

    /// The faults that were reported since the last call.
    pub fn faults(&self) -> Vec<DmaFault> {
        let faults = self.host.take_dma_faults();
        assert_eq!(faults.lost, 0);
        faults.faults
    }

    /// Source, address, whether a write, reason of each fault that was reported.
    pub fn reasons(&self) -> Vec<(u32, u64, bool, u32)> {
        let row = |fault: DmaFault| (fault.source, fault.address, fault.write, fault.reason);
        self.faults().into_iter().map(row).collect()
    }

    /// Nothing stale was used so far.
    pub fn assert_fresh(&self) {
        assert_eq!(self.machine.take_stale(), []);
    }
}

/// Unmaps, and waits until that is done.
pub fn unmap(domain: &Arc<dyn PagingDomain>, start: u64, bytes: u64) {
    domain.unmap(Span::sized(start, bytes).unwrap());
    domain.sync();
}

/// The configuration of this name.
pub fn preset(name: &str) -> Config {
    Config::preset(name).unwrap()
}

type Change = Box<dyn Fn(u64, u64) -> u64 + Send + Sync>;

/// Stands between a driver and its registers: changes what is read, remembers what is written.
pub struct Spy {
    inner: Arc<dyn Mmio>,
    read: Change,
    before_write: Change,
    writes: Mutex<Vec<(u64, u64)>>,
    patience: u32,
}

impl Spy {
    /// `read` and `before_write` are given the offset and the value, and give the value to go on with.
    pub fn new(
        inner: Arc<dyn Mmio>,
        read: impl Fn(u64, u64) -> u64 + Send + Sync + 'static,
        before_write: impl Fn(u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (read, before_write) = (Box::new(read), Box::new(before_write));
        Arc::new(Self { inner, read, before_write, writes: Mutex::default(), patience: u32::MAX })
    }

    /// One that gives up after so many polls.
    pub fn giving_up(self: Arc<Self>, patience: u32) -> Arc<Self> {
        Arc::new(Self { patience, ..Arc::into_inner(self).unwrap() })
    }

    /// One that changes what reads of the 64-bit register at `offset` give.
    pub fn reading(
        inner: Arc<dyn Mmio>,
        offset: u64,
        change: impl Fn(u64) -> u64 + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::new(inner, move |at, value| if at == offset { change(value) } else { value }, |_, value| value)
    }

    /// Offsets and values written since the last call.
    pub fn writes(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.writes.lock().unwrap())
    }
}

impl Mmio for Spy {
    fn read(&self, offset: u64, size: u32) -> u64 {
        (self.read)(offset, self.inner.read(offset, size))
    }

    fn write(&self, offset: u64, size: u32, value: u64) {
        self.writes.lock().unwrap().push((offset, value));
        self.inner.write(offset, size, (self.before_write)(offset, value));
    }

    fn wait(&self, polls: u32) -> bool {
        polls < self.patience && self.inner.wait(polls)
    }
}

/// The error of a call that fails.
pub fn refusal<T>(result: Result<T>) -> Errno {
    result.err().expect("it is refused")
}
