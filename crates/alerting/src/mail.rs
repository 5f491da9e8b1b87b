//! One letter by SMTP.

use std::error::Error as _;
use std::time::Duration;

use automation::alert::letter::Letter;
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport};

use crate::target::{Mail, Security};

/// How long the server may take for each answer.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) fn send(mail: &Mail, letter: &Letter) -> Result<(), String> {
    let address = |text: &str| -> Result<Mailbox, String> {
        text.parse()
            .map_err(|error| format!("`{text}` is no mail address ({error}); correct `from` and `to`"))
    };
    let mut message = Message::builder().from(address(&mail.from)?).subject(&*letter.title);
    for receiver in &mail.to {
        message = message.to(address(receiver)?);
    }
    let message = message
        .header(ContentType::TEXT_PLAIN)
        .body(letter.text.clone())
        .map_err(|error| format!("the mail cannot be written: {error}"))?;
    let parameters = || {
        TlsParameters::new(mail.server.to_string())
            .map_err(|error| format!("TLS with `{}` cannot be prepared: {error}", mail.server))
    };
    let tls = match mail.security {
        Security::Tls => Tls::Wrapper(parameters()?),
        Security::StartTls => Tls::Required(parameters()?),
        Security::None => Tls::None,
    };
    let mut transport =
        SmtpTransport::builder_dangerous(&*mail.server).port(mail.port).tls(tls).timeout(Some(PATIENCE));
    if let Some((name, password)) = &mail.credentials {
        transport = transport.credentials(Credentials::new(name.to_string(), password.reveal().to_owned()));
    }
    transport.build().send(&message).map(drop).map_err(|error| {
        let what = if error.is_permanent() {
            "refuses; look at user name, password, `from` and `to`"
        } else if error.is_transient() {
            "cannot take it at the moment"
        } else if error.is_timeout() {
            "does not answer; look at `server`, `port` and `security`"
        } else {
            "cannot be spoken to; look at `server`, `port` and `security`"
        };
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        format!("the mail server `{}` port {} {what}: {cause}", mail.server, mail.port)
    })
}
