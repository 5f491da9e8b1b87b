//! The cases: who publishes what to whom, how much and how fast. Sends nothing.

use bench::envelope::{FIRST_GATEWAY, gateway_id};

use crate::target::Kind;

/// One case of the report.
#[derive(Debug, Clone)]
pub struct Case {
    /// What the report calls it.
    pub name: String,
    /// The chapter of the report that it is in.
    pub chapter: Chapter,
    /// What is done.
    pub work: Work,
}

/// A chapter of the report; each has the figures that matter in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chapter {
    /// As much as the brokers can do.
    Throughput,
    /// A rate that all brokers carry.
    Rate,
    /// How the cost grows.
    Scaling,
    /// Connections that do nothing, connections that come and go.
    Connections,
    /// Envelopes of a mesh, with policy and history.
    Mesh,
}

/// What is done in a case.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Messages.
    Messages(Traffic),
    /// So many connections, each with one subscription, that stay and say nothing.
    Idle(usize),
    /// So many connections that come, are let in and leave.
    Connect(usize),
}

/// Messages on their way.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// Who talks to whom.
    pub shape: Shape,
    /// QoS of publications and subscriptions.
    pub qos: u8,
    /// Bytes of a payload.
    pub bytes: usize,
    /// Messages on the way per publisher.
    pub window: usize,
    /// Publications per second of all publishers together; `None` for as many as the windows allow.
    pub rate: Option<u64>,
    /// Whether clients speak TLS.
    pub tls: bool,
}

/// Who talks to whom.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Many publishers, two subscribers that get everything.
    FanIn(usize),
    /// One publisher, many subscribers.
    FanOut(usize),
    /// Pairs of a publisher and a subscriber.
    Pairs(usize),
    /// A hundred pairs; the filters have a wildcard, and there are so many in all.
    Filters(usize),
    /// Gateways that publish envelopes, two observers of the whole mesh.
    Mesh(usize),
}

/// One client that publishes: to these topics, in turn.
pub struct Publisher {
    /// Client Identifier.
    pub client_id: String,
    /// Topic Names.
    pub topics: Vec<String>,
    /// The gateway whose envelopes it publishes; `None` for bytes that mean nothing.
    pub gateway: Option<u32>,
}

/// Who takes part in a piece of traffic.
pub struct Cast {
    /// Those who publish.
    pub publishers: Vec<Publisher>,
    /// Topic Filters of those who subscribe.
    pub subscribers: Vec<Vec<String>>,
    /// Subscribers that get each message.
    pub copies: usize,
}

const PLAIN: Traffic =
    Traffic { shape: Shape::Pairs(100), qos: 0, bytes: 200, window: 4, rate: None, tls: false };
/// Receivers of fan-in and mesh.
const LISTENERS: usize = 2;
/// Publishers and subscribers among whom many filters are dealt out.
const DEALT: usize = 100;

/// All cases, in the order of the report.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |chapter, name: String, work| cases.push(Case { name, chapter, work });
    let shapes = [
        ("fan-in 300 to 2", Shape::FanIn(300), 4),
        ("fan-out 1 to 1,000", Shape::FanOut(1_000), 8),
        ("100 pairs", Shape::Pairs(100), 1),
        ("100 pairs in bursts", Shape::Pairs(100), 20),
    ];
    for (name, shape, window) in shapes {
        for (qos, bytes) in [(0, 200), (1, 200), (2, 200), (0, 2_000), (1, 2_000)] {
            let size = if bytes == 200 { "" } else { ", 2 KB" };
            let traffic = Traffic { shape, qos, bytes, window, ..PLAIN };
            add(Chapter::Throughput, format!("{name}, QoS {qos}{size}"), Work::Messages(traffic));
        }
    }
    for (name, shape, qos, window) in
        [("fan-in 300 to 2", Shape::FanIn(300), 0, 4), ("100 pairs", Shape::Pairs(100), 1, 1)]
    {
        let traffic = Traffic { shape, qos, window, tls: true, ..PLAIN };
        add(Chapter::Throughput, format!("{name}, QoS {qos}, TLS"), Work::Messages(traffic));
    }
    let wild = Traffic { shape: Shape::Filters(10_000), ..PLAIN };
    add(Chapter::Throughput, "10,000 wildcard filters, QoS 0".into(), Work::Messages(wild));
    for (name, shape, qos) in [
        ("fan-in 300 to 2", Shape::FanIn(300), 0),
        ("fan-in 300 to 2", Shape::FanIn(300), 1),
        ("100 pairs", Shape::Pairs(100), 0),
        ("100 pairs", Shape::Pairs(100), 1),
    ] {
        let traffic = Traffic { shape, qos, rate: Some(5_000), window: 1_000, ..PLAIN };
        add(Chapter::Rate, format!("{name}, QoS {qos}, 5,000/s"), Work::Messages(traffic));
    }
    for pairs in [1, 10, 100, 1_000, 5_000] {
        let traffic = Traffic { shape: Shape::Pairs(pairs), rate: Some(5_000), window: 1_000, ..PLAIN };
        let name = format!("{} connections, 5,000/s", grouped(pairs * 2));
        add(Chapter::Scaling, name, Work::Messages(traffic));
    }
    for filters in [100, 1_000, 10_000, 100_000] {
        let traffic = Traffic { shape: Shape::Filters(filters), window: 1, ..PLAIN };
        add(Chapter::Scaling, format!("{} wildcard filters", grouped(filters)), Work::Messages(traffic));
    }
    add(Chapter::Connections, "10,000 idle connections".into(), Work::Idle(10_000));
    add(Chapter::Connections, "connect and leave, 5,000 times".into(), Work::Connect(5_000));
    for (name, qos, window, rate) in [
        ("envelopes 50 to 2, QoS 0", 0, 10, None),
        ("envelopes 50 to 2, QoS 1", 1, 10, None),
        ("envelopes 50 to 2, QoS 0, 1,000/s", 0, 1_000, Some(1_000)),
        ("envelopes 50 to 2, QoS 0, 5,000/s", 0, 1_000, Some(5_000)),
    ] {
        let traffic = Traffic { shape: Shape::Mesh(50), qos, window, rate, ..PLAIN };
        add(Chapter::Mesh, name.into(), Work::Messages(traffic));
    }
    cases
}

impl Chapter {
    /// All chapters, in the order of the report.
    pub const ALL: [Self; 5] = [Self::Throughput, Self::Rate, Self::Scaling, Self::Connections, Self::Mesh];

    /// Its heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Throughput => "As much as the windows allow",
            Self::Rate => "At a fixed moderate rate",
            Self::Scaling => "Cost with size",
            Self::Connections => "Connections",
            Self::Mesh => "Envelopes of a mesh",
        }
    }
}

impl Case {
    /// Why a broker takes no part; `None` when it does.
    pub fn leaves_out(&self, kind: &Kind) -> Option<&'static str> {
        match (kind, self.chapter, self.work) {
            (Kind::Full, Chapter::Mesh, _) => None,
            (Kind::Full, ..) => Some("only envelopes are its work"),
            (
                Kind::Sink | Kind::FlashMq(_) | Kind::Running { .. },
                _,
                Work::Messages(Traffic { tls: true, .. }),
            ) => Some("it is not set up for TLS"),
            (Kind::Sink, _, Work::Messages(Traffic { shape: Shape::Filters(_), .. })) => {
                Some("it knows one filter per client")
            }
            (Kind::Sink, _, Work::Messages(Traffic { qos: 0, .. })) => None,
            (Kind::Sink, ..) => Some("it knows QoS 0 only"),
            _ => None,
        }
    }
}

impl Traffic {
    /// Who takes part.
    pub fn cast(&self) -> Cast {
        let plain = |index: usize, topics: Vec<String>| Publisher {
            client_id: format!("publisher-{index}"),
            topics,
            gateway: None,
        };
        let talker = |index: usize| plain(index, vec![format!("versus/{index}")]);
        let (publishers, subscribers, copies) = match self.shape {
            Shape::FanIn(count) => {
                ((0..count).map(talker).collect(), vec![vec!["versus/+".into()]; LISTENERS], LISTENERS)
            }
            Shape::FanOut(count) => (vec![talker(0)], vec![vec!["versus/+".into()]; count], count),
            Shape::Pairs(count) => (
                (0..count).map(talker).collect(),
                (0..count).map(|index| vec![format!("versus/{index}")]).collect(),
                1,
            ),
            Shape::Filters(count) => {
                let dealt = |of: usize| (0..count).skip(of).step_by(DEALT);
                let topics = |of: usize| dealt(of).map(|i| format!("fleet/{i}/engine/state")).collect();
                let filters = |of: usize| dealt(of).map(|i| format!("fleet/{i}/+/state")).collect();
                let publishers = (0..DEALT).map(|index| plain(index, topics(index))).collect();
                (publishers, (0..DEALT).map(filters).collect(), 1)
            }
            Shape::Mesh(count) => {
                let gateway = |index: usize| {
                    let number = FIRST_GATEWAY + index as u32;
                    let id = gateway_id(number);
                    let topics = vec![format!("msh/US/2/e/LongFast/{id}")];
                    Publisher { client_id: id, topics, gateway: Some(number) }
                };
                ((0..count).map(gateway).collect(), vec![vec!["msh/#".into()]; LISTENERS], LISTENERS)
            }
        };
        Cast { publishers, subscribers, copies }
    }
}

fn grouped(number: usize) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_published_finds_the_subscribers_it_should() {
        for shape in [Shape::FanIn(5), Shape::FanOut(5), Shape::Pairs(5), Shape::Filters(200), Shape::Mesh(5)]
        {
            let cast = Traffic { shape, ..PLAIN }.cast();
            for topic in cast.publishers.iter().flat_map(|p| &p.topics) {
                let filters = cast.subscribers.iter().flatten();
                let matching = filters.filter(|f| mqtt::topic::matches(f, topic)).count();
                assert_eq!(matching, cast.copies, "{topic}");
            }
        }
    }

    #[test]
    fn no_two_cases_have_the_same_name() {
        let mut names: Vec<_> = all().into_iter().map(|c| c.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
