//! Which of a machine's IOMMUs one is.

use serde::{Deserialize, Serialize};

/// IOMMUs that a machine can have.
pub const UNITS_MAX: usize = 8;

/// What a unit is a model of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitKind {
    /// An Intel VT-d remapping unit.
    Vtd,
    /// An Arm SMMUv3.
    Smmuv3,
}

impl UnitKind {
    /// Names in traces: of the only unit, then of each of several.
    const fn names(self) -> &'static [&'static str; 1 + UNITS_MAX] {
        match self {
            Self::Vtd => &["vtd", "vtd0", "vtd1", "vtd2", "vtd3", "vtd4", "vtd5", "vtd6", "vtd7"],
            Self::Smmuv3 => &[
                "smmuv3", "smmuv3.0", "smmuv3.1", "smmuv3.2", "smmuv3.3", "smmuv3.4", "smmuv3.5", "smmuv3.6",
                "smmuv3.7",
            ],
        }
    }
}

/// The number of a unit among those of its machine, which its faults and its traces carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitId {
    kind: UnitKind,
    /// 0 for the only unit, else 1 more than the index.
    number: u8,
}

impl UnitId {
    /// The only unit of a machine.
    pub const fn only(kind: UnitKind) -> Self {
        Self { kind, number: 0 }
    }

    /// Unit `index`, from 0, of `units`; `None` if there is no such one, or more than [`UNITS_MAX`].
    pub const fn of(kind: UnitKind, index: usize, units: usize) -> Option<Self> {
        match units {
            1 if index == 0 => Some(Self::only(kind)),
            // At most 8.
            2..=UNITS_MAX if index < units => Some(Self { kind, number: index as u8 + 1 }),
            _ => None,
        }
    }

    /// The unit with this name in traces, if it is one.
    pub fn named(name: &str) -> Option<Self> {
        [UnitKind::Vtd, UnitKind::Smmuv3].into_iter().find_map(|kind| {
            let at = kind.names().iter().position(|known| *known == name)?;
            // At most 8.
            Some(Self { kind, number: at as u8 })
        })
    }

    /// What it is a model of.
    pub const fn kind(self) -> UnitKind {
        self.kind
    }

    /// The index.
    pub const fn index(self) -> usize {
        (self.number as usize).saturating_sub(1)
    }

    /// The name in traces: `vtd` if it is the only one, else `vtd0` and so on; `smmuv3`, `smmuv3.0`.
    pub fn name(self) -> &'static str {
        let names = self.kind.names();
        names.get(usize::from(self.number)).copied().unwrap_or(names[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_several_is_numbered() {
        use UnitKind::{Smmuv3, Vtd};
        for (kind, index, units, expected) in [
            (Vtd, 0, 1, Some(("vtd", 0))),
            (Vtd, 0, 2, Some(("vtd0", 0))),
            (Vtd, 1, 2, Some(("vtd1", 1))),
            (Vtd, 7, 8, Some(("vtd7", 7))),
            (Smmuv3, 0, 1, Some(("smmuv3", 0))),
            (Smmuv3, 7, 8, Some(("smmuv3.7", 7))),
            (Vtd, 0, 0, None),
            (Smmuv3, 1, 1, None),
            (Vtd, 2, 2, None),
            (Vtd, 0, 9, None),
        ] {
            let id = UnitId::of(kind, index, units);
            assert_eq!(id.map(|id| (id.name(), id.index())), expected, "{index} of {units}");
            assert_eq!(id.and_then(|id| UnitId::named(id.name())), id);
        }
        assert_eq!(["", "vtd8", "smmuv3.8", "ioapic"].map(UnitId::named), [None; 4]);
    }
}
