//! From the alerts' file to rules and targets: filters get their meaning, measurements their names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alerting::target::{AlertSettings, Mail, Secret, Security, Target, Way};
use automation::alert::outlet::OutletSettings;
use automation::alert::quiet::QuietHours;
use automation::alert::rule::{Attribute, Direction, Per, Rule, SAMPLES, Severity, Side, Trigger};
use automation::alert::sighting::is_measure;
use bridge::area::Area;
use config::alert_keys::{self as keys, Change, MailSecurity, TargetKind, When};
use config::{ALERTS_BYTES_MAX, AlertsFile, Config, Hidden, RuleTable, TargetTable};
use history::Reader;
use query::{Condition, NodeName, Query, Surroundings};

use crate::data_folder::all_wrong;
use crate::{clock, settings};

/// The rules that come with the program.
pub const PACKAGED: &str = include_str!("packaged_alerts.toml");

/// Names that filters may use come from the last weeks.
const NAMES_SINCE_MS: i64 = 30 * 86_400_000;

/// Where the alerts' file is, whether or not it exists.
pub fn path(config: &Config, data: &Path) -> PathBuf {
    config.top.alerts.clone().unwrap_or_else(|| data.join("alerts.toml"))
}

/// Where the server's alerts come from.
pub fn source(config: &Config, data: &Path) -> server::AlertSource {
    let file = path(config, data);
    let (shown, history, keyring) = (file.clone(), data.join("history"), settings::keyring(config));
    server::AlertSource {
        file,
        bytes_max: ALERTS_BYTES_MAX as u64,
        read: Arc::new(move |text| {
            // Without a history nobody has a name yet.
            let reader = Reader::open(&history).map(|r| r.with_keyring(Arc::new(keyring.clone())));
            let since_ms = clock::unix_ms() - NAMES_SINCE_MS;
            let names = reader.and_then(|reader| reader.names(since_ms)).unwrap_or_default();
            parse(&shown, text, &names)
        }),
    }
}

/// Understands a file's text, the packaged rules included, or says everything that is wrong with it.
///
/// # Errors
/// What is wrong, for people.
pub fn parse(path: &Path, text: &str, names: &[NodeName]) -> Result<AlertSettings, String> {
    let file = AlertsFile::load(path, text).map_err(|problems| all_wrong(path, &problems))?;
    let packaged = AlertsFile::load(Path::new("packaged rules"), PACKAGED)
        .expect("the packaged rules are right; a test holds it");
    let mut problems = Vec::new();
    let is_own = |rule: &RuleTable| file.rules.iter().any(|own| own.keys.name == rule.keys.name);
    let from_package = packaged.rules.iter().filter(|rule| file.alerts.packaged && !is_own(rule));
    let mut rules = Vec::new();
    for table in from_package.chain(&file.rules).filter(|table| table.keys.enabled) {
        match rule(table, &file.alerts.targets, names) {
            Ok(rule) => rules.push(rule),
            Err(why) => problems.push(format!("{}:{}: {why}", path.display(), table.line)),
        }
    }
    let quiet = file.alerts.quiet_hours.as_deref().map(|text| {
        QuietHours::parse(text).ok_or_else(|| {
            format!("{}: `quiet_hours` must be like \"22:00-07:00\", but is \"{text}\"", path.display())
        })
    });
    let quiet = quiet.transpose().unwrap_or_else(|why| {
        problems.push(why);
        None
    });
    let zone = &file.alerts.time_zone;
    if jiff::tz::TimeZone::get(zone).is_err() {
        problems.push(format!(
            "{}: `time_zone` must be a name such as \"America/Chicago\" that this machine knows, but is \"{zone}\"",
            path.display()
        ));
    }
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    Ok(AlertSettings {
        rules,
        targets: file.targets.iter().map(target).collect(),
        outlet: OutletSettings {
            per_hour_max: file.alerts.per_hour,
            gather_ms: i64::from(file.alerts.gather_s) * 1000,
            quiet,
        },
        time_zone: zone.clone(),
    })
}

fn rule(table: &RuleTable, usual_targets: &[String], names: &[NodeName]) -> Result<Rule, String> {
    let keys = &table.keys;
    let targets = if keys.targets.is_empty() { usual_targets } else { &keys.targets };
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
    let limit = number(&keys.limit).unwrap_or(0.0);
    let threshold = |side: Side| -> Result<Trigger, String> {
        let measure = keys.value.as_deref().unwrap_or_default();
        let is_sample = SAMPLES.iter().any(|(name, _)| *name == measure);
        if is_sample && keys.filter.is_some() {
            return Err(format!(
                "rule `{}`: `{measure}` comes from the broker itself, so it takes no `filter`",
                keys.name
            ));
        }
        if !is_sample && !is_measure(measure) {
            let samples: Vec<_> = SAMPLES.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "rule `{}`: nothing is called `{measure}`; write a name of telemetry such as `battery_level`, or one of {}",
                keys.name,
                samples.join(", ")
            ));
        }
        let clear = number(&keys.clear).unwrap_or(limit);
        if side.holds(clear, limit) {
            return Err(format!("rule `{}`: `clear` lies on the bad side of `limit`", keys.name));
        }
        Ok(Trigger::Threshold { measure: measure.into(), side, limit, clear, for_ms: table.lasting_ms })
    };
    let crossing = |direction| {
        let circle = table.area.expect("a rule without its area is not accepted");
        let config::Circle { latitude_i, longitude_i, radius_m } = circle;
        Trigger::Crossing { area: Area { latitude_i, longitude_i, radius_m }, direction }
    };
    let trigger = match keys.when {
        When::Match => Trigger::Match { count: keys.count, within_ms: table.within_ms },
        When::Absent => Trigger::Absence { for_ms: table.lasting_ms },
        When::Above => threshold(Side::Above)?,
        When::Below => threshold(Side::Below)?,
        When::Change => Trigger::Change(match keys.change {
            Change::New => Attribute::Appearance,
            Change::Key => Attribute::Key,
            Change::Name => Attribute::Name,
            Change::Hardware => Attribute::Hardware,
            Change::Role => Attribute::Role,
        }),
        When::Enter => crossing(Direction::Entering),
        When::Leave => crossing(Direction::Leaving),
    };
    let is_of_nodes = matches!(keys.when, When::Change | When::Enter | When::Leave);
    Ok(Rule {
        name: keys.name.as_str().into(),
        about: keys.about.as_deref().unwrap_or_default().into(),
        severity: match keys.severity {
            keys::Severity::Info => Severity::Info,
            keys::Severity::Warning => Severity::Warning,
            keys::Severity::Critical => Severity::Critical,
        },
        condition: condition(&keys.name, keys.filter.as_deref().unwrap_or_default(), names)?,
        trigger,
        per: match keys.per {
            // What changes or moves is a node.
            _ if is_of_nodes => Per::Node,
            keys::Per::Mesh => Per::Mesh,
            keys::Per::Node => Per::Node,
            keys::Per::Gateway => Per::Gateway,
            keys::Per::Channel => Per::Channel,
        },
        targets: targets.iter().map(|name| name.as_str().into()).collect(),
        tells_end: keys.tell_end,
        per_hour_max: keys.per_hour,
        over_after_ms: table.over_after_ms,
    })
}

/// What a rule's filter means.
pub fn condition(rule: &str, filter: &str, names: &[NodeName]) -> Result<Condition, String> {
    if filter.trim().is_empty() {
        return Ok(Condition::ALWAYS);
    }
    let query = Query::parse(filter).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(|problem| problem.pointed_at(filter)).collect();
        format!("rule `{rule}`: the filter is not understood\n{}", told.join("\n"))
    })?;
    let surroundings = Surroundings { now_ms: clock::unix_ms(), names, islands: &[] };
    let condition = query
        .bind(&surroundings)
        .map_err(|problem| format!("rule `{rule}`: the filter\n{}", problem.pointed_at(filter)))?;
    if condition.time_range() != (None, None) {
        return Err(format!(
            "rule `{rule}`: a filter that says when is never true later; use `within` or `lasting`"
        ));
    }
    if condition.needs().release {
        return Err(format!(
            "rule `{rule}`: what becomes of copies is not known yet when a packet comes; leave it out"
        ));
    }
    Ok(condition)
}

fn target(table: &TargetTable) -> Target {
    let keys = &table.keys;
    let hidden = |text: &Option<Hidden>| text.as_ref().map(|text| Secret::new(text.reveal()));
    let url = || hidden(&table.url).unwrap_or_else(|| Secret::new(""));
    let text = |text: &Option<String>| -> Box<str> { text.as_deref().unwrap_or_default().into() };
    let way = match keys.kind {
        TargetKind::Webhook => Way::Webhook {
            url: url(),
            template: keys.template.as_deref().map(Into::into),
            content_type: keys.content_type.as_str().into(),
            key: hidden(&table.secret),
        },
        TargetKind::Ntfy => Way::Ntfy { url: url(), token: hidden(&table.secret) },
        TargetKind::Discord => Way::Discord { url: url() },
        TargetKind::Email => Way::Mail(Mail {
            server: text(&keys.server),
            port: keys.port,
            security: match keys.security {
                MailSecurity::Tls => Security::Tls,
                MailSecurity::Starttls => Security::StartTls,
                MailSecurity::None => Security::None,
            },
            credentials: keys.username.as_deref().map(Into::into).zip(hidden(&table.secret)),
            from: text(&keys.from),
            to: keys.to.iter().map(|to| to.as_str().into()).collect(),
        }),
        TargetKind::Mqtt => Way::Mqtt { topic: text(&keys.topic) },
    };
    Target { name: keys.name.as_str().into(), way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_rules_are_right() {
        let settings = parse(Path::new("alerts.toml"), "", &[]).unwrap();
        assert!(settings.rules.len() >= 10, "{}", settings.rules.len());
        assert!(settings.rules.iter().all(|rule| rule.targets.is_empty() && !rule.about.is_empty()));
        let none = parse(Path::new("alerts.toml"), "packaged = false", &[]).unwrap();
        assert!(none.rules.is_empty());
        let own =
            "[[rule]]\nname = \"battery-low\"\nwhen = \"below\"\nvalue = \"voltage\"\nlimit = \"3.3\"\n";
        let settings = parse(Path::new("alerts.toml"), own, &[]).unwrap();
        let batteries: Vec<_> = settings.rules.iter().filter(|rule| &*rule.name == "battery-low").collect();
        assert!(
            matches!(&batteries[..], [Rule { trigger: Trigger::Threshold { measure, .. }, .. }] if &**measure == "voltage")
        );
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        let check = |text: &str, wanted: &str| {
            let why = parse(Path::new("a.toml"), text, &[]).unwrap_err();
            assert!(why.contains(wanted), "{text}: {why}");
        };
        let rule = |rest: &str| format!("[[rule]]\nname = \"r\"\n{rest}\n");
        check(&rule("filter = \"prot:text\""), "not understood");
        check(&rule("filter = \"last 6h\""), "`within` or `lasting`");
        check(&rule("filter = \"copy:dropped\""), "copies");
        check(&rule("when = \"above\"\nvalue = \"batery\"\nlimit = \"1\""), "`battery_level`");
        check(
            &rule("when = \"above\"\nvalue = \"bridge_down\"\nlimit = \"1\"\nfilter = \"port:text\""),
            "no `filter`",
        );
        check(&rule("when = \"below\"\nvalue = \"voltage\"\nlimit = \"3\"\nclear = \"2\""), "bad side");
        check(&rule("when = \"absent\""), "needs `lasting`");
        check(&rule("when = \"enter\""), "needs `area`");
        check(&rule("within = \"soon\""), "such as 30s");
        check(&rule("targets = [\"nobody\"]"), "no `[[target]]`");
        check("targets = [\"nobody\"]", "no `[[target]]`");
        check("quiet_hours = \"at night\"", "22:00-07:00");
        check("time_zone = \"Liberty\"", "America/Chicago");
        check("[[target]]\nname = \"t\"", "needs `url`");
        check("[[target]]\nname = \"t\"\nkind = \"email\"", "needs `server`");
        check("[[target]]\nname = \"t\"\nurl_env = \"BACKHAUL_NOT_SET\"", "is not set");
    }
}
