//! Firmware: PSCI 1.1 [DEN 0022] and the little of the SMC calling convention [DEN 0028] that guests
//! look for.
//!
//! The conduit is HVC. Beside PSCI there is one call of the vendor-specific hypervisor range, [`EXIT`],
//! by which a program ends its run with a value.
//!
//! CPU_SUSPEND to a powerdown state is done as standby, which PSCI allows [DEN 0022 5.4]: the CPU goes on
//! behind the call, and SUCCESS says so.

use cpu::interp::CallOutcome;

use super::Ending;

/// Vendor-specific hypervisor call: ends the run with the value in W1.
pub const EXIT: u32 = 0x8600_0010;

const SMCCC_VERSION: u32 = 0x8000_0000;
const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;
const PSCI_VERSION: u32 = 0x8400_0000;
const CPU_SUSPEND: u32 = 0x8400_0001;
const CPU_OFF: u32 = 0x8400_0002;
const CPU_ON: u32 = 0x8400_0003;
const AFFINITY_INFO: u32 = 0x8400_0004;
const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
const SYSTEM_OFF: u32 = 0x8400_0008;
const SYSTEM_RESET: u32 = 0x8400_0009;
const PSCI_FEATURES: u32 = 0x8400_000a;
/// Bit of a function's number: arguments and results have 64 bits [DEN 0028 2.5].
const SMC64: u32 = 1 << 30;

/// Version 1.1, of the calling convention and of PSCI.
const VERSION_1_1: u64 = 0x1_0001;
/// MIGRATE_INFO_TYPE: there is no Trusted OS that would have to migrate.
const NO_MIGRATION: u64 = 2;

/// AFFINITY_INFO results.
const ON: u64 = 0;
const OFF: u64 = 1;

/// Return values [DEN 0022 5.2.2].
const SUCCESS: u64 = 0;
const NOT_SUPPORTED: i64 = -1;
const INVALID_PARAMETERS: i64 = -2;
const ALREADY_ON: i64 = -4;
const INVALID_ADDRESS: i64 = -9;

/// Bits of CPU_SUSPEND's power_state that are zero in the original format [DEN 0022 5.4.2].
const POWER_STATE_RESERVED: u64 = 0xfcfe_0000;

/// The affinity of a CPU as MPIDR_EL1 has it: Aff0 counts to 15, then Aff1.
pub const fn affinity(cpu: usize) -> u64 {
    let cpu = cpu as u64;
    cpu & 0xf | (cpu >> 4 & 0xff) << 8
}

/// The firmware of a machine: which CPUs are on, and whether the run is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    on: Vec<bool>,
    /// Where code can be: first and last address of each range of RAM.
    ram: Vec<(u64, u64)>,
    ending: Option<Ending>,
}

impl Firmware {
    /// Firmware of `cpus` CPUs that are off, over these ranges of RAM (first and last address).
    pub fn new(cpus: usize, ram: Vec<(u64, u64)>) -> Self {
        Self { on: vec![false; cpus], ram, ending: None }
    }

    /// A CPU was switched on from outside.
    pub fn set_on(&mut self, cpu: usize) {
        if let Some(on) = self.on.get_mut(cpu) {
            *on = true;
        }
    }

    /// How a call ended the run, once one has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// A call by `cpu` with X0 to X17.
    pub fn call(&mut self, cpu: usize, x: &mut [u64; 18]) -> CallOutcome {
        // W0 holds the function.
        let function = x[0] as u32;
        let wide = function & SMC64 != 0;
        let width = if wide { u64::MAX } else { 0xffff_ffff };
        let [a, b, c] = [x[1], x[2], x[3]].map(|argument| argument & width);
        let answer = match function & !SMC64 {
            _ if wide && !has_wide(function) => Err(NOT_SUPPORTED),
            SMCCC_VERSION | PSCI_VERSION => Ok(VERSION_1_1),
            SMCCC_ARCH_FEATURES => features(a as u32, &[SMCCC_VERSION, SMCCC_ARCH_FEATURES]),
            PSCI_FEATURES => psci_features(a as u32),
            MIGRATE_INFO_TYPE => Ok(NO_MIGRATION),
            CPU_ON => match self.start(a, b) {
                Ok(target) => {
                    x[0] = SUCCESS;
                    return CallOutcome::Start { cpu: target, entry: b, context: c };
                }
                Err(error) => Err(error),
            },
            AFFINITY_INFO => self.affinity_info(a, b),
            CPU_OFF => {
                if let Some(on) = self.on.get_mut(cpu) {
                    *on = false;
                }
                return CallOutcome::Off;
            }
            CPU_SUSPEND if a & POWER_STATE_RESERVED != 0 => Err(INVALID_PARAMETERS),
            CPU_SUSPEND => {
                x[0] = SUCCESS;
                return CallOutcome::Suspend;
            }
            SYSTEM_OFF => return self.end(Ending::Off),
            SYSTEM_RESET => return self.end(Ending::Reset),
            // The value has 32 bits.
            EXIT => return self.end(Ending::Exited(a as u32)),
            _ => Err(NOT_SUPPORTED),
        };
        // Errors are negative numbers of the function's width; the upper half of a narrow one is
        // unknown to its caller.
        x[0] = answer.unwrap_or_else(|error| error as u64);
        CallOutcome::Return
    }

    fn end(&mut self, ending: Ending) -> CallOutcome {
        self.ending.get_or_insert(ending);
        CallOutcome::Stop
    }

    /// CPU_ON: which CPU it starts.
    fn start(&mut self, target: u64, entry: u64) -> Result<usize, i64> {
        let target = self.find(target).ok_or(INVALID_PARAMETERS)?;
        let is_code = |(first, last): &(u64, u64)| (*first..=*last).contains(&entry);
        if !entry.is_multiple_of(4) || !self.ram.iter().any(is_code) {
            return Err(INVALID_ADDRESS);
        }
        if std::mem::replace(&mut self.on[target], true) {
            return Err(ALREADY_ON);
        }
        Ok(target)
    }

    /// AFFINITY_INFO. Levels above 0 need not be supported from PSCI 1.0 on.
    fn affinity_info(&self, target: u64, level: u64) -> Result<u64, i64> {
        let target = self.find(target).filter(|_| level == 0).ok_or(INVALID_PARAMETERS)?;
        Ok(if self.on[target] { ON } else { OFF })
    }

    /// The CPU of an affinity.
    fn find(&self, target: u64) -> Option<usize> {
        (0..self.on.len()).find(|cpu| affinity(*cpu) == target)
    }
}

/// Functions that take 64-bit arguments too.
fn has_wide(function: u32) -> bool {
    matches!(function & !SMC64, CPU_SUSPEND | CPU_ON | AFFINITY_INFO)
}

fn features(function: u32, known: &[u32]) -> Result<u64, i64> {
    if known.contains(&function) { Ok(SUCCESS) } else { Err(NOT_SUPPORTED) }
}

fn psci_features(function: u32) -> Result<u64, i64> {
    if function & SMC64 != 0 && !has_wide(function) {
        return Err(NOT_SUPPORTED);
    }
    // Flags of CPU_SUSPEND: original format of power_state, no OS-initiated mode. SMCCC_VERSION is how a
    // caller finds out about SMCCC 1.1 [DEN 0028 7.2].
    features(
        function & !SMC64,
        &[
            PSCI_VERSION,
            CPU_SUSPEND,
            CPU_OFF,
            CPU_ON,
            AFFINITY_INFO,
            MIGRATE_INFO_TYPE,
            SYSTEM_OFF,
            SYSTEM_RESET,
            PSCI_FEATURES,
            SMCCC_VERSION,
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two CPUs, the first on, and RAM from 4000_0000h to 4fff_ffffh.
    fn firmware() -> Firmware {
        let mut firmware = Firmware::new(18, vec![(0x4000_0000, 0x4fff_ffff)]);
        firmware.set_on(0);
        firmware
    }

    fn call(firmware: &mut Firmware, arguments: [u64; 4]) -> (CallOutcome, i64) {
        let mut x = [0x55; 18];
        x[..4].copy_from_slice(&arguments);
        let outcome = firmware.call(0, &mut x);
        assert_eq!(x[4..], [0x55; 14], "X4 to X17 are kept [DEN 0028 2.6]");
        (outcome, x[0] as i64)
    }

    #[test]
    fn calls_answer_as_specified() {
        // (function and arguments, answer)
        let rows: [([u64; 4], i64); 28] = [
            ([0x8000_0000, 0, 0, 0], 0x1_0001),
            ([0x8000_0001, 0x8000_0000, 0, 0], 0),
            ([0x8000_0001, 0x8000_3fff, 0, 0], -1),
            ([0x8400_0000, 0, 0, 0], 0x1_0001),
            // W0 alone names the function.
            ([0xffff_ffff_8400_0000, 0, 0, 0], 0x1_0001),
            ([0xc400_0000, 0, 0, 0], -1),
            ([0x8400_0006, 0, 0, 0], 2),
            ([0x8400_000a, 0x8400_0003, 0, 0], 0),
            ([0x8400_000a, 0xc400_0003, 0, 0], 0),
            ([0x8400_000a, 0xc400_0001, 0, 0], 0),
            ([0x8400_000a, 0x8000_0000, 0, 0], 0),
            ([0x8400_000a, 0xc400_0008, 0, 0], -1),
            ([0x8400_000a, 0x8400_0005, 0, 0], -1),
            ([0x8400_0005, 0, 0, 0], -1),
            ([0x0400_0000, 0, 0, 0], -1),
            ([0x8600_0000, 0, 0, 0], -1),
            ([0xc600_0010, 3, 0, 0], -1),
            // AFFINITY_INFO: on, off, Aff1 = 1, nobody, a level above.
            ([0xc400_0004, 0, 0, 0], 0),
            ([0xc400_0004, 1, 0, 0], 1),
            ([0xc400_0004, 0x101, 0, 0], 1),
            ([0xc400_0004, 0x10, 0, 0], -2),
            ([0xc400_0004, 0, 1, 0], -2),
            ([0x8400_0004, 0x1_0000_0001, 0, 0], 1),
            // CPU_ON: this one, nobody, no RAM, not aligned.
            ([0xc400_0003, 0, 0x4000_0000, 0], -4),
            ([0xc400_0003, 0xff_00ff_ffff, 0x4000_0000, 0], -2),
            ([0xc400_0003, 1, 0x3fff_fffc, 0], -9),
            ([0xc400_0003, 1, 0x4000_0002, 0], -9),
            ([0xc400_0001, 0x8000_0000, 0, 0], -2),
        ];
        for (arguments, answer) in rows {
            assert_eq!(call(&mut firmware(), arguments), (CallOutcome::Return, answer), "{arguments:x?}");
        }
    }

    #[test]
    fn a_cpu_is_switched_on_once_and_off_again() {
        let firmware = &mut firmware();
        let start = CallOutcome::Start { cpu: 17, entry: 0x4020_0000, context: 0x1234_5678_9abc };
        let arguments = [0xc400_0003, 0x101, 0x4020_0000, 0x1234_5678_9abc];
        assert_eq!(call(firmware, arguments), (start, 0));
        assert_eq!(call(firmware, arguments), (CallOutcome::Return, -4));
        assert_eq!(call(firmware, [0xc400_0004, 0x101, 0, 0]).1, 0);
        let mut x = [0; 18];
        x[0] = 0x8400_0002;
        assert_eq!(firmware.call(17, &mut x), CallOutcome::Off);
        assert_eq!(call(firmware, [0xc400_0004, 0x101, 0, 0]).1, 1);
        // The narrow call passes 32 bits.
        let arguments = [0x8400_0003, 0x1_0000_0101, 0xf_4020_0000, 0x1_0000_0002];
        let start = CallOutcome::Start { cpu: 17, entry: 0x4020_0000, context: 2 };
        assert_eq!(call(firmware, arguments), (start, 0));
    }

    #[test]
    fn a_run_ends_once_and_suspend_waits() {
        let rows = [
            ([0x8400_0008, 0, 0, 0], Ending::Off),
            ([0x8400_0009, 0, 0, 0], Ending::Reset),
            ([0x8600_0010, 0xf_0000_0007, 0, 0], Ending::Exited(7)),
        ];
        for (arguments, ending) in rows {
            let firmware = &mut firmware();
            assert_eq!(firmware.ending(), None);
            assert_eq!(call(firmware, arguments).0, CallOutcome::Stop);
            assert_eq!(firmware.ending(), Some(ending));
            call(firmware, [0x8600_0010, 9, 0, 0]);
            assert_eq!(firmware.ending(), Some(ending), "the first call counts");
        }
        for state in [0, 0x1_0000, 0x0301_ffff] {
            assert_eq!(
                call(&mut firmware(), [0xc400_0001, state, 0, 0]),
                (CallOutcome::Suspend, 0),
                "{state:#x}"
            );
        }
    }
}
