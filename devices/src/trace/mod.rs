//! Typed records of what models do.
//!
//! A model records into its [`Effects`](crate::fabric::Effects), at no cost while nobody listens.
//! `Display` is the text form, serde the machine-readable one; writing them anywhere is the
//! machine's business.

use std::fmt;

use serde::Serialize;

use crate::addr::{Iova, Pa, SourceId, StreamId};
use crate::fabric::{Access, Initiator, Outcome};
use crate::iommu::Stale;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TraceEvent {
    /// Software read a register.
    RegisterRead {
        /// Which model.
        unit: &'static str,
        /// The specification's name of the register, or "" where there is none.
        register: &'static str,
        /// Byte offset in the register file.
        offset: u64,
        /// The dword read.
        value: u32,
    },
    /// Software wrote a register.
    RegisterWrite {
        /// Which model.
        unit: &'static str,
        /// The specification's name of the register, or "" where there is none.
        register: &'static str,
        /// Byte offset in the register file.
        offset: u64,
        /// The dword written.
        value: u32,
    },
    /// Software accessed a BAR of a PCI function.
    Bar {
        /// The function, by the bus numbers of now.
        source: SourceId,
        /// Name of its model.
        model: &'static str,
        /// BAR number.
        bar: u8,
        /// Byte offset in the BAR.
        offset: u64,
        /// Bytes.
        len: u64,
        /// The value, little endian, of at most 8 bytes; 0 for longer accesses.
        value: u64,
        /// Whether it was a write.
        write: bool,
    },
    /// A model took an entry from a queue in memory.
    QueueEntry {
        /// Which model.
        unit: &'static str,
        /// Index in the queue.
        index: u64,
        /// What kind of entry it is.
        kind: &'static str,
        /// The entry, low word first.
        words: [u64; 2],
    },
    /// A walker read a table entry.
    Fetch {
        /// Which model.
        unit: &'static str,
        /// Which table, as the specification calls it.
        table: &'static str,
        /// Where the entry lies.
        address: Pa,
        /// The entry, low word first; the high word is 0 for 64-bit entries.
        words: [u64; 2],
    },
    /// An address was translated.
    Translation {
        /// Which model.
        unit: &'static str,
        /// For whom.
        initiator: Initiator,
        /// From.
        iova: Iova,
        /// To.
        pa: Pa,
        /// Whether a cache answered.
        cached: bool,
    },
    /// A fault was found; it may or may not have been recorded.
    Fault {
        /// Which model.
        unit: &'static str,
        /// The requester.
        source: SourceId,
        /// The reason code.
        reason: u8,
        /// The reason in words.
        what: &'static str,
        /// The address that faulted.
        address: u64,
        /// What became of it.
        fate: &'static str,
    },
    /// An SMMUv3 has an event to record.
    Event {
        /// Which model.
        unit: &'static str,
        /// Whose transaction it was.
        stream: StreamId,
        /// The record's type.
        kind: u8,
        /// The specification's name of the type.
        what: &'static str,
        /// The address that the master presented.
        address: Iova,
        /// The record, low word first.
        words: [u64; 4],
        /// What became of it.
        fate: &'static str,
    },
    /// The sanitizer saw a cached entry used that memory no longer bears out.
    Stale {
        /// Which model.
        unit: &'static str,
        /// What it saw.
        #[serde(flatten)]
        stale: Stale,
    },
    /// A protected region swallowed a request.
    Protected {
        /// Which model.
        unit: &'static str,
        /// Whose request.
        initiator: Initiator,
        /// Where it would have gone.
        pa: Pa,
    },
    /// Cached translations or entries were dropped.
    Invalidation {
        /// Which model.
        unit: &'static str,
        /// What was dropped.
        what: &'static str,
        /// Domain, where the invalidation names one.
        domain: Option<u16>,
        /// First and last address, where it names them.
        range: Option<(u64, u64)>,
    },
    /// A bus master's request ended.
    Dma {
        /// Who.
        initiator: Initiator,
        /// First byte.
        address: Iova,
        /// Bytes asked for.
        len: u64,
        /// What for.
        access: Access,
        /// How it ended.
        outcome: Outcome,
        /// Bytes moved.
        done: u64,
    },
    /// A message interrupt left a model.
    Interrupt {
        /// The IOMMU that sent it to report an event of its own; none for those of devices.
        #[serde(skip_serializing_if = "Option::is_none")]
        unit: Option<&'static str>,
        /// Address in the message window.
        address: u64,
        /// Data.
        data: u32,
    },
    /// An interrupt translation service took a command.
    ItsCommand {
        /// Which model.
        unit: &'static str,
        /// Index in the queue.
        index: u64,
        /// The specification's name of the command.
        command: &'static str,
        /// The command, low word first.
        words: [u64; 4],
        /// Why it was skipped, if it was.
        #[serde(skip_serializing_if = "Option::is_none")]
        skipped: Option<&'static str>,
    },
    /// A device's message interrupt reached an interrupt translation service.
    Message {
        /// Which model.
        unit: &'static str,
        /// DeviceID.
        device_id: u32,
        /// EventID.
        event_id: u32,
        /// INTID of the interrupt that it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        interrupt: Option<u32>,
        /// Number of the processor that gets it.
        #[serde(skip_serializing_if = "Option::is_none")]
        processor: Option<u16>,
        /// Why it was dropped, if it was.
        #[serde(skip_serializing_if = "Option::is_none")]
        dropped: Option<&'static str>,
    },
    /// A processor acknowledged an interrupt of a GIC.
    Acknowledged {
        /// Which model.
        unit: &'static str,
        /// Number of the processor.
        processor: usize,
        /// INTID.
        intid: u32,
        /// Its priority; lower numbers are more urgent.
        priority: u8,
    },
    /// Software accessed an address that nothing claims.
    Unclaimed {
        /// `memory` or `port`.
        space: &'static str,
        /// First byte.
        address: u64,
        /// Bytes.
        len: u64,
        /// Whether it was a write, which is lost; a read gives all ones.
        write: bool,
    },
    /// A level interrupt line changed.
    Line {
        /// Global system interrupt number.
        line: u32,
        /// The new level.
        asserted: bool,
    },
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegisterRead { unit, register, offset, value } => {
                write!(f, "{unit}: read {register}({offset:#x}) = {value:#010x}")
            }
            Self::RegisterWrite { unit, register, offset, value } => {
                write!(f, "{unit}: write {register}({offset:#x}) = {value:#010x}")
            }
            Self::Bar { source, model, bar, offset, len, value, write } => {
                let what = if *write { "write" } else { "read" };
                write!(f, "{source} {model}: {what} {len} bytes of BAR {bar} at {offset:#x}: {value:#x}")
            }
            Self::QueueEntry { unit, index, kind, words: [low, high] } => {
                write!(f, "{unit}: queue[{index}] {kind} {high:#018x} {low:#018x}")
            }
            Self::Fetch { unit, table, address, words: [low, high] } => {
                write!(f, "{unit}: {table} at {address} = {high:#018x} {low:#018x}")
            }
            Self::Translation { unit, initiator, iova, pa, cached } => {
                let how = if *cached { "cached" } else { "walked" };
                write!(f, "{unit}: {initiator} {iova} -> {pa} ({how})")
            }
            Self::Fault { unit, source, reason, what, address, fate } => {
                write!(f, "{unit}: fault {reason:#04x} ({what}) by {source} at {address:#x}, {fate}")
            }
            Self::Event { unit, stream, kind, what, address, words: [a, b, c, d], fate } => {
                write!(f, "{unit}: event {kind:#04x} ({what}) by stream {stream} at {address}, {fate}: ")?;
                write!(f, "{d:#018x} {c:#018x} {b:#018x} {a:#018x}")
            }
            Self::Stale { unit, stale } => write!(f, "{unit}: {stale}"),
            Self::Protected { unit, initiator, pa } => {
                write!(f, "{unit}: {initiator} kept out of the protected region at {pa}")
            }
            Self::Invalidation { unit, what, domain, range } => {
                write!(f, "{unit}: invalidate {what}")?;
                if let Some(domain) = domain {
                    write!(f, ", domain {domain}")?;
                }
                match range {
                    Some((first, last)) => write!(f, ", {first:#x} to {last:#x}"),
                    None => Ok(()),
                }
            }
            Self::Dma { initiator, address, len, access, outcome, done } => {
                let what = match access {
                    Access::Read => "reads",
                    Access::Write => "writes",
                    Access::Atomic => "updates",
                };
                write!(f, "dma: {initiator} {what} {len} bytes at {address}: {outcome}")?;
                if *outcome != Outcome::Done && *done > 0 { write!(f, " after {done}") } else { Ok(()) }
            }
            Self::Interrupt { unit: _, address, data } => write!(f, "interrupt: {address:#x} data {data:#x}"),
            Self::ItsCommand { unit, index, command, words: [w0, w1, w2, w3], skipped } => {
                write!(f, "{unit}: queue[{index}] {command} {w0:#018x} {w1:#018x} {w2:#018x} {w3:#018x}")?;
                if let Some(why) = skipped { write!(f, ", skipped: {why}") } else { Ok(()) }
            }
            Self::Message { unit, device_id, event_id, interrupt, processor, dropped } => {
                write!(f, "{unit}: message of device {device_id:#x}, event {event_id}")?;
                if let (Some(intid), Some(processor)) = (interrupt, processor) {
                    write!(f, ": interrupt {intid} of processor {processor}")?;
                }
                if let Some(why) = dropped { write!(f, ", dropped: {why}") } else { Ok(()) }
            }
            Self::Acknowledged { unit, processor, intid, priority } => {
                write!(f, "{unit}: processor {processor} takes interrupt {intid}, priority {priority:#04x}")
            }
            Self::Unclaimed { space, address, len, write } => {
                let what = if *write { "write to" } else { "read of" };
                write!(f, "bus: {what} {len} bytes at unclaimed {space} {address:#x}")
            }
            Self::Line { line, asserted } => {
                write!(f, "interrupt line {line}: {}", if *asserted { "asserted" } else { "deasserted" })
            }
        }
    }
}
