//! Archives: histories of their own beside ours, made of captures and of what other Backhauls exported. Each is a data folder
//! that every reading command takes with `--data`.

use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use history::import::{LINE_BYTES_MAX, Lines};
use history::{Writer, archive_folder, archive_name};
use record::Record;

use crate::data_folder::Installation;
use crate::{Outcome, settings};

/// Records stored at a time.
const BATCH: usize = 2_000;
/// Wrong lines that are told one by one.
const WRONG_TOLD_MAX: u64 = 10;

/// Options of `import`.
#[derive(Args, Clone)]
pub struct Import {
    /// Lines of `backhaul export`, or of `mosquitto_sub -F '%I %t %x'`; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the archive to make; without it, the file's
    #[arg(long, value_name = "NAME", value_parser = archive_name)]
    into: Option<String>,
    /// Make it anew when it is there already
    #[arg(long)]
    replace: bool,
    /// Leave out lines that are not understood, and say how many
    #[arg(long)]
    skip_wrong: bool,
    #[command(flatten)]
    installation: Installation,
}

/// What to do with archives.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// List the archives
    List(List),
    /// Delete an archive for good
    Remove(Remove),
}

/// Options of `archive list`.
#[derive(Args, Clone)]
pub struct List {
    #[command(flatten)]
    installation: Installation,
}

/// Options of `archive remove`.
#[derive(Args, Clone)]
pub struct Remove {
    /// Its name
    #[arg(value_name = "NAME", value_parser = archive_name)]
    name: String,
    #[command(flatten)]
    installation: Installation,
}

/// Runs `backhaul import`.
pub fn import(arguments: &Import) -> Outcome {
    let config = arguments.installation.config()?;
    let data = arguments.installation.folder(&config);
    let name = match &arguments.into {
        Some(name) => name.clone(),
        None => {
            let stem = arguments.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            archive_name(&stem.to_ascii_lowercase())
                .map_err(|why| format!("say with --into what the archive is called; {why}"))?
        }
    };
    let lines = Lines::new(settings::keyring(&config), settings::preset(&config));
    let reader: Box<dyn Read> = match arguments.file.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(
            fs::File::open(&arguments.file)
                .map_err(|error| format!("cannot read `{}`: {error}", arguments.file.display()))?,
        ),
    };
    let made = make(data, &name, arguments.replace, |folder| {
        take(BufReader::new(reader), lines, folder, arguments.skip_wrong)
    })?;
    let shown = archive_folder(data, &name);
    println!("{} receptions imported into the archive `{name}`", made.receptions);
    if made.wrong > 0 {
        println!("{} lines were left out", made.wrong);
    }
    println!("look into it with `backhaul log --data {}`", shown.display());
    Ok(ExitCode::SUCCESS)
}

/// What was taken in.
pub struct Taken {
    /// Receptions.
    pub receptions: u64,
    /// Lines left out.
    pub wrong: u64,
}

/// Makes an archive as a whole or not at all: it gets its name when everything is in it.
pub fn make(
    data: &Path,
    name: &str,
    is_replaced: bool,
    fill: impl FnOnce(&Path) -> Result<Taken, Box<dyn std::error::Error>>,
) -> Result<Taken, Box<dyn std::error::Error>> {
    let (whole, part) = (archive_folder(data, name), archive_folder(data, &format!("{name}.part")));
    if whole.exists() && !is_replaced {
        return Err(
            format!("there is an archive `{name}` already; add --replace, or --into another name").into()
        );
    }
    let failed = |error: std::io::Error| format!("cannot make `{}`: {error}", part.display());
    if part.exists() {
        fs::remove_dir_all(&part).map_err(failed)?;
    }
    fs::create_dir_all(&part).map_err(failed)?;
    let taken = match fill(&part.join("history")) {
        Ok(taken) => taken,
        Err(why) => {
            // Half an archive looks like a whole one.
            fs::remove_dir_all(&part).map_err(failed)?;
            return Err(why);
        }
    };
    if whole.exists() {
        fs::remove_dir_all(&whole).map_err(failed)?;
    }
    fs::rename(&part, &whole).map_err(failed)?;
    Ok(taken)
}

/// Takes lines into a history.
pub fn take(
    mut from: impl BufRead,
    mut lines: Lines,
    folder: &Path,
    skip_wrong: bool,
) -> Result<Taken, Box<dyn std::error::Error>> {
    let mut writer = Writer::open(folder)?;
    let (mut batch, mut taken, mut number) =
        (Vec::with_capacity(BATCH), Taken { receptions: 0, wrong: 0 }, 0_u64);
    let is_watched = std::io::stderr().is_terminal();
    let mut line = Vec::new();
    loop {
        line.clear();
        // One byte more than is taken tells a line that is too long.
        if from.by_ref().take(LINE_BYTES_MAX as u64 + 2).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        let read = match std::str::from_utf8(&line) {
            Ok(text) => lines.read(text).map_err(|wrong| wrong.to_string()),
            Err(_) => Err("it is not UTF-8 text".to_owned()),
        };
        match read {
            Ok(None) => {}
            Ok(Some((reception, release))) => {
                taken.receptions += 1;
                batch.push(Record::Reception(reception.into()));
                batch.extend(release.map(|release| Record::Release(release.into())));
            }
            Err(why) if skip_wrong => {
                taken.wrong += 1;
                if taken.wrong <= WRONG_TOLD_MAX {
                    eprintln!("line {number} is left out: {why}");
                }
                skip_rest(&mut from, &line)?;
            }
            Err(why) => {
                return Err(format!(
                    "line {number}: {why}; nothing was imported (--skip-wrong leaves such lines out)"
                )
                .into());
            }
        }
        if batch.len() >= BATCH {
            writer.append(&batch)?;
            batch.clear();
            if is_watched {
                eprint!("\r{} receptions", taken.receptions);
            }
        }
    }
    writer.append(&batch)?;
    if is_watched {
        eprint!("\r");
    }
    Ok(taken)
}

/// What of a line that is too long was not read.
fn skip_rest(from: &mut impl BufRead, line: &[u8]) -> std::io::Result<()> {
    let mut is_over = line.ends_with(b"\n");
    while !is_over {
        let buffer = from.fill_buf()?;
        let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        from.consume(used);
        is_over = ended;
    }
    Ok(())
}

/// Runs `backhaul archive`.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List(list) => {
            let config = list.installation.config()?;
            let mut out = std::io::stdout().lock();
            for name in names(list.installation.folder(&config))? {
                writeln!(out, "{name}")?;
            }
        }
        Command::Remove(remove) => {
            let config = remove.installation.config()?;
            let folder = archive_folder(remove.installation.folder(&config), &remove.name);
            if !folder.is_dir() {
                return Err(format!("there is no archive `{}`", remove.name).into());
            }
            fs::remove_dir_all(&folder)?;
            writeln!(std::io::stdout(), "the archive `{}` is deleted", remove.name)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn names(data: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(data.join("archives")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // What is being made has a dot in its name.
        names.extend(archive_name(&name));
    }
    names.sort_unstable();
    Ok(names)
}
