//! Commands and their decoding [SMMUv3 4].
//!
//! What is not there is illegal, not ignored: commands of Secure, Realm and EL3 state, of ATS and page
//! requests, of MPAM and of granule protection. Reserved bits of a command that is there are not looked
//! at, as [SMMUv3 4.1] allows.

use super::capability::Config;
use super::invalidation::{AddressRange, ConfigScope, Release, StreamWorld, TlbScope, VmidMatch};
use super::vmsa::Granule;
use crate::addr::{Pasid, StreamId};
use crate::fabric::{Abort, Outcome, Resumption};
use crate::register;

register! {
    /// CMD_PREFETCH, CMD_CFGI and CMD_STALL_TERM [SMMUv3 4.2, 4.3, 4.6].
    struct Configuration: [u64; 2] {
        127:69 Ignored _r3,
        /// CFGI_STE_RANGE: 2^(range + 1) streams.
        68:64 Field range: u8,
        63:32 Field stream: u32,
        31:12 Field substream: u32,
        11:11 Field _ssv,
        /// For the Secure stream table.
        10:10 Field ssec: bool,
        9:8   Ignored _r0,
        7:0   Field _opcode,
    }
}

register! {
    /// CMD_TLBI [SMMUv3 4.4].
    struct Tlbi: [u64; 2] {
        /// Bits 63:12 of the address.
        127:76 Field address: u64,
        /// Granule of the range: 0 no range, 1 4K, 2 16K, 3 64K.
        75:74 Field tg: u8,
        /// Level of the leaf; 0 any.
        73:72 Field ttl: u8,
        71:65 Ignored _r2,
        /// Only leaf entries.
        64:64 Field leaf: bool,
        63:48 Field asid: u16,
        47:32 Field vmid: u16,
        31:26 Ignored _r1,
        /// The range has (num + 1) << scale granules. Bit 25 counts with IDR5.DS only.
        25:20 Field scale: u8,
        19:17 Ignored _r0,
        16:12 Field num: u8,
        11:8  Ignored _low,
        7:0   Field _opcode,
    }
}

register! {
    /// CMD_RESUME [SMMUv3 4.6.1].
    struct Resume: [u64; 2] {
        127:80 Ignored _r2,
        79:64 Field stag: u16,
        63:32 Field stream: u32,
        31:14 Ignored _r1,
        /// Ends with an abort, not as RAZ/WI.
        13:13 Field ab: bool,
        /// Goes on.
        12:12 Field ac: bool,
        11:11 Ignored _r0,
        10:10 Field ssec: bool,
        9:8   Ignored _low,
        7:0   Field _opcode,
    }
}

register! {
    /// CMD_SYNC [SMMUv3 4.7.3].
    struct Sync: [u64; 2] {
        127:120 Ignored _r2,
        /// Bits 55:2 of the message's address; 0 for none.
        119:66 Field msi_address: u64,
        65:64 Ignored _r1,
        63:32 Field msi_data: u32,
        31:28 Ignored _r0,
        27:24 Field _msi_attr,
        23:22 Field _msh,
        21:14 Ignored _mid,
        /// Completion signal: 0 none, 1 interrupt, 2 event to the CPUs.
        13:12 Field cs: u8,
        11:8  Ignored _low,
        7:0   Field _opcode,
    }
}

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// CMD_PREFETCH_CONFIG, CMD_PREFETCH_ADDR: a hint, which nothing here needs.
    Prefetch,
    /// CMD_CFGI.
    Config(ConfigScope),
    /// CMD_TLBI.
    Tlb(TlbScope),
    /// CMD_RESUME, CMD_STALL_TERM.
    Release(Release, Resumption),
    /// CMD_SYNC.
    Sync(Signal),
}

/// How a CMD_SYNC says that it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// By CMDQ_CONS alone.
    None,
    /// By an interrupt: the wired one, and a message of this address and data where there is one.
    Interrupt(Option<(u64, u32)>),
    /// By an event to the CPUs.
    Event,
}

/// Why the command queue stops, with the code in CMDQ_CONS.ERR [SMMUv3 7.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Error {
    /// CERROR_ILL.
    Illegal = 1,
    /// CERROR_ABT: the command cannot be read.
    Abort = 2,
}

/// Decodes a command. VMIDs are compared outside the bits `wildcard` (CR0.VMW).
///
/// # Errors
/// [`Error::Illegal`] for what `config` does not have, and for reserved values of fields.
pub fn decode(words: [u64; 2], config: &Config, wildcard: u16) -> Result<Command, Error> {
    let idr0 = config.idr0;
    let illegal_unless = |there: bool| if there { Ok(()) } else { Err(Error::Illegal) };
    let tlbi = Tlbi::from_raw(words);
    // Without stage 2 nothing is tagged with a VMID, and the field is reserved.
    let ignored = if idr0.s2p() { wildcard } else { u16::MAX };
    let vmid = VmidMatch { vmid: tlbi.vmid(), ignored };
    let asid = tlbi.asid();
    match words[0] as u8 {
        0x01 | 0x02 => configuration(words).map(|_| Command::Prefetch),
        0x03 => {
            let c = configuration(words)?;
            let (stream, leaf) = (StreamId(c.stream()), leaf(words));
            Ok(Command::Config(ConfigScope::Streams { first: stream, last: stream, leaf }))
        }
        0x04 => configuration(words).map(|c| Command::Config(streams(c))),
        0x05 => {
            illegal_unless(idr0.s1p())?;
            let c = configuration(words)?;
            // The field has as many bits as a SubstreamID.
            let substream = Pasid::new(c.substream()).ok_or(Error::Illegal)?;
            let (stream, leaf) = (StreamId(c.stream()), leaf(words));
            Ok(Command::Config(ConfigScope::Context { stream, substream, leaf }))
        }
        0x06 => {
            illegal_unless(idr0.s1p())?;
            let c = configuration(words)?;
            Ok(Command::Config(ConfigScope::Contexts(StreamId(c.stream()))))
        }
        opcode @ 0x10..=0x13 => {
            illegal_unless(idr0.s1p())?;
            let world = StreamWorld::El1;
            Ok(Command::Tlb(match opcode {
                0x10 => TlbScope::Stage1 { vmid },
                0x11 => TlbScope::Asid { world, vmid, asid },
                0x12 => TlbScope::Va { world, vmid, asid: Some(asid), range: range(tlbi, config)? },
                _ => TlbScope::Va { world, vmid, asid: None, range: range(tlbi, config)? },
            }))
        }
        opcode @ 0x20..=0x23 => {
            illegal_unless(idr0.hyp())?;
            // Neither EL2 world has VMIDs.
            let (world, vmid) = (StreamWorld::El2, VmidMatch { vmid: 0, ignored: u16::MAX });
            Ok(Command::Tlb(match opcode {
                0x20 => TlbScope::El2All,
                0x21 => TlbScope::Asid { world: StreamWorld::El2E2h, vmid, asid },
                0x22 => TlbScope::Va { world, vmid, asid: Some(asid), range: range(tlbi, config)? },
                _ => TlbScope::Va { world, vmid, asid: None, range: range(tlbi, config)? },
            }))
        }
        0x28 => illegal_unless(idr0.s2p()).map(|()| Command::Tlb(TlbScope::Vm { vmid })),
        0x2a => {
            illegal_unless(idr0.s2p())?;
            // An IPA has 52 bits; those above are reserved.
            let tlbi = tlbi.with_address(tlbi.address() & ((1 << 40) - 1));
            Ok(Command::Tlb(TlbScope::Ipa { vmid, range: range(tlbi, config)? }))
        }
        0x30 => Ok(Command::Tlb(TlbScope::El1All)),
        0x44 => {
            illegal_unless(stalls(config))?;
            let c = Resume::from_raw(words);
            illegal_unless(!c.ssec())?;
            let which = Release::One { stream: StreamId(c.stream()), stag: c.stag() };
            let how = match (c.ac(), c.ab() || idr0.term_model()) {
                (true, _) => Resumption::Retry,
                (false, true) => ABORT,
                (false, false) => Resumption::End(Outcome::Raz),
            };
            Ok(Command::Release(which, how))
        }
        0x45 => {
            illegal_unless(stalls(config))?;
            let c = configuration(words)?;
            Ok(Command::Release(Release::Stream(StreamId(c.stream())), ABORT))
        }
        0x46 => sync(Sync::from_raw(words), config).map(Command::Sync),
        _ => Err(Error::Illegal),
    }
}

/// The specification's name of the command with this opcode, or "unknown command".
pub const fn name(opcode: u8) -> &'static str {
    match opcode {
        0x01 => "CMD_PREFETCH_CONFIG",
        0x02 => "CMD_PREFETCH_ADDR",
        0x03 => "CMD_CFGI_STE",
        0x04 => "CMD_CFGI_STE_RANGE",
        0x05 => "CMD_CFGI_CD",
        0x06 => "CMD_CFGI_CD_ALL",
        0x07 => "CMD_CFGI_VMS_PIDM",
        0x10 => "CMD_TLBI_NH_ALL",
        0x11 => "CMD_TLBI_NH_ASID",
        0x12 => "CMD_TLBI_NH_VA",
        0x13 => "CMD_TLBI_NH_VAA",
        0x18 => "CMD_TLBI_EL3_ALL",
        0x1a => "CMD_TLBI_EL3_VA",
        0x20 => "CMD_TLBI_EL2_ALL",
        0x21 => "CMD_TLBI_EL2_ASID",
        0x22 => "CMD_TLBI_EL2_VA",
        0x23 => "CMD_TLBI_EL2_VAA",
        0x28 => "CMD_TLBI_S12_VMALL",
        0x2a => "CMD_TLBI_S2_IPA",
        0x30 => "CMD_TLBI_NSNH_ALL",
        0x40 => "CMD_ATC_INV",
        0x41 => "CMD_PRI_RESP",
        0x44 => "CMD_RESUME",
        0x45 => "CMD_STALL_TERM",
        0x46 => "CMD_SYNC",
        0x50 => "CMD_TLBI_S_EL2_ALL",
        0x51 => "CMD_TLBI_S_EL2_ASID",
        0x52 => "CMD_TLBI_S_EL2_VA",
        0x53 => "CMD_TLBI_S_EL2_VAA",
        0x58 => "CMD_TLBI_S_S12_VMALL",
        0x5a => "CMD_TLBI_S_S2_IPA",
        0x60 => "CMD_TLBI_SNH_ALL",
        0x70 => "CMD_DPTI_ALL",
        0x73 => "CMD_DPTI_PA",
        _ => "unknown command",
    }
}

/// A held transaction ends with an abort, as one that is not held does.
pub(super) const ABORT: Resumption = Resumption::End(Outcome::Abort(Abort::Ur));

/// A command for the stream table, which must be the Non-secure one.
fn configuration(words: [u64; 2]) -> Result<Configuration, Error> {
    let command = Configuration::from_raw(words);
    if command.ssec() { Err(Error::Illegal) } else { Ok(command) }
}

/// Leaf, where a command for the stream table has it.
const fn leaf(words: [u64; 2]) -> bool {
    words[1] & 1 != 0
}

/// CMD_CFGI_STE_RANGE: an aligned power of two of streams; all for the largest, which is CMD_CFGI_ALL.
fn streams(command: Configuration) -> ConfigScope {
    let range = command.range();
    if range == 31 {
        return ConfigScope::All;
    }
    // At most 2^31 streams.
    let below = (1_u32 << (range + 1)) - 1;
    let stream = command.stream();
    ConfigScope::Streams { first: StreamId(stream & !below), last: StreamId(stream | below), leaf: false }
}

/// Whether transactions can be held.
const fn stalls(config: &Config) -> bool {
    config.idr0.stall_model() != 0b01
}

fn sync(command: Sync, config: &Config) -> Result<Signal, Error> {
    match command.cs() {
        0 => Ok(Signal::None),
        1 => {
            let message = config.idr0.msi() && command.msi_address() != 0;
            Ok(Signal::Interrupt(message.then(|| (command.msi_address() << 2, command.msi_data()))))
        }
        2 if config.idr0.sev() => Ok(Signal::Event),
        2 => Ok(Signal::None),
        _ => Err(Error::Illegal),
    }
}

/// The addresses of an invalidation [SMMUv3 4.4.1.1].
fn range(command: Tlbi, config: &Config) -> Result<AddressRange, Error> {
    let (address, leaf) = (command.address() << 12, command.leaf());
    let ds = config.idr5.ds();
    let granule = match command.tg() {
        1 if config.idr3.ril() => Granule::K4,
        2 if config.idr3.ril() => Granule::K16,
        3 if config.idr3.ril() => Granule::K64,
        // One address, and nothing said of the size of the page.
        _ => return Ok(AddressRange { first: address, last: address | 0xfff, leaf }),
    };
    let scale = if ds { command.scale().min(39) } else { command.scale() & 0x1f };
    let ttl = match (granule, command.ttl()) {
        (Granule::K16, 1) if !ds => 0,
        (_, ttl) => ttl,
    };
    if command.num() == 0 && scale == 0 && ttl == 0 {
        return Err(Error::Illegal);
    }
    // Where the leaf's level is given the range has whole leaves; cutting it to them only ever widens it.
    let leaf_bits = match ttl {
        0 => granule.bits(),
        level => granule.bits() + granule.index_bits() * (3 - u32::from(level)),
    };
    let below = (1_u64 << leaf_bits) - 1;
    // At most 2^5 * 2^39 granules of 2^16 bytes.
    let bytes = (u64::from(command.num()) + 1) << scale << granule.bits();
    let first = address & !((1 << granule.bits()) - 1);
    Ok(AddressRange { first: first & !below, last: first.saturating_add(bytes - 1) | below, leaf })
}
