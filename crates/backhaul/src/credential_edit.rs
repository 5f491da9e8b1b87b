//! Edits of credentials that gateways, observers and services share: add, disable, enable, rotate, remove.
//!
//! A password is written to standard output once, and nowhere else.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use directory::{Applied, Command, Directory, GatewayId, NodeSetup, Owner, Role, Token, Username};
use directory_store::{Store, random_token};

use crate::Outcome;
use crate::clock::unix_ms;
use crate::data_folder::Installation;

/// Who the audit says it was.
const ACTOR: &str = "command line";

/// Options that tell about the person behind a client.
#[derive(Args, Clone)]
pub struct About {
    /// How to reach the person (e-mail, call sign); never shown on public pages
    #[arg(long, requires = "owner")]
    pub contact: Option<String>,
    /// Your own words about it
    #[arg(long, default_value = "")]
    pub note: String,
}

/// An existing client, named on the command line.
#[derive(Args, Clone)]
pub struct Named {
    /// The client's name; a gateway's node id, such as '!7c5a0a01'
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub installation: Installation,
}

/// The edits that need nothing but a name.
#[derive(Clone, Copy)]
pub enum NamedEdit {
    Disable,
    Enable,
    Remove,
}

/// Makes the person of `--owner` and `--contact`.
pub fn owner(name: Option<String>, contact: Option<String>) -> Option<Owner> {
    name.map(|name| Owner { name, contact })
}

/// Applies a command that makes a client, and tells its password.
pub fn add(
    store: &mut Store,
    command: impl FnOnce(Token) -> Command,
) -> Result<(Applied, Token), Box<dyn std::error::Error>> {
    let token = random_token()?;
    let applied = store.apply(command(token.clone()), ACTOR, now_ms())?;
    Ok((applied, token))
}

/// Runs an edit on a client of the given role (`gateway`, `observer`, `service`).
pub fn edit(named: &Named, role: &str, edit: NamedEdit) -> Outcome {
    let mut store = named.installation.open_present(&named.installation.config()?)?;
    let username = find(&store.load()?, &named.name, role)?;
    let (command, then) = match edit {
        NamedEdit::Disable => (Command::Disable { username }, "A running broker disconnects it at once."),
        NamedEdit::Enable => (Command::Enable { username }, "It can connect again with the password it has."),
        NamedEdit::Remove => (Command::Remove { username }, "A running broker disconnects it at once."),
    };
    let applied = store.apply(command, ACTOR, now_ms())?;
    writeln!(std::io::stdout(), "{}. {then}", capitalised(&applied.event))?;
    Ok(ExitCode::SUCCESS)
}

/// Gives a client another password and prints it.
pub fn rotate(named: &Named, role: &str) -> Outcome {
    let mut store = named.installation.open_present(&named.installation.config()?)?;
    let username = find(&store.load()?, &named.name, role)?;
    let (applied, token) = add(&mut store, |token| Command::Rotate { username, token })?;
    let name = applied.username.as_str();
    let mut out = std::io::stdout().lock();
    write_credential(&mut out, &applied, &token)?;
    let is_gateway = applied.directory.credential(name).is_some_and(|c| c.role.gateway_id().is_some());
    if is_gateway {
        writeln!(out, "\nTo tell the node, paste:\n\n{}", NodeSetup::password_command(name, &token))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes what happened, the username and the password.
pub fn write_credential(out: &mut impl Write, applied: &Applied, token: &Token) -> std::io::Result<()> {
    writeln!(out, "{}.\n", capitalised(&applied.event))?;
    writeln!(out, "  username  {}", applied.username)?;
    writeln!(out, "  password  {}", token.reveal())?;
    writeln!(out, "\nThe password is shown this once and kept nowhere.")
}

/// Finds a client of a role. A gateway may be named by node id or by username.
pub fn find(directory: &Directory, name: &str, role: &str) -> Result<String, String> {
    let username = match name.parse::<GatewayId>() {
        Ok(id) => Username::of_gateway(id).as_str().to_owned(),
        Err(error) if role == "gateway" && name.starts_with('!') => return Err(error.to_string()),
        Err(_) => name.to_owned(),
    };
    let Some(credential) = directory.credential(&username) else {
        return Err(format!("no {role} is named `{}`: see `backhaul {role} list`", name.escape_debug()));
    };
    let found = credential.role.word();
    if found != role {
        return Err(format!("`{username}` is {}: use `backhaul {found}`", with_article(&credential.role)));
    }
    Ok(username)
}

fn with_article(role: &Role) -> &'static str {
    match role {
        Role::Gateway(_) => "a gateway",
        Role::Observer => "an observer",
        Role::Service { .. } => "a service",
        Role::Bridge => "a bridge",
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn now_ms() -> u64 {
    u64::try_from(unix_ms()).unwrap_or(0)
}
