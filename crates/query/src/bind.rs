//! From what was written to a condition: names become nodes, ages become moments.

use mesh::node::NodeNum;
use policy::rule::{RuleId, Stage};

use crate::condition::{Condition, Test};
use crate::expr::{Expr, NodeRef, Query, Role, Term};
use crate::fold::fold;
use crate::moment::When;
use crate::near::near;
use crate::parse::shown;
use crate::problem::Problem;

/// A node with what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName {
    /// Its number.
    pub node: u32,
    /// Its long name; may be empty.
    pub long: String,
    /// Its short name, up to four bytes; may be empty.
    pub short: String,
}

/// A radio island with its gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Island {
    /// Its number: the node number of the gateway that it began with.
    pub number: u32,
    /// The node numbers of its gateways.
    pub gateways: Vec<u32>,
}

/// What a query's words are understood by: only what whoever asks may know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The present, Unix ms.
    pub now_ms: i64,
    /// Nodes with names.
    pub names: &'a [NodeName],
    /// The islands of the present.
    pub islands: &'a [Island],
}

/// Nodes that one name may stand for at most.
const NODES_OF_A_NAME_MAX: usize = 200;

impl Query {
    /// The condition that this query is in these surroundings.
    ///
    /// # Errors
    /// When nobody has a name that was written, or too many have. The place is known when the query was read from text.
    pub fn bind(&self, surroundings: &Surroundings<'_>) -> Result<Condition, Problem> {
        Binder { query: self, surroundings }.expr(&self.expr)
    }
}

/// The nodes of a name: those called exactly so, else those with it in their name. Upper and lower case are alike.
pub fn nodes_called(names: &[NodeName], name: &str) -> Vec<u32> {
    let name = fold(name.trim());
    if name.is_empty() {
        return Vec::new();
    }
    let called = |is: &dyn Fn(&str) -> bool| {
        let found = names.iter().filter(|n| is(&fold(&n.long)) || is(&fold(&n.short)));
        let mut nodes: Vec<u32> = found.map(|n| n.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    };
    let exactly = called(&|known| known == name);
    if exactly.is_empty() { called(&|known| known.contains(&name)) } else { exactly }
}

struct Binder<'a> {
    query: &'a Query,
    surroundings: &'a Surroundings<'a>,
}

impl Binder<'_> {
    fn expr(&self, expr: &Expr) -> Result<Condition, Problem> {
        let each = |parts: &[Expr]| -> Result<Vec<Condition>, Problem> {
            parts.iter().map(|part| self.expr(part)).collect()
        };
        Ok(match expr {
            Expr::All(parts) => Condition::All(each(parts)?),
            Expr::Any(parts) => Condition::Any(each(parts)?),
            Expr::Not(inner) => self.expr(inner)?.negated(),
            Expr::Term(term) => self.term(term)?,
        })
    }

    fn term(&self, term: &Term) -> Result<Condition, Problem> {
        Ok(Condition::Is(match term {
            Term::Node(role, node) => return self.node(*role, node),
            Term::Channel(name) => Test::Channel(name.clone()),
            Term::Packet(id) => Test::Packet(*id),
            Term::Port(port) => Test::Port(*port),
            Term::Verdict(verdict) => Test::Verdict(*verdict),
            Term::Rule(rule) => return Ok(rule_in_any_way(*rule)),
            Term::Would(rule) => Test::Would(*rule),
            Term::Copy(fate) => Test::Copy(*fate),
            Term::Consent(consent) => Test::Consent(*consent),
            Term::Key(class) => Test::Key(*class),
            Term::Flag(bit) => Test::Flag(*bit),
            Term::Measure(measure, compare, number) => Test::Measure(*measure, *compare, *number),
            Term::Text(text) => Test::Text(fold(text)),
            Term::Topic(name) => Test::Topic(name.clone()),
            Term::Client(name) => Test::Client(name.clone()),
            Term::User(name) => Test::User(name.clone()),
            Term::When(when) => return Ok(self.when(*when)),
            Term::Word(word) => return Ok(self.word(word)),
        }))
    }

    fn node(&self, role: Role, node: &NodeRef) -> Result<Condition, Problem> {
        let nodes = match node {
            NodeRef::Id(number) => vec![*number],
            NodeRef::Name(name) => self.nodes_of(name)?,
        };
        Ok(match role {
            Role::From => Condition::Is(Test::From(nodes)),
            Role::To => Condition::Is(Test::To(nodes)),
            Role::Gateway => Condition::Is(Test::Gateway(nodes)),
            Role::Island => Condition::Is(Test::Gateway(self.islands_of(node, &nodes)?)),
            Role::Node => {
                Condition::Any(vec![Condition::Is(Test::From(nodes.clone())), Condition::Is(Test::To(nodes))])
            }
        })
    }

    fn nodes_of(&self, name: &str) -> Result<Vec<u32>, Problem> {
        let names = self.surroundings.names;
        let nodes = nodes_called(names, name);
        let place = || self.query.place_of(name).unwrap_or_default();
        match nodes.len() {
            0 => {
                let known = names.iter().flat_map(|n| [n.long.as_str(), n.short.as_str()]);
                let instead = near(name, known.filter(|known| !known.is_empty()));
                let instead = instead.into_iter().map(|name| NodeRef::Name(name).to_string()).collect();
                let message = format!(
                    "no node is called `{}`; write a name, a part of one, or an id such as !7c5a0a01",
                    shown(name)
                );
                Err(Problem::new(place(), message).or(instead))
            }
            1..=NODES_OF_A_NAME_MAX => Ok(nodes),
            count => {
                let message = format!("{count} nodes have `{}` in their name; write more of it", shown(name));
                Err(Problem::new(place(), message))
            }
        }
    }

    /// The gateways of the islands that these nodes are on.
    fn islands_of(&self, written: &NodeRef, nodes: &[u32]) -> Result<Vec<u32>, Problem> {
        let is_on = |island: &&Island| {
            nodes.iter().any(|node| island.number == *node || island.gateways.contains(node))
        };
        let found: Vec<&Island> = self.surroundings.islands.iter().filter(is_on).collect();
        if found.is_empty() {
            let place = match written {
                NodeRef::Name(name) => self.query.place_of(name),
                NodeRef::Id(number) => self.query.place_of(&NodeNum(*number).to_string()),
            };
            let message = match self.surroundings.islands {
                [] => "no islands are known: no gateway has heard anything yet".to_owned(),
                _ => format!("{written} is on no island; write a gateway that has heard something"),
            };
            return Err(Problem::new(place.unwrap_or_default(), message));
        }
        let mut gateways: Vec<u32> = found.iter().flat_map(|island| &island.gateways).copied().collect();
        gateways.sort_unstable();
        Ok(gateways)
    }

    fn when(&self, when: When) -> Condition {
        let (since, until) = when.range(self.surroundings.now_ms);
        let tests = [since.map(Test::Since), until.map(Test::Until)];
        Condition::All(tests.into_iter().flatten().map(Condition::Is).collect())
    }

    /// A word by itself: said, or a part of the sender's name.
    fn word(&self, word: &str) -> Condition {
        let said = Condition::Is(Test::Text(fold(word)));
        let mut senders = nodes_called(self.surroundings.names, word);
        senders.truncate(NODES_OF_A_NAME_MAX);
        if senders.is_empty() {
            return said;
        }
        Condition::Any(vec![said, Condition::Is(Test::From(senders))])
    }
}

/// A rule that is asked for each copy shows in the copies too.
fn rule_in_any_way(rule: RuleId) -> Condition {
    let decided = Condition::Is(Test::Rule(rule));
    match rule.info().stage {
        Stage::Uplink => decided,
        Stage::Release => Condition::Any(vec![decided, Condition::Is(Test::WithheldBy(rule))]),
    }
}
