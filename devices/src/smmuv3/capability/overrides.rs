//! Single fields of the ID registers by the names that a machine's description uses.
//!
//! A name that stands for what other fields depend on takes them with it, so that `stage=1` alone makes
//! a unit of a nested preset. Everything else is left to [`Config::check`].

use thiserror::Error;

use super::{ADDRESS_SIZES, Config};

/// An option that changes a preset.
#[derive(Clone, Copy, Debug)]
pub struct Override {
    /// Its name.
    pub key: &'static str,
    /// The values that it takes, in words.
    pub expected: &'static str,
    apply: fn(&mut Config, &str) -> Option<()>,
}

/// A value that an option does not take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key}={value} is not valid: expected {expected}")]
pub struct BadValue {
    /// The option.
    pub key: &'static str,
    /// What was given.
    pub value: String,
    /// What would be right.
    pub expected: &'static str,
}

impl Override {
    /// The option of this name.
    pub fn named(key: &str) -> Option<&'static Self> {
        OVERRIDES.iter().find(|option| option.key == key)
    }

    /// Changes `config` to have `value`. The result need not be consistent: see [`Config::check`].
    ///
    /// # Errors
    /// A value that is none of the option's; `config` is as before.
    pub fn apply(&self, config: &mut Config, value: &str) -> Result<(), BadValue> {
        let Self { key, expected, apply } = *self;
        apply(config, value).ok_or_else(|| BadValue { key, value: value.to_owned(), expected })
    }
}

/// A field that is on or off.
macro_rules! switch {
    ($key:literal, $register:ident.$setter:ident) => {
        Override {
            key: $key,
            expected: "on or off",
            apply: |config, value| {
                let on = match value {
                    "on" => true,
                    "off" => false,
                    _ => return None,
                };
                config.$register = config.$register.$setter(on);
                Some(())
            },
        }
    };
}

/// A field that takes numbers.
macro_rules! number {
    ($key:literal, $register:ident.$setter:ident, $range:expr, $expected:literal) => {
        Override {
            key: $key,
            expected: $expected,
            apply: |config, value| {
                let number = number(value).filter(|number| $range.contains(number))?;
                config.$register = config.$register.$setter(number.try_into().ok()?);
                Some(())
            },
        }
    };
}

/// A field whose values have names.
macro_rules! choice {
    ($key:literal, $register:ident.$setter:ident, $expected:literal, [$($name:literal => $field:literal),+]) => {
        Override {
            key: $key,
            expected: $expected,
            apply: |config, value| {
                let field = match value {
                    $($name => $field,)+
                    _ => return None,
                };
                config.$register = config.$register.$setter(field);
                Some(())
            },
        }
    };
}

/// All options, by name.
pub const OVERRIDES: &[Override] = &[
    switch!("asid16", idr0.with_asid16),
    switch!("attr-perms-ovr", idr1.with_attr_perms_ovr),
    switch!("attr-types-ovr", idr1.with_attr_types_ovr),
    choice!("bbml", idr3.with_bbml, "0, 1 or 2", ["0" => 0, "1" => 1, "2" => 2]),
    switch!("cd2l", idr0.with_cd2l),
    number!("cmdqs", idr1.with_cmdqs, (0..=19), "0 to 19, the log2 of the entries"),
    switch!("cohacc", idr0.with_cohacc),
    switch!("ds", idr5.with_ds),
    switch!("e0pd", idr3.with_e0pd),
    number!("eventqs", idr1.with_eventqs, (0..=19), "0 to 19, the log2 of the entries"),
    switch!("fwb", idr3.with_fwb),
    Override { key: "granules", expected: "4k, 16k and 64k joined by '+', such as 4k+64k", apply: granules },
    switch!("had", idr3.with_had),
    choice!("httu", idr0.with_httu, "off, access or dirty", ["off" => 0, "access" => 1, "dirty" => 2]),
    switch!("hyp", idr0.with_hyp),
    switch!("msi", idr0.with_msi),
    Override { key: "oas", expected: "32, 36, 40, 42, 44, 48 or 52", apply: output_size },
    switch!("ptwnnc", idr3.with_ptwnnc),
    switch!("ril", idr3.with_ril),
    switch!("sev", idr0.with_sev),
    number!("sidsize", idr1.with_sidsize, (0..=32), "0 to 32"),
    number!("ssidsize", idr1.with_ssidsize, (0..=20), "0 to 20"),
    choice!("st-level", idr0.with_st_level, "0 or 1", ["0" => 0, "1" => 1]),
    Override { key: "stage", expected: "1, 2 or nested", apply: stages },
    Override { key: "stall", expected: "on, off or forced", apply: stall },
    number!("stall-max", idr5.with_stall_max, (1..=0xffff), "1 to 65535"),
    switch!("stt", idr3.with_stt),
    choice!("term-model", idr0.with_term_model, "0 or 1", ["0" => false, "1" => true]),
    choice!("ttendian", idr0.with_ttendian, "mixed, little or big", ["mixed" => 0, "little" => 2, "big" => 3]),
    choice!("vax", idr5.with_vax, "48 or 52", ["48" => 0, "52" => 1]),
    switch!("vmid16", idr0.with_vmid16),
    switch!("vmw", idr0.with_vmw),
    switch!("xnx", idr3.with_xnx),
];

/// A decimal number; a sign is none.
fn number(value: &str) -> Option<u32> {
    value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()))
}

fn granules(config: &mut Config, value: &str) -> Option<()> {
    let none = config.idr5.with_gran4k(false).with_gran16k(false).with_gran64k(false);
    config.idr5 = value.split('+').try_fold(none, |idr5, granule| match granule {
        "4k" => Some(idr5.with_gran4k(true)),
        "16k" => Some(idr5.with_gran16k(true)),
        "64k" => Some(idr5.with_gran64k(true)),
        _ => None,
    })?;
    Some(())
}

fn output_size(config: &mut Config, value: &str) -> Option<()> {
    let bits = number(value)?;
    let oas = ADDRESS_SIZES.iter().position(|size| *size == bits)?;
    config.idr5 = config.idr5.with_oas(oas.try_into().ok()?);
    Some(())
}

/// What belongs to a stage goes with it, and comes with it where the version makes it mandatory.
fn stages(config: &mut Config, value: &str) -> Option<()> {
    let (one, two) = match value {
        "1" => (true, false),
        "2" => (false, true),
        "nested" => (true, true),
        _ => return None,
    };
    let Config { idr0, idr1, idr3, minor, .. } = *config;
    let both = one && two;
    config.idr0 = idr0
        .with_s1p(one)
        .with_s2p(two)
        .with_hyp(both && (idr0.hyp() || minor >= 2))
        .with_vmw(two && idr0.vmw());
    config.idr1 = if one { idr1 } else { idr1.with_ssidsize(0) };
    config.idr3 = idr3
        .with_had(one && (idr3.had() || minor >= 1))
        .with_xnx(two && (idr3.xnx() || minor >= 1))
        .with_ptwnnc(two && (idr3.ptwnnc() || minor >= 3));
    Some(())
}

/// Stalled transactions where a preset without stalls is given them.
const STALL_MAX: u16 = 128;

fn stall(config: &mut Config, value: &str) -> Option<()> {
    let (model, most) = match (value, config.idr5.stall_max()) {
        ("off", _) => (1, 0),
        ("on", 0) => (0, STALL_MAX),
        ("on", most) => (0, most),
        ("forced", 0) => (2, STALL_MAX),
        ("forced", most) => (2, most),
        _ => return None,
    };
    config.idr0 = config.idr0.with_stall_model(model);
    config.idr5 = config.idr5.with_stall_max(most);
    Some(())
}
