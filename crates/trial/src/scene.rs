//! Who takes part: the city, the broker with its settings and directory, the credentials.

use std::sync::Arc;

use broker::{Broker, Limits, Options};
use city::plan::Misfits;
use city::simulation::City;
use directory::{Command, Directory, GatewayId, TOKEN_RANDOM_BYTES, Token, TokenKey, Username};
use mesh::airtime::ModemPreset;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use policy::rule::{RuleId, RuleState};
use policy::settings::Settings;

use crate::{Fault, Misfit, Plan, Way};

/// Radio islands of the city.
pub(crate) const ISLANDS: usize = 3;
/// Gateways of the city, misfits included.
pub(crate) const GATEWAYS: usize = 12;
/// Name of the client that stands for everyone outside.
pub(crate) const OUTSIDE: &str = "outside";

const START_UNIX_MS: i64 = 1_795_000_000_000;
/// Node number of the broker itself, which asks gateways whether downlink reaches them.
const OWN_NODE: u32 = 0x0bac_4a01;
const TOKEN_KEY: [u8; 32] = [7; 32];

/// The city of a plan.
pub(crate) fn city(plan: &Plan) -> City {
    let rush = plan.duration_ms / 3..plan.duration_ms * 2 / 3;
    City::new(city::plan::Plan {
        seed: plan.seed,
        islands: ISLANDS,
        nodes: plan.nodes,
        gateways: GATEWAYS,
        texts_per_hour: plan.texts_per_hour,
        directs_per_hour: plan.texts_per_hour / 2,
        traceroutes_per_hour: plan.texts_per_hour / 4,
        rush_ms: rush,
        misfits: Misfits {
            are_there: true,
            abuser_ms: plan.abuse_ms.clone(),
            has_bridge: !plan.tamed.contains(&Misfit::Bridge),
            mobile_at_ms: (!plan.tamed.contains(&Misfit::Mobile)).then_some(plan.duration_ms / 2),
            has_spoofer: !plan.tamed.contains(&Misfit::Spoofer),
        },
        start_unix_ms: START_UNIX_MS,
        ..city::plan::Plan::default()
    })
}

/// The time, so many ms after the start.
pub(crate) fn now(at_ms: u64) -> broker::Now {
    broker::Now { mono_ms: 1_000 + at_ms, unix_ms: START_UNIX_MS + i64::try_from(at_ms).unwrap_or(0) }
}

/// Password number `n`.
pub(crate) fn token(n: u8) -> Token {
    let mut bytes = [0; TOKEN_RANDOM_BYTES];
    bytes[0] = n;
    Token::from_random(bytes)
}

/// A gateway's credential name.
pub(crate) fn username(gateway: u32) -> String {
    Username::of_gateway(GatewayId(gateway)).as_str().to_owned()
}

fn directory(city: &City) -> Directory {
    let gateways = (0..).zip(city.gateways()).map(|(n, resident)| Command::AddGateway {
        id: GatewayId(resident.num.0),
        owner: None,
        note: String::new(),
        token: token(n),
    });
    let outside = Command::AddObserver {
        name: OUTSIDE.into(),
        owner: None,
        note: String::new(),
        token: token(u8::MAX),
    };
    let key = TokenKey::new(TOKEN_KEY);
    gateways.chain([outside]).fold(Directory::default(), |directory, command| {
        directory.apply(command, &key, 0).expect("a lawful command").directory
    })
}

/// The policy on trial.
pub(crate) fn settings(plan: &Plan) -> Settings {
    let mut settings = Settings::default();
    settings.model.default = plan.model;
    settings.budget = plan.budget.clone();
    settings.outside.receivers = vec![OUTSIDE.into()];
    settings.set_state(RuleId::DownlinkVerified, RuleState::Enforce);
    let off: &[RuleId] = match plan.fault {
        Some(Fault::IgnoreConsent) => &[RuleId::Consent, RuleId::OutsideConsent],
        Some(Fault::ForgetWhoHeard) => &[RuleId::AlreadyHeard, RuleId::IslandHeard],
        Some(Fault::IgnoreBudgets) => &[RuleId::AirtimeBudget],
        Some(Fault::RaiseHopLimit | Fault::DamageCopy | Fault::RepeatCopy) | None => &[],
    };
    off.iter().for_each(|rule| settings.set_state(*rule, RuleState::Off));
    settings
}

/// The broker of a plan.
pub(crate) fn broker(plan: &Plan, city: &City) -> Broker {
    let is_plain = plan.way != Way::Policy;
    let mut keyring = Keyring::default();
    keyring.add(city::simulation::channel(), ChannelKey::default_key());
    let mut broker = Broker::new(Options {
        lab: is_plain,
        limits: Limits::default(),
        policy: Arc::new(settings(plan)),
        keyring,
        preset: ModemPreset::LongFast,
        directory: Arc::new(if is_plain { Directory::default() } else { directory(city) }),
        token_key: TokenKey::new(TOKEN_KEY),
        last_seq: 0,
        acknowledge_when_durable: false,
        seed: plan.seed,
    });
    broker.set_own_node(OWN_NODE);
    broker
}
