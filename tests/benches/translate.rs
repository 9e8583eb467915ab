//! The cost of translation, without and with the copy that it is for.
//!
//! `translate/*` is one call of the translating half for one 4-byte read, over 1,024 pages in a
//! shuffled order: `cached` hits the IOTLB each time, `walked` has all caches off and reads the
//! root entry, the context entry and four levels of tables each time. `guarded` holds the guard that
//! invalidations wait for on machines with several threads; `sanitized` compares each hit with memory,
//! and `cached` is the same code with that switched off.
//! `dma/*` is a whole DMA through a port, beside the same DMA without an IOMMU.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use devices::addr::{Iova, SourceId};
use devices::events::Time;
use devices::fabric::guard::Slot;
use devices::fabric::{Access, Attrs, Direct, DmaPort, Effects, Initiator, Kind, Request, Transaction};
use devices::iommu::cache::Policy;
use devices::vtd::Config;
use tests::domain::{Domain, IOVA, PAGES, TARGET};

fn config(cache: Policy) -> Config {
    Config { cache, ..Config::preset("vtd-legacy").expect("the preset exists") }
}

/// A transaction for four bytes of one of the mapped pages.
fn transaction(page: u64) -> Transaction {
    Transaction {
        initiator: Initiator::Pci { segment: 0, source: SourceId::new(0, 3, 0) },
        pasid: None,
        address: Iova(IOVA + page * 0x1000 + 0x40),
        len: 4,
        access: Access::Read,
        attrs: Attrs::default(),
        kind: Kind::Untranslated,
    }
}

/// All pages once, in an order that neither prefetchers nor sets favour.
fn shuffled() -> Vec<u64> {
    (0..PAGES).map(|n| n * 397 % PAGES).collect()
}

fn translate(c: &mut Criterion) {
    let mut group = c.benchmark_group("translate");
    let plain = |policy| config(policy);
    let rows = [
        ("cached", plain(Policy::Retain)),
        ("cached, guarded", Config { concurrent: true, ..plain(Policy::Retain) }),
        ("cached, sanitized", Config { sanitize: true, ..plain(Policy::Retain) }),
        ("walked", plain(Policy::Off)),
    ];
    for (name, config) in rows {
        let domain = Domain::new(config).expect("memory for the benchmark");
        let translator = domain.translator();
        let slot = translator.guard_slot();
        let pages = shuffled();
        let mut fx = Effects::new(Time(0), false);
        let mut next = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |b| {
            b.iter(|| {
                next = (next + 1) % pages.len();
                let transaction = transaction(pages[next]);
                let _guard = slot.as_ref().map(Slot::enter);
                translator.translate(black_box(&transaction), &mut fx)
            });
        });
        assert!(fx.take().is_empty(), "no translation of the benchmark may fault");
    }
    group.finish();
}

fn dma(c: &mut Criterion) {
    let domain = Domain::new(config(Policy::Retain)).expect("memory for the benchmark");
    let mut direct = DmaPort::new(SourceId::new(0, 4, 0), domain.mem.clone(), Arc::new(Direct));
    direct.set_enabled(true);
    let pages = shuffled();
    let mut fx = Effects::new(Time(0), false);
    for len in [64usize, 4096] {
        let mut group = c.benchmark_group(format!("dma/{len}"));
        group.throughput(Throughput::Bytes(len as u64));
        let mut data = vec![0; len];
        for (name, port, base) in [("without IOMMU", &direct, TARGET), ("translated", &domain.port, IOVA)] {
            let mut next = 0;
            group.bench_function(name, |b| {
                b.iter(|| {
                    next = (next + 1) % pages.len();
                    port.read(Request::at(base + pages[next] * 0x1000), black_box(&mut data), &mut fx)
                });
            });
        }
        group.finish();
    }
    assert!(fx.take().is_empty(), "no DMA of the benchmark may fault");
}

criterion_group!(benches, translate, dma);
criterion_main!(benches);
