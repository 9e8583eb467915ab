//! The cost of translation by an SMMUv3, and of a whole DMA.
//!
//! `smmuv3/*` is one call of the translating half for one 4-byte read, over 1,024 pages in a shuffled
//! order, 4-KiB granule and 48 bits everywhere. `cached` hits each time. The others have all caches off and
//! read everything each time: `stage 1` an STE, a CD and four descriptors; `stage 2` an STE and four
//! descriptors; `nested` an STE, a CD through stage 2 (four descriptors), four stage-1 descriptors, each
//! through stage 2 (16), and the result through stage 2 (four): 28 descriptors. `guarded` holds the guard
//! that invalidations wait for.
//!
//! `smmuv3 walk/*` is of that what the tables cost, 4, 4 and 24 descriptors. `smmuv3 decode/*` is what the
//! nested stream's STE and CD cost once they are read, the first time: a unit remembers what they mean.
//!
//! `peer/cached` is the published crate `smmu` for the same access pattern: a model without registers,
//! queues and tables in memory, whose mappings are entries of its own maps, with the cache that it has by
//! default. It gets one stage-1 stream with the same 1,024 pages.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use devices::addr::{Iova, Pa, SourceId};
use devices::events::Time;
use devices::fabric::guard::Slot;
use devices::fabric::{Access, Attrs, DmaPort, Effects, Initiator, Kind, Request, Transaction, Untranslated};
use devices::iommu::cache::Policy;
use devices::smmuv3::Config;
use devices::smmuv3::regs::Cr2;
use devices::smmuv3::tables::{cd, ste};
use devices::smmuv3::vmsa::{self, Attributes, Regime, Wanted};
use tests::stream::{CONTEXT, IOVA, PAGES, STE, Stages, Stream, TARGET};

fn config(cache: Policy) -> Config {
    Config { cache, ..Config::preset("smmuv3.2-nested").expect("the preset exists") }
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
    let mut group = c.benchmark_group("smmuv3");
    let rows = [
        ("cached, stage 1", config(Policy::Retain), Stages::One),
        ("cached, nested", config(Policy::Retain), Stages::Nested),
        ("cached, guarded", Config { concurrent: true, ..config(Policy::Retain) }, Stages::One),
        ("walked, stage 1", config(Policy::Off), Stages::One),
        ("walked, stage 2", config(Policy::Off), Stages::Two),
        ("walked, nested", config(Policy::Off), Stages::Nested),
    ];
    for (name, config, stages) in rows {
        let stream = Stream::new(config, stages).expect("memory for the benchmark");
        let translator = stream.translator();
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

/// What the STE of a stream says.
fn service(stream: &Stream, config: &Config) -> ste::Service {
    let words = stream.mem.load_words(Pa(STE)).expect("the STE lies in memory");
    match ste::decode(ste::Ste::from_raw(words), config, Cr2::ZERO) {
        Ok(ste::Stream::Serve(service)) => service,
        other => panic!("the STE is one that serves: {other:?}"),
    }
}

fn walk(c: &mut Criterion) {
    let config = config(Policy::Off);
    let wanted = Wanted { read: true, write: false, instruction: false, privileged: false };
    let pages = shuffled();
    let mut group = c.benchmark_group("smmuv3 walk");
    group.throughput(Throughput::Elements(1));
    for (name, stages) in [("stage 1", Stages::One), ("stage 2", Stages::Two), ("nested", Stages::Nested)] {
        let stream = Stream::new(config.clone(), stages).expect("memory for the benchmark");
        let service = service(&stream, &config);
        let words = stream.mem.load_words(Pa(CONTEXT)).expect("the CD lies in memory");
        let context = cd::decode(cd::Cd::from_raw(words), &config, &service).expect("the CD is legal");
        let regime = Regime {
            stage1: (stages != Stages::Two).then_some(&context.stage1),
            stage2: service.stage2.as_ref(),
            wide: false,
            incoming: Attributes::DEFAULT,
        };
        let first = vmsa::translate(&stream.mem, &regime, IOVA, wanted, &mut ());
        assert_eq!(first.map(|found| found.pa), Ok(Pa(TARGET + (PAGES - 1) * 0x1000)), "{name}");
        let mut next = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                next = (next + 1) % pages.len();
                let address = IOVA + pages[next] * 0x1000;
                vmsa::translate(&stream.mem, black_box(&regime), address, black_box(wanted), &mut ())
            });
        });
    }
    group.finish();
}

fn decode(c: &mut Criterion) {
    let config = config(Policy::Off);
    let stream = Stream::new(config.clone(), Stages::Nested).expect("memory for the benchmark");
    let [ste, cd] = [STE, CONTEXT].map(|at| stream.mem.load_words(Pa(at)).expect("tables lie in memory"));
    let service = service(&stream, &config);
    let mut group = c.benchmark_group("smmuv3 decode");
    group.throughput(Throughput::Elements(1));
    group.bench_function("STE", |b| {
        b.iter(|| ste::decode(ste::Ste::from_raw(black_box(ste)), black_box(&config), Cr2::ZERO));
    });
    group.bench_function("CD", |b| {
        b.iter(|| cd::decode(cd::Cd::from_raw(black_box(cd)), black_box(&config), black_box(&service)));
    });
    group.finish();
}

fn peer(c: &mut Criterion) {
    use smmu::SMMU;
    use smmu::types::{
        AccessType, IOVA as Address, PA, PASID, PagePermissions, SecurityState, StreamConfig, StreamID,
    };
    let unit = SMMU::new();
    let (stream, pasid) = (StreamID::new(0x18).expect("a stream"), PASID::new(0).expect("a substream"));
    let config = StreamConfig { translation_enabled: true, stage1_enabled: true, ..StreamConfig::default() };
    unit.configure_stream(stream, config).expect("a stage-1 stream");
    unit.create_pasid(stream, pasid).expect("its address space");
    let address = |page: u64| Address::new(IOVA + page * 0x1000 + 0x40).expect("an address");
    for page in 0..PAGES {
        let from = Address::new(IOVA + page * 0x1000).expect("an address");
        let to = PA::new(TARGET + (PAGES - 1 - page) * 0x1000).expect("an address");
        let (rights, state) = (PagePermissions::read_write(), SecurityState::NonSecure);
        unit.map_page(stream, pasid, from, to, rights, state).expect("a mapping");
    }
    let pages: Vec<_> = shuffled().into_iter().map(address).collect();
    let mut next = 0;
    let mut group = c.benchmark_group("peer");
    group.throughput(Throughput::Elements(1));
    group.bench_function("cached", |b| {
        b.iter(|| {
            next = (next + 1) % pages.len();
            unit.translate(stream, pasid, black_box(pages[next]), AccessType::Read, SecurityState::NonSecure)
        });
    });
    group.finish();
    let last = unit.translate(stream, pasid, pages[0], AccessType::Read, SecurityState::NonSecure);
    assert!(last.is_ok(), "no translation of the benchmark may fault");
}

fn dma(c: &mut Criterion) {
    let stream = Stream::new(config(Policy::Retain), Stages::Nested).expect("memory for the benchmark");
    let initiator = Initiator::Pci { segment: 0, source: SourceId::new(0, 4, 0) };
    let mut direct = DmaPort::of(initiator, stream.mem.clone(), std::sync::Arc::new(Untranslated));
    direct.set_enabled(true);
    let pages = shuffled();
    let mut fx = Effects::new(Time(0), false);
    for len in [64usize, 4096] {
        let mut group = c.benchmark_group(format!("smmuv3 dma/{len}"));
        group.throughput(Throughput::Bytes(len as u64));
        let mut data = vec![0; len];
        for (name, port, base) in [("without SMMU", &direct, TARGET), ("nested", &stream.port, IOVA)] {
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

criterion_group!(benches, translate, walk, decode, peer, dma);
criterion_main!(benches);
