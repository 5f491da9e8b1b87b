//! The decision on one subscription: which Topic Filters a client may have.

use crate::principal::Principal;

/// Decides whether a client may have this Topic Filter; the error is a sentence for its owner.
pub fn decide_subscribe(who: &Principal, filter: &str) -> Result<(), &'static str> {
    match who {
        Principal::Lab => Ok(()),
        Principal::Gateway { .. } if is_gateway_filter(filter) => Ok(()),
        Principal::Gateway { .. } => Err("a gateway subscribes to channels, as `{root}/2/e/{channel}/+`"),
        Principal::Guest { gateway: Some(_) } if filter.starts_with('$') => {
            Err("topics that begin with `$` belong to the broker")
        }
        Principal::Observer { .. }
        | Principal::Service { .. }
        | Principal::Bridge { .. }
        | Principal::Guest { .. } => {
            if filter.starts_with('$') && !filter.starts_with("$SYS/") {
                Err("topics that begin with `$` belong to the broker")
            } else {
                Ok(())
            }
        }
    }
}

/// Decides whether a client may share a subscription with others; the error is a sentence for its owner.
///
/// Where copies end on a radio, each gateway's own neighbourhood decides what it may get: handing a packet to one of
/// several by turns would make coverage a matter of chance.
pub fn decide_share(who: &Principal) -> Result<(), &'static str> {
    match who.gateway() {
        Some(_) => {
            Err("a gateway does not share its subscription with others: each has its own radio neighbourhood")
        }
        None => Ok(()),
    }
}

/// Whether a filter is one that firmware and phones use: `{root}/2/{e|c|json}/{channel}/{+ or an id}`, without
/// wildcards in the root. A gateway that listens to everything would be told of channels it was not given.
fn is_gateway_filter(filter: &str) -> bool {
    let mut levels = filter.rsplit('/');
    let (Some(gateway), Some(channel), Some(kind), Some(two)) =
        (levels.next(), levels.next(), levels.next(), levels.next())
    else {
        return false;
    };
    let is_id = gateway.len() == 9 && gateway.starts_with('!');
    (gateway == "+" || is_id)
        && !channel.contains(['+', '#'])
        && matches!(kind, "e" | "c" | "json")
        && two == "2"
        && levels.all(|level| !level.contains(['+', '#']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_get_the_filters_that_firmware_asks_for_and_no_others() {
        let gateway = Principal::Gateway { username: "gw".into(), gateway: 1 };
        for (filter, allowed) in [
            ("msh/US/2/e/LongFast/+", true),
            ("msh/2/e/PKI/+", true),
            ("2/e/LongFast/+", true),
            ("msh/US/WA/2/json/mqtt/+", true),
            ("msh/2/e/LongFast/!7c5a0a01", true),
            ("#", false),
            ("msh/US/2/e/#", false),
            ("msh/US/2/e/+/+", false),
            ("+/2/e/LongFast/+", false),
            ("msh/2/map/", false),
            ("home/lights", false),
        ] {
            assert_eq!(decide_subscribe(&gateway, filter).is_ok(), allowed, "{filter}");
        }
    }

    #[test]
    fn observers_read_everything_but_the_brokers_own_topics() {
        let observer = Principal::Observer { username: "o".into() };
        assert!(decide_subscribe(&observer, "#").is_ok());
        assert!(decide_subscribe(&observer, "$SYS/#").is_ok());
        assert!(decide_subscribe(&observer, "$other/#").is_err());
        assert!(decide_subscribe(&Principal::Guest { gateway: None }, "$SYS/#").is_ok());
        assert!(decide_subscribe(&Principal::Guest { gateway: Some(1) }, "$SYS/#").is_err());
        assert!(
            decide_subscribe(&Principal::Gateway { username: "gw".into(), gateway: 1 }, "$SYS/#").is_err()
        );
    }

    #[test]
    fn nobody_with_a_radio_shares_a_subscription() {
        assert!(decide_share(&Principal::Gateway { username: "gw".into(), gateway: 1 }).is_err());
        assert!(decide_share(&Principal::Guest { gateway: Some(1) }).is_err());
        assert!(decide_share(&Principal::Observer { username: "o".into() }).is_ok());
        assert!(decide_share(&Principal::Lab).is_ok());
    }
}
