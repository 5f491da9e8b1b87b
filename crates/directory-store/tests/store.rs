//! The store's promises, on real files.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use directory::{
    AuthRefusal, Command, CommandError, Edit, GatewayId, Owner, PersonCommand, PersonName, PersonRefused,
    PersonRole, Token,
};
use directory_store::{
    SCHEMA_VERSION, SETUP_LIFETIME_MS, SignedIn, Store, StoreError, random_token, verify_operator_password,
};
use tempfile::TempDir;

const NOW: u64 = 1_800_000_000_000;
const LONG_ENOUGH: &str = "correct horse battery";

#[test]
fn what_was_applied_is_there_after_reopening() {
    let dir = folder();
    let token = random_token().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.apply(add_gateway(7, &token), "test", NOW).unwrap();
    store.apply(service("home"), "test", NOW).unwrap();
    store.apply(observer("wall"), "test", NOW).unwrap();
    store.apply(Command::Disable { username: "wall".into() }, "test", NOW + 5).unwrap();
    store.apply(observer("gone"), "test", NOW).unwrap();
    let applied = store.apply(Command::Remove { username: "gone".into() }, "test", NOW).unwrap();
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    let directory = store.load().unwrap();
    assert_eq!(directory, applied.directory);
    let gateway = directory.gateway(GatewayId(7)).unwrap();
    assert_eq!(gateway.owner, Some(Owner { name: "Ada".into(), contact: Some("ada@example.org".into()) }));
    assert_eq!((gateway.created_ms, gateway.note.as_str()), (NOW, "roof"));
    assert_eq!(directory.credential("wall").unwrap().disabled_ms, Some(NOW + 5));
    let signed_in = directory.authenticate("gw-00000007", token.reveal().as_bytes(), store.token_key());
    assert_eq!(signed_in.unwrap(), gateway);
}

#[test]
fn a_database_of_version_1_is_brought_up_to_date() {
    let dir = folder();
    let token = random_token().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.apply(add_gateway(7, &token), "test", NOW).unwrap();
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join("directory.db")).unwrap();
    raw.execute_batch(
        "ALTER TABLE credential DROP COLUMN scram; ALTER TABLE grants DROP COLUMN telemetry_ms;
         ALTER TABLE grants DROP COLUMN downlink_channels; ALTER TABLE grants DROP COLUMN downlink_ms; PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(raw);
    let mut store = Store::open(dir.path()).unwrap();
    let directory = store.load().unwrap();
    let gateway = directory.gateway(GatewayId(7)).unwrap();
    assert_eq!(gateway.scram, None, "cannot be made from a hash");
    assert!(directory.authenticate("gw-00000007", token.reveal().as_bytes(), store.token_key()).is_ok());
    let next = random_token().unwrap();
    store.apply(Command::Rotate { username: "gw-00000007".into(), token: next }, "test", NOW).unwrap();
    drop(store);
    let directory = Store::open(dir.path()).unwrap().load().unwrap();
    assert!(directory.gateway(GatewayId(7)).unwrap().scram.is_some());
}

#[test]
fn a_generation_is_never_used_twice_across_restarts() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    store.apply(observer("wall"), "test", NOW).unwrap();
    let old = store.load().unwrap();
    store.apply(Command::Remove { username: "wall".into() }, "test", NOW).unwrap();
    drop(store);
    let mut store = Store::open(dir.path()).unwrap();
    let new = store.apply(observer("wall"), "test", NOW).unwrap().directory;
    assert_eq!(new.changed_since(&old).count(), 1);
}

#[test]
fn a_refused_command_changes_nothing() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    store.apply(observer("wall"), "test", NOW).unwrap();
    let before = store.load().unwrap();
    let error = store.apply(observer("wall"), "test", NOW).unwrap_err();
    assert!(matches!(error, StoreError::Command(CommandError::Duplicate { .. })), "{error:?}");
    assert_eq!(store.load().unwrap(), before);
    assert_eq!(store.audit(10).unwrap().len(), 1);
}

#[test]
fn another_process_edit_is_noticed_and_an_own_one_is_not() {
    let dir = folder();
    let mut server = Store::open(dir.path()).unwrap();
    let mut command_line = Store::open(dir.path()).unwrap();
    let start = server.data_version().unwrap();
    server.apply(observer("own"), "test", NOW).unwrap();
    assert_eq!(server.data_version().unwrap(), start);
    let old = server.load().unwrap();
    command_line.apply(observer("other"), "test", NOW).unwrap();
    assert_ne!(server.data_version().unwrap(), start);
    let new = server.load().unwrap();
    assert_eq!(new.changed_since(&old).map(|name| name.as_str()).collect::<Vec<_>>(), ["other"]);
}

#[test]
fn edits_from_many_connections_do_not_cross() {
    let dir = folder();
    Store::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = dir.path();
            scope.spawn(move || {
                let mut store = Store::open(path).unwrap();
                for n in 0..5 {
                    store.apply(observer(&format!("o{thread}-{n}")), "test", NOW).unwrap();
                }
            });
        }
    });
    let directory = Store::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(directory.credentials().len(), 20);
    assert_eq!(directory.last_generation(), 20);
}

#[test]
fn starting_together_in_an_empty_folder_works() {
    let dir = folder();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| Store::open(dir.path()).unwrap());
        }
    });
    Store::open(dir.path()).unwrap();
}

#[test]
fn files_are_private_from_the_start_and_made_private_again() {
    let dir = folder();
    let data = dir.path().join("data");
    let mut store = Store::open(&data).unwrap();
    store.apply(observer("wall"), "test", NOW).unwrap();
    let check = |when: &str| {
        for entry in std::fs::read_dir(&data).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(mode(&entry.path()) & 0o077, 0, "{when}: {}", entry.path().display());
        }
        assert_eq!(mode(&data) & 0o077, 0);
    };
    check("fresh");
    drop(store);
    for name in ["directory.db", "secret.key"] {
        std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let _store = Store::open(&data).unwrap();
    check("opened again");
}

#[test]
fn a_database_from_a_newer_program_is_named_and_left_alone() {
    let dir = folder();
    Store::open(dir.path()).unwrap();
    let path = dir.path().join("directory.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let before = std::fs::read(&path).unwrap();
    let text = Store::open(dir.path()).unwrap_err().to_string();
    assert!(
        text.contains("directory.db") && text.contains("99") && text.contains(&SCHEMA_VERSION.to_string()),
        "{text}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_damaged_or_foreign_database_is_named() {
    let check = |make: &dyn Fn(&Path)| {
        let dir = folder();
        let path = dir.path().join("directory.db");
        make(&path);
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains("directory.db"), "{error}");
    };
    check(&|path| std::fs::write(path, vec![b'x'; 5000]).unwrap());
    check(&|path| {
        let raw = rusqlite::Connection::open(path).unwrap();
        raw.execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    });
    check(&|path| {
        let dir = path.parent().unwrap();
        let mut store = Store::open(dir).unwrap();
        for n in 0..200 {
            store.apply(observer(&format!("o{n}")), "test", NOW).unwrap();
        }
        drop(store);
        let mut bytes = std::fs::read(path).unwrap();
        let len = bytes.len();
        bytes[4096..len].fill(0x5a);
        std::fs::write(path, bytes).unwrap();
    });
}

#[test]
fn a_row_that_makes_no_sense_is_damage() {
    let check = |edit: &str| {
        let dir = folder();
        let mut store = Store::open(dir.path()).unwrap();
        store.apply(observer("wall"), "test", NOW).unwrap();
        let raw = rusqlite::Connection::open(dir.path().join("directory.db")).unwrap();
        raw.execute_batch(edit).unwrap();
        let error = store.load().unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{edit}: {error:?}");
    };
    check("UPDATE credential SET role = 'king'");
    check("UPDATE credential SET role = 'gateway', gateway = -1");
    check("UPDATE credential SET role = 'gateway', gateway = 5");
    check("UPDATE credential SET token = x'00'");
    check("UPDATE credential SET created_ms = -1");
    check("UPDATE credential SET generation = 77");
    check("UPDATE credential SET name = 'A B'");
    check("DELETE FROM state");
}

#[test]
fn a_lost_or_foreign_key_is_an_error_once_passwords_depend_on_it() {
    let dir = folder();
    let key = dir.path().join("secret.key");
    Store::open(dir.path()).unwrap();
    assert_eq!(std::fs::read(&key).unwrap().len(), 32);
    std::fs::remove_file(&key).unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.apply(observer("wall"), "test", NOW).unwrap();
    drop(store);

    let right = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::KeyMissing { .. })));
    assert!(!key.exists(), "no other key is made");
    std::fs::write(&key, [1; 32]).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::KeyForeign { .. })));
    std::fs::write(&key, [1; 31]).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::KeyLength { .. })));
    std::fs::write(&key, right).unwrap();
    Store::open(dir.path()).unwrap();
}

#[test]
fn an_unusable_folder_is_named() {
    let dir = folder();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let text = Store::open(&file.join("data")).unwrap_err().to_string();
    assert!(text.contains("cannot make data folder") && text.contains("file/data"), "{text}");
}

#[test]
fn the_setup_link_works_once_and_makes_the_first_admin() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    assert!(!store.has_password().unwrap());
    let token = store.create_setup_token(NOW).unwrap();
    assert!(store.whose_code(token.reveal(), NOW).unwrap().is_some());
    assert_eq!(store.redeem_code("wrong", LONG_ENOUGH, NOW).unwrap(), None);
    assert!(matches!(store.redeem_code(token.reveal(), "short", NOW), Err(StoreError::Password(_))));
    assert_eq!(store.redeem_code(token.reveal(), LONG_ENOUGH, NOW).unwrap(), Some(name("operator")));
    assert_eq!(store.redeem_code(token.reveal(), "another password", NOW).unwrap(), None, "single use");

    assert!(store.has_password().unwrap());
    assert_eq!(store.people().unwrap()[0].role, PersonRole::Admin);
    let stored = store.password_of("operator").unwrap().unwrap();
    assert!(stored.as_phc().starts_with("$argon2id$"));
    assert!(verify_operator_password(&stored, LONG_ENOUGH));
    assert!(!verify_operator_password(&stored, "correct horse batterz"));
}

#[test]
fn a_setup_link_expires_and_a_later_one_replaces_it() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    let works = |store: &Store, code: &Token, at| store.whose_code(code.reveal(), at).unwrap().is_some();
    let first = store.create_setup_token(NOW).unwrap();
    assert!(works(&store, &first, NOW + SETUP_LIFETIME_MS - 1));
    assert!(!works(&store, &first, NOW + SETUP_LIFETIME_MS));
    assert_eq!(store.redeem_code(first.reveal(), LONG_ENOUGH, NOW + SETUP_LIFETIME_MS).unwrap(), None);
    let second = store.create_setup_token(NOW).unwrap();
    assert!(!works(&store, &first, NOW));
    assert!(works(&store, &second, NOW));
}

#[test]
fn people_are_invited_change_roles_and_go_with_their_sign_ins() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    first_admin(&mut store);
    let add = PersonCommand::Add(name("ada"), PersonRole::Observer);
    let code = store.apply_person(&add, "operator", NOW).unwrap().unwrap();
    assert!(store.password_of("ada").unwrap().is_none());
    assert_eq!(store.redeem_code(code.reveal(), LONG_ENOUGH, NOW).unwrap(), Some(name("ada")));
    let sign_in = session(&mut store, "ada", NOW, 1000);
    let who = |store: &Store| store.signed_in(sign_in.reveal(), NOW).unwrap();
    assert_eq!(who(&store), Some(SignedIn::Person(name("ada"), PersonRole::Observer)));
    store.apply_person(&PersonCommand::SetRole(name("ada"), PersonRole::Operator), "operator", NOW).unwrap();
    assert_eq!(who(&store), Some(SignedIn::Person(name("ada"), PersonRole::Operator)), "at once");
    let code = store.apply_person(&PersonCommand::Reset(name("ada")), "operator", NOW).unwrap().unwrap();
    assert_eq!(who(&store), None);
    assert!(store.password_of("ada").unwrap().is_none());
    store.apply_person(&PersonCommand::Remove(name("ada")), "operator", NOW).unwrap();
    assert_eq!(store.whose_code(code.reveal(), NOW).unwrap(), None, "the invitation went with her");
    let refused = store.apply_person(&PersonCommand::Remove(name("operator")), "operator", NOW);
    assert!(matches!(refused, Err(StoreError::Person(PersonRefused::LastAdmin))));
    assert_eq!(store.audit(1).unwrap()[0].words, "removed ada");
}

#[test]
fn the_operator_of_an_older_database_is_its_first_admin_and_stays_signed_in() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    first_admin(&mut store);
    let sign_in = session(&mut store, "operator", NOW, 1000);
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join("directory.db")).unwrap();
    raw.execute_batch(
        "INSERT INTO operator (id, password_phc, changed_ms) SELECT 1, password_phc, since_ms FROM person;
         INSERT INTO session (hash, created_ms, expires_ms) SELECT hash, created_ms, expires_ms FROM sign_in;
         DROP TABLE person; DROP TABLE sign_in; ALTER TABLE grants DROP COLUMN telemetry_ms;
         ALTER TABLE grants DROP COLUMN downlink_channels; ALTER TABLE grants DROP COLUMN downlink_ms;
         PRAGMA user_version = 5;",
    )
    .unwrap();
    drop(raw);
    let store = Store::open(dir.path()).unwrap();
    let stored = store.password_of("operator").unwrap().unwrap();
    assert!(verify_operator_password(&stored, LONG_ENOUGH));
    let who = store.signed_in(sign_in.reveal(), NOW).unwrap();
    assert_eq!(who, Some(SignedIn::Person(name("operator"), PersonRole::Admin)));
}

#[test]
fn sign_ins_expire_end_and_do_not_outlive_a_new_password() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    first_admin(&mut store);
    let mut make = |lifetime| session(&mut store, "operator", NOW, lifetime);
    let (one, two, three) = (make(1000), make(2000), make(2000));
    let holds = |store: &Store, token: &str, at| store.signed_in(token, at).unwrap().is_some();
    assert!(holds(&store, one.reveal(), NOW + 999));
    assert!(!holds(&store, one.reveal(), NOW + 1000));
    assert!(!holds(&store, "wrong", NOW));
    store.delete_session(two.reveal()).unwrap();
    assert!(!holds(&store, two.reveal(), NOW));
    assert!(holds(&store, three.reveal(), NOW));
    let code = store.apply_person(&PersonCommand::Reset(name("operator")), "test", NOW).unwrap().unwrap();
    store.redeem_code(code.reveal(), LONG_ENOUGH, NOW).unwrap();
    assert!(!holds(&store, three.reveal(), NOW));
}

#[test]
fn the_oldest_sign_in_goes_when_there_are_too_many() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    first_admin(&mut store);
    let first = session(&mut store, "operator", NOW, 10_000);
    let second = session(&mut store, "operator", NOW + 1, 10_000);
    for n in 2..1001 {
        store.create_session(&SignedIn::Owner(GatewayId(7)), NOW + n, 10_000).unwrap();
    }
    assert_eq!(store.signed_in(first.reveal(), NOW + 1200).unwrap(), None);
    assert!(store.signed_in(second.reveal(), NOW + 1200).unwrap().is_some());
}

#[test]
fn the_audit_says_who_did_what_newest_first() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    store.apply(add_gateway(7, &random_token().unwrap()), "command line", NOW).unwrap();
    let add = PersonCommand::Add(name("ada"), PersonRole::Operator);
    store.apply_person(&add, "operator", NOW + 1).unwrap();
    let lines = store.audit(10).unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0].actor.as_str(), lines[0].action.as_str()), ("operator", "add-person"));
    assert_eq!(lines[1].words, "added gateway !00000007 (gw-00000007)");
    assert_eq!((lines[1].at_ms, lines[1].action.as_str()), (NOW, Edit::Added.word()));
}

#[test]
fn no_secret_is_on_disk_or_in_debug_output() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    let token = random_token().unwrap();
    store.apply(add_gateway(7, &token), "test", NOW).unwrap();
    let setup = store.create_setup_token(NOW).unwrap();
    store.redeem_code(setup.reveal(), LONG_ENOUGH, NOW).unwrap();
    let login = session(&mut store, "operator", NOW, 1000);
    store.create_setup_token(NOW).unwrap();
    let shown = format!("{store:?} {:?}", store.load().unwrap());
    let mut on_disk = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        on_disk.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    for secret in [token.reveal(), setup.reveal(), login.reveal(), LONG_ENOUGH] {
        assert!(!on_disk.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
        assert!(!shown.contains(secret));
    }
    assert!(!shown.contains("example.org"));
}

#[test]
fn the_wrong_password_is_refused_by_a_loaded_directory() {
    let dir = folder();
    let mut store = Store::open(dir.path()).unwrap();
    store.apply(add_gateway(7, &random_token().unwrap()), "test", NOW).unwrap();
    let directory = store.load().unwrap();
    let refusal = directory.authenticate("gw-00000007", b"", store.token_key()).unwrap_err();
    assert_eq!(refusal, AuthRefusal::WrongPassword);
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("the file exists").permissions().mode()
}

fn name(text: &str) -> PersonName {
    text.parse().expect("a name")
}

fn first_admin(store: &mut Store) {
    let code = store.create_setup_token(NOW).expect("a code can be made");
    store.redeem_code(code.reveal(), LONG_ENOUGH, NOW).expect("the code works").expect("the code works");
}

fn session(store: &mut Store, whose: &str, now_ms: u64, lifetime_ms: u64) -> Token {
    let whose = SignedIn::Person(name(whose), PersonRole::Observer);
    store.create_session(&whose, now_ms, lifetime_ms).expect("a sign-in can be made")
}

fn add_gateway(number: u32, token: &Token) -> Command {
    let owner = Some(Owner { name: "Ada".into(), contact: Some("ada@example.org".into()) });
    Command::AddGateway { id: GatewayId(number), owner, note: "roof".into(), token: token.clone() }
}

fn observer(name: &str) -> Command {
    let token = random_token().expect("randomness");
    Command::AddObserver { name: name.into(), owner: None, note: String::new(), token }
}

fn service(name: &str) -> Command {
    let token = random_token().expect("randomness");
    let prefix = "home/kc".into();
    Command::AddService { name: name.into(), prefix, owner: None, note: String::new(), token }
}

#[test]
fn where_downlink_is_stopped_survives_and_is_audited() {
    use directory::{DownlinkCommand, IslandNumber};
    let folder = tempfile::tempdir().unwrap();
    let island = IslandNumber(0x7c5a_0a01);
    let mut store = Store::open(folder.path()).unwrap();
    store.apply_downlink(DownlinkCommand::Stop(Some(island)), "command line", 5).unwrap();
    store.apply_downlink(DownlinkCommand::Stop(None), "operator", 6).unwrap();
    let refused = store.apply_downlink(DownlinkCommand::Stop(None), "operator", 7);
    assert!(matches!(refused, Err(StoreError::Downlink(_))));
    drop(store);
    let mut store = Store::open(folder.path()).unwrap();
    let directory = store.load().unwrap();
    assert_eq!(directory.downlink().stopped_ms, Some(6));
    assert_eq!(directory.downlink().stopped_islands.get(&island), Some(&5));
    store.apply_downlink(DownlinkCommand::Start(None), "operator", 8).unwrap();
    assert!(!store.load().unwrap().downlink().is_stopped_anywhere());
    let audit: Vec<_> = store.audit(9).unwrap().into_iter().map(|line| (line.actor, line.words)).collect();
    assert_eq!(audit[0], ("operator".to_owned(), "started all downlink".to_owned()));
    assert_eq!(audit[2].1, "stopped downlink on island !7c5a0a01");
    assert_eq!(audit.len(), 3);
}

#[test]
fn quarantine_and_reviews_survive_and_are_audited() {
    use directory::{WatchCommand, WatchRefused};
    let folder = tempfile::tempdir().unwrap();
    let (node, router) = (GatewayId(0x7c5a_0b02), GatewayId(0x7c5a_0a01));
    let mut store = Store::open(folder.path()).unwrap();
    store.apply(add_gateway(router.0, &random_token().unwrap()), "command line", 1).unwrap();
    let quarantine = || WatchCommand::Quarantine { node, reason: "two keys".into() };
    store.apply_watch(quarantine(), "operator", 5).unwrap();
    store.apply_watch(WatchCommand::Review(router), "command line", 6).unwrap();
    let again = store.apply_watch(quarantine(), "operator", 7);
    assert!(matches!(again, Err(StoreError::Watch(WatchRefused::AlreadyQuarantined(id))) if id == node));
    drop(store);
    let mut store = Store::open(folder.path()).unwrap();
    let directory = store.load().unwrap();
    assert_eq!(directory.watch().quarantine(node).unwrap().reason, "two keys");
    assert_eq!(directory.watch().reviewed_ms(router), Some(6));
    store.apply_watch(WatchCommand::Release(node), "operator", 8).unwrap();
    assert_eq!(store.load().unwrap().watch().quarantine(node), None);
    let audit: Vec<_> = store.audit(2).unwrap().into_iter().map(|line| (line.action, line.words)).collect();
    assert_eq!(audit[0], ("release".to_owned(), "released node !7c5a0b02 from quarantine".to_owned()));
    assert_eq!(audit[1].1, "reviewed gateway !7c5a0a01: it is where it belongs");
}
