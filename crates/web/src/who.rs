//! Who asks for a page, and what each address of the site needs. What somebody may see is `visibility.rs`'s subject.

use directory::{ApiScope, GatewayId, PersonName, PersonRole};
use directory_store::SignedIn;

use crate::visibility::Visitor;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Somebody who has not signed in.
    Anyone,
    /// The owner of a gateway, by its link.
    Owner(GatewayId),
    /// Somebody with a password.
    Person(PersonName, PersonRole),
    /// A program with a token, which asks the API and nothing else.
    Program(String, ApiScope),
}

/// What an address needs, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A sign-in, be it by the link of a gateway. Whose gateway it is, is for the page to ask.
    Owner,
    /// To see everything.
    Observer,
    /// To change things.
    Operator,
    /// To say who the people are.
    Admin,
}

impl Needs {
    /// Its word in the list of routes.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "public",
            Self::Owner => "owner",
            Self::Observer => "observer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl Who {
    /// By a sign-in that holds.
    pub fn by(signed_in: SignedIn) -> Self {
        match signed_in {
            SignedIn::Person(name, role) => Self::Person(name, role),
            SignedIn::Owner(gateway) => Self::Owner(gateway),
        }
    }

    /// Whose eyes they look with. Owners see of others what anyone sees.
    pub const fn visitor(&self) -> Visitor {
        match self {
            Self::Anyone | Self::Owner(_) => Visitor::Public,
            Self::Person(..) | Self::Program(..) => Visitor::Operator,
        }
    }

    /// Whether they may ask for what needs this.
    pub fn may(&self, needs: Needs) -> bool {
        let has = match self {
            Self::Anyone => Needs::Nothing,
            Self::Owner(_) => Needs::Owner,
            Self::Person(_, PersonRole::Observer) | Self::Program(_, ApiScope::Read) => Needs::Observer,
            Self::Person(_, PersonRole::Operator) | Self::Program(_, ApiScope::Operate) => Needs::Operator,
            Self::Person(_, PersonRole::Admin) => Needs::Admin,
        };
        has >= needs
    }

    /// Whether they may change things, so that a page shows them the buttons. The site map asks again.
    pub fn may_change(&self) -> bool {
        self.may(Needs::Operator)
    }

    /// Whether this gateway is theirs, or they see all of them.
    pub fn may_see_gateway(&self, gateway: GatewayId) -> bool {
        *self == Self::Owner(gateway) || self.may(Needs::Observer)
    }

    /// Who the audit says it was.
    pub fn actor(&self) -> String {
        match self {
            Self::Anyone => "public page".to_owned(),
            Self::Owner(gateway) => format!("owner of {gateway}"),
            Self::Person(name, _) => name.to_string(),
            Self::Program(name, _) => format!("program {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_one_before_may() {
        let person = |role| Who::Person("ada".parse().unwrap(), role);
        let ladder = [
            (Who::Anyone, Needs::Nothing),
            (Who::Owner(GatewayId(7)), Needs::Owner),
            (person(PersonRole::Observer), Needs::Observer),
            (person(PersonRole::Operator), Needs::Operator),
            (person(PersonRole::Admin), Needs::Admin),
        ];
        for (step, (who, _)) in ladder.iter().enumerate() {
            for (height, (_, needs)) in ladder.iter().enumerate() {
                assert_eq!(who.may(*needs), step >= height, "{who:?} {needs:?}");
            }
        }
        assert!(!person(PersonRole::Observer).may_change() && person(PersonRole::Operator).may_change());
        assert!(Who::Owner(GatewayId(7)).may_see_gateway(GatewayId(7)));
        assert!(!Who::Owner(GatewayId(7)).may_see_gateway(GatewayId(8)));
        assert_eq!(Who::Owner(GatewayId(7)).visitor(), Visitor::Public);
    }
}
