//! The binary as its users see it: what it prints and with what code it exits.
// A test file is all test code, its helpers included.
#![allow(clippy::unwrap_used)]

mod binary;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use binary::{check_failure, iommulator};

#[test]
fn the_demo_holds_and_tells_its_story() {
    let output = iommulator(&["demo", "--cpu", "hosted"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in [
        "\nTAP version 13\n",
        "\nok 1 - ",
        "      The driver turns translation on.\n",
        "      Device 00:01.0 reads 32 bytes at ",
        "root entry not present (fault reason 01h, recorded).\n",
        "      An interrupt message reaches the processor: vector ",
        "\nAll ",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
}

/// Both runs of the guest tell of setting up, translating, stale uses, nested faults and stalls.
#[test]
fn the_chapter_of_the_smmu_holds_and_tells_its_story() {
    for cpu in ["hosted", "soft"] {
        let output = iommulator(&["demo", "smmuv3", "--cpu", cpu]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        for part in [
            "An Arm machine (virt)",
            "      The driver turns the SMMU on.\n",
            "; the IOMMU leaves the address as it is.\n",
            "; the IOMMU finds in its tables: memory at ",
            "the device still sees the old page\n      Device 00:01.0 reads 32 bytes at ",
            "; the IOMMU remembers that this is memory at ",
            "      The driver has the IOMMU forget translations of addresses, domain 1, ",
            "by the tables of stage 2, for a table of the device's own at intermediate address 0x6000000000 (F_",
            "      The processor takes interrupt 106.\n",
            "reaches the interrupt controller: interrupt 8193.\n",
            "      The SMMU holds stream 0x10000 at 0x2e00000000: no page is mapped there, ",
            "holds for stream 0x10000 try again.\n",
            "\nAll ",
        ] {
            assert!(text.contains(part), "{cpu}: {part:?} is missing in {text}");
        }
    }
}

#[test]
fn a_hosted_run_is_repeatable_down_to_its_trace() {
    let args = ["run", "vtd_dma", "--cpu", "hosted", "--iommu", "vtd-legacy,cache=adversarial"];
    let devices = ["--seed", "7", "--device", "exerciser", "--trace", "jsonl:-"];
    let args: Vec<&str> = args.into_iter().chain(devices).collect();
    let (one, two) = (iommulator(&args), iommulator(&args));
    assert_eq!(one.status.code(), Some(0), "{}", String::from_utf8_lossy(&one.stdout));
    assert!(one.stdout.len() > 10_000);
    assert_eq!(one.stdout, two.stdout);
}

#[test]
fn the_software_processor_runs_its_guest_the_same_each_time() {
    let args = ["run", "cpu_check", "--machine", "virt,cpus=2", "--memory", "32M", "--trace", "jsonl:-"];
    let (one, two) = (iommulator(&args), iommulator(&args));
    let text = String::from_utf8(one.stdout.clone()).unwrap();
    assert_eq!(one.status.code(), Some(0), "{text}");
    assert!(text.contains("\nok 1 - the program runs at EL1\n"), "{text}");
    assert_eq!(one.stdout, two.stdout);
}

/// A debugger connects, and leaves again at once: the guest goes on to its end.
#[test]
fn a_run_waits_for_its_debugger() {
    let args = ["run", "cpu_check", "--machine", "virt", "--gdb", "0"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_iommulator"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = lines.find_map(|line| {
        let line = line.unwrap();
        let (_, rest) = line.split_once("waiting for a debugger at ")?;
        Some(rest.split_once(';').unwrap().0.to_owned())
    });
    let address: SocketAddr = told.unwrap().parse().unwrap();
    assert!(address.ip().is_loopback());
    drop(TcpStream::connect(address).unwrap());
    let gone = lines.find(|line| line.as_ref().unwrap().contains("the debugger is gone"));
    assert!(gone.is_some());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("TAP version 13\n"));
}

#[test]
fn the_guest_passes_with_every_cache_policy() {
    for policy in ["retain", "tiny", "adversarial", "off"] {
        let iommu = format!("vtd-legacy,cache={policy}");
        let args =
            ["run", "vtd_dma", "--cpu", "hosted", "--device", "exerciser,functions=2", "--iommu", &iommu];
        let output = iommulator(&args);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{policy}: {text}");
    }
}

#[test]
fn a_guest_without_its_hardware_reports_failure() {
    let output = iommulator(&["run", "vtd_dma", "--cpu", "hosted"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("Bail out!"));
}

#[test]
fn capabilities_as_text_and_json() {
    let text = String::from_utf8(iommulator(&["caps", "vtd-legacy"]).stdout).unwrap();
    assert!(text.starts_with("vtd-legacy\n\nCAP 0x00d2078c226f0606\n"), "{text}");
    assert!(text.contains("\n   12:8  sagaw    0x6\n"), "{text}");
    let json = iommulator(&["caps", "vtd-legacy,aw-bits=39", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["CAP"]["fields"]["SAGAW"], 2);
    assert_eq!(json["ECAP"]["raw"], "0x0000000000f00f5b");
    let text = String::from_utf8(iommulator(&["caps", "smmuv3.2-nested,sidsize=20"]).stdout).unwrap();
    assert!(text.contains("\nIDR1 0x"), "{text}");
    assert!(text.contains("\n    5:0  sidsize  0x14\n"), "{text}");
    let registers: Vec<_> = text.lines().filter_map(|line| line.split_once(" 0x")).collect();
    let registers: Vec<_> =
        registers.iter().map(|(name, _)| *name).filter(|name| name.contains("DR")).collect();
    assert_eq!(registers, ["IDR0", "IDR1", "IDR2", "IDR3", "IDR4", "IDR5", "IIDR", "AIDR"]);
}

#[test]
fn wrong_options_are_told_apart_from_a_host_that_lacks_something() {
    for (args, code, message) in [
        (&["run", "vtd_dma", "--device", "ahci"][..], 2, "unknown device 'ahci'; known: edu, exerciser"),
        (&["run", "vtd_dma", "--iommu", "amd-vi"], 2, "unknown IOMMU 'amd-vi'; known: vtd-legacy"),
        (&["run", "vtd_dma", "--memory", "1K"], 2, "expected a size such as 512M or 4G"),
        (&["run", "vtd_dma", "--timeout", "0"], 2, "--timeout"),
        (&["run", "vtd_dma", "--trace", "xml"], 2, "unknown trace format 'xml'"),
        (&["run", "vtd_dma", "--device", "edu,addr=4", "--device", "edu,addr=4"], 2, "choose another addr="),
        (&["run", "vtd_dma", "--module", "Cargo.toml"], 2, "only multiboot images take modules"),
        (&["run", "vtd_dma", "--module", "=a"], 2, "the file name is missing"),
        (&["run", "vtd_dma", "--machine", "pc"], 2, "unknown machine 'pc'; known: q35"),
        (&["run", "vtd_dma", "--machine", "virt", "--cpu", "hosted"], 4, "use --cpu soft"),
        (&["run", "vtd_dma", "--iommu", "smmuv3.2-nested"], 2, "which takes VT-d units; use --machine virt"),
        (&["qtest", "--stdio", "--machine", "virt", "--iommu", "vtd-legacy"], 2, "which takes SMMUv3 units"),
        (
            &["qtest", "--stdio", "--machine", "virt", "--iommu", "smmuv3.2-nested", "--expect", "fault:6"],
            2,
            "--expect fault:6 is of VT-d, and this machine has an SMMU; write event=NAME,stream=N",
        ),
        (
            &["qtest", "--stdio", "--iommu", "vtd-legacy", "--expect", "event=F_ACCESS"],
            2,
            "--expect event=F_ACCESS is of an SMMU, and this machine has VT-d; write fault:REASON@BDF",
        ),
        (
            &["qtest", "--stdio", "--device", "exerciser,bus=platform,stream=0x10000"],
            2,
            "q35, which has no platform bus",
        ),
        (&["caps", "none"], 2, "unknown IOMMU 'none'"),
        (&["qtest"], 2, "--socket"),
        (&["qtest", "--socket", "/nonexistent/socket"], 3, "cannot connect to /nonexistent/socket"),
        (
            &["run", "vtd_dma", "--cpu", "hosted", "--control", "/nonexistent/socket"],
            3,
            "cannot listen on /nonexistent/socket",
        ),
        (&["run", "vtd_dma", "--hold"], 2, "--control"),
        (&["explain", "--source", "00:04.0", "--address", "0"], 2, "--script"),
        (
            &["run", "/nonexistent/image"],
            3,
            "cannot read the image /nonexistent/image; built-in guests: vtd_dma",
        ),
        (&["run", "cpu_check"], 4, "this is an AArch64 image; use --machine virt"),
        (&["run", "vtd_dma", "--machine", "virt"], 4, "the board virt runs AArch64 images"),
        (&["run", "vtd_dma", "--cpu", "soft"], 4, "use it with --machine virt"),
        (&["run", "cpu_check", "--machine", "virt", "--cpu", "kvm"], 4, "use --cpu soft"),
        (&["run", "cpu_check", "--machine", "virt", "--cpu", "hosted"], 4, "use --cpu soft"),
        (&["run", "vtd_dma", "--cpu", "hosted", "--initrd", "Cargo.toml"], 2, "--machine virt; leave it out"),
        (
            &["run", "cpu_check", "--machine", "virt", "--initrd", "/nonexistent"],
            3,
            "initial RAM disk /nonexist",
        ),
        (&["run", "vtd_dma", "--cpu", "hosted", "--gdb", "0"], 2, "use --machine virt --cpu soft"),
        (&["run", "vtd_dma", "--cpu", "hosted", "--acpi"], 2, "use --machine virt --cpu soft"),
        (&["run", "cpu_check", "--machine", "virt", "--timeout-machine", "10us"], 5, "raise --timeout"),
        (&["run", "Cargo.toml", "--cpu", "hosted"], 4, "--cpu hosted runs only the built-in guests"),
        (
            &["run", "vtd_dma", "--cpu", "hosted", "--trace", "text:/nonexistent/file"],
            3,
            "cannot create the trace file",
        ),
    ] {
        check_failure(args, code, message);
    }
}

#[test]
fn a_multiboot_image_is_started_with_its_name_and_its_modules() {
    let mut image = [0x1bad_b002_u32, 0x1_0000, 0xe451_4ffe, 0x10_0000, 0x10_0000, 0, 0, 0x10_0020]
        .map(u32::to_le_bytes)
        .concat();
    image.extend([
        0x8b, 0x43, 0x10, // mov eax, [ebx + 16]: the command line
        0x8b, 0x00, // mov eax, [eax]
        0x2d, b'k', b'e', b'r', b'n', // sub eax, "kern"
        0x8b, 0x73, 0x18, // mov esi, [ebx + 24]: the list of modules
        0x8b, 0x76, 0x08, // mov esi, [esi + 8]: the string of the first
        0x33, 0x06, // xor eax, [esi]
        0x35, b'm', b' ', b'a', b'=', // xor eax, "m a="
        0xe7, 0xf4, // out 0xf4, eax
    ]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kern"), image).unwrap();
    std::fs::write(folder.path().join("m"), "contents").unwrap();
    let run = |module| {
        Command::new(env!("CARGO_BIN_EXE_iommulator"))
            .current_dir(&folder)
            .args(["run", "kern", "--cpu", "kvm", "--append", "words", "--module", module])
            .output()
            .unwrap()
    };
    // A host without KVM has to say so.
    let works = std::env::var_os("IOMMULATOR_NO_KVM").is_none_or(|value| value != "1");
    let output = run("m=a=b c");
    assert_eq!(output.status.code(), Some(if works { 0 } else { 3 }), "{output:?}");
    let output = run("none=a");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), message.contains("cannot read the module none")), (Some(3), true));
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    for args in [&["demo", "--cpu", "hosted"][..], &["caps", "vtd-legacy"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = Command::new(env!("CARGO_BIN_EXE_iommulator"))
            .args(args)
            .stdout(writer)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(3), "{args:?}");
    }
}

#[test]
fn a_script_on_standard_input_is_served() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_iommulator"))
        .args(["qtest", "--stdio", "--memory", "16M", "--device", "edu"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"readl 0xb0008000\nclock_step 10\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "OK 0x0000000011e81234\nOK 10\n");
}

#[test]
fn a_script_drives_an_smmu_without_a_processor() {
    let mut args = vec!["qtest", "--stdio", "--machine", "virt", "--iommu", "smmuv3.2-nested"];
    args.extend(["--device", "iommu-testdev", "--memory", "16M"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_iommulator"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // BAR, Bus Master; a DMA to RAM, then GBPA.ABORT and the same again.
    let dma = "writel 0x10000014 1\nreadl 0x10000000\nreadl 0x10000010\n";
    let script = format!(
        "writel 0x4010008010 0x10000000\nwritew 0x4010008004 6\nwritel 0x10000004 0x40005000\n\
         writel 0x1000000c 16\nwritel 0x1000001c 0x40005000\n{dma}writel 0x09050044 0x80100000\n{dma}"
    );
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("OK 0x")).collect();
    assert_eq!(verdicts, ["0000000000000000", "0000000000000000", "0000000000000000", "00000000dead0002"]);
}

#[test]
fn a_script_on_a_socket_is_served() {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_iommulator"))
        .args(["qtest", "--memory", "16M", "--socket"])
        .arg(&path)
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    stream.write_all(b"writel 0x1000 5\n").unwrap();
    assert_eq!(answers.next().unwrap().unwrap(), "OK");
    stream.write_all(b"readl 0x1000\n").unwrap();
    assert_eq!(answers.next().unwrap().unwrap(), "OK 0x0000000000000005");
    drop((stream, answers));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Maps page 0x5000 of 00:04.0 to 0x200000 for reads: root, context, three levels of tables; SRTP
/// and TE. The tables of VT-d are at 0x1000, its registers at 0xfed90000.
const READ_ONLY_PAGE: &str = "\
# One page that may be read.
writeq 0x1000 0x2001
writeq 0x2200 0x3001
writeq 0x2208 0x701
writeq 0x3000 0x4003
writeq 0x4000 0x5003

writeq 0x5028 0x200001
writeq 0xfed90020 0x1000
writel 0xfed90018 0x40000000
writel 0xfed90018 0x80000000
";

const EXPLAIN: [&str; 7] =
    ["explain", "--iommu", "vtd-legacy", "--device", "edu,addr=04.0", "--source", "00:04.0"];

#[test]
fn a_script_is_explained_down_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, READ_ONLY_PAGE).unwrap();
    let explain = |more: &[&str]| {
        let args = [&EXPLAIN[..], &["--script", script.to_str().unwrap()], more].concat();
        let output = iommulator(&args);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), errors)
    };
    let (code, text, _) = explain(&["--address", "0x5010", "--write"]);
    assert_eq!(code, Some(0));
    for part in [
        "00:04.0 writes 4 bytes at 0x5010\n",
        "\ncontext entry at 0x2200 = 0x0000000000000701 0x0000000000003001\n",
        "\nSS-PTE at 0x5028 = 0x0000000000200001\n",
        "        1  w          0x0   <== decides\n",
        "\nresult: aborted (UR): fault 05h, LGN.2, no write permission [VT-d 7.1.3]",
        "\nnote: Bus Master Enable is clear in 00:04.0",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
    let (_, json, _) = explain(&["--address", "0x5010", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["answer"]["address"], "0x200010");
    assert_eq!(json["answer"]["write"], false);
    for (more, code, message) in [
        (&["--address", "0x5ffe"][..], 2, "crosses the end of a page, 2 bytes on"),
        (&["--address", "0", "--write", "--atomic"], 2, "cannot be used with"),
        (&["--address", "0", "--pasid", "0x100000"], 2, "at most 0xfffff"),
        (&["--address", "0", "--state", "file"], 2, "cannot be used with"),
        (&["--address", "x"], 2, "expected a number such as 0x1000"),
    ] {
        let (status, _, errors) = explain(more);
        assert_eq!(status, Some(code), "{errors}");
        assert!(errors.contains(message), "{errors}");
    }
    std::fs::write(&script, "\nwriteq 0x1000\n").unwrap();
    let (code, _, errors) = explain(&["--address", "0"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("script:2: 'writeq 0x1000' was answered with FAIL missing argument"), "{errors}");
}

const READ_ONLY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/read-only-page.qtest");

#[test]
fn an_smmu_explains_itself_by_function_and_by_stream() {
    let explain = |more: &[&str]| {
        let args = ["explain", "--machine", "virt", "--iommu", "smmuv3.2-nested", "--device", "edu"];
        let output = iommulator(&[&args[..], &["--script", READ_ONLY, "--address", "0x5000"], more].concat());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), errors)
    };
    let (code, text, _) = explain(&["--source", "00:01.0", "--write"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("<== decides") && text.contains("F_PERMISSION"), "{text}");
    assert!(text.contains("note: Bus Master Enable is clear in 00:01.0"), "{text}");
    // The function, by the StreamID that it has.
    assert_eq!(explain(&["--stream", "8", "--write"]).1, text);
    let (_, json, _) = explain(&["--stream", "8", "--privileged", "--instruction", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["request"]["stream"], &json["request"]["instruction"]), (&"0x8".into(), &true.into()));
    assert_eq!(json["answer"]["address"], "0x40200000");
    for (more, message) in [
        (&["--source", "00:01.0", "--stream", "8"][..], "cannot be used with"),
        (&["--stream", "0x100000000"], "a StreamID has 32 bits"),
        (&["--stream", "8", "--write", "--instruction"], "cannot be used with"),
        (&[], "required arguments were not provided"),
    ] {
        let (code, _, errors) = explain(more);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(message), "{errors}");
    }
    let (code, _, errors) = {
        let args =
            ["explain", "--iommu", "vtd-legacy", "--script", "/dev/null", "--stream", "8", "--address", "0"];
        let output = iommulator(&args);
        (output.status.code(), (), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(code, Some(2));
    assert!(errors.contains("only an SMMUv3 knows masters by a StreamID"), "{errors}");
}

#[test]
fn events_of_an_smmu_are_judged_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let junit = folder.path().join("report.xml");
    // BAR and Bus Master of iommu-testdev; a write of 16 bytes to the page that may only be read.
    let setup = std::fs::read_to_string(READ_ONLY).unwrap();
    let setup: String =
        setup.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let script = format!(
        "{setup}writel 0x4010008010 0x10000000\nwritew 0x4010008004 6\nwritel 0x10000004 0x5000\n\
         writel 0x1000000c 16\nwritel 0x1000001c 0x40200000\nwritel 0x10000014 1\nreadl 0x10000000\n"
    );
    let reports = [format!("json:{}", report.display()), format!("junit:{}", junit.display())];
    for (rules, code, message) in [
        (&["--deny-faults", "--expect", "event=F_PERMISSION,stream=8,address=0x5000"][..], 0, ""),
        (
            &["--deny-faults"],
            1,
            "unexpected fault 0x13 (no permission) by stream 0x8 at 0x5000, recorded, at time ",
        ),
        (&["--expect", "event=F_PERMISSION,stream=9"], 1, "was not seen; seen: 0x13@stream 0x8"),
    ] {
        let mut args = vec!["qtest", "--stdio", "--machine", "virt", "--iommu", "smmuv3.2-nested"];
        args.extend(["--device", "iommu-testdev", "--report", &reports[0], "--report", &reports[1]]);
        args.extend(rules);
        let mut child = Command::new(env!("CARGO_BIN_EXE_iommulator"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(message), "{errors}");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        let fault = &json["faults"]["list"][0];
        assert_eq!((&fault["name"], &fault["stream"]), (&"F_PERMISSION".into(), &"0x8".into()));
        assert_eq!((&fault["source"], &fault["address"]), (&().into(), &"0x0000000000005000".into()));
        assert_eq!(fault["record"][0], "0x0000000800000013");
        let xml = std::fs::read_to_string(&junit).unwrap();
        assert!(xml.contains("0x13 (no permission) by stream 0x8 at 0x5000"), "{xml}");
    }
}

#[test]
fn a_run_is_controlled_saved_and_explained_later() {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixStream;

    let folder = tempfile::tempdir().unwrap();
    let (socket, state) = (folder.path().join("socket"), folder.path().join("state.json"));
    let trace = folder.path().join("trace.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_iommulator"))
        .args(["run", "vtd_dma", "--cpu", "hosted", "--device", "exerciser", "--memory", "64M"])
        .args(["--iommu", "vtd-legacy", "--hold", "--control", socket.to_str().unwrap()])
        .args(["--trace", &format!("perfetto:{}", trace.display())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The last message before the machine is held.
    let mut messages = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(messages.any(|line| line.unwrap().contains("waiting for quit")));
    let mut stream = UnixStream::connect(&socket).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut ask = |line: &str| -> Vec<String> {
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        while answer.last().is_none_or(|line: &String| !line.starts_with("ok") && !line.starts_with("error"))
        {
            answer.push(answers.next().unwrap().unwrap());
        }
        answer
    };
    let live = ask("explain 00:01.0 0x5000 write");
    assert_eq!(live[0], "00:01.0 writes 4 bytes at 0x5000");
    assert_eq!(ask(&format!("save {}", state.display())), ["ok"]);
    assert_eq!(ask("trace off"), ["ok"]);
    assert_eq!(ask("quit"), ["ok"]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!socket.exists());
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(trace).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().unwrap().len() > 1000);
    let later = ["explain", "--state", state.to_str().unwrap(), "--source", "00:01.0"];
    let output = iommulator(&[&later[..], &["--address", "0x5000", "--write"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), live[..live.len() - 1]);
}
