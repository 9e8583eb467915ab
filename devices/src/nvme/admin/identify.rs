//! Identify [NVMe 5.15].

use super::super::command::Command;
use super::super::completion::Status;
use super::super::controller::Controller;
use super::super::medium::Medium;
use super::super::{Config, LBA, MAX_TRANSFER, MDTS, asynchronous, error_log, features, health, regs};
use super::abort;
use crate::nvme::DESCRIPTION;

/// Firmware Revision.
pub(super) const FIRMWARE: [u8; 8] = *b"1       ";
const MODEL: &str = "Iommulator NVMe controller";
/// The last active namespace identifier of a list is below these two.
const LAST_LISTED: u32 = 0xffff_fffd;

/// The data structure that `command` wants.
pub(super) fn page(command: Command, config: &Config, medium: &dyn Medium) -> Result<Vec<u8>, Status> {
    // Bits 7:0 of dword 10: Controller or Namespace Structure.
    match (command.cdw10() & 0xff, command.nsid()) {
        (0x00 | 0x03, nsid) if nsid != 1 => Err(Status::InvalidNamespace),
        (0x00, _) => Ok(namespace(medium)),
        (0x01, _) => Ok(controller(config)),
        (0x02, nsid) if nsid > LAST_LISTED => Err(Status::InvalidNamespace),
        (0x02, nsid) => Ok(active_namespaces(nsid)),
        (0x03, _) => Ok(descriptors(config)),
        _ => Err(Status::InvalidField),
    }
}

/// `fields` in a page that is zero elsewhere.
fn filled(fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut page = vec![0; 4096];
    for (at, bytes) in fields {
        page[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    page
}

/// ASCII in `N` bytes, padded with spaces.
fn text<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [b' '; N];
    bytes.iter_mut().zip(text.bytes()).for_each(|(byte, c)| *byte = c);
    bytes
}

/// Identify Controller [NVMe 5.15.2.2].
fn controller(config: &Config) -> Vec<u8> {
    let serial = text::<20>(&config.serial);
    let model = text::<40>(MODEL);
    let name =
        format!("nqn.2014-08.org.nvmexpress:uuid:{}", uuid_text(uuid(&config.serial, Named::Subsystem)));
    // One less than the number, in a byte.
    let less_one = |number: usize| number.saturating_sub(1) as u8;
    // Blocks of the longest transfer, one less.
    let atomic = (MAX_TRANSFER as u64 / LBA - 1) as u16;
    let field16 = u16::to_le_bytes;
    filled(&[
        (0, &field16(DESCRIPTION.vendor)),
        (2, &field16(DESCRIPTION.subsystem_vendor)),
        (4, &serial),
        (24, &model),
        (64, &FIRMWARE),
        // RAB.
        (72, &[features::RECOMMENDED_BURST]),
        (77, &[MDTS]),
        (80, &regs::VERSION.to_le_bytes()),
        // CNTRLTYPE: an I/O controller.
        (111, &[1]),
        // ACL, AERL.
        (258, &[less_one(abort::LIMIT), less_one(asynchronous::LIMIT)]),
        // FRMW: one slot, read only.
        (260, &[0b011]),
        // LPA: Commands Supported and Effects; offsets and long lengths.
        (261, &[0b110]),
        // ELPE.
        (262, &[less_one(error_log::ENTRIES)]),
        (266, &field16(health::WARNING_TEMPERATURE)),
        (268, &field16(health::CRITICAL_TEMPERATURE)),
        // SQES, CQES: required and maximum size of entries, as powers of 2.
        (512, &[0x66, 0x44]),
        // NN.
        (516, &1u32.to_le_bytes()),
        // ONCS: Compare, Dataset Management, Write Zeroes.
        (520, &field16(1 << 0 | 1 << 2 | 1 << 3)),
        // VWC: present, and flushed for all namespaces at once.
        (525, &[0b111]),
        // AWUN: commands are performed one after the other. AWUPF: one block.
        (526, &field16(atomic)),
        // SGLS: any alignment, bit buckets, lists longer than the data.
        (536, &(0b01u32 | 1 << 16 | 1 << 18).to_le_bytes()),
        (768, name.as_bytes()),
        // Maximum power of power state 0, 5 W in units of 10 mW.
        (2048, &field16(500)),
    ])
}

/// Identify Namespace [NVMe 5.15.2.1].
fn namespace(medium: &dyn Medium) -> Vec<u8> {
    let blocks = Controller::blocks(medium).to_le_bytes();
    filled(&[
        // NSZE, NCAP, NUSE.
        (0, &blocks),
        (8, &blocks),
        (16, &blocks),
        // NSATTR: write protected.
        (99, &[u8::from(medium.read_only())]),
        // LBAF0: no metadata, blocks of 2^9 bytes.
        (128, &[0, 0, LBA.trailing_zeros() as u8, 0]),
    ])
}

/// Active Namespace ID list [NVMe 5.15.2.3]: those above `nsid`.
fn active_namespaces(nsid: u32) -> Vec<u8> {
    let first = if nsid == 0 { 1u32 } else { 0 };
    filled(&[(0, &first.to_le_bytes())])
}

/// Namespace Identification Descriptor list [NVMe 5.15.2.4]: a UUID.
fn descriptors(config: &Config) -> Vec<u8> {
    filled(&[(0, &[3, 16]), (4, &uuid(&config.serial, Named::Namespace))])
}

/// What a UUID names.
#[derive(Clone, Copy)]
enum Named {
    Subsystem = 1,
    Namespace = 2,
}

/// A UUID of version 8 [RFC 9562 5.8] that follows from the serial number.
fn uuid(serial: &str, named: Named) -> [u8; 16] {
    // FNV-1a of 128 bits.
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    let mut bytes = std::iter::once(named as u8).chain(serial.bytes()).fold(BASIS, hash).to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

fn uuid_text(uuid: [u8; 16]) -> String {
    let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
