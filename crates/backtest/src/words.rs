//! A report in plain words: the sentences that the command line and the page begin with.

use crate::report::Report;

/// One sentence, and whether it tells of something that the operator should weigh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The sentence.
    pub text: String,
    /// Whether traffic that passes today would not, or the other way round.
    pub is_change: bool,
}

/// What a report says, in a few sentences.
pub fn sentences(report: &Report) -> Vec<Sentence> {
    let mut said = Vec::new();
    let mut say = |text: String, is_change| said.push(Sentence { text, is_change });
    if report.receptions == 0 {
        say("Nothing was received in that time, so there is nothing to compare.".to_owned(), false);
        return said;
    }
    let receptions = count(report.receptions, "reception", "receptions");
    if report.changed == 0 {
        say(format!("Nothing would have been different for the {receptions} of that time."), false);
    } else {
        say(
            format!(
                "{} of {receptions} would have gone another way, of {}.",
                thousands(report.changed),
                count(report.packets_changed, "packet", "packets")
            ),
            true,
        );
    }
    if report.lost > 0 {
        let whom = format!(
            "from {} by {}",
            count(report.nodes_hit, "node", "nodes"),
            count(report.gateways_hit, "gateway", "gateways")
        );
        let whom = if report.gained == 0 { format!(", {whom}") } else { String::new() };
        say(
            format!(
                "{} would not have been passed on any more{whom}.",
                count(report.lost, "reception", "receptions")
            ),
            true,
        );
    }
    if report.gained > 0 {
        say(
            format!(
                "{} would have been passed on that the policy in force stops.",
                count(report.gained, "reception", "receptions")
            ),
            true,
        );
    }
    let [old, new] = report.sides;
    if old.copies_to_gateways != new.copies_to_gateways || old.airtime_us != new.airtime_us {
        say(
            format!(
                "Copies toward gateways: {} instead of {}; airtime of these copies: {} instead of {}.",
                thousands(new.copies_to_gateways),
                thousands(old.copies_to_gateways),
                duration(new.airtime_us),
                duration(old.airtime_us)
            ),
            true,
        );
    } else {
        say(
            format!(
                "Copies toward gateways and their airtime stay the same: {} copies, {}.",
                thousands(old.copies_to_gateways),
                duration(old.airtime_us)
            ),
            false,
        );
    }
    for (rule, counts) in report.rules_changed() {
        let (name, [before, after]) = (rule.name(), counts.observed);
        if after > before {
            say(
                format!("Rule {name} would have noted {} without deciding on them.", thousands(after)),
                false,
            );
        }
        let told = [(counts.decided, "decided on", "receptions"), (counts.withheld, "withheld", "copies")];
        for ([before, after], what, of) in told.into_iter().filter(|([before, after], ..)| before != after) {
            let (after, before) = (thousands(after), thousands(before));
            say(format!("Rule {name} would have {what} {after} {of} instead of {before}."), true);
        }
    }
    if report.senders_gone > 0 {
        say(
            format!(
                "{} are left out: their senders have no credential any more, and credentials of today are used.",
                count(report.senders_gone, "reception", "receptions")
            ),
            false,
        );
    }
    if report.receivers_assumed > 0 {
        say(
            format!(
                "For {} that were passed on to nobody at the time, the last known receivers of their channel are assumed.",
                count(report.receivers_assumed, "reception", "receptions")
            ),
            false,
        );
    }
    said
}

/// Time on air as people say it.
pub fn duration(us: u64) -> String {
    let seconds = us / 1_000_000;
    match seconds {
        0 => format!("{} ms", us / 1_000),
        1..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        _ => format!("{}.{} h", seconds / 3_600, seconds % 3_600 / 360),
    }
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
