//! The program: `greyhound up` starts the server, anything that is not a subcommand is a command
//! for the one that runs, and `greyhound` alone is its console.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use greyhound_control::console::{front, import as console_import, line, wire};
use greyhound_control::hooks::process::Privilege;
use greyhound_control::hooks::user::User;
use greyhound_control::io::Store;
use greyhound_control::language::path;
use greyhound_control::log::{Destination, Filter, Log, Topics};
use greyhound_control::model::schema::MENUS;
use greyhound_control::model::{self, Config};
use greyhound_control::{accounting, dns, hooks, import, supervisor};
use zeroize::Zeroizing;

mod up;

/// Greyhound: a PPTP concentrator and client.
#[derive(Debug, Parser)]
#[command(version, after_help = CONSOLE_HELP)]
struct Cli {
    /// Where the running greyhound keeps its sockets
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/run/greyhound"
    )]
    run_dir: PathBuf,
    /// Answer a console command in JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where what survives a restart is kept, unless another folder is named.
const STATE_DIR: &str = "/var/lib/greyhound";

/// What follows the list of options in the help.
const CONSOLE_HELP: &str = "\
Without a command: the console, with Tab to complete, ? for help, and quit. Commands may be piped
in as well: the first error ends it.

Console commands, asked of the running greyhound (paths with spaces or slashes, words may be
shortened):
  interface pptp-server server set enabled=yes
  ppp secret add name=MT-User password=StrongPass
  ppp active print [detail|stats] [where name=MT-User]
  interface pptp-client monitor pptp-out1 [once]
  export [show-sensitive]
  datapath print";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server and the clients of a configuration in the foreground
    Up(UpOptions),
    /// Say what is wrong with a configuration, and start nothing
    CheckConfig {
        /// The configuration
        file: PathBuf,
    },
    /// Take over a file of another program: an export of RouterOS, chap-secrets, pptpd.conf, ...
    Import {
        /// The file
        file: PathBuf,
        /// What the file is, if that is not found out rightly
        #[arg(long = "as", value_name = "KIND")]
        kind: Option<ImportKind>,
        /// Print what would be added, and add nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Write all sessions that are kept on the disk to standard output, the oldest first
    Accounting {
        /// In which form
        #[arg(long, value_enum, default_value_t = AccountingFormat::Csv)]
        format: AccountingFormat,
        /// As of `up`
        #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
        state_dir: PathBuf,
    },
    /// The control process, which `up` starts
    #[command(hide = true)]
    Control {
        #[command(flatten)]
        source: ConfigSource,
        /// As of `up`
        #[arg(long)]
        state_dir: PathBuf,
        #[command(flatten)]
        log: LogOptions,
    },
    /// The process that runs hooks, which `up` starts
    #[command(hide = true)]
    Hooks {
        /// The user and the group to become
        #[arg(long, num_args = 2, value_names = ["UID", "GID"])]
        user: Option<Vec<u32>>,
        /// Stay root
        #[arg(long, conflicts_with = "user")]
        as_root: bool,
        /// Which lines to write, as of `up`
        #[arg(long)]
        log_topics: Vec<Topics>,
    },
    /// The process that has the system use the DNS servers of peers, which `up` starts
    #[command(hide = true)]
    Dns {
        /// Which lines to write, as of `up`
        #[arg(long)]
        log_topics: Vec<Topics>,
    },
    /// A command of the console
    #[command(external_subcommand)]
    Console(Vec<OsString>),
}

/// Options of `up`.
#[derive(Debug, Args)]
struct UpOptions {
    #[command(flatten)]
    source: ConfigSource,
    /// An interface that the tunnels' GRE goes through, or several with commas between them or with
    /// the option again; others are served too, only slower [default: that of the default route]
    #[arg(long, value_name = "IF", value_delimiter = ',')]
    interface: Vec<String>,
    /// The cores of the workers, as 1-3,6; a worker for each RX queue if left out
    #[arg(long, value_name = "LIST")]
    cores: Option<String>,
    /// How many RX queues of each interface to serve
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    queues: Option<u16>,
    /// How frames move between the interfaces and the workers
    #[arg(long, value_name = "MODE", default_value = "auto")]
    io: Io,
    /// Frames that each ring of a queue holds, a power of two from 64 to 16384
    #[arg(long, value_name = "N")]
    ring_size: Option<u32>,
    /// Microseconds for which a worker looks for work before it sleeps: more is quicker to answer
    #[arg(long, value_name = "US")]
    spin: Option<u64>,
    /// Read and write the interfaces packet by packet, to compare or to look for an error
    #[arg(long)]
    no_offload: bool,
    /// What is to survive a restart
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    state_dir: PathBuf,
    /// The user that on-up and on-down of profiles run as [default: nobody]
    #[arg(long, value_name = "USER", conflicts_with = "hooks_as_root")]
    hooks_user: Option<String>,
    /// Run on-up and on-down of profiles as root
    #[arg(long)]
    hooks_as_root: bool,
    #[command(flatten)]
    log: LogOptions,
}

/// Where the log goes, and what of it.
#[derive(Clone, Debug, Args)]
struct LogOptions {
    /// Where the log goes [default: the journal if standard error goes there, else stderr]
    #[arg(id = "log", long = "log", value_name = "WHERE")]
    destination: Option<Destination>,
    /// Only lines with all of these topics and none of those after a !, as ppp,!debug; more than
    /// once: lines that fit one of the lists
    #[arg(id = "log-topics", long = "log-topics", value_name = "LIST")]
    topics: Vec<Topics>,
}

impl LogOptions {
    /// Where the log goes, if need be where standard error goes.
    fn destination(&self) -> Destination {
        self.destination.unwrap_or_else(|| {
            let stream = std::env::var("JOURNAL_STREAM").ok();
            Destination::detect(stream.as_deref(), io::stderr())
        })
    }

    /// A log that cannot be opened is told on standard error, and written there.
    fn open(self) -> Log {
        let levels = std::env::var("RUST_LOG").ok();
        let destination = self.destination();
        let filter = Filter::new(levels.as_deref(), self.topics);
        let log = Log::open(destination, filter.clone()).unwrap_or_else(|error| {
            say(&format!("the log goes to standard error: {error}"));
            Log::stderr(filter)
        });
        log.listen_to_tracing();
        log
    }
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct ConfigSource {
    /// The configuration, in the syntax of a RouterOS export
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The built-in configuration: user MT-User, password StrongPass, 10.0.0.1 to 10.0.0.5
    #[arg(long)]
    demo_config: bool,
}

/// How sessions are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AccountingFormat {
    /// Comma-separated values, with a line of names
    Csv,
    /// One array of objects
    Json,
}

/// What can be imported.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ImportKind {
    /// `/export` of RouterOS
    Routeros,
    /// pppd's chap-secrets
    ChapSecrets,
    /// pppd's pap-secrets
    PapSecrets,
    /// chap-secrets of accel-ppp
    AccelSecrets,
    /// pptpd.conf
    Pptpd,
    /// Options of pppd, as pptpd-options
    PppdOptions,
    /// A file of /etc/ppp/peers with a tunnel out by PPTP
    PppdPeer,
    /// accel-ppp.conf
    AccelPpp,
}

impl From<ImportKind> for import::Kind {
    fn from(kind: ImportKind) -> Self {
        match kind {
            ImportKind::Routeros => Self::RouterOs,
            ImportKind::ChapSecrets => Self::ChapSecrets,
            ImportKind::PapSecrets => Self::PapSecrets,
            ImportKind::AccelSecrets => Self::AccelSecrets,
            ImportKind::Pptpd => Self::PptpdConf,
            ImportKind::PppdOptions => Self::PppdOptions,
            ImportKind::PppdPeer => Self::PppdPeer,
            ImportKind::AccelPpp => Self::AccelPpp,
        }
    }
}

/// How frames move between the interfaces and the workers.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Io {
    /// The first of the others that works
    Auto,
    /// AF_XDP by the driver's own XDP
    Native,
    /// AF_XDP by the generic XDP hook
    Skb,
    /// A raw socket
    Raw,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let Some(command) = cli.command else {
        return exit(front::run(&cli.run_dir, cli.json));
    };
    exit(match command {
        Command::Up(options) => up::up(&options, &cli.run_dir).map(|()| 0),
        Command::CheckConfig { file } => check_config(file).map(|()| 0),
        Command::Control {
            source,
            state_dir,
            log,
        } => control(&source, cli.run_dir, state_dir, log).map(|()| 0),
        Command::Hooks {
            user,
            as_root,
            log_topics,
        } => hooks(user.as_deref(), as_root, log_topics).map(|()| 0),
        Command::Dns { log_topics } => dns(cli.run_dir, log_topics).map(|()| 0),
        Command::Import {
            file,
            kind,
            dry_run,
        } => import_file(&cli.run_dir, &file, kind, dry_run).map(|()| 0),
        Command::Accounting { format, state_dir } => {
            export_accounting(format, &state_dir).map(|()| 0)
        }
        Command::Console(words) => console(&cli.run_dir, cli.json, words),
    })
}

/// Says what went wrong, and how it ended.
fn exit(outcome: anyhow::Result<u8>) -> ExitCode {
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            if !is_told(&error) {
                say(&format!("greyhound: {error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// An error whose lines are on standard error already.
#[derive(Debug, thiserror::Error)]
#[error("told")]
struct Told;

/// Whether nothing is left to say: the lines about a configuration have been written, or a program
/// that was started has said itself what it lacks.
fn is_told(error: &anyhow::Error) -> bool {
    let by_program = |error| matches!(error, &supervisor::Error::Configuration { .. });
    error.is::<Told>() || error.downcast_ref().is_some_and(by_program)
}

fn export_accounting(format: AccountingFormat, state_dir: &Path) -> anyhow::Result<()> {
    let format = match format {
        AccountingFormat::Csv => accounting::export::Format::Csv,
        AccountingFormat::Json => accounting::export::Format::Json,
    };
    let path = state_dir.join(accounting::store::FILE);
    if !path.exists() {
        bail!("{}: nothing is kept there", path.display());
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    accounting::export::export(&path, format, &mut out)
        .with_context(|| format!("{} cannot be written out", path.display()))
}

fn check_config(file: PathBuf) -> anyhow::Result<()> {
    if !file.exists() {
        bail!("{} cannot be read: there is no such file", file.display());
    }
    let source = ConfigSource {
        config: Some(file),
        demo_config: false,
    };
    let (_, warnings) = read_config(&source)?;
    warnings.say();
    Ok(())
}

/// Reads the configuration; one that is not there yet is empty, and the first change makes it.
/// What is wrong with it is told on standard error, a line each.
fn read_config(source: &ConfigSource) -> anyhow::Result<(Config, Warnings)> {
    let (name, text) = match &source.config {
        Some(path) => {
            let text = match std::fs::read_to_string(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let warning = format!("{}: warning: begins empty", path.display());
                    return Ok((Config::default(), Warnings(vec![warning])));
                }
                text => text.with_context(|| format!("{} cannot be read", path.display()))?,
            };
            (path.display().to_string(), Zeroizing::new(text))
        }
        None => ("demo".to_owned(), Zeroizing::new(model::DEMO.to_owned())),
    };
    let place = |at: model::Position| format!("{name}:{}:{}", at.line, at.column);
    match Config::parse(&text) {
        Ok((config, warnings)) => {
            let warnings = warnings
                .iter()
                .map(|warning| format!("{}: warning: {warning}", place(warning.at)));
            Ok((config, Warnings(warnings.collect())))
        }
        Err(errors) => {
            for error in &errors {
                say(&format!("{}: {error}", place(error.at)));
            }
            Err(Told.into())
        }
    }
}

/// What a configuration has that is of no use, a line each.
struct Warnings(Vec<String>);

impl Warnings {
    /// Tells them on standard error.
    fn say(&self) {
        for warning in &self.0 {
            say(warning);
        }
    }
}

/// Runs the control process.
fn control(
    source: &ConfigSource,
    run_dir: PathBuf,
    state_dir: PathBuf,
    log: LogOptions,
) -> anyhow::Result<()> {
    // `up` has told the warnings, and not everything that starts again is to tell them again.
    let (config, _) = read_config(source)?;
    let mut options = greyhound_control::io::Options::new(run_dir, state_dir, config);
    options.store = source.config.clone().map(Store::new);
    options.log = log.open();
    greyhound_control::io::run(options)
}

/// Runs the process that runs hooks.
fn hooks(user: Option<&[u32]>, as_root: bool, topics: Vec<Topics>) -> anyhow::Result<()> {
    let privilege = match user {
        Some(&[uid, gid]) => Privilege::Become(User { uid, gid }),
        Some(_) | None if as_root => Privilege::Root,
        Some(_) | None => Privilege::Stay,
    };
    hooks::process::run(privilege, stderr_log(topics))
}

/// Runs the process that has the system use the DNS servers of peers.
fn dns(run_dir: PathBuf, topics: Vec<Topics>) -> anyhow::Result<()> {
    dns::process::run(run_dir, stderr_log(topics))
}

/// The log of a process that works for the control process.
fn stderr_log(topics: Vec<Topics>) -> Log {
    let levels = std::env::var("RUST_LOG").ok();
    Log::stderr(Filter::new(levels.as_deref(), topics))
}

/// Asks the running greyhound and prints what it answers.
fn console(run_dir: &Path, json: bool, words: Vec<OsString>) -> anyhow::Result<u8> {
    let words = words
        .into_iter()
        .map(|word| {
            word.into_string()
                .map_err(|_| anyhow::anyhow!("a word is not UTF-8"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (options, words): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word == "--json");
    let request = wire::Request {
        line: line::from_words(&words),
        menu: Vec::new(),
        numbers: wire::Numbers::new(),
        json: json || !options.is_empty(),
        width: terminal_width(),
    };
    loop {
        let reply = wire::ask(run_dir, &request)?;
        if reply.status == 0 && reply.text.is_empty() && !reply.menu.is_empty() {
            // A menu is entered by who stays: here something is to be done there.
            return expect_command(&reply.menu);
        }
        if reply.status != 0 && !request.json {
            say(reply.text.trim_end());
            return Ok(reply.status);
        }
        if !print(&reply.text)? || !reply.repeats {
            return Ok(reply.status);
        }
        std::thread::sleep(wire::REPEAT_INTERVAL);
    }
}

/// Takes over a file. What is left out of it is told on standard error.
fn import_file(
    run_dir: &Path,
    file: &Path,
    kind: Option<ImportKind>,
    dry_run: bool,
) -> anyhow::Result<()> {
    let mut exchange = |request: &wire::Request| wire::ask(run_dir, request);
    let report = console_import::run(&mut exchange, file, kind.map(Into::into), dry_run)?;
    report.said.iter().for_each(|line| say(line));
    print(&report.text)?;
    Ok(())
}

/// Says what may stand behind a path.
fn expect_command(menu: &[String]) -> anyhow::Result<u8> {
    let known = MENUS.iter().map(|known| known.path);
    let path = known
        .filter_map(|path| path.get(..menu.len()))
        .find(|path| path.iter().eq(menu));
    let names = path::names(MENUS, path.unwrap_or_default());
    let names: Vec<_> = names.into_iter().map(path::Name::text).collect();
    say(&format!("expected command name: {}", names.join(", ")));
    Ok(1)
}

/// Prints a text; returns whether somebody reads it.
fn print(text: &str) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.context("standard output").map(|()| true),
    }
}

/// The width of the terminal; what goes elsewhere is not wrapped.
fn terminal_width() -> u16 {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return u16::MAX;
    }
    match rustix::termios::tcgetwinsize(&stdout) {
        Ok(size) if size.ws_col > 0 => size.ws_col,
        Ok(_) | Err(_) => 80,
    }
}

/// Says something on standard error. If nobody listens there, nobody is told.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
