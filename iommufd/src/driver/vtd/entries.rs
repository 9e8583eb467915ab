//! Root and context entries, second-stage entries and invalidation descriptors, as a legacy-mode driver
//! writes them [VT-d 9, 6.5.2].

use devices::register;

register! {
    /// Legacy root entry [VT-d 9.1].
    pub(super) struct Root: [u64; 2] {
        127:64 Reserved _r1,
        /// Context table pointer, bits 63:12.
        63:12  Field    ctp: u64,
        11:1   Reserved _r0,
        /// Present.
        0:0    Field    p: bool,
    }
}

register! {
    /// Legacy context entry [VT-d 9.3].
    pub(super) struct Context: [u64; 2] {
        127:88 Reserved _r3,
        /// Domain id.
        87:72  Field    did: u16,
        71:67  Reserved _r2,
        /// Address width: 1 for 39, 2 for 48, 3 for 57 bits.
        66:64  Field    aw: u8,
        /// Second-stage table pointer, bits 63:12.
        63:12  Field    ssptptr: u64,
        11:4   Reserved _r1,
        /// Translation type: 00 second stage, 10 pass-through.
        3:2    Field    tt: u8,
        1:1    Field    _fpd,
        /// Present.
        0:0    Field    p: bool,
    }
}

/// TT of a pass-through entry [VT-d 9.3].
pub(super) const PASS_THROUGH: u8 = 0b10;

register! {
    /// Second-stage entry of any level [VT-d 9.8].
    pub(super) struct SecondStage: u64 {
        63:52 Ignored  _r2,
        /// First byte of the table or page, bits 51:12.
        51:12 Field    address: u64,
        /// Snoop: accesses are coherent whatever the request says; only in leaves, with ECAP.SC.
        11:11 Field    snp: bool,
        10:8  Ignored  _r1,
        /// Maps a large page; of no meaning in the last level.
        7:7   Field    ps: bool,
        6:2   Ignored  _r0,
        /// Writes.
        1:1   Field    w: bool,
        /// Reads.
        0:0   Field    r: bool,
    }
}

register! {
    /// Context-cache Invalidate Descriptor [VT-d 6.5.2.1].
    pub(super) struct ContextInvalidate: [u64; 2] {
        127:50 Reserved _r2,
        /// Function mask.
        49:48  Field    _fm,
        /// Source id.
        47:32  Field    sid: u16,
        /// Domain id.
        31:16  Field    did: u16,
        15:6   Reserved _r0,
        /// Granularity: 01 global, 11 device.
        5:4    Field    g: u8,
        /// 1.
        3:0    Field    kind: u8,
    }
}

register! {
    /// IOTLB Invalidate Descriptor [VT-d 6.5.2.3].
    pub(super) struct IotlbInvalidate: [u64; 2] {
        /// First page.
        127:76 Field    page: u64,
        75:71  Reserved _r2,
        /// Only leaves have changed.
        70:70  Field    ih: bool,
        /// Address mask: 2^am pages.
        69:64  Field    am: u8,
        63:32  Reserved _r1,
        /// Domain id.
        31:16  Field    did: u16,
        15:8   Reserved _r0,
        /// Drain reads.
        7:7    Field    dr: bool,
        /// Drain writes.
        6:6    Field    dw: bool,
        /// Granularity: 01 global, 10 domain, 11 page.
        5:4    Field    g: u8,
        /// 2.
        3:0    Field    kind: u8,
    }
}

register! {
    /// Invalidation Wait Descriptor [VT-d 6.5.2.8].
    pub(super) struct Wait: [u64; 2] {
        /// Where the status goes, bits 63:2.
        127:66 Field    status_address: u64,
        65:64  Reserved _r1,
        /// What is written there.
        63:32  Field    status_data: u32,
        31:7   Reserved _r0,
        /// Later descriptors wait.
        6:6    Field    fence: bool,
        /// Write the status.
        5:5    Field    sw: bool,
        4:4    Field    _interrupt,
        /// 5.
        3:0    Field    kind: u8,
    }
}
