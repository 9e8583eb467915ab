//! The cost of calls that move no memory.
//!
//! `dispatch` is an ioctl that ends at once: `DESTROY` of an id that nobody has (`ENOENT`: the argument is
//! copied in and a table searched), a number that nobody handles (`ENOTTY`: the size alone is copied in).
//! `hwpt` is `HWPT_ALLOC` and `DESTROY` of a HWPT, `replace` and `attach` move a mock device from one to
//! another, and bind and attach a new one until it is destroyed; each on an IOAS without mappings and
//! with 10,000 of a page each, which every new domain has to be filled with.

mod user;

use std::cell::Cell;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iommufd::Errno;
use iommufd::file::File;
use iommufd::uapi::ioctl::io;
use iommufd::uapi::test::{MockDomain, MockDomainReplace};
use user::{ARGUMENTS, IOVA, Layout, PAGE, User, settings, time};

fn dispatch(c: &mut Criterion) {
    let user = User::new(Layout::Contiguous);
    let mut group = c.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(1));
    let caller = user.caller();
    user.memory.write(ARGUMENTS, &[8, 0, 0, 0, 99, 0, 0, 0]).expect("the page is there");
    for (name, request, errno) in
        [("unknown id", io(0x80), Errno::ENOENT), ("unknown number", io(0x9f), Errno::ENOTTY)]
    {
        assert_eq!(user.iommufd.ioctl(&caller, request, ARGUMENTS), Err(errno));
        group.bench_function(name, |b| {
            b.iter(|| user.iommufd.ioctl(black_box(&caller), black_box(request), black_box(ARGUMENTS)));
        });
    }
    group.finish();
}

fn domains(c: &mut Criterion) {
    let user = User::new(Layout::Contiguous);
    let mut group = c.benchmark_group("domains");
    group.throughput(Throughput::Elements(1));
    for mappings in [0, 10_000] {
        let ioas = user.ioas(0);
        for n in 0..mappings {
            user.map(ioas, Some(IOVA + n * 2 * PAGE), n * 2 * PAGE, PAGE);
        }
        let device = user.test(ioas, MockDomain::default());
        group.bench_function(BenchmarkId::new("hwpt alloc", mappings), |b| {
            time(b, || user.hwpt(device.out_idev_id, ioas), |id| user.destroy(id));
        });
        group.bench_function(BenchmarkId::new("hwpt destroy", mappings), |b| {
            let id = Cell::new(user.hwpt(device.out_idev_id, ioas));
            time(b, || user.destroy(id.get()), |()| id.set(user.hwpt(device.out_idev_id, ioas)));
        });
        // Not the one that came with the device, which goes when the device leaves it.
        let targets = [(); 2].map(|()| user.hwpt(device.out_idev_id, ioas));
        let mut next = targets.into_iter().cycle();
        group.bench_function(BenchmarkId::new("replace", mappings), |b| {
            b.iter(|| {
                let pt_id = next.next().unwrap_or_default();
                user.test(device.out_stdev_id, MockDomainReplace { pt_id })
            });
        });
        group.bench_function(BenchmarkId::new("bind and attach", mappings), |b| {
            let attach = || user.test(targets[0], MockDomain::default());
            time(b, attach, |device| user.destroy(device.out_stdev_id));
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = settings(); targets = dispatch, domains);
criterion_main!(benches);
