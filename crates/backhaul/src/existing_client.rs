//! What `backhaul gateway`, `observer` and `service` can all do with a client that is there.

use clap::Subcommand;

use crate::Outcome;
use crate::credential_edit::{self, Named, NamedEdit};
use crate::credential_list::{self, Listed, Shown};

/// What to do with clients of one role.
#[derive(Subcommand, Clone)]
pub enum Existing {
    /// List all
    List(Listed),
    /// Show one
    Show(Shown),
    /// Switch one off; a running broker disconnects it at once
    Disable(Named),
    /// Switch one on again, with the password it had
    Enable(Named),
    /// Give one another password; the old one stops working at once
    Rotate(Named),
    /// Forget one; a running broker disconnects it at once
    Remove(Named),
}

/// Runs the subcommand for a role (`gateway`, `observer`, `service`).
pub fn run(command: Existing, role: &str) -> Outcome {
    match command {
        Existing::List(listed) => credential_list::list(&listed, role),
        Existing::Show(shown) => credential_list::show(&shown, role),
        Existing::Disable(named) => credential_edit::edit(&named, role, NamedEdit::Disable),
        Existing::Enable(named) => credential_edit::edit(&named, role, NamedEdit::Enable),
        Existing::Rotate(named) => credential_edit::rotate(&named, role),
        Existing::Remove(named) => credential_edit::edit(&named, role, NamedEdit::Remove),
    }
}
