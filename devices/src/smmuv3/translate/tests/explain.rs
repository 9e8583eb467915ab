//! Explanations of their own: the words that name the field at fault, and the texts of a few.

use expect_test::{Expect, expect};

use super::explained::at;
use super::*;
use crate::fabric::Kind;
use crate::smmuv3::explain::{Answer, Explanation};

/// What decides, as `table.field` each; a step that decides as a whole has no field.
fn blamed(explanation: &Explanation) -> Vec<String> {
    let mut found = Vec::new();
    for step in explanation.steps.iter().filter(|step| step.decides) {
        let fields: Vec<_> =
            step.fields.iter().filter(|field| field.decides).map(|field| field.name).collect();
        if fields.is_empty() {
            found.push(step.table.to_owned());
        }
        found.extend(fields.into_iter().map(|field| format!("{}.{field}", step.table)));
    }
    found
}

struct Row {
    name: &'static str,
    event: Option<&'static str>,
    blamed: &'static [&'static str],
    /// A word that is in the text.
    says: &'static str,
    access: Access,
    request: Request,
    set_up: fn(&mut Rig),
}

const ROW: Row = Row {
    name: "",
    event: None,
    blamed: &[],
    says: "",
    access: Access::Read,
    request: Request {
        address: crate::addr::Iova(0x1000),
        pasid: None,
        attrs: Attrs { privileged: false, execute: false, no_snoop: false, secure: false },
        kind: Kind::Untranslated,
    },
    set_up: |_| {},
};

/// STE word 2 for stage 2 with S2PTW.
const S2PTW: u64 = 1 << 54;

fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "translation off",
            blamed: &["SMMU_CR0.smmuen", "SMMU_GBPA.abort"],
            says: "ABORT = 1",
            set_up: |rig| {
                rig.set_register(0x20, 0xc);
                rig.set_register(0x44, 1 << 31 | 1 << 20);
            },
            ..ROW
        },
        Row {
            name: "bypass beyond the output",
            blamed: &["SMMU_CR0.smmuen", "SMMU_GBPA"],
            says: "IDR5.OAS",
            request: at(1 << 52),
            set_up: |rig| {
                rig.set_register(0x20, 0xc);
                rig.set_register(0x44, 1 << 31);
            },
            ..ROW
        },
        Row {
            name: "translated",
            event: Some("F_TRANSL_FORBIDDEN"),
            blamed: &["address type"],
            says: "without ATS",
            request: Request { kind: Kind::Translated, ..at(0x1000) },
            ..ROW
        },
        Row {
            name: "StreamID beyond the table",
            event: Some("C_BAD_STREAMID"),
            blamed: &["SMMU_STRTAB_BASE_CFG.log2size"],
            says: "StreamIDs of 4 bits",
            set_up: |rig| rig.stream_table(STREAMS, 4),
            ..ROW
        },
        Row {
            name: "empty span",
            event: Some("C_BAD_STREAMID"),
            blamed: &["L1STD.span"],
            says: "Span = 0",
            set_up: |rig| {
                rig.store(STREAMS, &[0; 64]);
                rig.stream_table(STREAMS, 10 | 6 << 6 | 1 << 16);
            },
            ..ROW
        },
        Row {
            name: "stream table outside RAM",
            event: Some("F_STE_FETCH"),
            blamed: &["SMMU_STRTAB_BASE.addr", "STE"],
            says: "there is no RAM",
            set_up: |rig| rig.stream_table(0x100_0000, 10),
            ..ROW
        },
        Row {
            name: "level-1 stream table outside RAM",
            event: Some("F_STE_FETCH"),
            blamed: &["SMMU_STRTAB_BASE.addr", "L1STD"],
            says: "there is no RAM",
            set_up: |rig| rig.stream_table(0x100_0000, 10 | 6 << 6 | 1 << 16),
            ..ROW
        },
        Row {
            name: "second-level stream table outside RAM",
            event: Some("F_STE_FETCH"),
            blamed: &["L1STD.l2ptr", "STE"],
            says: "there is no RAM",
            set_up: |rig| {
                rig.store(STREAMS + 8 * u64::from(STREAM >> 6), &[0x100_0000 | 7]);
                rig.stream_table(STREAMS, 10 | 6 << 6 | 1 << 16);
            },
            ..ROW
        },
        Row {
            name: "invalid STE",
            event: Some("C_BAD_STE"),
            blamed: &["STE.v"],
            says: "ILLEGAL: the entry is not valid",
            ..ROW
        },
        Row {
            name: "STE that aborts",
            blamed: &["STE.config"],
            says: "without an event",
            set_up: |rig| rig.ste(STREAM, &[1]),
            ..ROW
        },
        Row {
            name: "bypass by the STE, beyond the output",
            event: Some("F_ADDR_SIZE"),
            blamed: &["STE.config"],
            says: "more than 52 bits",
            request: at(1 << 52),
            set_up: |rig| rig.ste(STREAM, &[BYPASS]),
            ..ROW
        },
        Row {
            name: "SubstreamID without stage 1",
            event: Some("C_BAD_SUBSTREAMID"),
            blamed: &["STE.config"],
            says: "no stage 1",
            request: substream(0x1000, 5),
            set_up: |rig| rig.ste(STREAM, &[BYPASS]),
            ..ROW
        },
        Row {
            name: "SubstreamID with one CD",
            event: Some("C_BAD_SUBSTREAMID"),
            blamed: &["STE.s1cdmax"],
            says: "1 CDs",
            request: substream(0x1000, 5),
            set_up: |rig| {
                rig.stage1();
            },
            ..ROW
        },
        Row {
            name: "no SubstreamID where one must be",
            event: Some("F_STREAM_DISABLED"),
            blamed: &["STE.s1dss"],
            says: "S1DSS does not serve",
            set_up: |rig| rig.ste(STREAM, &[STAGE1 | CONTEXTS | 4 << 59]),
            ..ROW
        },
        Row {
            name: "L1CD that is not valid",
            event: Some("C_BAD_SUBSTREAMID"),
            blamed: &["L1CD.v"],
            says: "there are no CDs here",
            request: substream(0x1000, 5),
            set_up: |rig| rig.ste(STREAM, &[STAGE1 | CONTEXTS | 1 << 4 | 8 << 59]),
            ..ROW
        },
        Row {
            name: "CD outside RAM",
            event: Some("F_CD_FETCH"),
            blamed: &["STE.s1contextptr", "CD"],
            says: "there is no RAM",
            set_up: |rig| rig.ste(STREAM, &[STAGE1 | 0x100_0000]),
            ..ROW
        },
        Row {
            name: "CDs of a leaf outside RAM",
            event: Some("F_CD_FETCH"),
            blamed: &["L1CD.l2ptr", "CD"],
            says: "there is no RAM",
            request: substream(0x1000, 5),
            set_up: |rig| {
                rig.store(CONTEXTS, &[0x100_0000 | 1]);
                rig.ste(STREAM, &[STAGE1 | CONTEXTS | 1 << 4 | 8 << 59]);
            },
            ..ROW
        },
        Row {
            name: "invalid CD",
            event: Some("C_BAD_CD"),
            blamed: &["CD.v"],
            says: "ILLEGAL",
            set_up: |rig| rig.ste(STREAM, &[STAGE1 | CONTEXTS]),
            ..ROW
        },
        Row {
            name: "CD for 32-bit tables",
            event: Some("C_BAD_CD"),
            blamed: &["CD.aa64"],
            says: "VMSAv8-32",
            set_up: |rig| {
                rig.stage1();
                rig.store(CONTEXTS, &[CD & !(1 << 41) | 7 << 48]);
            },
            ..ROW
        },
        Row {
            name: "half that is disabled",
            event: Some("F_TRANSLATION"),
            blamed: &["CD.epd1"],
            says: "EPD1",
            request: at(0xffff_8000_0000_0000),
            set_up: |rig| {
                rig.stage1();
            },
            ..ROW
        },
        Row {
            name: "address out of range",
            event: Some("F_TRANSLATION"),
            blamed: &["CD.t0sz"],
            says: "T0SZ",
            request: at(1 << 48),
            set_up: |rig| {
                rig.stage1();
            },
            ..ROW
        },
        Row {
            name: "first stage-1 table outside RAM",
            event: Some("F_WALK_EABT"),
            blamed: &["CD.ttb0", "stage 1 descriptor"],
            says: "there is no RAM",
            set_up: |rig| {
                rig.stage1();
                rig.store(CONTEXTS + 8, &[0x100_0000]);
            },
            ..ROW
        },
        Row {
            name: "second stage-1 table outside RAM",
            event: Some("F_WALK_EABT"),
            blamed: &["stage 1 level 0.address", "stage 1 descriptor"],
            says: "there is no RAM",
            set_up: |rig| {
                let root = rig.stage1();
                rig.store(root, &[0x100_0000 | TABLE]);
            },
            ..ROW
        },
        Row {
            name: "nothing mapped",
            event: Some("F_TRANSLATION"),
            blamed: &["stage 1 level 3.kind"],
            says: "nothing is mapped here",
            set_up: |rig| {
                let root = rig.stage1();
                rig.map(root, 0x1000, 0);
            },
            ..ROW
        },
        Row {
            name: "stage-1 output too large",
            event: Some("F_ADDR_SIZE"),
            blamed: &["stage 1 level 3.address"],
            says: "beyond the output size",
            set_up: |rig| {
                let root = rig.stage1();
                // IPS of 32 bits.
                rig.store(CONTEXTS, &[CD & !(7 << 32) | 7 << 48]);
                rig.map(root, 0x1000, 1 << 32 | PAGE);
            },
            ..ROW
        },
        Row {
            name: "access flag",
            event: Some("F_ACCESS"),
            blamed: &["stage 1 level 3.af"],
            says: "AF = 0",
            set_up: |rig| {
                let root = rig.stage1();
                rig.map(root, 0x1000, DATA | PAGE & !(1 << 10));
            },
            ..ROW
        },
        Row {
            name: "unprivileged access to a privileged page",
            event: Some("F_PERMISSION"),
            blamed: &["stage 1 level 3.ap1"],
            says: "no unprivileged reads",
            set_up: |rig| {
                let root = rig.stage1();
                rig.map(root, 0x1000, DATA | PAGE & !(1 << 6));
            },
            ..ROW
        },
        Row {
            name: "write to a read-only page",
            event: Some("F_PERMISSION"),
            blamed: &["stage 1 level 3.ap2"],
            says: "no unprivileged writes",
            access: Access::Write,
            set_up: |rig| {
                let root = rig.stage1();
                rig.map(root, 0x1000, DATA | PAGE | 1 << 7);
            },
            ..ROW
        },
        Row {
            name: "instruction in a page without execution",
            event: Some("F_PERMISSION"),
            blamed: &["stage 1 level 3.uxn"],
            says: "no unprivileged instruction fetches",
            request: fetch(0x1000),
            set_up: |rig| {
                let root = rig.stage1();
                rig.map(root, 0x1000, DATA | PAGE | 1 << 54);
            },
            ..ROW
        },
        Row {
            name: "write below a table that forbids it",
            event: Some("F_PERMISSION"),
            blamed: &["stage 1 level 0.limits"],
            says: "no unprivileged writes",
            access: Access::Write,
            set_up: |rig| {
                let root = rig.stage1();
                rig.map(root, 0x1000, DATA | PAGE);
                // APTable[1].
                rig.store(root, &[rig.load(root) | 1 << 62]);
            },
            ..ROW
        },
        Row {
            name: "instruction in a writable page with WXN",
            event: Some("F_PERMISSION"),
            blamed: &["CD.wxn", "stage 1 level 3.ap2", "stage 1 level 3.ap1"],
            says: "no unprivileged instruction fetches",
            request: fetch(0x1000),
            set_up: |rig| {
                let root = rig.stage1();
                rig.store(CONTEXTS, &[CD | 1 << 36 | 7 << 48]);
                rig.map(root, 0x1000, DATA | PAGE);
            },
            ..ROW
        },
        Row {
            name: "privileged read with PAN",
            event: Some("F_PERMISSION"),
            blamed: &["CD.pan", "stage 1 level 3.ap1"],
            says: "no privileged reads",
            request: privileged(0x1000),
            set_up: |rig| {
                let root = rig.stage1();
                rig.store(CONTEXTS, &[CD | 1 << 40 | 7 << 48]);
                rig.map(root, 0x1000, DATA | PAGE);
            },
            ..ROW
        },
        Row {
            name: "IPA out of range",
            event: Some("F_TRANSLATION"),
            blamed: &["STE.s2t0sz", "IPA"],
            says: "S2T0SZ",
            request: at(1 << 48),
            set_up: |rig| {
                rig.stage2();
            },
            ..ROW
        },
        Row {
            name: "first stage-2 table outside RAM",
            event: Some("F_WALK_EABT"),
            blamed: &["STE.s2ttb", "stage 2 descriptor"],
            says: "there is no RAM",
            set_up: |rig| rig.ste(STREAM, &[STAGE2, 0, s2_config(9), 0x100_0000]),
            ..ROW
        },
        Row {
            name: "nothing mapped by stage 2",
            event: Some("F_TRANSLATION"),
            blamed: &["stage 2 level 3.kind"],
            says: "IPA 0x1000",
            set_up: |rig| {
                let root = rig.stage2();
                rig.map(root, 0x1000, 0);
            },
            ..ROW
        },
        Row {
            name: "write that stage 2 forbids",
            event: Some("F_PERMISSION"),
            blamed: &["stage 2 level 3.s2ap"],
            says: "found by stage 2",
            access: Access::Write,
            set_up: |rig| {
                let root = rig.stage2();
                rig.map(root, 0x1000, DATA | S2_PAGE & !(1 << 7));
            },
            ..ROW
        },
        Row {
            name: "instruction that stage 2 forbids",
            event: Some("F_PERMISSION"),
            blamed: &["stage 2 level 3.xn"],
            says: "no unprivileged instruction fetches",
            request: fetch(0x1000),
            set_up: |rig| {
                let root = rig.stage2();
                rig.map(root, 0x1000, DATA | S2_PAGE | 2 << 53);
            },
            ..ROW
        },
        Row {
            name: "access flag of stage 2",
            event: Some("F_ACCESS"),
            blamed: &["stage 2 level 3.af"],
            says: "AF = 0",
            set_up: |rig| {
                let root = rig.stage2();
                rig.map(root, 0x1000, DATA | S2_PAGE & !(1 << 10));
            },
            ..ROW
        },
        Row {
            name: "CD that stage 2 does not map",
            event: Some("F_TRANSLATION"),
            blamed: &["stage 2 level 3.kind"],
            says: "CLASS CD",
            set_up: |rig| {
                let (_, root2) = rig.nested();
                rig.map(root2, CONTEXTS, 0);
            },
            ..ROW
        },
        Row {
            name: "descriptor that stage 2 does not map",
            event: Some("F_TRANSLATION"),
            blamed: &["stage 2 level 3.kind"],
            says: "CLASS TT",
            set_up: |rig| {
                let (root1, root2) = rig.nested();
                rig.map(root2, root1, 0);
            },
            ..ROW
        },
        Row {
            name: "descriptor in Device memory",
            event: Some("F_PERMISSION"),
            blamed: &["STE.s2ptw", "stage 2 level 3.memattr"],
            says: "S2PTW = 1",
            set_up: |rig| {
                let (root1, root2) = rig.nested();
                rig.ste(STREAM, &[NESTED | CONTEXTS, 0, s2_config(9) | S2PTW, root2]);
                rig.map(root2, root1, root1 | S2_PAGE & !0x3c);
            },
            ..ROW
        },
        Row {
            name: "output that stage 2 does not map",
            event: Some("F_TRANSLATION"),
            blamed: &["stage 2 level 0.kind"],
            says: "IPA 0x432154321000",
            set_up: |rig| {
                let (root1, _) = rig.nested();
                rig.map(root1, 0x1000, 0x4321_5432_1000 | PAGE);
            },
            ..ROW
        },
    ]
}

#[test]
fn every_reason_is_explained_by_the_field_at_fault() {
    let mut events = std::collections::BTreeSet::new();
    for Row { name, event, blamed: expected, says, access, request, set_up } in rows() {
        let mut rig = Rig::new();
        set_up(&mut rig);
        let explanation = rig.ask(request, access);
        assert!(matches!(explanation.answer, Answer::Refused(_)), "{name}: {explanation}");
        let found = explanation.answer.event().map(|event| event.name);
        assert_eq!(found, event, "{name}: {explanation}");
        assert_eq!(blamed(&explanation), expected, "{name}: {explanation}");
        assert!(explanation.to_string().contains(says), "{name}: {explanation}");
        events.extend(event);
        // And the DMA agrees.
        match access {
            Access::Read => assert!(rig.read_as(request).is_err(), "{name}"),
            _ => assert_ne!(rig.write_as(request), Outcome::Done, "{name}"),
        }
    }
    // F_UUT is of Secure transactions, which nobody asks about.
    let all = crate::smmuv3::names::EVENTS.iter().map(|event| event.name).filter(|name| *name != "F_UUT");
    assert_eq!(events.into_iter().collect::<Vec<_>>(), {
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all
    });
}

fn check(explanation: &Explanation, expected: Expect) {
    expected.assert_eq(&format!("{explanation}\n"));
}

#[test]
fn a_translation_by_both_stages_is_shown_descriptor_by_descriptor() {
    let mut rig = Rig::new();
    let (root1, _) = rig.nested();
    rig.map(root1, 0x1000, DATA | PAGE);
    let explanation = rig.ask(at(0x1008), Access::Read);
    let tables: Vec<_> = explanation.steps.iter().map(|step| step.table).collect();
    assert_eq!(tables.iter().filter(|table| table.starts_with("stage 1")).count(), 4, "{explanation}");
    // The CD, four descriptors and the page.
    assert_eq!(tables.iter().filter(|table| **table == "IPA").count(), 6, "{explanation}");
    assert_eq!(tables.iter().filter(|table| table.starts_with("stage 2")).count(), 24, "{explanation}");
}

#[test]
fn the_text_of_a_fault() {
    let mut rig = Rig::new();
    let root = rig.stage1();
    rig.map(root, 0x1000, DATA | PAGE | 1 << 7);
    check(
        &rig.ask(at(0x1000), Access::Write),
        expect![[r#"
            00:03.0, StreamID 0x118, writes 4 bytes at 0x1000

            SMMU_CR0 (register 0x20) = 0x0000000d
                    0  smmuen     0x1
              -> translation is on

            SMMU_STRTAB_BASE (register 0x80) = 0x00010000
                 55:6  addr       0x400
              -> the stream table is at 0x10000

            SMMU_STRTAB_BASE_CFG (register 0x88) = 0x0000000a
                17:16  fmt        0x0
                 10:6  split      0x0
                  5:0  log2size   0xa
              -> linear; the STE of stream 0x118 is at 0x14600

            STE at 0x14600 = 0x000000000004000b
                 55:6  s1contextptr 0x1000
                  3:1  config     0x5
                    0  v          0x1
              -> stage 1 translates; NS-EL1, VMID 0; the CD is at 0x40000

            CD at 0x40000 = 0x00000000000000ff 0x0000000000000000 0x0000000000100000 0x00076205c0000010
              223:192  mair0      0xff
               119:68  ttb0       0x10000
                63:48  asid       0x7
                   46  a          0x1
                   45  r          0x1
                   41  aa64       0x1
                34:32  ips        0x5
                   31  v          0x1
                   30  epd1       0x1
                  5:0  t0sz       0x10
              -> ASID 7; TTB0 has 48 bits, pages of 4 KiB, at 0x100000

            stage 1 level 0 at 0x100000 = 0x0000000000101003
                62:59  limits     0x0
                 51:8  address    0x1010
                  1:0  kind       0x3
              -> the next table is at 0x101000

            stage 1 level 1 at 0x101000 = 0x0000000000102003
                62:59  limits     0x0
                 51:8  address    0x1020
                  1:0  kind       0x3
              -> the next table is at 0x102000

            stage 1 level 2 at 0x102000 = 0x0000000000103003
                62:59  limits     0x0
                 51:8  address    0x1030
                  1:0  kind       0x3
              -> the next table is at 0x103000

            stage 1 level 3 at 0x103008 = 0x0000000000400fc3
                   54  uxn        0x0
                   53  pxn        0x0
                   51  dbm        0x0
                50:12  address    0x400
                   11  ng         0x1
                   10  af         0x1
                  9:8  sh         0x3
                    7  ap2        0x1   <== decides
                    6  ap1        0x1
                  4:2  attrindx   0x0
                  1:0  kind       0x3
              => maps 4 KiB at 0x400000, which permits reads and execution; no unprivileged writes

            caches
              micro-TLB: no entry
              TLB: no entry
              STE cache: no entry

            result: aborted (UR): event 13h, F_PERMISSION, no permission, found by stage 1, CLASS IN [SMMUv3 7.3.16]; recorded
            record: 0x0000000000000000 0x0000000000001000 0x0000020000000000 0x0000011800000013
        "#]],
    );
}

#[test]
fn a_stale_translation_is_told_from_memory() {
    let mut rig = Rig::new();
    let root = rig.stage1();
    let at_descriptor = rig.map(root, 0x1000, DATA | PAGE);
    rig.read(0x1000).unwrap();
    rig.store(at_descriptor, &[(DATA + 0x1000) | PAGE]);
    let explanation = rig.ask(at(0x1000), Access::Read);
    let ends: Vec<_> =
        explanation.to_string().lines().skip_while(|line| *line != "caches").map(str::to_owned).collect();
    expect![[r#"
        caches
          micro-TLB: page 0x1000 -> 0x400000, reads, writes and execution; privileged, reads and writes; it answers; STALE, memory says something else now
          TLB: page 0x1000 -> 0x400000, reads, writes and execution; privileged, reads and writes; not asked; STALE, memory says something else now
          STE cache: 0x000000000004000b; not asked
          CD cache: 0x00000000000000ff 0x0000000000000000 0x0000000000100000 0x00076205c0000010; not asked

        by way of the caches

        micro-TLB entry (cached) = 0x0000000000400000
          -> maps to 0x400000, which permits reads, writes and execution; privileged, reads and writes

        result: physical address 0x400000, in a page of 4 KiB that permits reads and writes
        with empty caches: physical address 0x401000, in a page of 4 KiB that permits reads and writes"#]].assert_eq(&ends.join("\n"));
}

#[test]
fn what_would_be_updated_is_said_and_left_alone() {
    let mut rig = Rig::new();
    let root = rig.stage1();
    // HA and HD; a clean page that was not accessed.
    rig.store(CONTEXTS, &[CD | 3 << 42 | 7 << 48]);
    let leaf = DATA | PAGE & !(1 << 10) | 1 << 51 | 1 << 7;
    let descriptor = rig.map(root, 0x1000, leaf);
    let explanation = rig.ask(at(0x1000), Access::Write);
    let updated = leaf ^ (1 << 7) | 1 << 10;
    assert!(
        explanation.to_string().contains(&format!("the unit updates it to {updated:#018x}")),
        "{explanation}"
    );
    assert_eq!(rig.load(descriptor), leaf);
    assert_eq!(rig.write(0x1000), Outcome::Done);
    assert_eq!(rig.load(descriptor), updated);
}

#[test]
fn a_stall_is_said_with_its_stag() {
    let mut rig = Rig::new();
    rig.stage1();
    rig.store(CONTEXTS, &[CD | CD_S | 7 << 48]);
    let function = rig.ask(at(0x1000), Access::Read);
    let initiator = Initiator::Platform { stream: StreamId(STREAM), can_stall: true };
    let master = rig.explain(initiator, at(0x1000), Access::Read, 4);
    let ends = |explanation: &Explanation| {
        let text = explanation.to_string();
        text[text.find("result: ").unwrap()..].to_owned()
    };
    expect![[r#"
        result: aborted (UR): event 10h, F_TRANSLATION, nothing is mapped, found by stage 1, CLASS IN [SMMUv3 7.3.13]; recorded; it should stall, but a PCI function must not be held
        record: 0x0000000000000000 0x0000000000001000 0x0000020800000000 0x0000011800000010
        result: stalled: event 10h, F_TRANSLATION, nothing is mapped, found by stage 1, CLASS IN [SMMUv3 7.3.13]; recorded; held until CMD_RESUME or CMD_STALL_TERM, STAG 0x0
        record: 0x0000000000000000 0x0000000000001000 0x0000020880000000 0x0000011800000010"#]].assert_eq(&format!("{}\n{}", ends(&function), ends(&master)));
}

#[test]
fn a_record_that_a_full_queue_has_already_is_said_to_be_merged() {
    let mut rig = Rig::new();
    // C_BAD_STE, which may be merged whatever an STE says.
    rig.ste(STREAM, &[0]);
    for _ in 0..128 {
        assert!(rig.ask(at(0x1000), Access::Read).to_string().contains("; recorded"));
        assert_eq!(rig.read(0x1000), Err(UR));
    }
    let text = rig.ask(at(0x1000), Access::Read).to_string();
    assert!(text.contains("; merged with the record before it"), "{text}");
    assert_eq!(rig.read(0x1000), Err(UR));
    assert_eq!(rig.register(0x1_00a8), 128, "no overflow");
}

#[test]
fn json_has_the_same() {
    let mut rig = Rig::new();
    rig.stage1();
    let explanation = rig.ask(privileged(0x1000), Access::Read);
    let mut json = serde_json::to_value(&explanation).unwrap();
    // The fields of a step are those of the text; here one of each will do.
    for step in json["steps"].as_array_mut().unwrap() {
        let fields = step["fields"].as_array_mut().unwrap();
        let decides = fields.iter().any(|field| field["decides"] == true);
        fields.retain(|field| field["decides"] == decides);
        fields.truncate(1);
    }
    expect![[r#"
        {
          "answer": {
            "event": {
              "class": "IN",
              "clause": "SMMUv3 7.3.13",
              "code": "0x10",
              "fate": "recorded",
              "fetch": null,
              "ipa": null,
              "name": "F_TRANSLATION",
              "record": [
                "0x11800000010",
                "0x20a00000000",
                "0x1000",
                "0x0"
              ],
              "stag": null,
              "stage": 1,
              "stall": null,
              "what": "nothing is mapped"
            },
            "outcome": {
              "Abort": "Ur"
            },
            "result": "refused"
          },
          "caches": [
            {
              "cache": "micro-TLB",
              "holds": null,
              "stale": false,
              "used": false
            },
            {
              "cache": "TLB",
              "holds": null,
              "stale": false,
              "used": false
            },
            {
              "cache": "STE cache",
              "holds": null,
              "stale": false,
              "used": false
            }
          ],
          "fresh": null,
          "request": {
            "access": "Read",
            "address": "0x1000",
            "data": null,
            "kind": "Untranslated",
            "len": 4,
            "pasid": null,
            "privileged": true,
            "source": "00:03.0",
            "stream": "0x118"
          },
          "steps": [
            {
              "decides": false,
              "fields": [
                {
                  "decides": false,
                  "hi": 0,
                  "lo": 0,
                  "name": "smmuen",
                  "value": "0x1"
                }
              ],
              "meaning": "translation is on",
              "must_be_zero": [],
              "place": {
                "register": "0x20"
              },
              "table": "SMMU_CR0",
              "words": [
                "0xd"
              ]
            },
            {
              "decides": false,
              "fields": [
                {
                  "decides": false,
                  "hi": 55,
                  "lo": 6,
                  "name": "addr",
                  "value": "0x400"
                }
              ],
              "meaning": "the stream table is at 0x10000",
              "must_be_zero": [],
              "place": {
                "register": "0x80"
              },
              "table": "SMMU_STRTAB_BASE",
              "words": [
                "0x10000"
              ]
            },
            {
              "decides": false,
              "fields": [
                {
                  "decides": false,
                  "hi": 17,
                  "lo": 16,
                  "name": "fmt",
                  "value": "0x0"
                }
              ],
              "meaning": "linear; the STE of stream 0x118 is at 0x14600",
              "must_be_zero": [],
              "place": {
                "register": "0x88"
              },
              "table": "SMMU_STRTAB_BASE_CFG",
              "words": [
                "0xa"
              ]
            },
            {
              "decides": false,
              "fields": [
                {
                  "decides": false,
                  "hi": 55,
                  "lo": 6,
                  "name": "s1contextptr",
                  "value": "0x1000"
                }
              ],
              "meaning": "stage 1 translates; NS-EL1, VMID 0; the CD is at 0x40000",
              "must_be_zero": [],
              "place": {
                "memory": "0x14600"
              },
              "table": "STE",
              "words": [
                "0x4000b",
                "0x0",
                "0x0",
                "0x0",
                "0x0",
                "0x0",
                "0x0",
                "0x0"
              ]
            },
            {
              "decides": false,
              "fields": [
                {
                  "decides": false,
                  "hi": 223,
                  "lo": 192,
                  "name": "mair0",
                  "value": "0xff"
                }
              ],
              "meaning": "ASID 7; TTB0 has 48 bits, pages of 4 KiB, at 0x100000",
              "must_be_zero": [],
              "place": {
                "memory": "0x40000"
              },
              "table": "CD",
              "words": [
                "0x76205c0000010",
                "0x100000",
                "0x0",
                "0xff",
                "0x0",
                "0x0",
                "0x0",
                "0x0"
              ]
            },
            {
              "decides": true,
              "fields": [
                {
                  "decides": true,
                  "hi": 1,
                  "lo": 0,
                  "name": "kind",
                  "value": "0x0"
                }
              ],
              "meaning": "not valid: nothing is mapped here",
              "must_be_zero": [],
              "place": {
                "memory": "0x100000"
              },
              "table": "stage 1 level 0",
              "words": [
                "0x0"
              ]
            }
          ],
          "through_caches": []
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&json).unwrap());
}
