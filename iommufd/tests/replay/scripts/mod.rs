//! The scripts of all recordings: what the kernel's tests do between their calls, and what they assert
//! of memory [kernel: tools/testing/selftests/iommu/iommufd.c].

mod access;
mod dirty_tracking;
mod ioas;
mod mock_domain;
mod viommu;

use iommufd::process::UserMemory;
use iommufd::span::Span;
use iommufd::uapi::test::{HwptSelftest, TEST_IOTLB_DEFAULT};
use iommufd::uapi::{Command, HwptAlloc};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::recording::Kind;
use crate::script::Script;
use crate::support::Process;

/// The script of recording `name`.
pub fn script(name: &str) -> Script {
    let mut script = Script::default();
    match *name.split('.').collect::<Vec<_>>() {
        // These only make calls.
        ["iommufd", _] => {}
        ["iommufd_dirty_tracking", variant, test] => dirty_tracking::write(&mut script, variant, test),
        ["iommufd_ioas", variant, test] => ioas::write(&mut script, variant, test),
        ["iommufd_mock_domain", variant, test] => mock_domain::write(&mut script, variant, test),
        ["iommufd_viommu", variant, test] => viommu::write(&mut script, variant, test),
        _ => panic!("no script for {name}"),
    }
    script
}

/// Every HWPT that is allocated with data has these.
fn hwpt_data(script: &mut Script, pagetable_type: u32) {
    script.before_each(Kind::Ioctl(HwptAlloc::REQUEST), move |world, call| {
        let address = call.structure::<HwptAlloc>().data_uptr;
        if address != 0 {
            let data = HwptSelftest { iotlb: TEST_IOTLB_DEFAULT, pagetable_type };
            store(&world.main(), address, &data);
        }
    });
}

/// `bytes` from `start` on.
fn span(start: u64, bytes: u64) -> Span {
    Span::sized(start, bytes).unwrap()
}

fn store<T: IntoBytes + Immutable + ?Sized>(process: &Process, address: u64, value: &T) {
    process.memory.write(address, value.as_bytes()).unwrap();
}

fn load<T: FromBytes + IntoBytes>(process: &Process, address: u64) -> T {
    let mut value = T::new_zeroed();
    process.memory.read(address, value.as_mut_bytes()).unwrap();
    value
}

fn load_bytes(process: &Process, address: u64, bytes: u64) -> Vec<u8> {
    let mut data = vec![0; bytes as usize];
    process.memory.read(address, &mut data).unwrap();
    data
}
