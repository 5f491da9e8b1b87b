//! The answer: one finding for each point that was looked at, worst first, with what to change and why.

use serde_json::{Value as Json, json};

use crate::node_config::Source;

/// How a point stands. The order is from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Must be changed before the gateway connects.
    Fail,
    /// Should be changed or talked about.
    Warn,
    /// The file does not say.
    Unknown,
    /// As it should be.
    Pass,
}

impl Level {
    /// The word for people and for JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Pass => "pass",
        }
    }
}

/// What to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// Arguments of the `meshtastic` command; `None` where only a person can do it.
    pub command: Option<String>,
    /// Where the apps have it.
    pub app_path: String,
}

/// One point that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name: the same in JSON, links and documentation.
    pub id: &'static str,
    /// The point of the checklist it belongs to.
    pub topic: Topic,
    /// How it stands.
    pub level: Level,
    /// What was found, in one sentence, without anything secret.
    pub evidence: String,
    /// Why it matters, in one or two sentences.
    pub why: &'static str,
    /// What to change; empty when nothing has to be.
    pub fixes: Vec<Fix>,
}

/// The points of the checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// It reaches the broker and finds its place there.
    Connection,
    /// Reliable, always-on internet and power.
    Reliability,
    /// On the same radio channel as its mesh.
    Radio,
    /// A stationary infrastructure node.
    Stationary,
    /// Not every channel up and down.
    Channels,
    /// Not the default key where it matters.
    Keys,
    /// Nothing shared that was not meant to be.
    Privacy,
    /// No flood of telemetry or sensor data that nobody agreed to.
    Telemetry,
    /// No debug logs and no remote control over the mesh.
    Debug,
}

impl Topic {
    /// Every topic, in the order of the checklist.
    pub const ALL: [Topic; 9] = [
        Self::Connection,
        Self::Reliability,
        Self::Radio,
        Self::Stationary,
        Self::Channels,
        Self::Keys,
        Self::Privacy,
        Self::Telemetry,
        Self::Debug,
    ];

    /// Its heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Connection => "Connects to this broker",
            Self::Reliability => "Reliable, always-on internet and power",
            Self::Radio => "Hears the same mesh",
            Self::Stationary => "Stationary infrastructure, not a node that travels",
            Self::Channels => "Only the channels that are needed",
            Self::Keys => "Keys that are not public by accident",
            Self::Privacy => "Shares only what is meant to be shared",
            Self::Telemetry => "Telemetry and sensors within what was agreed",
            Self::Debug => "No debug logs, no remote control",
        }
    }
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where the configuration came from.
    pub source: Source,
    /// The node's name, when the file has one.
    pub owner: Option<String>,
    /// Every point, in the order of the checklist, the worst of a topic first.
    pub findings: Vec<Finding>,
    /// What of the file could not be understood.
    pub remarks: Vec<String>,
}

impl Report {
    /// How many points stand so.
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|f| f.level == level).count()
    }

    /// Whether nothing has to be changed before the gateway connects.
    pub fn is_ready(&self) -> bool {
        self.count(Level::Fail) == 0 && self.remarks.is_empty()
    }

    /// The answer in one sentence.
    pub fn sentence(&self) -> String {
        let (fails, warns) = (self.count(Level::Fail), self.count(Level::Warn));
        let things = |count: usize| if count == 1 { "1 thing".to_owned() } else { format!("{count} things") };
        match (fails, warns) {
            (0, 0) if self.source == Source::ChannelLink => {
                "The channels are fine; the rest is not in a channel link.".to_owned()
            }
            (0, 0) => "Ready: nothing has to be changed.".to_owned(),
            (0, warns) => format!("Ready, with {} to think about.", things(warns)),
            (fails, 0) => format!("Not yet: {} must be changed first.", things(fails)),
            (fails, warns) => {
                format!("Not yet: {} must be changed first, {} to think about.", things(fails), things(warns))
            }
        }
    }

    /// The commands that change everything that has to or should be changed.
    pub fn commands(&self) -> Vec<&str> {
        let mut commands: Vec<&str> = Vec::new();
        let fixes = self.findings.iter().filter(|f| f.level <= Level::Warn).flat_map(|f| &f.fixes);
        for command in fixes.filter_map(|fix| fix.command.as_deref()) {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }

    /// The answer for programs.
    pub fn to_json(&self) -> Json {
        let findings = self.findings.iter().map(|finding| {
            let fixes =
                finding.fixes.iter().map(|fix| json!({ "command": fix.command, "app_path": fix.app_path }));
            json!({
                "id": finding.id,
                "topic": finding.topic.heading(),
                "level": finding.level.word(),
                "evidence": finding.evidence,
                "why": finding.why,
                "fixes": fixes.collect::<Vec<_>>(),
            })
        });
        json!({
            "ready": self.is_ready(),
            "summary": self.sentence(),
            "owner": self.owner,
            "counts": {
                "fail": self.count(Level::Fail), "warn": self.count(Level::Warn),
                "unknown": self.count(Level::Unknown), "pass": self.count(Level::Pass),
            },
            "findings": findings.collect::<Vec<_>>(),
            "remarks": self.remarks,
        })
    }
}
