//! What unattended runs rely on: exit codes, reports and bundles.
// A test file is all test code, its helpers included.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The guest provokes faults 0x01 and 0x06 of 00:01.0, among others; there is no 00:1f.0.
const RUN: [&str; 8] =
    ["run", "vtd_dma", "--cpu", "hosted", "--iommu", "vtd-legacy", "--device", "exerciser,functions=2"];
const QTEST: [&str; 8] = ["qtest", "--stdio", "--memory", "16M", "--iommu", "vtd-legacy", "--device", "edu"];

/// Translation on with a root table of zeros at 0x100000; edu reads 4 bytes at 0x5000.
const ROOT_NOT_PRESENT: &str = "\
writel 0xb0008010 0xfea00000
writew 0xb0008004 6
writeq 0xfed90020 0x100000
writel 0xfed90018 0x40000000
writel 0xfed90018 0x80000000
writeq 0xfea00080 0x5000
writeq 0xfea00088 0x40000
writeq 0xfea00090 4
writeq 0xfea00098 1
clock_step 1000000000
";
/// Before it: the root entry is present, the context entry is not and has FPD set.
const FPD: &str = "writeq 0x100000 0x101001\nwriteq 0x101080 2\n";

fn iommulator(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_iommulator"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A process that refuses its options has gone before it is written to.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn check(args: &[&str], more: &[&str], input: &str, code: i32, message: &str) {
    let folder = tempfile::tempdir().unwrap();
    let args = [args, more].concat();
    let output = iommulator(folder.path(), &args, input);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{more:?}: {text}");
    assert!(text.contains(message), "{more:?}: {text}");
}

fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_run_is_judged_by_its_faults() {
    for (more, code, message) in [
        (&["--expect", "fault:LGN.3@00:01.0", "--expect", "fault:root-not-present"][..], 0, ""),
        (
            &["--expect", "fault:0x06", "--expect", "fault:22h@00:1f.0"],
            1,
            "iommulator: expected fault:22h@00:1f.0 (0x22, interrupt entry not present) was not seen; seen: ",
        ),
        (&["--expect", "fault:0x06@00:02.0"], 1, "expected fault:0x06@00:02.0 (0x06, no read permission)"),
        (
            &["--deny-faults", "--expect", "fault:6"],
            1,
            "iommulator: unexpected fault 0x01 (root entry not present) by 00:01.0 at 0x",
        ),
    ] {
        check(&RUN, more, "", code, message);
    }
}

#[test]
fn a_script_is_judged_by_its_faults() {
    let suppressed = format!("{FPD}{ROOT_NOT_PRESENT}");
    for (more, script, code, message) in [
        (&["--deny-faults"][..], "", 0, ""),
        (&["--deny-faults", "--expect", "fault:1@00:01.0"], ROOT_NOT_PRESENT, 0, ""),
        (
            &["--deny-faults"],
            ROOT_NOT_PRESENT,
            1,
            "unexpected fault 0x01 (root entry not present) by 00:01.0 at 0x5000, recorded, at time ",
        ),
        (&["--deny-faults"], &suppressed, 0, ""),
        (&["--expect", "fault:2"], &suppressed, 1, "was not seen; seen: 0x02@00:01.0 suppressed by FPD"),
    ] {
        check(&QTEST, more, script, code, message);
    }
}

#[test]
fn a_script_with_a_command_that_fails_is_judged_by_that() {
    let typo = "# a comment\n\nreadl 0x1000\nwritel zz\nclock_step 1\nfoo\n";
    let first = "line 4 of the script, 'writel zz', was answered with FAIL ";
    let more = "; 1 more failed";
    let fault = format!("{ROOT_NOT_PRESENT}writel 0x1000\n");
    for (more_args, script, code, message) in [
        // Nothing is judged: the client reads the answers.
        (&[][..], typo, 0, ""),
        (&["--deny-faults"], typo, 2, first),
        (&["--deny-faults"], typo, 2, more),
        (&["--expect", "fault:1"], typo, 2, first),
        (&["--sanitize"], typo, 2, first),
        (&["--report", "json:r.json"], typo, 2, first),
        (&["--bundle", "b"], typo, 2, first),
        // What broke a rule is said all the same.
        (&["--deny-faults"], &fault, 2, "unexpected fault 0x01"),
        (&["--deny-faults"], &fault, 2, "line 11 of the script, 'writel 0x1000', was answered with FAIL"),
        (&["--deny-faults"], "clock_set 5\nclock_set 3\n", 2, "'clock_set 3', was answered with FAIL 5"),
        (
            &["--deny-faults"],
            "readl 0\nreadl 4",
            2,
            "line 2 of the script, 'readl 4', was answered with nothing",
        ),
        (&["--deny-faults"], "# a comment\n\n  \nreadl 0\n", 0, ""),
    ] {
        check(&QTEST, more_args, script, code, message);
    }
    let folder = tempfile::tempdir().unwrap();
    let reports = ["--report", "json:r.json", "--report", "junit:r.xml"];
    iommulator(folder.path(), &[&QTEST[..], &reports].concat(), typo);
    let report = json(folder.path().join("r.json"));
    assert_eq!((&report["exit"], &report["result"]), (&2.into(), &"usage".into()));
    assert!(report["failure"].as_str().unwrap().starts_with(first));
    let xml = fs::read_to_string(folder.path().join("r.xml")).unwrap();
    assert!(xml.contains("<error message=\"usage: line 4 of the script"), "{xml}");
}

#[test]
fn a_script_file_must_be_without_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    for (script, code) in [("readl 0\n", 0), ("# nothing\n", 0), ("readl zz\n", 2), ("readl 0", 2)] {
        fs::write(&path, script).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_iommulator"))
            .args(&QTEST[..4])
            .stdin(fs::File::open(&path).unwrap())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{script:?}: {text}");
        assert_eq!(text.contains("line 1 of the script"), code != 0, "{text}");
    }
}

#[test]
fn reports_of_a_good_run() {
    let folder = tempfile::tempdir().unwrap();
    let more =
        ["--expect", "fault:LGN.3", "--report", "junit:a.xml", "--report", "json:a.json", "--bundle", "b"];
    let output = iommulator(folder.path(), &[&RUN[..], &more].concat(), "");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let console = String::from_utf8(output.stdout).unwrap();
    let checks = console.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(checks > 10);
    assert!(!folder.path().join("b").exists(), "a bundle is for failures");

    let xml = fs::read_to_string(folder.path().join("a.xml")).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let cases: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("testcase"))
        .filter_map(|case| case.attribute("name"))
        .collect();
    // The run and one expectation.
    assert_eq!(cases.len(), checks + 2);
    assert_eq!((cases[0], cases[cases.len() - 1]), ("the run succeeds", "--expect fault:LGN.3"));
    let root = document.root_element();
    assert_eq!((root.attribute("failures"), root.attribute("errors")), (Some("0"), Some("0")));

    let report = json(folder.path().join("a.json"));
    assert_eq!((&report["exit"], &report["result"]), (&0.into(), &"passed".into()));
    assert_eq!(report["guest"]["checks"].as_array().unwrap().len(), checks);
    assert_eq!((&report["expectations"][0]["reason"], &report["driver"]), (&"0x06".into(), &"hosted".into()));
    let first = &report["faults"]["list"][0];
    assert_eq!(
        (&first["condition"], &first["source"], &first["fate"]),
        (&"LGN.3".into(), &"00:01.0".into(), &"recorded".into())
    );
    assert_eq!(report["machine"]["memory"], 512 << 20);
}

#[test]
fn a_failed_run_leaves_a_bundle_that_repeats_it() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("new/bundle");
    let more = ["--deny-faults", "--trace", "jsonl:trace", "--bundle", "new/bundle"];
    let output = iommulator(folder.path(), &[&RUN[..], &more].concat(), "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("bundle is in new/bundle"));

    assert_eq!(fs::read(bundle.join("console.txt")).unwrap(), output.stdout);
    let command = fs::read_to_string(bundle.join("command")).unwrap();
    let readme = fs::read_to_string(bundle.join("README")).unwrap();
    assert!(command.ends_with("run vtd_dma --cpu hosted --iommu vtd-legacy --device exerciser,functions=2 --deny-faults --trace jsonl:trace --bundle new/bundle\n"), "{command}");
    assert!(readme.contains("failed with exit code 1:\n- unexpected fault 0x06 "), "{readme}");
    assert!(readme.contains(&command), "{readme}");
    let report = json(bundle.join("report.json"));
    assert_eq!((&report["exit"], &report["deny_faults"]), (&1.into(), &true.into()));
    assert!(report["broken"][0].as_str().unwrap().starts_with("unexpected fault 0x06 "));
    let state = json(bundle.join("state.json"));
    assert!(state["now"].as_u64().unwrap() > 0 && !state["ram"].as_array().unwrap().is_empty());

    // The bundle has the end of the trace that was written beside it.
    let whole = fs::read_to_string(folder.path().join("trace")).unwrap();
    let end = fs::read_to_string(bundle.join("trace.jsonl")).unwrap();
    assert!(end.lines().count() > 100 && end.lines().count() <= 4096);
    assert!(whole.ends_with(&end));

    fs::remove_dir_all(&bundle).unwrap();
    let again = Command::new("sh").args(["-c", &command]).current_dir(folder.path()).output().unwrap();
    assert_eq!((again.status.code(), again.stdout), (Some(1), output.stdout));
    assert_eq!(json(bundle.join("state.json")), state);
}

#[test]
fn machine_time_is_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--timeout-machine", "100us", "--report", "junit:a.xml", "--bundle", "b"];
    let output = iommulator(folder.path(), &[&RUN[..], &more].concat(), "");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("the guest did not end within 100µs of machine time"), "{text}");
    let report = json(folder.path().join("b/report.json"));
    assert_eq!((&report["result"], &report["time"]), (&"timeout".into(), &100_000.into()));
    let xml = fs::read_to_string(folder.path().join("a.xml")).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let error = document.descendants().find(|node| node.has_tag_name("error")).unwrap();
    assert!(error.attribute("message").unwrap().starts_with("timeout: the guest did not end"));
}

#[test]
fn a_guest_that_fails_is_reported_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["run", "vtd_dma", "--cpu", "hosted", "--report", "json:a.json"];
    let output = iommulator(folder.path(), &args, "");
    assert_eq!(output.status.code(), Some(1));
    let report = json(folder.path().join("a.json"));
    assert!(report["failure"].as_str().unwrap().starts_with("the guest gave up: "), "{report}");
    assert_eq!((&report["guest"]["value"], &report["result"]), (&1.into(), &"failed".into()));
}

#[test]
fn the_demo_is_judged_too() {
    let demo = ["demo", "--cpu", "hosted"];
    check(&demo, &["--expect", "fault:6@00:01.0"], "", 0, "");
    check(&demo, &["--expect", "fault:22h@00:1f.0"], "", 1, "expected fault:22h@00:1f.0");
    check(&demo, &["--timeout-machine", "1us"], "", 5, "within 1µs");
}

#[test]
fn what_cannot_be_judged_or_written_is_refused() {
    for (args, more, code, message) in [
        (&RUN[..], &["--expect", "fault:0x7f"][..], 2, "unknown fault reason '0x7f'"),
        (&RUN, &["--expect", "6@00:01.0"], 2, "write fault:REASON@BDF"),
        (&RUN, &["--expect", "fault:6@1.0"], 2, "'1.0' is not a PCI function"),
        (&RUN, &["--report", "tap:a"], 2, "unknown report format 'tap'; known: junit, json"),
        (&RUN, &["--timeout-machine", "10m"], 2, "expected nanoseconds, or a number with ns, us, ms or s"),
        (&RUN, &["--report", "json:/nonexistent/a"], 3, "cannot create the report /nonexistent/a"),
        (&RUN[..4], &["--deny-faults"], 2, "need an IOMMU that could fault; add --iommu"),
        (&QTEST[..4], &["--expect", "fault:6"], 2, "need an IOMMU that could fault; add --iommu"),
        // The failure of the run is worth more than that of its bundle.
        (&RUN, &["--deny-faults", "--bundle", "/dev/null/b"], 1, "cannot write /dev/null/b: "),
        (&RUN, &["--report", "json:/dev/full"], 3, "cannot write the report /dev/full"),
        (&RUN, &["--report", "json:/dev/full", "--deny-faults"], 1, "cannot write the report /dev/full"),
    ] {
        check(args, more, "", code, message);
    }
}

/// edu (00:01.0) reads page 0x400000 twice; between the two reads the page moves to 0x11000, and the
/// line `INVALIDATE` stands for what software does about it.
const MOVED_PAGE: &str = "\
writel 0xb0008010 0xfea00000
writew 0xb0008004 6
writeq 0x1000 0x2001
writeq 0x2080 0x3001
writeq 0x2088 0x102
writeq 0x3000 0x4003
writeq 0x4000 0x5003
writeq 0x5010 0x6003
writeq 0x6000 0x10003
writeq 0xfed90020 0x1000
writel 0xfed90018 0x40000000
writel 0xfed90018 0x80000000
writeq 0xfea00080 0x400000
writeq 0xfea00088 0x40000
writeq 0xfea00090 4
writeq 0xfea00098 1
clock_step 1000000000
writeq 0x6000 0x11003
INVALIDATE
writeq 0xfea00098 1
clock_step 1000000000
";

#[test]
fn the_sanitizer_fails_a_run_that_uses_what_it_should_have_invalidated() {
    let forgotten = MOVED_PAGE.replace("INVALIDATE\n", "");
    let stale = "stale translation used by 00:01.0 (Read at 0x400000): cached 0x10000 read write, in memory 0x11000 \
                 read write; missing: IOTLB invalidation of page 0x400000, domain 1";
    check(&QTEST, &["--sanitize"], &forgotten, 1, stale);
    // Page-selective, domain 1, through IVA_REG and IOTLB_REG.
    let done = "writeq 0xfed900f0 0x400000\nwriteq 0xfed900f8 0xb000000100000000\n";
    check(&QTEST, &["--sanitize"], &MOVED_PAGE.replace("INVALIDATE\n", done), 0, "");
    check(&QTEST, &[], &forgotten, 0, "");
    // Reports say the same.
    let folder = tempfile::tempdir().unwrap();
    let reports = ["--sanitize", "--report", "json:r.json", "--report", "junit:r.xml"];
    let output = iommulator(folder.path(), &[&QTEST[..], &reports].concat(), &forgotten);
    assert_eq!(output.status.code(), Some(1));
    let json = json(folder.path().join("r.json"));
    assert_eq!(json["stale"]["list"][0]["use"]["missing"]["translation"]["domain"], 1);
    assert!(
        fs::read_to_string(folder.path().join("r.xml")).unwrap().contains("name=\"--sanitize\"><failure")
    );
    check(&["qtest", "--stdio", "--sanitize"], &[], "", 2, "--iommu");
}
