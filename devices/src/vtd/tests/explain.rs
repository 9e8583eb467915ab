//! Explanations: every DMA of the other tests is explained first and must come out so; the texts of
//! a few, checked by hand against the specification.

use expect_test::{Expect, expect};

use super::*;
use crate::addr::{Iova, PAGE_SIZE, Pasid};
use crate::fabric::{Abort, Kind, Transaction};
use crate::vtd::explain::{Answer, Explanation, Place};

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
        let (faults, messages) = (self.faults.len(), self.messages.len());
        let outcome = act(self);
        self.deliver();
        let new: Vec<u64> = self.faults[faults..].iter().map(|fault| fault.reason.code().into()).collect();
        let whole = piece == len;
        match &explanation.answer {
            Answer::Refused { outcome: expected, cause } => {
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
        for step in &explanation.steps {
            if let Place::Memory(at) = step.place {
                for (word, offset) in step.words.iter().zip([0, 8]) {
                    assert_eq!(word.0, self.get(at.0 + offset), "{explanation}");
                }
            }
        }
        // A fault of the tables, as they are, points at something in them.
        let cause = explanation.fresh.as_ref().unwrap_or(&explanation.answer).cause();
        assert!(cause.is_none() || explanation.steps.iter().any(|step| step.decides), "{explanation}");
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
