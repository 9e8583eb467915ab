//! A VT-d unit: `vtd-legacy,cache=tiny`.

use std::ops::RangeInclusive;

use devices::addr::PAGE_SIZE;
use devices::vtd::capability::HOST_ADDRESS_WIDTH;
use devices::vtd::{AddressWidth, Config};
use serde::{Deserialize, Serialize};

use super::super::{ConfigError, MemorySize, SlotAddress, parse_number, switch};
use super::{functions, policy};
use crate::machine::layout;

/// Keys of the options.
pub(super) const OPTIONS: &[&str] = &[
    "abort-dma",
    "aw-bits",
    "base",
    "cache",
    "caching-mode",
    "compress-faults",
    "devices",
    "interrupt-set-invalidates",
    "intremap",
    "protected-regions",
    "rmrr",
    "root-set-invalidates",
    "write-buffer-flush",
];

const RESERVED: &str =
    "whole pages from 4M on below 256T and functions of bus 00, such as 0x7f000000-0x7fffffff@00:02.0";
/// Below lie firmware and guest images, on the smallest machine too.
const RESERVED_FIRST: u64 = MemorySize::MIN.bytes();
/// What has more bits is no physical address.
const RESERVED_LAST: u64 = (1 << HOST_ADDRESS_WIDTH) - 1;

/// A VT-d unit as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VtdSpec {
    /// What follows from the preset and the options. Number and seed are the machine's.
    pub config: Config,
    /// First register; given out if `None`.
    pub base: Option<u64>,
    /// Memory that some device needs from the start.
    pub reserved: Option<Reserved>,
}

/// Memory that firmware promises to devices, and an operating system maps for them one to one before
/// it turns translation on [VT-d 8.4].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// First byte: that of a page.
    pub first: u64,
    /// Last byte: that of a page.
    pub last: u64,
    /// The functions of bus 0 that need it.
    pub devices: Vec<SlotAddress>,
}

impl Reserved {
    /// The memory.
    pub fn range(&self) -> RangeInclusive<u64> {
        self.first..=self.last
    }

    fn is_valid(&self) -> bool {
        let Self { first, last, devices: _ } = *self;
        let whole = first.is_multiple_of(PAGE_SIZE) && last % PAGE_SIZE == PAGE_SIZE - 1;
        whole && RESERVED_FIRST <= first && first <= last && last <= RESERVED_LAST
    }
}

impl VtdSpec {
    /// What the preset of this name is, if there is one.
    pub(super) fn preset(name: &str) -> Option<Self> {
        Some(Self { config: Config::preset(name)?, base: None, reserved: None })
    }

    /// Takes an option. Returns whether there is one of this name.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        let Self { config: unit, base, reserved } = self;
        let switch = |key| switch(key, value);
        match key {
            "aw-bits" => unit.address_width = address_width(value)?,
            "base" => *base = Some(parse_base(value)?),
            "rmrr" => *reserved = Some(parse_reserved(value)?),
            "cache" => unit.cache = policy(value)?,
            "compress-faults" => unit.compress_faults = switch("compress-faults")?,
            "intremap" => unit.interrupt_remapping = switch("intremap")?,
            "abort-dma" => unit.abort_dma = switch("abort-dma")?,
            "caching-mode" => unit.caching_mode = switch("caching-mode")?,
            "protected-regions" => unit.protected_regions = switch("protected-regions")?,
            "interrupt-set-invalidates" => {
                unit.interrupt_set_invalidates = switch("interrupt-set-invalidates")?;
            }
            "root-set-invalidates" => unit.root_set_invalidates = switch("root-set-invalidates")?,
            "write-buffer-flush" => unit.write_buffer_flush = switch("write-buffer-flush")?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Checks what was read as data; `known` is the preset.
    pub(super) fn check(&self, known: &Self) -> Result<(), ConfigError> {
        let Self { config, base, reserved } = self;
        // Of these, each value is one that some option gives; number and seed are not taken from here.
        let Config {
            unit: _,
            address_width: _,
            interrupt_remapping: _,
            caching_mode: _,
            protected_regions: _,
            write_buffer_flush: _,
            root_set_invalidates: _,
            interrupt_set_invalidates: _,
            abort_dma: _,
            compress_faults: _,
            cache: _,
            iotlb_entries,
            seed: _,
            sanitize: _,
            concurrent: _,
        } = *config;
        if iotlb_entries != known.config.iotlb_entries {
            let value = iotlb_entries.to_string();
            return Err(ConfigError::Value { key: "iotlb_entries", value, expected: "the preset's number" });
        }
        if let Some(base) = base.filter(|base| !is_base(base)) {
            return Err(ConfigError::Value { key: "base", value: format!("{base:#x}"), expected: BASE });
        }
        if let Some(Reserved { first, last, .. }) = reserved.as_ref().filter(|reserved| !reserved.is_valid())
        {
            let value = format!("{first:#x}-{last:#x}");
            return Err(ConfigError::Value { key: "rmrr", value, expected: RESERVED });
        }
        let reserved = reserved.iter().flat_map(|reserved| &reserved.devices);
        reserved.into_iter().try_for_each(SlotAddress::check)
    }
}

const BASE: &str = "a multiple of 0x1000 from 0xfed80000 to 0xfedff000";

fn is_base(base: &u64) -> bool {
    base.is_multiple_of(PAGE_SIZE) && layout::q35::VTD_BASES.contains(base)
}

fn parse_base(value: &str) -> Result<u64, ConfigError> {
    let invalid = || ConfigError::Value { key: "base", value: value.to_owned(), expected: BASE };
    parse_number(value).filter(is_base).ok_or_else(invalid)
}

fn parse_reserved(value: &str) -> Result<Reserved, ConfigError> {
    let invalid = || ConfigError::Value { key: "rmrr", value: value.to_owned(), expected: RESERVED };
    let (range, devices) = value.split_once('@').ok_or_else(invalid)?;
    let (first, last) = range.split_once('-').ok_or_else(invalid)?;
    let (first, last) = parse_number(first).zip(parse_number(last)).ok_or_else(invalid)?;
    let devices = functions("rmrr", devices, RESERVED).map_err(|_| invalid())?;
    Some(Reserved { first, last, devices }).filter(Reserved::is_valid).ok_or_else(invalid)
}

fn address_width(value: &str) -> Result<AddressWidth, ConfigError> {
    // A sign would parse as well.
    let bits = value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()));
    bits.and_then(AddressWidth::from_bits).ok_or_else(|| ConfigError::Value {
        key: "aw-bits",
        value: value.to_owned(),
        expected: "39, 48 or 57",
    })
}
