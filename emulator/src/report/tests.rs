use devices::addr::{Iova, SourceId, StreamId};
use devices::trace::TraceEvent;

use super::*;
use crate::trace::Sink;

const ONE: SourceId = SourceId::new(0, 1, 0);
const TWO: SourceId = SourceId::new(0, 2, 0);
const RECORDED: &str = "recorded";
const FPD: &str = "suppressed by FPD";

fn rules(expect: &[&str], deny_others: bool) -> Rules {
    Rules { expect: expect.iter().map(|text| text.parse().unwrap()).collect(), deny_others }
}

fn fault(source: SourceId, reason: u8, fate: &'static str) -> TraceEvent {
    TraceEvent::Fault { unit: "vtd", source, reason, what: "words", address: 0x5000, fate }
}

fn event(stream: u32, kind: u8, what: &'static str, fate: &'static str) -> TraceEvent {
    TraceEvent::Event {
        unit: "smmuv3",
        stream: StreamId(stream),
        kind,
        what,
        address: Iova(0x5000),
        words: [u64::from(stream) << 32 | u64::from(kind), 0, 0x5000, 0],
        fate,
    }
}

#[test]
fn events_of_an_smmu_are_judged_by_stream_and_address() {
    let unwanted = "not to be recorded";
    for (expect, deny, events, broken) in [
        (&["event=F_TRANSLATION,stream=8"][..], true, &[event(8, 0x10, "F_TRANSLATION", RECORDED)][..], ""),
        (
            &["event=F_TRANSLATION,address=0x6000"],
            false,
            &[event(8, 0x10, "F_TRANSLATION", RECORDED)],
            "expected event=F_TRANSLATION,address=0x6000 (0x10, nothing is mapped) was not seen; seen: 0x10@stream 0x8",
        ),
        (
            &["event=C_BAD_STREAMID"],
            false,
            &[event(8, 0x02, "C_BAD_STREAMID", unwanted)],
            "expected event=C_BAD_STREAMID (0x02, the stream table has no entry for the StreamID) was not seen; \
             seen: 0x02@stream 0x8 not to be recorded",
        ),
        (&[], true, &[event(8, 0x02, "C_BAD_STREAMID", unwanted)], ""),
        (
            &[],
            true,
            &[event(8, 0x12, "F_ACCESS", "lost to overflow")],
            "unexpected fault 0x12 (the access flag is clear) by stream 0x8 at 0x5000, lost to overflow, at time \
             0.007 us; if it is right, allow it with --expect event=F_ACCESS,stream=0x8",
        ),
    ] {
        let mut watch = Watch::new(rules(expect, deny), 0);
        events.iter().for_each(|event| watch.record(Time(7), event));
        assert_eq!(watch.take().broken().collect::<Vec<_>>().join("; "), broken);
    }
}

fn summary<'a>(seen: &'a Seen, machine: &'a MachineConfig, command: &'a [String]) -> Summary<'a> {
    Summary {
        name: "guest",
        command,
        driver: "hosted",
        machine,
        time: Time(1_500_000_000),
        exit: Exit::GuestFailed,
        failure: None,
        value: Some(0),
        seen,
    }
}

#[test]
fn rules_are_broken_by_what_is_missing_and_by_what_nobody_expected() {
    let late = "lost to overflow";
    type Row<'a> = (&'a [&'a str], bool, &'a [(SourceId, u8, &'static str)], &'a [&'a str]);
    let rows: &[Row<'_>] = &[
        (&[], false, &[(ONE, 6, RECORDED)], &[]),
        (&[], true, &[], &[]),
        (&["fault:6@00:01.0"], true, &[(ONE, 6, RECORDED), (ONE, 6, late)], &[]),
        (
            &["fault:6@00:01.0"],
            false,
            &[],
            &["expected fault:6@00:01.0 (0x06, no read permission) was not seen; no fault was"],
        ),
        (
            &["fault:6@00:01.0", "fault:LGN.2"],
            false,
            &[(TWO, 6, RECORDED), (TWO, 6, late), (TWO, 5, FPD)],
            &[
                "expected fault:6@00:01.0 (0x06, no read permission) was not seen; \
                 seen: 0x06@00:02.0 (2 times), 0x05@00:02.0 suppressed by FPD",
                "expected fault:LGN.2 (0x05, no write permission) was not seen; \
                 seen: 0x05@00:02.0 suppressed by FPD, 0x06@00:02.0 (2 times)",
            ],
        ),
        (
            &["fault:6@00:01.0"],
            true,
            &[(TWO, 6, late), (ONE, 6, RECORDED), (ONE, 5, RECORDED)],
            &["unexpected fault 0x06 (words) by 00:02.0 at 0x5000, lost to overflow, at time 0.007 us \
               (the first of 2); if it is right, allow it with --expect fault:0x06@00:02.0"],
        ),
        (&[], true, &[(ONE, 2, FPD)], &[]),
    ];
    for (expect, deny, faults, expected) in rows {
        let mut watch = Watch::new(rules(expect, *deny), 0);
        for (source, reason, fate) in *faults {
            watch.record(Time(7), &fault(*source, *reason, fate));
        }
        let broken: Vec<String> = watch.take().faults.broken().collect();
        assert_eq!(broken, *expected, "{expect:?}");
    }
}

#[test]
fn what_a_guest_makes_much_of_is_counted_and_not_kept() {
    let mut watch = Watch::new(rules(&["fault:6"], true), 3);
    for time in 0..1500 {
        watch.record(Time(time), &fault(ONE, 6, RECORDED));
    }
    // The last one, which is not in the list, is the one that matters.
    watch.record(Time(1500), &fault(TWO, 5, RECORDED));
    for number in 1..=10_002 {
        watch.console(format!("ok {number}\n").as_bytes());
    }
    for _ in 0..5 {
        watch.console(&vec![b'x'; (1 << 20) - 1]);
    }
    watch.console(b"end");
    let seen = watch.take();
    assert_eq!((seen.faults.total(), seen.faults.list().len(), seen.faults.unexpected()), (1501, 1000, 1));
    assert!(seen.faults.denied().unwrap().starts_with("unexpected fault 0x05 (words) by 00:02.0"));
    let times: Vec<u64> = seen.events.iter().map(|(time, _)| time.0).collect();
    assert_eq!(times, [1498, 1499, 1500]);
    assert_eq!((seen.checks.len(), seen.more_checks), (10_000, 2));
    assert_eq!(seen.console.len(), 1 << 20);
    assert!(seen.console.ends_with(b"xxend"));
    let json = to_json(&summary(&seen, &MachineConfig::default(), &[]));
    assert_eq!((&json["faults"]["left_out"], &json["guest"]["left_out"]), (&501.into(), &2.into()));
}

#[test]
fn only_a_failing_report_is_a_failure() {
    for (console, expected) in [
        ("", None),
        ("Linux version 6\nok\n", None),
        ("ok 1 - a\n", None),
        ("ok 1 - a\nok 1 - b\n1..1\n", None),
        ("not ok 1 - a # TODO b\n", None),
        ("ok 1 - a\nnot ok 2 - b", Some("1 of 2 checks did not hold; see the lines 'not ok'")),
        ("Bail out! no unit\n", Some("the guest gave up: no unit")),
    ] {
        let watch = Watch::new(Rules::default(), 0);
        watch.console(console.as_bytes());
        let failure = watch.take().guest_failure().map(|failure| failure.to_string());
        assert_eq!(failure.as_deref(), expected, "{console}");
    }
}

#[test]
fn junit_tells_failures_errors_and_skips_apart() {
    let mut watch = Watch::new(rules(&["fault:6", "fault:5"], true), 0);
    watch.record(Time(7), &fault(ONE, 6, RECORDED));
    watch.console(b"ok 1 - <a> & \"b\"\nnot ok 2 - c\x07\nok 3 - d # SKIP e\n\xff\x1b]]>\r\n");
    let seen = watch.take();
    let (machine, command) = (MachineConfig::default(), ["a b".to_owned(), "c".to_owned()]);
    let summary =
        Summary { failure: Some("too <late>"), exit: Exit::Timeout, ..summary(&seen, &machine, &command) };
    let xml = to_junit(&summary);
    let document = roxmltree::Document::parse(&xml).unwrap();
    let suite = document.root_element().first_element_child().unwrap();
    let counts = ["tests", "failures", "errors", "skipped", "time"].map(|name| suite.attribute(name));
    assert_eq!(counts, [Some("7"), Some("2"), Some("1"), Some("1"), Some("1.500000000")]);
    let cases: Vec<_> = suite
        .children()
        .filter(|node| node.has_tag_name("testcase"))
        .map(|case| {
            let result = case.first_element_child();
            let result =
                result.map(|result| (result.tag_name().name(), result.attribute("message").unwrap()));
            (case.attribute("classname").unwrap(), case.attribute("name").unwrap(), result)
        })
        .collect();
    let missing = "expected fault:5 (0x05, no write permission) was not seen; seen: 0x06@00:01.0";
    assert_eq!(
        cases,
        [
            ("guest.run", "the run succeeds", Some(("error", "timeout: too <late>"))),
            ("guest.guest", "1 - <a> & \"b\"", None),
            ("guest.guest", "2 - c\u{fffd}", Some(("failure", "the check did not hold"))),
            ("guest.guest", "3 - d", Some(("skipped", "SKIP e"))),
            ("guest.faults", "--expect fault:6", None),
            ("guest.faults", "--expect fault:5", Some(("failure", missing))),
            ("guest.faults", "--deny-faults", None),
        ]
    );
    let text = |name| suite.descendants().find(|node| node.has_tag_name(name)).and_then(|node| node.text());
    assert!(text("system-out").unwrap().ends_with("\n\u{fffd}\u{fffd}]]>\r\n"));
    assert!(xml.contains("<property name=\"command\" value=\"'a b' c\"/>"), "{xml}");
}

#[test]
fn words_survive_a_shell() {
    let words = ["", "a-b.c:d=1,2@3", "two words", "it's", "*", "$x"].map(str::to_owned);
    assert_eq!(bundle::shell_words(&words), r"'' a-b.c:d=1,2@3 'two words' 'it'\''s' '*' '$x'");
}
