//! What the kernel must do, as checks in the order in which a monitor of virtual machines would ask for it.

mod cdev;
mod dirty;
mod group;
mod nested;
mod opened;

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;

use guests::exerciser::{Completion, Dma, Op, Status};
use guests::hw::{Hw, poll};
use guests::smmuv3::Record;
use guests::smmuv3::regs;
use guests::tap::Tap;

use crate::kmsg::{self, Kmsg};
use crate::process::Process;
use crate::sys::Mapping;
use crate::sysfs::{self, Function};

/// Bytes of a page, here and in every table.
pub const PAGE: u64 = 4096;

/// What the ID registers of the unit hold, read by this program and not by the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Identification {
    idr: [u32; 6],
    iidr: u32,
    aidr: u32,
}

impl Identification {
    fn idr0(&self) -> regs::Idr0 {
        regs::Idr0(self.idr[0])
    }

    fn idr3(&self) -> regs::Idr3 {
        regs::Idr3(self.idr[3])
    }

    /// Reads them through `/dev/mem`.
    fn read() -> io::Result<Self> {
        let memory = OpenOptions::new().read(true).write(true).open("/dev/mem")?;
        let window = Mapping::file(memory.as_fd(), sysfs::smmu()?, PAGE as usize)?;
        let register = |offset| window.read::<u32>(window.address() + offset);
        let idr = [0x00, 0x04, 0x08, 0x0c, 0x10, 0x14].map(register);
        Ok(Self { idr, iidr: register(0x18), aidr: register(0x1c) })
    }
}

/// Everything that checks need.
pub struct Bench {
    /// The process.
    pub hw: Process,
    tap: Tap,
    log: Kmsg,
    unit: Identification,
    functions: Vec<Function>,
}

/// Runs all checks; returns whether all of them held.
pub fn run(mut hw: Process) -> bool {
    let tap = Tap::start(&mut hw);
    let mut bench = match prepare() {
        Ok((log, unit, functions)) => Bench { hw, tap, log, unit, functions },
        Err(error) => {
            tap.bail_out(&mut hw, format_args!("{error}"));
            return false;
        }
    };
    for (name, section) in [
        ("the driver of the SMMU", driver as fn(&mut Bench) -> io::Result<()>),
        ("VFIO character devices and iommufd", cdev::run),
        ("dirty tracking", dirty::run),
        ("nested translation", nested::run),
        ("VFIO groups and type 1", group::run),
    ] {
        bench.note(format_args!("{name}"));
        if let Err(error) = section(&mut bench) {
            bench.check(false, format_args!("{name} goes on: {error}"));
        }
        bench.hw.take_interrupts_from(None);
        bench.hw.drop_windows();
    }
    let Bench { mut hw, tap, .. } = bench;
    tap.finish(&mut hw)
}

/// Finds the devices and has VFIO drive them.
fn prepare() -> io::Result<(Kmsg, Identification, Vec<Function>)> {
    let functions = sysfs::exercisers()?;
    if functions.is_empty() {
        return Err(io::Error::other("no exerciser: give the machine one with --device exerciser"));
    }
    let doing = |what: &str, error: io::Error| io::Error::other(format!("{what}: {error}"));
    for function in &functions {
        function.give_to_vfio().map_err(|error| doing("giving a function to vfio-pci", error))?;
    }
    let log = Kmsg::open().map_err(|error| doing("opening /dev/kmsg", error))?;
    let unit = Identification::read().map_err(|error| doing("reading the SMMU through /dev/mem", error))?;
    Ok((log, unit, functions))
}

/// What the driver's own tests said, which run at boot where the kernel has them.
fn driver(bench: &mut Bench) -> io::Result<()> {
    match kmsg::find("# arm-smmu-v3-kunit-test: ")? {
        Some(totals) => {
            let passed = totals.starts_with("pass:") && totals.contains(" fail:0 skip:0 ");
            bench.check(passed, format_args!("the driver's own tests: {totals}"));
        }
        None => bench.skip("the driver's own tests", "this kernel was built without them"),
    }
    Ok(())
}

impl Bench {
    /// A function that is alone in its group. Others of the group are attached along with one, and a virtual
    /// SMMU must know them all.
    fn alone(&self) -> Option<Function> {
        let mates = |group| self.functions.iter().filter(|function| function.group == group).count();
        self.functions.iter().find(|function| mates(function.group) == 1).cloned()
    }

    fn check(&mut self, held: bool, what: fmt::Arguments<'_>) -> bool {
        self.tap.check(&mut self.hw, held, what)
    }

    fn note(&mut self, text: fmt::Arguments<'_>) {
        self.tap.note(&mut self.hw, text);
    }

    fn skip(&mut self, what: &str, why: &str) {
        self.tap.skip(&mut self.hw, what, why);
    }

    /// Checks what kernels are known to get wrong: one that does is not asked for it.
    fn check_unless_known(&mut self, held: bool, what: &str, why: &str) {
        if held {
            self.check(true, format_args!("{what}"));
        } else {
            self.skip(what, why);
        }
    }

    /// Where the kernel translates by stage 2 alone, the IPA of a fault, which is the address itself.
    fn ipa_of_plain(&self, address: u64) -> Option<u64> {
        (self.unit.idr0().s1p() == 0).then_some(address)
    }

    /// Checks that two values are the same.
    fn equal<T: PartialEq + fmt::Debug>(&mut self, got: &T, expected: &T, what: &str) -> bool {
        let held = self.check(got == expected, format_args!("{what}"));
        if !held {
            self.note(format_args!("  is {got:x?}, must be {expected:x?}"));
        }
        held
    }

    /// Checks that the kernel refuses, and with which error.
    fn refused<T>(&mut self, got: io::Result<T>, errno: i32, what: &str) -> bool {
        let got = got.map(drop).map_err(|error| error.raw_os_error());
        self.equal(&got, &Err(Some(errno)), what)
    }

    /// Checks that the device did a DMA, all of it.
    fn done(&mut self, got: Result<Completion, guests::error::Error>, bytes: u32, what: &str) -> bool {
        self.equal(&got.map(|got| (got.status, got.bytes)), &Ok((Status::Done, bytes)), what)
    }

    /// Checks that the device was told that its DMA is not supported.
    fn aborted(&mut self, got: Result<Completion, guests::error::Error>, what: &str) -> bool {
        self.equal(&got.map(|got| got.status), &Ok(Status::Ur), what)
    }

    /// Checks which event the kernel prints next.
    fn printed(&mut self, expected: &Expected) {
        let record = poll(&mut self.hw, |_| self.log.event());
        self.expect_record(record, expected, "the kernel prints");
    }

    /// Checks that the kernel has printed no event.
    fn nothing_printed(&mut self, what: &str) {
        self.hw.idle();
        let printed = self.log.event();
        self.equal(&printed, &None, what);
    }

    fn expect_record(&mut self, record: Option<Record>, expected: &Expected, who: &str) {
        let held = record.is_some_and(|record| expected.matches(record));
        self.check(held, format_args!("{who} {}", expected.what));
        if !held {
            self.note(format_args!("  got {record:?}, expected {expected:x?}"));
        }
    }
}

/// An event, as far as the architecture says what is in its record [SMMUv3 7.3].
#[derive(Clone, Copy, Debug)]
struct Expected {
    what: &'static str,
    kind: u8,
    stream: u32,
    address: u64,
    write: bool,
    /// Where stage 2 is what faults: the IPA.
    ipa: Option<u64>,
}

impl Expected {
    fn matches(&self, Record([low, about, address, ipa]): Record) -> bool {
        let Self { what: _, kind, stream, address: expected, write, ipa: expected_ipa } = *self;
        // Neither stalled, privileged nor an instruction fetch; the class is IN, the address itself.
        let expected_about = u64::from(!write) << 35 | u64::from(expected_ipa.is_some()) << 39 | 0b10 << 40;
        let about_mask = 0b11 << 40 | 1 << 39 | 0b111 << 33 | 1 << 31;
        low == u64::from(kind) | u64::from(stream) << 32
            && about & about_mask == expected_about
            && address == expected
            && expected_ipa.is_none_or(|expected| ipa == expected & !(PAGE - 1))
    }
}

const F_TRANSLATION: u8 = 0x10;
const F_PERMISSION: u8 = 0x13;

/// Memory to the device's buffer.
const fn read(address: u64, len: u32) -> Dma {
    Dma::new(Op::Read { len, buffer: 0 }, address)
}

/// The device's buffer to memory.
const fn write(address: u64, len: u32) -> Dma {
    Dma::new(Op::Write { len, buffer: 0 }, address)
}

/// The dwords of a page, different for each `seed`.
fn pattern(seed: u32) -> Vec<u32> {
    (0..PAGE as u32 / 4).map(|at| (at ^ seed).wrapping_mul(0x9e37_79b9) ^ seed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_judged_by_every_field() {
        let read = Expected { what: "", kind: 0x10, stream: 8, address: 0x1230, write: false, ipa: None };
        let record = [0x8_0000_0010, 0x208_0000_beef, 0x1230, 0];
        assert!(read.matches(Record(record)));
        for (word, bit) in
            [(0, 0), (0, 12), (0, 32), (1, 31), (1, 33), (1, 34), (1, 35), (1, 39), (1, 40), (2, 0)]
        {
            let mut other = record;
            other[word] ^= 1 << bit;
            assert!(!read.matches(Record(other)), "bit {bit} of qword {word}");
        }
        let stage2 = Expected { ipa: Some(0x8000_0123), write: true, ..read };
        assert!(stage2.matches(Record([0x8_0000_0010, 0x280_0000_0000, 0x1230, 0x8000_0000])));
        assert!(!stage2.matches(Record([0x8_0000_0010, 0x280_0000_0000, 0x1230, 0x8000_1000])));
    }

    #[test]
    fn patterns_differ() {
        assert_eq!(pattern(1).len(), 1024);
        assert!(pattern(1).iter().zip(pattern(2)).all(|(a, b)| *a != b));
    }
}
