//! Does with `/dev/iommu` and VFIO what a monitor of virtual machines does, and checks what the kernel makes
//! of the IOMMU: address spaces, faults, interrupts, dirty pages, and translation by tables of a guest
//! under the host's. The devices are the emulator's exercisers.
//!
//! The report is in the Test Anything Protocol. As the first process of a machine, the program mounts what
//! it needs and switches the machine off at the end. Options are words of its command line or, for the
//! first process, of the kernel's; `cache=retain` says that the unit keeps translations until they are
//! invalidated, so that it can be checked that it does.

mod checks;
mod iommufd;
mod kmsg;
mod process;
mod sys;
mod sysfs;
mod uapi;
mod vfio;

use std::env;
use std::ffi::CStr;
use std::fs;
use std::io;
use std::process::ExitCode;

use process::Process;

const FILE_SYSTEMS: [(&CStr, &CStr); 3] = [(c"proc", c"/proc"), (c"sysfs", c"/sys"), (c"devtmpfs", c"/dev")];

/// Makes of an initramfs with nothing but this program what programs expect.
fn be_init() -> io::Result<String> {
    for (kind, at) in FILE_SYSTEMS {
        fs::create_dir_all(at.to_str().map_err(io::Error::other)?)?;
        match sys::mount(kind, at) {
            // The kernel may have mounted it.
            Err(error) if error.raw_os_error() != Some(libc::EBUSY) => return Err(error),
            _ => {}
        }
    }
    // The kernel's lines would tear those of the report apart; they are in its log.
    fs::write("/proc/sys/kernel/printk", "1")?;
    fs::read_to_string("/proc/cmdline")
}

fn main() -> ExitCode {
    let is_init = std::process::id() == 1;
    let command_line =
        if is_init { be_init() } else { Ok(env::args().skip(1).collect::<Vec<_>>().join(" ")) };
    let held = match command_line.and_then(Process::new) {
        Ok(hw) => checks::run(hw),
        Err(error) => {
            println!("Bail out! {error}");
            false
        }
    };
    if is_init && let Err(error) = sys::power_off() {
        println!("# not switched off: {error}");
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
