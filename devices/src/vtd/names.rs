//! Names of fault reasons, for options and reports.

use super::fault::Reason;

/// What traces say of a fault that FPD = 1 kept from being recorded [VT-d 7.1.3]. Software is not
/// told of it.
pub const SUPPRESSED: &str = "suppressed by FPD";

impl Reason {
    /// The reason with this code in FRCD.FR [VT-d 7.1.3].
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// A name of lower-case letters and hyphens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RootNotPresent => "root-not-present",
            Self::ContextNotPresent => "context-not-present",
            Self::ContextInvalid => "context-invalid",
            Self::AddressBeyondWidth => "address-beyond-width",
            Self::NoWrite => "no-write",
            Self::NoRead => "no-read",
            Self::TableAccess => "table-access",
            Self::RootAccess => "root-access",
            Self::ContextAccess => "context-access",
            Self::RootReserved => "root-reserved",
            Self::ContextReserved => "context-reserved",
            Self::TableReserved => "table-reserved",
            Self::TypeBlocked => "type-blocked",
            Self::OutputInInterruptRange => "output-in-interrupt-range",
            Self::InterruptReserved => "interrupt-reserved",
            Self::InterruptIndex => "interrupt-index",
            Self::InterruptNotPresent => "interrupt-not-present",
            Self::InterruptTableAccess => "interrupt-table-access",
            Self::InterruptEntryReserved => "interrupt-entry-reserved",
            Self::InterruptCompatibility => "interrupt-compatibility",
            Self::InterruptSource => "interrupt-source",
            Self::InterruptRangeAccess => "interrupt-range-access",
            Self::TableMode => "table-mode",
            Self::PasidInLegacy => "pasid-in-legacy",
            Self::AbortDma => "abort-dma",
        }
    }

    /// The specification's short name of the condition [VT-d 7.1.3]; faults of interrupt requests
    /// have none.
    pub const fn condition(self) -> Option<&'static str> {
        match self {
            Self::RootNotPresent => Some("LRT.2"),
            Self::ContextNotPresent => Some("LCT.2"),
            Self::ContextInvalid => Some("LCT.4"),
            Self::AddressBeyondWidth => Some("LGN.1"),
            Self::NoWrite => Some("LGN.2"),
            Self::NoRead => Some("LGN.3"),
            Self::TableAccess => Some("LSS.1"),
            Self::RootAccess => Some("LRT.1"),
            Self::ContextAccess => Some("LCT.1"),
            Self::RootReserved => Some("LRT.3"),
            Self::ContextReserved => Some("LCT.3"),
            Self::TableReserved => Some("LSS.2"),
            Self::TypeBlocked => Some("LCT.5"),
            Self::OutputInInterruptRange => Some("LGN.4"),
            Self::TableMode => Some("RTA.1"),
            Self::PasidInLegacy => Some("RTA.2"),
            Self::AbortDma => Some("RTA.4"),
            Self::InterruptReserved
            | Self::InterruptIndex
            | Self::InterruptNotPresent
            | Self::InterruptTableAccess
            | Self::InterruptEntryReserved
            | Self::InterruptCompatibility
            | Self::InterruptSource
            | Self::InterruptRangeAccess => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_have_the_conditions_of_the_specification() {
        for (code, name, condition) in [
            (0x01, "root-not-present", Some("LRT.2")),
            (0x02, "context-not-present", Some("LCT.2")),
            (0x03, "context-invalid", Some("LCT.4")),
            (0x04, "address-beyond-width", Some("LGN.1")),
            (0x05, "no-write", Some("LGN.2")),
            (0x06, "no-read", Some("LGN.3")),
            (0x07, "table-access", Some("LSS.1")),
            (0x08, "root-access", Some("LRT.1")),
            (0x09, "context-access", Some("LCT.1")),
            (0x0a, "root-reserved", Some("LRT.3")),
            (0x0b, "context-reserved", Some("LCT.3")),
            (0x0c, "table-reserved", Some("LSS.2")),
            (0x0d, "type-blocked", Some("LCT.5")),
            (0x0e, "output-in-interrupt-range", Some("LGN.4")),
            (0x22, "interrupt-not-present", None),
            (0x30, "table-mode", Some("RTA.1")),
            (0x31, "pasid-in-legacy", Some("RTA.2")),
        ] {
            let reason = Reason::from_code(code).unwrap();
            assert_eq!((reason.name(), reason.condition()), (name, condition), "{code:#04x}");
        }
        assert_eq!([0, 0x0f, 0xff].map(Reason::from_code), [None; 3]);
    }

    #[test]
    fn no_two_reasons_share_a_name() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        let conditions: BTreeSet<_> = Reason::ALL.iter().filter_map(|reason| reason.condition()).collect();
        assert_eq!((names.len(), conditions.len()), (25, 17));
    }
}
