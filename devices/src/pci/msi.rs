//! The MSI capability [PCIe 7.7.1], in its 64-bit form.

use super::config::{Builder, ConfigSpace};
use crate::register;
use crate::vectors::Message;

const ID: u8 = 0x05;
const ADDRESS: u16 = 0x04;
const ADDRESS_UPPER: u16 = 0x08;
const DATA: u16 = 0x0c;
const MASK: u16 = 0x10;
const PENDING: u16 = 0x14;

register! {
    /// Message Control, and the list header before it [PCIe 7.7.1.1, 7.7.1.2].
    pub(super) struct Control: u32 {
        31:25 Ro _r0,
        24:24 Ro maskable: bool,
        23:23 Ro wide: bool,
        22:20 Rw enabled_log2: u8,
        19:17 Ro capable_log2: u8,
        16:16 Rw enable: bool,
        15:8  Ro next: u8,
        7:0   Ro id: u8,
    }
}

/// Which form of the capability a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiSpec {
    /// Vectors: 1, 2, 4, 8, 16 or 32.
    pub vectors: u8,
    /// Whether each can be masked.
    pub maskable: bool,
}

/// The capability of one function. All its state is in the configuration space.
#[derive(Clone, Copy)]
pub(super) struct Msi {
    at: u16,
    spec: MsiSpec,
}

impl Msi {
    pub(super) fn build(builder: &mut Builder, spec: MsiSpec) -> Self {
        let at = builder.capability(if spec.maskable { 0x18 } else { 0x10 });
        // A count of vectors is a power of two up to 32, so its logarithm is at most 5.
        let log2 = spec.vectors.max(1).ilog2() as u8;
        let control =
            Control::ZERO.with_id(ID).with_wide(true).with_maskable(spec.maskable).with_capable_log2(log2);
        builder.register(at, control);
        builder.raw(at + ADDRESS, 0, !3);
        builder.raw(at + ADDRESS_UPPER, 0, u32::MAX);
        builder.raw(at + DATA, 0, 0xffff);
        if spec.maskable {
            builder.raw(at + MASK, 0, u32::MAX >> (32 - (1_u32 << log2)));
            builder.raw(at + PENDING, 0, 0);
        }
        Self { at, spec }
    }

    pub(super) fn enabled(&self, config: &ConfigSpace) -> bool {
        self.control(config).enable()
    }

    /// The event of `vector` has occurred: its message, unless it is masked and now pending.
    /// Vectors beyond those enabled share the enabled ones [PCIe 7.7.1.2].
    pub(super) fn raise(&self, config: &mut ConfigSpace, vector: u16) -> Option<Message> {
        let vector = vector % self.vectors(config);
        let bit = 1 << vector;
        if self.masked(config) & bit != 0 {
            config.update(self.at + PENDING, bit, bit);
            return None;
        }
        Some(self.message(config, vector))
    }

    /// One message that was pending and is not masked any more; called until there is none.
    pub(super) fn unmasked(&self, config: &mut ConfigSpace) -> Option<Message> {
        if !self.spec.maskable || !self.enabled(config) {
            return None;
        }
        let ready = config.dword(self.at + PENDING) & !self.masked(config);
        // A dword has at most 32 bits to count.
        let vector = (ready != 0).then(|| ready.trailing_zeros() as u16)?;
        config.update(self.at + PENDING, 1 << vector, 0);
        Some(self.message(config, vector % self.vectors(config)))
    }

    fn control(&self, config: &ConfigSpace) -> Control {
        Control::from_raw(config.dword(self.at))
    }

    fn vectors(&self, config: &ConfigSpace) -> u16 {
        let control = self.control(config);
        1 << control.enabled_log2().min(control.capable_log2())
    }

    fn masked(&self, config: &ConfigSpace) -> u32 {
        if self.spec.maskable { config.dword(self.at + MASK) } else { 0 }
    }

    fn message(&self, config: &ConfigSpace, vector: u16) -> Message {
        let upper = u64::from(config.dword(self.at + ADDRESS_UPPER));
        let data = config.dword(self.at + DATA) & !u32::from(self.vectors(config) - 1);
        Message {
            address: upper << 32 | u64::from(config.dword(self.at + ADDRESS)),
            data: data | u32::from(vector),
        }
    }
}
