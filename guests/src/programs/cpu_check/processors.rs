//! Several CPUs: PSCI, and what they share.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use super::bench::Bench;
use crate::bare::aarch64::cpu::read_register;
use crate::bare::aarch64::firmware::{
    AFFINITY_INFO, ALREADY_ON, CPU_ON, INVALID_PARAMETERS, NOT_SUPPORTED, PSCI_FEATURES, PSCI_VERSION,
    SMCCC_VERSION, SUCCESS, call,
};
use crate::bare::aarch64::processors::{self, Start};
use crate::error::Error;
use crate::hw::poll;

/// CPUs besides the first that take part.
const OTHERS: usize = 7;
/// Bytes of a CPU's stack.
const STACK: usize = 0x2000;
/// Additions that each CPU makes.
const ROUNDS: u64 = 1000;
/// What AFFINITY_INFO answers of a CPU that is off.
const OFF: i64 = 1;

#[repr(C, align(16))]
struct Stacks([[u8; STACK]; OTHERS]);

static mut STACKS: Stacks = Stacks([[0; STACK]; OTHERS]);
static mut STARTS: [Start; OTHERS] = [const { Start::new(0, count, 0) }; OTHERS];

/// For a CPU that must not start.
static NOBODY: Start = Start::new(0, count, 0);

/// What all CPUs add to.
static SUM: AtomicU64 = AtomicU64::new(0);
/// By CPU: its affinity and a flag, once it ran.
static SEEN: [AtomicU64; OTHERS] = [const { AtomicU64::new(0) }; OTHERS];
const RAN: u64 = 1 << 63;
/// They wait for this.
static GO: AtomicU64 = AtomicU64::new(0);

/// Affinity fields of MPIDR_EL1.
fn affinity() -> u64 {
    read_register!("mpidr_el1") & 0xff_00ff_ffff
}

extern "C" fn count(index: u64) {
    SEEN[index as usize % OTHERS].store(affinity() | RAN, Ordering::Release);
    while GO.load(Ordering::Acquire) == 0 {
        core::hint::spin_loop();
    }
    for _ in 0..ROUNDS {
        SUM.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    bench.check(call(SMCCC_VERSION, [0; 3]) >= 0x1_0001, format_args!("SMCCC 1.1 or later"));
    bench.check(call(PSCI_VERSION, [0; 3]) >= 0x1_0000, format_args!("PSCI 1.0 or later"));
    let has_cpu_on = call(PSCI_FEATURES, [u64::from(CPU_ON), 0, 0]);
    bench.check(has_cpu_on == SUCCESS, format_args!("PSCI_FEATURES: CPU_ON is there"));
    let has_other = call(PSCI_FEATURES, [0x8400_00ff, 0, 0]);
    bench.check(has_other == NOT_SUPPORTED, format_args!("PSCI_FEATURES: what is not is NOT_SUPPORTED"));
    let nobody = call(CPU_ON, [0xff_00ff_ffff, 0, 0]);
    bench.check(nobody == INVALID_PARAMETERS, format_args!("CPU_ON of a CPU that does not exist is refused"));
    let me = processors::start(affinity(), &NOBODY);
    bench.check(me == ALREADY_ON, format_args!("CPU_ON of this CPU: ALREADY_ON"));

    let own = affinity();
    let mut others = 0;
    for (index, target) in bench.machine.processors().filter(|target| *target != own).take(OTHERS).enumerate()
    {
        start(bench, index, target);
        others += 1;
    }
    if others == 0 {
        bench.skip("CPU_ON of another CPU", "the machine has one");
        return Ok(());
    }
    bench.note(format_args!("{others} more CPUs"));
    GO.store(1, Ordering::Release);
    for _ in 0..ROUNDS {
        SUM.fetch_add(1, Ordering::Relaxed);
    }
    let expected = ROUNDS * (others + 1);
    let summed = poll(bench.machine, |_| (SUM.load(Ordering::Relaxed) == expected).then_some(()));
    bench.check(summed.is_some(), format_args!("no addition of any CPU is lost"));
    for target in bench.machine.processors().filter(|target| *target != own).take(OTHERS) {
        let is_off = |_: &mut _| (call(AFFINITY_INFO, [target, 0, 0]) == OFF).then_some(());
        let off = poll(bench.machine, is_off);
        bench.check(off.is_some(), format_args!("AFFINITY_INFO: CPU {target:#x} is off after CPU_OFF"));
    }
    Ok(())
}

fn start(bench: &mut Bench<'_>, index: usize, target: u64) {
    let off = call(AFFINITY_INFO, [target, 0, 0]);
    bench.check(off == OFF, format_args!("AFFINITY_INFO: CPU {target:#x} is off"));
    let stacks = &raw mut STACKS;
    // SAFETY: the index is below OTHERS; each CPU gets its own part, and nobody else looks at it.
    let top = unsafe { (&raw mut (*stacks).0[index]).add(1) } as u64;
    let place = &raw mut STARTS;
    // SAFETY: as above; written before the CPU that reads it is started, and never again.
    let record: &'static Start = unsafe {
        let place = &raw mut (*place)[index];
        ptr::write(place, Start::new(top, count, index as u64));
        &*place
    };
    let answer = processors::start(target, record);
    bench.check(answer == SUCCESS, format_args!("CPU_ON starts it"));
    let seen = |_: &mut _| {
        let seen = SEEN[index].load(Ordering::Acquire);
        (seen & RAN != 0).then_some(seen & !RAN)
    };
    let seen = poll(bench.machine, seen);
    bench.equal(seen.unwrap_or(0), target, format_args!("it runs, and has that affinity"));
    let again = processors::start(target, record);
    bench.check(again == ALREADY_ON, format_args!("a second CPU_ON: ALREADY_ON"));
}

const _: () = assert!(STACK.is_multiple_of(16), "a stack's top is aligned");
