//! The report for programs.

use serde_json::{Value, json};

use super::{Check, CheckOutcome, Expectation, Master, SeenFault, Summary};

/// The version of the format: it counts up when a member changes its meaning or goes away.
const FORMAT: u32 = 1;

/// The report as JSON. 64-bit addresses and codes are text, because readers of JSON keep only 53
/// bits of a number; times are nanoseconds of machine time.
pub fn to_json(summary: &Summary<'_>) -> Value {
    let Summary { name, command, driver, machine, time, exit, failure, value, seen } = summary;
    let faults = &seen.faults;
    json!({
        "format": FORMAT,
        "name": name,
        "command": command,
        "driver": driver,
        "machine": machine,
        "time": time,
        "exit": exit.code(),
        "result": exit.word(),
        "failure": failure,
        "broken": seen.broken().collect::<Vec<_>>(),
        "guest": {
            "value": value,
            "checks": seen.checks.iter().map(check).collect::<Vec<_>>(),
            "left_out": seen.more_checks,
        },
        "expectations": faults.expectations().map(expectation).collect::<Vec<_>>(),
        "deny_faults": faults.rules().deny_others,
        "stale": {
            "list": seen.stale.iter().map(|(time, stale)| json!({ "time": time, "use": stale })).collect::<Vec<_>>(),
            "left_out": seen.more_stale,
        },
        "faults": {
            "total": faults.total(),
            "suppressed": faults.suppressed(),
            "unexpected": faults.unexpected(),
            "list": faults.list().iter().map(fault).collect::<Vec<_>>(),
            "left_out": faults.total() - faults.list().len() as u64,
        },
    })
}

fn check(Check { number, name, outcome }: &Check) -> Value {
    let (word, why) = match outcome {
        CheckOutcome::Held => ("held", None),
        CheckOutcome::Failed => ("failed", None),
        CheckOutcome::Skipped(why) => ("skipped", Some(why)),
    };
    json!({ "number": number, "name": name, "outcome": word, "why": why })
}

fn expectation((expectation, met): (&Expectation, u64)) -> Value {
    let (source, stream) = master(expectation.master());
    json!({
        "expect": expectation.to_string(),
        "reason": format!("{:#04x}", expectation.code()),
        "source": source,
        "stream": stream,
        "seen": met,
    })
}

/// A requester id, and a StreamID, of which one is there at most.
fn master(master: Option<Master>) -> (Option<String>, Option<String>) {
    match master {
        Some(Master::Function(source)) => (Some(source.to_string()), None),
        Some(Master::Stream(stream)) => (None, Some(format!("{:#x}", stream.0))),
        None => (None, None),
    }
}

fn fault(fault: &SeenFault) -> Value {
    let (name, condition) = fault.names();
    let SeenFault { time, unit, master: by, reason, what, address, record, fate, expected } = fault;
    let (source, stream) = master(Some(*by));
    json!({
        "time": time,
        "unit": unit,
        "source": source,
        "stream": stream,
        "reason": format!("{reason:#04x}"),
        "name": name,
        "condition": condition,
        "what": what,
        "address": format!("{address:#018x}"),
        "record": record.map(|words| words.map(|word| format!("{word:#018x}"))),
        "fate": fate,
        "expected": expected,
    })
}
