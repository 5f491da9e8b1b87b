//! Extended authentication (§ 4.12): SCRAM-SHA-256 before CONNACK, and again while connected. The exchange itself is the
//! directory's; here is who says what when.

use std::fmt;

use directory::{AuthRefusal, ScramError, ScramExchange};
use mqtt::auth::Auth;
use mqtt::connect::Connect;
use mqtt::property::id;
use mqtt::{DecodeError, ReasonCode};
use policy::admission::{Refusal, principal_of};
use policy::principal::Principal;
use record::ConnectionWhat;

use crate::connect::TRY_LATER;
use crate::reason::Explains;
use crate::session::SessionId;
use crate::{Broker, ConnectionId, Now};

/// The one Authentication Method there is.
pub(crate) const METHOD: &str = "SCRAM-SHA-256";

const OUT_OF_TURN: &str = "AUTH with a Reason Code that is out of turn";

/// A sign-in that waits for the client's proof.
pub(crate) struct SignIn {
    exchange: ScramExchange,
    /// Body of the CONNECT that is answered when it is over; empty for one while connected.
    connect: Box<[u8]>,
    /// When it began, on the broker's clock in ms.
    pub begun_ms: u64,
}

impl fmt::Debug for SignIn {
    /// Without the CONNECT, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

impl Broker {
    /// A CONNECT that names an Authentication Method. It is answered when the exchange is over. [MQTT-4.12.0-2]
    pub(crate) fn begin_sign_in(
        &mut self,
        now: Now,
        id: ConnectionId,
        method: &str,
        connect: &Connect<'_>,
        body: &[u8],
    ) {
        if method != METHOD {
            const WHY: &str = "The one authentication method of this server is SCRAM-SHA-256.";
            return self.refuse_connect(now, id, ReasonCode::BadAuthenticationMethod, WHY); // [MQTT-4.12.0-1]
        }
        let first = connect.properties.binary(id::AUTHENTICATION_DATA).unwrap_or_default();
        match self.start_exchange(first) {
            Ok((exchange, _)) if self.must_wait(now, id, Some(exchange.username())) => {
                self.refuse_connect(now, id, ReasonCode::ConnectionRateExceeded, TRY_LATER);
            }
            Ok((exchange, answer)) => self.ask_for_proof(now, id, exchange, &answer, body),
            Err(ScramError(why)) => self.fail_connect(now, id, connect.client_id, why, why),
        }
    }

    /// AUTH from the client.
    pub(crate) fn on_auth(&mut self, now: Now, id: ConnectionId, session: Option<SessionId>, auth: Auth<'_>) {
        let Some(connection) = self.connection(id) else { return };
        let is_agreed = connection.uses_scram || connection.sign_in.is_some();
        if !is_agreed || auth.method != METHOD {
            // [MQTT-4.12.0-5] [MQTT-4.12.0-7] [MQTT-4.12.1-1]
            let error = DecodeError::protocol("AUTH with a method that CONNECT did not name");
            return self.on_bad_packet(now, id, error);
        }
        let data = auth.data.unwrap_or_default();
        match (auth.reason, connection.sign_in.take(), session) {
            (ReasonCode::ReAuthenticate, None, Some(_)) => match self.start_exchange(data) {
                Ok((exchange, answer)) => self.ask_for_proof(now, id, exchange, &answer, &[]),
                Err(ScramError(why)) => self.fail_again(id, why),
            },
            (ReasonCode::ContinueAuthentication, Some(sign_in), None) => {
                self.finish_connect(now, id, &sign_in, data);
            }
            (ReasonCode::ContinueAuthentication, Some(sign_in), Some(session)) => {
                self.finish_again(now, id, session, &sign_in, data);
            }
            (_, _, None) => self.refuse_connect(now, id, ReasonCode::ProtocolError, OUT_OF_TURN),
            _ => self.on_bad_packet(now, id, DecodeError::protocol(OUT_OF_TURN)),
        }
    }

    fn start_exchange(&mut self, first: &[u8]) -> Result<(ScramExchange, String), ScramError> {
        self.sign_ins_begun += 1;
        let options = &self.options;
        let nonce = options.token_key.scram_nonce(options.seed, self.sign_ins_begun);
        ScramExchange::start(&options.directory, &options.token_key, &nonce, first)
    }

    fn ask_for_proof(
        &mut self,
        now: Now,
        id: ConnectionId,
        exchange: ScramExchange,
        answer: &str,
        body: &[u8],
    ) {
        let Some(connection) = self.connection(id) else { return };
        let sign_in = SignIn { exchange, connect: body.into(), begun_ms: now.mono_ms };
        connection.sign_in = Some(Box::new(sign_in));
        self.watch_connection(id);
        self.send_auth(id, ReasonCode::ContinueAuthentication, answer);
    }

    fn finish_connect(&mut self, now: Now, id: ConnectionId, sign_in: &SignIn, last: &[u8]) {
        let Ok(connect) = Connect::decode(&sign_in.connect) else { return };
        match self.proven(sign_in, last) {
            Ok((principal, _)) if !self.fits_certificate(id, &principal) => {
                let refusal = Refusal::OtherName;
                self.fail_connect(now, id, connect.client_id, refusal.reason(), refusal.sentence());
            }
            Ok((principal, proof)) => {
                if let Some(connection) = self.connection(id) {
                    connection.uses_scram = true;
                }
                self.let_in(now, id, &connect, principal, Some(&proof));
            }
            Err(refusal) => {
                self.note_wrong_credential(now, id, Some(sign_in.exchange.username()));
                let refusal = Refusal::Credential(refusal);
                self.fail_connect(now, id, connect.client_id, refusal.reason(), refusal.sentence());
            }
        }
    }

    fn finish_again(
        &mut self,
        now: Now,
        id: ConnectionId,
        session: SessionId,
        sign_in: &SignIn,
        last: &[u8],
    ) {
        let proven = self.proven(sign_in, last);
        let owner = self.sessions.get(session.index()).map(|s| &s.principal);
        match proven {
            Ok((principal, proof)) if owner.is_some_and(|owner| principal.may_take_over(owner)) => {
                self.send_auth(id, ReasonCode::Success, &proof);
            }
            Ok(_) => self.fail_again(id, "signed in again as somebody else"),
            Err(refusal) => {
                self.note_wrong_credential(now, id, Some(sign_in.exchange.username()));
                self.fail_again(id, Refusal::Credential(refusal).sentence());
            }
        }
    }

    fn proven(&self, sign_in: &SignIn, last: &[u8]) -> Result<(Principal, String), AuthRefusal> {
        let (credential, proof) = sign_in.exchange.finish(&self.options.directory, last)?;
        Ok((principal_of(credential), proof))
    }

    /// Where certificates are credentials, nobody proves one name by certificate and another one by password.
    fn fits_certificate(&self, id: ConnectionId, principal: &Principal) -> bool {
        let Some(connection) = self.connections.get(id.index()) else { return false };
        let is_credential = self.entrances.rules(connection.listener).certificate_is_credential;
        let name = connection.certificate_name.as_ref().filter(|_| is_credential);
        name.is_none_or(|name| principal.username() == Some(name))
    }

    /// `reason` is for the operator, `why` for the client. [MQTT-4.12.0-4]
    fn fail_connect(
        &mut self,
        now: Now,
        id: ConnectionId,
        client_id: &str,
        reason: &'static str,
        why: &'static str,
    ) {
        self.counters.authentication_failed += 1;
        self.note_connection(now, id, client_id.into(), ConnectionWhat::Refused(reason));
        self.refuse_connect(now, id, ReasonCode::NotAuthorized, why);
    }

    /// [MQTT-4.12.1-2]
    fn fail_again(&mut self, id: ConnectionId, why: &'static str) {
        self.counters.authentication_failed += 1;
        self.disconnect(id, ReasonCode::NotAuthorized, why);
    }

    fn send_auth(&mut self, id: ConnectionId, reason: ReasonCode, data: &str) {
        let auth = Auth { reason, method: METHOD, data: Some(data.as_bytes()) };
        let is_sent = self.write_why(id, Explains::IfAsked, "", |out, _, _| auth.encode(out));
        if !is_sent {
            self.close(id, "takes no packet as large as AUTH");
        }
    }
}
