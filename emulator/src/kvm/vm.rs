//! A virtual machine and its processor, set up for a guest's first instruction.

use devices::ioapic::{self, LevelRoute};
use firmware::{BootState, Segment};
use kvm_bindings::{
    CpuId, KVM_API_VERSION, KVM_CAP_SPLIT_IRQCHIP, KVM_IRQ_ROUTING_MSI, KVM_MAX_CPUID_ENTRIES, KvmIrqRouting,
    kvm_enable_cap, kvm_irq_routing_entry, kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_msi, kvm_msi,
    kvm_regs, kvm_segment,
};
use kvm_ioctls::{Cap, Kvm, VcpuFd};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::error::InstructionBytes;
use super::sys::MappedVm;
use super::{Features, KvmError, cpuid};
use crate::machine::Interrupt;

/// Routes kept for an I/O APIC outside the kernel.
const IOAPIC_PINS: u64 = ioapic::PINS as u64;
/// Three pages for Intel processors that cannot run real mode, where no PC has RAM.
const TSS_ADDRESS: usize = 0xfffb_d000;
/// Longest x86 instruction.
const INSTRUCTION_MAX: u64 = 15;

/// A virtual machine with its memory slots.
pub(super) struct Vm {
    kvm: Kvm,
    mapped: MappedVm,
}

/// Its processor.
pub(super) struct Processor {
    pub(super) vcpu: VcpuFd,
}

impl Vm {
    pub(super) fn new(memory: &GuestMemoryMmap) -> Result<Self, KvmError> {
        let kvm = Kvm::new().map_err(KvmError::host("opening /dev/kvm"))?;
        if u32::try_from(kvm.get_api_version()) != Ok(KVM_API_VERSION) {
            return Err(KvmError::Lacks("API version 12"));
        }
        for (cap, name) in [
            (Cap::UserMemory, "user memory slots"),
            (Cap::SplitIrqchip, "the split irqchip"),
            (Cap::SignalMsi, "message interrupts (KVM_SIGNAL_MSI)"),
            (Cap::ExtCpuid, "CPUID control"),
        ] {
            if !kvm.check_extension(cap) {
                return Err(KvmError::Lacks(name));
            }
        }
        let vm = kvm.create_vm().map_err(KvmError::host("creating a virtual machine"))?;
        vm.set_tss_address(TSS_ADDRESS).map_err(KvmError::host("placing the TSS pages"))?;
        let split =
            kvm_enable_cap { cap: KVM_CAP_SPLIT_IRQCHIP, args: [IOAPIC_PINS, 0, 0, 0], ..Default::default() };
        vm.enable_cap(&split).map_err(KvmError::host("creating the local APIC"))?;
        let mapped = MappedVm::new(vm, memory).map_err(KvmError::host("mapping guest memory"))?;
        Ok(Self { kvm, mapped })
    }

    /// All that KVM can offer a guest.
    pub(super) fn supported_cpuid(&self) -> Result<CpuId, KvmError> {
        self.kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(KvmError::host("reading the supported CPUID"))
    }

    /// The boot processor, about to run the guest's first instruction.
    pub(super) fn processor(&self, boot: &BootState, features: Features) -> Result<Processor, KvmError> {
        let vcpu = self.mapped.fd().create_vcpu(0).map_err(KvmError::host("creating a virtual processor"))?;
        let mut offered = self.supported_cpuid()?;
        cpuid::shape(offered.as_mut_slice(), features);
        vcpu.set_cpuid2(&offered).map_err(KvmError::host("setting CPUID"))?;
        set_registers(&vcpu, boot)?;
        Ok(Processor { vcpu })
    }

    /// Has the processor report the end of the level-triggered interrupts that `routes` name, and of no
    /// others [KVM API 4.52, KVM_SET_GSI_ROUTING]. What a route names is not sent through it.
    pub(super) fn set_level_routes(&self, routes: &[LevelRoute]) -> Result<(), KvmError> {
        let entries: Vec<_> = routes.iter().map(route).collect();
        let table = KvmIrqRouting::from_entries(&entries).map_err(|error| KvmError::Host {
            what: "allocating interrupt routes",
            source: std::io::Error::other(format!("{error:?}")),
        })?;
        self.mapped.fd().set_gsi_routing(&table).map_err(KvmError::host("setting interrupt routes"))
    }

    /// Sends an interrupt to the local APIC. A message that no processor accepts is lost, as on a
    /// bus. Lines are for others: the platform has made messages of them.
    pub(super) fn deliver(&self, interrupt: Interrupt) -> Result<(), KvmError> {
        let Interrupt::Message { address, data } = interrupt else { return Ok(()) };
        // The two halves of the address.
        let msi = kvm_msi {
            address_lo: address as u32,
            address_hi: (address >> 32) as u32,
            data,
            ..Default::default()
        };
        match self.mapped.fd().signal_msi(msi) {
            Ok(_) => Ok(()),
            // EPERM: nobody has that APIC id, or its APIC is off. EINVAL: no such form of address.
            Err(error) if [libc::EPERM, libc::EINVAL].contains(&error.errno()) => Ok(()),
            Err(error) => Err(KvmError::host("delivering a message interrupt")(error)),
        }
    }
}

impl Processor {
    /// The instruction pointer; zero if KVM does not tell, which it always does.
    pub(super) fn rip(&self) -> u64 {
        self.vcpu.get_regs().map_or(0, |regs| regs.rip)
    }

    /// The bytes at `rip`, as far as they are mapped to RAM.
    pub(super) fn bytes_at(&self, rip: u64, memory: &GuestMemoryMmap) -> InstructionBytes {
        let bytes = (0..INSTRUCTION_MAX).map_while(|offset| {
            let translation =
                self.vcpu.translate_gva(rip.checked_add(offset)?).ok().filter(|found| found.valid != 0)?;
            memory.read_obj::<u8>(GuestAddress(translation.physical_address)).ok()
        });
        InstructionBytes(bytes.collect())
    }
}

fn set_registers(vcpu: &VcpuFd, boot: &BootState) -> Result<(), KvmError> {
    let BootState { rip, rax, rbx, rsi, rsp, rflags, cr0, cr3, cr4, efer, code, data, gdt_base, gdt_limit } =
        *boot;
    let mut sregs = vcpu.get_sregs().map_err(KvmError::host("reading system registers"))?;
    (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (cr0, cr3, cr4, efer);
    (sregs.gdt.base, sregs.gdt.limit) = (gdt_base, gdt_limit);
    (sregs.idt.base, sregs.idt.limit) = (0, 0);
    sregs.cs = segment(code);
    for register in [&mut sregs.ds, &mut sregs.es, &mut sregs.fs, &mut sregs.gs, &mut sregs.ss] {
        *register = segment(data);
    }
    vcpu.set_sregs(&sregs).map_err(KvmError::host("setting system registers"))?;
    let regs = kvm_regs { rip, rax, rbx, rsi, rsp, rflags, ..Default::default() };
    vcpu.set_regs(&regs).map_err(KvmError::host("setting registers"))
}

/// The route of a pin, whose number is that of the route.
fn route(&LevelRoute { pin, address, data }: &LevelRoute) -> kvm_irq_routing_entry {
    let msi = kvm_irq_routing_msi {
        // The two halves of the address.
        address_lo: address as u32,
        address_hi: (address >> 32) as u32,
        data,
        ..Default::default()
    };
    kvm_irq_routing_entry {
        gsi: pin,
        type_: KVM_IRQ_ROUTING_MSI,
        u: kvm_irq_routing_entry__bindgen_ty_1 { msi },
        ..Default::default()
    }
}

/// A segment register with the hidden part that loading the selector would give it [SDM 3.4.5].
fn segment(Segment { selector, descriptor }: Segment) -> kvm_segment {
    // The mask keeps what fits the narrowest target.
    let field = |lo: u32, width: u32| (descriptor >> lo) as u32 & ((1 << width) - 1);
    let flag = |bit| field(bit, 1) as u8;
    let limit = field(0, 16) | field(48, 4) << 16;
    kvm_segment {
        base: u64::from(field(16, 24) | field(56, 8) << 24),
        limit: if flag(55) == 1 { limit << 12 | 0xfff } else { limit },
        selector,
        type_: field(40, 4) as u8,
        s: flag(44),
        dpl: field(45, 2) as u8,
        present: flag(47),
        avl: flag(52),
        l: flag(53),
        db: flag(54),
        g: flag(55),
        unusable: 0,
        padding: 0,
    }
}
