//! What the README claims.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

use devices::vtd::regs::{Cap, Ecap};
use devices::vtd::{AddressWidth, Config};
use emulator::config::IommuSpec;

const README: &str = include_str!("../../README.md");

/// The lines of the code block that starts with `fence`.
fn block(fence: &str) -> Vec<&'static str> {
    let (_, rest) = README.split_once(&format!("\n{fence}\n")).unwrap();
    rest.split_once("\n```").unwrap().0.lines().collect()
}

fn run(args: &[&str]) -> (i32, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_iommulator")).args(args).stdin(Stdio::null()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_excerpt_is_what_the_demo_prints() {
    let (code, text) = run(&["demo", "--cpu", "hosted"]);
    assert_eq!(code, 0);
    check_excerpt("```text", &text);
}

/// Each line of the block must be in `text`, in this order.
fn check_excerpt(fence: &str, text: &str) {
    let excerpt = block(fence);
    assert!(excerpt.len() > 5);
    let mut rest = text;
    for line in excerpt {
        let at = rest.find(line).unwrap_or_else(|| panic!("not printed, or not in this order: {line}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn the_explanation_is_what_explain_prints() {
    let commands: Vec<_> =
        README.lines().filter_map(|line| line.strip_prefix("$ iommulator explain ")).collect();
    let fences = ["```explain", "```explain-smmuv3"];
    assert_eq!(commands.len(), fences.len());
    for (command, fence) in commands.into_iter().zip(fences) {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/");
        let command = command.replace("docs/", root);
        let arguments: Vec<_> = std::iter::once("explain").chain(command.split(' ')).collect();
        let (code, text) = run(&arguments);
        assert_eq!(code, 0);
        check_excerpt(fence, &text);
    }
}

#[test]
fn the_examples_work() {
    let directory = tempfile::tempdir().unwrap();
    let examples = README.lines().filter_map(|line| line.strip_prefix("$ cargo run --release -- "));
    // That of Linux has a test of its own.
    let examples: Vec<_> = examples.filter(|example| !example.starts_with("linux ")).collect();
    assert_eq!(examples.len(), 5);
    for example in examples {
        let output = Command::new(env!("CARGO_BIN_EXE_iommulator"))
            .args(example.split(' '))
            .current_dir(&directory)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(directory.path().join("trace.jsonl").metadata().unwrap().len() > 0);
}

/// The words of a command line, as a shell takes them that knows nothing but single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in line.split('\'').enumerate() {
        let (last, more) = match index % 2 {
            1 => (part, Vec::new()),
            _ => {
                let mut unquoted = part.split(' ');
                (unquoted.next().unwrap(), unquoted.collect())
            }
        };
        words.last_mut().unwrap().push_str(last);
        words.extend(more.into_iter().map(String::from));
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Debian's kernel comes from the host's mirror or from the user's cache.
#[test]
fn linux_boots_as_shown() {
    let example =
        README.lines().find_map(|line| line.strip_prefix("$ cargo run --release -- linux ")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_iommulator"))
        .arg("linux")
        .args(words(example))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [text, errors] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(0), "{errors}");
    check_excerpt("```linux", &text);
    assert_eq!(text.lines().count(), block("```linux").len(), "nothing else is printed: {text}");
}

/// They need a kernel, which is not there, or a terminal, and nothing else.
#[test]
fn what_is_said_of_linux_can_be_said_to_it() {
    let guide = include_str!("../../docs/linux.md").replace("\\\n", "");
    let commands = guide.lines().chain(README.lines()).filter(|line| line.starts_with("$ "));
    let commands: Vec<_> = commands.filter_map(|line| line.split_once("iommulator linux")).collect();
    assert!(commands.len() > 5, "{commands:?}");
    let empty = tempfile::tempdir().unwrap();
    for (_, arguments) in commands {
        let output = Command::new(env!("CARGO_BIN_EXE_iommulator"))
            .args(["linux", "--offline", "--cache-dir"])
            .arg(empty.path())
            .args(words(arguments))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        let shell = errors.contains("say what the guest is to do");
        assert!(shell || output.status.code() == Some(203), "{arguments}: {errors}");
    }
}

#[test]
fn the_table_says_what_the_capability_registers_say() {
    let config = Config::preset("vtd-legacy").unwrap();
    let (cap, ecap) = (config.cap(), config.ecap());
    let yes = |all: bool| if all { "yes" } else { "no" }.to_owned();
    let wide = Config { address_width: AddressWidth::Bits57, ..config.clone() }.cap().sagaw() == 0b1110;
    let all = "vtd-legacy,protected-regions=on,root-set-invalidates=on,interrupt-set-invalidates=on,abort-dma=on,write-buffer-flush=on";
    let all = all.parse::<IommuSpec>().unwrap();
    let all = &all.vtd().unwrap().config;
    let with = |without: bool, with: bool, option: &str| {
        if !without && with { format!("with `{option}`") } else { yes(without) }
    };
    let none_of = |features: &[bool]| yes(features.iter().any(|feature| *feature));
    let rows = [
        ("Legacy-mode translation, page tables of 39 and 48 bits", yes(cap.sagaw() == 0b0110)),
        ("Page tables of 57 bits", if wide { "with `aw-bits=57`".to_owned() } else { yes(false) }),
        ("2-MiB and 1-GiB pages", yes(cap.sslps() == 0b11)),
        ("Pass-through", yes(ecap.pt())),
        ("Queued invalidation, with page-selective granularity", yes(ecap.qi() && cap.psi())),
        // Major versions up to 5 have it [VT-d 6.5.1].
        ("Register-based invalidation", yes(config.ver().major() <= 5)),
        ("Fault records", (u32::from(cap.nfr()) + 1).to_string()),
        ("Interrupt remapping, with 32-bit destinations", yes(ecap.ir() && ecap.eim())),
        ("Posted interrupts", yes(cap.pi())),
        (
            "Caching mode",
            with(cap.cm(), Config::preset("vtd-legacy-cm").unwrap().cap().cm(), "vtd-legacy-cm"),
        ),
        (
            "Protected memory regions",
            with(cap.plmr() || cap.phmr(), all.cap().plmr() && all.cap().phmr(), "protected-regions=on"),
        ),
        (
            "Root-table set that invalidates",
            with(cap.esrtps(), all.cap().esrtps(), "root-set-invalidates=on"),
        ),
        (
            "Interrupt-table set that invalidates",
            with(cap.esirtps(), all.cap().esirtps(), "interrupt-set-invalidates=on"),
        ),
        ("Abort-DMA mode", with(ecap.adms(), all.ecap().adms(), "abort-dma=on")),
        (
            "Write buffers that software must flush",
            with(cap.rwbf(), all.cap().rwbf(), "write-buffer-flush=on"),
        ),
        (
            "Scalable mode, PASID, first-stage and nested translation",
            none_of(&[ecap.smts(), ecap.pasid(), ecap.fsts(), ecap.ssts(), ecap.nest()]),
        ),
        ("Device-TLBs (ATS) and page requests", none_of(&[ecap.dt(), ecap.prs()])),
        (
            "Performance monitoring, enhanced and virtual commands",
            none_of(&[ecap.pms(), cap.ecmds(), ecap.vcs()]),
        ),
    ];
    let table = table("| VT-d | `vtd-legacy` |");
    let found: Vec<_> = table.iter().map(|row| tested(row, "devices/src/vtd/tests/")).collect();
    assert_eq!(found, rows.map(|(feature, value)| format!("| {feature} | {value} |")));
    // A bit that the table has no row for must not appear unnoticed.
    let known_cap = Cap::ZERO
        .with_drd(true)
        .with_dwd(true)
        .with_mamv(0x3f)
        .with_nfr(0xff)
        .with_psi(true)
        .with_sslps(0xf)
        .with_fro(0x3ff)
        .with_zlr(true)
        .with_mgaw(0x3f)
        .with_sagaw(0x1f)
        .with_nd(7);
    let known_ecap = Ecap::ZERO
        .with_iro(0x3ff)
        .with_pt(true)
        .with_qi(true)
        .with_c(true)
        .with_ir(true)
        .with_eim(true)
        .with_mhmv(15);
    assert_eq!((cap.raw() & !known_cap.raw(), ecap.raw() & !known_ecap.raw()), (0, 0));
}

/// The rows of the table whose header starts with `header`.
fn table(header: &str) -> Vec<&'static str> {
    let rows = README.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    rows.take_while(|line| line.starts_with("| ")).collect()
}

/// A row without its last cell, which names a file of tests in `folder` that must be there.
fn tested(row: &str, folder: &str) -> String {
    let (rest, file) = row.strip_suffix(" |").unwrap().rsplit_once(" | ").unwrap();
    let file = file.trim_matches('`');
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    assert!(root.join(folder).join(file).is_file(), "{folder}{file}");
    format!("{rest} |")
}

#[test]
fn the_table_says_what_the_id_registers_say() {
    use devices::smmuv3::Config;

    let configs: Vec<_> = Config::PRESETS.iter().map(|name| Config::preset(name).unwrap()).collect();
    type Cell = fn(&Config) -> String;
    let rows: [(&str, Cell); 20] = [
        ("Stage 1", |c| said(c.idr0.s1p())),
        ("Stage 2", |c| said(c.idr0.s2p())),
        ("Both, nested", |c| said(c.idr0.s1p() && c.idr0.s2p())),
        ("EL2 and EL2-E2H contexts", |c| said(c.idr0.hyp())),
        ("Pages of", |c| {
            let granules = [(c.idr5.gran4k(), "4"), (c.idr5.gran16k(), "16"), (c.idr5.gran64k(), "64")];
            let there: Vec<_> = granules.into_iter().filter_map(|(on, size)| on.then_some(size)).collect();
            format!("{} KiB", there.join(", "))
        }),
        ("Bits of an output address", |c| c.oas_bits().to_string()),
        ("52-bit descriptors of small granules", |c| said(c.idr5.ds())),
        ("Two-level stream tables", |c| said(c.idr0.st_level() == 1)),
        ("Two-level CD tables", |c| said(c.idr0.cd2l())),
        ("Bits of a StreamID", |c| c.idr1.sidsize().to_string()),
        ("Bits of a SubstreamID", |c| c.idr1.ssidsize().to_string()),
        ("Bits of an ASID and a VMID", |c| {
            let bits = |there, wide| match (there, wide) {
                (false, _) => "none",
                (true, false) => "8",
                (true, true) => "16",
            };
            let (asid, vmid) = (bits(c.idr0.s1p(), c.idr0.asid16()), bits(c.idr0.s2p(), c.idr0.vmid16()));
            format!("{asid} and {vmid}")
        }),
        ("Invalidation by range", |c| said(c.idr3.ril())),
        ("Hardware update of access flag and dirty state", |c| said(c.idr0.httu() == 2)),
        ("Stalled faults", |c| said(c.idr0.stall_model() == 0)),
        ("Message interrupts of the unit", |c| said(c.idr0.msi())),
        ("Forced write-back, execute-never by privilege", |c| match (c.idr3.fwb(), c.idr3.xnx()) {
            (false, true) => "execute-never".to_owned(),
            (both, _) => said(both),
        }),
        ("Hierarchical permissions that can be disabled", |c| said(c.idr3.had())),
        ("Small tables, E0PD", |c| said(c.idr3.stt() && c.idr3.e0pd())),
        ("ATS, page requests, broadcast maintenance, ATOS, VMSAv8-32, MPAM", |c| {
            let idr0 = c.idr0;
            let there = [idr0.ats(), idr0.pri(), idr0.btm(), idr0.atos(), idr0.ttf() & 1 != 0, c.idr3.mpam()];
            said(there.contains(&true))
        }),
    ];
    let presets: Vec<_> = Config::PRESETS.iter().map(|name| format!("`{name}`")).collect();
    let table = table(&format!("| SMMUv3 | {} |", presets.join(" | ")));
    let found: Vec<_> = table.iter().map(|row| tested(row, "devices/src/smmuv3/")).collect();
    let rows = rows.map(|(feature, cell)| {
        let cells: Vec<_> = configs.iter().map(cell).collect();
        format!("| {feature} | {} |", cells.join(" | "))
    });
    assert_eq!(found, rows);
}

#[test]
fn the_units_that_are_named_can_be_had() {
    let named = README.split('`').skip(1).step_by(2);
    let units: Vec<_> = named.filter(|text| text.starts_with("smmuv3.") && text.contains(',')).collect();
    assert!(!units.is_empty());
    for unit in units {
        assert!(unit.parse::<IommuSpec>().is_ok(), "{unit}");
    }
}

fn said(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

#[test]
fn the_failing_examples_fail_as_shown() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut shown = README.lines().peekable();
    let mut examples = 0;
    while let Some(line) = shown.next() {
        let Some((command, script)) =
            line.strip_prefix("$ iommulator ").and_then(|rest| rest.split_once(" < "))
        else {
            continue;
        };
        let output = Command::new(env!("CARGO_BIN_EXE_iommulator"))
            .args(command.split(' '))
            .current_dir(&directory)
            .stdin(std::fs::File::open(root.join(script)).unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}");
        let text = String::from_utf8(output.stderr).unwrap();
        while let Some(expected) = shown.next_if(|line| line.starts_with("iommulator: ")) {
            assert!(text.lines().any(|line| line == expected), "{expected}\nis not in\n{text}");
        }
        examples += 1;
    }
    assert_eq!(examples, 2);
}
