//! A whole unit, brought up as Linux does it, with DMA before it.

use super::*;
use crate::fabric::{DmaPort, Initiator, Outcome, Request};
use crate::smmuv3::Unit;

const STREAM_TABLE: u64 = 0x4_0000;

struct Machine {
    unit: Unit,
    mem: PhysMem,
    fx: Effects,
    messages: Vec<(u64, u32)>,
}

impl Machine {
    fn new(config: Config) -> Self {
        let mem = PhysMem::anonymous(&[(Pa(0), 0x10_0000)]).unwrap();
        let unit = Unit::new(config, mem.clone());
        Self { unit, mem, fx: Effects::new(Time(0), false), messages: Vec::new() }
    }

    fn w32(&mut self, offset: u64, value: u32) {
        self.unit.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    fn w64(&mut self, offset: u64, value: u64) {
        self.unit.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    fn r32(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.unit.read(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn set(&self, pa: u64, word: u64) {
        self.mem.write(Pa(pa), &word.to_le_bytes()).unwrap();
    }

    fn get(&self, pa: u64) -> u64 {
        self.mem.load64(Pa(pa)).unwrap()
    }

    fn deliver(&mut self) {
        loop {
            let effects = self.fx.take();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Event { report, .. } => self.unit.report(report, &mut self.fx),
                    Effect::Schedule { event, .. } => self.unit.event(event, &mut self.fx),
                    Effect::PostedWrite { address, data, .. } => self.messages.push((address, data)),
                    Effect::Pulse { .. } | Effect::SendEvent { .. } | Effect::Resume { .. } => {}
                    other => unreachable!("{other:?} of an SMMU"),
                }
            }
        }
    }

    fn port(&self, stream: u32) -> DmaPort {
        let initiator = Initiator::Platform { stream: StreamId(stream), can_stall: true };
        let mut port = DmaPort::of(initiator, self.mem.clone(), self.unit.translator());
        port.set_enabled(true);
        port
    }

    /// One command and a CMD_SYNC behind it, whose message clears its own first word.
    fn command(&mut self, words: [u64; 2]) {
        let prod = self.r32(CMDQ_PROD);
        let at = |n: u32| COMMANDS + u64::from((prod + n) & 0xff) * 16;
        self.set(at(0), words[0]);
        self.set(at(0) + 8, words[1]);
        self.set(at(1), 0x0fc0_1046);
        self.set(at(1) + 8, at(1));
        self.w32(CMDQ_PROD, (prod + 2) & 0x1ff);
        assert_eq!((self.get(at(1)), self.r32(GERROR)), (0, 0));
    }

    /// Writes one register and waits for its acknowledgement.
    fn update(&mut self, offset: u64, value: u32) {
        self.w32(offset, value);
        assert_eq!(self.r32(offset + 4), value);
    }

    /// What Linux does with a device at reset.
    fn bring_up(&mut self) {
        self.update(CR0, 0);
        self.w32(0x28, 0xd75);
        self.w32(CR2, 0x6);
        // A linear table of 256 streams.
        self.w64(0x80, 1 << 62 | STREAM_TABLE);
        self.w32(0x88, 8);
        self.w64(CMDQ_BASE, 1 << 62 | COMMANDS | 8);
        self.w32(CMDQ_PROD, 0);
        self.w32(CMDQ_CONS, 0);
        self.update(CR0, CMDQEN);
        self.command([0x04, 0x1f]);
        self.command([0x20, 0]);
        self.command([0x30, 0]);
        self.w64(EVENTQ_BASE, 1 << 62 | EVENTS | 7);
        self.w32(EVENTQ_PROD, 0);
        self.w32(EVENTQ_CONS, 0);
        self.update(CR0, CMDQEN | EVENTQEN);
        self.update(IRQ_CTRL, 0);
        self.w64(0xb0, DOORBELL);
        self.w32(0xb8, 1);
        self.w32(0xbc, 1);
        self.update(IRQ_CTRL, 5);
        self.update(CR0, CMDQEN | EVENTQEN | SMMUEN);
    }
}

fn nested() -> Config {
    let doorbell = Some(Doorbell { first: Pa(0x0809_0000), last: Pa(0x0809_ffff) });
    Config { doorbell, ..Config::preset("smmuv3.2-nested").unwrap() }
}

#[test]
fn a_driver_finds_its_way() {
    let mut machine = Machine::new(nested());
    machine.bring_up();
    // Stream 5 bypasses: V, Config 100. The others' entries are not valid.
    machine.set(STREAM_TABLE + 5 * 64, 0b1001);
    assert_eq!(machine.port(5).write(Request::at(0x5000), &[1], &mut machine.fx).outcome, Outcome::Done);
    assert_eq!(machine.get(0x5000), 1);
    // C_BAD_STE, then C_BAD_STREAMID.
    for (stream, prod, kind) in [(6, 1, 0x04), (256, 2, 0x02)] {
        let outcome = machine.port(stream).write(Request::at(0x5000), &[2], &mut machine.fx).outcome;
        assert!(matches!(outcome, Outcome::Abort(_)), "{stream}: {outcome}");
        machine.deliver();
        assert_eq!(machine.r32(EVENTQ_PROD), prod);
        let at = EVENTS + u64::from(prod - 1) * 32;
        let record = [0, 8, 16, 24].map(|word| machine.get(at + word));
        assert_eq!(record, [u64::from(stream) << 32 | kind, 0, 0, 0]);
    }
    assert_eq!(machine.messages, [(DOORBELL, 1)], "the queue was not empty the second time");
    // An entry that becomes an abort is seen after CMD_CFGI_STE and CMD_SYNC at the latest.
    machine.set(STREAM_TABLE + 5 * 64, 0b0001);
    machine.command([5 << 32 | 0x03, 1]);
    let outcome = machine.port(5).write(Request::at(0x5000), &[3], &mut machine.fx).outcome;
    assert!(matches!(outcome, Outcome::Abort(_)), "{outcome}");
    machine.deliver();
    assert_eq!((machine.r32(EVENTQ_PROD), machine.get(0x5000)), (2, 1), "silently");
}

#[test]
fn random_software_with_dma_does_no_harm() {
    for (seed, name) in (1..).zip(Config::PRESETS.iter().cycle().take(24)) {
        let mut random = Random(0x1234_5678_9abc_def1 ^ (seed << 40));
        let mut machine =
            Machine::new(Config { doorbell: nested().doorbell, ..Config::preset(name).unwrap() });
        machine.bring_up_loosely(&mut random);
        let ports = [machine.port(1), machine.port(5), machine.port(0xffff_ffff)];
        for _ in 0..600 {
            let word = random.next();
            match random.below(6) {
                0 => machine.w32(random.below(0x40) * 4, word as u32),
                1 => machine.set(STREAM_TABLE + random.below(0x400) * 8, word & random.next() | 1),
                2 => machine.w32(CMDQ_PROD, word as u32),
                3 => {
                    let at = COMMANDS + random.below(0x100) * 16;
                    machine.set(
                        at,
                        word & !0xff | [0x03, 0x12, 0x30, 0x44, 0x45, 0x46][(word & 7).min(5) as usize],
                    );
                    machine.set(at + 8, random.next());
                }
                4 => {
                    machine.w32(EVENTQ_CONS, word as u32);
                    machine.w32(GERRORN, word as u32);
                    machine.w32(CR0, CMDQEN | EVENTQEN | SMMUEN);
                }
                _ => {
                    let port = &ports[random.below(3) as usize];
                    port.write(Request::at(word >> random.below(64)), &[0; 16], &mut machine.fx);
                    machine.deliver();
                }
            }
        }
        let saved = machine.unit.save();
        machine.unit.restore(saved.clone());
        assert_eq!(machine.unit.save(), saved, "{name}");
    }
}

impl Machine {
    /// Everything on, tables and queues filled with what may make sense.
    fn bring_up_loosely(&mut self, random: &mut Random) {
        self.w64(0x80, STREAM_TABLE);
        self.w32(0x88, 6);
        self.w64(CMDQ_BASE, COMMANDS | 8);
        self.w64(EVENTQ_BASE, EVENTS | 3);
        for stream in 0..64 {
            // V, some Config, tables within memory.
            self.set(STREAM_TABLE + stream * 64, 0x5_0000 | (random.below(8) << 1) | 1);
            self.set(STREAM_TABLE + stream * 64 + 16, 1 << 51 | random.next() & 0x3f | 25 << 32);
            self.set(STREAM_TABLE + stream * 64 + 24, 0x6_0000);
        }
        self.w32(CR0, CMDQEN | EVENTQEN | SMMUEN);
    }
}
