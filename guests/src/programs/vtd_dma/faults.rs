//! Every fault that a DMA can provoke in legacy mode [VT-d 7.1.3]: the request is refused, and the
//! raw record says who, where, what and why.
//!
//! A fault in the root or the context entry meets the device as soon as it fetches its descriptor; a
//! fault in the page tables is provoked by the descriptor's DMA, whose ring is mapped well.

use super::bench::{BYTES, Bench, Domain, NOT_RAM, RING_IOVA};
use crate::error::Error;
use crate::exerciser::{Dma, Op, Status};
use crate::hw::Hw;
use crate::vtd::{FaultRecord, READ, Size, WRITE, entry};

/// The table entry is not what it should be: a page apart from all others, a gigabyte each.
const UNMAPPED: u64 = 0x20_0000_0000;
const READ_ONLY: u64 = 0x21_0000_1000;
const WRITE_ONLY: u64 = 0x22_0000_2000;
const RESERVED_BITS: u64 = 0x23_0000_3000;
const LARGE_RESERVED_BITS: u64 = 0x24_0000_4000;
const NO_TABLE: u64 = 0x25_0000_5000;
const NO_LOWER_TABLE: u64 = 0x26_0000_6000;
const TO_MESSAGES: u64 = 0x27_0000_0000;
const MAPPED: u64 = 0x28_0000_8000;
/// The first address of the message window.
const MESSAGES: u64 = 0xfee0_0000;

/// T1 and T2, which mean something for DMA faults alone.
const TYPE: u64 = 1 << 62 | 1 << 28;

/// What a refused request was.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// T1:T2 = 00.
    Write,
    /// T1:T2 = 10.
    Read,
    /// T1:T2 = 11.
    Atomic,
}

/// What a record should say beside the requester.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub reason: u8,
    pub kind: Kind,
    pub address: u64,
    /// The request said that its address was translated (AT = 10).
    pub translated: bool,
    /// The request carried this PASID.
    pub pasid: Option<u32>,
}

impl Expected {
    pub const fn new(reason: u8, kind: Kind, address: u64) -> Self {
        Self { reason, kind, address, translated: false, pasid: None }
    }

    /// The record, bit by bit [VT-d 11.4.7.6].
    const fn record(self, source: u16) -> FaultRecord {
        let f = 1 << 63;
        let t = match self.kind {
            Kind::Write => 0,
            Kind::Read => 1 << 62,
            Kind::Atomic => 1 << 62 | 1 << 28,
        };
        let at = if self.translated { 0b10 << 60 } else { 0 };
        let pasid = match self.pasid {
            Some(pasid) => (pasid as u64) << 40 | 1 << 31,
            None => 0,
        };
        let high = f | t | at | pasid | (self.reason as u64) << 32 | source as u64;
        FaultRecord([self.address & !0xfff, high])
    }
}

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    root_faults(bench)?;
    context_faults(bench)?;
    table_faults(bench)?;
    permission_faults(bench)?;
    address_faults(bench)?;
    request_faults(bench)
}

impl<H: Hw> Bench<'_, H> {
    /// Checks that a DMA of the first function is refused and recorded as expected, once, and that the
    /// record can be cleared.
    pub fn faults(&mut self, what: &str, dma: &Dma, expected: Expected) {
        self.parts.unit.clear_faults(self.hw);
        let refused = match self.parts.device.run(self.hw, dma) {
            Ok(completion) => Ok(completion.status == Status::Ur),
            // The descriptor itself was refused.
            Err(Error::RingFault) => {
                self.parts.device.restart(self.hw);
                Ok(matches!(dma.op, Op::Nop))
            }
            Err(error) => Err(error),
        };
        let recorded = self.take_fault(self.parts.device.source(), expected);
        let held = refused.map(|refused| refused && recorded);
        self.check(held, format_args!("fault {:02x}h: {what}", expected.reason));
        if refused == Ok(false) {
            self.note(format_args!("  the device was not refused as an Unsupported Request"));
        }
    }

    /// Whether the pending fault is the expected one and the only one; clears it.
    pub fn take_fault(&mut self, source: u16, expected: Expected) -> bool {
        let unit = self.parts.unit;
        let expected = expected.record(source);
        let Some((index, record)) = unit.pending_fault(self.hw) else {
            self.note(format_args!("  no fault is recorded, expected {expected}"));
            return false;
        };
        unit.clear_fault(self.hw, index);
        let left = unit.pending_fault(self.hw);
        if let Some((_, left)) = left {
            self.note(format_args!("  another fault is pending: {left}"));
        }
        if record != expected {
            self.note(format_args!("  expected {expected}, recorded {record}"));
        }
        record == expected && left.is_none()
    }

    /// Checks that the descriptor fetch of the first function is refused.
    fn fetch_faults(&mut self, what: &str, reason: u8) {
        let expected = Expected::new(reason, Kind::Read, RING_IOVA);
        self.faults(what, &Dma::new(Op::Nop, 0), expected);
    }
}

fn root_faults<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let root = bench.parts.root;
    let at = root.root_entry_at(bench.parts.device.source());
    let good = [bench.hw.mem_read64(at), bench.hw.mem_read64(at + 8)];
    let rows = [
        (0x01, "root entry not present", [good[0] & !1, 0]),
        (0x0a, "root entry with reserved bit 1 set", [good[0] | 1 << 1, 0]),
        (0x0a, "root entry with reserved bit 11 set", [good[0] | 1 << 11, 0]),
        (0x0a, "root entry with reserved bit 64 set", [good[0], 1]),
        (0x0a, "root entry with reserved bit 127 set", [good[0], 1 << 63]),
        (0x09, "context table outside RAM", [NOT_RAM | 1, 0]),
    ];
    for (reason, what, words) in rows {
        set_words(bench, at, words)?;
        bench.fetch_faults(what, reason);
    }
    set_words(bench, at, good)?;
    bench.parts.unit.set_root_table(bench.hw, NOT_RAM)?;
    bench.flush()?;
    bench.fetch_faults("root table outside RAM", 0x08);
    bench.go_home()
}

fn context_faults<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let cap = bench.parts.unit.cap;
    let source = bench.parts.device.source();
    let at = bench.parts.root.context_entry_at(bench.hw, &mut bench.parts.arena, source)?;
    let good @ [low, high] = bench.parts.home.context();
    let rows = [
        (0x02, "context entry not present", [low & !1, high]),
        (0x03, "context entry with reserved address width 0", [low, high & !0b111]),
        (0x03, "context entry with reserved address width 7", [low, high | 0b111]),
        (0x03, "context entry with reserved translation type 3", [low | 0b11 << 2, high]),
        (0x03, "top page table outside RAM", [NOT_RAM | 1, high]),
        (0x0b, "context entry with reserved bit 4 set", [low | 1 << 4, high]),
        (0x0b, "context entry with reserved bit 11 set", [low | 1 << 11, high]),
        (0x0b, "context entry with reserved bit 71 set", [low, high | 1 << 7]),
        (0x0b, "context entry with reserved bit 88 set", [low, high | 1 << 24]),
        (0x0b, "context entry with reserved bit 127 set", [low, high | 1 << 63]),
    ];
    for (reason, what, words) in rows {
        set_words(bench, at, words)?;
        bench.fetch_faults(what, reason);
    }
    if cap.sagaw() & 1 << 3 == 0 {
        set_words(bench, at, [low, high & !0b111 | 3])?;
        bench.fetch_faults("context entry with an address width that SAGAW does not offer", 0x03);
    }
    if cap.domain_id_width() < 16 {
        set_words(bench, at, [low, high | 1 << (8 + cap.domain_id_width())])?;
        bench.fetch_faults("context entry with a domain id that is too wide", 0x0b);
    }
    // FPD: the same fault, but not reported.
    set_words(bench, at, [low & !1 | 1 << 1, high])?;
    bench.parts.unit.clear_faults(bench.hw);
    let result = bench.dma(&Dma::new(Op::Nop, 0));
    let silent = bench.parts.unit.pending_fault(bench.hw).is_none();
    bench.check(
        Ok(result == Err(Error::RingFault) && silent),
        format_args!("with FPD set in the context entry the refusal is not recorded"),
    );
    set_words(bench, at, good)
}

fn table_faults<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let a = bench.parts.page_a;
    let read = |iova| Dma::new(Op::Read { len: BYTES, buffer: 0 }, iova);
    let write = |iova| Dma::new(Op::Write { len: BYTES, buffer: 0 }, iova);
    let sslps = bench.parts.unit.cap.sslps();
    let spare = bench.parts.arena.page(bench.hw)?;

    bench.set_home_entry(NO_TABLE, 3, NOT_RAM | READ | WRITE)?;
    bench.set_home_entry(NO_LOWER_TABLE, 2, NOT_RAM | READ | WRITE)?;
    // Bit 11 is reserved where an entry names a table.
    bench.set_home_entry(RESERVED_BITS, 2, spare | READ | WRITE | 1 << 11)?;
    bench.map(bench.parts.home, (TO_MESSAGES, MESSAGES), Size::Page4K, READ | WRITE)?;
    bench.flush()?;

    let fault = |reason, kind, address| Expected::new(reason, kind, address);
    bench.faults("middle page table outside RAM", &read(NO_TABLE), fault(0x07, Kind::Read, NO_TABLE));
    bench.faults(
        "lowest page table outside RAM",
        &write(NO_LOWER_TABLE),
        fault(0x07, Kind::Write, NO_LOWER_TABLE),
    );
    bench.faults(
        "page-table entry with reserved bit 11 set",
        &read(RESERVED_BITS),
        fault(0x0c, Kind::Read, RESERVED_BITS),
    );
    let large = [
        (sslps & 1 != 0, 2, Size::Page2M, "2-MiB page with a reserved address bit set"),
        (sslps & 2 != 0, 3, Size::Page1G, "1-GiB page with a reserved address bit set"),
    ];
    for (offered, level, size, what) in large {
        let word = entry(a & !(size.bytes() - 1), size, READ | WRITE);
        // Large or not, the entry is wrong: a reserved address bit where the size is offered, the size
        // itself where it is not.
        let word = if offered { word | 1 << 12 } else { word };
        bench.set_home_entry(LARGE_RESERVED_BITS, level, word)?;
        bench.flush()?;
        let expected = fault(0x0c, Kind::Write, LARGE_RESERVED_BITS);
        let what = if offered { what } else { "large page of a size that SSLPS does not offer" };
        bench.faults(what, &write(LARGE_RESERVED_BITS), expected);
    }
    let dword = Dma::new(Op::Write { len: 4, buffer: 0 }, TO_MESSAGES);
    let expected = fault(0x0e, Kind::Write, TO_MESSAGES);
    bench.faults("page tables that lead into the message window", &dword, expected);
    Ok(())
}

fn permission_faults<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    let home = bench.parts.home;
    bench.map(home, (READ_ONLY, a), Size::Page4K, READ)?;
    bench.map(home, (WRITE_ONLY, a), Size::Page4K, WRITE)?;
    bench.map(home, (MAPPED, b), Size::Page4K, READ | WRITE)?;
    bench.flush()?;
    bench.fill(a, 0x81);

    let read = Op::Read { len: BYTES, buffer: 0 };
    let write = Op::Write { len: BYTES, buffer: 0 };
    let add = Op::FetchAdd(1);
    let rows = [
        ("write to a page without W", write, READ_ONLY, 0x05, Kind::Write),
        ("atomic on a page without W", add, READ_ONLY, 0x05, Kind::Atomic),
        ("read of a page without R", read, WRITE_ONLY, 0x06, Kind::Read),
        ("atomic on a page without R", add, WRITE_ONLY, 0x06, Kind::Atomic),
        ("write to a page that is not mapped", write, UNMAPPED, 0x05, Kind::Write),
        ("read of a page that is not mapped", read, UNMAPPED, 0x06, Kind::Read),
        ("zero-length read of a page that is not mapped", Op::ZeroLengthRead, UNMAPPED, 0x06, Kind::Read),
    ];
    for (what, op, iova, reason, kind) in rows {
        bench.faults(what, &Dma::new(op, iova), Expected::new(reason, kind, iova));
    }
    if !bench.parts.unit.cap.zlr() {
        let expected = Expected::new(0x06, Kind::Read, WRITE_ONLY);
        let dma = Dma::new(Op::ZeroLengthRead, WRITE_ONLY);
        bench.faults("zero-length read of a write-only page, without CAP.ZLR", &dma, expected);
    }
    let copy = Dma::new(Op::Copy { len: BYTES, to: READ_ONLY }, MAPPED);
    bench.faults("copy into a page without W", &copy, Expected::new(0x05, Kind::Write, READ_ONLY));
    let untouched = bench.holds(a, 0x81);
    bench.check(Ok(untouched), format_args!("what was refused has not touched memory"));

    // Rights are those of all levels together.
    bench.map(home, (WRITE_ONLY, a), Size::Page4K, READ | WRITE)?;
    let at = home.stage.entry_at(bench.hw, &mut bench.parts.arena, WRITE_ONLY, 2)?;
    let middle = bench.hw.mem_read64(at);
    bench.hw.mem_write64(at, middle & !WRITE);
    bench.flush()?;
    let expected = Expected::new(0x05, Kind::Write, WRITE_ONLY);
    bench.faults("write where a middle entry lacks W", &Dma::new(write, WRITE_ONLY), expected);
    Ok(())
}

fn address_faults<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let cap = bench.parts.unit.cap;
    let (a, ring) = (bench.parts.page_a, bench.parts.device.ring());
    let deepest = 12 + 9 * cap.most_levels().unwrap_or(0);
    for levels in cap.level_choices() {
        let limit = (12 + 9 * levels).min(cap.mgaw());
        let domain: Domain = bench.new_ring_domain(2, levels, ring)?;
        bench.map(domain, (0x5000, a), Size::Page4K, READ | WRITE)?;
        bench.set_context(bench.parts.device.source(), domain.context())?;
        let iova = 1 << limit | 0x5000;
        // A record shows no address bits above the deepest tables.
        let shown = iova & ((1 << deepest) - 1);
        let dma = Dma::new(Op::Write { len: BYTES, buffer: 0 }, iova);
        let expected = Expected::new(0x04, Kind::Write, shown);
        bench.faults(
            match levels {
                3 => "address beyond 39 bits in tables of 3 levels",
                4 => "address beyond 48 bits in tables of 4 levels",
                _ => "address beyond the widest address",
            },
            &dma,
            expected,
        );
    }
    bench.go_home()
}

fn request_faults<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let ecap = bench.parts.unit.ecap;
    let read = Op::Read { len: BYTES, buffer: 0 };
    let dma = Dma { translated: true, ..Dma::new(read, MAPPED) };
    // AT is reserved without device TLBs, PASID fields without PASIDs.
    let expected = Expected { translated: ecap.dt(), ..Expected::new(0x0d, Kind::Read, MAPPED) };
    bench.faults("a device that may not says its address is translated", &dma, expected);

    let dma = Dma { pasid: Some(0xa_bcde), ..Dma::new(read, MAPPED) };
    let pasid = dma.pasid.filter(|_| ecap.pasid());
    let expected = Expected { pasid, ..Expected::new(0x31, Kind::Read, MAPPED) };
    bench.faults("request with a PASID in legacy mode", &dma, expected);

    message_window(bench, "read of the message window", &Dma::new(read, MESSAGES), Kind::Read);
    let two_dwords = Dma::new(Op::Write { len: 8, buffer: 0 }, MESSAGES);
    message_window(bench, "write of two dwords into the message window", &two_dwords, Kind::Write);
    let done = bench.succeeds(&Dma::new(Op::ZeroLengthRead, MESSAGES));
    bench.check(done, format_args!("a zero-length read of the message window succeeds"));
    Ok(())
}

/// An access to the message window that is no interrupt. Units of revision 3.1 and later report
/// reason 29h with no address to speak of; earlier ones an ordinary DMA fault. The version register
/// does not tell them apart, so the record's own reason decides which of the two must hold in full.
fn message_window<H: Hw>(bench: &mut Bench<'_, H>, what: &str, dma: &Dma, kind: Kind) {
    let unit = bench.parts.unit;
    unit.clear_faults(bench.hw);
    let refused = bench.dma(dma).map(|completion| completion.status == Status::Ur);
    let Some((index, FaultRecord([low, high]))) = unit.pending_fault(bench.hw) else {
        bench.check(Ok(false), format_args!("fault 29h: {what}"));
        bench.note(format_args!("  no fault is recorded"));
        return;
    };
    unit.clear_fault(bench.hw, index);
    let reason = FaultRecord([low, high]).reason();
    let ordinary = match kind {
        Kind::Read => 0x06,
        Kind::Write | Kind::Atomic => 0x05,
    };
    let source = bench.parts.device.source();
    let held = if reason == ordinary {
        let FaultRecord(expected) = Expected::new(ordinary, kind, MESSAGES).record(source);
        [low, high] == expected
    } else {
        let FaultRecord([_, expected]) = Expected::new(0x29, kind, 0).record(source);
        high & !TYPE == expected & !TYPE
    };
    bench.check(refused.map(|refused| refused && held), format_args!("fault {reason:02x}h: {what}"));
    if !held {
        bench.note(format_args!("  recorded {}", FaultRecord([low, high])));
    }
}

fn set_words<H: Hw>(bench: &mut Bench<'_, H>, at: u64, [low, high]: [u64; 2]) -> Result<(), Error> {
    bench.hw.mem_write64(at + 8, high);
    bench.hw.mem_write64(at, low);
    bench.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_words_of_the_specification() {
        let read = Expected::new(0x06, Kind::Read, 0x12_3456_7abc);
        let rows = [
            ("read", read, [0x0000_0012_3456_7000, 0xc000_0006_0000_0310]),
            ("write", Expected::new(0x05, Kind::Write, 0), [0, 0x8000_0005_0000_0310]),
            ("atomic", Expected::new(0x05, Kind::Atomic, 0), [0, 0xc000_0005_1000_0310]),
            (
                "translated",
                Expected { translated: true, ..read },
                [0x0000_0012_3456_7000, 0xe000_0006_0000_0310],
            ),
            (
                "PASID",
                Expected { pasid: Some(0xa_bcde), ..read },
                [0x0000_0012_3456_7000, 0xcabc_de06_8000_0310],
            ),
        ];
        for (name, expected, words) in rows {
            assert_eq!(expected.record(0x0310).0, words, "{name}");
        }
    }
}
