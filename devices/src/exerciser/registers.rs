//! BAR 0 as dwords.

use super::{Attachment, BUFFER_FIRST, BUFFER_SIZE, Exerciser};
use crate::register;
use crate::register::block::DwordSpace;

const ID: u32 = 0x494f_4d55;
const VERSION: u32 = 1;

register! {
    /// CONTROL.
    struct Control: u32 {
        31:2 RsvdZ _r0,
        1:1  Wo    reset: bool,
        0:0  Rw    enable: bool,
    }
}

register! {
    /// STATUS.
    struct Status: u32 {
        31:4 RsvdZ _r0,
        3:3  Ro    held: bool,
        2:2  Rw1c  bad_descriptor: bool,
        1:1  Rw1c  ring_fault: bool,
        0:0  Ro    busy: bool,
    }
}

/// The device, with what it may use during an access.
pub(crate) struct Registers<'a> {
    pub(super) device: &'a mut Exerciser,
    pub(super) at: &'a mut (dyn Attachment + 'a),
}

impl Registers<'_> {
    /// The name of the register at `offset`, or "".
    pub(crate) const fn name(offset: u64) -> &'static str {
        match offset {
            0x00 => "ID",
            0x04 => "VERSION",
            0x08 => "CONTROL",
            0x0c => "STATUS",
            0x10 | 0x14 => "RING_BASE",
            0x18 => "RING_SIZE",
            0x1c => "TAIL",
            0x20 => "HEAD",
            0x24 => "COMPLETED",
            0x28 => "LATENCY",
            _ => "",
        }
    }

    /// Index in the buffer of the dword at `offset`, if it is there.
    fn in_buffer(offset: u64) -> Option<usize> {
        let at = usize::try_from(offset.checked_sub(BUFFER_FIRST)?).ok()?;
        (at < BUFFER_SIZE).then_some(at)
    }

    fn register(&self, offset: u64) -> u32 {
        let engine = &self.device.engine;
        match offset {
            0x00 => ID,
            0x04 => VERSION,
            0x08 => Control::ZERO.with_enable(engine.enabled).raw(),
            0x0c => Status::ZERO
                .with_busy(engine.busy())
                .with_ring_fault(engine.ring_fault)
                .with_bad_descriptor(engine.bad_descriptor)
                .with_held(engine.is_held())
                .raw(),
            // The two halves.
            0x10 => engine.ring_base as u32,
            0x14 => (engine.ring_base >> 32) as u32,
            0x18 => engine.ring_size,
            0x1c => engine.tail,
            0x20 => engine.head,
            0x24 => engine.completed,
            0x28 => engine.latency,
            _ => 0,
        }
    }
}

impl DwordSpace for Registers<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        match Self::in_buffer(offset) {
            Some(at) => self.device.buffer[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)),
            None => self.register(offset),
        }
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        let merged = (self.read_dword(offset) & !lanes) | (value & lanes);
        if let Some(at) = Self::in_buffer(offset) {
            if let Some(bytes) = self.device.buffer[at..].first_chunk_mut() {
                *bytes = merged.to_le_bytes();
            }
            return;
        }
        let Exerciser { engine, buffer, .. } = &mut *self.device;
        match offset {
            0x08 => {
                let control = Control::from_raw(merged);
                engine.control(control.enable(), control.reset(), buffer, self.at);
            }
            0x0c => {
                let cleared = Status::from_raw(value & lanes);
                engine.ring_fault &= !cleared.ring_fault();
                engine.bad_descriptor &= !cleared.bad_descriptor();
            }
            0x10 if !engine.busy() => {
                engine.ring_base = (engine.ring_base & !0xffff_ffff) | u64::from(merged & !0x3f);
            }
            0x14 if !engine.busy() => {
                engine.ring_base = (engine.ring_base & 0xffff_ffff) | u64::from(merged) << 32;
            }
            0x18 => engine.set_ring_size(merged, self.at),
            0x1c => engine.doorbell(merged, buffer, self.at),
            0x28 => engine.latency = merged,
            // ID, VERSION, HEAD and COMPLETED are read only, and nothing else is there.
            _ => {}
        }
    }
}
