//! Entry of the first CPU and of the others, and what the loader tells.

use core::arch::global_asm;

use super::cpu;
use crate::fdt::{self, Fdt};
use crate::hw::{Range, VIRT_RAM_FIRST};

// `prepare` switches FP and SIMD on, which compiled code uses, and installs the vectors.
//
// The loader may leave what lies beyond the file's bytes as it was, so .bss is cleared here; the
// stack is not part of it.
global_asm!(
    ".section .text.start, \"ax\", @progbits",
    ".global _start",
    "_start:",
    "mov x19, x0",
    "bl prepare",
    "adrp x1, __stack_top",
    "add sp, x1, :lo12:__stack_top",
    "adrp x1, __bss_start",
    "add x1, x1, :lo12:__bss_start",
    "adrp x2, __bss_end",
    "add x2, x2, :lo12:__bss_end",
    "1: cmp x1, x2",
    "b.hs 2f",
    "stp xzr, xzr, [x1], #16",
    "b 1b",
    "2: mov x0, x19",
    "mov x29, xzr",
    "mov x30, xzr",
    "bl guest_main",
    "brk #0",
    // Another CPU: X0 is the address of its `Start`, whose first word is its stack.
    ".global secondary_start",
    "secondary_start:",
    "mov x19, x0",
    "bl prepare",
    "ldr x1, [x19]",
    "mov sp, x1",
    "mov x0, x19",
    "mov x29, xzr",
    "mov x30, xzr",
    "bl {secondary}",
    "brk #0",
    "prepare:",
    "msr daifset, #15",
    "mov x1, #3 << 20",
    "msr cpacr_el1, x1",
    "adrp x1, exception_vectors",
    "add x1, x1, :lo12:exception_vectors",
    "msr vbar_el1, x1",
    "isb",
    "ret",
    secondary = sym super::processors::secondary,
);

unsafe extern "C" {
    static __image_end: u8;
}

/// Bytes of the largest device tree, and of the command line that is kept.
const TREE_MAX: usize = 1 << 21;

/// What the program wants to know of it.
pub struct Information {
    /// All of RAM, from its start to its last byte below 4 GiB.
    pub memory: Range,
    pub ram: Range,
    pub command_line: &'static str,
    pub ecam: Option<u64>,
    /// Distributor and redistributors of a GICv3.
    pub gic: Option<(u64, u64)>,
    tree: Fdt<'static>,
}

impl Information {
    /// Reads the device tree.
    ///
    /// # Panics
    /// Where there is none, or no RAM behind the image, or the image reaches into it: nothing can run
    /// then.
    pub fn read(address: u64) -> Self {
        let image_end = (&raw const __image_end) as u64;
        assert!(image_end <= VIRT_RAM_FIRST, "the image ends at {image_end:#x}, inside the program's RAM");
        let mut start = [0; 8];
        cpu::copy_in(address, &mut start);
        let size = fdt::total_size(start).filter(|size| *size <= TREE_MAX);
        let Some(size) = size else { panic!("no device tree at {address:#x}") };
        // SAFETY: the loader placed a tree of this size here, below the program's RAM, and nobody
        // writes to it.
        let blob: &'static [u8] = unsafe { core::slice::from_raw_parts(address as *const u8, size) };
        let Some(tree) = Fdt::new(blob) else { panic!("the device tree at {address:#x} is damaged") };

        let Some((start, size)) = tree.node("memory").and_then(|node| node.range(0)) else {
            panic!("the device tree has no memory node");
        };
        let end = start.saturating_add(size).min(1 << 32);
        assert!(start <= VIRT_RAM_FIRST && VIRT_RAM_FIRST < end, "there is no RAM at {VIRT_RAM_FIRST:#x}");
        let gic = tree.compatible("arm,gic-v3");
        Self {
            memory: Range { start, last: end - 1 },
            ram: Range { start: VIRT_RAM_FIRST, last: end - 1 },
            command_line: tree.node("chosen").and_then(|node| node.text("bootargs")).unwrap_or_default(),
            ecam: tree.compatible("pci-host-ecam-generic").and_then(|node| Some(node.range(0)?.0)),
            gic: gic.and_then(|node| Some((node.range(0)?.0, node.range(1)?.0))),
            tree,
        }
    }

    /// The affinities of the CPUs, as PSCI takes them.
    pub fn processors(&self) -> impl Iterator<Item = u64> + use<> {
        let is_cpu = |name: &str| name.starts_with("cpu@");
        self.tree.nodes().filter(move |node| is_cpu(node.name())).filter_map(|node| node.number())
    }
}
