//! What is configured, in lines for a page: each key with its value and whether somebody chose it. Only of tables that
//! hold no secrets: those of channels and bridges are left out.

use crate::keys::{
    AUTOMATION_LINES, HISTORY_LINES, LOG_LINES, MESH_LINES, MQTT_LINES, TLS_LINES, TOP_LINES, WEB_LINES,
};
use crate::load::Config;
use crate::table::Section;

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldKey {
    /// Name of its table; empty for the keys before the first one.
    pub table: &'static str,
    /// Name of the key.
    pub key: &'static str,
    /// Its value, nearly as one would write it.
    pub value: String,
    /// Whether it is what an empty file says.
    pub is_default: bool,
    /// What the key does.
    pub doc: &'static str,
}

impl Config {
    /// Every key of the tables that stand once, in the order of the documentation.
    pub fn told(&self) -> Vec<ToldKey> {
        let defaults = Self::default();
        let sections = |config: &Self| {
            [
                (&TOP_LINES, config.top.told()),
                (&MQTT_LINES, config.mqtt.told()),
                (&TLS_LINES, config.tls.told()),
                (&WEB_LINES, config.web.told()),
                (&MESH_LINES, config.mesh.told()),
                (&AUTOMATION_LINES, config.automation.told()),
                (&HISTORY_LINES, config.history.told()),
                (&LOG_LINES, config.log.told()),
            ]
        };
        let of = |section: &Section,
                  values: Vec<(&'static str, String)>,
                  unset: Vec<(&'static str, String)>| {
            let doc =
                |key: &str| section.keys.iter().find(|known| known.name == key).map_or("", |known| known.doc);
            values
                .into_iter()
                .zip(unset)
                .map(|((key, value), (_, default))| ToldKey {
                    table: section.name,
                    key,
                    is_default: value == default,
                    value: plain(&value),
                    doc: doc(key),
                })
                .collect::<Vec<_>>()
        };
        let both = sections(self).into_iter().zip(sections(&defaults));
        both.flat_map(|((section, values), (_, unset))| of(section, values, unset)).collect()
    }
}

/// A value without the words that only Rust has around it.
fn plain(debug: &str) -> String {
    let inner = debug.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(debug);
    match inner {
        "None" => "–".to_owned(),
        "[]" => "none".to_owned(),
        inner => inner.replace('"', ""),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_key_is_told_and_what_somebody_chose_is_marked() {
        let told = Config::default().told();
        assert!(told.iter().all(|one| one.is_default && !one.doc.is_empty()), "{told:?}");
        let text = "[mqtt]\nlisten = \"127.0.0.1:1999\"\n";
        let config = Config::load(Path::new("x.toml"), text).unwrap_or_else(|wrong| panic!("{wrong}"));
        let chosen: Vec<_> = config.told().into_iter().filter(|one| !one.is_default).collect();
        let [listen] = &chosen[..] else { panic!("{chosen:?}") };
        assert_eq!((listen.table, listen.key, &*listen.value), ("mqtt", "listen", "127.0.0.1:1999"));
    }
}
