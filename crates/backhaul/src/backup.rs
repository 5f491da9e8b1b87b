//! `backhaul backup` and `backhaul restore`: everything that is kept, copied to a folder and back.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::data_folder::Installation;
use crate::{Outcome, clock};

/// Options of `backup`.
#[derive(Args)]
pub struct BackupArguments {
    /// Folder to make; it will hold secrets, so keep it as you keep the data folder
    #[arg(value_name = "DIR")]
    target: PathBuf,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `restore`.
#[derive(Args)]
pub struct RestoreArguments {
    /// Folder that `backhaul backup` made
    #[arg(value_name = "DIR")]
    backup: PathBuf,
    /// Data folder to make
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Copies the data folder, also while a server works on it.
pub fn back_up(arguments: BackupArguments) -> Outcome {
    let config = arguments.installation.config()?;
    let data = arguments.installation.folder(&config);
    let copied = server::backup::back_up(data, &arguments.target, clock::unix_ms())?;
    println!(
        "{} files, {:.1} MB, in {}",
        copied.files,
        copied.bytes as f64 / 1e6,
        arguments.target.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Makes a data folder of a backup.
pub fn restore(arguments: RestoreArguments) -> Outcome {
    let copied = server::backup::restore(&arguments.backup, &arguments.data)?;
    println!(
        "{} files, {:.1} MB; start it with `backhaul serve --data {}`",
        copied.files,
        copied.bytes as f64 / 1e6,
        arguments.data.display()
    );
    Ok(ExitCode::SUCCESS)
}
