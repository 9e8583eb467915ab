//! The platform bus of a virt: devices that are no PCI functions, 64 KiB of registers and an interrupt
//! line each, in the order in which they were asked for.

use devices::addr::StreamId;
use devices::events::{DeviceEvent, DeviceId};
use devices::fabric::{Effects, Initiator, Resumption, StallTag};
use devices::platform::{Device, REGISTERS_SIZE, State, StateError};
use firmware::arm::{PlatformDevice, PlatformMaster, Spi, Trigger};

use super::{Machine, layout::virt as layout};
use crate::config::PlatformSpec;

/// The devices of the bus; none on a board without it.
#[derive(Debug)]
pub(super) struct Platform {
    devices: Vec<Device>,
}

impl Platform {
    pub fn new(devices: Vec<Device>) -> Self {
        Self { devices }
    }

    /// Reads registers. Returns whether there are any; if not, `data` is untouched.
    pub fn read(&mut self, address: u64, data: &mut [u8], fx: &mut Effects) -> bool {
        let Some((device, offset)) = self.find(address) else { return false };
        device.read(offset, data, fx);
        true
    }

    /// Writes registers. Returns whether there are any.
    pub fn write(&mut self, address: u64, data: &[u8], fx: &mut Effects) -> bool {
        let Some((device, offset)) = self.find(address) else { return false };
        device.write(offset, data, fx);
        true
    }

    /// Delivers an event. Returns whether `id` is one of the bus's.
    pub fn event(&mut self, id: DeviceId, event: DeviceEvent, fx: &mut Effects) -> bool {
        let device = self.devices.iter_mut().find(|device| device.id() == id);
        device.map(|device| device.event(event, fx)).is_some()
    }

    /// Tells whoever has the held transaction of this tag; nobody may have it any more.
    pub fn resume(&mut self, tag: StallTag, how: Resumption, fx: &mut Effects) {
        let _ = self.devices.iter_mut().any(|device| device.resume(tag, how, fx));
    }

    /// The StreamIDs of the devices.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.devices.iter().filter_map(stream)
    }

    /// The first device of this StreamID.
    pub fn by_stream(&mut self, wanted: StreamId) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| stream(device) == Some(wanted))
    }

    pub fn save(&self) -> Vec<State> {
        self.devices.iter().map(Device::save).collect()
    }

    /// Whether there are as many devices as in `states`.
    pub fn fits(&self, states: &[State]) -> bool {
        self.devices.len() == states.len()
    }

    /// Whether [`Self::restore`] would take `states`.
    pub fn check(&self, states: &[State]) -> Result<(), StateError> {
        self.devices.iter().zip(states).try_for_each(|(device, state)| device.check(state))
    }

    /// Continues from states that [fit](Self::fits); if one is damaged, nothing has changed.
    pub fn restore(&mut self, states: Vec<State>) -> Result<(), StateError> {
        self.check(&states)?;
        self.devices.iter_mut().zip(states).try_for_each(|(device, state)| device.restore(state))
    }

    /// The device whose registers are at `address`, with the offset in them.
    fn find(&mut self, address: u64) -> Option<(&mut Device, u64)> {
        let inside = address.checked_sub(layout::PLATFORM_DEVICES_BASE)?;
        let index = usize::try_from(inside / REGISTERS_SIZE).ok()?;
        Some((self.devices.get_mut(index)?, inside % REGISTERS_SIZE))
    }
}

fn stream(device: &Device) -> Option<StreamId> {
    match device.initiator() {
        Initiator::Platform { stream, .. } => Some(stream),
        Initiator::Pci { .. } | Initiator::IoApic { .. } => None,
    }
}

impl Machine {
    /// The devices of the platform bus as firmware describes them to an operating system.
    pub fn platform_devices(&self) -> Vec<PlatformDevice> {
        let specs = self.config.devices.iter().filter_map(|device| device.platform.as_ref());
        specs.enumerate().map(|(index, spec)| self.platform_device(index, spec)).collect()
    }

    fn platform_device(&self, index: usize, spec: &PlatformSpec) -> PlatformDevice {
        let PlatformSpec { stream, can_stall, ssid_bits, iommu: _ } = *spec;
        let base = layout::platform_device_base(index);
        let master = self.served.platform_owner(spec).map(|smmu| PlatformMaster {
            smmu,
            streams: vec![stream.0],
            substream_bits: ssid_bits,
            can_stall,
        });
        PlatformDevice {
            name: "exerciser".to_owned(),
            compatible: vec!["iommulator,exerciser".to_owned()],
            registers: base..=base + (REGISTERS_SIZE - 1),
            interrupts: vec![Spi { number: layout::platform_device_line(index), trigger: Trigger::Level }],
            coherent: true,
            master,
            msi_device: Some(stream.0),
        }
    }
}
