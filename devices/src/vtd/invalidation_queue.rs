//! The invalidation queue [VT-d 6.5.2]: descriptors and their decoding, the queue's registers and
//! its errors.

use serde::{Deserialize, Serialize};

use super::capability::HOST_ADDRESS_WIDTH;
use super::invalidation::{ContextScope, InterruptScope, IotlbScope};
use super::regs::{Cap, Ecap, Iqa, Iqercd, Iqh, Iqt};
use crate::addr::{Pa, SourceId};
use crate::mem::PhysMem;
use crate::register;

register! {
    /// Context-cache Invalidate Descriptor [VT-d 6.5.2.1].
    pub struct ContextInvalidate: [u64; 2] {
        127:50 Reserved _r2,
        /// Function mask.
        49:48 Field    fm: u8,
        /// Source id.
        47:32 Field    sid: u16,
        /// Domain id.
        31:16 Field    did: u16,
        15:12 Reserved _r1,
        11:9  Field    _type_high,
        8:6   Reserved _r0,
        /// Granularity: 01 global, 10 domain, 11 device.
        5:4   Field    g: u8,
        3:0   Field    _type,
    }
}

register! {
    /// IOTLB Invalidate Descriptor [VT-d 6.5.2.3].
    pub struct IotlbInvalidate: [u64; 2] {
        /// First page, bits 63:12 of its address.
        127:76 Field    addr: u64,
        75:71  Reserved _r3,
        /// Invalidation hint.
        70:70  Field    ih: bool,
        /// Address mask.
        69:64  Field    am: u8,
        63:32  Reserved _r2,
        /// Domain id.
        31:16  Field    did: u16,
        15:12  Reserved _r1,
        11:9   Field    _type_high,
        8:8    Reserved _r0,
        /// Drain reads; always done.
        7:7    Field    dr: bool,
        /// Drain writes; always done.
        6:6    Field    dw: bool,
        /// Granularity: 01 global, 10 domain, 11 page.
        5:4    Field    g: u8,
        3:0    Field    _type,
    }
}

register! {
    /// Invalidation Wait Descriptor [VT-d 6.5.2.8].
    pub struct Wait: [u64; 2] {
        /// Status address, bits 63:2.
        127:66 Field    status_address: u64,
        65:64  Reserved _r2,
        /// Status data.
        63:32  Field    status_data: u32,
        31:12  Reserved _r1,
        11:9   Field    _type_high,
        8:8    Reserved _r0,
        7:7    Reserved _pd,
        /// Fence: later descriptors wait.
        6:6    Field    fence: bool,
        /// Write the status.
        5:5    Field    sw: bool,
        /// Raise the invalidation event.
        4:4    Field    interrupt: bool,
        3:0    Field    _type,
    }
}

register! {
    /// Interrupt Entry Cache Invalidate Descriptor [VT-d 6.5.2.7].
    pub struct InterruptInvalidate: [u64; 2] {
        127:48 Reserved _r3,
        /// Interrupt index.
        47:32 Field    iidx: u16,
        /// Index mask.
        31:27 Field    im: u8,
        26:12 Reserved _r2,
        11:9  Field    _type_high,
        8:5   Reserved _r0,
        /// Granularity: 0 global, 1 index.
        4:4   Field    g: bool,
        3:0   Field    _type,
    }
}

/// What a descriptor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// Type 1.
    Context(ContextScope),
    /// Type 2.
    Iotlb(IotlbScope),
    /// Type 4.
    Interrupt(InterruptScope),
    /// Type 5. Descriptors are processed in order, so a fence asks for nothing more.
    Wait {
        /// Write this dword here.
        status: Option<(Pa, u32)>,
        /// Raise the invalidation event.
        interrupt: bool,
    },
}

impl Descriptor {
    /// A word for traces.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Context(_) => "context-cache invalidate",
            Self::Iotlb(_) => "IOTLB invalidate",
            Self::Interrupt(_) => "interrupt-entry invalidate",
            Self::Wait { .. } => "wait",
        }
    }
}

/// Why the queue stopped, with the code in IQERCD.IQEI [VT-d 11.4.9.9].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum QueueError {
    /// The tail lies beyond the queue.
    InvalidTail = 1,
    /// A descriptor could not be read.
    Fetch = 2,
    /// Unknown or unsupported descriptor type.
    InvalidType = 3,
    /// A reserved field is set, or a field has a reserved or unsupported value.
    Reserved = 4,
    /// Descriptors of the wrong width for the mode, or of 256 bits on a unit that has none.
    InvalidWidth = 5,
    /// The tail is not a multiple of the width.
    UnalignedTail = 6,
    /// The latched translation table mode is not supported.
    InvalidMode = 7,
}

/// Decodes a descriptor; the upper half of one of 256 bits must be zero.
///
/// # Errors
/// [`QueueError::InvalidType`] and [`QueueError::Reserved`].
pub fn decode([low, high, upper @ ..]: [u64; 4], cap: Cap, ecap: Ecap) -> Result<Descriptor, QueueError> {
    let words = [low, high];
    let clean = |mask: [u64; 2]| words[0] & mask[0] == 0 && words[1] & mask[1] == 0 && upper == [0, 0];
    let check = |mask: [u64; 2]| if clean(mask) { Ok(()) } else { Err(QueueError::Reserved) };
    // The type is bits 11:9 above bits 3:0; types above 15 do not exist.
    match (words[0] >> 9 & 7) << 4 | words[0] & 0xf {
        1 => {
            check(ContextInvalidate::RESERVED)?;
            let d = ContextInvalidate::from_raw(words);
            context_scope(d.g(), d.did(), d.sid(), d.fm()).map(Descriptor::Context)
        }
        2 => {
            check(IotlbInvalidate::RESERVED)?;
            let d = IotlbInvalidate::from_raw(words);
            iotlb_scope(d.g(), d.did(), d.addr() << 12, d.am(), d.ih(), cap).map(Descriptor::Iotlb)
        }
        4 if ecap.ir() => {
            check(InterruptInvalidate::RESERVED)?;
            let d = InterruptInvalidate::from_raw(words);
            match d.g() {
                false => Ok(Descriptor::Interrupt(InterruptScope::Global)),
                true if d.im() <= ecap.mhmv() => {
                    Ok(Descriptor::Interrupt(InterruptScope::Index { index: d.iidx(), mask: d.im() }))
                }
                true => Err(QueueError::Reserved),
            }
        }
        5 => {
            check(Wait::RESERVED)?;
            let d = Wait::from_raw(words);
            // Address bits beyond the host's width are ignored.
            let at = (d.status_address() << 2) & ((1 << HOST_ADDRESS_WIDTH) - 1);
            let status = d.sw().then_some((Pa(at), d.status_data()));
            Ok(Descriptor::Wait { status, interrupt: d.interrupt() })
        }
        _ => Err(QueueError::InvalidType),
    }
}

/// The scope of a context-cache invalidation, by descriptor or register.
///
/// # Errors
/// [`QueueError::Reserved`] for the reserved granularity.
pub fn context_scope(g: u8, did: u16, sid: u16, fm: u8) -> Result<ContextScope, QueueError> {
    match g {
        0b01 => Ok(ContextScope::Global),
        0b10 => Ok(ContextScope::Domain(did)),
        0b11 => Ok(ContextScope::Device {
            domain: did,
            source: SourceId(sid),
            mask: ContextScope::function_mask(fm),
        }),
        _ => Err(QueueError::Reserved),
    }
}

/// The scope of an IOTLB invalidation, by descriptor or register.
///
/// # Errors
/// [`QueueError::Reserved`] for the reserved granularity and an address mask above CAP.MAMV.
pub fn iotlb_scope(
    g: u8,
    did: u16,
    address: u64,
    am: u8,
    leaf_only: bool,
    cap: Cap,
) -> Result<IotlbScope, QueueError> {
    match g {
        0b01 => Ok(IotlbScope::Global),
        0b10 => Ok(IotlbScope::Domain(did)),
        0b11 if cap.psi() && am <= cap.mamv() => Ok(IotlbScope::pages(did, address, am, leaf_only)),
        _ => Err(QueueError::Reserved),
    }
}

/// The queue's registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    iqh: Iqh,
    iqt: Iqt,
    iqa: Iqa,
    iqercd: Iqercd,
    error: bool,
}

impl Queue {
    /// Empty, at address 0.
    pub const RESET: Self =
        Self { iqh: Iqh::ZERO, iqt: Iqt::ZERO, iqa: Iqa::ZERO, iqercd: Iqercd::ZERO, error: false };

    /// IQH_REG.
    pub fn iqh(&self) -> Iqh {
        self.iqh
    }

    /// IQT_REG.
    pub fn iqt(&self) -> Iqt {
        self.iqt
    }

    /// IQA_REG.
    pub fn iqa(&self) -> Iqa {
        self.iqa
    }

    /// IQERCD_REG.
    pub fn iqercd(&self) -> Iqercd {
        self.iqercd
    }

    /// FSTS.IQE.
    pub fn error(&self) -> bool {
        self.error
    }

    /// Software wrote IQT_REG.
    pub fn set_tail(&mut self, value: u64) {
        self.iqt = self.iqt.written(value);
    }

    /// Software wrote IQA_REG.
    pub fn set_base(&mut self, value: u64) {
        self.iqa = self.iqa.written(value);
    }

    /// Queued invalidation was switched off: the head returns to the start [VT-d 11.4.4.1].
    pub fn disable(&mut self) {
        self.iqh = Iqh::ZERO;
    }

    /// FSTS.IQE was written with 1; the cause stays readable until the next error.
    pub fn clear_error(&mut self) {
        self.error = false;
    }

    /// Stops the queue at its head.
    pub fn fail(&mut self, error: QueueError) {
        self.error = true;
        self.iqercd = self.iqercd.with_iqei(error as u8);
    }

    /// Whether there is something to fetch.
    pub fn waiting(&self) -> bool {
        !self.error && self.iqh.qh() != self.iqt.qt()
    }

    /// Reads the descriptor at the head; of one of 128 bits, the upper half is zero. `wide` says
    /// whether descriptors of 256 bits are known, `narrow` whether those of 128 bits are allowed.
    ///
    /// # Errors
    /// What is wrong with the queue.
    pub fn fetch(&self, mem: &PhysMem, wide: bool, narrow: bool) -> Result<[u64; 4], QueueError> {
        if if self.iqa.dw() { !wide } else { !narrow } {
            return Err(QueueError::InvalidWidth);
        }
        if u32::from(self.iqt.qt()) >= self.units() {
            return Err(QueueError::InvalidTail);
        }
        if !self.iqt.qt().is_multiple_of(self.step()) {
            return Err(QueueError::UnalignedTail);
        }
        let at = Pa(self.iqa.iqa() << 12).checked_add(u64::from(self.index()) * 16);
        let half = |offset| {
            let at = at.and_then(|at| at.checked_add(offset));
            at.and_then(|at| mem.load128(at).ok()).ok_or(QueueError::Fetch)
        };
        let [low, high] = half(0)?;
        let [upper_low, upper_high] = if self.iqa.dw() { half(16)? } else { [0, 0] };
        Ok([low, high, upper_low, upper_high])
    }

    /// Moves the head past the descriptor that was fetched.
    pub fn advance(&mut self) {
        self.iqh = self.iqh.with_qh((self.index() + self.step()) & self.mask());
    }

    /// Index of the next descriptor, in units of 16 bytes. A queue that was made smaller or wider
    /// while in use can leave the head beyond its end or in mid-descriptor; it is taken modulo the
    /// size, and as the descriptor that it lies in.
    fn index(&self) -> u16 {
        self.iqh.qh() & self.mask() & !(self.step() - 1)
    }

    /// Units of 16 bytes in a descriptor.
    fn step(&self) -> u16 {
        1 + u16::from(self.iqa.dw())
    }

    /// Sizes are powers of two, at most 2^15.
    fn mask(&self) -> u16 {
        (self.units() - 1) as u16
    }

    /// Units of 16 bytes that the queue has room for, 256 to 32,768.
    fn units(&self) -> u32 {
        1 << (u32::from(self.iqa.qs()) + 8)
    }
}
