//! The bare-metal images, for whoever boots them.
//!
//! They are built along with this crate where the compiler has their target, and taken from `images/`
//! otherwise. The crate's own documentation tells how to boot and to renew them.

/// [`programs::vtd_dma`](crate::programs::vtd_dma) as an ELF64 image for x86-64, linked at 1 MiB.
pub static VTD_DMA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vtd_dma-x86_64.elf"));

/// `programs::cpu_check`, which exists there only, as an ELF64 image for AArch64, linked 2 MiB above
/// the start of RAM at 1 GiB.
pub static CPU_CHECK: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cpu_check-aarch64.elf"));

/// [`programs::smmuv3_dma`](crate::programs::smmuv3_dma) likewise.
pub static SMMUV3_DMA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/smmuv3_dma-aarch64.elf"));

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that an image is ET_EXEC for `machine`, entered at its first byte, and loaded where it
    /// is linked.
    fn check(image: &[u8], machine: u32, address: u32) {
        let dword = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
        assert_eq!(image[..6], *b"\x7fELF\x02\x01");
        assert_eq!(dword(16), machine << 16 | 2);
        assert_eq!(dword(24), address);
        // The first program header: PT_LOAD with equal virtual and physical addresses.
        let header = dword(32) as usize;
        assert_eq!(dword(header), 1);
        assert_eq!((dword(header + 16), dword(header + 24)), (address, address));
    }

    #[test]
    fn the_images_are_elf_files_for_their_machines() {
        check(VTD_DMA, 0x3e, 0x0010_0000);
        check(CPU_CHECK, 0xb7, 0x4020_0000);
        check(SMMUV3_DMA, 0xb7, 0x4020_0000);
    }

    /// Where the checked-in images could have been built, they must be what the sources give.
    #[test]
    #[cfg(any(images_built_from_source = "x86_64", images_built_from_source = "aarch64"))]
    fn the_checked_in_images_are_up_to_date() {
        let here = include_str!(concat!(env!("OUT_DIR"), "/rustc-version"));
        if here != include_str!("../images/rustc-version") {
            return;
        }
        let pairs: [(&[u8], &[u8]); 3] = [
            (VTD_DMA, include_bytes!("../images/vtd_dma-x86_64.elf")),
            (CPU_CHECK, include_bytes!("../images/cpu_check-aarch64.elf")),
            (SMMUV3_DMA, include_bytes!("../images/smmuv3_dma-aarch64.elf")),
        ];
        for (built, checked_in) in pairs {
            assert!(
                built == checked_in,
                "images/ is out of date: renew it with \
                 `IOMMULATOR_RENEW_IMAGES=1 cargo build -p iommulator-guests`"
            );
        }
    }
}
