//! Gateways, owners, observers, services and their credentials as values. Knows no files and no clock.
//!
//! A [`Directory`] is an immutable snapshot: the broker holds one, asks it who a client is, and is handed
//! the next one when somebody edits it. Edits are [`Command`]s, judged here and made durable by the store.
//! Randomness and time come in as arguments.

#![forbid(unsafe_code)]

mod credential;
mod snapshot;

mod api_token;
mod command;
mod downlink;
mod erasure;
mod grant;
mod incident;
mod operator;
mod person;
mod replay;
mod request;
mod sending;
mod silence;
mod watch;

mod gateway_id;
mod name;
mod node_setup;
mod scram;
mod token;

pub use api_token::{
    API_TOKEN_NAME_CHARS_MAX, API_TOKENS_MAX, ApiScope, ApiToken, ApiTokenForm, ApiTokenRefused,
};
pub use command::{Applied, Command, CommandError, Edit};
pub use credential::{Credential, Owner, Role};
pub use downlink::{
    Downlink, DownlinkApplied, DownlinkCommand, DownlinkRefused, IslandNumber, STOPPED_ISLANDS_MAX,
};
pub use erasure::{
    ERASURE_REQUESTS_MAX, ERASURES_MAX, Erasure, ErasureRefused, ErasureState, NodePrint, PRINT_BYTES,
    Tombstones,
};
pub use gateway_id::{GatewayId, GatewayIdError};
pub use grant::{
    GRANT_CHANNELS_MAX, GRANT_TEXT_BYTES_MAX, Grant, GrantApplied, GrantCommand, GrantRefused, Grants,
    in_words,
};
pub use incident::{
    INCIDENT_NOTES_CHARS_MAX, INCIDENT_TITLE_CHARS_MAX, INCIDENTS_MAX, Incident, IncidentForm,
    IncidentRefused,
};
pub use name::{PrefixError, TopicPrefix, USERNAME_BYTES_MAX, Username, UsernameError};
pub use node_setup::NodeSetup;
pub use operator::{OPERATOR_PASSWORD_CHARS_MIN, OperatorPassword, OperatorPasswordError};
pub use person::{Person, PersonCommand, PersonName, PersonRefused, PersonRole};
pub use replay::{REPLAYS_MAX, Replay, ReplayCommand, ReplayOrder, ReplayRefused, ReplayState, parse_speed};
pub use request::{
    REQUESTS_WAITING_MAX, Request, RequestDecision, RequestForm, RequestKind, RequestRefused, RequestState,
    RequestSurroundings, Suggestion, check_decision, suggest,
};
pub use scram::{ScramError, ScramExchange, ScramVerifier};
pub use sending::{
    SENDING_CHANNELS_MAX, SENDING_PER_HOUR_MAX, Sending, SendingApplied, SendingCommand, SendingRefused,
    Sendings,
};
pub use silence::{SILENCE_MS_MAX, SILENCES_MAX, Silence, SilenceRefused};
pub use snapshot::{AuthRefusal, Directory, InconsistentDirectory};
pub use token::{TOKEN_CHARS, TOKEN_RANDOM_BYTES, Token, TokenHash, TokenKey};
pub use watch::{Quarantine, Watch, WatchApplied, WatchCommand, WatchRefused};
