//! `iommulator linux` with small programs in place of a kernel: whose bytes go where, and what the exit
//! status is.
// A test file is all test code, its helpers included.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use tempfile::TempDir;

/// The program behind the header of a Linux image. What follows is the text for the console, FFh, the text
/// for the auxiliary UART, FFh, and how it ends: a [`Then`].
const PROGRAM: &[u32] = &[
    0x1000050a, // adr x10, .+160
    0xd2a1200b, // mov x11, #0x9000000
    0x38401540, // ldrb w0, [x10], #1
    0x7103fc1f, // cmp w0, #0xff
    0x54000060, // b.eq .+12
    0xb9000160, // str w0, [x11]
    0x17fffffc, // b .-16
    0xd2a1208c, // mov x12, #0x9040000
    0x38401540, // ldrb w0, [x10], #1
    0x7103fc1f, // cmp w0, #0xff
    0x54000060, // b.eq .+12
    0xb9000180, // str w0, [x12]
    0x17fffffc, // b .-16
    0x39400141, // ldrb w1, [x10]
    0x34000281, // cbz w1, .+80
    0x7100043f, // cmp w1, #0x1
    0x540002a0, // b.eq .+84
    0x7100083f, // cmp w1, #0x2
    0x54000060, // b.eq .+12
    0xd503207f, // wfi
    0x17ffffff, // b .-4
    0x52800202, // mov w2, #0x10
    0xb9003962, // str w2, [x11, #56]
    0xd2801e83, // mov x3, #0xf4
    0xd518e103, // msr cntkctl_el1, x3
    0xb9401960, // ldr w0, [x11, #24]
    0x36200060, // tbz w0, #4, .+12
    0xd503205f, // wfe
    0x17fffffd, // b .-12
    0xb9400160, // ldr w0, [x11]
    0x7100101f, // cmp w0, #0x4
    0x54000060, // b.eq .+12
    0xb9000160, // str w0, [x11]
    0x17fffff8, // b .-32
    0x52800100, // mov w0, #0x8
    0x72b08000, // movk w0, #0x8400, lsl #16
    0xd4000002, // hvc #0x0
    0x52800120, // mov w0, #0x9
    0x72b08000, // movk w0, #0x8400, lsl #16
    0xd4000002, // hvc #0x0
];

/// What the program does after its texts.
#[derive(Clone, Copy)]
enum Then {
    PowerOff = 0,
    Reset = 1,
    /// It says what is typed, until Ctrl-d.
    Echo = 2,
    Wait = 3,
}

/// Files that stand for a kernel and what it needs.
struct Files {
    directory: TempDir,
}

impl Files {
    fn new(console: &[u8], auxiliary: &[u8], then: Then) -> Self {
        let mut image = vec![0; 64];
        image[..4].copy_from_slice(&0x1400_0010_u32.to_le_bytes()); // b .+64
        image[16..24].copy_from_slice(&0x10000_u64.to_le_bytes()); // image_size
        image[56..60].copy_from_slice(b"ARM\x64");
        image.extend(PROGRAM.iter().flat_map(|word| word.to_le_bytes()));
        image.extend([console, b"\xff", auxiliary, b"\xff", &[then as u8]].concat());
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("kernel"), image).unwrap();
        fs::write(directory.path().join("busybox"), b"not looked at by this kernel").unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The command with these words.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iommulator"));
        command.args(["linux", "--memory", "64M", "--disk", "none"]).args(words);
        command.arg("--kernel").arg(self.path("kernel")).arg("--busybox").arg(self.path("busybox"));
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).stdin(Stdio::null()).output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn output_and_status_are_those_of_the_command() {
    for (sent, output, code) in [
        (&b"\0exit 0\n"[..], &b""[..], 0),
        (b"one\ntwo\n\0exit 0\n", b"one\ntwo\n", 0),
        (b"raw \x01\r\x80\0 bytes\0exit 7\n", b"raw \x01\r\x80\0 bytes", 7),
        (b"\0exit 1\n", b"", 1),
        (b"\0exit 255\n", b"", 255),
        // What looks like the end and is not.
        (b"\0exit 3\n\0exit 0\n", b"\0exit 3\n", 0),
    ] {
        let ran = Files::new(b"a kernel says\n", sent, Then::PowerOff).run(&["--exec", "anything"]);
        let errors = text(&ran.stderr);
        assert_eq!((ran.status.code(), &ran.stdout[..]), (Some(code), output), "{errors}");
        assert!(errors.contains("a kernel says\n"), "{errors}");
        assert!(!errors.contains("value"), "a status is nothing to talk about: {errors}");
    }
}

#[test]
fn endings_without_a_status_have_numbers_of_their_own() {
    let limit = ["--timeout-machine", "5ms"];
    for (auxiliary, then, code, message) in [
        (&b"part of it"[..], Then::PowerOff, 206, "without saying how the command ended"),
        (b"part\0exit 1", Then::PowerOff, 206, "without saying how the command ended"),
        (b"part", Then::Reset, 206, "reset"),
        (b"part", Then::Wait, 205, "did not end in time"),
    ] {
        let ran = Files::new(b"panic\n", auxiliary, then).run(&[&["--exec", "x"], &limit[..]].concat());
        let errors = text(&ran.stderr);
        assert_eq!((ran.status.code(), &ran.stdout[..]), (Some(code), auxiliary), "{errors}");
        assert!(errors.contains(message), "{errors}");
    }
}

/// A disk that is full is a failure. A reader that has seen enough is none.
#[test]
fn output_that_is_lost_fails_the_run() {
    let files = Files::new(b"", b"out\0exit 0\n", Then::PowerOff);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let ran = files.command(&["--exec", "x"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let errors = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(203), "{errors}");
    assert!(errors.contains("standard output"), "{errors}");

    let mut child = files.command(&["--exec", "x"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_quiet_run_shows_the_console_of_a_failed_one_only() {
    for (auxiliary, shown) in [(&b"\0exit 4\n"[..], false), (b"", true)] {
        let ran = Files::new(b"Oops\n", auxiliary, Then::PowerOff).run(&["--exec", "x", "--quiet"]);
        assert_eq!(text(&ran.stderr).contains("Oops\n"), shown, "{ran:?}");
    }
}

#[test]
fn a_broken_expectation_fails_a_run_whose_command_did_not() {
    for (words, sent, code) in [
        (&["--deny-faults"][..], &b"\0exit 0\n"[..], 0),
        (&["--expect", "event=F_TRANSLATION"], b"\0exit 0\n", 201),
        (&["--expect", "event=F_TRANSLATION"], b"\0exit 9\n", 9),
    ] {
        let files = Files::new(b"", sent, Then::PowerOff);
        let report = files.path("report.json");
        let report = format!("json:{}", report.display());
        let ran = files.run(&[&["--exec", "x", "--report", &report], words].concat());
        assert_eq!(ran.status.code(), Some(code), "{ran:?}");
        assert!(fs::read_to_string(files.path("report.json")).unwrap().contains("\"time"));
    }
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    let files = Files::new(b"", b"", Then::PowerOff);
    let rows: [(&[&str], i32, &str); 8] = [
        (&[], 202, "--exec 'CMD', or --shell"),
        (&["--exec", "x", "--shell"], 202, "cannot be used with"),
        (&["--exec", "x", "--no-such-option"], 202, "--no-such-option"),
        (&["--exec", "x", "--file", "/nowhere/at/all=/b"], 203, "/nowhere/at/all"),
        (&["--exec", "x", "--load", "vfio"], 202, "--modules"),
        (&["--exec", "x", "--machine", "q35"], 202, "smmuv3"),
        (&["--exec", "x", "--machine", "q35", "--no-iommu"], 204, "--machine virt"),
        (&["--exec", "x", "--cpu", "hosted"], 204, "--cpu soft"),
    ];
    for (words, code, message) in rows {
        let ran = files.run(words);
        let errors = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{words:?}: {errors}");
        assert!(errors.contains(message), "{words:?}: {errors}");
    }
    let help = files.run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = text(&help.stdout);
    for part in ["[default: virt]", "[default: 512M]", "[default: smmuv3.2-nested]", "\n  205  "] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn the_same_command_gives_the_same_trace() {
    let files = Files::new(b"console\n", b"out\0exit 0\n", Then::PowerOff);
    let traces = ["one", "two"].map(|name| {
        let trace = format!("jsonl:{}", files.path(name).display());
        assert_eq!(files.run(&["--exec", "x", "--trace", &trace]).status.code(), Some(0));
        fs::read(files.path(name)).unwrap()
    });
    assert_eq!(traces[0], traces[1]);
}

/// Through a pipe every byte is the guest's, nothing is lost, and the end is Ctrl-d.
#[test]
fn a_pipe_is_a_keyboard() {
    let files = Files::new(b"ready\n", b"", Then::Echo);
    let typed: Vec<u8> = (0..2000_u32).map(|byte| (byte % 250) as u8).filter(|byte| *byte != 4).collect();
    let mut child = files
        .command(&["--shell", "--timeout", "60"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(&typed).unwrap();
    drop(keyboard);
    let ran = child.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    // The last line was not whole.
    assert_eq!(ran.stdout, [b"ready\n", &typed[..], b"\n"].concat());
}

/// The user's end of a terminal, with the process at the other one.
struct Session {
    user: fs::File,
    process: rustix::fd::OwnedFd,
    child: std::process::Child,
}

impl Session {
    fn new(files: &Files, words: &[&str]) -> Self {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        let process = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let end = || Stdio::from(process.try_clone().unwrap());
        let child = files.command(words).stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { user: user.into(), process, child }
    }

    /// Reads until the screen shows this.
    fn wait_for(&mut self, text: &str) -> String {
        let mut screen = Vec::new();
        while !String::from_utf8_lossy(&screen).contains(text) {
            let mut byte = [0];
            assert_eq!(self.user.read(&mut byte).unwrap(), 1);
            screen.push(byte[0]);
        }
        String::from_utf8(screen).unwrap()
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.process).unwrap().local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Asks for help, and leaves by the escape key.
    fn leave(mut self) {
        self.user.write_all(b"\x01h").unwrap();
        self.wait_for("leave");
        self.user.write_all(b"\x01x").unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert!(!self.is_raw());
    }
}

#[test]
fn a_terminal_is_the_console_until_ctrl_a_x() {
    let files = Files::new(b"ready\n", b"", Then::Echo);
    let mut session = Session::new(&files, &["--timeout", "60"]);
    session.wait_for("ready");
    assert!(session.is_raw());
    // Return and Ctrl-c are the guest's, and nobody else echoes them.
    session.user.write_all(b"abc\r\x03\x01\x01.").unwrap();
    session.wait_for("abc\r\x03\x01.");
    session.leave();
}

/// What nobody reads lies before the escape key.
#[test]
fn ctrl_a_x_leaves_a_guest_that_takes_no_input() {
    let files = Files::new(b"ready\n", b"", Then::Wait);
    let mut session = Session::new(&files, &["--timeout", "60"]);
    session.wait_for("ready");
    session.user.write_all(b"is anybody there?\r").unwrap();
    session.leave();
}

#[test]
fn a_signal_puts_the_terminal_back_and_is_what_the_parent_sees() {
    use std::os::unix::process::ExitStatusExt as _;

    let files = Files::new(b"ready\n", b"", Then::Echo);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut session = Session::new(&files, &["--shell", "--timeout", "60"]);
        session.wait_for("ready");
        assert!(session.is_raw());
        let pid = Pid::from_child(&session.child);
        kill_process(pid, signal).unwrap();
        assert_eq!(session.child.wait().unwrap().signal(), Some(signal.as_raw()));
        assert!(!session.is_raw(), "{signal:?}");
    }
}
