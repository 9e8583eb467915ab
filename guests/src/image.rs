//! The bare-metal images, for whoever boots them.
//!
//! They are built along with this crate where the compiler has the `x86_64-unknown-none` target, and
//! taken from `images/` otherwise. The crate's own documentation tells how to boot and to renew them.

/// [`programs::vtd_dma`](crate::programs::vtd_dma) as an ELF64 image for x86-64, linked at 1 MiB.
pub static VTD_DMA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vtd_dma.elf"));

/// Whether the images were built along with this crate; otherwise they are those checked in.
pub const BUILT_FROM_SOURCE: bool = cfg!(images_built_from_source);

#[cfg(test)]
mod tests {
    use super::*;

    fn dword(at: usize) -> u32 {
        u32::from_le_bytes(VTD_DMA[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn the_image_is_an_elf_for_one_mebibyte() {
        assert_eq!(VTD_DMA[..6], *b"\x7fELF\x02\x01");
        // ET_EXEC for x86-64, entered at its first byte.
        assert_eq!(dword(16), 0x003e_0002);
        assert_eq!(dword(24), 0x0010_0000);
        // The first program header: PT_LOAD with equal virtual and physical addresses.
        let header = dword(32) as usize;
        assert_eq!(dword(header), 1);
        assert_eq!((dword(header + 16), dword(header + 24)), (0x0010_0000, 0x0010_0000));
    }

    /// Where the checked-in image could have been built, it must be what the sources give.
    #[test]
    #[cfg(images_built_from_source)]
    fn the_checked_in_image_is_up_to_date() {
        let here = include_str!(concat!(env!("OUT_DIR"), "/rustc-version"));
        if here == include_str!("../images/rustc-version") {
            assert!(
                VTD_DMA == include_bytes!("../images/vtd_dma-x86_64.elf"),
                "images/ is out of date: renew it with \
                 `IOMMULATOR_RENEW_IMAGES=1 cargo build -p iommulator-guests`"
            );
        }
    }
}
