//! Addresses and identities as types that never mix.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes in the smallest page of every supported format.
pub const PAGE_SIZE: u64 = 4096;

macro_rules! address {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The address `bytes` further on, or `None` past the top of the address space.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The address of the 4-KiB page that holds this byte.
            pub const fn page(self) -> Self {
                Self(self.0 & !(PAGE_SIZE - 1))
            }

            /// Offset inside the 4-KiB page.
            pub const fn page_offset(self) -> u64 {
                self.0 & (PAGE_SIZE - 1)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address! {
    /// A physical address: where a model's table walk or a DMA ends up.
    Pa
}
address! {
    /// An I/O virtual address: what a bus master puts on the bus.
    Iova
}
address! {
    /// An intermediate physical address: between two stages of translation.
    Ipa
}

/// The identity of a bus master before an SMMU [SMMUv3 3.2]: as many bits as IDR1.SIDSIZE says, at most 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub u32);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({self})")
    }
}

/// A PCI requester id: bus 15:8, device 7:3, function 2:0 [PCIe 2.2.6.2].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(pub u16);

impl SourceId {
    /// From bus, device (0 to 31) and function (0 to 7); higher bits of the latter two are dropped.
    pub const fn new(bus: u8, device: u8, function: u8) -> Self {
        Self((bus as u16) << 8 | (device as u16 & 0x1f) << 3 | (function as u16 & 7))
    }

    /// Bus number.
    pub const fn bus(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Device and function in one byte.
    pub const fn devfn(self) -> u8 {
        self.0 as u8
    }

    /// Device number, 0 to 31.
    pub const fn device(self) -> u8 {
        self.devfn() >> 3
    }

    /// Function number, 0 to 7.
    pub const fn function(self) -> u8 {
        self.devfn() & 7
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus(), self.device(), self.function())
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceId({self})")
    }
}

/// Text that is no requester id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is no PCI function; write bus:device.function in hexadecimal, such as 00:04.0")]
pub struct ParseSourceIdError(String);

impl FromStr for SourceId {
    type Err = ParseSourceIdError;

    /// `bb:dd.f` in hexadecimal, with or without the segment `0000:` before it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str, last: u8| {
            let valid = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let number = u8::from_str_radix(digits, 16).ok().filter(|_| valid)?;
            (number <= last).then_some(number)
        };
        let parse = || {
            let (bus, rest) = text.strip_prefix("0000:").unwrap_or(text).split_once(':')?;
            let (device, function) = rest.split_once('.')?;
            Some(Self::new(number(bus, 0xff)?, number(device, 0x1f)?, number(function, 7)?))
        };
        parse().ok_or_else(|| ParseSourceIdError(text.to_owned()))
    }
}

/// A process address space id, 20 bits [PCIe 6.20].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pasid(u32);

impl Pasid {
    /// The widest PASID that a TLP prefix can carry.
    pub const MAX: u32 = (1 << 20) - 1;

    /// `None` above [`Self::MAX`].
    pub const fn new(value: u32) -> Option<Self> {
        if value <= Self::MAX { Some(Self(value)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requester_ids_are_read_as_they_are_written() {
        for (text, id) in [("00:03.0", 0x18), ("ff:1f.7", 0xffff), ("0000:01:02.3", 0x113), ("1:2.3", 0x113)]
        {
            assert_eq!(text.parse(), Ok(SourceId(id)), "{text}");
        }
        for text in
            ["", "3.0", "00:20.0", "00:03.8", "00:03", "100:00.0", "00:+3.0", "0001:00:03.0", "00:ä.0"]
        {
            let error = text.parse::<SourceId>().unwrap_err().to_string();
            assert!(error.contains("such as 00:04.0"), "{text}: {error}");
        }
    }
}
