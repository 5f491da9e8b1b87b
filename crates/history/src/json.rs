//! A reception as JSON, for programs: one object, of which every field keeps its meaning within a version.

use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::decision::Outcome;
use policy::downlink::details::{BudgetOf, CopyDetails};
use policy::rule::RuleId;
use record::{Reception, Release};
use serde_json::{Value as Json, json};

/// One reception as JSON, version 1.
pub fn reception(row: &Reception) -> Json {
    let node = |n: u32| NodeNum(n).to_string();
    let flags: Vec<&str> = mesh::observe::Flags(row.flags).names().collect();
    json!({
        "v": 1,
        "seq": row.seq,
        "at_ms": row.at_ms,
        "client_id": &*row.client_id,
        "username": row.username.as_deref(),
        "gateway": row.gateway.map(node),
        "topic": &*row.topic,
        "payload_hex": mesh::tree::to_hex(&row.payload),
        "qos": row.qos,
        "retain": row.retain,
        "packet": row.packet.map(|p| json!({
            "from": node(p.from),
            "to": node(p.to),
            "id": p.id,
            "hop_limit": p.hop_limit,
            "hop_start": p.hop_start,
            "hops_away": p.hops_away,
            "rx_rssi_dbm": p.rx_rssi,
            "rx_snr_db": p.rx_snr.map(mesh::tree::float_to_json),
            "rx_time_s": p.rx_time,
            "relay_node": p.relay_node,
            "next_hop": p.next_hop,
            "want_ack": p.want_ack,
            "request_id": p.request_id,
        })),
        "channel": row.channel.as_deref(),
        "port": row.port,
        "port_name": row.port.and_then(|p| PortNum(p).name()),
        "consent": row.consent.word(),
        "key_class": row.key_class.word(),
        "flags": flags,
        "frame_bytes": row.frame_bytes,
        "airtime_ms": row.airtime_us.map(|us| f64::from(us) / 1000.0),
        "verdict": row.decision.verdict.word(),
        "rule": row.decision.rule.map(RuleId::name),
        "sentence": row.decision.sentence,
        "would_have": row.decision.observed.iter().map(RuleId::name).collect::<Vec<_>>(),
    })
}

/// Every uplink rule with what became of it, in the order in which rules are asked.
pub fn ladder(reception: &Reception) -> Json {
    policy::ladder::ladder(&reception.decision)
        .map(|(rule, step)| json!({ "rule": rule.name(), "step": step.word() }))
        .collect()
}

/// What became of each copy: outcome, rule, airtime charged, budget left.
pub fn copies(release: &Release) -> Json {
    release
        .copies
        .iter()
        .map(|copy| {
            let (outcome, hop_limit, rule) = match copy.outcome {
                Outcome::Delivered => ("delivered", None, None),
                Outcome::DeliveredWithHopLimit(hops) => ("delivered", Some(hops), Some(RuleId::HopLimit.name())),
                Outcome::Withheld(rule) => ("withheld", None, Some(rule.name())),
                Outcome::Dropped => ("dropped", None, None),
            };
            let would_have: Vec<&str> = copy.observed.iter().map(RuleId::name).collect();
            json!({
                "receiver": &*copy.receiver, "kind": copy.kind.word(), "outcome": outcome, "hop_limit": hop_limit,
                "rule": rule, "would_have": would_have, "details": details(&copy.details),
            })
        })
        .collect()
}

fn details(details: &CopyDetails) -> Json {
    json!({
        "island": details.island.map(|island| NodeNum(island).to_string()), "airtime_us": details.airtime_us,
        "wanted_us": details.wanted_us, "budget_left_us": details.budget_left_us, "budget_of": details.budget_of.map(BudgetOf::word), "waited_ms": details.waited_ms, "why": details.why.words(),
    })
}
