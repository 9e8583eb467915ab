//! Executions of the fuzz targets per second, without a fuzzer around them.
//!
//! Short inputs are one to eight records long, and drawn once from a fixed seed.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tests::fuzz::Target;

const INPUTS: usize = 1024;

/// Inputs of 13 to 97 bytes, in a fixed order.
fn inputs() -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // The middle bits are the better ones.
        (state >> 24) as u8
    };
    (0..INPUTS).map(|n| (0..1 + 12 * (n % 8 + 1)).map(|_| next()).collect()).collect()
}

fn executions(c: &mut Criterion) {
    let inputs = inputs();
    let mut group = c.benchmark_group("fuzz");
    group.throughput(Throughput::Elements(1));
    for name in ["decode", "vtd", "smmuv3", "smmuv3_decode", "gic", "pci", "iommufd"] {
        let target = Target::named(name).expect("the target exists");
        let mut at = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                at = (at + 1) % INPUTS;
                (target.run)(black_box(&inputs[at]));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, executions);
criterion_main!(benches);
