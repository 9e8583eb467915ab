//! The state of a processor at a guest's first instruction.

/// A code or data segment: its selector and the descriptor that the GDT holds for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Byte offset in the GDT, privilege level 0.
    pub selector: u16,
    /// The 8-byte descriptor [SDM 3.4.5].
    pub descriptor: u64,
}

/// The registers of the boot processor at the guest's first instruction. Those not named are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootState {
    /// Entry point.
    pub rip: u64,
    /// What the boot protocol passes in RAX; zero if nothing.
    pub rax: u64,
    /// What the boot protocol passes in RBX; zero if nothing.
    pub rbx: u64,
    /// What the boot protocol passes in RSI; zero if nothing.
    pub rsi: u64,
    /// Top of a stack of nearly 4 KiB.
    pub rsp: u64,
    /// Only bit 1, which is always set: interrupts are off.
    pub rflags: u64,
    /// Protected mode; with or without paging, as the protocol says [SDM 2.5].
    pub cr0: u64,
    /// Physical address of the PML4; zero without paging.
    pub cr3: u64,
    /// Extensions that the protocol turns on [SDM 2.5].
    pub cr4: u64,
    /// LME and LMA in long mode, else zero [SDM 2.2.1].
    pub efer: u64,
    /// CS.
    pub code: Segment,
    /// DS, ES, FS, GS and SS.
    pub data: Segment,
    /// GDTR base.
    pub gdt_base: u64,
    /// GDTR limit: the offset of the table's last byte. The IDT is empty.
    pub gdt_limit: u16,
}
