//! The directory's promises, through its public face.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use directory::{
    AuthRefusal, Command, CommandError, Credential, Directory, Edit, GatewayId, Owner, Role, Token, TokenKey,
};
use proptest::prelude::*;

const GATEWAY: GatewayId = GatewayId(0x7c5a_0a01);

#[test]
fn a_gateway_signs_in_with_its_token_only() {
    let directory = after([add_gateway(GATEWAY, 1)]);
    let credential = sign_in(&directory, "gw-7c5a0a01", 1).unwrap();
    assert_eq!(credential.role, Role::Gateway(GATEWAY));
    assert_eq!(sign_in(&directory, "gw-7c5a0a01", 2), Err(AuthRefusal::WrongPassword));
    assert_eq!(sign_in(&directory, "gw-7c5a0a02", 1), Err(AuthRefusal::UnknownUser));
    assert_eq!(directory.gateway(GATEWAY).unwrap().name.as_str(), "gw-7c5a0a01");
    assert!(directory.gateway(GatewayId(2)).is_none());
}

#[test]
fn another_installations_key_opens_nothing() {
    let directory = after([add_gateway(GATEWAY, 1)]);
    let token = token(1);
    let refusal = directory.authenticate("gw-7c5a0a01", token.reveal().as_bytes(), &TokenKey::new([1; 32]));
    assert_eq!(refusal.unwrap_err(), AuthRefusal::WrongPassword);
}

#[test]
fn disabled_is_told_only_to_who_knows_the_password() {
    let directory = after([add_gateway(GATEWAY, 1), disable("gw-7c5a0a01")]);
    assert_eq!(sign_in(&directory, "gw-7c5a0a01", 1), Err(AuthRefusal::Disabled));
    assert_eq!(sign_in(&directory, "gw-7c5a0a01", 2), Err(AuthRefusal::WrongPassword));
    let directory = then(&directory, Command::Enable { username: "gw-7c5a0a01".into() });
    assert!(sign_in(&directory, "gw-7c5a0a01", 1).is_ok());
}

#[test]
fn rotating_replaces_the_password() {
    let directory = after([add_gateway(GATEWAY, 1), rotate("gw-7c5a0a01", 2)]);
    assert_eq!(sign_in(&directory, "gw-7c5a0a01", 1), Err(AuthRefusal::WrongPassword));
    assert!(sign_in(&directory, "gw-7c5a0a01", 2).is_ok());
}

#[test]
fn the_first_credential_ends_anonymity_even_when_disabled() {
    assert!(!Directory::default().has_credentials());
    assert!(after([add_observer("wall", 1), disable("wall")]).has_credentials());
    assert!(!after([add_observer("wall", 1), remove("wall")]).has_credentials());
}

#[test]
fn every_edit_that_must_end_connections_is_a_change() {
    let old = after([add_observer("wall", 1), add_observer("desk", 2)]);
    check_changed(&old, disable("wall"), &["wall"]);
    check_changed(&old, rotate("desk", 3), &["desk"]);
    check_changed(&old, remove("desk"), &["desk"]);
    check_changed(&old, add_observer("new", 3), &["new"]);
    assert_eq!(old.changed_since(&old).count(), 0);
}

#[test]
fn removing_and_adding_again_is_a_change() {
    let old = after([add_observer("wall", 1)]);
    let new = then(&then(&old, remove("wall")), add_observer("wall", 1));
    assert_eq!(new.changed_since(&old).map(|name| name.as_str()).collect::<Vec<_>>(), ["wall"]);
}

#[test]
fn wrong_commands_are_refused_in_words() {
    let directory = after([add_gateway(GATEWAY, 1), add_observer("wall", 2), disable("wall")]);
    check_refused(
        &directory,
        add_gateway(GATEWAY, 3),
        "a credential of this name exists already: gateway `gw-7c5a0a01`",
    );
    check_refused(
        &directory,
        add_observer("wall", 3),
        "a credential of this name exists already: observer `wall`",
    );
    check_refused(
        &directory,
        add_gateway(GatewayId(0), 3),
        "`!00000000` is reserved and cannot be a gateway's node id",
    );
    check_refused(
        &directory,
        add_gateway(GatewayId(u32::MAX), 3),
        "`!ffffffff` is reserved and cannot be a gateway's node id",
    );
    check_refused(
        &directory,
        add_observer("gw-1", 3),
        "names that start with `gw-` are kept for gateways, but name is `gw-1`",
    );
    check_refused(&directory, add_observer(&"a".repeat(64), 3), "name must be at most 63 bytes, but is 64");
    check_refused(
        &directory,
        add_observer("Wall Map", 3),
        "name must be made of `a-z 0-9 . _ -` and start with a letter or digit, but is `Wall Map`",
    );
    check_refused(&directory, add_service("home", "a/#", 3), "topic prefix `a/#` has a wildcard");
    check_refused(&directory, disable("nobody"), "no credential is named `nobody`");
    check_refused(&directory, disable("wall"), "credential is already disabled: `wall`");
    check_refused(
        &directory,
        Command::Enable { username: "gw-7c5a0a01".into() },
        "credential is already enabled: `gw-7c5a0a01`",
    );
}

#[test]
fn long_or_broken_texts_are_refused() {
    let with = |name: &str, contact: Option<&str>, note: &str| {
        let owner = Some(Owner { name: name.into(), contact: contact.map(Into::into) });
        Command::AddGateway { id: GATEWAY, owner, note: note.into(), token: token(1) }
    };
    let empty = Directory::default();
    check_refused(&empty, with(" ", None, ""), "owner's name must not be empty");
    check_refused(
        &empty,
        with(&"n".repeat(101), None, ""),
        "owner's name must be at most 100 bytes, but is 101",
    );
    check_refused(
        &empty,
        with("Ada", Some(&"c".repeat(201)), ""),
        "owner's contact must be at most 200 bytes, but is 201",
    );
    check_refused(&empty, with("Ada", None, &"n".repeat(501)), "note must be at most 500 bytes, but is 501");
    check_refused(
        &empty,
        with("A\nB", None, ""),
        "owner's name must not have line breaks or other control characters",
    );
}

#[test]
fn events_and_debug_output_name_no_person_and_no_secret() {
    let owner = Some(Owner { name: "Ada Lovelace".into(), contact: Some("ada@example.org".into()) });
    let command = Command::AddGateway { id: GATEWAY, owner, note: String::new(), token: token(5) };
    let before = format!("{command:?}");
    let applied = Directory::default().apply(command, &key(), 1).unwrap();
    assert_eq!(applied.event, "added gateway !7c5a0a01 (gw-7c5a0a01)");
    assert_eq!(applied.edit, Edit::Added);
    for shown in [before, format!("{applied:?}")] {
        for secret in ["Ada", "example.org", token(5).reveal()] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}

#[test]
fn a_stored_directory_that_breaks_its_rules_is_not_taken() {
    let directory = after([add_gateway(GATEWAY, 1), add_observer("wall", 2)]);
    let parts: Vec<Credential> = directory.credentials().map(|c| Credential::clone(c)).collect();
    assert_eq!(Directory::from_parts(parts.clone(), 2).unwrap(), directory);
    assert!(Directory::from_parts(parts.clone(), 1).is_err(), "generation from the future");
    let mut renamed = parts.clone();
    renamed[0].role = Role::Gateway(GatewayId(5));
    assert!(Directory::from_parts(renamed, 2).is_err(), "gateway named after another");
    let twice = parts.iter().chain(&parts).cloned();
    assert!(Directory::from_parts(twice, 2).is_err(), "twice");
}

proptest! {
    /// Whatever is done in whatever order: the invariants hold, generations only rise, and a refused command
    /// changes nothing.
    #[test]
    fn any_history_of_commands_keeps_the_invariants(steps in proptest::collection::vec(any_command(), 0..40)) {
        let mut now = Directory::default();
        for (command, _) in steps {
            let old = now.clone();
            match now.apply(command, &key(), 7) {
                Ok(applied) => {
                    prop_assert!(applied.directory.last_generation() >= old.last_generation());
                    let changed: Vec<_> = applied.directory.changed_since(&old).collect();
                    prop_assert_eq!(changed, [&applied.username]);
                    now = applied.directory;
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
            let parts = now.credentials().map(|c| Credential::clone(c));
            prop_assert_eq!(&Directory::from_parts(parts, now.last_generation()).unwrap(), &now);
        }
    }

    /// The model: who may sign in is decided by the last token and switch of each name, and by nothing else.
    #[test]
    fn who_may_sign_in_follows_the_last_edit(steps in proptest::collection::vec(any_command(), 0..40)) {
        let mut now = Directory::default();
        let mut model = std::collections::BTreeMap::<String, (u8, bool)>::new();
        for (command, seed) in steps {
            let shadow = command.clone();
            if let Ok(applied) = now.apply(command, &key(), 7) {
                let name = applied.username.as_str().to_owned();
                now = applied.directory;
                match shadow {
                    Command::AddGateway { .. }
                    | Command::AddObserver { .. }
                    | Command::AddService { .. }
                    | Command::AddBridge { .. } => {
                        model.insert(name, (seed, true));
                    }
                    Command::Rotate { .. } => model.get_mut(&name).unwrap().0 = seed,
                    Command::Disable { .. } => model.get_mut(&name).unwrap().1 = false,
                    Command::Enable { .. } => model.get_mut(&name).unwrap().1 = true,
                    Command::Remove { .. } => { model.remove(&name); }
                }
            }
        }
        for name in ["a", "b", "gw-00000007"] {
            for seed in 0..4 {
                let expected = match model.get(name) {
                    None => Err(AuthRefusal::UnknownUser),
                    Some((right, _)) if *right != seed => Err(AuthRefusal::WrongPassword),
                    Some((_, false)) => Err(AuthRefusal::Disabled),
                    Some((_, true)) => Ok(()),
                };
                prop_assert_eq!(sign_in(&now, name, seed).map(|_| ()), expected);
            }
        }
    }

    #[test]
    fn signing_in_never_panics(user: String, password: Vec<u8>) {
        let directory = after([add_gateway(GATEWAY, 1)]);
        prop_assert!(directory.authenticate(&user, &password, &key()).is_err());
    }
}

fn any_command() -> impl Strategy<Value = (Command, u8)> {
    let name = prop_oneof![Just("a"), Just("b"), Just("gw-00000007")];
    (0u8..7, name, 0u8..4).prop_map(|(kind, name, seed)| {
        let command = match kind {
            0 => add_gateway(GatewayId(7), seed),
            1 => add_observer(name, seed),
            2 => add_service(name, "home/x", seed),
            3 => disable(name),
            4 => Command::Enable { username: name.into() },
            5 => rotate(name, seed),
            _ => remove(name),
        };
        (command, seed)
    })
}

fn check_changed(old: &Directory, command: Command, expected: &[&str]) {
    let new = then(old, command);
    assert_eq!(new.changed_since(old).map(|name| name.as_str()).collect::<Vec<_>>(), expected);
}

fn check_refused(directory: &Directory, command: Command, words: &str) {
    let error: CommandError = directory.apply(command, &key(), 9).expect_err("command should be refused");
    assert_eq!(error.to_string(), words);
}

fn after(commands: impl IntoIterator<Item = Command>) -> Directory {
    commands.into_iter().fold(Directory::default(), |directory, command| then(&directory, command))
}

fn then(directory: &Directory, command: Command) -> Directory {
    directory.apply(command, &key(), 1_000).expect("command should be taken").directory
}

fn sign_in<'a>(directory: &'a Directory, user: &str, seed: u8) -> Result<&'a Credential, AuthRefusal> {
    directory.authenticate(user, token(seed).reveal().as_bytes(), &key()).map(|arc| &**arc)
}

fn add_gateway(id: GatewayId, seed: u8) -> Command {
    Command::AddGateway { id, owner: None, note: String::new(), token: token(seed) }
}

fn add_observer(name: &str, seed: u8) -> Command {
    Command::AddObserver { name: name.into(), owner: None, note: String::new(), token: token(seed) }
}

fn add_service(name: &str, prefix: &str, seed: u8) -> Command {
    let (name, prefix) = (name.into(), prefix.into());
    Command::AddService { name, prefix, owner: None, note: String::new(), token: token(seed) }
}

fn disable(name: &str) -> Command {
    Command::Disable { username: name.into() }
}

fn rotate(name: &str, seed: u8) -> Command {
    Command::Rotate { username: name.into(), token: token(seed) }
}

fn remove(name: &str) -> Command {
    Command::Remove { username: name.into() }
}

fn token(seed: u8) -> Token {
    Token::from_random([seed; 17])
}

fn key() -> TokenKey {
    TokenKey::new([42; 32])
}
