//! The cost of mapping, and of access to what is mapped.
//!
//! `map 1 GiB` and `unmap 1 GiB` are one `IOMMU_IOAS_MAP` or `_UNMAP` of 262,144 pages of a process that
//! has not touched them, so nothing is measured but the library, in an IOAS with 0, 1 and 2 domains of the
//! mock. `contiguous` memory is one extent; of `scattered` memory each page is its own, as if the host had
//! no two free pages side by side. `pin` is what the process itself needs to name that memory: part of each
//! `map` with domains.
//! `one page` is a single page with 100,000 others mapped, each with a hole after it and before it:
//! at a given IOVA, and at the first free one.
//! `rw` copies through an access, beside a plain copy of the same bytes: as the kernel for itself, and for
//! a stranger, whose copies of more than one page go by what is pinned.

mod user;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use devices::addr::Iova;
use iommufd::process::PinAccess;
use iommufd::span::Span;
use iommufd::{Access, AccessFlags, AccessFrom, AccessOps, AccessRw};
use user::{BUFFER, BUFFER_BYTES, IOVA, Layout, PAGE, User, settings, time};

const LAYOUTS: [(&str, Layout); 2] = [("contiguous", Layout::Contiguous), ("scattered", Layout::Scattered)];

fn gigabyte(c: &mut Criterion) {
    for (name, layout) in LAYOUTS {
        let user = User::new(layout);
        let ioas: Vec<(u32, u32)> = (0..3).map(|domains| (domains, user.ioas(domains))).collect();
        let mut group = c.benchmark_group(format!("map 1 GiB/{name}"));
        group.throughput(Throughput::Elements(BUFFER_BYTES / PAGE));
        let buffer = Span { start: BUFFER, last: BUFFER + (BUFFER_BYTES - 1) };
        group.bench_function("pin", |b| time(b, || user.memory.pin(buffer, PinAccess::Write), drop));
        for &(domains, ioas) in &ioas {
            group.bench_function(BenchmarkId::new("domains", domains), |b| {
                let map = || user.map(ioas, Some(IOVA), 0, BUFFER_BYTES);
                time(b, map, |iova| user.unmap(ioas, iova, BUFFER_BYTES));
            });
        }
        group.finish();
        let mut group = c.benchmark_group(format!("unmap 1 GiB/{name}"));
        group.throughput(Throughput::Elements(BUFFER_BYTES / PAGE));
        for &(domains, ioas) in &ioas {
            group.bench_function(BenchmarkId::new("domains", domains), |b| {
                let map = || user.map(ioas, Some(IOVA), 0, BUFFER_BYTES);
                map();
                time(b, || user.unmap(ioas, IOVA, BUFFER_BYTES), |()| _ = map());
                user.unmap(ioas, IOVA, BUFFER_BYTES);
            });
        }
        group.finish();
    }
}

fn one_page(c: &mut Criterion) {
    const OTHERS: u64 = 100_000;
    let user = User::new(Layout::Contiguous);
    let mut group = c.benchmark_group("one page");
    group.throughput(Throughput::Elements(1));
    for domains in 0..3 {
        let ioas = user.ioas(domains);
        for n in 0..OTHERS {
            user.map(ioas, Some(IOVA + n * 2 * PAGE), n * 2 * PAGE, PAGE);
        }
        for (name, iova) in [("fixed", Some(IOVA + (OTHERS | 1) * PAGE)), ("automatic", None)] {
            let map = || user.map(ioas, iova, 2 * PAGE, PAGE);
            group.bench_function(BenchmarkId::new(format!("map, {name}"), domains), |b| {
                time(b, map, |iova| user.unmap(ioas, iova, PAGE));
            });
        }
        let hole = IOVA + (OTHERS | 1) * PAGE;
        let map = || user.map(ioas, Some(hole), 2 * PAGE, PAGE);
        group.bench_function(BenchmarkId::new("unmap", domains), |b| {
            map();
            time(b, || user.unmap(ioas, hole, PAGE), |()| _ = map());
            user.unmap(ioas, hole, PAGE);
        });
    }
    group.finish();
}

/// An owner of an access that pins nothing, and so has nothing to let go of.
struct PinsNothing;

impl AccessOps for PinsNothing {
    fn unmap(&self, _: Span) {}
}

fn rw(c: &mut Criterion) {
    let user = User::new(Layout::Contiguous);
    let ioas = user.ioas(1);
    user.map(ioas, Some(IOVA), 0, BUFFER_BYTES);
    let ctx = user.iommufd.ctx();
    let access = Access::new(ctx, Arc::new(PinsNothing), AccessFlags::default()).expect("there is room");
    access.attach(ioas).expect("the IOAS is there");
    for (name, bytes) in [("64 B", 64), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        let mut group = c.benchmark_group(format!("rw/{name}"));
        group.throughput(Throughput::Bytes(bytes as u64));
        let (mut data, mut copy) = (vec![1; bytes], vec![0; bytes]);
        group.bench_function("plain copy", |b| {
            b.iter(|| black_box(&mut copy).copy_from_slice(black_box(&data)));
        });
        for (way, rw) in [("read", AccessRw::Read), ("write", AccessRw::Write)] {
            for (who, from) in [("kernel", AccessFrom::Kernel), ("stranger", AccessFrom::Stranger)] {
                group.bench_function(format!("{way}, {who}"), |b| {
                    b.iter(|| {
                        access.rw_by(from, Iova(IOVA), black_box(&mut data), rw).expect("it is mapped")
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(name = benches; config = settings(); targets = gigabyte, one_page, rw);
criterion_main!(benches);
