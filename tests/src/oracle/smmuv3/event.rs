//! Refusals and their event records [SMMUv3 3.12, 7.3].

use super::{Access, Answer, Ending};

/// Who asked for what, as records tell it: InD and PnU after STE.INSTCFG and STE.PRIVCFG.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject {
    pub stream: u32,
    pub substream: Option<u32>,
    pub address: u64,
    /// RnW.
    pub read: bool,
    /// InD.
    pub instruction: bool,
    /// PnU.
    pub privileged: bool,
}

/// What stage 2 was translating: CLASS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Cd = 0b00,
    Tt = 0b01,
    In = 0b10,
}

/// What software wants to become of the four translation faults [SMMUv3 5.5].
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// CD.A: abort, or RAZ/WI.
    pub abort: bool,
    /// CD.R or STE.S2R.
    pub record: bool,
    /// CD.S or STE.S2S.
    pub stall: bool,
}

/// One of the four faults, before anybody knows whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// Type of the record.
    code: u64,
    /// F_PERMISSION of an atomic that might write, but not read: RnW is 1 [SMMUv3 13.1.1].
    for_read: bool,
}

/// F_TRANSLATION.
pub(super) const TRANSLATION: Fault = Fault { code: 0x10, for_read: false };
/// F_ADDR_SIZE.
pub(super) const ADDR_SIZE: Fault = Fault { code: 0x11, for_read: false };
/// F_ACCESS.
pub(super) const ACCESS: Fault = Fault { code: 0x12, for_read: false };
/// F_PERMISSION.
pub(super) const PERMISSION: Fault = Fault { code: 0x13, for_read: false };

/// Whether rights are enough. An atomic needs both, whatever STE.INSTCFG says, and write permission is
/// checked first [SMMUv3 13.1.1]. What its record says for want of read permission is for SMMUv3.0 to
/// choose: here RnW = 0.
///
/// # Errors
/// F_PERMISSION.
pub(super) fn check_rights(access: Access, minor: u64, read: bool, write: bool) -> Result<(), Fault> {
    match access {
        Access::Read if !read => Err(PERMISSION),
        Access::Write | Access::Atomic if !write => Err(PERMISSION),
        Access::Atomic if !read => Err(Fault { for_read: minor >= 1, ..PERMISSION }),
        _ => Ok(()),
    }
}

/// Why a transaction does not reach memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    record: Option<[u64; 4]>,
    terms: Terms,
}

/// What everything else than the four faults leads to.
const ABORT: Terms = Terms { abort: true, record: true, stall: false };

impl Refusal {
    /// An abort that nobody is told of.
    pub fn silent() -> Self {
        Self { record: None, terms: ABORT }
    }

    /// The table of CD.A, R and S [SMMUv3 5.5].
    pub fn answer(self, can_stall: bool) -> Answer {
        let Self { record, terms } = self;
        if terms.stall {
            // Stall, bit 95.
            let held = |[a, b, c, d]: [u64; 4]| [a, b | 1 << 31, c, d];
            return if can_stall {
                Answer { ending: Ending::Stall, record: record.map(held) }
            } else {
                Answer { ending: Ending::Abort, record }
            };
        }
        let ending = if terms.abort { Ending::Abort } else { Ending::Raz };
        Answer { ending, record: record.filter(|_| terms.record) }
    }
}

impl Subject {
    /// Type, SSV, SubstreamID and StreamID.
    fn head(&self, code: u64) -> u64 {
        let substream = self.substream.map_or(0, |id| 1 << 11 | u64::from(id) << 12);
        code | substream | u64::from(self.stream) << 32
    }

    /// RnW, InD and PnU: bits 99, 98, 97.
    fn asked(&self) -> u64 {
        u64::from(self.read) << 35 | u64::from(self.instruction) << 34 | u64::from(self.privileged) << 33
    }

    /// C_BAD_STREAMID, C_BAD_STE, C_BAD_CD: only who it was.
    pub fn refused(&self, code: u64) -> Refusal {
        Refusal { record: Some([self.head(code), 0, 0, 0]), terms: ABORT }
    }

    /// F_STREAM_DISABLED: SSV and SubstreamID are reserved.
    pub fn disabled(&self) -> Refusal {
        Refusal { record: Some([0x06 | u64::from(self.stream) << 32, 0, 0, 0]), terms: ABORT }
    }

    /// C_BAD_SUBSTREAMID: SSV is reserved.
    pub fn bad_substream(&self) -> Refusal {
        let substream = u64::from(self.substream.unwrap_or(0)) << 12;
        Refusal { record: Some([0x08 | substream | u64::from(self.stream) << 32, 0, 0, 0]), terms: ABORT }
    }

    /// F_STE_FETCH, F_CD_FETCH: with FetchAddr, bits 55:3.
    pub fn fetch_failed(&self, code: u64, at: u64) -> Refusal {
        Refusal { record: Some([self.head(code), 0, 0, at & 0xff_ffff_ffff_fff8]), terms: ABORT }
    }

    /// F_WALK_EABT.
    pub fn walk_failed(&self, stage2: bool, class: Class, at: u64) -> Refusal {
        let asked = self.asked() | u64::from(stage2) << 39 | (class as u64) << 40;
        let record = [self.head(0x0b), asked, self.address, at & 0xff_ffff_ffff_fff8];
        Refusal { record: Some(record), terms: ABORT }
    }

    /// One of the four faults at stage 1.
    pub fn stage1(&self, fault: Fault, terms: Terms) -> Refusal {
        let Fault { code, for_read } = fault;
        let asked = self.asked() | u64::from(for_read) << 35 | (Class::In as u64) << 40;
        Refusal { record: Some([self.head(code), asked, self.address, 0]), terms }
    }

    /// F_ADDR_SIZE without a stage to configure its consequence.
    pub fn beyond_bypass(&self) -> Refusal {
        self.stage1(ADDR_SIZE, ABORT)
    }

    /// One of the four faults at stage 2; `descriptor_read` is TTRnW.
    pub fn stage2(
        &self,
        fault: Fault,
        terms: Terms,
        class: Class,
        ipa: u64,
        descriptor_read: bool,
    ) -> Refusal {
        let Fault { code, for_read } = fault;
        let ttrnw = u64::from(descriptor_read && code == 0x13 && class == Class::Tt) << 44;
        let asked = self.asked() | u64::from(for_read) << 35 | 1 << 39 | (class as u64) << 40 | ttrnw;
        let record = [self.head(code), asked, self.address, ipa & 0xff_ffff_ffff_f000];
        Refusal { record: Some(record), terms }
    }
}
