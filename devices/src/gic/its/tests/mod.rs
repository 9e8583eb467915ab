//! The ITS through its front door: registers, commands in memory, messages. Offsets and words are
//! literals from the specification.

mod commands;
mod layout;
mod queue;
pub(in crate::gic) mod random;
mod registers;
mod two_level;

use super::{Config, Its, Lpi, LpiAction};
use crate::addr::Pa;
use crate::events::{DeviceEvent, Time};
use crate::fabric::{Effect, Effects};
use crate::mem::PhysMem;
use crate::trace::TraceEvent;

const CTLR: u64 = 0x00;
const TYPER: u64 = 0x08;
const CBASER: u64 = 0x80;
const CWRITER: u64 = 0x88;
const CREADR: u64 = 0x90;
const DEVICES: u64 = 0x100;
const COLLECTIONS: u64 = 0x108;

/// Where the tests keep things: a queue of 128 commands, tables of one page of 512 entries, the
/// translation table of the device.
const QUEUE: u64 = 0x1_0000;
const DEVICE_TABLE: u64 = 0x2_0000;
const COLLECTION_TABLE: u64 = 0x3_0000;
const ITT: u64 = 0x4_0000;
const MEMORY: u64 = 0x10_0000;

const DEVICE: u64 = 0x18;

/// An ITS with four redistributors, memory, and what it asked of them.
struct Rig {
    its: Its,
    mem: PhysMem,
    fx: Effects,
    actions: Vec<LpiAction>,
    tail: u64,
}

impl Rig {
    fn new() -> Self {
        let mem = PhysMem::anonymous(&[(Pa(0), MEMORY)]).unwrap();
        let its = Its::new(Config { device_bits: 16, redistributors: 4 }, mem.clone());
        Self { its, mem, fx: Effects::new(Time(0), true), actions: Vec::new(), tail: 0 }
    }

    /// Enabled, with a queue and flat tables.
    fn enabled() -> Self {
        let mut rig = Self::new();
        rig.w64(DEVICES, 1 << 63 | DEVICE_TABLE);
        rig.w64(COLLECTIONS, 1 << 63 | COLLECTION_TABLE);
        rig.w64(CBASER, 1 << 63 | QUEUE);
        rig.w32(CTLR, 1);
        rig
    }

    /// Enabled; collections 0 and 1 at redistributors 2 and 3, the device with 32 events, of which
    /// event 5 is LPI 8200 of collection 0.
    fn mapped() -> Self {
        let mut rig = Self::enabled();
        rig.run(&[mapc(0, 2, true), mapc(1, 3, true), mapd(DEVICE, 4, ITT, true), mapti(DEVICE, 5, 8200, 0)]);
        assert_eq!(rig.skipped(), [None; 4]);
        rig
    }

    fn r32(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.its.read(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn r64(&mut self, offset: u64) -> u64 {
        let mut data = [0; 8];
        self.its.read(offset, &mut data, &mut self.fx);
        u64::from_le_bytes(data)
    }

    fn w32(&mut self, offset: u64, value: u32) {
        self.its.write(offset, &value.to_le_bytes(), &mut self.actions, &mut self.fx);
    }

    fn w64(&mut self, offset: u64, value: u64) {
        self.its.write(offset, &value.to_le_bytes(), &mut self.actions, &mut self.fx);
    }

    /// Puts commands into the queue of 128 without telling the ITS.
    fn put(&mut self, commands: &[[u64; 4]]) {
        for words in commands {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            self.mem.write(Pa(QUEUE + self.tail), &bytes).unwrap();
            self.tail = (self.tail + 32) % 0x1000;
        }
    }

    /// Has the ITS process commands, and what it asked for meanwhile.
    fn run(&mut self, commands: &[[u64; 4]]) -> Vec<LpiAction> {
        self.put(commands);
        self.w64(CWRITER, self.tail);
        assert_eq!(self.r64(CREADR), self.tail);
        std::mem::take(&mut self.actions)
    }

    /// Of each command since last asked, why it was skipped.
    fn skipped(&mut self) -> Vec<Option<&'static str>> {
        let skipped = |event| match event {
            TraceEvent::ItsCommand { skipped, .. } => Some(skipped),
            _ => None,
        };
        self.fx.take_trace().into_iter().filter_map(skipped).collect()
    }

    /// A command that must do nothing but be skipped for this reason.
    fn refused(&mut self, command: [u64; 4], why: &str) {
        self.fx.take_trace();
        assert_eq!(self.run(&[command]), [], "{command:x?}");
        assert_eq!(self.skipped(), [Some(why)], "{command:x?}");
    }

    fn message(&mut self, device: u64, event: u32) -> Option<(u32, u16)> {
        let found = self.its.message(device as u32, event, &mut self.actions, &mut self.fx);
        let expected = found.map(|Lpi { intid, target }| LpiAction::SetPending { target, intid });
        assert_eq!(std::mem::take(&mut self.actions), Vec::from_iter(expected));
        found.map(|lpi| (lpi.intid, lpi.target))
    }

    fn word(&self, at: u64) -> u64 {
        self.mem.load64(Pa(at)).unwrap()
    }

    fn set_word(&self, at: u64, word: u64) {
        self.mem.write(Pa(at), &word.to_le_bytes()).unwrap();
    }
}

fn movi(device: u64, event: u64, icid: u64) -> [u64; 4] {
    [0x01 | device << 32, event, icid, 0]
}

fn int(device: u64, event: u64) -> [u64; 4] {
    [0x03 | device << 32, event, 0, 0]
}

fn clear(device: u64, event: u64) -> [u64; 4] {
    [0x04 | device << 32, event, 0, 0]
}

fn sync(processor: u64) -> [u64; 4] {
    [0x05, 0, processor << 16, 0]
}

fn mapd(device: u64, size: u64, itt: u64, valid: bool) -> [u64; 4] {
    [0x08 | device << 32, size, u64::from(valid) << 63 | itt, 0]
}

fn mapc(icid: u64, processor: u64, valid: bool) -> [u64; 4] {
    [0x09, 0, u64::from(valid) << 63 | processor << 16 | icid, 0]
}

fn mapti(device: u64, event: u64, intid: u64, icid: u64) -> [u64; 4] {
    [0x0a | device << 32, intid << 32 | event, icid, 0]
}

fn mapi(device: u64, event: u64, icid: u64) -> [u64; 4] {
    [0x0b | device << 32, event, icid, 0]
}

fn inv(device: u64, event: u64) -> [u64; 4] {
    [0x0c | device << 32, event, 0, 0]
}

fn invall(icid: u64) -> [u64; 4] {
    [0x0d, 0, icid, 0]
}

fn movall(from: u64, to: u64) -> [u64; 4] {
    [0x0e, 0, from << 16, to << 16]
}

fn discard(device: u64, event: u64) -> [u64; 4] {
    [0x0f | device << 32, event, 0, 0]
}
