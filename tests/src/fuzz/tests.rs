use std::collections::BTreeSet;

use emulator::machine::Machine;
use emulator::qtest::serve;

use super::action::Action;
use super::board::{Board, Q35, VIRT};
use super::minimize::minimize;
use super::record::{Input, Record};
use super::*;

/// Inputs for each target.
const INPUTS: u64 = 20_000;

/// Xorshift, so that every run sees the same inputs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    fn input(&mut self, layout: Layout) -> Vec<u8> {
        match layout {
            Layout::Records => {
                let config = self.next() as u8;
                let records = (0..self.below(24)).map(|_| self.record()).collect();
                Input { config, records }.to_bytes()
            }
            Layout::Text => (0..self.below(12)).flat_map(|_| self.line().into_bytes()).collect(),
        }
    }

    fn record(&mut self) -> Record {
        let (bits, value) = (self.next(), self.next());
        // Small values are as likely as any.
        let value = value >> (bits >> 32 & 63);
        Record { kind: bits as u8, place: (bits >> 8) as u8, shape: (bits >> 16) as u16, value }
    }

    fn line(&mut self) -> String {
        const WORDS: [&str; 16] = [
            "readl",
            "writel",
            "readq",
            "writeq",
            "read",
            "write",
            "outl",
            "inl",
            "memset",
            "b64write",
            "clock_step",
            "clock_set",
            "irq_intercept_in",
            "lapic",
            "b64read",
            "x",
        ];
        let mut line = WORDS[self.below(WORDS.len())].to_owned();
        for _ in 0..self.below(4) {
            let number = self.next();
            line += &match self.below(5) {
                0 => format!(" {:#x}", number & 0x1fff),
                1 => format!(" {:#x}", 0xfed9_0000 + (number & 0x2ff)),
                2 => format!(" {}", number & 0xff),
                3 => format!(" {:#x}", number),
                _ => format!(" {}", WORDS[self.below(WORDS.len())]),
            };
        }
        line + "\n"
    }
}

fn run_seeds(name: &str, inputs: u64) {
    let target = Target::named(name).unwrap();
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..inputs {
        (target.run)(&random.input(target.layout));
    }
}

#[test]
fn vtd_survives_fixed_seeds() {
    run_seeds("vtd", INPUTS);
}

#[test]
fn decoders_survive_fixed_seeds() {
    run_seeds("decode", INPUTS);
}

#[test]
fn smmuv3_survives_fixed_seeds() {
    // Half of them run twice, beside a second unit that walks for each DMA.
    run_seeds("smmuv3", INPUTS / 4);
}

#[test]
fn smmuv3_decoders_survive_fixed_seeds() {
    run_seeds("smmuv3_decode", INPUTS);
}

#[test]
fn interrupt_controller_survives_fixed_seeds() {
    run_seeds("gic", INPUTS);
}

#[test]
fn nvme_controller_survives_fixed_seeds() {
    run_seeds("nvme", INPUTS / 4);
}

#[test]
fn machine_survives_fixed_seeds() {
    run_seeds("pci", INPUTS);
}

#[test]
fn iommufd_survives_fixed_seeds() {
    // Each has a host of its own, and maps and forks.
    run_seeds("iommufd", INPUTS / 4);
}

#[test]
fn protocol_survives_fixed_seeds() {
    run_seeds("qtest", INPUTS);
}

#[test]
fn inputs_are_what_their_bytes_say() {
    let data = [0x12, 3, 4, 0x06, 0x05, 8, 7, 6, 5, 4, 3, 2, 1, 0xff];
    let full = Record { kind: 3, place: 4, shape: 0x0506, value: 0x0102_0304_0506_0708 };
    let cut_off = Record { kind: 0xff, ..Record::default() };
    let input = Input::parse(&data);
    assert_eq!(input, Input { config: 0x12, records: vec![full, cut_off] });
    assert_eq!(input.to_bytes()[..14], data);
    assert_eq!(Input::parse(&input.to_bytes()), input);
    assert_eq!(Input::parse(&[0; 4000]).records.len(), record::MAX_RECORDS);
}

/// Inputs that the unit's target draws, one after the other.
fn unit_inputs(count: usize) -> impl Iterator<Item = (vtd::Variant, Vec<Action>)> {
    let mut random = Random(77);
    (0..count).map(move |_| vtd::plan(&random.input(Layout::Records)))
}

#[test]
fn seeds_reach_the_faults_and_queue_errors_there_are() {
    let (mut reasons, mut errors) = (BTreeSet::new(), BTreeSet::new());
    let directed = seeds::seeds().into_iter().filter(|seed| seed.target == "vtd");
    let directed = directed.map(|seed| vtd::plan(&seed.data));
    for (variant, actions) in unit_inputs(3000).chain(directed) {
        let registers = vtd::registers_after(variant, &actions);
        // FRCD from 0x220 on: F is bit 31 and the reason bits 7:0 of its last dword.
        let records = registers[0x220 / 4..].chunks(4).map(|record| record[3]);
        reasons.extend(records.filter(|high| high >> 31 == 1).map(|high| high & 0xff));
        errors.insert(registers[0xb0 / 4] & 0xf);
    }
    let expected = [
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x20, 0x21, 0x22,
        0x23, 0x24, 0x25, 0x26, 0x29, 0x30, 0x31, 0x33,
    ];
    assert_eq!(reasons, expected.into());
    assert_eq!(errors, [0, 1, 2, 3, 4, 5, 6, 7].into());
}

#[test]
fn a_script_does_to_a_machine_what_the_input_does_to_the_unit() {
    let plain = |action: &Action| !matches!(action, Action::Dma(dma) if !dma.is_plain());
    let mut compared = 0;
    for (variant, actions) in unit_inputs(400) {
        if variant.full || !actions.iter().all(plain) {
            continue;
        }
        let expected = vtd::registers_after(variant, &actions);
        let mut board = Board::new(&variant.options()).unwrap();
        for step in Q35.lower(&actions) {
            step.run(&mut board.machine);
        }
        // What is due now has run in the other one.
        step::Step::Clock(1).run(&mut board.machine);
        let read = |offset| step::Step::Read { address: Q35.unit + offset, size: 4 };
        let found: Vec<_> = (0..0x2a0).step_by(4).map(|at| read(at).run(&mut board.machine)).collect();
        assert_eq!(found, expected, "{actions:x?}");
        compared += usize::from(actions.iter().any(|action| matches!(action, Action::Dma(_))));
    }
    assert!(compared > 20, "only {compared} inputs with DMA were compared");
}

#[test]
fn a_script_does_to_a_virt_what_the_input_does_to_the_smmu() {
    let mut random = Random(79);
    let drawn: Vec<_> = (0..600).map(|_| random.input(Layout::Records)).collect();
    let directed = seeds::seeds().into_iter().filter(|seed| seed.target == "smmuv3").map(|seed| seed.data);
    let mut compared = 0;
    for data in drawn.into_iter().chain(directed) {
        let (variant, ops) = smmuv3::plan(&data);
        let variant = smmuv3::Variant { cache: devices::iommu::cache::Policy::Off, ..variant };
        let actions = smmuv3::plan::actions(&ops, variant.has_el2());
        if actions.iter().any(|action| matches!(action, Action::Dma(dma) if !dma.is_plain())) {
            continue;
        }
        let expected = smmuv3::registers_after(variant, &ops);
        let mut machine = Machine::new(&VIRT.machine(&variant.options()).unwrap()).unwrap();
        for step in VIRT.prologue().into_iter().chain(VIRT.lower(&actions)) {
            step.run(&mut machine);
        }
        // What is due now has run in the other one.
        step::Step::Clock(1).run(&mut machine);
        let read = |offset| step::Step::Read { address: VIRT.unit + offset, size: 4 };
        let found: Vec<_> = smmuv3::registers().map(|at| read(at).run(&mut machine)).collect();
        assert_eq!(found, expected, "{actions:x?}");
        compared += usize::from(actions.iter().any(|action| matches!(action, Action::Dma(_))));
    }
    assert!(compared > 20, "only {compared} inputs with DMA were compared");
}

#[test]
fn scripts_are_what_a_server_understands() {
    let mut random = Random(5);
    for name in ["smmuv3", "smmuv3_decode", "gic"] {
        let target = Target::named(name).unwrap();
        let Script { command, lines } = (target.script)(&random.input(target.layout));
        assert!(command.starts_with("iommulator qtest --stdio --machine virt --iommu smmuv3."), "{command}");
        assert!(!lines.is_empty());
    }
    for name in ["vtd", "decode", "pci"] {
        let target = Target::named(name).unwrap();
        let Script { command, lines } = (target.script)(&random.input(target.layout));
        assert!(command.starts_with("iommulator qtest --stdio --iommu vtd-legacy"), "{command}");
        let board = Board::new(qtest::IOMMU).unwrap();
        let mut machine: Machine = board.machine;
        let mut output = Vec::new();
        serve(&mut machine, (lines.join("\n") + "\n").as_bytes(), &mut output).unwrap();
        let replies = String::from_utf8(output).unwrap();
        assert_eq!(replies.lines().count(), lines.len());
        for (line, reply) in lines.iter().zip(replies.lines()) {
            // Time cannot be advanced by nothing.
            assert!(reply.starts_with("OK") || line == "clock_step 0", "{line}: {reply}");
        }
    }
}

#[test]
fn the_corpus_is_up_to_date_and_passes() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for seeds::Seed { target, name, data } in seeds::seeds() {
        let stored = std::fs::read(corpus.join(target).join(name)).unwrap_or_default();
        assert_eq!(stored, data, "{target}/{name}: run the binary `seeds`");
        (Target::named(target).unwrap().run)(&data);
    }
}

#[test]
fn what_the_fuzzer_found_of_iommufd_passes() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/iommufd");
    let files = std::fs::read_dir(corpus).unwrap().map(|file| file.unwrap());
    let found: Vec<_> =
        files.filter(|file| file.file_name().to_string_lossy().starts_with("found-")).collect();
    assert!(found.len() >= 40, "{} inputs", found.len());
    for file in found {
        iommufd::iommufd(&std::fs::read(file.path()).unwrap());
    }
}

/// An input in the corpus that failed once.
fn found_of_smmuv3(name: &str) -> Vec<u8> {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/smmuv3");
    std::fs::read(corpus.join(name)).unwrap()
}

#[test]
fn what_is_tried_again_while_caches_are_dropped_fills_them() {
    // CMD_SYNC has a held transaction tried again before the unit of the comparison can know.
    smmuv3::smmuv3(&found_of_smmuv3("found-01"));
}

#[test]
fn a_cd_that_was_read_through_stage_2_outlives_its_translation() {
    // Stage 2 no longer leads to the CD, and translations alone were dropped.
    smmuv3::smmuv3(&found_of_smmuv3("found-02"));
}

#[test]
fn seeds_of_iommufd_make_every_call_succeed() {
    let seeds = seeds::seeds().into_iter().filter(|seed| seed.target == "iommufd");
    let done = seeds.fold(0, |done, seed| done | iommufd::report(&seed.data).done);
    // Opens, forks, exits, steps to fail and checks are not calls, and the last is refused.
    let calls = (1 << 58) - 1;
    let missing: Vec<u32> = (0..64).filter(|kind| calls & !done & 1 << kind != 0).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_prepared_process_has_what_nesting_takes() {
    let lines = iommufd::report(&[1]).lines;
    assert_eq!(lines.len(), 9, "{lines:#?}");
    for line in lines {
        assert!(line.contains(" = 0, "), "{line}");
    }
}

#[test]
fn minimizing_leaves_what_the_failure_needs() {
    let needed = |record: &Record| (record.place, record.shape & 0xff) == (0x42, 0x99);
    let last = |record: &Record| record.value > 0xff_ffff;
    let fails = |data: &[u8]| {
        let records = Input::parse(data).records;
        let first = records.iter().position(needed);
        first.is_some_and(|at| records[at..].iter().filter(|record| last(record)).count() >= 2)
    };
    let mut random = Random(9);
    let mut records: Vec<_> = (0..40).map(|_| random.record()).collect();
    records[7] = Record { place: 0x42, shape: 0x1299, ..records[7] };
    records[20].value = 0x12_3456_7890;
    records[30].value = 0x22_3456_7890;
    let data = Input { config: 3, records }.to_bytes();
    let target = Target::named("vtd").unwrap();
    let smallest = minimize(target, &data, fails);
    assert!(fails(&smallest));
    let Input { config, records } = Input::parse(&smallest);
    assert_eq!((config, records.len()), (0, 3));
    assert_eq!(records[0], Record { place: 0x42, shape: 0x99, ..Record::default() });
    assert!(records[1..].iter().all(|record| record.value != 0 && record.kind == 0), "{records:x?}");
    assert_eq!(minimize(target, b"fine", |_| false), b"fine", "what does not fail stays as it is");
}

#[test]
fn minimizing_text_leaves_lines() {
    let target = Target::named("qtest").unwrap();
    let fails = |data: &[u8]| data.windows(4).any(|part| part == b"bad ") && data.contains(&b'!');
    assert_eq!(minimize(target, b"a\nbad 1\nb\nc !\nd", fails), b"bad 1\nc !\n");
}

#[test]
fn seeds_reach_the_events_and_command_errors_there_are() {
    let (mut events, mut errors, mut compared, mut resumed) = (BTreeSet::new(), BTreeSet::new(), 0, 0);
    let mut random = Random(77);
    let drawn: Vec<_> = (0..3000).map(|_| random.input(Layout::Records)).collect();
    let directed = seeds::seeds().into_iter().filter(|seed| seed.target == "smmuv3").map(|seed| seed.data);
    for data in drawn.into_iter().chain(directed) {
        let (variant, ops) = smmuv3::plan(&data);
        let reached = smmuv3::reached(variant, &ops);
        events.extend(reached.events);
        errors.extend(reached.errors);
        compared += reached.compared;
        resumed += reached.resumed;
    }
    // All but F_UUT, which nothing here makes [SMMUv3 7.3].
    let expected = [0x02, 0x03, 0x04, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13];
    assert_eq!(events, expected.into());
    // Software can write others, while the queue is off.
    assert!(errors.is_superset(&[0, 1, 2].into()), "{errors:?}");
    assert!(compared > 300 && resumed > 2, "{compared} compared, {resumed} resumed");
}

#[test]
fn seeds_make_processors_take_every_kind_of_interrupt() {
    let mut random = Random(78);
    let drawn: Vec<_> = (0..3000).map(|_| random.input(Layout::Records)).collect();
    let directed = seeds::seeds().into_iter().filter(|seed| seed.target == "gic").map(|seed| seed.data);
    let (mut messages, mut taken) = (0, [0; 3]);
    for data in drawn.into_iter().chain(directed) {
        let (variant, ops) = gic::plan(&data);
        let reached = gic::reached(variant, &ops);
        messages += reached.messages;
        std::iter::zip(&mut taken, reached.taken).for_each(|(sum, more)| *sum += more);
    }
    assert!(messages > 0 && taken.iter().all(|kind| *kind > 0), "{messages} messages, {taken:?} taken");
}
