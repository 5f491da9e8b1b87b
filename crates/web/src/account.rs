//! Signing in: passwords, one-time codes, the cookie. Keeps no password and puts no secret into a log or an address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::{HeaderMap, header};
use directory::{Directory, DownlinkCommand, OperatorPassword, Person, PersonCommand, Token};
use directory_store::{SignedIn, Store, StoreError, verify_operator_password};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::throttle::Throttle;
use crate::who::Who;

const COOKIE: &str = "backhaul_session";
/// A sign-in lasts this long.
const SESSION_LIFETIME_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Hashing a password takes 19 MiB and a core; further tries wait.
const HASHING_AT_ONCE: usize = 1;
/// Tokens are short; anything longer is not looked up.
const TOKEN_BYTES_MAX: usize = 128;

/// Stands in for the password of a name that nobody has, so that the time an answer takes does not tell which names
/// there are.
const NOBODYS_PASSWORD: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                                c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ";

/// Who signs in, and how often they may try.
pub struct Account {
    store: Arc<Mutex<Store>>,
    throttle: Mutex<Throttle>,
    asks: Mutex<Throttle>,
    hashing: Semaphore,
    is_https: bool,
}

/// Why somebody is not signed in.
#[derive(Debug)]
pub enum SignInRefusal {
    /// The password or code is not the one.
    Wrong,
    /// No password is set yet: the setup link comes first.
    NoPassword,
    /// Too many tries from there; wait this many seconds.
    TooOften(u64),
    /// The chosen password is not taken, with the reason.
    Choice(String),
    /// The directory could not be read or written.
    Failed,
}

impl Account {
    /// The account of one directory. `is_https`: the pages are reached by HTTPS, so the cookie never leaves without.
    pub fn new(store: Store, is_https: bool) -> Self {
        Self {
            store: Arc::new(Mutex::new(store)),
            throttle: Mutex::default(),
            asks: Mutex::default(),
            hashing: Semaphore::new(HASHING_AT_ONCE),
            is_https,
        }
    }

    /// Who sends these headers.
    pub async fn who(&self, headers: &HeaderMap, now_ms: i64) -> Who {
        let Some(token) = cookie(headers) else { return Who::Anyone };
        let found = self.with_store(move |store| store.signed_in(&token, unsigned(now_ms))).await;
        found.ok().flatten().map_or(Who::Anyone, Who::by)
    }

    /// Whose program has this token, if it works.
    pub async fn by_token(&self, offered: &str, now_ms: i64) -> Option<Who> {
        let offered = offered.to_owned();
        let found = self.with_store(move |store| store.use_api_token(&offered, now_ms)).await.ok()??;
        Some(Who::Program(found.name, found.scope))
    }

    /// Whether anybody has a password.
    pub async fn has_password(&self) -> bool {
        self.with_store(|store| store.has_password()).await.unwrap_or(false)
    }

    /// Signs a person in with their password; the answer is the cookie to set.
    pub async fn sign_in(
        &self,
        address: IpAddr,
        name: String,
        password: String,
        now_ms: i64,
    ) -> Result<String, SignInRefusal> {
        self.begin(address, now_ms)?;
        let _turn = self.hashing.acquire().await.map_err(|_| SignInRefusal::Failed)?;
        let asked = name.clone();
        let (has_any, stored) = self
            .with_store(move |store| Ok((store.has_password()?, store.password_of(&asked)?)))
            .await
            .map_err(|_| SignInRefusal::Failed)?;
        if !has_any {
            return Err(SignInRefusal::NoPassword);
        }
        let is_known = stored.is_some();
        let stored = match stored {
            Some(stored) => stored,
            None => {
                OperatorPassword::from_phc(NOBODYS_PASSWORD.to_owned()).map_err(|_| SignInRefusal::Failed)?
            }
        };
        let is_right =
            spawn_blocking(move || verify_operator_password(&stored, &password)).await.unwrap_or(false);
        if !(is_known && is_right) {
            return Err(SignInRefusal::Wrong);
        }
        self.succeed(address, name, now_ms).await
    }

    /// Sets a password with a one-time code and signs in; the answer is the cookie to set.
    pub async fn set_up(
        &self,
        address: IpAddr,
        code: String,
        password: String,
        now_ms: i64,
    ) -> Result<String, SignInRefusal> {
        OperatorPassword::check_choice(&password).map_err(|e| SignInRefusal::Choice(e.to_string()))?;
        self.begin(address, now_ms)?;
        if code.len() > TOKEN_BYTES_MAX {
            return Err(SignInRefusal::Wrong);
        }
        let _turn = self.hashing.acquire().await.map_err(|_| SignInRefusal::Failed)?;
        let now = unsigned(now_ms);
        let redeemed = self.with_store(move |store| store.redeem_code(&code, &password, now)).await;
        match redeemed {
            Ok(Some(name)) => self.succeed(address, name.to_string(), now_ms).await,
            Ok(None) => Err(SignInRefusal::Wrong),
            Err(_) => Err(SignInRefusal::Failed),
        }
    }

    /// Ends the sign-in these headers carry; the answer is the cookie that clears theirs.
    pub async fn sign_out(&self, headers: &HeaderMap) -> String {
        if let Some(token) = cookie(headers) {
            // One that cannot be deleted ends by itself; the browser forgets it in any case.
            let _ = self.with_store(move |store| store.delete_session(&token)).await;
        }
        self.set_cookie("", 0)
    }

    /// The directory as it is at this moment; `None` when it cannot be read.
    pub async fn directory(&self) -> Option<Directory> {
        self.with_store(|store| store.load()).await.ok()
    }

    /// Everybody who may sign in; `None` when they cannot be read.
    pub async fn people(&self) -> Option<Vec<Person>> {
        self.with_store(|store| store.people()).await.ok()
    }

    /// Does what an admin wants about people; gives the one-time code of whoever may set a password, or says why not.
    pub async fn command_people(
        &self,
        command: PersonCommand,
        who: &Who,
        now_ms: i64,
    ) -> Result<Option<Token>, String> {
        let actor = who.actor();
        self.with_store(move |store| store.apply_person(&command, &actor, unsigned(now_ms)))
            .await
            .map_err(why_not)
    }

    /// Does what the operator wants about downlink; the error says why not.
    pub async fn command_downlink(
        &self,
        command: DownlinkCommand,
        who: &Who,
        now_ms: i64,
    ) -> Result<(), String> {
        let actor = who.actor();
        self.with_store(move |store| store.apply_downlink(command, &actor, unsigned(now_ms)).map(drop))
            .await
            .map_err(why_not)
    }

    /// Does what the operator wants about grants and holds; the error says why not.
    pub async fn command_grant(
        &self,
        command: directory::GrantCommand,
        who: &Who,
        now_ms: i64,
    ) -> Result<(), String> {
        let actor = who.actor();
        self.with_store(move |store| store.apply_grant(command, &actor, unsigned(now_ms)).map(drop))
            .await
            .map_err(why_not)
    }

    /// Makes a decision of the operator's durable; otherwise says why not.
    pub async fn decide(
        &self,
        command: directory::WatchCommand,
        who: &Who,
        now_ms: i64,
    ) -> Result<(), String> {
        let actor = who.actor();
        let done = self.with_store(move |store| store.apply_watch(command, &actor, now_ms).map(drop)).await;
        done.map_err(|error| format!("This was not done: {}.", why_not(error)))
    }

    /// Asks the directory or edits it; the error says in words why that was not done.
    pub async fn at_the_desk<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        self.with_store(ask).await.map_err(why_not)
    }

    /// Counts a request from somewhere, or says how many seconds to wait before another.
    pub fn may_ask(&self, address: IpAddr, now_ms: i64) -> Result<(), u64> {
        lock(&self.asks).begin(address, now_ms)
    }

    /// Signs the owner of a gateway in; the answer is the cookie to set.
    pub async fn sign_owner_in(&self, gateway: directory::GatewayId, now_ms: i64) -> Result<String, String> {
        let whose = SignedIn::Owner(gateway);
        let make =
            move |store: &mut Store| store.create_session(&whose, unsigned(now_ms), SESSION_LIFETIME_MS);
        let token = self.at_the_desk(make).await?;
        Ok(self.set_cookie(token.reveal(), SESSION_LIFETIME_MS / 1000))
    }

    fn begin(&self, address: IpAddr, now_ms: i64) -> Result<(), SignInRefusal> {
        lock(&self.throttle).begin(address, now_ms).map_err(SignInRefusal::TooOften)
    }

    async fn succeed(&self, address: IpAddr, name: String, now_ms: i64) -> Result<String, SignInRefusal> {
        lock(&self.throttle).succeeded(address);
        let name = name.parse().map_err(|_| SignInRefusal::Failed)?;
        // The role is looked up with every request, so that a change holds at once.
        let whose = SignedIn::Person(name, directory::PersonRole::Observer);
        let make =
            move |store: &mut Store| store.create_session(&whose, unsigned(now_ms), SESSION_LIFETIME_MS);
        let made = self.with_store(make).await;
        let token = made.map_err(|_| SignInRefusal::Failed)?;
        Ok(self.set_cookie(token.reveal(), SESSION_LIFETIME_MS / 1000))
    }

    fn set_cookie(&self, value: &str, age_s: u64) -> String {
        let secure = if self.is_https { "; Secure" } else { "" };
        format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age_s}{secure}")
    }

    async fn with_store<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Option<StoreError>> {
        let store = self.store.clone();
        let done = spawn_blocking(move || ask(&mut lock(&store))).await;
        done.map_err(|_| None)?.map_err(Some)
    }
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = texts.flat_map(|t| t.split(';')).filter_map(|p| p.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    (!value.is_empty() && value.len() <= TOKEN_BYTES_MAX).then(|| value.to_owned())
}

/// Why an edit was not done, in words for whoever asked. Names no file.
fn why_not(error: Option<StoreError>) -> String {
    match error {
        Some(StoreError::Downlink(refused)) => refused.to_string(),
        Some(StoreError::Watch(refused)) => refused.to_string(),
        Some(StoreError::Request(refused)) => refused.to_string(),
        Some(StoreError::Command(refused)) => refused.to_string(),
        Some(StoreError::Grant(refused)) => refused.to_string(),
        Some(StoreError::Person(refused)) => refused.to_string(),
        Some(StoreError::Incident(refused)) => refused.to_string(),
        Some(StoreError::Replay(refused)) => refused.to_string(),
        Some(StoreError::ApiToken(refused)) => refused.to_string(),
        Some(StoreError::Silence(refused)) => refused.to_string(),
        Some(StoreError::Erasure(refused)) => refused.to_string(),
        _ => "the directory could not be read or written; the program's log has the reason".to_owned(),
    }
}

fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// A panic elsewhere while the lock was held leaves nothing half done here: both values are used in single calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
