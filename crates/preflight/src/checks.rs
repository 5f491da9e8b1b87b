//! The checks, in the order of the checklist. Each looks at one thing and says how it stands.
//!
//! Facts about firmware: defaults and limits of 2.7.26 (`Default.h`, `NodeDB.cpp`, `MQTT.cpp`, `PositionModule.cpp`,
//! `DeviceTelemetry.cpp`).

mod channels;
mod connection;
mod radio;
mod traffic;

use mesh::airtime::ModemPreset;

use crate::expected::Expected;
use crate::node_config::NodeConfig;
use crate::report::{Finding, Fix, Level, Report, Topic};
use crate::setting::{self, Setting};

/// Checks a configuration against what the mesh expects.
pub fn check(config: &NodeConfig, expected: &Expected) -> Report {
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check.run(config, expected)).collect();
    findings.sort_by_key(|f| (f.topic, f.level));
    Report { source: config.source, owner: config.owner.clone(), findings, remarks: config.remarks.clone() }
}

/// One check.
pub struct Check {
    /// Its name.
    pub id: &'static str,
    /// The point of the checklist it belongs to.
    pub topic: Topic,
    /// Why it matters.
    pub why: &'static str,
    /// Settings it looks at; where the file cannot tell one, the answer is that it is not known.
    settings: &'static [&'static Setting],
    /// Whether it looks at channels.
    needs_channels: bool,
    ask: fn(&Subject<'_>) -> Vec<Answer>,
}

/// Every check, in the order of the checklist.
pub static CHECKS: &[&Check] = &[
    &connection::ENABLED,
    &connection::SERVER,
    &connection::CREDENTIAL,
    &connection::ROOT,
    &connection::TLS,
    &connection::INTERNET,
    &connection::PROXY,
    &connection::POWER_SAVING,
    &radio::REGION,
    &radio::PRESET,
    &radio::HOP_LIMIT,
    &radio::TRANSMIT,
    &radio::DUTY_CYCLE,
    &radio::ROLE,
    &radio::FIXED,
    &channels::UPLINK,
    &channels::DOWNLINK,
    &channels::IGNORE_MQTT,
    &channels::PUBLIC_KEY,
    &channels::PRECISION,
    &channels::ENCRYPTION,
    &channels::OK_TO_MQTT,
    &channels::JSON,
    &channels::MAP_REPORT,
    &traffic::POSITION,
    &traffic::NODE_INFO,
    &traffic::DEVICE_METRICS,
    &traffic::SENSORS,
    &traffic::NEIGHBOR_INFO,
    &traffic::RANGE_TEST,
    &traffic::OTHER_MODULES,
    &traffic::SYSLOG,
    &traffic::DEBUG_LOG,
    &traffic::ADMIN_CHANNEL,
    &traffic::UDP,
];

impl Check {
    fn run(&self, config: &NodeConfig, expected: &Expected) -> Vec<Finding> {
        let is_told = self.settings.iter().all(|setting| config.knows(setting));
        let has_channels = !self.needs_channels || config.channels.is_some();
        let answers = if is_told && has_channels {
            (self.ask)(&Subject { config, expected })
        } else {
            let what = if is_told { "its channels" } else { "this" };
            vec![Answer::new(Level::Unknown, format!("The file does not tell {what}."))]
        };
        let finding = |answer: Answer| Finding {
            id: self.id,
            topic: self.topic,
            level: answer.level,
            evidence: answer.evidence,
            why: self.why,
            fixes: answer.fixes,
        };
        answers.into_iter().map(finding).collect()
    }
}

/// What is looked at.
struct Subject<'a> {
    config: &'a NodeConfig,
    expected: &'a Expected,
}

impl Subject<'_> {
    fn preset(&self) -> Option<ModemPreset> {
        let uses_preset = !self.config.knows(&setting::USE_PRESET) || self.config.is(&setting::USE_PRESET);
        uses_preset.then(|| ModemPreset::from_name(self.config.text(&setting::PRESET))).flatten()
    }

    /// Whether anything comes down to this node.
    fn has_downlink(&self) -> bool {
        self.config.channels.iter().flatten().any(|c| c.downlink)
    }
}

/// What one check says of one thing.
struct Answer {
    level: Level,
    evidence: String,
    fixes: Vec<Fix>,
}

impl Answer {
    fn new(level: Level, evidence: impl Into<String>) -> Self {
        // Names come from the file, and a terminal obeys control characters.
        let evidence = evidence.into().replace(char::is_control, "\u{fffd}");
        Self { level, evidence, fixes: Vec::new() }
    }

    /// The same with a setting to change.
    fn set(mut self, setting: &Setting, value: &str) -> Self {
        let quote = if value.is_empty() || value.contains(' ') { "'" } else { "" };
        let command = format!("meshtastic --set {} {quote}{value}{quote}", setting.set_name());
        self.fixes.push(Fix { command: Some(command), app_path: setting.app_path() });
        self
    }

    /// The same with a setting whose value only the owner knows.
    fn choose(mut self, setting: &Setting) -> Self {
        self.fixes.push(Fix { command: None, app_path: setting.app_path() });
        self
    }

    /// The same with a setting of a channel to change.
    fn set_channel(mut self, index: usize, name: &str, value: &str, label: &str) -> Self {
        self.fixes.push(Fix {
            command: Some(format!("meshtastic --ch-index {index} --ch-set {name} {value}")),
            app_path: format!("Channels › channel {index} › {label}"),
        });
        self
    }
}

fn pass(evidence: impl Into<String>) -> Vec<Answer> {
    vec![Answer::new(Level::Pass, evidence)]
}

fn warn(evidence: impl Into<String>) -> Answer {
    Answer::new(Level::Warn, evidence)
}

fn fail(evidence: impl Into<String>) -> Answer {
    Answer::new(Level::Fail, evidence)
}

/// A number of seconds as people say it.
fn span(seconds: i64) -> String {
    match seconds {
        s if s >= i64::from(i32::MAX) => "never".to_owned(),
        s if s >= 7200 && s % 3600 == 0 => format!("every {} hours", s / 3600),
        3600 => "every hour".to_owned(),
        s if s >= 120 && s % 60 == 0 => format!("every {} minutes", s / 60),
        s => format!("every {s} seconds"),
    }
}
