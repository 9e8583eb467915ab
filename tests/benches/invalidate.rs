//! The cost of invalidation.
//!
//! `invalidate/page` is one page-selective IOTLB descriptor and a wait with status, submitted through
//! IQT_REG, with the IOTLB empty and with 65,536 translations cached: dropping a page must not depend
//! on what else is there. `invalidate/descriptors` is the queue alone: 255 wait descriptors with
//! status.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use devices::addr::Pa;
use devices::events::Time;
use devices::fabric::{Effects, Request};
use devices::vtd::Config;
use tests::domain::{Domain, IOVA};

const QUEUE: u64 = 0x8000;
const STATUS: u64 = 0x9000;
const ENTRIES: u32 = 65_536;

/// A domain with its queue on, whose 2-MiB pages map 256 MiB from IOVA on to the first ones of RAM.
fn domain() -> Domain {
    let config =
        Config { iotlb_entries: ENTRIES, ..Config::preset("vtd-legacy").expect("the preset exists") };
    let mut domain = Domain::new(config).expect("memory for the benchmark");
    let set =
        |pa: u64, word: u64| domain.mem.write(Pa(pa), &word.to_le_bytes()).expect("the table is in RAM");
    // The last directory of the domain: 128 entries of 2 MiB.
    (0..128).for_each(|n| set(Domain::DIRECTORY + n * 8, (n % 8) << 21 | 0x83));
    let mut fx = Effects::new(Time(0), false);
    domain.unit.write(0x90, &QUEUE.to_le_bytes(), &mut fx);
    domain.unit.write(0x18, &0x8400_0000u32.to_le_bytes(), &mut fx);
    domain
}

fn page(c: &mut Criterion) {
    let mut group = c.benchmark_group("invalidate/page");
    for (name, cached) in [("empty", 0), ("65,536 cached", u64::from(ENTRIES))] {
        let mut domain = domain();
        let mut fx = Effects::new(Time(0), false);
        for page in 0..cached {
            domain.port.read(Request::at(IOVA + page * 0x1000), &mut [0; 4], &mut fx);
        }
        assert!(fx.take().is_empty(), "no DMA of the benchmark may fault");
        let mut tail = 0u64;
        // A filter on the command line leaves a benchmark out.
        let mut ran = false;
        group.bench_function(name, |b| {
            ran = true;
            b.iter(|| {
                let words = [0x7_0032, IOVA + (1 << 40), 0x1_0000_0025, STATUS];
                for (n, word) in words.into_iter().enumerate() {
                    let at = Pa(QUEUE + tail * 16 + n as u64 * 8);
                    domain.mem.write(at, &word.to_le_bytes()).expect("the queue is in RAM");
                }
                tail = (tail + 2) % 256;
                domain.unit.write(0x88, &(tail << 4).to_le_bytes(), &mut fx);
            });
        });
        let mut status = [0; 4];
        domain.mem.read(Pa(STATUS), &mut status).expect("the status is in RAM");
        assert_eq!(status, [u8::from(ran), 0, 0, 0], "the unit worked");
    }
    group.finish();
}

fn descriptors(c: &mut Criterion) {
    let mut domain = domain();
    let mut fx = Effects::new(Time(0), false);
    for n in 0..256 {
        for (word, at) in [(0x1_0000_0025u64, 0), (STATUS, 8)] {
            domain.mem.write(Pa(QUEUE + n * 16 + at), &word.to_le_bytes()).expect("the queue is in RAM");
        }
    }
    let mut group = c.benchmark_group("invalidate/descriptors");
    group.throughput(Throughput::Elements(255));
    let mut tail = 0u64;
    group.bench_function("255 waits", |b| {
        b.iter(|| {
            tail = (tail + 255) % 256;
            domain.unit.write(0x88, &(tail << 4).to_le_bytes(), &mut fx);
        });
    });
    group.finish();
}

criterion_group!(benches, page, descriptors);
criterion_main!(benches);
