//! Topics for answers: each client that asks for one at CONNECT is told a topic of its own, to put into the Response
//! Topic of its requests (MQTT 5.0 § 4.10.1). Others may publish there and not listen.

use crate::principal::Principal;

/// Where all of them lie. A `$` keeps them out of everybody's `#`.
const ROOT: &str = "$response/";

/// The topic for answers to a client; it and all below are the client's. `None` for who cannot ask anything: gateways
/// publish on mesh topics only, and observers not at all.
pub fn response_topic(who: &Principal, client_id: &str) -> Option<String> {
    let may_ask = match who {
        Principal::Service { .. } | Principal::Guest { gateway: None } | Principal::Lab => true,
        Principal::Gateway { .. }
        | Principal::Observer { .. }
        | Principal::Bridge { .. }
        | Principal::Guest { gateway: Some(_) } => false,
    };
    may_ask.then(|| {
        let mut topic = ROOT.to_owned();
        for character in client_id.chars() {
            match character {
                '/' => topic += "%2F",
                '+' => topic += "%2B",
                '#' => topic += "%23",
                '%' => topic += "%25",
                plain => topic.push(plain),
            }
        }
        topic
    })
}

/// Whether a Topic Filter asks for nothing but a client's own answers.
pub fn is_own_response_filter(who: &Principal, client_id: &str, filter: &str) -> bool {
    filter.starts_with(ROOT)
        && response_topic(who, client_id).is_some_and(|own| {
            filter.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// Whether a topic is one where answers go.
pub fn is_response_topic(topic: &str) -> bool {
    topic.strip_prefix(ROOT).is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_for_those_who_ask_and_for_nobody_else() {
        let service = Principal::Service { username: "ha".into(), prefix: "home".into() };
        let own = |filter: &str| is_own_response_filter(&service, "ha/1", filter);
        assert_eq!(response_topic(&service, "ha/1").as_deref(), Some("$response/ha%2F1"));
        assert!(own("$response/ha%2F1") && own("$response/ha%2F1/#"));
        assert!(
            !own("$response/ha%2F12") && !own("$response/+") && !own("$response/#") && !own("$response/b")
        );
        let observer = Principal::Observer { username: "o".into() };
        assert!(response_topic(&observer, "o").is_none());
        assert!(!is_own_response_filter(&observer, "o", "$response/o"));
        let gateway = Principal::Gateway { username: "gw".into(), gateway: 1 };
        assert!(response_topic(&gateway, "!00000001").is_none());
        assert!(is_response_topic("$response/a/b") && !is_response_topic("$response/"));
    }

    #[test]
    fn no_client_identifier_leads_into_anothers_topic() {
        for name in ["a+b", "+", "#", "a#", "a/b", "a%2Fb"] {
            let topic = response_topic(&Principal::Lab, name).unwrap();
            assert!(!topic.contains(['+', '#']), "{topic}");
            assert_eq!(topic.matches('/').count(), 1, "{topic}");
        }
        assert_ne!(response_topic(&Principal::Lab, "a/b"), response_topic(&Principal::Lab, "a%2Fb"));
    }
}
