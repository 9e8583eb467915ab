//! Commands of the queue [GICv3 5.3]: 32 bytes in, a typed value out.
//!
//! Decoding looks at nothing but the command; whether its parameters fit the tables is found when it
//! is executed. Reserved bits are ignored: software must write zero there, and hardware may not care.

use crate::register;

/// Bytes of a command.
pub const COMMAND_BYTES: u64 = 32;

register! {
    /// The fields of all commands but MAPD; each uses those that [`Command`] names.
    pub struct Words: [u64; 4] {
        255:244 Ignored _r8,
        /// MOVALL: processor number to which interrupts move (RDbase2, bits 51:16 of the word).
        243:208 Field   rdbase2: u64,
        207:192 Ignored _r7,
        /// Whether the entry is to be valid.
        191:191 Field   valid: bool,
        190:180 Ignored _r6,
        /// MAPC, SYNC and MOVALL: processor number (RDbase, bits 51:16 of the word).
        179:144 Field   rdbase: u64,
        /// Collection.
        143:128 Field   icid: u16,
        /// MAPTI: the interrupt that an event becomes.
        127:96  Field   pintid: u32,
        /// EventID.
        95:64   Field   event: u32,
        /// DeviceID.
        63:32   Field   device: u32,
        31:8    Ignored _r0,
        /// What to do.
        7:0     Field   opcode: u8,
    }
}

register! {
    /// MAPD, whose own fields overlap those of the others [GICv3 MAPD].
    pub struct MapdWords: [u64; 4] {
        255:192 Ignored _r4,
        /// Whether the device is to be mapped.
        191:191 Field   valid: bool,
        190:180 Ignored _r3,
        /// Address of the interrupt translation table, bits 51:8.
        179:136 Field   itt: u64,
        135:69  Ignored _r2,
        /// EventID bits, less one.
        68:64   Field   size: u8,
        /// DeviceID.
        63:32   Field   device: u32,
        31:8    Ignored _r0,
        7:0     Field   _opcode,
    }
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Retargets an event to another collection; its pending state moves along.
    Movi {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
        /// To this collection.
        icid: u16,
    },
    /// Makes an event's interrupt pending, as the device's message would.
    Int {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
    },
    /// Makes an event's interrupt not pending.
    Clear {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
    },
    /// Waits until all before it has taken effect.
    Sync {
        /// Processor number.
        rdbase: u64,
    },
    /// Maps a device to its interrupt translation table, or unmaps it.
    Mapd {
        /// DeviceID.
        device: u32,
        /// EventID bits, less one.
        size: u8,
        /// Address of the table, a multiple of 256.
        itt: u64,
        /// 0 unmaps.
        valid: bool,
    },
    /// Maps a collection to a redistributor, or unmaps it.
    Mapc {
        /// Collection.
        icid: u16,
        /// Processor number.
        rdbase: u64,
        /// 0 unmaps.
        valid: bool,
    },
    /// Maps an event to an interrupt and a collection.
    Mapti {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
        /// Interrupt; that of MAPI is the EventID.
        pintid: u32,
        /// Collection.
        icid: u16,
    },
    /// Has the configuration of an event's interrupt read again.
    Inv {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
    },
    /// Has the configuration of all interrupts of a collection read again.
    Invall {
        /// Collection.
        icid: u16,
    },
    /// Moves all pending interrupts from one redistributor to another.
    Movall {
        /// Processor number of the first.
        from: u64,
        /// Processor number of the second.
        to: u64,
    },
    /// Unmaps an event and makes its interrupt not pending.
    Discard {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u32,
    },
}

/// The opcode [GICv3 5.3] names no command of GICv3. Those of virtual LPIs (20h and up) are among
/// them: GITS_TYPER.Virtual is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownOpcode(pub u8);

/// Decodes the four words of a command, in order.
///
/// # Errors
/// [`UnknownOpcode`].
pub fn decode(words: [u64; 4]) -> Result<Command, UnknownOpcode> {
    let w = Words::from_raw(words);
    let (device, event, icid, rdbase) = (w.device(), w.event(), w.icid(), w.rdbase());
    Ok(match w.opcode() {
        0x01 => Command::Movi { device, event, icid },
        0x03 => Command::Int { device, event },
        0x04 => Command::Clear { device, event },
        0x05 => Command::Sync { rdbase },
        0x08 => {
            let w = MapdWords::from_raw(words);
            Command::Mapd { device: w.device(), size: w.size(), itt: w.itt() << 8, valid: w.valid() }
        }
        0x09 => Command::Mapc { icid, rdbase, valid: w.valid() },
        0x0a => Command::Mapti { device, event, pintid: w.pintid(), icid },
        0x0b => Command::Mapti { device, event, pintid: event, icid },
        0x0c => Command::Inv { device, event },
        0x0d => Command::Invall { icid },
        0x0e => Command::Movall { from: rdbase, to: w.rdbase2() },
        0x0f => Command::Discard { device, event },
        opcode => return Err(UnknownOpcode(opcode)),
    })
}

/// The specification's name of the command with this opcode.
pub const fn name(opcode: u8) -> &'static str {
    match opcode {
        0x01 => "MOVI",
        0x03 => "INT",
        0x04 => "CLEAR",
        0x05 => "SYNC",
        0x08 => "MAPD",
        0x09 => "MAPC",
        0x0a => "MAPTI",
        0x0b => "MAPI",
        0x0c => "INV",
        0x0d => "INVALL",
        0x0e => "MOVALL",
        0x0f => "DISCARD",
        _ => "unknown command",
    }
}
