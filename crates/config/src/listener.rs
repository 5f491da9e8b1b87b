//! `[[listener]]`: further ways in, and what must agree between the keys of one.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use crate::diagnostics::Problems;
use crate::keys::{
    Acme, ClientCertificates, LISTENER_LINES, Listener, ListenerKind, ProxyProtocol, TLS_LINES,
};
use crate::load::{Config, place_of, report_unknown, section_values, tables};

/// Listeners are counted in a byte beside every connection; the pages' `/mqtt` and `mqtt.listen` are two more.
const LISTENERS_MAX: usize = 100;

/// Reads every `[[listener]]`; a wrong one is reported and left out.
pub(crate) fn read(document: &DeTable<'_>, problems: &mut Problems<'_>) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::new();
    for (table, at) in tables(document, "listener", LISTENERS_MAX, problems) {
        let Some(listener) = read_one(table, at.clone(), problems) else { continue };
        if let Some(twin) = listeners.iter().find(|other| other.name == listener.name) {
            let at = table.get("name").map_or(at, |name| name.span());
            problems.add(
                at,
                format!("`listener.name` must differ from the others, but `{}` appears twice", twin.name),
            );
        } else {
            listeners.push(listener);
        }
    }
    listeners
}

fn read_one(table: &DeTable<'_>, at: Range<usize>, problems: &mut Problems<'_>) -> Option<Listener> {
    report_unknown(table, &LISTENER_LINES, None, problems);
    for key in ["name", "address"].into_iter().filter(|key| table.get(*key).is_none()) {
        problems.add(at.clone(), format!("a listener needs `{key}`, but has none"));
    }
    let values = section_values(Some(table), &LISTENER_LINES, problems);
    let listener = Listener::from_values(&values)?;
    let place = |key: &str| table.get(key).map_or(at.clone(), |seen| seen.span());
    let is_tls = matches!(listener.kind, ListenerKind::Tls | ListenerKind::Wss);
    for key in ["certificate", "key", "client_ca"] {
        if !is_tls && table.get(key).is_some() {
            problems.add(
                place(key),
                format!(
                    "`listener.{key}` needs `kind` \"tls\" or \"wss\", but it is \"{}\"",
                    listener.kind.word()
                ),
            );
        }
    }
    if listener.certificate.is_some() != listener.key.is_some() {
        let (has, lacks) =
            if listener.key.is_none() { ("certificate", "key") } else { ("key", "certificate") };
        problems.add(place(has), format!("`listener.{has}` needs `{lacks}`, but it is missing"));
    }
    match listener.proxy_protocol {
        ProxyProtocol::Off if !listener.proxy_from.is_empty() => problems.add(
            place("proxy_from"),
            "`listener.proxy_from` needs `proxy_protocol`, but it is \"off\"".to_owned(),
        ),
        ProxyProtocol::V1 | ProxyProtocol::V2 | ProxyProtocol::Any if listener.proxy_from.is_empty() => {
            problems.add(
                place("proxy_protocol"),
                "`listener.proxy_protocol` needs `proxy_from`: whoever may send a PROXY header chooses the address \
                 that is believed"
                    .to_owned(),
            );
        }
        ProxyProtocol::Off | ProxyProtocol::V1 | ProxyProtocol::V2 | ProxyProtocol::Any => {}
    }
    let asks = listener.client_certificates != ClientCertificates::Off;
    if asks && !is_tls {
        problems.add(
            place("client_certificates"),
            format!(
                "`listener.client_certificates` needs `kind` \"tls\" or \"wss\", but it is \"{}\"",
                listener.kind.word()
            ),
        );
    }
    if asks && listener.client_ca.is_none() {
        problems.add(
            place("client_certificates"),
            "`listener.client_certificates` needs `client_ca`, but it is missing".to_owned(),
        );
    }
    if listener.certificate_is_credential && !asks {
        problems.add(
            place("certificate_is_credential"),
            "`listener.certificate_is_credential` needs `client_certificates`, but it is \"off\"".to_owned(),
        );
    }
    Some(listener)
}

/// What must agree between listeners and the rest of the file.
pub(crate) fn check(document: &DeTable<'_>, config: &Config, problems: &mut Problems<'_>) {
    report_shared_addresses(document, config, problems);
    if config.mqtt.listen.is_none() && config.listeners.is_empty() && document.get("listener").is_none() {
        let at = place_of(document, "mqtt", "listen").unwrap_or(0..0);
        problems.add(
            at,
            "`mqtt.listen` is \"none\" and there is no `[[listener]]`: nobody could connect".to_owned(),
        );
    }
    if config.tls.certificate.is_some() != config.tls.key.is_some() {
        let (has, lacks) =
            if config.tls.key.is_none() { ("certificate", "key") } else { ("key", "certificate") };
        let at = place_of(document, TLS_LINES.name, has).unwrap_or(0..0);
        problems.add(at, format!("`tls.{has}` needs `{lacks}`, but it is missing"));
    }
    if config.tls.acme != Acme::Off {
        let at = place_of(document, TLS_LINES.name, "acme").unwrap_or(0..0);
        if config.tls.names.is_empty() {
            problems.add(at.clone(), "`tls.acme` needs `tls.names`, but there are none".to_owned());
        }
        if config.tls.certificate.is_some() {
            let why = "`tls.acme` and `tls.certificate` exclude each other, but both are there";
            problems.add(at, why.to_owned());
        }
    }
    for listener in &config.listeners {
        let Some(wanted) = listener.max_packet_size else { continue };
        if wanted > config.mqtt.max_packet_size {
            problems.add(
                place_in(document, listener, "max_packet_size"),
                format!(
                    "`listener.max_packet_size` must be at most `mqtt.max_packet_size`, but they are {wanted} and {}",
                    config.mqtt.max_packet_size
                ),
            );
        }
    }
}

/// Two listeners on one address would fail at start with a message about sockets.
fn report_shared_addresses(document: &DeTable<'_>, config: &Config, problems: &mut Problems<'_>) {
    let mqtt = config
        .mqtt
        .listen
        .map(|address| ("mqtt.listen".to_owned(), address, place_of(document, "mqtt", "listen")));
    let web = ("web.listen".to_owned(), config.web.listen, place_of(document, "web", "listen"));
    let further = config.listeners.iter().map(|listener| {
        (
            format!("listener.address` of `{}", listener.name),
            listener.address,
            Some(place_in(document, listener, "address")),
        )
    });
    let all: Vec<(String, SocketAddr, Option<Range<usize>>)> =
        mqtt.into_iter().chain([web]).chain(further).collect();
    for (index, (name, address, place)) in
        all.iter().enumerate().filter(|(_, (_, address, _))| address.port() != 0)
    {
        if let Some((twin, _, twins_place)) = all[..index].iter().find(|(_, other, _)| other == address) {
            let at = place.clone().or_else(|| twins_place.clone()).unwrap_or(0..0);
            problems.add(at, format!("`{twin}` and `{name}` must differ, but both are {address}"));
        }
    }
}

/// The place of a key of a listener.
fn place_in(document: &DeTable<'_>, listener: &Listener, key: &str) -> Range<usize> {
    let items = document.get("listener").and_then(|seen| seen.get_ref().as_array());
    let is_named = |table: &DeTable<'_>| {
        table.get("name").is_some_and(|name| name.get_ref().as_str() == Some(listener.name.as_str()))
    };
    let mut tables =
        items.into_iter().flat_map(|items| items.iter()).filter_map(|item| item.get_ref().as_table());
    let seen = tables.find(|table| is_named(table)).and_then(|table| table.get(key));
    seen.map_or(0..0, |seen| seen.span())
}

impl Listener {
    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.kind, ListenerKind::Tls | ListenerKind::Wss)
    }
}

impl Config {
    /// Makes the paths of certificates and keys start at the configuration file's folder.
    pub(crate) fn anchor(&mut self, folder: &Path) {
        let of_listeners =
            self.listeners.iter_mut().flat_map(|l| [&mut l.certificate, &mut l.key, &mut l.client_ca]);
        for path in of_listeners
            .chain([
                &mut self.top.policy,
                &mut self.top.alerts,
                &mut self.tls.certificate,
                &mut self.tls.key,
                &mut self.tls.acme_directory_ca,
            ])
            .chain(self.bridges.iter_mut().map(|bridge| &mut bridge.keys.ca))
            .flatten()
        {
            *path = folder.join(&*path);
        }
    }
}
