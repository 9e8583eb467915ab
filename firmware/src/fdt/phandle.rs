//! The numbers by which nodes refer to each other.

use std::collections::BTreeSet;

use crate::arm::{Description, Master};

/// The phandles of a machine's tree: 1 to 3 are the GIC's, the ITS's and the clock's; SMMUs, reserved
/// memory, platform devices and PCI functions follow in this order.
pub(super) struct Phandles {
    smmus: usize,
    reserved: usize,
    devices: usize,
    functions: Vec<Master>,
    its: bool,
}

impl Phandles {
    const FIRST: usize = 4;

    pub fn new(machine: &Description) -> Self {
        let masters = machine.reserved.iter().flat_map(|reserved| reserved.masters.iter().copied());
        let functions = masters.filter(|master| matches!(master, Master::Pci { .. }));
        Self {
            smmus: machine.smmus.len(),
            reserved: machine.reserved.len(),
            devices: machine.devices.len(),
            functions: functions.collect::<BTreeSet<_>>().into_iter().collect(),
            its: machine.gic.its.is_some(),
        }
    }

    pub fn gic(&self) -> u32 {
        1
    }

    /// None without an ITS.
    pub fn its(&self) -> Option<u32> {
        self.its.then_some(2)
    }

    pub fn clock(&self) -> u32 {
        3
    }

    pub fn smmu(&self, index: usize) -> u32 {
        number(Self::FIRST + index)
    }

    pub fn reserved(&self, index: usize) -> u32 {
        number(Self::FIRST + self.smmus + index)
    }

    /// Of a platform device, or of a PCI function that has a node.
    pub fn master(&self, master: Master) -> u32 {
        let devices = Self::FIRST + self.smmus + self.reserved;
        match master {
            Master::Platform(index) => number(devices + index),
            Master::Pci { .. } => {
                let index = self.functions.partition_point(|&function| function < master);
                number(devices + self.devices + index)
            }
        }
    }

    /// The PCI functions that have nodes, in ascending order.
    pub fn functions(&self) -> &[Master] {
        &self.functions
    }
}

/// Lists of so many nodes make no blob anyway, so that saturation is never seen.
fn number(phandle: usize) -> u32 {
    u32::try_from(phandle).unwrap_or(u32::MAX - 1)
}
