//! The format of recordings: see `tests/recordings/README.md`.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use iommufd::errno::Errno;
use iommufd::uapi::Command;
use iommufd::uapi::test::TestCmd;
use zerocopy::FromBytes;

const ARCHIVE: &[u8] = include_bytes!("../recordings/kernel-7.3.4.tar.gz");

/// All recordings, by name.
pub static ALL: LazyLock<BTreeMap<String, Recording>> = LazyLock::new(unpack);

fn unpack() -> BTreeMap<String, Recording> {
    let mut archive = tar::Archive::new(GzDecoder::new(ARCHIVE));
    let mut recordings = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let recording = Recording::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        recordings.insert(name, recording);
    }
    recordings
}

/// The calls of one test case.
pub struct Recording {
    /// In the order in which they returned.
    pub calls: Vec<Recorded>,
}

/// A call and what the kernel answered.
pub struct Recorded {
    /// Line in the recording, from 1 on.
    pub line: usize,
    /// The call.
    pub call: Call,
    /// The answer.
    pub answer: Answer,
}

/// A call as the program made it.
#[derive(Debug)]
pub struct Call {
    /// The process.
    pub process: u32,
    /// What it asked for.
    pub action: Action,
}

/// What a program asks of the kernel.
#[derive(Debug)]
pub enum Action {
    /// An `open` of `/dev/iommu`.
    Open,
    /// A `close`.
    Close { fd: i32 },
    /// An `ioctl`.
    Ioctl { fd: i32, command: u32, argument: Argument },
    /// A `read` of `count` bytes.
    Read { fd: i32, count: usize },
    /// A `write` of `data`.
    Write { fd: i32, data: Vec<u8> },
}

/// The third argument of an `ioctl`.
#[derive(Debug)]
pub enum Argument {
    /// A number, or a pointer to nothing.
    Value(u64),
    /// A pointer to these bytes.
    Structure(Vec<u8>),
}

/// What the kernel answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the call returned.
    pub result: Result<i64, Errno>,
    /// The bytes of the argument structure after the call, or those read.
    pub bytes: Vec<u8>,
}

/// What calls are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Every `open`.
    Open,
    /// A `close` of this descriptor.
    Close(i32),
    /// An `ioctl` with this command.
    Ioctl(u32),
    /// An operation of `IOMMU_TEST_CMD`.
    Test(u32),
    /// Every `read`.
    Read,
    /// Every `write`.
    Write,
}

impl Call {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match &self.action {
            Action::Open => Kind::Open,
            Action::Close { fd } => Kind::Close(*fd),
            Action::Ioctl { command: TestCmd::REQUEST, .. } => Kind::Test(self.structure::<TestCmd>().op),
            Action::Ioctl { command, .. } => Kind::Ioctl(*command),
            Action::Read { .. } => Kind::Read,
            Action::Write { .. } => Kind::Write,
        }
    }

    /// The argument structure, zero beyond what was passed.
    pub fn structure<T: FromBytes>(&self) -> T {
        let Action::Ioctl { argument: Argument::Structure(bytes), .. } = &self.action else {
            return T::new_zeroed();
        };
        let mut padded = bytes.clone();
        padded.resize(size_of::<T>(), 0);
        T::read_from_bytes(&padded).unwrap()
    }
}

impl Recording {
    fn parse(text: &str) -> Result<Self, String> {
        let mut calls = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (call, answer) = parse_line(&words).ok_or_else(|| format!("line {}: {line}", index + 1))?;
            calls.push(Recorded { line: index + 1, call, answer });
        }
        Ok(Self { calls })
    }
}

fn parse_line(words: &[&str]) -> Option<(Call, Answer)> {
    let (process, words) = match words {
        [_, process, words @ ..] => (process.parse().ok()?, words),
        _ => return None,
    };
    let fd = |word: &str| word.strip_prefix("fd")?.parse::<i32>().ok();
    let (action, answer) = match *words {
        ["open", fd] => (Action::Open, Answer { result: Ok(fd.parse().ok()?), bytes: Vec::new() }),
        ["close", fd, _kind, "=", "0"] => {
            (Action::Close { fd: fd.parse().ok()? }, Answer { result: Ok(0), bytes: Vec::new() })
        }
        ["ioctl", file, command, "=", result, errno, argument, after] => {
            let (argument, bytes) = match argument.strip_prefix("arg=") {
                Some("(nil)") => (Argument::Value(0), Vec::new()),
                Some(value) => (Argument::Value(hex_number(value)?), Vec::new()),
                None => {
                    let before = hex_bytes(argument)?;
                    let after = if after == "=" { before.clone() } else { hex_bytes(after)? };
                    (Argument::Structure(before), after)
                }
            };
            let command = u32::try_from(hex_number(command)?).ok()?;
            let action = Action::Ioctl { fd: fd(file)?, command, argument };
            (action, Answer { result: parse_result(result, errno)?, bytes })
        }
        ["read", file, _kind, count, "=", result, errno, data] => {
            let count = count.strip_prefix("count=")?.parse().ok()?;
            let answer = Answer { result: parse_result(result, errno)?, bytes: hex_bytes(data)? };
            (Action::Read { fd: fd(file)?, count }, answer)
        }
        ["write", file, _kind, count, "=", result, errno, data] => {
            let data = hex_bytes(data)?;
            if count.strip_prefix("count=")?.parse() != Ok(data.len()) {
                return None;
            }
            let answer = Answer { result: parse_result(result, errno)?, bytes: Vec::new() };
            (Action::Write { fd: fd(file)?, data }, answer)
        }
        _ => return None,
    };
    Some((Call { process, action }, answer))
}

fn parse_result(result: &str, errno: &str) -> Option<Result<i64, Errno>> {
    match (result.parse().ok()?, errno.parse().ok()?) {
        (-1, errno) => Some(Err(Errno::from_number(errno)?)),
        (result, 0) => Some(Ok(result)),
        _ => None,
    }
}

fn hex_number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
