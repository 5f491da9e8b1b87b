//! Topic roots: the same channel has another root in another city, and a preview of what a topic becomes.

use mqtt::topic;

/// What the beginning of a topic becomes on the other side. Both may be empty; neither ends with a slash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roots {
    /// The root here, as `msh/US/KC`.
    pub here: Box<str>,
    /// The root on the other broker.
    pub there: Box<str>,
}

impl Roots {
    /// The topic on the other broker; `None` when it does not lie below the root here.
    pub fn outward(&self, topic: &str) -> Option<String> {
        rewritten(topic, &self.here, &self.there)
    }

    /// The topic here; `None` when it does not lie below the root of the other broker.
    pub fn inward(&self, topic: &str) -> Option<String> {
        rewritten(topic, &self.there, &self.here)
    }
}

fn rewritten(topic: &str, from: &str, to: &str) -> Option<String> {
    let below = match from {
        "" => topic,
        from => topic.strip_prefix(from)?.strip_prefix('/')?,
    };
    let name = if to.is_empty() { below.to_owned() } else { format!("{to}/{below}") };
    topic::is_valid_name(&name, usize::MAX).then_some(name)
}

/// The filters to subscribe to for envelopes below a root, and for map reports. `channels` are names; none means all.
pub fn filters(root: &str, channels: &[Box<str>], takes_map_reports: bool) -> Vec<String> {
    let at = |rest: &str| if root.is_empty() { rest.to_owned() } else { format!("{root}/{rest}") };
    let mut filters: Vec<String> = match channels {
        [] => vec![at("2/e/#")],
        named => named.iter().map(|channel| at(&format!("2/e/{channel}/+"))).collect(),
    };
    if takes_map_reports {
        filters.push(at("2/map/"));
    }
    filters
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_root_is_whole_levels() {
        let roots = Roots { here: "msh/US/KC".into(), there: "msh/US/feeds/kc".into() };
        assert_eq!(
            roots.outward("msh/US/KC/2/e/LongFast/!7c5a0a01").as_deref(),
            Some("msh/US/feeds/kc/2/e/LongFast/!7c5a0a01")
        );
        assert_eq!(roots.outward("msh/US/KCK/2/e/LongFast/!7c5a0a01"), None);
        assert_eq!(roots.outward("msh/US/2/e/LongFast/!7c5a0a01"), None);
        assert_eq!(roots.inward("msh/US/feeds/kc/2/map/").as_deref(), Some("msh/US/KC/2/map/"));
    }

    #[test]
    fn an_empty_root_stands_for_every_topic() {
        let roots = Roots { here: "".into(), there: "city".into() };
        assert_eq!(roots.outward("2/e/A/!00000001").as_deref(), Some("city/2/e/A/!00000001"));
        assert_eq!(roots.inward("city/2/e/A/!00000001").as_deref(), Some("2/e/A/!00000001"));
    }

    #[test]
    fn filters_name_channels_or_take_all() {
        assert_eq!(filters("msh/US", &[], true), ["msh/US/2/e/#", "msh/US/2/map/"]);
        assert_eq!(filters("", &["LongFast".into(), "KC".into()], false), ["2/e/LongFast/+", "2/e/KC/+"]);
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same_topic(rest in "[a-z0-9/]{1,20}", here in "[a-z]{1,4}(/[a-z]{1,4}){0,2}", there in "[a-z]{1,4}(/[a-z]{1,4}){0,2}") {
            let roots = Roots { here: here.clone().into(), there: there.into() };
            let topic = format!("{here}/{rest}");
            let outside = roots.outward(&topic).unwrap();
            prop_assert_eq!(roots.inward(&outside), Some(topic));
        }
    }
}
