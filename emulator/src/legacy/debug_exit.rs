//! The port by which a test program ends its machine.

use devices::fabric::Effects;
use serde::{Deserialize, Serialize};

/// A port of 4 bytes: the first write ends the run, and its value is the program's verdict.
///
/// Byte n of the port is bits 8n+7:8n of the value, bytes not written are zero. Reads give zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebugExit {
    value: Option<u32>,
}

impl DebugExit {
    /// Where it is customarily found.
    pub const PORT: u16 = 0xf4;
    /// Ports it occupies.
    pub const PORTS: u16 = 4;

    /// The value of the first write, if there was one.
    pub fn exit_request(&self) -> Option<u32> {
        self.value
    }

    /// Reads `data.len()` ports from `offset`.
    pub fn read(&mut self, _: u16, data: &mut [u8], _: &mut Effects) {
        data.fill(0);
    }

    /// Writes `data.len()` ports from `offset`.
    pub fn write(&mut self, offset: u16, data: &[u8], _: &mut Effects) {
        let mut bytes = [0; Self::PORTS as usize];
        let Some(mine) = bytes.get_mut(usize::from(offset)..).filter(|mine| !mine.is_empty()) else { return };
        for (mine, byte) in mine.iter_mut().zip(data) {
            *mine = *byte;
        }
        self.value.get_or_insert(u32::from_le_bytes(bytes));
    }

    /// The model as data: it is all state.
    pub fn save(&self) -> Self {
        self.clone()
    }

    /// Replaces the model by what was saved.
    pub fn restore(&mut self, state: Self) {
        *self = state;
    }
}

#[cfg(test)]
mod tests {
    use devices::events::Time;

    use super::*;

    #[test]
    fn the_first_write_counts_at_every_size_and_offset() {
        for (offset, data, value) in [
            (0, &[0x2a][..], Some(0x2a)),
            (0, &[0x34, 0x12], Some(0x1234)),
            (0, &[0x78, 0x56, 0x34, 0x12], Some(0x1234_5678)),
            (0, &[0; 4], Some(0)),
            (1, &[0xab], Some(0xab00)),
            (3, &[0x11, 0x22], Some(0x1100_0000)),
            (4, &[1], None),
            (u16::MAX, &[1], None),
        ] {
            let mut port = DebugExit::default();
            let mut fx = Effects::new(Time(0), false);
            port.write(offset, data, &mut fx);
            assert_eq!(port.exit_request(), value, "{offset} {data:x?}");
        }
        let mut port = DebugExit::default();
        let mut fx = Effects::new(Time(0), false);
        port.write(0, &[1], &mut fx);
        port.write(0, &[2], &mut fx);
        let mut restored = DebugExit::default();
        restored.restore(port.save());
        let mut data = [0xff; 4];
        restored.read(0, &mut data, &mut fx);
        assert_eq!((restored.exit_request(), data), (Some(1), [0; 4]));
    }
}
