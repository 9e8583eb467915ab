//! A case: memory, registers, and what happens then.

use std::fmt;

use devices::iommu::cache::Policy;
use devices::vtd::AddressWidth;
use tests::oracle::legacy::Request;

/// Where RAM lies: `(first byte, pages)`. Islands stand where addresses are interesting: below and
/// above 2^39 and 2^48 - 1, at the start of a 1-GiB page, between 2-MiB pages, inside and on both
/// sides of the interrupt address range.
pub const ISLANDS: [(u64, u64); 8] = [
    (0, 32),
    (0x4000_0000, 3),
    (0x401f_f000, 2),
    (0xfedf_f000, 3),
    (0xfeef_f000, 1),
    (0xfef0_0000, 1),
    (0x7f_ffff_f000, 2),
    (0xffff_ffff_e000, 2),
];
/// The pages below hold tables and are zero at first; all others hold distinct words.
pub const DATA: u64 = 0x1_8000;
/// The invalidation queue.
pub const QUEUE: u64 = 0x1_e000;
/// Where an invalidation wait descriptor writes its status.
pub const STATUS: u64 = 0x1_f008;

/// One thing after another.
#[derive(Clone, Debug)]
pub enum Step {
    /// A bus master's request, which may cross pages; for an AtomicOp, `len` says how wide.
    Dma(Request, Operation),
    /// Software changes a table and invalidates everything.
    Rewrite {
        /// Address of the qword.
        pa: u64,
        /// Its new value.
        word: u64,
    },
    /// Software handles faults [VT-d 7.2.1], not always as thoroughly as it should.
    ClearFaults {
        /// It clears F in all records.
        records: bool,
        /// It then clears PFO.
        overflow: bool,
    },
}

/// What an AtomicOp does.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Adds.
    FetchAdd,
    /// Replaces.
    Swap,
    /// Replaces if the operand is what memory holds; the flag says whether it shall be.
    CompareSwap(bool),
}

/// How software invalidates.
#[derive(Clone, Copy, Debug)]
pub enum Invalidation {
    /// Through CCMD_REG and IOTLB_REG.
    Registers,
    /// Through the queue.
    Queue,
}

/// What is special about a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Special {
    /// Nothing.
    Nothing,
    /// It looks for uses of cached entries that memory no longer bears out; there must be none.
    Sanitizer,
    /// CAP.ESRTPS: software leaves invalidation to SRTP.
    Esrtps,
    /// ECAP.ADMS: TTM = 11b aborts all DMA.
    Adms,
    /// CAP.CM: what faulted may be cached as well; software invalidates everything in time.
    CachingMode,
}

/// Everything that happens to a unit between two resets of its tables.
#[derive(Clone)]
pub struct Case {
    /// Widest tables of the unit.
    pub width: AddressWidth,
    /// One pending record per source is enough.
    pub compress: bool,
    /// What is special about it.
    pub special: Special,
    /// Which caching policy to try beside "off".
    pub policy: Policy,
    /// How software invalidates.
    pub invalidation: Invalidation,
    /// What software writes to RTADDR_REG before SRTP.
    pub rtaddr: u64,
    /// What it writes there later, without SRTP.
    pub stray_rtaddr: Option<u64>,
    /// GCMD.TE.
    pub enabled: bool,
    /// Qwords of the tables.
    pub words: Vec<(u64, u64)>,
    /// What happens.
    pub steps: Vec<Step>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            width,
            compress,
            special,
            policy,
            invalidation,
            rtaddr,
            stray_rtaddr,
            enabled,
            words,
            steps,
        } = self;
        writeln!(
            f,
            "tables up to {width:?}, special {special:?}, compressed faults {compress}, caches {policy:?}"
        )?;
        write!(f, "RTADDR_REG {rtaddr:#x}")?;
        if let Some(stray) = stray_rtaddr {
            write!(f, ", then {stray:#x} without SRTP")?;
        }
        writeln!(f, "; translation enabled {enabled}; invalidation by {invalidation:?}")?;
        for (pa, word) in words.iter().filter(|(_, word)| *word != 0) {
            writeln!(f, "  [{pa:#x}] = {word:#x}")?;
        }
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Dma(request, operation) => writeln!(f, "step {number}: {request:?} ({operation:?})")?,
                Step::Rewrite { pa, word } => writeln!(f, "step {number}: [{pa:#x}] = {word:#x}")?,
                Step::ClearFaults { records, overflow } => {
                    writeln!(f, "step {number}: clear records {records}, clear overflow {overflow}")?;
                }
            }
        }
        Ok(())
    }
}
