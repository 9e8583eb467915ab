//! Two bus masters on two threads, with and without an IOMMU.
//!
//! Each iteration is 4,096 reads of 64 bytes by each thread, over 1,024 pages in a shuffled order; the
//! unit is built for several threads, so each read holds a guard.

use std::hint::black_box;
use std::sync::{Arc, Barrier};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use devices::addr::SourceId;
use devices::events::Time;
use devices::fabric::{Direct, DmaPort, Effects, Request, Translate};
use devices::vtd::Config;
use tests::domain::{Domain, IOVA, PAGES, TARGET};

const READS: u64 = 4096;

fn port(domain: &Domain, iommu: &Arc<dyn Translate>) -> DmaPort {
    let mut port = DmaPort::new(SourceId::new(0, 3, 0), domain.mem.clone(), Arc::clone(iommu));
    port.set_enabled(true);
    port
}

fn reads(port: &DmaPort, base: u64) {
    let mut fx = Effects::new(Time(0), false);
    let mut data = [0; 64];
    for n in 0..READS {
        let page = n * 397 % PAGES;
        port.read(Request::at(base + page * 0x1000), black_box(&mut data), &mut fx);
    }
    assert!(fx.take().is_empty(), "no DMA of the benchmark may fault");
}

fn threads(c: &mut Criterion) {
    let config = Config { concurrent: true, ..Config::preset("vtd-legacy").expect("the preset exists") };
    let domain = Domain::new(config).expect("memory for the benchmark");
    let cases: [(&str, Arc<dyn Translate>, u64); 2] =
        [("without IOMMU", Arc::new(Direct), TARGET), ("translated", domain.translator(), IOVA)];
    for (name, iommu, base) in cases {
        let mut group = c.benchmark_group(format!("threads/{name}"));
        group.throughput(Throughput::Elements(READS));
        let one = port(&domain, &iommu);
        group.bench_function("one", |b| b.iter(|| reads(&one, base)));
        group.bench_function("two", |b| {
            b.iter_custom(|iterations| {
                let barrier = Barrier::new(2);
                let run = |port: DmaPort| {
                    barrier.wait();
                    let start = std::time::Instant::now();
                    (0..iterations).for_each(|_| reads(&port, base));
                    start.elapsed()
                };
                std::thread::scope(|scope| {
                    let ports = [port(&domain, &iommu), port(&domain, &iommu)];
                    let threads = ports.map(|port| scope.spawn(|| run(port)));
                    // The slower of the two.
                    threads.map(|thread| thread.join().expect("no read panics")).into_iter().max()
                })
                .unwrap_or_default()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, threads);
criterion_main!(benches);
