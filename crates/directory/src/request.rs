//! What people ask the operators for: to connect a gateway, or to send more than is ordinary. Knows no pages and no
//! passwords; contact data is personal and never shows in `Debug`.

use std::fmt;

use crate::GatewayId;

/// Longest answer of one line, in characters.
const LINE_CHARS_MAX: usize = 120;
/// Longest answer of several lines, in characters.
const TEXT_CHARS_MAX: usize = 1000;
/// Most requests that may wait at a time; further ones are told to come back.
pub const REQUESTS_WAITING_MAX: usize = 200;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// To connect a gateway.
    Access,
    /// For a gateway that is connected: more telemetry, sensors, downlink.
    Contribution,
}

impl RequestKind {
    /// Its word in forms and on disk.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Contribution => "contribution",
        }
    }

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Access, Self::Contribution].into_iter().find(|kind| kind.word() == word)
    }
}

/// What somebody wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestForm {
    /// What is asked for.
    pub kind: RequestKind,
    /// The node that is to be a gateway.
    pub node: GatewayId,
    /// The person answerable for it.
    pub owner: String,
    /// How to reach them; for operators only.
    pub contact: String,
    /// Roughly where it is, in their words.
    pub place: String,
    /// Whether it stays there.
    pub is_fixed: bool,
    /// What powers it, in their words.
    pub power: String,
    /// How high the antenna is, in their words.
    pub height: String,
    /// What connects it to the internet, in their words.
    pub internet: String,
    /// Names of the channels it is to uplink; empty for the default one.
    pub channels: Vec<String>,
    /// Whether packets are to go down to it.
    pub wants_downlink: bool,
    /// Whether measurements are to come more often than is ordinary.
    pub wants_telemetry: bool,
    /// Why downlink, what telemetry, and what else there is to say.
    pub reason: String,
}

impl fmt::Debug for RequestForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestForm")
            .field("kind", &self.kind)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl RequestForm {
    /// Reads the fields of a form.
    ///
    /// # Errors
    /// Everything that is wrong with it, in sentences.
    pub fn read(field: impl Fn(&str) -> String) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let mut text = |name: &str, what: &str, chars_max: usize, is_required: bool| {
            let text = field(name).trim().replace("\r\n", "\n");
            if is_required && text.is_empty() {
                wrong.push(format!("{what} is missing"));
            } else if text.chars().count() > chars_max {
                wrong.push(format!("{what} is longer than {chars_max} characters"));
            } else if text.chars().any(|c| c.is_control() && !(c == '\n' && chars_max > LINE_CHARS_MAX)) {
                wrong.push(format!("{what} has control characters in it"));
            }
            text
        };
        let owner = text("owner", "your name", LINE_CHARS_MAX, true);
        let contact = text("contact", "how to reach you", LINE_CHARS_MAX, true);
        let place = text("place", "where it is", LINE_CHARS_MAX, true);
        let power = text("power", "the power", LINE_CHARS_MAX, false);
        let height = text("height", "the height", LINE_CHARS_MAX, false);
        let internet = text("internet", "the internet", LINE_CHARS_MAX, false);
        let channels = text("channels", "the list of channels", LINE_CHARS_MAX, false);
        let reason = text("reason", "the reason", TEXT_CHARS_MAX, false);
        let channels: Vec<String> =
            channels.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if channels.len() > crate::GRANT_CHANNELS_MAX {
            wrong.push(format!("a node has at most {} channels", crate::GRANT_CHANNELS_MAX));
        }
        let is_on = |name: &str| !field(name).is_empty();
        let (wants_downlink, wants_telemetry) = (is_on("downlink"), is_on("telemetry"));
        if (wants_downlink || wants_telemetry) && reason.is_empty() {
            wrong.push("downlink and more telemetry use up airtime: say what for".to_owned());
        }
        let kind = RequestKind::from_word(&field("kind")).unwrap_or(RequestKind::Access);
        let node = field("node").trim().to_ascii_lowercase();
        let node = if node.starts_with('!') { node } else { format!("!{node}") };
        match node.parse::<GatewayId>() {
            Ok(node) if wrong.is_empty() => Ok(Self {
                kind,
                node,
                owner,
                contact,
                place,
                is_fixed: is_on("fixed"),
                power,
                height,
                internet,
                channels,
                wants_downlink,
                wants_telemetry,
                reason,
            }),
            Ok(_) => Err(wrong),
            Err(error) => {
                wrong.insert(0, error.to_string());
                Err(wrong)
            }
        }
    }
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// For an operator to decide.
    Waiting,
    /// An operator has asked something back.
    AskedBack,
    /// Granted; the owner may fetch the credentials.
    Approved,
    /// Granted, and the credentials have been fetched.
    Fetched,
    /// Not granted.
    Refused,
    /// Nobody came back to it in time.
    Expired,
}

impl RequestState {
    const ALL: [Self; 6] =
        [Self::Waiting, Self::AskedBack, Self::Approved, Self::Fetched, Self::Refused, Self::Expired];

    /// Its word on disk and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::AskedBack => "asked-back",
            Self::Approved => "approved",
            Self::Fetched => "fetched",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether an operator may still decide.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::AskedBack)
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number, from 1.
    pub number: i64,
    /// What was written.
    pub form: RequestForm,
    /// Where it stands.
    pub state: RequestState,
    /// When it came, Unix ms.
    pub asked_ms: i64,
    /// When it was decided or asked back last, Unix ms.
    pub decided_ms: Option<i64>,
    /// Who did that.
    pub decided_by: String,
    /// What they wrote to the person who asked.
    pub answer: String,
}

/// What an operator does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestDecision {
    /// Make a credential, and a grant for what was asked beyond the ordinary.
    Approve,
    /// Ask the person something.
    AskBack,
    /// Do not grant it.
    Refuse,
}

impl RequestDecision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Approve, Self::AskBack, Self::Refuse];

    /// Its word in forms, on the command line and in the audit.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::AskBack => "ask-back",
            Self::Refuse => "refuse",
        }
    }

    /// The decision with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.word() == word)
    }

    /// Where the request stands then.
    pub const fn leads_to(self) -> RequestState {
        match self {
            Self::Approve => RequestState::Approved,
            Self::AskBack => RequestState::AskedBack,
            Self::Refuse => RequestState::Refused,
        }
    }
}

/// Why something is not done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestRefused {
    /// There is none with this number.
    Unknown(i64),
    /// It has been decided.
    Decided(RequestState),
    /// Too many wait.
    TooMany,
    /// The same node has a request that waits.
    Twice,
    /// Whoever is asked back or refused must be told something.
    NoAnswer,
    /// The answer is too long.
    TooLong,
    /// A contribution is for a gateway, and no gateway has this number.
    UnknownGateway(GatewayId),
}

impl fmt::Display for RequestRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(number) => write!(f, "there is no request {number}"),
            Self::Decided(state) => write!(f, "this request is {} already", state.word()),
            Self::TooMany => f.write_str("too many requests wait at the moment; come back in a few days"),
            Self::Twice => f.write_str("a request for this node waits already"),
            Self::NoAnswer => f.write_str("write a sentence to the person who asked"),
            Self::TooLong => write!(f, "an answer has at most {TEXT_CHARS_MAX} characters"),
            Self::UnknownGateway(id) => write!(f, "no gateway has the node id `{id}`; ask for access first"),
        }
    }
}

impl std::error::Error for RequestRefused {}

/// Judges an operator's decision about a request.
///
/// # Errors
/// Why it is refused.
pub fn check_decision(
    state: RequestState,
    decision: RequestDecision,
    answer: &str,
) -> Result<(), RequestRefused> {
    if !state.is_open() {
        return Err(RequestRefused::Decided(state));
    }
    if answer.chars().count() > TEXT_CHARS_MAX {
        return Err(RequestRefused::TooLong);
    }
    match decision {
        RequestDecision::AskBack | RequestDecision::Refuse if answer.trim().is_empty() => {
            Err(RequestRefused::NoAnswer)
        }
        RequestDecision::AskBack | RequestDecision::Refuse | RequestDecision::Approve => Ok(()),
    }
}

/// What is known of the node that a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestSurroundings {
    /// Whether it has a credential.
    pub is_gateway: bool,
    /// Whether it is in quarantine.
    pub is_quarantined: bool,
    /// When it was heard over the radio last, Unix ms.
    pub heard_ms: Option<i64>,
    /// How many gateways heard it.
    pub heard_by: usize,
    /// Whether it has been seen to move.
    pub has_moved: bool,
    /// How many marks speak against its identity.
    pub marks: usize,
}

/// A decision that the program would take, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The decision.
    pub decision: RequestDecision,
    /// Every reason for and against, in sentences.
    pub reasons: Vec<String>,
}

/// What speaks for and against a request. The first thing that stands against it decides.
pub fn suggest(form: &RequestForm, around: &RequestSurroundings) -> Suggestion {
    let mut reasons: Vec<(RequestDecision, &str)> = Vec::new();
    let mut say = |decision, text| reasons.push((decision, text));
    use RequestDecision::{Approve, AskBack, Refuse};
    match around {
        RequestSurroundings { is_quarantined: true, .. } => say(Refuse, "The node is in quarantine."),
        RequestSurroundings { marks: 1.., .. } => {
            say(AskBack, "The node's identity is doubtful: somebody else may use its id.");
        }
        _ => {}
    }
    match (form.kind, around.is_gateway) {
        (RequestKind::Access, true) => say(AskBack, "The node is a gateway already: is this its owner?"),
        (RequestKind::Contribution, false) => say(Refuse, "The node is no gateway yet."),
        (RequestKind::Access, false) | (RequestKind::Contribution, true) => {}
    }
    match form.is_fixed {
        true => say(Approve, "It is said to stay where it is."),
        false => say(AskBack, "It is not said to stay where it is, and gateways must."),
    }
    if around.has_moved {
        say(AskBack, "It has been seen to move.");
    }
    match around.heard_by {
        0 => say(
            Approve,
            "No gateway has heard it of late: it may reach where nobody does, or not be on the air.",
        ),
        1 => say(Approve, "One gateway has heard it of late."),
        _ => say(Approve, "Several gateways have heard it of late: it adds little reach."),
    }
    if form.internet.is_empty() {
        say(AskBack, "Nothing is said about its internet.");
    }
    if form.power.is_empty() {
        say(AskBack, "Nothing is said about its power.");
    }
    if form.wants_downlink && around.heard_by > 1 {
        say(AskBack, "Downlink is wanted where other gateways reach already: it would transmit beside them.");
    }
    let worst = |wanted| reasons.iter().any(|(decision, _)| *decision == wanted);
    let decision = if worst(Refuse) {
        Refuse
    } else if worst(AskBack) {
        AskBack
    } else {
        Approve
    };
    Suggestion { decision, reasons: reasons.into_iter().map(|(_, text)| text.to_owned()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Result<RequestForm, Vec<String>> {
        let usual = [
            ("node", "!7c5a0a01"),
            ("owner", "Jo"),
            ("contact", "jo@example.org"),
            ("place", "Liberty"),
            ("fixed", "on"),
            ("power", "mains"),
            ("internet", "fibre"),
        ];
        RequestForm::read(|name| {
            let mut all = pairs.iter().chain(&usual);
            all.find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()).unwrap_or_default()
        })
    }

    #[test]
    fn everything_that_is_wrong_with_a_form_is_said_at_once() {
        let wrong =
            form(&[("node", "router"), ("owner", ""), ("place", "a\u{7}"), ("downlink", "on")]).unwrap_err();
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        let long = "x".repeat(1001);
        assert!(form(&[("reason", &long)]).is_err() && form(&[("channels", "a,b,c,d,e,f,g,h,i")]).is_err());
        let read = form(&[("node", " 7C5A0A01 "), ("channels", "LongFast, ,Town")]).unwrap();
        assert_eq!(
            (read.node.to_string().as_str(), read.channels),
            ("!7c5a0a01", vec!["LongFast".into(), "Town".into()])
        );
        assert!(!format!("{:?}", form(&[]).unwrap()).contains("example.org"));
    }

    #[test]
    fn what_stands_against_a_request_decides_what_is_suggested() {
        let check = |pairs: &[(&str, &str)], around: RequestSurroundings, expected| {
            let suggestion = suggest(&form(pairs).unwrap(), &around);
            assert_eq!(suggestion.decision, expected, "{:?}", suggestion.reasons);
        };
        let nothing = RequestSurroundings::default;
        check(&[], nothing(), RequestDecision::Approve);
        check(&[("fixed", "")], nothing(), RequestDecision::AskBack);
        check(&[("power", "")], nothing(), RequestDecision::AskBack);
        check(&[], RequestSurroundings { is_gateway: true, ..nothing() }, RequestDecision::AskBack);
        check(&[], RequestSurroundings { marks: 1, ..nothing() }, RequestDecision::AskBack);
        check(
            &[("fixed", "")],
            RequestSurroundings { is_quarantined: true, ..nothing() },
            RequestDecision::Refuse,
        );
        check(&[("kind", "contribution")], nothing(), RequestDecision::Refuse);
        let downlink = &[("downlink", "on"), ("reason", "a valley")];
        check(downlink, RequestSurroundings { heard_by: 1, ..nothing() }, RequestDecision::Approve);
        check(downlink, RequestSurroundings { heard_by: 2, ..nothing() }, RequestDecision::AskBack);
    }

    #[test]
    fn what_is_decided_stays_decided() {
        let check = |state, decision, answer| check_decision(state, decision, answer);
        assert_eq!(check(RequestState::Waiting, RequestDecision::Approve, ""), Ok(()));
        assert_eq!(check(RequestState::AskedBack, RequestDecision::Refuse, "no"), Ok(()));
        assert_eq!(check(RequestState::Waiting, RequestDecision::Refuse, " "), Err(RequestRefused::NoAnswer));
        for state in
            [RequestState::Approved, RequestState::Fetched, RequestState::Refused, RequestState::Expired]
        {
            assert_eq!(check(state, RequestDecision::Approve, ""), Err(RequestRefused::Decided(state)));
        }
    }
}
