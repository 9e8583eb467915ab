//! Which of a machine's units one is.

use serde::{Deserialize, Serialize};

/// Units that a machine can have.
pub const UNITS_MAX: usize = 8;

/// Names in traces: of the only unit, then of each of several.
const NAMES: [&str; 1 + UNITS_MAX] = ["vtd", "vtd0", "vtd1", "vtd2", "vtd3", "vtd4", "vtd5", "vtd6", "vtd7"];

/// The number of a unit among those of its machine, which its faults and its traces carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitId(u8);

impl UnitId {
    /// The only unit.
    pub const ONLY: Self = Self(0);

    /// Unit `index`, from 0, of `units`; `None` if there is no such one, or more than [`UNITS_MAX`].
    pub const fn of(index: usize, units: usize) -> Option<Self> {
        match units {
            1 if index == 0 => Some(Self::ONLY),
            // At most 8.
            2..=UNITS_MAX if index < units => Some(Self(index as u8 + 1)),
            _ => None,
        }
    }

    /// The unit with this name in traces, if it is one.
    pub fn named(name: &str) -> Option<Self> {
        let at = NAMES.iter().position(|known| *known == name)?;
        // At most 8.
        Some(Self(at as u8))
    }

    /// The index.
    pub const fn index(self) -> usize {
        (self.0 as usize).saturating_sub(1)
    }

    /// The name in traces: `vtd` if it is the only one, else `vtd0` and so on.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or(NAMES[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_several_is_numbered() {
        for (index, units, expected) in [
            (0, 1, Some(("vtd", 0))),
            (0, 2, Some(("vtd0", 0))),
            (1, 2, Some(("vtd1", 1))),
            (7, 8, Some(("vtd7", 7))),
            (0, 0, None),
            (1, 1, None),
            (2, 2, None),
            (0, 9, None),
        ] {
            let id = UnitId::of(index, units);
            assert_eq!(id.map(|id| (id.name(), id.index())), expected, "{index} of {units}");
            assert_eq!(id.and_then(|id| UnitId::named(id.name())), id);
        }
        assert_eq!(["", "vtd8", "ioapic"].map(UnitId::named), [None; 3]);
    }
}
