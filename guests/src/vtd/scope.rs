//! What an invalidation drops, whichever way it is asked for.

/// What to drop from the context cache [VT-d 6.5.1.1, 6.5.2.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextScope {
    /// Everything.
    Global,
    /// Entries with a domain id.
    Domain(u16),
    /// The entry of one requester.
    Device {
        /// Domain id of the entry as it was.
        domain: u16,
        /// Requester id.
        source: u16,
    },
}

/// What to drop from the IOTLB and the paging-structure caches [VT-d 6.5.1.2, 6.5.2.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IotlbScope {
    /// Everything.
    Global,
    /// Everything of a domain.
    Domain(u16),
    /// The `2^mask` pages of a domain from an address on. Needs CAP.PSI and `mask <= CAP.MAMV`.
    Page {
        /// Domain id.
        domain: u16,
        /// First address, a multiple of the size.
        address: u64,
        /// Logarithm of the number of pages.
        mask: u8,
    },
}
