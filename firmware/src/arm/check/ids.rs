//! Numbers by which things are known: SPIs, StreamIDs, DeviceIDs.

use super::{Checked, disjoint, distinct};
use crate::arm::{Description, DescriptionError};

/// INTIDs of SPIs end at 1019.
const SPI_LAST: u32 = 987;

impl Description {
    pub(super) fn check_spis(&self) -> Checked {
        let smmus = self.smmus.iter().flat_map(|smmu| {
            let lines = smmu.interrupts;
            [lines.event, lines.pri, lines.sync, lines.gerror].into_iter().flatten()
        });
        let devices = self.devices.iter().flat_map(|device| &device.interrupts).map(|line| line.number);
        let peripherals = self.uarts().chain(&self.rtc).map(|peripheral| peripheral.spi);
        let board = peripherals.chain(self.pci.intx);
        let spis: Vec<_> = board.chain(smmus).chain(devices).collect();
        if let Some(&spi) = spis.iter().find(|&&spi| spi > SPI_LAST) {
            let remedy = "SPIs are 0 to 987";
            return Err(DescriptionError::Value { what: "an SPI", value: spi.into(), remedy });
        }
        distinct("SPI", spis.into_iter().map(u64::from))
    }

    /// Requesters have one StreamID, and StreamIDs of one SMMU one requester.
    pub(super) fn check_streams(&self) -> Checked {
        let mut requesters = Vec::new();
        let mut streams = vec![Vec::new(); self.smmus.len()];
        for entry in &self.pci.streams {
            let (first, last) = (u64::from(*entry.requesters.start()), u64::from(*entry.requesters.end()));
            if first > last || last >> 8 > self.pci.last_bus.into() {
                let what = "a range of requester ids";
                let remedy = "use at least one, on buses that there are";
                return Err(DescriptionError::Range { what, first, last, remedy });
            }
            requesters.push(("PCI requester ids", first..=last));
            let stream = u64::from(entry.stream)..=u64::from(entry.stream) + (last - first);
            if *stream.end() > u32::MAX.into() {
                let (first, last) = stream.into_inner();
                let remedy = "they have 32 bits";
                return Err(DescriptionError::Range { what: "a range of StreamIDs", first, last, remedy });
            }
            let of_smmu = streams.get_mut(entry.smmu);
            let missing = DescriptionError::NoSmmu { what: "the requester id", id: first };
            of_smmu.ok_or(missing)?.push(("StreamIDs of PCI functions", stream));
        }
        for (index, device) in self.devices.iter().enumerate() {
            if let Some(master) = &device.master {
                let missing = DescriptionError::NoSmmu { what: "the platform device", id: index as u64 };
                let of_smmu = streams.get_mut(master.smmu).ok_or(missing)?;
                let own = master.streams.iter().map(|&stream| u64::from(stream)..=u64::from(stream));
                of_smmu.extend(own.map(|stream| ("a platform device's StreamID", stream)));
            }
        }
        disjoint(&mut requesters)?;
        streams.iter_mut().try_for_each(|streams| disjoint(streams))
    }

    /// DeviceIDs are distinct, those of PCI functions included.
    pub(super) fn check_msi(&self) -> Checked {
        let devices = self.devices.iter().filter_map(|device| device.msi_device);
        let ids: Vec<_> = self.smmus.iter().filter_map(|smmu| smmu.msi_device).chain(devices).collect();
        if let (None, Some(&id)) = (self.gic.its, ids.first()) {
            return Err(DescriptionError::NoIts(id));
        }
        if let Some(&id) = ids.iter().find(|&&id| id >> 8 <= self.pci.last_bus.into()) {
            let remedy = "a PCI function has it: use one above those of the last bus";
            return Err(DescriptionError::Value { what: "a DeviceID", value: id.into(), remedy });
        }
        distinct("DeviceID", ids.into_iter().map(u64::from))
    }
}
