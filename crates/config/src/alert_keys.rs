//! The table of keys of the alerts' file, in the order of the documentation.

use std::path::PathBuf;

use crate::kind::Kind;
use crate::table::Preset::{Absent, Flag, List, Text, Whole};
use crate::table::{section, words};

section! { Alerts, ALERTS_LINES, "", "Keys before the first table.";
    packaged: bool = Flag(true), Kind::Flag,
        "Whether the rules that come with the program hold too. A rule of the same name in this file takes the place of one.";
    targets: Vec<String> = List(&[]), Kind::Names,
        "Targets of every rule that names none. Without targets, alerts are shown on the page only.";
    per_hour: u32 = Whole(60), Kind::Whole { min: 1, max: 10_000 },
        "Alerts told within an hour, of all rules together; more are counted, and the next message says how many.";
    gather_s: u32 = Whole(20), Kind::Whole { min: 0, max: 3_600 },
        "Seconds that what happens together is gathered into one message.";
    quiet_hours: Option<String> = Absent("22:00-07:00"), Kind::Text { bytes_max: 20 },
        "Hours in which only what is critical is told; the rest waits until they are over.";
    time_zone: String = Text("UTC"), Kind::Text { bytes_max: 60 },
        "Time zone of the quiet hours, such as America/Chicago.";
}

section! { AlertRule, ALERT_RULE_LINES, "rule", "What to watch for, once for each rule (docs/alerts.md).";
    name: String = Absent("repeater-battery"), Kind::Text { bytes_max: 60 },
        "What it is called; required.";
    enabled: bool = Flag(true), Kind::Flag,
        "Whether it is watched.";
    about: Option<String> = Absent("Somebody should drive up there."), Kind::Text { bytes_max: 400 },
        "What it means and what to do, for whoever gets it.";
    severity: Severity = Text("warning"), Kind::Choice(Severity::WORDS),
        "How bad it is. What is critical is told in quiet hours too.";
    filter: Option<String> = Absent("from:!7c5a0a01 port:telemetry"), Kind::Text { bytes_max: 2_000 },
        "Packets that it looks at, as in the log's filter; every packet if not said.";
    when: When = Text("match"), Kind::Choice(When::WORDS),
        "What it waits for: packets that match, none that match for a time, a number above or below a limit, a change, a \
         node that enters or leaves an area.";
    per: Per = Text("node"), Kind::Choice(Per::WORDS),
        "What it is kept apart by: each sender, each gateway, each channel, or nothing.";
    count: u32 = Whole(1), Kind::Whole { min: 1, max: 1_000 },
        "For \"match\": packets within `within`.";
    within: String = Text("10m"), Kind::Text { bytes_max: 20 },
        "For \"match\": the time in which they must come, such as 30s, 10m, 2h or 1d.";
    lasting: Option<String> = Absent("2h"), Kind::Text { bytes_max: 20 },
        "For \"absent\", which needs it, \"above\" and \"below\": how long it must have been so.";
    value: Option<String> = Absent("battery_level"), Kind::Text { bytes_max: 60 },
        "For \"above\" and \"below\": the number, by its name in telemetry or one of the broker's own (docs/alerts.md).";
    limit: Option<String> = Absent("20"), Kind::Text { bytes_max: 30 },
        "For \"above\" and \"below\": beyond which it is bad. A text, since it may have decimals.";
    clear: Option<String> = Absent("30"), Kind::Text { bytes_max: 30 },
        "From where on it is good again; the limit if not said.";
    change: Change = Text("new"), Kind::Choice(Change::WORDS),
        "For \"change\": of what. \"new\" is a node that was never heard before; it is silent for the first day.";
    area: Option<String> = Absent("39.25,-94.42,5"), Kind::Text { bytes_max: 60 },
        "For \"enter\" and \"leave\": latitude, longitude and radius in km.";
    over_after: String = Text("10m"), Kind::Text { bytes_max: 20 },
        "For \"match\" and \"change\": how long after the last one it is over; until then it is not told again.";
    tell_end: bool = Flag(true), Kind::Flag,
        "Whether it is told when it is over.";
    per_hour: u32 = Whole(10), Kind::Whole { min: 1, max: 1_000 },
        "Times that it is told within an hour.";
    targets: Vec<String> = List(&[]), Kind::Names,
        "Who is told; those at the top of the file if none is named.";
}

section! { AlertTarget, ALERT_TARGET_LINES, "target",
    "Who is told, once for each target. Only what its sender agreed to share is told to anybody (docs/alerts.md).";
    name: String = Absent("team"), Kind::Text { bytes_max: 60 },
        "What it is called; required.";
    kind: TargetKind = Text("webhook"), Kind::Choice(TargetKind::WORDS),
        "How it is told.";
    url: Option<String> = Absent("https://ntfy.example.org/kc-mesh"), Kind::WebAddress,
        "Address of a webhook, an ntfy topic or a Discord webhook. No redirect is followed.";
    url_file: Option<PathBuf> = Absent("discord.url"), Kind::File,
        "File that holds the address, instead of `url`: that of a Discord webhook is a secret.";
    url_env: Option<String> = Absent("DISCORD_URL"), Kind::Text { bytes_max: 200 },
        "Environment variable that holds the address.";
    secret_file: Option<PathBuf> = Absent("webhook.secret"), Kind::File,
        "File that holds the secret: key of a webhook's signature, ntfy's access token, password of the mail server.";
    secret_env: Option<String> = Absent("WEBHOOK_SECRET"), Kind::Text { bytes_max: 200 },
        "Environment variable that holds the secret.";
    template: Option<String> = Absent("{\\\"text\\\": \\\"{title}\\\"}"), Kind::Text { bytes_max: 4_000 },
        "Body of a webhook, with {title}, {text}, {severity} and {json}; the JSON of docs/alerts.md if not said.";
    content_type: String = Text("application/json"), Kind::Text { bytes_max: 100 },
        "Content type of a webhook's body. In JSON, texts are put in with JSON's escapes.";
    topic: Option<String> = Absent("backhaul/1/alert"), Kind::Text { bytes_max: 200 },
        "Topic of an MQTT target, on this broker.";
    server: Option<String> = Absent("mail.example.org"), Kind::Text { bytes_max: 253 },
        "Mail server.";
    port: u16 = Whole(587), Kind::Whole { min: 1, max: 65_535 },
        "Its port.";
    security: MailSecurity = Text("starttls"), Kind::Choice(MailSecurity::WORDS),
        "How the way to the mail server is secured.";
    username: Option<String> = Absent("mesh"), Kind::Text { bytes_max: 200 },
        "User name at the mail server.";
    from: Option<String> = Absent("mesh@example.org"), Kind::Text { bytes_max: 300 },
        "Sender of mails.";
    to: Vec<String> = List(&[]), Kind::Names,
        "Receivers of mails.";
}

words! {
    /// What a rule waits for.
    When {
        /// Packets that match.
        Match = "match",
        /// None that match.
        Absent = "absent",
        /// A number above a limit.
        Above = "above",
        /// A number below a limit.
        Below = "below",
        /// Something else than before.
        Change = "change",
        /// A node enters an area.
        Enter = "enter",
        /// A node leaves an area.
        Leave = "leave",
    }
}

words! {
    /// How bad it is.
    Severity {
        /// Good to know.
        Info = "info",
        /// Somebody should look at it.
        Warning = "warning",
        /// Somebody must look at it.
        Critical = "critical",
    }
}

words! {
    /// What a rule is kept apart by.
    Per {
        /// Nothing.
        Mesh = "mesh",
        /// The sender.
        Node = "node",
        /// The gateway.
        Gateway = "gateway",
        /// The channel.
        Channel = "channel",
    }
}

words! {
    /// What may change.
    Change {
        /// It was never heard before.
        New = "new",
        /// Its public key.
        Key = "key",
        /// Its long name.
        Name = "name",
        /// Its hardware.
        Hardware = "hardware",
        /// Its role.
        Role = "role",
    }
}

words! {
    /// How a target is told.
    TargetKind {
        /// HTTP POST.
        Webhook = "webhook",
        /// A topic of an ntfy server.
        Ntfy = "ntfy",
        /// A webhook as Discord takes it.
        Discord = "discord",
        /// A mail.
        Email = "email",
        /// A message on this broker.
        Mqtt = "mqtt",
    }
}

words! {
    /// How the way to a mail server is secured.
    MailSecurity {
        /// TLS from the beginning.
        Tls = "tls",
        /// TLS after a greeting in clear.
        Starttls = "starttls",
        /// Not at all: for a server on the same machine.
        None = "none",
    }
}
