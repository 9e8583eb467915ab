//! The binary as its users see it: what it prints and with what code it exits.
// A test file is all test code, its helpers included.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn iommulator(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iommulator")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn check_failure(args: &[&str], code: i32, message: &str) {
    let output = iommulator(args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(text.contains(message), "{args:?}: {text}");
}

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
}

#[test]
fn wrong_options_are_told_apart_from_a_host_that_lacks_something() {
    for (args, code, message) in [
        (&["run", "vtd_dma", "--device", "nvme"][..], 2, "unknown device 'nvme'; known: edu, exerciser"),
        (&["run", "vtd_dma", "--iommu", "amd-vi"], 2, "unknown IOMMU 'amd-vi'; known: vtd-legacy"),
        (&["run", "vtd_dma", "--memory", "1K"], 2, "expected a size such as 512M or 4G"),
        (&["run", "vtd_dma", "--timeout", "0"], 2, "--timeout"),
        (&["run", "vtd_dma", "--trace", "xml"], 2, "unknown trace format 'xml'"),
        (&["run", "vtd_dma", "--device", "edu,addr=4", "--device", "edu,addr=4"], 2, "choose another addr="),
        (&["run", "vtd_dma", "--module", "Cargo.toml"], 2, "only multiboot images take modules"),
        (&["run", "vtd_dma", "--module", "=a"], 2, "the file name is missing"),
        (&["run", "vtd_dma", "--machine", "pc"], 2, "unknown machine 'pc'; known: q35"),
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
