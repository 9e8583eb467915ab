//! The loop.

use super::arith::{self, adds32, adds64, logic32, logic64, subs32, subs64};
use super::{atomic, memory, system};
use crate::a64::core::{Core, Env, Raised};
use crate::a64::debugger::Reason;
use crate::a64::exception::{self, Exception, debug, syndrome};
use crate::a64::op::{Indexing, Kind, Op, Page, Slot};
use crate::a64::regs::El;
use crate::a64::{fp, simd};

/// Why the loop was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) enum Exit {
    /// The time granted is used up, or the core waits.
    Time,
    /// Instructions must be looked at one by one.
    Care,
    /// The cache of decoded pages is full and must be emptied.
    CacheFull,
}

const LOW: u64 = 0xffff_ffff;

/// Runs a core until its time is used up. With `CAREFUL` every instruction is a block of its own,
/// so the time is kept to the instruction.
pub(in crate::a64) fn run<const CAREFUL: bool>(core: &mut Core, env: &mut Env<'_>) -> Exit {
    let pages = env.pages;
    let features = env.settings.features;
    // The operation under a breakpoint that is passed.
    let passed = Slot::new(Kind::Nop);
    'page: loop {
        // What an instruction raised is taken here, for one unit of time.
        if let Some(exception) = core.pending.take() {
            core.left -= 1;
            if core.stepped.take().is_some() {
                // The instruction stepped did not complete: it is still to be stepped.
                core.pstate.ss = true;
            }
            exception::take(core, exception, &features);
            continue 'page;
        }
        if core.left <= 0 {
            core.unstash();
            if std::mem::take(&mut core.attention) {
                // A device may have written to code in answer to an access.
                pages.drain();
                if core.must_stop() {
                    return Exit::Time;
                }
                if !CAREFUL && core.needs_care() {
                    return Exit::Care;
                }
                if let Some(exception) = core.due_interrupt() {
                    if exception.vector == exception::Vector::SError {
                        let at = core.at(env);
                        env.bus.serror_taken(at);
                        core.poll_lines(env);
                    }
                    core.left -= 1;
                    exception::take(core, exception, &features);
                    continue 'page;
                }
                if core.pstate.il {
                    core.raise(Exception::synchronous(syndrome::ILLEGAL_STATE));
                    continue 'page;
                }
            }
            if core.left <= 0 {
                return Exit::Time;
            }
        }
        if CAREFUL && debug::step_due(core).is_err() {
            continue 'page;
        }
        let page: &Page = match core.fetch(env) {
            Ok(Some(id)) => match pages.get(id) {
                Some(page) => page,
                None => return Exit::CacheFull,
            },
            Ok(None) => return Exit::CacheFull,
            Err(Raised { .. }) => continue 'page,
        };
        if CAREFUL && debug::before_instruction(core).is_err() {
            continue 'page;
        }
        let base = core.pc & !0xfff;
        // The operations to come, the current one excluded, and how many there were when the budget
        // was last brought up to date.
        let mut rest = page.from((core.pc >> 2) as usize % Page::OPS);
        let mut start = rest.len();

        /// Index of the current instruction in the page.
        macro_rules! here {
            () => {
                (Page::OPS - 1).wrapping_sub(rest.len())
            };
        }
        /// Brings PC and the budget up to the current instruction, to leave it there.
        macro_rules! leave {
            () => {{
                core.pc = base.wrapping_add(here!() as u64 * 4);
                core.left -= (start - 1 - rest.len()) as i64;
            }};
        }
        /// The same, to go on.
        macro_rules! sync {
            () => {{
                leave!();
                start = rest.len() + 1;
            }};
        }
        /// Goes to `base + $to`.
        macro_rules! jump_to {
            ($to:expr) => {{
                let to: u64 = $to;
                core.left -= (start - rest.len()) as i64;
                if !CAREFUL && core.left > 0 && to & !0xffc == 0 {
                    rest = page.from((to >> 2) as usize);
                    start = rest.len();
                    continue;
                }
                core.pc = base.wrapping_add(to);
                continue 'page;
            }};
        }
        macro_rules! branch {
            ($op:expr) => {
                jump_to!($op.imm())
            };
        }
        macro_rules! link {
            () => {
                base.wrapping_add(here!() as u64 * 4 + 4)
            };
        }
        /// The value, or the exception is taken.
        macro_rules! attempt {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(Raised { .. }) => continue 'page,
                }
            };
        }
        macro_rules! slow {
            ($call:expr) => {{
                sync!();
                attempt!($call)
            }};
        }
        macro_rules! base {
            ($op:expr) => {{
                let value = core.x[$op.rn()];
                if $op.rn() == crate::a64::regs::SP && value & 15 != 0 {
                    slow!(core.base($op.rn()));
                }
                value
            }};
        }
        macro_rules! offset {
            ($op:expr) => {
                core.x[$op.rn()].wrapping_add($op.imm())
            };
        }
        macro_rules! register_offset {
            ($op:expr) => {{
                let back = u32::from($op.a() & 63);
                let index = ((core.x[$op.rm()] << back) as i64 >> back) as u64 & $op.imm();
                core.x[$op.rn()].wrapping_add(index << ($op.b() & 7))
            }};
        }
        macro_rules! load {
            ($type:ty, $address:expr) => {{
                let address: u64 = $address;
                match core.mmu.data.load::<$type>(address) {
                    Some(value) => value,
                    None => {
                        let bank = core.mmu.data.bank();
                        slow!(core.load_slow::<$type>(env, address, bank))
                    }
                }
            }};
        }
        macro_rules! store {
            ($type:ty, $op:expr, $address:expr) => {{
                let address: u64 = $address;
                let value = core.x[$op.rd()] as $type;
                if !core.mmu.data.store::<$type>(address, value) {
                    let bank = core.mmu.data.bank();
                    slow!(core.store_slow::<$type>(env, address, bank, value));
                }
            }};
        }
        /// Address, and what the base becomes.
        macro_rules! indexed {
            ($old:expr, $indexing:expr, $op:expr) => {{
                let old = $old;
                let moved = old.wrapping_add($op.imm());
                match Indexing::of(u16::from($indexing)) {
                    Indexing::Offset => (moved, old),
                    Indexing::Pre => (moved, moved),
                    Indexing::Post => (old, moved),
                }
            }};
        }
        macro_rules! load_pair {
            ($type:ty, $base:expr, $op:expr) => {{
                let (address, moved) = indexed!($base, $op.a(), $op);
                let (first, second) = match core.mmu.data.load_pair::<$type>(address) {
                    Some(pair) => pair,
                    None => {
                        sync!();
                        let first = attempt!(core.load::<$type>(env, address));
                        (
                            first,
                            attempt!(
                                core.load::<$type>(env, address.wrapping_add(size_of::<$type>() as u64))
                            ),
                        )
                    }
                };
                core.x[$op.rn()] = moved;
                (first, second)
            }};
        }
        macro_rules! store_pair {
            ($type:ty, $base:expr, $op:expr) => {{
                let (address, moved) = indexed!($base, $op.a(), $op);
                let values = (core.x[$op.rd()] as $type, core.x[$op.rm()] as $type);
                if !core.mmu.data.store_pair::<$type>(address, values) {
                    sync!();
                    attempt!(core.store::<$type>(env, address, values.0));
                    attempt!(core.store::<$type>(
                        env,
                        address.wrapping_add(size_of::<$type>() as u64),
                        values.1
                    ));
                }
                core.x[$op.rn()] = moved;
            }};
        }
        /// A [`Kind::Memory`].
        macro_rules! execute_memory {
            ($op:expr) => {{
                sync!();
                attempt!(memory::execute(core, env, $op.get()));
            }};
        }
        /// Is the base an SP that may not be used as it is?
        macro_rules! strays {
            ($op:expr, $base:expr) => {
                $op.rn() == crate::a64::regs::SP && $base & 15 != 0
            };
        }
        macro_rules! load_indexed {
            ($type:ty, $base:expr, $op:expr) => {{
                let (address, moved) = indexed!($base, $op.b(), $op);
                match core.mmu.data.load::<$type>(address) {
                    Some(value) if !strays!($op, $base) => {
                        core.x[$op.rn()] = moved;
                        core.x[$op.rd()] = u64::from(value);
                    }
                    _ => execute_memory!($op),
                }
            }};
        }
        macro_rules! store_indexed {
            ($type:ty, $base:expr, $op:expr) => {{
                let (address, moved) = indexed!($base, $op.b(), $op);
                let value = core.x[$op.rd()] as $type;
                if !strays!($op, $base) && core.mmu.data.store::<$type>(address, value) {
                    core.x[$op.rn()] = moved;
                } else {
                    execute_memory!($op);
                }
            }};
        }
        // Memory is in order, and a fast entry matches what is aligned alone: what an ordered access is
        // besides is the executor's affair.
        macro_rules! load_ordered {
            ($type:ty, $base:expr, $op:expr) => {
                match core.mmu.data.load::<$type>($base.wrapping_add($op.imm())) {
                    Some(value) if !strays!($op, $base) => core.x[$op.rd()] = u64::from(value),
                    _ => execute_memory!($op),
                }
            };
        }
        macro_rules! store_ordered {
            ($type:ty, $base:expr, $op:expr) => {{
                let value = core.x[$op.rd()] as $type;
                let address = $base.wrapping_add($op.imm());
                if strays!($op, $base) || !core.mmu.data.store::<$type>(address, value) {
                    execute_memory!($op);
                }
            }};
        }
        macro_rules! set {
            ($op:expr, $value:expr) => {{
                let value: u64 = $value;
                core.x[$op.rd()] = value;
            }};
        }
        macro_rules! set_flags {
            ($op:expr, $pair:expr) => {{
                let (value, flags) = $pair;
                core.nzcv = flags;
                core.x[$op.rd()] = value;
            }};
        }
        macro_rules! undefined {
            () => {{
                leave!();
                core.raise(Exception::synchronous(syndrome::UNDEFINED));
                continue 'page;
            }};
        }
        macro_rules! fp_access {
            () => {{
                if !core.fp_enabled {
                    leave!();
                    core.raise(Exception::synchronous(syndrome::FP_DISABLED));
                    continue 'page;
                }
            }};
        }

        loop {
            let Some(mut op) = rest.next() else {
                core.left -= start as i64;
                core.pc = base.wrapping_add(4096);
                continue 'page;
            };
            if CAREFUL && op.kind() == Kind::Stop {
                passed.set(page.decode(here!(), env.ram, &features));
                op = &passed;
            }
            let n = core.x[op.rn()];
            macro_rules! m {
                () => {
                    core.x[op.rm()]
                };
            }
            match op.kind() {
                Kind::Undecoded => {
                    let index = here!();
                    let stop = env.stops.at_offset(index as u64 * 4);
                    op.set(if stop { Op::new(Kind::Stop) } else { page.decode(index, env.ram, &features) });
                    rest = page.from(index);
                    continue;
                }
                Kind::Stop => {
                    leave!();
                    if env.stops.at(core.pc) {
                        core.stop_for_debugger(Reason::Breakpoint);
                        continue 'page;
                    }
                    // The breakpoint is in another page, or at another address of this one.
                    return Exit::Care;
                }
                Kind::Undefined => undefined!(),
                Kind::Nop => {}

                Kind::Adr => set!(op, base.wrapping_add(op.imm())),
                Kind::Adrp => set!(op, base.wrapping_add(op.imm())),
                Kind::AddI64 => set!(op, n.wrapping_add(op.imm())),
                Kind::AddI32 => set!(op, n.wrapping_add(op.imm()) & LOW),
                Kind::AddsI64 => set_flags!(op, adds64(n, op.imm())),
                Kind::AddsI32 => set_flags!(op, adds32(n, op.imm())),
                Kind::SubsI64 => set_flags!(op, subs64(n, op.imm())),
                Kind::SubsI32 => set_flags!(op, subs32(n, op.imm())),
                Kind::AndI => set!(op, n & op.imm()),
                Kind::OrrI64 => set!(op, n | op.imm()),
                Kind::OrrI32 => set!(op, (n | op.imm()) & LOW),
                Kind::EorI64 => set!(op, n ^ op.imm()),
                Kind::EorI32 => set!(op, (n ^ op.imm()) & LOW),
                Kind::AndsI64 => set_flags!(op, (n & op.imm(), logic64(n & op.imm()))),
                Kind::AndsI32 => set_flags!(op, (n & op.imm(), logic32(n & op.imm()))),
                Kind::MovI => set!(op, op.imm()),
                Kind::Movk64 => set!(op, n & !(0xffff << (op.a() & 63)) | op.imm()),
                Kind::Movk32 => set!(op, (n & !(0xffff << (op.a() & 63)) | op.imm()) & LOW),
                Kind::Ubfx => set!(op, n >> (op.a() & 63) & op.imm()),
                Kind::Ubfiz => set!(op, (n & op.imm()) << (op.a() & 63)),
                Kind::Sbf64 => set!(op, ((n << (op.a() & 63)) as i64 >> (op.b() & 63)) as u64),
                Kind::Sbf32 => {
                    set!(op, u64::from((((n as u32) << (op.a() & 31)) as i32 >> (op.b() & 31)) as u32));
                }
                Kind::Bfi => {
                    let value = core.x[op.rd()] & !op.imm() | n << (op.a() & 63) & op.imm();
                    set!(op, if op.b() != 0 { value & LOW } else { value });
                }
                Kind::Bfxil => {
                    let value = core.x[op.rd()] & !op.imm() | n >> (op.a() & 63) & op.imm();
                    set!(op, if op.b() != 0 { value & LOW } else { value });
                }
                Kind::Extr64 => {
                    let both = u128::from(n) << 64 | u128::from(m!());
                    set!(op, (both >> (op.a() & 63)) as u64);
                }
                Kind::Extr32 => {
                    let both = (n & LOW) << 32 | m!() & LOW;
                    set!(op, both >> (op.a() & 31) & LOW);
                }

                Kind::B => branch!(op),
                Kind::Bl => {
                    core.x[30] = link!();
                    branch!(op);
                }
                Kind::BCond => {
                    if core.nzcv.holds(op.form()) {
                        branch!(op);
                    }
                }
                Kind::Cbz64 => {
                    if core.x[op.rd()] == 0 {
                        branch!(op);
                    }
                }
                Kind::Cbz32 => {
                    if core.x[op.rd()] & LOW == 0 {
                        branch!(op);
                    }
                }
                Kind::Cbnz64 => {
                    if core.x[op.rd()] != 0 {
                        branch!(op);
                    }
                }
                Kind::Cbnz32 => {
                    if core.x[op.rd()] & LOW != 0 {
                        branch!(op);
                    }
                }
                Kind::Tbz => {
                    if core.x[op.rd()] >> (op.a() & 63) & 1 == 0 {
                        branch!(op);
                    }
                }
                Kind::Tbnz => {
                    if core.x[op.rd()] >> (op.a() & 63) & 1 != 0 {
                        branch!(op);
                    }
                }
                Kind::Br | Kind::Ret => jump_to!(n.wrapping_sub(base)),
                Kind::Blr => {
                    core.x[30] = link!();
                    jump_to!(n.wrapping_sub(base));
                }
                Kind::System => {
                    leave!();
                    core.left -= 1;
                    let form = system::Form::of(op.form());
                    attempt!(system::execute(core, env, op.get()));
                    if CAREFUL || core.left <= 0 || !form.stays() {
                        continue 'page;
                    }
                    start = rest.len();
                    continue;
                }
                Kind::MrsTpidrEl0 => set!(op, core.sys.tpidr_el0),
                Kind::MrsTpidrEl1 if core.pstate.el == El::El1 => set!(op, core.sys.tpidr_el1),
                Kind::MrsSpEl0 if core.pstate.el == El::El1 && core.pstate.sp_sel => {
                    set!(op, core.sys.sp[0]);
                }
                Kind::MrsTpidrEl1 | Kind::MrsSpEl0 => undefined!(),

                Kind::Ldr64 => set!(op, load!(u64, offset!(op))),
                Kind::Ldr32 => set!(op, u64::from(load!(u32, offset!(op)))),
                Kind::Ldr16 => set!(op, u64::from(load!(u16, offset!(op)))),
                Kind::Ldr8 => set!(op, u64::from(load!(u8, offset!(op)))),
                Kind::Ldrs32To64 => set!(op, load!(u32, offset!(op)) as i32 as u64),
                Kind::Ldrs16To64 => set!(op, load!(u16, offset!(op)) as i16 as u64),
                Kind::Ldrs16To32 => set!(op, u64::from(load!(u16, offset!(op)) as i16 as u32)),
                Kind::Ldrs8To64 => set!(op, load!(u8, offset!(op)) as i8 as u64),
                Kind::Ldrs8To32 => set!(op, u64::from(load!(u8, offset!(op)) as i8 as u32)),
                Kind::Str64 => store!(u64, op, offset!(op)),
                Kind::Str32 => store!(u32, op, offset!(op)),
                Kind::Str16 => store!(u16, op, offset!(op)),
                Kind::Str8 => store!(u8, op, offset!(op)),
                Kind::LdrSp64 => set!(op, load!(u64, base!(op).wrapping_add(op.imm()))),
                Kind::StrSp64 => store!(u64, op, base!(op).wrapping_add(op.imm())),
                Kind::LdrR64 => set!(op, load!(u64, register_offset!(op))),
                Kind::LdrR32 => set!(op, u64::from(load!(u32, register_offset!(op)))),
                Kind::LdrR16 => set!(op, u64::from(load!(u16, register_offset!(op)))),
                Kind::LdrR8 => set!(op, u64::from(load!(u8, register_offset!(op)))),
                Kind::LdrsR32To64 => set!(op, load!(u32, register_offset!(op)) as i32 as u64),
                Kind::LdrsR16To64 => set!(op, load!(u16, register_offset!(op)) as i16 as u64),
                Kind::LdrsR16To32 => set!(op, u64::from(load!(u16, register_offset!(op)) as i16 as u32)),
                Kind::LdrsR8To64 => set!(op, load!(u8, register_offset!(op)) as i8 as u64),
                Kind::LdrsR8To32 => set!(op, u64::from(load!(u8, register_offset!(op)) as i8 as u32)),
                Kind::StrR64 => store!(u64, op, register_offset!(op)),
                Kind::StrR32 => store!(u32, op, register_offset!(op)),
                Kind::StrR16 => store!(u16, op, register_offset!(op)),
                Kind::StrR8 => store!(u8, op, register_offset!(op)),
                Kind::Ldp64 => {
                    let (first, second) = load_pair!(u64, n, op);
                    core.x[op.rd()] = first;
                    core.x[op.rm()] = second;
                }
                Kind::Ldp32 => {
                    let (first, second) = load_pair!(u32, base!(op), op);
                    core.x[op.rd()] = u64::from(first);
                    core.x[op.rm()] = u64::from(second);
                }
                Kind::Ldpsw => {
                    let (first, second) = load_pair!(u32, base!(op), op);
                    core.x[op.rd()] = first as i32 as u64;
                    core.x[op.rm()] = second as i32 as u64;
                }
                Kind::Stp64 => store_pair!(u64, n, op),
                Kind::Stp32 => store_pair!(u32, base!(op), op),
                Kind::LdpSp64 => {
                    let (first, second) = load_pair!(u64, base!(op), op);
                    core.x[op.rd()] = first;
                    core.x[op.rm()] = second;
                }
                Kind::StpSp64 => store_pair!(u64, base!(op), op),
                Kind::Memory => execute_memory!(op),
                Kind::LdrIndexed64 => load_indexed!(u64, n, op),
                Kind::LdrIndexed32 => load_indexed!(u32, n, op),
                Kind::LdrIndexed8 => load_indexed!(u8, n, op),
                Kind::StrIndexed64 => store_indexed!(u64, n, op),
                Kind::StrIndexed32 => store_indexed!(u32, n, op),
                Kind::StrIndexed8 => store_indexed!(u8, n, op),
                Kind::Ldar64 => load_ordered!(u64, n, op),
                Kind::Ldar32 => load_ordered!(u32, n, op),
                Kind::Ldar8 => load_ordered!(u8, n, op),
                Kind::Stlr64 => store_ordered!(u64, n, op),
                Kind::Stlr32 => store_ordered!(u32, n, op),
                Kind::Stlr8 => store_ordered!(u8, n, op),
                Kind::Atomic => {
                    if strays!(op, n) || !atomic::modify_fast(core, op.get()) {
                        execute_memory!(op);
                    }
                }

                Kind::AddR64 => set!(op, n.wrapping_add(m!())),
                Kind::AddR32 => set!(op, n.wrapping_add(m!()) & LOW),
                Kind::SubR64 => set!(op, n.wrapping_sub(m!())),
                Kind::SubR32 => set!(op, n.wrapping_sub(m!()) & LOW),
                Kind::AddsR64 => set_flags!(op, adds64(n, m!())),
                Kind::AddsR32 => set_flags!(op, adds32(n, m!())),
                Kind::SubsR64 => set_flags!(op, subs64(n, m!())),
                Kind::SubsR32 => set_flags!(op, subs32(n, m!())),
                Kind::AddS64 => set!(op, n.wrapping_add(arith::shift64(m!(), op.a(), op.b()))),
                Kind::AddS32 => set!(op, n.wrapping_add(arith::shift32(m!(), op.a(), op.b())) & LOW),
                Kind::SubS64 => set!(op, n.wrapping_sub(arith::shift64(m!(), op.a(), op.b()))),
                Kind::SubS32 => set!(op, n.wrapping_sub(arith::shift32(m!(), op.a(), op.b())) & LOW),
                Kind::AddsS64 => set_flags!(op, adds64(n, arith::shift64(m!(), op.a(), op.b()))),
                Kind::AddsS32 => set_flags!(op, adds32(n, arith::shift32(m!(), op.a(), op.b()))),
                Kind::SubsS64 => set_flags!(op, subs64(n, arith::shift64(m!(), op.a(), op.b()))),
                Kind::SubsS32 => set_flags!(op, subs32(n, arith::shift32(m!(), op.a(), op.b()))),
                Kind::AddX64 => {
                    let second = arith::extend(m!(), op.a(), op.b());
                    match op.form() & 3 {
                        0 => set!(op, n.wrapping_add(second)),
                        1 => set!(op, n.wrapping_sub(second)),
                        2 => set_flags!(op, adds64(n, second)),
                        _ => set_flags!(op, subs64(n, second)),
                    }
                }
                Kind::AddX32 => {
                    let second = arith::extend(m!(), op.a(), op.b());
                    match op.form() & 3 {
                        0 => set!(op, n.wrapping_add(second) & LOW),
                        1 => set!(op, n.wrapping_sub(second) & LOW),
                        2 => set_flags!(op, adds32(n, second)),
                        _ => set_flags!(op, subs32(n, second)),
                    }
                }
                Kind::AndR64 => set!(op, n & (m!() ^ op.imm())),
                Kind::AndR32 => set!(op, n & (m!() ^ op.imm()) & LOW),
                Kind::OrrR64 => set!(op, n | m!() ^ op.imm()),
                Kind::OrrR32 => set!(op, (n | m!() ^ op.imm()) & LOW),
                Kind::EorR64 => set!(op, n ^ m!() ^ op.imm()),
                Kind::EorR32 => set!(op, (n ^ m!() ^ op.imm()) & LOW),
                Kind::AndsR64 => {
                    let value = n & (m!() ^ op.imm());
                    set_flags!(op, (value, logic64(value)));
                }
                Kind::AndsR32 => {
                    let value = n & (m!() ^ op.imm()) & LOW;
                    set_flags!(op, (value, logic32(value)));
                }
                Kind::AndS64 => set!(op, n & (arith::shift64(m!(), op.a(), op.b()) ^ op.imm())),
                Kind::AndS32 => set!(op, n & (arith::shift32(m!(), op.a(), op.b()) ^ op.imm()) & LOW),
                Kind::OrrS64 => set!(op, n | arith::shift64(m!(), op.a(), op.b()) ^ op.imm()),
                Kind::OrrS32 => set!(op, (n | arith::shift32(m!(), op.a(), op.b()) ^ op.imm()) & LOW),
                Kind::EorS64 => set!(op, n ^ arith::shift64(m!(), op.a(), op.b()) ^ op.imm()),
                Kind::EorS32 => set!(op, (n ^ arith::shift32(m!(), op.a(), op.b()) ^ op.imm()) & LOW),
                Kind::AndsS64 => {
                    let value = n & (arith::shift64(m!(), op.a(), op.b()) ^ op.imm());
                    set_flags!(op, (value, logic64(value)));
                }
                Kind::AndsS32 => {
                    let value = n & (arith::shift32(m!(), op.a(), op.b()) ^ op.imm()) & LOW;
                    set_flags!(op, (value, logic32(value)));
                }
                Kind::Mov64 => set!(op, m!()),
                Kind::Mov32 => set!(op, m!() & LOW),
                Kind::Adc64 => {
                    let second = if op.a() != 0 { !m!() } else { m!() };
                    let (value, flags) = arith::add_with_carry64(n, second, core.nzcv.c());
                    core.x[op.rd()] = value;
                    core.nzcv = if op.b() != 0 { flags } else { core.nzcv };
                }
                Kind::Adc32 => {
                    let second = if op.a() != 0 { !m!() } else { m!() };
                    let (value, flags) = arith::add_with_carry32(n, second, core.nzcv.c());
                    core.x[op.rd()] = value;
                    core.nzcv = if op.b() != 0 { flags } else { core.nzcv };
                }
                Kind::Ccmp64 => {
                    let second = m!() | op.imm();
                    core.nzcv = match (core.nzcv.holds(op.form()), op.b() & 2 != 0) {
                        (false, _) => crate::a64::regs::Nzcv(op.a()),
                        (true, false) => subs64(n, second).1,
                        (true, true) => adds64(n, second).1,
                    };
                }
                Kind::Ccmp32 => {
                    let second = m!() | op.imm();
                    core.nzcv = match (core.nzcv.holds(op.form()), op.b() & 2 != 0) {
                        (false, _) => crate::a64::regs::Nzcv(op.a()),
                        (true, false) => subs32(n, second).1,
                        (true, true) => adds32(n, second).1,
                    };
                }
                Kind::Csel64 => set!(op, if core.nzcv.holds(op.form()) { n } else { m!() }),
                Kind::Csel32 => set!(op, if core.nzcv.holds(op.form()) { n } else { m!() } & LOW),
                Kind::Csinc64 => set!(op, if core.nzcv.holds(op.form()) { n } else { m!().wrapping_add(1) }),
                Kind::Csinc32 => {
                    set!(op, if core.nzcv.holds(op.form()) { n } else { m!().wrapping_add(1) } & LOW);
                }
                Kind::Csinv64 => set!(op, if core.nzcv.holds(op.form()) { n } else { !m!() }),
                Kind::Csinv32 => set!(op, if core.nzcv.holds(op.form()) { n } else { !m!() } & LOW),
                Kind::Csneg64 => set!(op, if core.nzcv.holds(op.form()) { n } else { m!().wrapping_neg() }),
                Kind::Csneg32 => {
                    set!(op, if core.nzcv.holds(op.form()) { n } else { m!().wrapping_neg() } & LOW)
                }
                Kind::Lslv64 => set!(op, n << (m!() & 63)),
                Kind::Lslv32 => set!(op, n << (m!() & 31) & LOW),
                Kind::Lsrv64 => set!(op, n >> (m!() & 63)),
                Kind::Lsrv32 => set!(op, (n & LOW) >> (m!() & 31)),
                Kind::Asrv64 => set!(op, (n as i64 >> (m!() & 63)) as u64),
                Kind::Asrv32 => set!(op, u64::from((n as i32 >> (m!() & 31)) as u32)),
                Kind::Rorv64 => set!(op, n.rotate_right((m!() & 63) as u32)),
                Kind::Rorv32 => set!(op, u64::from((n as u32).rotate_right((m!() & 31) as u32))),
                Kind::Udiv64 => set!(op, n.checked_div(m!()).unwrap_or(0)),
                Kind::Udiv32 => set!(op, u64::from((n as u32).checked_div(m!() as u32).unwrap_or(0))),
                Kind::Sdiv64 => {
                    set!(op, if m!() == 0 { 0 } else { (n as i64).wrapping_div(m!() as i64) as u64 })
                }
                Kind::Sdiv32 => {
                    let (n, m) = (n as i32, m!() as i32);
                    set!(op, if m == 0 { 0 } else { u64::from(n.wrapping_div(m) as u32) });
                }
                Kind::Madd64 => set!(op, core.x[op.a()].wrapping_add(n.wrapping_mul(m!()))),
                Kind::Madd32 => set!(op, core.x[op.a()].wrapping_add(n.wrapping_mul(m!())) & LOW),
                Kind::Msub64 => set!(op, core.x[op.a()].wrapping_sub(n.wrapping_mul(m!()))),
                Kind::Msub32 => set!(op, core.x[op.a()].wrapping_sub(n.wrapping_mul(m!())) & LOW),
                Kind::Smaddl => {
                    let product = i64::from(n as i32) * i64::from(m!() as i32);
                    set!(op, core.x[op.a()].wrapping_add(product as u64));
                }
                Kind::Smsubl => {
                    let product = i64::from(n as i32) * i64::from(m!() as i32);
                    set!(op, core.x[op.a()].wrapping_sub(product as u64));
                }
                Kind::Umaddl => set!(op, core.x[op.a()].wrapping_add((n & LOW) * (m!() & LOW))),
                Kind::Umsubl => set!(op, core.x[op.a()].wrapping_sub((n & LOW) * (m!() & LOW))),
                Kind::Smulh => {
                    let product = i128::from(n as i64) * i128::from(m!() as i64);
                    set!(op, (product >> 64) as u64);
                }
                Kind::Umulh => set!(op, ((u128::from(n) * u128::from(m!())) >> 64) as u64),
                Kind::Rbit64 => set!(op, n.reverse_bits()),
                Kind::Rbit32 => set!(op, u64::from((n as u32).reverse_bits())),
                Kind::Rev16 => set!(op, arith::rev16(n)),
                Kind::Rev16W => set!(op, arith::rev16(n) & LOW),
                Kind::Rev32 => set!(op, n.swap_bytes().rotate_left(32)),
                Kind::Rev64 => set!(op, n.swap_bytes()),
                Kind::RevW => set!(op, u64::from((n as u32).swap_bytes())),
                Kind::Clz64 => set!(op, u64::from(n.leading_zeros())),
                Kind::Clz32 => set!(op, u64::from((n as u32).leading_zeros())),
                Kind::Cls64 => set!(op, arith::cls64(n)),
                Kind::Cls32 => set!(op, arith::cls32(n)),
                Kind::Crc32 => set!(op, u64::from(arith::crc32(n as u32, m!(), op.a(), op.b() != 0))),
                Kind::Flags => arith::flags(core, op.get()),

                Kind::Fp => {
                    fp_access!();
                    fp::execute(core, op.get());
                }
                Kind::Simd => {
                    fp_access!();
                    simd::execute(core, op.get());
                }
                Kind::SimdMemory => {
                    fp_access!();
                    sync!();
                    attempt!(simd::execute_memory(core, env, op.get()));
                }
            }
            if CAREFUL {
                core.left -= (start - rest.len()) as i64;
                core.pc = base.wrapping_add(here!() as u64 * 4 + 4);
                continue 'page;
            }
        }
    }
}
