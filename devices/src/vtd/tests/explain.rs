//! Explanations: every DMA of the other tests is explained first and must come out so; the texts of
//! a few, checked by hand against the specification.

use expect_test::{Expect, expect};

use super::*;
use crate::addr::{Iova, PAGE_SIZE, Pasid};
use crate::fabric::{Abort, Kind, Transaction};
use crate::iommu::cache::Policy;
use crate::vtd::explain::{Answer, Explanation, Hex, Place, Refused, Step};

impl Rig {
    /// Does a DMA by `act` and holds its outcome against the explanation given before: of the first
    /// page, as an explanation is of one transaction.
    pub(super) fn as_explained(
        &mut self,
        request: Request,
        access: Access,
        len: u64,
        data: u32,
        act: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        let piece = len.min(PAGE_SIZE - request.address.page_offset());
        let explanation = self.explain(request, access, piece, data);
        let (faults, messages, stale) = (self.faults.len(), self.messages.len(), self.stale.len());
        let outcome = act(self);
        self.deliver();
        let new: Vec<u64> = self.faults[faults..].iter().map(|fault| fault.reason.code().into()).collect();
        let whole = piece == len;
        if self.unit.control.parts().0.sanitize && whole {
            let due = explanation.caches.iter().filter(|cached| cached.used && cached.stale).count();
            assert_eq!(self.stale.len() - stale, due, "{explanation}");
        }
        match &explanation.answer {
            Answer::Refused(Refused { outcome: expected, cause, protected }) => {
                assert!(cause.is_none() || protected.is_none(), "{explanation}");
                assert_eq!(outcome, *expected, "{explanation}");
                let due = cause.iter().filter(|cause| !cause.suppressed).map(|cause| cause.code.0);
                assert_eq!(new, due.collect::<Vec<_>>(), "{explanation}");
            }
            Answer::Memory { ram: false, .. } => {
                assert_eq!((outcome, new.len()), (Outcome::Abort(Abort::Ur), 0), "{explanation}");
            }
            Answer::Interrupt { address, data } => {
                assert_eq!((outcome, new.len()), (Outcome::Done, 0), "{explanation}");
                // The data of a message has 32 bits.
                assert_eq!(self.messages[messages..], [(address.0, data.0 as u32)], "{explanation}");
            }
            Answer::Memory { .. } | Answer::Nothing if whole => {
                assert_eq!((outcome, new.len()), (Outcome::Done, 0), "{explanation}");
            }
            Answer::Memory { .. } | Answer::Nothing => {}
        }
        outcome
    }

    pub(super) fn explain(&self, request: Request, access: Access, len: u64, data: u32) -> Explanation {
        let Request { address, pasid, attrs, kind } = request;
        let initiator = self.port.initiator();
        let transaction = Transaction { initiator, pasid, address, len, access, attrs, kind };
        let before = self.unit.save();
        let explanation = self.unit.explain(&transaction, data);
        assert_eq!(self.unit.save(), before, "nothing changes");
        self.check_steps(&explanation);
        explanation
    }

    /// What holds of every explanation.
    fn check_steps(&self, explanation: &Explanation) {
        let Explanation { steps, through_caches, caches, answer, fresh, .. } = explanation;
        for step in steps.iter().chain(through_caches) {
            if let Place::Memory(at) = step.place {
                for (word, offset) in step.words.iter().zip([0, 8]) {
                    assert_eq!(word.0, self.get(at.0 + offset), "{explanation}");
                }
            }
        }
        // A refusal points at something.
        let refused = |answer: &Answer| {
            answer.cause().is_some() || matches!(answer, Answer::Refused(Refused { protected: Some(_), .. }))
        };
        let explained = |answer, steps: &[Step]| !refused(answer) || steps.iter().any(|step| step.decides);
        // Nothing but the last step is missing.
        for part in [steps, through_caches] {
            let read = |step: &Step| !step.words.is_empty() || matches!(step.place, Place::Latch);
            assert!(part.split_last().is_none_or(|(_, rest)| rest.iter().all(read)), "{explanation}");
        }
        assert!(explained(fresh.as_ref().unwrap_or(answer), steps), "{explanation}");
        assert!(fresh.is_none() || explained(answer, through_caches), "{explanation}");
        assert_eq!(fresh.is_none(), through_caches.is_empty(), "{explanation}");
        // Only what is stale decides otherwise than the tables do. But table modes are not in tables, and
        // the sanitizer does not look at the FPD that a translation was cached with.
        let fresh_code = fresh.as_ref().and_then(Answer::cause).map(|cause| cause.code);
        let by_mode = matches!(fresh_code, Some(Hex(0x30 | 0x33)));
        let by_fpd = fresh_code.is_some() && answer.cause().map(|cause| cause.code) == fresh_code;
        assert!(
            fresh.is_none() || by_mode || by_fpd || caches.iter().any(|cached| cached.stale),
            "{explanation}"
        );
    }
}

fn check(rig: &Rig, request: Request, access: Access, len: u64, data: u32, expected: Expect) {
    expected.assert_eq(&format!("{}\n", rig.explain(request, access, len, data)));
}

fn mapped() -> Rig {
    Rig::mapped(Config::preset("vtd-legacy").unwrap(), 2)
}

#[test]
fn a_translation_is_shown_entry_by_entry() {
    check(
        &mapped(),
        Request::at(IOVA + 8),
        Access::Read,
        8,
        0,
        expect![[r#"
            00:03.0 reads 8 bytes at 0x4000005008

            GSTS_REG (register 0x1c) = 0xc4000000
                   31  tes        0x1
              -> translation is on

            RTADDR_REG (as latched) = 0x0000000000001000
                63:12  rta        0x1
                11:10  ttm        0x0
              -> legacy tables; the root entry of bus 00 is at 0x1000

            root entry at 0x1000 = 0x0000000000000000 0x0000000000002001
                63:12  ctp        0x2
                    0  p          0x1
              -> present; the context entry of 00:03.0 is at 0x2180

            context entry at 0x2180 = 0x0000000000000702 0x0000000000013001
                87:72  did        0x7
                66:64  aw         0x2
                63:12  ssptptr    0x13
                  3:2  tt         0x0
                    1  fpd        0x0
                    0  p          0x1
              -> domain 7, 48 bits in 4 levels of tables at 0x13000

            SS-PML4E at 0x13000 = 0x0000000000012003
                51:12  address    0x12
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PDPE is at 0x12800

            SS-PDPE at 0x12800 = 0x0000000000011003
                51:12  address    0x11
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PDE is at 0x11000

            SS-PDE at 0x11000 = 0x0000000000010003
                51:12  address    0x10
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PTE is at 0x10028

            SS-PTE at 0x10028 = 0x0000000000200003
                51:12  address    0x200
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> maps a page of 4 KiB at 0x200000

            caches
              IOTLB: no entry
              context cache: no entry

            result: physical address 0x200008, in a page of 4 KiB that permits reads and writes
        "#]],
    );
}

#[test]
fn the_bit_that_is_wrong_is_pointed_at() {
    let rig = mapped();
    rig.map(2, IOVA, 1, PAGE | 1);
    check(
        &rig,
        Request::at(IOVA),
        Access::Write,
        8,
        0,
        expect![[r#"
            00:03.0 writes 8 bytes at 0x4000005000

            GSTS_REG (register 0x1c) = 0xc4000000
                   31  tes        0x1
              -> translation is on

            RTADDR_REG (as latched) = 0x0000000000001000
                63:12  rta        0x1
                11:10  ttm        0x0
              -> legacy tables; the root entry of bus 00 is at 0x1000

            root entry at 0x1000 = 0x0000000000000000 0x0000000000002001
                63:12  ctp        0x2
                    0  p          0x1
              -> present; the context entry of 00:03.0 is at 0x2180

            context entry at 0x2180 = 0x0000000000000702 0x0000000000013001
                87:72  did        0x7
                66:64  aw         0x2
                63:12  ssptptr    0x13
                  3:2  tt         0x0
                    1  fpd        0x0
                    0  p          0x1
              -> domain 7, 48 bits in 4 levels of tables at 0x13000

            SS-PML4E at 0x13000 = 0x0000000000012003
                51:12  address    0x12
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PDPE is at 0x12800

            SS-PDPE at 0x12800 = 0x0000000000011003
                51:12  address    0x11
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PDE is at 0x11000

            SS-PDE at 0x11000 = 0x0000000000010003
                51:12  address    0x10
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PTE is at 0x10028

            SS-PTE at 0x10028 = 0x0000000000200001
                51:12  address    0x200
                    7  ps         0x0
                    1  w          0x0   <== decides
                    0  r          0x1
              => W = 0: no writes; maps a page of 4 KiB at 0x200000

            caches
              IOTLB: no entry
              context cache: no entry

            result: aborted (UR): fault 05h, LGN.2, no write permission [VT-d 7.1.3]; recorded; FPD = 1 would suppress it
        "#]],
    );
    rig.map(2, IOVA, 1, PAGE | 1 << 51 | 1 << 11 | 3);
    check(
        &rig,
        Request::at(IOVA),
        Access::Write,
        8,
        0,
        expect![[r#"
            00:03.0 writes 8 bytes at 0x4000005000

            GSTS_REG (register 0x1c) = 0xc4000000
                   31  tes        0x1
              -> translation is on

            RTADDR_REG (as latched) = 0x0000000000001000
                63:12  rta        0x1
                11:10  ttm        0x0
              -> legacy tables; the root entry of bus 00 is at 0x1000

            root entry at 0x1000 = 0x0000000000000000 0x0000000000002001
                63:12  ctp        0x2
                    0  p          0x1
              -> present; the context entry of 00:03.0 is at 0x2180

            context entry at 0x2180 = 0x0000000000000702 0x0000000000013001
                87:72  did        0x7
                66:64  aw         0x2
                63:12  ssptptr    0x13
                  3:2  tt         0x0
                    1  fpd        0x0
                    0  p          0x1
              -> domain 7, 48 bits in 4 levels of tables at 0x13000

            SS-PML4E at 0x13000 = 0x0000000000012003
                51:12  address    0x12
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PDPE is at 0x12800

            SS-PDPE at 0x12800 = 0x0000000000011003
                51:12  address    0x11
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PDE is at 0x11000

            SS-PDE at 0x11000 = 0x0000000000010003
                51:12  address    0x10
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PTE is at 0x10028

            SS-PTE at 0x10028 = 0x0008000000200803
                51:12  address    0x8000000200   <== decides
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              must be zero, but set: bits 11, 51
              => bits are set that must be zero

            caches
              IOTLB: no entry
              context cache: no entry

            result: aborted (UR): fault 0ch, LSS.2, reserved field in second-stage entry [VT-d 7.1.3]; recorded; FPD = 1 would suppress it
        "#]],
    );
    rig.set_context(table(4) | 3, 0x703);
    check(
        &rig,
        Request::at(IOVA),
        Access::Write,
        8,
        0,
        expect![[r#"
            00:03.0 writes 8 bytes at 0x4000005000

            GSTS_REG (register 0x1c) = 0xc4000000
                   31  tes        0x1
              -> translation is on

            RTADDR_REG (as latched) = 0x0000000000001000
                63:12  rta        0x1
                11:10  ttm        0x0
              -> legacy tables; the root entry of bus 00 is at 0x1000

            root entry at 0x1000 = 0x0000000000000000 0x0000000000002001
                63:12  ctp        0x2
                    0  p          0x1
              -> present; the context entry of 00:03.0 is at 0x2180

            context entry at 0x2180 = 0x0000000000000703 0x0000000000013003
                87:72  did        0x7
                66:64  aw         0x3   <== decides
                63:12  ssptptr    0x13
                  3:2  tt         0x0
                    1  fpd        0x1
                    0  p          0x1
              => the unit does not support this width or type

            caches
              IOTLB: no entry
              context cache: no entry

            result: aborted (UR): fault 03h, LCT.4.1, context entry invalid [VT-d 7.1.3]; not recorded, because FPD = 1
        "#]],
    );
    rig.set(ROOT, 0x1000_0001);
    check(
        &rig,
        Request::at(IOVA),
        Access::Write,
        8,
        0,
        expect![[r#"
            00:03.0 writes 8 bytes at 0x4000005000

            GSTS_REG (register 0x1c) = 0xc4000000
                   31  tes        0x1
              -> translation is on

            RTADDR_REG (as latched) = 0x0000000000001000
                63:12  rta        0x1
                11:10  ttm        0x0
              -> legacy tables; the root entry of bus 00 is at 0x1000

            root entry at 0x1000 = 0x0000000000000000 0x0000000010000001
                63:12  ctp        0x10000   <== decides
                    0  p          0x1
              => present; the context entry of 00:03.0 is at 0x10000180

            context entry at 0x10000180
              -> cannot be read: there is no RAM

            caches
              IOTLB: no entry
              context cache: no entry

            result: aborted (UR): fault 09h, LCT.1, context entry not readable [VT-d 7.1.3]; recorded; FPD does not count
        "#]],
    );
}

#[test]
fn stale_entries_are_told_from_memory() {
    let mut rig = mapped();
    assert_eq!(rig.read(IOVA, &mut [0; 8]), Outcome::Done);
    rig.map(2, IOVA, 1, 0);
    rig.set_context(table(4) | 1, 0x802);
    check(
        &rig,
        Request::at(IOVA),
        Access::Read,
        8,
        0,
        expect![[r#"
            00:03.0 reads 8 bytes at 0x4000005000

            GSTS_REG (register 0x1c) = 0xc4000000
                   31  tes        0x1
              -> translation is on

            RTADDR_REG (as latched) = 0x0000000000001000
                63:12  rta        0x1
                11:10  ttm        0x0
              -> legacy tables; the root entry of bus 00 is at 0x1000

            root entry at 0x1000 = 0x0000000000000000 0x0000000000002001
                63:12  ctp        0x2
                    0  p          0x1
              -> present; the context entry of 00:03.0 is at 0x2180

            context entry at 0x2180 = 0x0000000000000802 0x0000000000013001
                87:72  did        0x8
                66:64  aw         0x2
                63:12  ssptptr    0x13
                  3:2  tt         0x0
                    1  fpd        0x0
                    0  p          0x1
              -> domain 8, 48 bits in 4 levels of tables at 0x13000

            SS-PML4E at 0x13000 = 0x0000000000012003
                51:12  address    0x12
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PDPE is at 0x12800

            SS-PDPE at 0x12800 = 0x0000000000011003
                51:12  address    0x11
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PDE is at 0x11000

            SS-PDE at 0x11000 = 0x0000000000010003
                51:12  address    0x10
                    7  ps         0x0
                    1  w          0x1
                    0  r          0x1
              -> present; the SS-PTE is at 0x10028

            SS-PTE at 0x10028 = 0x0000000000000000
                51:12  address    0x0
                    7  ps         0x0
                    1  w          0x0
                    0  r          0x0   <== decides
              => R = 0 and W = 0: not present, nothing is mapped here

            caches
              IOTLB: page 0x4000005000 -> 0x200000, reads and writes; it answers; STALE, memory says something else now
              context cache: 0x0000000000000702 0x0000000000013001; not asked; STALE, memory says something else now
              paging-structure cache: SS-PDE -> table at 0x10000, reads and writes; not asked
              paging-structure cache: SS-PDPE -> table at 0x11000, reads and writes; not asked
              paging-structure cache: SS-PML4E -> table at 0x12000, reads and writes; not asked

            by way of the caches

            IOTLB entry (cached) = 0x0000000000200003
                51:12  address    0x200
                    1  w          0x1
                    0  r          0x1
              -> maps a page of 4 KiB at 0x200000

            result: physical address 0x200000, in a page of 4 KiB that permits reads and writes
            with empty caches: aborted (UR): fault 06h, LGN.3, no read permission [VT-d 7.1.3]; recorded; FPD = 1 would suppress it
        "#]],
    );
}

#[test]
fn requests_that_never_meet_the_tables() {
    let mut rig = mapped();
    let pasid = Request { pasid: Pasid::new(5), ..Request::at(IOVA) };
    check(
        &rig,
        pasid,
        Access::Read,
        4,
        0,
        expect![[r#"
            00:03.0 reads 4 bytes at 0x4000005000, PASID 0x5

            GSTS_REG (register 0x1c) = 0xc4000000
                   31  tes        0x1
              -> translation is on

            RTADDR_REG (as latched) = 0x0000000000001000
                63:12  rta        0x1
                11:10  ttm        0x0   <== decides
              => legacy mode serves only requests without PASID, and this one has a PASID

            caches
              IOTLB: no entry
              context cache: no entry

            result: aborted (UR): fault 31h, RTA.2, request with PASID in legacy mode [VT-d 7.1.3]; recorded; FPD does not count
        "#]],
    );
    check(
        &rig,
        Request::at(0xfee0_0000),
        Access::Read,
        4,
        0,
        expect![[r#"
            00:03.0 reads 4 bytes at 0xfee00000

            interrupt address range = 0x00000000fee00000
              => 0xfee00000 to 0xfeefffff is for interrupts [VT-d 3.15]; neither an aligned write of 4 bytes nor a zero-length read: refused

            result: aborted (UR): fault 29h, malformed access to the interrupt range [VT-d 3.15]; recorded; FPD does not count
        "#]],
    );
    rig.w32(GCMD, QIE);
    let translated = Request { kind: Kind::Translated, address: Iova(IOVA), ..Request::default() };
    check(
        &rig,
        translated,
        Access::Read,
        4,
        0,
        expect![[r#"
            00:03.0 reads 4 bytes at 0x4000005000, as a translated address

            GSTS_REG (register 0x1c) = 0x44000000
                   31  tes        0x0   <== decides
              => translation is off: translated requests are refused

            result: aborted (UR); no fault is recorded
        "#]],
    );
    check(
        &rig,
        Request::at(0x6000),
        Access::Read,
        4,
        0,
        expect![[r#"
            00:03.0 reads 4 bytes at 0x6000

            GSTS_REG (register 0x1c) = 0x44000000
                   31  tes        0x0   <== decides
              => translation is off: the address is used as it is

            result: physical address 0x6000
        "#]],
    );
}

#[test]
fn interrupts_are_shown_with_their_entry() {
    let mut rig = Rig::legacy();
    rig.w64(0xb8, 0x30_0007);
    rig.w32(GCMD, 1 << 24);
    rig.w32(GCMD, 1 << 25);
    let request = Request::at(0xfee0_0010 | 5 << 5);
    rig.set(0x30_0050, 0x0041_0001);
    rig.set(0x30_0058, 0x4_0019);
    check(
        &rig,
        request,
        Access::Write,
        4,
        0,
        expect![[r#"
            00:03.0 writes 4 bytes at 0xfee000b0, data 0x0

            interrupt address range = 0x00000000fee000b0
              -> 0xfee00000 to 0xfeefffff is for interrupts [VT-d 3.15]; an aligned write of 4 bytes: an interrupt

            GSTS_REG (register 0x1c) = 0x03000000
                   25  ires       0x1
                   23  cfis       0x0
              -> interrupt remapping is on

            IRTA_REG (as latched) = 0x0000000000300007
                63:12  irta       0x300
                   11  eime       0x0
                  3:0  s          0x7
              -> a table of 256 entries at 0x300000

            interrupt request = 0x0000000000000000 0x00000000fee000b0
                 19:5  handle     0x5
                    4  remappable 0x1
                    3  shv        0x0
                    2  handle_15  0x0
              -> index 0x5, its entry is at 0x300050

            interrupt entry at 0x300050 = 0x0000000000040019 0x0000000000410001
                83:82  svt        0x1   <== decides
                81:80  sq         0x0   <== decides
                79:64  sid        0x19   <== decides
                63:32  dst        0x0
                23:16  v          0x41
                  7:5  dlm        0x0
                    4  tm         0x0
                    3  rh         0x0
                    2  dm         0x0
                    1  fpd        0x0
                    0  p          0x1
              => SVT, SQ and SID do not admit the source 00:03.0 (0x0018)

            caches
              interrupt entry cache: no entry

            result: aborted (UR): fault 26h, interrupt from another source than the entry's [VT-d 5.1.4.1]; recorded; FPD = 1 would suppress it
        "#]],
    );
    rig.set(0x30_0058, 0);
    check(
        &rig,
        request,
        Access::Write,
        4,
        0,
        expect![[r#"
            00:03.0 writes 4 bytes at 0xfee000b0, data 0x0

            interrupt address range = 0x00000000fee000b0
              -> 0xfee00000 to 0xfeefffff is for interrupts [VT-d 3.15]; an aligned write of 4 bytes: an interrupt

            GSTS_REG (register 0x1c) = 0x03000000
                   25  ires       0x1
                   23  cfis       0x0
              -> interrupt remapping is on

            IRTA_REG (as latched) = 0x0000000000300007
                63:12  irta       0x300
                   11  eime       0x0
                  3:0  s          0x7
              -> a table of 256 entries at 0x300000

            interrupt request = 0x0000000000000000 0x00000000fee000b0
                 19:5  handle     0x5
                    4  remappable 0x1
                    3  shv        0x0
                    2  handle_15  0x0
              -> index 0x5, its entry is at 0x300050

            interrupt entry at 0x300050 = 0x0000000000000000 0x0000000000410001
                83:82  svt        0x0
                81:80  sq         0x0
                79:64  sid        0x0
                63:32  dst        0x0
                23:16  v          0x41
                  7:5  dlm        0x0
                    4  tm         0x0
                    3  rh         0x0
                    2  dm         0x0
                    1  fpd        0x0
                    0  p          0x1
              -> becomes a write of 0x4041 to 0xfee00000

            caches
              interrupt entry cache: no entry

            result: interrupt message, 0x4041 to 0xfee00000
        "#]],
    );
    check(
        &rig,
        Request::at(0xfee0_0000),
        Access::Write,
        4,
        0x41,
        expect![[r#"
            00:03.0 writes 4 bytes at 0xfee00000, data 0x41

            interrupt address range = 0x00000000fee00000
              -> 0xfee00000 to 0xfeefffff is for interrupts [VT-d 3.15]; an aligned write of 4 bytes: an interrupt

            GSTS_REG (register 0x1c) = 0x03000000
                   25  ires       0x1
                   23  cfis       0x0   <== decides
              => interrupt remapping is on

            IRTA_REG (as latched) = 0x0000000000300007
                63:12  irta       0x300
                   11  eime       0x0
                  3:0  s          0x7
              -> a table of 256 entries at 0x300000

            interrupt request = 0x0000000000000041 0x00000000fee00000
                 19:5  handle     0x0
                    4  remappable 0x0   <== decides
                    3  shv        0x0
                    2  handle_15  0x0
              => compatibility format: refused, as software does not let it pass (CFIS = 0)

            result: aborted (UR): fault 25h, compatibility-format interrupt blocked [VT-d 5.1.4.1]; recorded; FPD does not count
        "#]],
    );
}

#[test]
fn numbers_of_64_bits_are_text_in_json() {
    let explanation = mapped().explain(Request::at(IOVA), Access::Write, 8, 0);
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["request"]["address"], "0x4000005000");
    assert_eq!(json["answer"]["result"], "memory");
    assert_eq!(json["answer"]["address"], "0x200000");
    assert_eq!(json["steps"][2]["table"], "root entry");
    assert_eq!(json["steps"][2]["place"]["memory"], "0x1000");
    assert_eq!(json["steps"][2]["words"], serde_json::json!(["0x2001", "0x0"]));
    assert_eq!(json["steps"][2]["fields"][1]["name"], "p");
}

/// The part of an explanation after its steps.
fn check_end(explanation: &Explanation, expected: Expect) {
    let text = explanation.to_string();
    let (_, end) = text.split_once("\ncaches\n").unwrap();
    expected.assert_eq(&format!("{end}\n"));
}

#[test]
fn a_protected_region_is_named() {
    let config = Config { protected_regions: true, ..Config::preset("vtd-legacy").unwrap() };
    let mut rig = Rig::mapped(config, 2);
    rig.w32(0x68, 0x20_0000);
    rig.w32(0x6c, 0x20_0000);
    rig.w64(0x70, 0x1_0000_0000);
    rig.w64(0x78, 0);
    rig.w32(0x64, 1 << 31);
    // Not in force before EPM is set again.
    rig.w32(0x68, 0x60_0000);
    let explanation = rig.explain(Request::at(IOVA), Access::Write, 8, 0);
    let text = explanation.to_string();
    let (_, end) = text.split_once("\nPMEN_REG").unwrap();
    expect![[r#"
        PMEN_REG (register 0x64) = 0x80000001
               31  epm        0x1   <== decides
                0  prs        0x1
          => memory regions are protected

        protected low-memory region (as latched)
          => 0x200000 to 0x3fffff: 0x200000 is in it, where no DMA may go [VT-d 11.4.8]

        caches
          IOTLB: no entry
          context cache: no entry

        result: aborted (UR): physical address 0x200000 is in the protected low-memory region, 0x200000 to 0x3fffff [VT-d 11.4.8]; no fault is recorded
    "#]].assert_eq(&format!("PMEN_REG{end}\n"));
    rig.map(2, IOVA, 1, 0x60_0000 | 3);
    let explanation = rig.explain(Request::at(IOVA), Access::Write, 8, 0);
    let last = explanation.steps.last().unwrap();
    assert_eq!((last.table, last.decides), ("PMEN_REG", false));
    assert_eq!(last.meaning, "memory regions are protected; 0x600000 is in none of them");
    // A cached translation leads there still.
    rig.map(2, IOVA, 1, PAGE | 3);
    assert_eq!(rig.write(IOVA, &[1; 8]), Outcome::Abort(Abort::Ur));
    rig.map(2, IOVA, 1, 0x60_0000 | 3);
    check_end(
        &rig.explain(Request::at(IOVA), Access::Write, 8, 0),
        expect![[r#"
          IOTLB: page 0x4000005000 -> 0x200000, reads and writes; it answers; STALE, memory says something else now
          context cache: 0x0000000000000702 0x0000000000013001; not asked
          paging-structure cache: SS-PDE -> table at 0x10000, reads and writes; not asked
          paging-structure cache: SS-PDPE -> table at 0x11000, reads and writes; not asked
          paging-structure cache: SS-PML4E -> table at 0x12000, reads and writes; not asked

        by way of the caches

        IOTLB entry (cached) = 0x0000000000200003
            51:12  address    0x200
                1  w          0x1
                0  r          0x1
          -> maps a page of 4 KiB at 0x200000

        PMEN_REG (register 0x64) = 0x80000001
               31  epm        0x1   <== decides
                0  prs        0x1
          => memory regions are protected

        protected low-memory region (as latched)
          => 0x200000 to 0x3fffff: 0x200000 is in it, where no DMA may go [VT-d 11.4.8]

        result: aborted (UR): physical address 0x200000 is in the protected low-memory region, 0x200000 to 0x3fffff [VT-d 11.4.8]; no fault is recorded
        with empty caches: physical address 0x600000, in a page of 4 KiB that permits reads and writes
    "#]],
    );
    rig.w32(GCMD, QIE);
    let untranslated = rig.explain(Request::at(PAGE), Access::Write, 8, 0);
    assert!(
        matches!(untranslated.answer, Answer::Refused(Refused { protected: Some(_), .. })),
        "{untranslated}"
    );
    assert_eq!(untranslated.steps.last().unwrap().table, "protected low-memory region");
}

#[test]
fn a_walk_that_starts_from_a_cached_table_is_shown_from_there() {
    let mut rig = mapped();
    assert_eq!(rig.read(IOVA + 0x1000, &mut [0; 4]), Outcome::Abort(Abort::Ur));
    check_end(
        &rig.explain(Request::at(IOVA), Access::Read, 4, 0),
        expect![[r#"
          IOTLB: no entry
          context cache: 0x0000000000000702 0x0000000000013001; it answers
          paging-structure cache: SS-PDE -> table at 0x10000, reads and writes; the walk starts there
          paging-structure cache: SS-PDPE -> table at 0x11000, reads and writes; not asked
          paging-structure cache: SS-PML4E -> table at 0x12000, reads and writes; not asked

        result: physical address 0x200000, in a page of 4 KiB that permits reads and writes
    "#]],
    );
    // Another last-level table, read-only: the cached one serves on.
    rig.set(0x6000 + (IOVA >> 12 & 0x1ff) * 8, (PAGE + 0x1000) | 3);
    rig.map(2, IOVA, 2, 0x6000 | 1);
    check_end(
        &rig.explain(Request::at(IOVA), Access::Write, 4, 0),
        expect![[r#"
          IOTLB: no entry
          context cache: 0x0000000000000702 0x0000000000013001; it answers
          paging-structure cache: SS-PDE -> table at 0x10000, reads and writes; the walk starts there; STALE, memory says something else now
          paging-structure cache: SS-PDPE -> table at 0x11000, reads and writes; not asked
          paging-structure cache: SS-PML4E -> table at 0x12000, reads and writes; not asked

        by way of the caches

        context entry (cached) = 0x0000000000000702 0x0000000000013001
            87:72  did        0x7
            66:64  aw         0x2
            63:12  ssptptr    0x13
              3:2  tt         0x0
                1  fpd        0x0
                0  p          0x1
          -> domain 7, 48 bits in 4 levels of tables at 0x13000

        SS-PDE (cached) = 0x0000000000010003
            51:12  address    0x10
                1  w          0x1
                0  r          0x1
          -> the walk starts from here; the SS-PTE is at 0x10028

        SS-PTE at 0x10028 = 0x0000000000200003
            51:12  address    0x200
                7  ps         0x0
                1  w          0x1
                0  r          0x1
          -> maps a page of 4 KiB at 0x200000

        result: physical address 0x200000, in a page of 4 KiB that permits reads and writes
        with empty caches: aborted (UR): fault 05h, LGN.2, no write permission [VT-d 7.1.3]; recorded; FPD = 1 would suppress it
    "#]],
    );
}

#[test]
fn a_fault_that_caching_mode_has_cached_is_explained_from_the_cache() {
    let cm = || Rig::mapped(Config::preset("vtd-legacy-cm").unwrap(), 2);
    let mut rig = cm();
    rig.set_context(table(4) | 3, 0x703);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), Outcome::Abort(Abort::Ur));
    rig.set_context(table(4) | 1, 0x702);
    check_end(
        &rig.explain(Request::at(IOVA), Access::Read, 4, 0),
        expect![[r#"
          IOTLB: no entry
          context cache: 0x0000000000000703 0x0000000000013003; it answers; STALE, memory says something else now

        by way of the caches

        context entry (cached) = 0x0000000000000703 0x0000000000013003
            87:72  did        0x7
            66:64  aw         0x3   <== decides
            63:12  ssptptr    0x13
              3:2  tt         0x0
                1  fpd        0x1
                0  p          0x1
          => the unit does not support this width or type

        result: aborted (UR): fault 03h, LCT.4.1, context entry invalid [VT-d 7.1.3]; not recorded, because FPD = 1
        with empty caches: physical address 0x200000, in a page of 4 KiB that permits reads and writes
    "#]],
    );
    let mut rig = cm();
    rig.map(2, IOVA, 1, 0);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), Outcome::Abort(Abort::Ur));
    rig.map(2, IOVA, 1, PAGE | 3);
    check_end(
        &rig.explain(Request::at(IOVA), Access::Read, 4, 0),
        expect![[r#"
          IOTLB: page 0x4000005000 -> not present; it answers; STALE, memory says something else now
          context cache: 0x0000000000000702 0x0000000000013001; not asked
          paging-structure cache: SS-PDE -> table at 0x10000, reads and writes; not asked
          paging-structure cache: SS-PDPE -> table at 0x11000, reads and writes; not asked
          paging-structure cache: SS-PML4E -> table at 0x12000, reads and writes; not asked

        by way of the caches

        IOTLB entry (cached) = 0x0000000000000000
            51:12  address    0x0
                1  w          0x0
                0  r          0x0   <== decides
          => R = 0: no reads; not present, nothing is mapped here; FPD = 0 for its context entry then

        result: aborted (UR): fault 06h, LGN.3, no read permission [VT-d 7.1.3]; recorded; FPD = 1 would suppress it
        with empty caches: physical address 0x200000, in a page of 4 KiB that permits reads and writes
    "#]],
    );
    let mut rig = cm();
    rig.w64(0xb8, 0x30_0007);
    rig.w32(GCMD, QIE | TE | 1 << 24);
    rig.w32(GCMD, QIE | TE | 1 << 25);
    assert_eq!(rig.write(0xfee0_00b0, &[0; 4]), Outcome::Abort(Abort::Ur));
    rig.set(0x30_0050, 0x0041_0001);
    check_end(
        &rig.explain(Request::at(0xfee0_00b0), Access::Write, 4, 0),
        expect![[r#"
          interrupt entry cache: index 0x5: 0x0000000000000000 0x0000000000000000; it answers; STALE, memory says something else now

        by way of the caches

        interrupt entry (cached) = 0x0000000000000000 0x0000000000000000
            83:82  svt        0x0
            81:80  sq         0x0
            79:64  sid        0x0
            63:32  dst        0x0
            23:16  v          0x0
              7:5  dlm        0x0
                4  tm         0x0
                3  rh         0x0
                2  dm         0x0
                1  fpd        0x0
                0  p          0x0   <== decides
          => P = 0: not present

        result: aborted (UR): fault 22h, interrupt entry not present [VT-d 5.1.4.1]; recorded; FPD = 1 would suppress it
        with empty caches: interrupt message, 0x4041 to 0xfee00000
    "#]],
    );
}

#[test]
fn a_cache_that_agrees_with_memory_is_not_called_stale() {
    let mut rig = mapped();
    rig.map(2, IOVA, 1, PAGE | 1);
    assert_eq!(rig.read(IOVA, &mut [0; 4]), Outcome::Done);
    let pasid = Request { pasid: Pasid::new(5), ..Request::at(IOVA) };
    for (request, access) in [(Request::at(IOVA), Access::Write), (pasid, Access::Read)] {
        let explanation = rig.explain(request, access, 4, 0);
        assert!(explanation.answer.cause().is_some(), "{explanation}");
        assert!(explanation.caches.iter().all(|cached| !cached.stale), "{explanation}");
    }
    // An interrupt that is not remapped does not meet the cache.
    rig.w64(0xb8, 0x30_0007);
    rig.set(0x30_0050, 0x0041_0001);
    rig.w32(GCMD, QIE | TE | 1 << 24);
    rig.w32(GCMD, QIE | TE | 1 << 25);
    assert_eq!(rig.write(0xfee0_00b0, &[0; 4]), Outcome::Done);
    rig.w32(GCMD, QIE | TE);
    assert_eq!(rig.explain(Request::at(0xfee0_00b0), Access::Write, 4, 0).caches, []);
}

#[test]
fn an_interrupt_table_beyond_the_host_s_width_is_blamed() {
    let mut rig = Rig::legacy();
    rig.w64(0xb8, 1 << 48 | 7);
    rig.w32(GCMD, 1 << 24);
    rig.w32(GCMD, 1 << 25);
    let explanation = rig.explain(Request::at(0xfee0_00b0), Access::Write, 4, 0);
    let table = explanation.steps.iter().find(|step| step.table == "IRTA_REG").unwrap();
    let blamed: Vec<_> = table.fields.iter().filter(|field| field.decides).map(|field| field.name).collect();
    assert_eq!((blamed, explanation.answer.cause().unwrap().code.0), (vec!["irta"], 0x21), "{explanation}");
}

#[test]
fn an_unsanitized_copy_explains_a_sanitized_unit() {
    let explain = |sanitize| {
        let mut rig = Rig::mapped(Config { sanitize, ..Config::preset("vtd-legacy").unwrap() }, 2);
        rig.read(IOVA, &mut [0; 4]);
        rig.map(2, IOVA, 1, 0);
        rig.explain(Request::at(IOVA), Access::Write, 8, 0)
    };
    assert_eq!(explain(true), explain(false));
}

/// Numbers that look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn of<T: Copy>(&mut self, rows: &[T]) -> T {
        rows[self.below(rows.len() as u64) as usize]
    }
}

/// Changes tables, registers or caches somehow, more often than drivers forget to invalidate.
fn disturb(rig: &mut Rig, numbers: &mut Numbers) {
    const HOLE: u64 = 0x1000_0000;
    let iova = IOVA + 0x1000 * numbers.below(3);
    match numbers.below(12) {
        0 | 1 => {
            let leaves =
                [PAGE | 3, PAGE | 1, PAGE | 2, 0, 0x60_0000 | 3, HOLE | 3, 0xfee0_0003, PAGE | 1 << 11 | 3];
            rig.set(table(1) + (iova >> 12 & 0x1ff) * 8, numbers.of(&leaves));
        }
        2 => {
            let entries = [table(1) | 3, table(1) | 1, 0x7000 | 3, 0x40_0083, HOLE | 3, 0];
            rig.set(table(2) + (iova >> 21 & 0x1ff) * 8, numbers.of(&entries));
        }
        3 => {
            let entries = [table(2) | 3, table(2) | 2, 1 << 48 | table(2) | 3];
            rig.set(table(3) + (iova >> 30 & 0x1ff) * 8, numbers.of(&entries));
        }
        4 => {
            let (root, wide) = (table(4) | 1, DOMAIN << 8 | 2);
            let rows = [(root, wide), (root, 8 << 8 | 2), (root | 2, wide), (root, DOMAIN << 8 | 3), (0, 0)];
            let more = [(9, wide), (HOLE | 1, wide), (root | 0x800, wide)];
            let (low, high) = if numbers.below(3) == 0 { numbers.of(&more) } else { numbers.of(&rows) };
            rig.set_context(low, high);
        }
        5 => {
            rig.set(0x30_0050, numbers.of(&[0x0041_0001, 0x0042_0003, 0, 2, 0x0041_0061]));
            rig.set(0x30_0058, numbers.of(&[0, 0x4_0018, 0x4_0019]));
        }
        6 => {
            let roots = [ROOT, ROOT, ROOT, 0x9000, HOLE, ROOT | 1 << 10, ROOT | 3 << 10];
            rig.w64(RTADDR, numbers.of(&roots));
            let gsts = rig.r32(GSTS) & (TE | QIE | 1 << 25);
            rig.w32(GCMD, gsts | SRTP);
        }
        7 => {
            let tables = [0x30_0007, 0x30_0007, 0x30_0000, HOLE | 7, 1 << 48 | 7];
            rig.w64(0xb8, numbers.of(&tables));
            rig.w32(GCMD, QIE | 1 << 24 | numbers.of(&[TE, TE | 1 << 25, TE | 1 << 25, 1 << 25]));
        }
        8 => rig.w32(0x64, numbers.of(&[0, 1 << 31])),
        // With the root pointer at fault the queue may have stopped; then this does nothing.
        _ => {
            let page = IOVA | numbers.of(&[0, 1 << 6, 2]);
            let all = [[0x11, 0], [0x12, 0], [0x22 | DOMAIN << 16, 0], [0x14, 0]];
            let rows = [all[0], all[1], all[2], all[3], [0x32 | DOMAIN << 16, page]];
            let tail = rig.r64(IQT);
            let words = numbers.of(&rows);
            rig.set(QUEUE + tail, words[0]);
            rig.set(QUEUE + tail + 8, words[1]);
            rig.w64(IQT, (tail + 0x10) & 0xfff);
            rig.w32(FSTS, 0x10);
        }
    }
}

#[test]
fn whatever_is_cached_an_explanation_comes_true() {
    let legacy = Config { protected_regions: true, ..Config::preset("vtd-legacy").unwrap() };
    let cm = Config { caching_mode: true, ..legacy.clone() };
    let abort = Config { abort_dma: true, sanitize: true, ..legacy.clone() };
    let all = Config { root_set_invalidates: true, concurrent: true, sanitize: true, ..cm.clone() };
    let mut seen = std::collections::BTreeSet::new();
    let mut kept_out = 0;
    for (config, seed) in [legacy, cm, abort, all].into_iter().zip(1..) {
        for policy in [Policy::Retain, Policy::Tiny, Policy::Adversarial, Policy::Off] {
            let mut numbers = Numbers(seed);
            let mut rig = Rig::mapped(Config { cache: policy, seed, ..config.clone() }, 2);
            rig.w32(0x68, 0x60_0000);
            rig.w32(0x6c, 0x60_0000);
            for _ in 0..350 {
                disturb(&mut rig, &mut numbers);
                let iova = IOVA + 0x1000 * numbers.below(3);
                let at =
                    numbers.of(&[iova, iova, iova, iova, 0x60_0000, 0xfee0_00b0, 0xfee0_00b0, 0xfee0_0000]);
                let explanation = rig.explain(Request::at(at), Access::Write, 4, 0);
                let used = explanation.caches.iter().filter(|cached| cached.used);
                seen.extend(used.map(|c| (c.cache, c.stale, explanation.answer.cause().is_some())));
                kept_out += u32::from(matches!(
                    explanation.answer,
                    Answer::Refused(Refused { protected: Some(_), .. })
                ));
                if numbers.below(2) == 0 {
                    rig.write(at, &[0; 4]);
                } else {
                    rig.read(at, &mut vec![0; numbers.of(&[0, 4])]);
                }
            }
        }
    }
    assert!(kept_out > 50, "{kept_out} by protected regions");
    let caches = ["IOTLB", "context cache", "interrupt entry cache", "paging-structure cache"];
    for cache in caches {
        for (stale, refused) in [(false, false), (false, true), (true, false), (true, true)] {
            assert!(seen.contains(&(cache, stale, refused)), "{cache}, stale {stale}, refused {refused}");
        }
    }
}
