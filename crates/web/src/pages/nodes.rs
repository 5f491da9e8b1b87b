//! `/nodes`: who was heard lately. Searched, sorted and paged in memory, over what `Roster` holds.

use std::cmp::Reverse;

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use mesh::enums::{HARDWARE, ROLE, name_of};
use mesh::node::NodeNum;
use record::KeyClass;

use crate::assets::LIVE;
use crate::layout::Section;
use crate::moment;
use crate::roster::{Roster, Seen};
use crate::site::{Visit, read};
use crate::words::{self, Nodes, count, number};

/// Nodes of one page.
const ROWS: usize = 100;

/// What nodes are put in order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Heard,
    Name,
    Hops,
    Battery,
    Busy,
}

const ORDERS: [(Order, &str, &str); 5] = [
    (Order::Heard, "heard", "last heard"),
    (Order::Name, "name", "name"),
    (Order::Hops, "hops", "fewest hops"),
    (Order::Battery, "battery", "lowest battery"),
    (Order::Busy, "busy", "busiest air"),
];

/// What is asked for; the address holds all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    text: String,
    role: Option<u32>,
    gateways_only: bool,
    order: Order,
    page: usize,
}

impl Asked {
    fn parse(query: &str) -> Self {
        let mut asked =
            Self { text: String::new(), role: None, gateways_only: false, order: Order::Heard, page: 1 };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            match &*name {
                "q" => asked.text = value.chars().take(64).collect(),
                "role" => asked.role = ROLE.iter().find(|(_, word)| *word == value).map(|(role, _)| *role),
                "gateways" => asked.gateways_only = value == "only",
                "sort" => {
                    let order = ORDERS.iter().find(|(_, word, _)| *word == value);
                    asked.order = order.map_or(Order::Heard, |(order, ..)| *order);
                }
                "page" => asked.page = value.parse().unwrap_or(1).max(1),
                _ => {}
            }
        }
        asked
    }

    fn address(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.text.is_empty() {
            query.append_pair("q", &self.text);
        }
        if let Some(role) = self.role.and_then(|role| name_of(ROLE, role)) {
            query.append_pair("role", role);
        }
        if self.gateways_only {
            query.append_pair("gateways", "only");
        }
        if let Some((_, word, _)) =
            ORDERS.iter().find(|(order, ..)| *order == self.order && *order != Order::Heard)
        {
            query.append_pair("sort", word);
        }
        if page > 1 {
            query.append_pair("page", &page.to_string());
        }
        match query.finish() {
            query if query.is_empty() => "/nodes".to_owned(),
            query => format!("/nodes?{query}"),
        }
    }

    fn wants(&self, nodes: Nodes<'_>, node: u32, seen: &Seen) -> bool {
        (!self.gateways_only || seen.is_gateway)
            && (self.role.is_none() || self.role == seen.role)
            && (self.text.is_empty() || nodes.text(node).to_lowercase().contains(&self.text.to_lowercase()))
    }
}

/// `GET /nodes`
pub async fn page(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::parse(query.as_deref().unwrap_or_default());
    let body = visit.with_nodes(|nodes| {
        let roster = read(&visit.site.roster);
        list(&visit, nodes, &roster, &asked)
    });
    visit.page(Section::Nodes, "Nodes", &[&LIVE], &body).into_response()
}

fn list(visit: &Visit, nodes: Nodes<'_>, roster: &Roster, asked: &Asked) -> Markup {
    let known = roster.all(visit.sight.visitor).count();
    let mut found: Vec<_> =
        roster.all(visit.sight.visitor).filter(|(node, seen)| asked.wants(nodes, *node, seen)).collect();
    sort(&mut found, nodes, asked.order);
    let pages = found.len().div_ceil(ROWS).max(1);
    let page = asked.page.min(pages);
    let shown = &found[(page - 1) * ROWS..(page * ROWS).min(found.len())];
    html! {
        h1 { "Nodes" }
        p.lead { (sentence(roster, visit, known)) }
        (form(asked))
        @if shown.is_empty() {
            div.empty { p { @if known == 0 { "No node has been heard that may be shown here." } @else { "No node is like this. " a href="/nodes" { "Show all." } } } }
        } @else {
            p.soft.small { (count(found.len() as u64, "node")) @if pages > 1 { ", page " (page) " of " (pages) } "." }
            div.scroll.stack { table {
                thead { tr {
                    th scope="col" { "Node" } th scope="col" { "Role" } th scope="col" { "Last heard" } th scope="col" { "By" }
                    th.n scope="col" { "Hops" } th scope="col" { "Channel" } @if visit.sight.is_operator() { th scope="col" { "Agrees" } } th.n scope="col" { "Battery" }
                    th.n scope="col" { "Air busy" }
                } }
                tbody { @for (node, seen) in shown { (row(visit, nodes, *node, seen)) } }
            } }
            (turn(asked, page, pages))
        }
    }
}

fn sentence(roster: &Roster, visit: &Visit, known: usize) -> String {
    let within = |ms: i64| {
        roster.all(visit.sight.visitor).filter(|(_, seen)| visit.now_ms - seen.last_ms < ms).count()
    };
    format!(
        "{} heard lately, {} within a day and {} within an hour.",
        count(known as u64, "node"),
        number(within(86_400_000) as u64),
        number(within(3_600_000) as u64)
    )
}

fn form(asked: &Asked) -> Markup {
    html! {
        form.card.finder method="get" action="/nodes" role="search" {
            div.fields.wide {
                label { "Name or number" input type="search" name="q" value=(asked.text) placeholder="Liberty, or 7c5a" autocomplete="off"; }
                label { "Role" select name="role" {
                    option value="" { "any" }
                    @for (role, word) in ROLE { option value=(word) selected[asked.role == Some(*role)] { (word) } }
                } }
                label { "In order of" select name="sort" {
                    @for (order, word, text) in ORDERS { option value=(word) selected[asked.order == order] { (text) } }
                } }
                label.check { input type="checkbox" name="gateways" value="only" checked[asked.gateways_only]; "Gateways only" }
            }
            div.row { button.button { "Show" } }
        }
    }
}

fn row(visit: &Visit, nodes: Nodes<'_>, node: u32, seen: &Seen) -> Markup {
    let is_named = nodes.names.of(node, nodes.visitor).is_some();
    html! {
        tr {
            th scope="row" { span { (nodes.link(node)) @if is_named { " " span.mono.soft.small { (NodeNum(node)) } } } }
            td.blank[seen.role.is_none() && seen.hardware.is_none()] data-label="Role" { span.cell {
                @if let Some(role) = seen.role.and_then(|role| name_of(ROLE, role)) { (role) }
                @if let Some(hardware) = seen.hardware.and_then(|model| name_of(HARDWARE, model)) { " " span.soft.small { (hardware) } }
                @if seen.is_gateway { " " span.chip.note { "gateway" } }
            } }
            td data-label="Last heard" { span.cell { (moment::age(seen.last_ms, visit.now_ms)) } }
            td.blank[seen.heard_by.is_none()] data-label="By" { span.cell { @if let Some(gateway) = seen.heard_by { (nodes.link(gateway)) } } }
            td.n.blank[seen.hops_away.is_none()] data-label="Hops" { span.cell { @if let Some(hops) = seen.hops_away { (hops) } } }
            td.blank[seen.key_class.is_none()] data-label="Channel" { span.cell {
                @if let Some(channel) = &seen.channel { bdi { (crate::reading::printable(channel, 40)) } " " }
                @if let Some(class) = seen.key_class { span.soft.small { (key(class)) } }
            } }
            // The public is shown nobody who does not agree.
            @if visit.sight.is_operator() {
                td.inline.blank[seen.consent.is_none()] data-label="Agrees" { span.cell { @if let Some(consent) = seen.consent { (words::consent(consent)) } } }
            }
            td.n.blank[seen.battery_percent.is_none()] data-label="Battery" { span.cell { @if let Some(percent) = seen.battery_percent { (battery(percent)) } } }
            td.n.blank[seen.utilisation_percent.is_none()] data-label="Air busy" { span.cell { @if let Some(percent) = seen.utilisation_percent { (format!("{percent:.0} %")) } } }
        }
    }
}

/// A key class in a word, where room is short.
pub fn key(class: KeyClass) -> &'static str {
    match class {
        KeyClass::Unknown => "key unknown",
        KeyClass::Unencrypted => "no key",
        KeyClass::Default => "default key",
        KeyClass::Simple => "one-byte key",
        KeyClass::Known => "published key",
        KeyClass::Private => "private key",
        KeyClass::Pki => "public-key",
    }
}

fn battery(percent: u64) -> Markup {
    match percent {
        101.. => html! { "mains" },
        0..20 => html! { span.chip.bad { (percent) " %" } },
        20..=100 => html! { (percent) " %" },
    }
}

fn sort(found: &mut [(u32, &Seen)], nodes: Nodes<'_>, order: Order) {
    match order {
        Order::Heard => found.sort_by_key(|(node, seen)| (Reverse(seen.last_ms), *node)),
        // Those with a name first.
        Order::Name => found.sort_by_cached_key(|(node, _)| {
            let name = nodes.names.of(*node, nodes.visitor).map(|name| name.shown().to_lowercase());
            (name.is_none(), name, *node)
        }),
        Order::Hops => found
            .sort_by_key(|(node, seen)| (seen.hops_away.unwrap_or(u8::MAX), Reverse(seen.last_ms), *node)),
        Order::Battery => found.sort_by_key(|(node, seen)| (seen.battery_percent.unwrap_or(u64::MAX), *node)),
        Order::Busy => found.sort_by(|(a, seen_a), (b, seen_b)| {
            let busy = |seen: &Seen| seen.utilisation_percent.unwrap_or(-1.0);
            busy(seen_b).total_cmp(&busy(seen_a)).then(a.cmp(b))
        }),
    }
}

fn turn(asked: &Asked, page: usize, pages: usize) -> Markup {
    html! {
        @if pages > 1 { nav.row aria-label="Pages of nodes" {
            @if page > 1 { a.button.plain rel="prev" href=(asked.address(page - 1)) { "Earlier" } }
            @if page < pages { a.button.plain rel="next" href=(asked.address(page + 1)) { "Further" } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_all_that_was_asked() {
        for address in ["/nodes", "/nodes?q=lib&role=ROUTER&gateways=only&sort=battery&page=3"] {
            let query = address.split_once('?').map_or("", |(_, query)| query);
            let asked = Asked::parse(query);
            assert_eq!(asked.address(asked.page), address);
        }
        assert_eq!(Asked::parse("page=x&sort=y&role=z"), Asked::parse(""));
    }
}
