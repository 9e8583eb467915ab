//! Speed of the AArch64 interpreter: elements are guest instructions.

use cpu::a64::{Cluster, Config, Features};
use cpu::interp::{At, Bus, BusError, CallOutcome, Conduit, Lines, Ram};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const BASE: u64 = 0x4000_0000;
const SIZE: usize = 16 << 20;
const SCRATCH: u64 = BASE + (1 << 20);
const INSTRUCTIONS: u64 = 1_000_000;

/// A board without devices.
struct Nothing;

impl Bus for Nothing {
    fn read(&mut self, _: At, _: u64, _: u8) -> Result<u64, BusError> {
        Err(BusError)
    }
    fn write(&mut self, _: At, _: u64, _: u8, _: u64) -> Result<(), BusError> {
        Err(BusError)
    }
    fn lines(&mut self, _: At) -> Lines {
        Lines::default()
    }
    fn firmware_call(&mut self, _: At, _: Conduit, _: &mut [u64; 18]) -> CallOutcome {
        CallOutcome::Return
    }
}

fn cluster(image: &[u8]) -> Cluster {
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(BASE), SIZE)]).expect("host memory");
    memory.write_slice(image, GuestAddress(BASE)).expect("the image fits");
    let config = Config {
        cpus: 1,
        features: Features::MAX,
        conduit: None,
        counter_frequency: 62_500_000,
        time_per_tick: 16,
        quantum: 10_000,
    };
    let mut cluster = Cluster::new(Ram::new(&memory).expect("whole pages"), &config);
    cluster.start(0, BASE, 0);
    let mut registers = cluster.registers(0).expect("there is a CPU");
    registers.x[0] = SCRATCH;
    registers.x[1] = u64::MAX;
    registers.sp = BASE + SIZE as u64;
    cluster.set_registers(0, &registers);
    cluster
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn speed(c: &mut Criterion) {
    let programs = [
        ("mix", include_bytes!("../guests/mix.bin").to_vec()),
        (
            // Copies 4 MiB, again and again; the two do not lie where the direct-mapped TLB confuses them.
            "copy",
            words(&[
                0xaa0003e2, // mov x2, x0
                0x91504003, // add x3, x0, #0x410, lsl #12
                0xd2a00086, // mov x6, #0x40000
                0xa8c11444, // ldp x4, x5, [x2], #16
                0xa8811464, // stp x4, x5, [x3], #16
                0xf10004c6, // subs x6, x6, #1
                0x54ffffa1, // b.ne .-12
                0x17fffff9, // b .-28
            ]),
        ),
        (
            // A load from each of 1024 pages in turn: every one misses the TLB.
            "tlb_miss",
            words(&[
                0xaa0003e2, // mov x2, x0
                0xd2808003, // mov x3, #1024
                0xf9400044, // ldr x4, [x2]
                0x91400442, // add x2, x2, #1, lsl #12
                0xf1000463, // subs x3, x3, #1
                0x54ffffa1, // b.ne -12
                0x17fffffa, // b -24
            ]),
        ),
        (
            "exception",
            // VBAR = BASE + 0x800, then SVC in a loop; the vector at 0x200 returns.
            {
                let mut image = words(&[
                    0xd2a80000, // mov x0, #0x40000000
                    0x91200000, // add x0, x0, #0x800
                    0xd518c000, // msr vbar_el1, x0
                    0xd4000001, // svc #0
                    0x17ffffff, // b -4
                ]);
                image.resize(0xa00, 0);
                image.extend(words(&[0xd69f03e0])); // eret
                image
            },
        ),
    ];
    let mut group = c.benchmark_group("a64");
    group.throughput(Throughput::Elements(INSTRUCTIONS));
    for (name, image) in programs {
        let mut cluster = cluster(&image);
        group.bench_function(name, |b| {
            b.iter(|| {
                let until = cluster.time() + INSTRUCTIONS;
                cluster.run(&mut Nothing, until)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, speed);
criterion_main!(benches);
