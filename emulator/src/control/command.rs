//! The commands.

use std::path::Path;
use std::str::SplitAsciiWhitespace;

use devices::addr::{Iova, PAGE_SIZE, Pasid, SourceId, StreamId};
use devices::fabric::{Access, Attrs, DmaResult, Initiator, Kind, Outcome, Request, Transaction};

use super::{MAX_DMA, Session, Subject};
use crate::config::parse_number;
use crate::machine::Machine;
use crate::snapshot;

const HELP: &str = "\
explain SOURCE ADDRESS [read|write|atomic] [translated] [privileged] [instruction] [len=N] [pasid=N] [data=N] [json]
explain stream=N ADDRESS ...
dma DEVICE read ADDRESS LEN
dma DEVICE write ADDRESS LEN [BYTE]
save FILE
trace on|off
quit
ok";

/// Runs the command of a line; the answer ends with a line `ok…` or `error: …`.
pub(super) fn run(line: &str, subject: &mut dyn Subject, session: &mut Session) -> String {
    let mut words = Words(line.split_ascii_whitespace());
    let answer = match words.0.next() {
        Some("explain") => explain(&mut words, subject.machine()),
        Some("dma") => dma(&mut words, subject.machine()),
        // A file name may contain spaces.
        Some("save") => save(line.trim_start().strip_prefix("save").unwrap_or_default().trim(), subject),
        Some("trace") => trace(&mut words, session),
        Some("help") => Ok(HELP.to_owned()),
        Some("quit") => {
            session.quit = true;
            Ok("ok".to_owned())
        }
        Some(other) => Err(format!("unknown command '{other}'; try help")),
        None => Err("no command; try help".to_owned()),
    };
    answer.unwrap_or_else(|why| format!("error: {why}"))
}

type Answer = Result<String, String>;

struct Words<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    fn word(&mut self, name: &str) -> Result<&'a str, String> {
        self.0.next().ok_or_else(|| format!("{name} is missing"))
    }

    fn number(&mut self, name: &str) -> Result<u64, String> {
        number(name, self.word(name)?)
    }

    fn end(&mut self) -> Result<(), String> {
        match self.0.next() {
            None => Ok(()),
            Some(word) => Err(format!("'{word}' is too much; try help")),
        }
    }
}

fn number(name: &str, word: &str) -> Result<u64, String> {
    parse_number(word).ok_or_else(|| format!("{name} '{word}' is not a number such as 0x1000"))
}

fn explain(words: &mut Words<'_>, machine: &Machine) -> Answer {
    let initiator = initiator(words.word("SOURCE")?)?;
    let address = Iova(words.number("ADDRESS")?);
    let (mut access, mut kind, mut json) = (Access::Read, Kind::Untranslated, false);
    let (mut len, mut pasid, mut data) = (4, None, 0);
    let mut attrs = Attrs::default();
    for word in words.0.by_ref() {
        match word.split_once('=') {
            None if word == "read" => access = Access::Read,
            None if word == "write" => access = Access::Write,
            None if word == "atomic" => access = Access::Atomic,
            None if word == "translated" => kind = Kind::Translated,
            None if word == "privileged" => attrs.privileged = true,
            None if word == "instruction" => attrs.execute = true,
            None if word == "json" => json = true,
            Some(("len", value)) => len = number("len", value)?,
            Some(("pasid", value)) => {
                let value = number("pasid", value)?;
                let valid = u32::try_from(value).ok().and_then(Pasid::new);
                pasid = Some(valid.ok_or_else(|| format!("pasid {value:#x} is above 0xfffff"))?);
            }
            Some(("data", value)) => {
                let value = number("data", value)?;
                data = u32::try_from(value).map_err(|_| format!("data {value:#x} has more than 32 bits"))?;
            }
            _ => return Err(format!("unknown word '{word}'; try help")),
        }
    }
    let left = PAGE_SIZE - address.page_offset();
    if len > left {
        return Err(format!("len {len} crosses the end of a page, {left} bytes on; ask for each page"));
    }
    let request = Transaction { initiator, pasid, address, len, access, attrs, kind };
    let explained = machine.explain(&request, data).map_err(|e| e.to_string())?;
    if json {
        let json = serde_json::to_string(&explained).map_err(|e| e.to_string())?;
        return Ok(format!("{json}\nok"));
    }
    Ok(format!("{explained}\nok"))
}

/// A PCI function, or `stream=N`.
fn initiator(word: &str) -> Result<Initiator, String> {
    let Some(stream) = word.strip_prefix("stream=") else {
        let source: SourceId = word.parse().map_err(|e| format!("{e}"))?;
        return Ok(Initiator::Pci { segment: 0, source });
    };
    let number = number("stream", stream)?;
    let stream = u32::try_from(number).map_err(|_| format!("stream {number:#x} has more than 32 bits"))?;
    Ok(Initiator::Platform { stream: StreamId(stream), can_stall: true })
}

fn dma(words: &mut Words<'_>, machine: &mut Machine) -> Answer {
    let device = words.word("DEVICE")?;
    let direction = words.word("read or write")?;
    let request = Request::at(words.number("ADDRESS")?);
    let len = words.number("LEN")?;
    let len = usize::try_from(len)
        .ok()
        .filter(|len| *len <= MAX_DMA)
        .ok_or_else(|| format!("LEN {len} is above {MAX_DMA} bytes"))?;
    match direction {
        "read" => {
            words.end()?;
            let mut data = vec![0; len];
            let result = machine.dma_read(device, request, &mut data).map_err(|e| e.to_string())?;
            let hex = data.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            Ok(if result.outcome == Outcome::Done { format!("ok done {hex}") } else { ended(result) })
        }
        "write" => {
            let byte = match words.0.next() {
                None => 0,
                Some(word) => u8::try_from(number("BYTE", word)?)
                    .map_err(|_| format!("BYTE {word} has more than 8 bits"))?,
            };
            words.end()?;
            let data = vec![byte; len];
            let result = machine.dma_write(device, request, &data).map_err(|e| e.to_string())?;
            Ok(ended(result))
        }
        other => Err(format!("'{other}' is neither read nor write")),
    }
}

fn ended(DmaResult { done, outcome }: DmaResult) -> String {
    match outcome {
        Outcome::Done => "ok done".to_owned(),
        _ => format!("ok {outcome} after {done} bytes"),
    }
}

fn save(file: &str, subject: &dyn Subject) -> Answer {
    if file.is_empty() {
        return Err("FILE is missing".to_owned());
    }
    snapshot::write(Path::new(file), &subject.save()).map_err(|e| format!("cannot write {file}: {e}"))?;
    Ok("ok".to_owned())
}

fn trace(words: &mut Words<'_>, session: &Session) -> Answer {
    let on = match words.word("on or off")? {
        "on" => true,
        "off" => false,
        other => return Err(format!("'{other}' is neither on nor off")),
    };
    words.end()?;
    let trace = session.trace.as_ref();
    trace.ok_or_else(|| "there is no trace; start the emulator with --trace".to_owned())?.set(on);
    Ok("ok".to_owned())
}
