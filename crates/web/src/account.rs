//! The operator's sign-in: password, setup code, cookie. Keeps no password and puts no secret into a log or an address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::{HeaderMap, header};
use directory::{Directory, DownlinkCommand};
use directory_store::{Store, StoreError, verify_operator_password};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::throttle::Throttle;

const COOKIE: &str = "backhaul_session";
/// A sign-in lasts this long.
const SESSION_LIFETIME_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Hashing a password takes 19 MiB and a core; further tries wait.
const HASHING_AT_ONCE: usize = 1;
/// Tokens are short; anything longer is not looked up.
const TOKEN_BYTES_MAX: usize = 128;

/// Who signs in, and how often they may try.
pub struct Account {
    store: Arc<Mutex<Store>>,
    throttle: Mutex<Throttle>,
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
            hashing: Semaphore::new(HASHING_AT_ONCE),
            is_https,
        }
    }

    /// Whether these headers carry a sign-in that holds.
    pub async fn is_signed_in(&self, headers: &HeaderMap, now_ms: i64) -> bool {
        let Some(token) = cookie(headers) else { return false };
        let found = self.with_store(move |store| store.session_expires_ms(&token, unsigned(now_ms))).await;
        matches!(found, Ok(Some(_)))
    }

    /// Whether a password is set.
    pub async fn has_password(&self) -> bool {
        matches!(self.with_store(|store| store.operator_password()).await, Ok(Some(_)))
    }

    /// Signs in with the password; the answer is the cookie to set.
    pub async fn sign_in(
        &self,
        address: IpAddr,
        password: String,
        now_ms: i64,
    ) -> Result<String, SignInRefusal> {
        self.begin(address, now_ms)?;
        let _turn = self.hashing.acquire().await.map_err(|_| SignInRefusal::Failed)?;
        let stored =
            self.with_store(|store| store.operator_password()).await.map_err(|_| SignInRefusal::Failed)?;
        let stored = stored.ok_or(SignInRefusal::NoPassword)?;
        let is_right =
            spawn_blocking(move || verify_operator_password(&stored, &password)).await.unwrap_or(false);
        if !is_right {
            return Err(SignInRefusal::Wrong);
        }
        self.succeed(address, now_ms).await
    }

    /// Sets the password with the one-time code and signs in; the answer is the cookie to set.
    pub async fn set_up(
        &self,
        address: IpAddr,
        code: String,
        password: String,
        now_ms: i64,
    ) -> Result<String, SignInRefusal> {
        directory::OperatorPassword::check_choice(&password)
            .map_err(|e| SignInRefusal::Choice(e.to_string()))?;
        self.begin(address, now_ms)?;
        if code.len() > TOKEN_BYTES_MAX {
            return Err(SignInRefusal::Wrong);
        }
        let _turn = self.hashing.acquire().await.map_err(|_| SignInRefusal::Failed)?;
        let now = unsigned(now_ms);
        let redeemed = self.with_store(move |store| store.redeem_setup_token(&code, &password, now)).await;
        match redeemed {
            Ok(true) => self.succeed(address, now_ms).await,
            Ok(false) => Err(SignInRefusal::Wrong),
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

    /// Does what the operator wants about downlink; the error says why not.
    pub async fn command_downlink(&self, command: DownlinkCommand, now_ms: i64) -> Result<(), String> {
        let done =
            self.with_store(move |store| store.apply_downlink(command, "operator", unsigned(now_ms))).await;
        match done {
            Ok(_) => Ok(()),
            Err(Some(StoreError::Downlink(refused))) => Err(refused.to_string()),
            Err(_) => Err("the directory could not be written; the program's log has the reason".to_owned()),
        }
    }

    /// Makes a decision of the operator's durable; otherwise says why not.
    pub async fn decide(&self, command: directory::WatchCommand, now_ms: i64) -> Result<(), String> {
        let done =
            self.with_store(move |store| store.apply_watch(command, "operator", now_ms).map(drop)).await;
        done.map_err(|error| match error {
            Some(StoreError::Watch(refused)) => format!("This was not done: {refused}."),
            _ => "The directory could not be read or written. Try again; the program's log has the reason."
                .to_owned(),
        })
    }

    fn begin(&self, address: IpAddr, now_ms: i64) -> Result<(), SignInRefusal> {
        lock(&self.throttle).begin(address, now_ms).map_err(SignInRefusal::TooOften)
    }

    async fn succeed(&self, address: IpAddr, now_ms: i64) -> Result<String, SignInRefusal> {
        lock(&self.throttle).succeeded(address);
        let made =
            self.with_store(move |store| store.create_session(unsigned(now_ms), SESSION_LIFETIME_MS)).await;
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

fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// A panic elsewhere while the lock was held leaves nothing half done here: both values are used in single calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
