//! `backhaul explain`: one packet's whole story: every reception, every rule, every copy.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::decision::Outcome as CopyOutcome;
use policy::downlink::details::CopyDetails;
use policy::ladder::{Step, ladder};
use record::{Reception, Release};
use serde_json::json;

use crate::log::{open_history, parse_node};
use crate::{Outcome, clock};

/// Options of `explain`.
#[derive(Args)]
pub struct Arguments {
    /// Sender of the packet, `!7c5a0a01`
    #[arg(value_parser = parse_node)]
    from: NodeNum,
    /// Packet id, as the log shows it, or with 0x in hexadecimal
    #[arg(value_parser = parse_id)]
    id: u32,
    /// Folder of all state
    #[arg(long, value_name = "DIR", default_value = "backhaul-data")]
    data: PathBuf,
    /// One JSON object for each reception
    #[arg(long)]
    json: bool,
}

fn parse_id(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| {
        format!("a packet id is a number up to 4294967295, or hexadecimal with 0x, not `{text}`")
    })
}

/// Tells the story of one packet.
pub fn run(arguments: Arguments) -> Outcome {
    let (from, id) = (arguments.from, arguments.id);
    let story = open_history(&arguments.data)?.packet(from.0, id)?;
    if story.is_empty() {
        return Err(format!(
            "packet {id} of {from} is not in the history of `{}`; `backhaul log 'node:{from}'` lists what is",
            arguments.data.display()
        )
        .into());
    }
    if arguments.json {
        for (reception, release) in &story {
            let mut line = history::json::reception(reception);
            line["ladder"] = history::json::ladder(reception);
            line["copies"] = release.as_ref().map_or(json!([]), history::json::copies);
            writeln!(std::io::stdout(), "{line}")?;
        }
    } else {
        write!(std::io::stdout(), "{}", tell(from, id, &story))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What stands behind a copy, to follow what became of it; empty where there is nothing to say.
fn details_in_words(details: &CopyDetails) -> String {
    let mut text = String::new();
    if details.airtime_us > 0 {
        text += &format!("; {:.0} ms on the air", f64::from(details.airtime_us) / 1e3);
    }
    if details.wanted_us > 0 {
        text += &format!("; it would have been {:.0} ms on the air", f64::from(details.wanted_us) / 1e3);
    }
    if let Some(left) = details.budget_left_us {
        let whose = details.budget_of.map_or(String::new(), |of| format!("{}'s ", of.word()));
        text += &format!(", {:.1} s of the {whose}budget left", left as f64 / 1e6);
    }
    if let Some(island) = details.island {
        text += &format!(", island {}", NodeNum(island));
    }
    match (details.waited_ms, details.why.words()) {
        (0, "") => {}
        (0, why) => text += &format!("; {why}"),
        (ms, "") => text += &format!("; waited {:.1} s", f64::from(ms) / 1e3),
        (ms, why) => text += &format!("; waited {:.1} s: {why}", f64::from(ms) / 1e3),
    }
    text
}

fn tell(from: NodeNum, id: u32, story: &[(Reception, Option<Release>)]) -> String {
    let mut text = String::new();
    let first = &story[0].0;
    let what = first.port.map_or("a packet nobody here can open".into(), |p| PortNum(p).word());
    let to = first.packet.map_or(String::new(), |p| match NodeNum(p.to) {
        NodeNum::BROADCAST => " to all".to_owned(),
        to => format!(" to {to}"),
    });
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Packet {id} of {from}{to}: {what}, consent {}", first.consent.word());
    if let Some(channel) = &first.channel {
        let airtime = first
            .airtime_us
            .map_or(String::new(), |us| format!(", {:.0} ms on the air", f64::from(us) / 1e3));
        let _ = writeln!(text, "channel {} ({} key){airtime}", printable(channel), first.key_class.word());
    }
    for (reception, release) in story {
        tell_reception(&mut text, reception, first.at_ms);
        tell_copies(&mut text, release.as_ref());
    }
    text
}

fn tell_reception(text: &mut String, reception: &Reception, first_ms: i64) {
    let gateway = reception.gateway.map_or("unknown gateway".to_owned(), |g| NodeNum(g).to_string());
    let after = reception.at_ms - first_ms;
    let p = reception.packet.unwrap_or_default();
    let hops = p.hops_away.map_or("hops unknown".to_owned(), |h| format!("{h} hops"));
    let signal = match (p.rx_rssi, p.rx_snr) {
        (Some(rssi), Some(snr)) => format!(", {rssi} dBm, SNR {snr} dB"),
        _ => ", its own".to_owned(),
    };
    let at = clock::utc(reception.at_ms);
    let through =
        reception.brought_by().map(|name| format!(" through {}", printable(name))).unwrap_or_default();
    let _ = writeln!(text, "\nreceived {at} (+{after} ms) by {gateway}{through}: {hops}{signal}");
    let decision = &reception.decision;
    let _ = writeln!(text, "  verdict: {} — {}", decision.verdict.word(), printable(&decision.sentence));
    for (rule, step) in ladder(decision) {
        let _ = writeln!(text, "    {:<16} {}", rule.name(), step.word());
        if matches!(step, Step::Decided | Step::WouldHave) {
            let _ = writeln!(text, "    {:<16}   {}", "", rule.info().doc);
        }
    }
}

fn tell_copies(text: &mut String, release: Option<&Release>) {
    let Some(release) = release else {
        let _ = writeln!(text, "  copies: none");
        return;
    };
    for copy in &release.copies {
        let what = match copy.outcome {
            CopyOutcome::Delivered => "delivered as it came".to_owned(),
            CopyOutcome::DeliveredWithHopLimit(hops) => {
                format!("delivered with hop limit {hops} (hop-limit)")
            }
            CopyOutcome::Withheld(rule) => format!("withheld by {}: {}", rule.name(), rule.info().doc),
            CopyOutcome::Dropped => "dropped: the receiver reads too slowly".to_owned(),
        };
        let _ = writeln!(
            text,
            "  to {} {}: {what}{}",
            copy.kind.word(),
            printable(&copy.receiver),
            details_in_words(&copy.details)
        );
    }
}

/// Names come from clients, and a terminal obeys control characters.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}
