//! Features [NVMe 5.21.1].

use serde::{Deserialize, Serialize};

use super::asynchronous::Event;
use super::command::Command;
use super::completion::Status;
use super::controller::Controller;
use super::health::{TEMPERATURE, WARNING_TEMPERATURE};
use super::{QUEUES, VECTORS};

/// I/O queues of each kind that can be created.
const IO_QUEUES: u16 = QUEUES - 1;
/// Recommended Arbitration Burst, as a power of 2.
pub(super) const RECOMMENDED_BURST: u8 = 3;
/// Nanoseconds of the unit of the aggregation time.
const AGGREGATION_UNIT: u64 = 100_000;
/// The namespace identifier that stands for all.
const ALL: u32 = u32::MAX;

/// Values of the features, each as Get Features returns it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Features {
    arbitration: u32,
    power: u32,
    /// Temperature thresholds in kelvins, over and under.
    over: u16,
    under: u16,
    recovery: u32,
    write_cache: bool,
    /// Queues that may be created: submission and completion.
    queues: (u16, u16),
    coalescing: u32,
    /// Vectors of which interrupts are not coalesced.
    coalescing_off: [bool; VECTORS as usize],
    atomicity: u32,
    events: u32,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            arbitration: RECOMMENDED_BURST.into(),
            power: 0,
            over: WARNING_TEMPERATURE,
            under: 0,
            recovery: 0,
            write_cache: true,
            queues: (IO_QUEUES, IO_QUEUES),
            coalescing: 0,
            coalescing_off: [false; VECTORS as usize],
            atomicity: 0,
            events: 0,
        }
    }
}

/// The features there are, by their identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    Arbitration,
    PowerManagement,
    TemperatureThreshold,
    ErrorRecovery,
    VolatileWriteCache,
    NumberOfQueues,
    InterruptCoalescing,
    InterruptVector,
    WriteAtomicity,
    AsynchronousEvents,
}

impl Feature {
    fn of(command: Command) -> Result<Self, Status> {
        // Bits 7:0.
        Ok(match command.cdw10() & 0xff {
            0x01 => Self::Arbitration,
            0x02 => Self::PowerManagement,
            0x04 => Self::TemperatureThreshold,
            0x05 => Self::ErrorRecovery,
            0x06 => Self::VolatileWriteCache,
            0x07 => Self::NumberOfQueues,
            0x08 => Self::InterruptCoalescing,
            0x09 => Self::InterruptVector,
            0x0a => Self::WriteAtomicity,
            0x0b => Self::AsynchronousEvents,
            _ => return Err(Status::InvalidField),
        })
    }

    /// Error Recovery is a feature of each namespace; here there is one. The others are the controller's.
    fn check_namespace(self, nsid: u32) -> Result<(), Status> {
        match (self, nsid) {
            (Self::ErrorRecovery, 1 | ALL) | (_, 0 | ALL) => Ok(()),
            (Self::ErrorRecovery, _) => Err(Status::InvalidNamespace),
            (_, 1) => Err(Status::FeatureNotPerNamespace),
            _ => Err(Status::InvalidNamespace),
        }
    }
}

/// Which threshold dword 11 of a command for Temperature Threshold means.
enum Threshold {
    Over,
    Under,
}

impl Threshold {
    /// The composite temperature is the only one measured.
    fn of(command: Command) -> Result<Self, Status> {
        match (command.cdw11() >> 16 & 0xf, command.cdw11() >> 20 & 0b11) {
            (0x0 | 0xf, 0b00) => Ok(Self::Over),
            (0x0 | 0xf, 0b01) => Ok(Self::Under),
            _ => Err(Status::InvalidField),
        }
    }
}

impl Features {
    /// Commands that one queue has at a turn, as a power of 2; 7 is no limit.
    pub(super) fn arbitration_burst(&self) -> u32 {
        self.arbitration & 0b111
    }

    /// Whether a write is done when the volatile cache has it.
    pub(super) fn write_cache(&self) -> bool {
        self.write_cache
    }

    /// The highest identifier that an I/O submission queue may have.
    pub(super) fn submission_queues(&self) -> u16 {
        self.queues.0
    }

    /// The highest identifier that an I/O completion queue may have.
    pub(super) fn completion_queues(&self) -> u16 {
        self.queues.1
    }

    /// How many completions `vector` waits for, and how long in nanoseconds; `None` if it does not wait.
    pub(super) fn coalescing(&self, vector: u16) -> Option<(u32, u64)> {
        let (threshold, time) = ((self.coalescing & 0xff) + 1, u64::from(self.coalescing >> 8 & 0xff));
        let off = self.coalescing_off.get(usize::from(vector)).is_none_or(|off| *off);
        (threshold > 1 && time > 0 && !off).then_some((threshold, time * AGGREGATION_UNIT))
    }

    /// Whether the temperature is past a threshold.
    pub(super) fn hot(&self) -> bool {
        TEMPERATURE >= self.over || TEMPERATURE <= self.under
    }

    /// Whether a temperature past a threshold is reported as an event.
    fn reports_temperature(&self) -> bool {
        self.events & 0b10 != 0
    }

    /// Get Features [NVMe 5.13].
    pub(super) fn get(&self, command: Command) -> Result<u32, Status> {
        // Select, which is not advertised.
        if command.cdw10() >> 8 & 0b111 != 0 {
            return Err(Status::InvalidField);
        }
        let feature = Feature::of(command)?;
        feature.check_namespace(command.nsid())?;
        let allocated = |queues: u16| u32::from(queues.saturating_sub(1));
        Ok(match feature {
            Feature::Arbitration => self.arbitration,
            Feature::PowerManagement => self.power,
            Feature::TemperatureThreshold => match Threshold::of(command)? {
                Threshold::Over => self.over.into(),
                Threshold::Under => self.under.into(),
            },
            Feature::ErrorRecovery => self.recovery,
            Feature::VolatileWriteCache => self.write_cache.into(),
            Feature::NumberOfQueues => allocated(self.queues.1) << 16 | allocated(self.queues.0),
            Feature::InterruptCoalescing => self.coalescing,
            Feature::InterruptVector => {
                let vector = command.cdw11() & 0xffff;
                let off = self.coalescing_off.get(vector as usize).ok_or(Status::InvalidField)?;
                u32::from(*off) << 16 | vector
            }
            Feature::WriteAtomicity => self.atomicity,
            Feature::AsynchronousEvents => self.events,
        })
    }

    pub(super) fn is_valid(&self) -> bool {
        let (submission, completion) = self.queues;
        (1..=IO_QUEUES).contains(&submission) && (1..=IO_QUEUES).contains(&completion)
    }
}

impl Controller {
    /// Set Features [NVMe 5.21]; dword 0 of the completion.
    pub(super) fn set_feature(&mut self, command: Command) -> Result<u32, Status> {
        let feature = Feature::of(command)?;
        // Save.
        if command.cdw10() >> 31 != 0 {
            return Err(Status::FeatureNotSaveable);
        }
        feature.check_namespace(command.nsid())?;
        let value = command.cdw11();
        let was_hot = self.features.hot() && self.features.reports_temperature();
        let has_queues = self.completion.iter().skip(1).any(Option::is_some);
        let features = &mut self.features;
        match feature {
            // Weights and the burst; the weights are kept for a driver that reads them back.
            Feature::Arbitration => features.arbitration = value & 0xffff_ff07,
            // Power state 0 is the only one. Bits 7:5 are the workload hint.
            Feature::PowerManagement if value & 0x1f != 0 => return Err(Status::InvalidField),
            Feature::PowerManagement => features.power = value & 0xe0,
            Feature::TemperatureThreshold => {
                // Bits 15:0.
                let kelvins = value as u16;
                match Threshold::of(command)? {
                    Threshold::Over => features.over = kelvins,
                    Threshold::Under => features.under = kelvins,
                }
            }
            // Bit 16 asks for errors of deallocated blocks, which NSFEAT does not offer.
            Feature::ErrorRecovery if value & 1 << 16 != 0 => return Err(Status::InvalidField),
            // The time limited error recovery is never used: nothing is tried twice.
            Feature::ErrorRecovery => features.recovery = value & 0xffff,
            Feature::VolatileWriteCache => features.write_cache = value & 1 != 0,
            Feature::NumberOfQueues => return self.allocate_queues(value, has_queues),
            Feature::InterruptCoalescing => features.coalescing = value & 0xffff,
            Feature::InterruptVector => {
                let vector = features.coalescing_off.get_mut((value & 0xffff) as usize);
                *vector.ok_or(Status::InvalidField)? = value & 1 << 16 != 0;
            }
            Feature::WriteAtomicity => features.atomicity = value & 1,
            // Notices are optional events, of which OAES has none.
            Feature::AsynchronousEvents if value & 0xffff_ff00 != 0 => return Err(Status::InvalidField),
            Feature::AsynchronousEvents => features.events = value,
        }
        if !was_hot && features.hot() && features.reports_temperature() {
            self.events.occurred(Event::Temperature);
        }
        Ok(0)
    }

    /// Number of Queues: counts are one less than the number, submission queues in 15:0.
    fn allocate_queues(&mut self, value: u32, has_queues: bool) -> Result<u32, Status> {
        let (submission, completion) = (value & 0xffff, value >> 16);
        if submission == 0xffff || completion == 0xffff {
            return Err(Status::InvalidField);
        }
        if has_queues {
            return Err(Status::CommandSequenceError);
        }
        // At most 8.
        let least = |wanted: u32| (wanted + 1).min(IO_QUEUES.into()) as u16;
        self.features.queues = (least(submission), least(completion));
        let (submission, completion) = self.features.queues;
        Ok(u32::from(completion - 1) << 16 | u32::from(submission - 1))
    }
}
