//! Small pieces of every page: verdict and consent chips, nodes by name and number, signal. Knows no pages.

use maud::{Markup, html};
use mesh::node::NodeNum;
use policy::decision::Verdict;
use policy::rule::RuleState;
use record::{Consent, KeyClass};

use crate::names::Names;
use crate::visibility::Visitor;

/// A verdict: the word, and a colour beside it.
pub fn verdict(verdict: Verdict) -> Markup {
    let class = match verdict {
        Verdict::Accept | Verdict::Rewrite => "chip good",
        Verdict::RecordOnly => "chip note",
        Verdict::Refuse => "chip bad",
    };
    html! { span class=(class) { (verdict.word()) } }
}

/// The state of a rule.
pub fn rule_state(state: RuleState) -> Markup {
    let class = match state {
        RuleState::Enforce => "chip good",
        RuleState::Observe => "chip note",
        RuleState::Off => "chip off",
    };
    html! { span class=(class) { (state.word()) } }
}

/// Whether the sender agreed to MQTT.
pub fn consent(consent: Consent) -> Markup {
    match consent {
        Consent::Yes => html! { span.chip.good { "agreed" } },
        Consent::No => html! { span.chip.bad { "not agreed" } },
        Consent::Unknown => html! { span.chip.note { "unknown" } },
    }
}

/// Who can read a channel with such a key.
pub const fn key_class(class: KeyClass) -> &'static str {
    match class {
        KeyClass::Unknown => "a key that is not here",
        KeyClass::Unencrypted => "no key: anyone can read it",
        KeyClass::Default => "the default key: anyone can read it",
        KeyClass::Simple => "a one-byte key: anyone can read it",
        KeyClass::Known => "a published key: anyone can read it",
        KeyClass::Private => "a private key",
        KeyClass::Pki => "public-key encryption: only the two nodes can read it",
    }
}

/// How a visitor sees nodes.
#[derive(Clone, Copy)]
pub struct Nodes<'a> {
    /// Names learnt.
    pub names: &'a Names,
    /// Who looks.
    pub visitor: Visitor,
}

impl Nodes<'_> {
    /// A node with a link to its page; everyone without.
    pub fn link(&self, node: u32) -> Markup {
        if !NodeNum(node).is_node() {
            return self.plain(node);
        }
        html! { a href=(node_address(node)) { (self.plain(node)) } }
    }

    /// A node's short name as plain text, else the end of its number, where room is short.
    pub fn short(&self, node: u32) -> String {
        let name = self.names.of(node, self.visitor).map(|name| name.short.to_string());
        name.filter(|short| !short.is_empty()).unwrap_or_else(|| format!("{:04x}", node & 0xffff))
    }

    /// A node by name and number, where nothing but text may stand.
    pub fn text(&self, node: u32) -> String {
        match self.names.of(node, self.visitor) {
            Some(name) => format!("{} {}", name.shown(), NodeNum(node)),
            None => NodeNum(node).to_string(),
        }
    }

    /// A node by name, else by number.
    pub fn plain(&self, node: u32) -> Markup {
        match (node, self.names.of(node, self.visitor)) {
            (0xffff_ffff, _) => html! { "everyone" },
            (1, _) => html! { "everyone off LoRa" },
            (0, _) => html! { "nobody" },
            (_, Some(name)) => html! { bdi { (name.shown()) } },
            (_, None) => html! { span.mono { (NodeNum(node)) } },
        }
    }
}

/// The address of a node's page.
pub fn node_address(node: u32) -> String {
    format!("/node/{}", NodeNum(node))
}

/// The address of a packet's page.
pub fn packet_address(from: u32, id: u32) -> String {
    format!("/packet/{}/{id}", NodeNum(from))
}

/// Signal strength.
pub fn dbm(value: i32) -> String {
    format!("{value} dBm").replace('-', "−")
}

/// Signal-to-noise ratio.
pub fn db(value: f32) -> String {
    format!("{value:.1} dB").replace('-', "−")
}

/// A count with its noun: `1 packet`, `2 packets`.
pub fn count(n: u64, noun: &str) -> String {
    let many = match noun.strip_suffix("py") {
        _ if n == 1 => noun.to_owned(),
        Some(stem) => format!("{stem}pies"),
        None => format!("{noun}s"),
    };
    format!("{} {many}", number(n))
}

/// A number with its thousands apart.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            // A narrow space that does not break.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        for (n, text) in
            [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(number(n), text);
        }
        assert_eq!((count(1, "packet"), count(2, "packet")), ("1 packet".to_owned(), "2 packets".to_owned()));
    }
}
