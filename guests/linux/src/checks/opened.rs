//! A function that is open, bound to an iommufd of its own, and has a ring.

use std::io;
use std::os::fd::OwnedFd;

use guests::arena::Arena;
use guests::error::Error;
use guests::exerciser::{Completion, Dma, Exerciser, Op, Platform};
use guests::hw::Hw;

use super::{Bench, PAGE};
use crate::iommufd::{Id, Iommufd};
use crate::process::Process;
use crate::sys;
use crate::sysfs::Function;
use crate::uapi::VECTORS;
use crate::vfio::Device;

/// A driver's mistake as an error of a section.
pub fn failed(error: Error) -> io::Error {
    io::Error::other(format!("{error:?}"))
}

/// A function under the control of this program.
pub struct Opened {
    /// The exerciser.
    pub exerciser: Exerciser<Platform>,
    /// Its id in the iommufd.
    pub id: Id,
    /// BAR 0 in this process.
    pub bar: u64,
    /// VFIO's side of it. Closed before the iommufd, as long as objects depend on the device.
    pub device: Device,
}

impl Opened {
    /// Opens and binds a function; its ring is a page of `arena`.
    pub fn new(
        hw: &mut Process,
        arena: &mut Arena,
        function: &Function,
        iommufd: &Iommufd,
    ) -> io::Result<Self> {
        let device = Device::open(&function.cdev()?)?;
        let id = device.bind(iommufd)?;
        Self::enable(hw, arena, device, id)
    }

    /// Takes over a device that is bound, or does not need to be.
    pub fn enable(hw: &mut Process, arena: &mut Arena, device: Device, id: Id) -> io::Result<Self> {
        let bar = hw.add_window(device.enable()?);
        let exerciser = Exerciser::find(hw, arena, bar).map_err(failed)?;
        let exerciser = exerciser.ok_or_else(|| io::Error::other("BAR 0 is not that of an exerciser"))?;
        Ok(Self { exerciser, id, bar, device })
    }

    /// The page of the ring, as a range of memory.
    pub fn ring(&self) -> (u64, u64) {
        (self.exerciser.ring(), PAGE)
    }

    /// Has all vectors signal eventfds, and `hw` take them.
    pub fn connect_vectors(&self, hw: &mut Process) -> io::Result<()> {
        let eventfds: Vec<OwnedFd> = (0..VECTORS).map(|_| sys::eventfd()).collect::<io::Result<_>>()?;
        let eventfds: [OwnedFd; VECTORS] =
            eventfds.try_into().map_err(|_| io::Error::other("as many eventfds as vectors"))?;
        self.device.set_vectors(&eventfds)?;
        hw.take_interrupts_from(Some(eventfds));
        Ok(())
    }
}

impl Bench {
    /// Has the device do a DMA.
    pub(super) fn dma(&mut self, on: &mut Opened, dma: Dma) -> Result<Completion, Error> {
        on.exerciser.run(&mut self.hw, &dma)
    }

    /// Checks that the device reads from `iova` what this process finds at `address`.
    pub(super) fn device_reads(&mut self, on: &mut Opened, iova: u64, address: u64, what: &str) -> bool {
        let dma = Dma::new(Op::Read { len: PAGE as u32, buffer: 0 }, iova);
        let got = self.dma(on, dma);
        let mut arrived = vec![0; PAGE as usize / 4];
        on.exerciser.read_buffer(&mut self.hw, 0, &mut arrived);
        let expected: Vec<u32> =
            (address..).step_by(4).map(|at| self.hw.mem_read32(at)).take(arrived.len()).collect();
        let got = got.map(|got| (got.status, got.bytes, arrived == expected));
        self.equal(&got, &Ok((guests::exerciser::Status::Done, PAGE as u32, true)), what)
    }

    /// Checks that what the device writes to `iova` arrives at `address`, and puts `seed`'s pattern there.
    pub(super) fn device_writes(
        &mut self,
        on: &mut Opened,
        iova: u64,
        address: u64,
        seed: u32,
        what: &str,
    ) -> bool {
        let sent = super::pattern(seed);
        on.exerciser.write_buffer(&mut self.hw, 0, &sent);
        let got = self.dma(on, Dma::new(Op::Write { len: PAGE as u32, buffer: 0 }, iova));
        let arrived = (address..).step_by(4).zip(&sent).all(|(at, dword)| self.hw.mem_read32(at) == *dword);
        let got = got.map(|got| (got.status, got.bytes, arrived));
        self.equal(&got, &Ok((guests::exerciser::Status::Done, PAGE as u32, true)), what)
    }

    /// Fills a page of memory.
    pub(super) fn fill(&mut self, address: u64, seed: u32) {
        for (at, dword) in (address..).step_by(4).zip(super::pattern(seed)) {
            self.hw.mem_write32(at, dword);
        }
    }
}
