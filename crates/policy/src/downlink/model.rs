//! How far copies of each class may go on the radio: models that an operator picks, per island and per channel.

use std::collections::BTreeMap;

use crate::downlink::class::Class;
use crate::memory::islands::IslandId;

/// A model: the highest hop limit of each class, by its stored number; `None` sends nothing of the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Its name in settings and on pages.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    hops: [Option<u8>; Class::ALL.len()],
    /// Whether its hops stand, whatever `hop_limit_max` says.
    keeps_hops: bool,
}

/// Hops that a copy may keep which is not to be lowered.
const KEEP: Option<u8> = Some(7);
const PHONES: Option<u8> = Some(0);

impl Model {
    /// Every model.
    pub const ALL: [Model; 6] = [
        Self::STANDARD,
        Self::ZERO_HOP,
        Self::TEXTS_KEEP_HOPS,
        Self::KEEP_HOPS,
        Self::TEXT_ONLY,
        Self::UPLINK_ONLY,
    ];

    /// Everything goes down as far as `hop_limit_max` says.
    pub const STANDARD: Model = Model {
        name: "standard",
        doc: "Everything goes down, as far as hop_limit_max says.",
        hops: [KEEP; Class::ALL.len()],
        keeps_hops: false,
    };

    /// As the project's public broker does.
    pub const ZERO_HOP: Model = Model {
        name: "zero-hop",
        doc: "Everything goes to the phones of gateways and nothing on the air, as the project's public broker does.",
        hops: [PHONES; Class::ALL.len()],
        keeps_hops: false,
    };

    /// What people write crosses the island, the rest reaches phones.
    pub const TEXTS_KEEP_HOPS: Model = Model {
        name: "texts-keep-hops",
        doc: "Texts, acknowledgements, alerts and routes keep their hops; the rest goes to the phones of gateways.",
        hops: [KEEP, KEEP, PHONES, PHONES, PHONES, PHONES],
        keeps_hops: true,
    };

    /// For hills: gateways far above everybody else.
    pub const KEEP_HOPS: Model = Model {
        name: "trusted-gateways-keep-hops",
        doc: "Everything keeps its hops, within the budgets: for few gateways on high ground.",
        hops: [KEEP; Class::ALL.len()],
        keeps_hops: true,
    };

    /// What people write, and nothing else.
    pub const TEXT_ONLY: Model = Model {
        name: "text-only",
        doc: "Texts, acknowledgements and alerts go down, and nothing else.",
        hops: [KEEP, None, None, None, None, None],
        keeps_hops: false,
    };

    /// Nothing goes down.
    pub const UPLINK_ONLY: Model = Model {
        name: "uplink-only",
        doc: "Nothing goes down: gateways only uplink.",
        hops: [None; Class::ALL.len()],
        keeps_hops: false,
    };

    /// The model with that name.
    pub fn from_name(name: &str) -> Option<Model> {
        Self::ALL.into_iter().find(|model| model.name == name)
    }

    /// Highest hop limit of a class; `None` when nothing of it goes down. `hop_limit_max` binds all models but those
    /// that are there to keep hops.
    pub fn hop_limit(&self, class: Class, hop_limit_max: u8) -> Option<u8> {
        let hops = self.hops[usize::from(class.code())]?;
        Some(if self.keeps_hops { hops } else { hops.min(hop_limit_max) })
    }
}

/// Which model applies where. Of an island's and a channel's, the stricter one does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSettings {
    /// Where nothing else is said.
    pub default: Model,
    /// By island.
    pub islands: BTreeMap<IslandId, Model>,
    /// By channel name.
    pub channels: BTreeMap<Box<str>, Model>,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self { default: Model::STANDARD, islands: BTreeMap::new(), channels: BTreeMap::new() }
    }
}

impl ModelSettings {
    /// Highest hop limit of a class on an island and a channel, or the model that sends nothing of it.
    pub fn hop_limit(
        &self,
        island: Option<IslandId>,
        channel: Option<&str>,
        class: Class,
        hop_limit_max: u8,
    ) -> Result<u8, Model> {
        let of_island = island.and_then(|island| self.islands.get(&island));
        let of_channel = channel.and_then(|channel| self.channels.get(channel));
        let default = [&self.default];
        let chosen = [of_island, of_channel];
        let models = chosen.into_iter().flatten();
        let models =
            models.chain(default.into_iter().filter(|_| of_island.is_none() && of_channel.is_none()));
        let mut lowest = 7;
        for model in models {
            lowest = lowest.min(model.hop_limit(class, hop_limit_max).ok_or(*model)?);
        }
        Ok(lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_do_what_they_say() {
        let hops = |model: Model, class| model.hop_limit(class, 1);
        assert_eq!(hops(Model::STANDARD, Class::Telemetry), Some(1));
        assert_eq!(hops(Model::ZERO_HOP, Class::Message), Some(0));
        assert_eq!(hops(Model::TEXTS_KEEP_HOPS, Class::Message), Some(7));
        assert_eq!(hops(Model::TEXTS_KEEP_HOPS, Class::Position), Some(0));
        assert_eq!(hops(Model::KEEP_HOPS, Class::Telemetry), Some(7));
        assert_eq!(hops(Model::TEXT_ONLY, Class::Message), Some(1));
        assert_eq!(hops(Model::TEXT_ONLY, Class::Position), None);
        assert_eq!(hops(Model::UPLINK_ONLY, Class::Message), None);
        for model in Model::ALL {
            assert_eq!(Model::from_name(model.name), Some(model));
        }
    }

    #[test]
    fn of_an_island_and_a_channel_the_stricter_model_applies() {
        let settings = ModelSettings {
            default: Model::UPLINK_ONLY,
            islands: BTreeMap::from([(7, Model::KEEP_HOPS)]),
            channels: BTreeMap::from([("Ops".into(), Model::TEXT_ONLY)]),
        };
        let hops = |island, channel, class| settings.hop_limit(island, channel, class, 2);
        assert_eq!(hops(Some(7), None, Class::Telemetry), Ok(7));
        assert_eq!(hops(Some(7), Some("Ops"), Class::Message), Ok(2));
        assert_eq!(hops(Some(7), Some("Ops"), Class::Telemetry), Err(Model::TEXT_ONLY));
        assert_eq!(hops(Some(9), Some("Other"), Class::Message), Err(Model::UPLINK_ONLY));
    }
}
