//! A user maps memory through an iommufd, and a device behind a VT-d unit does DMA into it.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use devices::addr::{Pa, SourceId};
use devices::fabric::{DmaPort, Effect, Effects, Outcome, Request, posted_write};
use devices::mem::PhysMem;
use devices::vtd::{Config, Unit};
use iommufd::device::BoundDevice;
use iommufd::driver::IommuDriver;
use iommufd::driver::vtd::{FaultMessage, Mmio, Scope, Setup, VtdDriver};
use iommufd::process::{Caller, Capabilities, Credentials, Descriptors, RegionMemory, UserMemory};
use iommufd::span::Span;
use iommufd::uapi::{IoasAlloc, IoasMap, IoasMapFlags, IoasUnmap};
use iommufd::{Host, Options};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// A modelled VT-d unit, and the wires from it.
struct Chipset {
    ram: PhysMem,
    unit: Mutex<Unit>,
}

impl Chipset {
    /// Does `access` on the unit, delivers what it leads to, and gives the interrupt vectors.
    fn access(&self, fx: &mut Effects, access: impl FnOnce(&mut Unit, &mut Effects)) -> Vec<u8> {
        let mut unit = self.unit.lock().unwrap_or_else(PoisonError::into_inner);
        access(&mut unit, fx);
        let mut vectors = Vec::new();
        loop {
            let effects = fx.take();
            if effects.is_empty() {
                return vectors;
            }
            for effect in effects {
                match effect {
                    Effect::Fault { fault, .. } => unit.fault(fault, fx),
                    Effect::PostedWrite { address, data, .. } if posted_write(&self.ram, address, data) => {
                        vectors.push(data as u8);
                    }
                    _ => {}
                }
            }
        }
    }
}

impl Mmio for Chipset {
    fn read(&self, offset: u64, size: u32) -> u64 {
        let mut data = [0; 8];
        self.access(&mut Effects::default(), |unit, fx| unit.read(offset, &mut data[..size as usize], fx));
        u64::from_le_bytes(data)
    }

    fn write(&self, offset: u64, size: u32, value: u64) {
        let data = &value.to_le_bytes()[..size as usize];
        self.access(&mut Effects::default(), |unit, fx| unit.write(offset, data, fx));
    }
}

/// The machine, the host, the user, and what the device meets.
pub fn main() -> Result<(), Box<dyn Error>> {
    // The machine: 64 MiB of RAM, a unit, and a device that masters the bus as 00:04.0.
    let ram = PhysMem::anonymous(&[(Pa(0), 64 << 20)])?;
    let unit = Unit::new(Config::preset("vtd-legacy").ok_or("there is such a unit")?, ram.clone());
    let mut device_port = DmaPort::new(SourceId::new(0, 4, 0), ram.clone(), unit.translator());
    device_port.set_enabled(true);
    let chipset = Arc::new(Chipset { ram: ram.clone(), unit: Mutex::new(unit) });

    // The unit's driver, which has the upper half of RAM for its tables.
    let setup = Setup {
        memory: ram.clone(),
        tables: Span { start: 32 << 20, last: (64 << 20) - 1 },
        host_address_width: 48,
        ram: vec![Span { start: 0, last: (64 << 20) - 1 }],
        direct: Vec::new(),
        scope: Scope::Rest,
        fault_message: FaultMessage { vector: 0x51, destination: 0 },
    };
    let vtd = VtdDriver::new(chipset.clone(), setup)?;
    let driver: Arc<dyn IommuDriver> = vtd.clone();

    // The host: what it pins appears in the machine's memory. Nobody here remaps interrupts.
    let host = Host::new(Options { allow_unsafe_interrupts: true, ..Options::default() });
    host.frames.connect(Arc::new(ram))?;
    host.add_driver(&driver);
    let device = host.add_device("0000:00:04.0", &driver, None)?;

    // The user: 1 MiB of memory from address 0 on, no rights, at most 8 MiB pinned.
    let regions = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 1 << 20)])?;
    let memory: Arc<dyn UserMemory> = RegionMemory::new(&regions)?;
    let files = Descriptors::default();
    let credentials = Credentials { uid: 1000, capabilities: Capabilities::empty(), memlock: 8 << 20 };
    let user = Caller { memory: &memory, files: &files, credentials };

    // It opens /dev/iommu, makes an I/O address space, attaches the device, and maps a buffer of two
    // pages. The arguments of its ioctls are at address 0.
    let iommufd = host.open();
    let ioas_id = user.call(&*iommufd, 0, IoasAlloc::default())?.out_ioas_id;
    let bound = BoundDevice::bind(iommufd.ctx(), &device)?;
    bound.attach(None, ioas_id)?;
    let map = IoasMap {
        flags: IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE,
        ioas_id,
        user_va: 0x8000,
        length: 0x2000,
        ..IoasMap::default()
    };
    let iova = user.call(&*iommufd, 0, map)?.iova;

    // The device writes through the unit's tables, across the border between the pages.
    let mut fx = Effects::default();
    let written = device_port.write(Request::at(iova + 0xffa), b"hello, user", &mut fx);
    assert_eq!(written.outcome, Outcome::Done);
    let mut data = [0; 11];
    regions.read_slice(&mut data, GuestAddress(0x8ffa))?;
    assert_eq!(&data, b"hello, user");

    // Once it is unmapped, the same DMA is refused. The unit records why and interrupts its driver.
    user.call(&*iommufd, 0, IoasUnmap { ioas_id, iova, length: 0x2000, ..IoasUnmap::default() })?;
    let refused = device_port.write(Request::at(iova), b"too late", &mut fx);
    assert!(matches!(refused.outcome, Outcome::Abort(_)));
    for vector in chipset.access(&mut fx, |_, _| {}) {
        while vtd.interrupt(vector) {}
    }
    let faults = host.take_dma_faults().faults;
    let [fault] = &faults[..] else { return Err("one DMA was refused".into()) };
    assert_eq!((fault.device, fault.address, fault.write), (Some(device.id()), iova, true));
    println!("00:04.0 may not write at {:#x}: fault reason {:#04x}", fault.address, fault.reason);
    Ok(())
}
