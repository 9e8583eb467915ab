//! The devices at fixed ports that every PC has.
//!
//! Each is a passive 8-bit model: it is told the port's offset and the bytes, and time, where it
//! matters, is the time of the [`Effects`](devices::fabric::Effects) it is given. A wider access is
//! one access per byte at successive ports, as the bus does it (only the selector of [`FwCfg`] has 16
//! bits); ports beyond the device's own read as ones and take no write.
//!
//! What is absent: PIT and keyboard controller, and what the lines lead to: the machine joins them to
//! the interrupt controllers.

mod calendar;
mod debug_exit;
mod fw_cfg;
mod rtc;
mod serial;

pub use debug_exit::DebugExit;
pub use fw_cfg::{FwCfg, FwCfgError, State as FwCfgState};
pub use rtc::{Rtc, State as RtcState};
pub use serial::{Serial, State as SerialState};
