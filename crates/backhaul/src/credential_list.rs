//! Showing credentials: `list` as a table or JSON, `show` in full. Never shows a hash or a password.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use directory::{Credential, Role};
use serde_json::{Value, json};

use crate::Outcome;
use crate::clock::utc;
use crate::credential_edit::find;
use crate::data_folder::Installation;

/// Options of `list`.
#[derive(Args, Clone)]
pub struct Listed {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `show`.
#[derive(Args, Clone)]
pub struct Shown {
    /// The client's name; a gateway's node id, such as '!7c5a0a01'
    #[arg(value_name = "NAME")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Prints all clients of a role.
pub fn list(listed: &Listed, role: &str) -> Outcome {
    let store = listed.installation.open_present(&listed.installation.config()?)?;
    let directory = store.load()?;
    let credentials: Vec<&Credential> = directory
        .credentials()
        .map(|shared| &**shared)
        .filter(|credential| credential.role.word() == role)
        .collect();
    let mut out = std::io::stdout().lock();
    if listed.json {
        let all: Vec<Value> = credentials.iter().map(|credential| as_json(credential)).collect();
        writeln!(out, "{:#}", Value::Array(all))?;
    } else if credentials.is_empty() {
        writeln!(out, "No {role} yet: see `backhaul {role} add --help`.")?;
    } else {
        let heading = ["NAME", "IS", "STATE", "OWNER", "SINCE (UTC)", "NOTE"].map(str::to_owned);
        let rows = credentials.iter().map(|credential| row(credential));
        write_table(&mut out, &std::iter::once(heading).chain(rows).collect::<Vec<_>>())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints one client.
pub fn show(shown: &Shown, role: &str) -> Outcome {
    let store = shown.installation.open_present(&shown.installation.config()?)?;
    let directory = store.load()?;
    let username = find(&directory, &shown.name, role)?;
    let credential = directory.credential(&username).ok_or("the credential is gone")?;
    let mut out = std::io::stdout().lock();
    if shown.json {
        writeln!(out, "{:#}", as_json(credential))?;
        return Ok(ExitCode::SUCCESS);
    }
    let owner = credential.owner.as_ref();
    let contact = owner.and_then(|owner| owner.contact.as_deref());
    let lines = [
        ("username", credential.name.as_str().to_owned()),
        ("is", is_what(&credential.role)),
        ("state", state(credential)),
        ("owner", owner.map_or("-", |owner| &owner.name).to_owned()),
        ("contact", contact.unwrap_or("-").to_owned()),
        ("since", moment(credential.created_ms) + " UTC"),
        ("note", if credential.note.is_empty() { "-".to_owned() } else { credential.note.clone() }),
    ];
    for (name, value) in lines {
        writeln!(out, "{name:9} {value}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(credential: &Credential) -> [String; 6] {
    [
        credential.name.as_str().to_owned(),
        is_what(&credential.role),
        state(credential),
        credential.owner.as_ref().map_or("-".to_owned(), |owner| owner.name.clone()),
        moment(credential.created_ms),
        credential.note.clone(),
    ]
}

fn is_what(role: &Role) -> String {
    match role {
        Role::Gateway(id) => format!("gateway {id}"),
        Role::Observer => "observer".to_owned(),
        Role::Bridge => "bridge".to_owned(),
        Role::Service { prefix } => format!("service of {prefix}"),
    }
}

fn state(credential: &Credential) -> String {
    match credential.disabled_ms {
        None => "enabled".to_owned(),
        Some(since) => format!("disabled {}", moment(since)),
    }
}

fn moment(unix_ms: u64) -> String {
    i64::try_from(unix_ms).map_or("-".to_owned(), utc)
}

fn as_json(credential: &Credential) -> Value {
    let owner = credential.owner.as_ref();
    let prefix = match &credential.role {
        Role::Service { prefix } => Some(prefix.as_str()),
        Role::Gateway(_) | Role::Observer | Role::Bridge => None,
    };
    json!({
        "username": credential.name.as_str(),
        "role": credential.role.word(),
        "gateway": credential.role.gateway_id().map(|id| id.to_string()),
        "prefix": prefix,
        "owner": owner.map(|owner| &owner.name),
        "contact": owner.and_then(|owner| owner.contact.as_ref()),
        "note": credential.note,
        "created_ms": credential.created_ms,
        "disabled_ms": credential.disabled_ms,
    })
}

/// Writes columns as wide as their widest cell.
fn write_table<const N: usize>(out: &mut impl Write, rows: &[[String; N]]) -> std::io::Result<()> {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}
