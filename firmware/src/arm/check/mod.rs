//! What makes a description sound.

mod addresses;
mod ids;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::{Description, DescriptionError, PlatformDevice};

const CPUS_MAX: usize = 8;
/// Aff3 and Aff2 to Aff0 of MPIDR_EL1.
const AFFINITY: u64 = 0xff_00ff_ffff;
const COMMAND_LINE_MAX: usize = 4095;
const SUBSTREAM_BITS_MAX: u8 = 20;
const HTTU_MAX: u8 = 3;
const MODELS_MAX: usize = 16;

type Checked = Result<(), DescriptionError>;

impl Description {
    /// Whether tables can be made of it.
    pub(crate) fn check(&self) -> Checked {
        self.check_cpus()?;
        self.check_values()?;
        self.check_devices()?;
        self.check_addresses()?;
        self.check_spis()?;
        self.check_streams()?;
        self.check_msi()?;
        self.check_reserved()?;
        self.check_chosen()
    }

    fn check_cpus(&self) -> Checked {
        let cpus = &self.cpus;
        if cpus.len() > CPUS_MAX {
            return Err(DescriptionError::TooMany { what: "CPU", count: cpus.len(), max: CPUS_MAX });
        }
        if let Some(&value) = cpus.iter().find(|&&cpu| cpu & !AFFINITY != 0) {
            let remedy = "use bits 39:32 and 23:0 only";
            return Err(DescriptionError::Value { what: "a CPU's affinity", value, remedy });
        }
        if cpus.is_empty() {
            return Err(DescriptionError::None("CPU"));
        }
        distinct("CPU affinity", cpus.iter().copied())
    }

    fn check_values(&self) -> Checked {
        let value = |what, value, remedy| Err(DescriptionError::Value { what, value, remedy });
        let pci = &self.pci;
        if self.apb_clock == 0 {
            return value("the APB clock", 0, "it counts Hz and must run");
        }
        if pci.pri && !pci.ats {
            return value("PCI page requests", 1, "they need ATS: set both or neither");
        }
        if pci.pasid_bits > SUBSTREAM_BITS_MAX {
            return value("the width of PASIDs", pci.pasid_bits.into(), "use 0 to 20");
        }
        for smmu in &self.smmus {
            if smmu.httu > HTTU_MAX {
                return value("an SMMU's HTTU", smmu.httu.into(), "use 0 to 3");
            }
            let heard = smmu.interrupts.event.and(smmu.interrupts.gerror).is_some();
            if !heard && smmu.msi_device.is_none() {
                return Err(DescriptionError::Mute(smmu.base));
            }
        }
        Ok(())
    }

    fn check_devices(&self) -> Checked {
        for device in &self.devices {
            let PlatformDevice { name, compatible, .. } = device;
            let allowed = |c: char| c.is_ascii_alphanumeric() || ",._+-".contains(c);
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
            if !starts || name.len() > 31 || !name.chars().all(allowed) {
                let remedy = "use 1 to 31 characters of 0-9a-zA-Z,._+-, a letter first";
                let text = name.clone();
                return Err(DescriptionError::Text { what: "a device's name", text, remedy });
            }
            if compatible.is_empty() {
                return Err(DescriptionError::None("programming model of a device"));
            }
            if compatible.len() > MODELS_MAX {
                let (what, count) = ("programming model of a device", compatible.len());
                return Err(DescriptionError::TooMany { what, count, max: MODELS_MAX });
            }
            let plain = |c: char| c.is_ascii_graphic() && c != '"';
            let bad = |model: &&String| !(1..=127).contains(&model.len()) || !model.chars().all(plain);
            if let Some(model) = compatible.iter().find(bad) {
                let remedy = "use 1 to 127 printable ASCII characters without spaces and quotes";
                let text = model.clone();
                return Err(DescriptionError::Text { what: "a programming model", text, remedy });
            }
            if let Some(master) = &device.master {
                if master.streams.is_empty() {
                    return Err(DescriptionError::None("StreamID of a device behind an SMMU"));
                }
                if master.substream_bits > SUBSTREAM_BITS_MAX {
                    let value = master.substream_bits.into();
                    let remedy = "use 0 to 20";
                    return Err(DescriptionError::Value { what: "the width of SubstreamIDs", value, remedy });
                }
            }
        }
        Ok(())
    }

    fn check_chosen(&self) -> Checked {
        let line = &self.chosen.command_line;
        if line.len() > COMMAND_LINE_MAX {
            let (what, count) = ("byte of the command line", line.len());
            return Err(DescriptionError::TooMany { what, count, max: COMMAND_LINE_MAX });
        }
        if line.contains('\0') {
            let (what, remedy) = ("the command line", "leave out the NUL");
            return Err(DescriptionError::Text { what, text: line.clone(), remedy });
        }
        match &self.chosen.initrd {
            Some(range) if !self.in_ram(range) => {
                let (first, last) = (*range.start(), *range.end());
                let remedy = "put it in RAM";
                Err(DescriptionError::Range { what: "the initial RAM disk", first, last, remedy })
            }
            _ => Ok(()),
        }
    }

    /// Whether one range of RAM has all of it.
    pub(crate) fn in_ram(&self, range: &RangeInclusive<u64>) -> bool {
        let (first, last) = (range.start(), range.end());
        first <= last && self.ram.iter().any(|ram| ram.contains(first) && ram.contains(last))
    }
}

fn distinct(what: &'static str, ids: impl Iterator<Item = u64>) -> Checked {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(DescriptionError::Duplicate { what, id });
        }
    }
    Ok(())
}

fn disjoint(space: &mut [(&'static str, RangeInclusive<u64>)]) -> Checked {
    space.sort_by_key(|(_, range)| *range.start());
    for pair in space.windows(2) {
        let [(what, before), (other, after)] = pair else { continue };
        if before.end() >= after.start() {
            return Err(DescriptionError::Overlap { what, other, at: *after.start() });
        }
    }
    Ok(())
}
