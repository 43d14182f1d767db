//! `greyhound up`: checks everything that can be checked first, then runs the datapath and the
//! control process until it is told to stop.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use caps::{CapSet, Capability};
use clap::ValueEnum;
use greyhound_control::hooks::user::{Choice, User};
use greyhound_control::pptp::PORT;
use greyhound_control::supervisor::{Policy, Program, supervise};
use greyhound_control::{dns, hooks};
use greyhound_datapath::ipc::seqpacket::Listener;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::{ConfigSource, UpOptions, read_config};

/// Returns once it was told to stop and everything has stopped.
pub(crate) fn up(options: &UpOptions, run_dir: &Path) -> anyhow::Result<()> {
    let (config, warnings) = read_config(&options.source)?;
    warnings.say();
    check_privileges()?;
    let hooks_arguments = hooks_arguments(options)?;
    let mut programs = programs(options, run_dir)?;
    create_dir(run_dir)?;
    create_dir(&options.state_dir)?;
    // Held until the end: it goes with the process, however that ends.
    let _lock = lock(run_dir)?;
    if config.server.enabled {
        check_port()?;
    }
    remove_sockets(run_dir).with_context(|| format!("{} cannot be cleaned", run_dir.display()))?;
    allow_many_sessions()?;
    let hooks = listen(run_dir, hooks::SOCKET).context("hooks cannot be listened for")?;
    let dns = listen(run_dir, dns::SOCKET).context("DNS servers cannot be listened for")?;
    // Before the control process, so that they are stopped after it.
    let workers = [
        worker("greyhound dns", dns_arguments(options, run_dir), &dns)?,
        worker("greyhound hooks", hooks_arguments, &hooks)?,
    ];
    let control = programs.len() - 1;
    programs.splice(control..control, workers);
    let stop = stop_signals().context("signals cannot be handled")?;
    supervise(
        &programs,
        &Policy::default(),
        &stop,
        &mut io::stderr().lock(),
    )?;
    Ok(())
}

/// What the datapath needs to make interfaces, to attach XDP and to send by a raw socket.
fn check_privileges() -> anyhow::Result<()> {
    for capability in [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW] {
        let has = caps::has_cap(None, CapSet::Effective, capability);
        if !has.context("capabilities cannot be read")? {
            bail!("`greyhound up` needs {capability}: start it as root");
        }
    }
    Ok(())
}

/// A session is a connection in one process and an interface in the other, and the usual soft limit
/// of 1024 descriptors is for programs that use select(2). Both inherit what is set here.
fn allow_many_sessions() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).context("the limit of open files cannot be raised")
}

/// Whether the control process will be able to listen: better known before anything is started.
fn check_port() -> anyhow::Result<()> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))
        .map(drop)
        .with_context(|| format!("cannot listen on TCP port {PORT}"))
}

/// The datapath first: the control process connects to it.
fn programs(options: &UpOptions, run_dir: &Path) -> anyhow::Result<Vec<Program>> {
    let own = std::env::current_exe().context("the path of this program is unknown")?;
    let datapath = own.with_file_name("greyhound-datapath");
    if !datapath.is_file() {
        bail!(
            "{} does not exist: greyhound-datapath belongs beside greyhound",
            datapath.display()
        );
    }
    Ok(vec![
        Program {
            name: "greyhound-datapath",
            path: datapath,
            arguments: datapath_arguments(options, run_dir),
            stdin: None,
        },
        Program {
            name: "greyhound control",
            path: own,
            arguments: control_arguments(options, run_dir),
            stdin: None,
        },
    ])
}

fn datapath_arguments(options: &UpOptions, run_dir: &Path) -> Vec<OsString> {
    let mut arguments = Vec::new();
    for interface in &options.interface {
        arguments.extend(["--interface".into(), interface.into()]);
    }
    if let Some(cores) = &options.cores {
        arguments.extend(["--cores".into(), cores.into()]);
    }
    if let Some(queues) = options.queues {
        arguments.extend(["--queues".into(), queues.to_string().into()]);
    }
    if let Some(mode) = options.io.to_possible_value() {
        arguments.extend(["--io".into(), mode.get_name().into()]);
    }
    if let Some(frames) = options.ring_size {
        arguments.extend(["--ring-size".into(), frames.to_string().into()]);
    }
    if let Some(microseconds) = options.spin {
        arguments.extend(["--spin".into(), microseconds.to_string().into()]);
    }
    if options.no_offload {
        arguments.push("--no-offload".into());
    }
    arguments.extend(["--run-dir".into(), run_dir.into()]);
    arguments
}

fn control_arguments(options: &UpOptions, run_dir: &Path) -> Vec<OsString> {
    let mut arguments = vec![OsString::from("control")];
    let ConfigSource { config, .. } = &options.source;
    match config {
        Some(path) => arguments.extend(["--config".into(), OsString::from(path)]),
        None => arguments.push("--demo-config".into()),
    }
    arguments.extend(["--run-dir".into(), run_dir.into()]);
    arguments.extend(["--state-dir".into(), OsString::from(&options.state_dir)]);
    // The standard error of a program that is started is a pipe: here it is known where it goes.
    if let Some(destination) = options.log.destination().to_possible_value() {
        arguments.extend(["--log".into(), destination.get_name().into()]);
    }
    for topics in &options.log.topics {
        arguments.extend(["--log-topics".into(), topics.to_string().into()]);
    }
    arguments
}

/// The socket that a process is asked on which works for the control process. It is there whether or
/// not the process is, which finds what was asked for meanwhile.
fn listen(run_dir: &Path, socket: &str) -> io::Result<Listener> {
    let path = run_dir.join(socket);
    let listener = Listener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn worker(
    name: &'static str,
    arguments: Vec<OsString>,
    listener: &Listener,
) -> anyhow::Result<Program> {
    let listener = listener.as_fd().try_clone_to_owned();
    Ok(Program {
        name,
        path: std::env::current_exe().context("the path of this program is unknown")?,
        arguments,
        stdin: Some(Arc::new(listener.context("no descriptor is left")?)),
    })
}

fn dns_arguments(options: &UpOptions, run_dir: &Path) -> Vec<OsString> {
    let mut arguments = vec!["dns".into(), "--run-dir".into(), run_dir.into()];
    for topics in &options.log.topics {
        arguments.extend(["--log-topics".into(), topics.to_string().into()]);
    }
    arguments
}

fn hooks_arguments(options: &UpOptions) -> anyhow::Result<Vec<OsString>> {
    let choice = match &options.hooks_user {
        Some(name) => Choice::Named(name),
        None if options.hooks_as_root => Choice::Root,
        None => Choice::Unprivileged,
    };
    let user = User::choose(choice, rustix::process::geteuid().as_raw())?;
    let mut arguments = vec![OsString::from("hooks")];
    if options.hooks_as_root {
        arguments.push("--as-root".into());
    }
    if let Some(User { uid, gid }) = user {
        arguments.extend([
            "--user".into(),
            uid.to_string().into(),
            gid.to_string().into(),
        ]);
    }
    for topics in &options.log.topics {
        arguments.extend(["--log-topics".into(), topics.to_string().into()]);
    }
    Ok(arguments)
}

fn create_dir(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(path)
        .with_context(|| format!("{} cannot be created", path.display()))
}

/// Makes sure that this is the only greyhound with this run directory.
fn lock(run_dir: &Path) -> anyhow::Result<File> {
    let path = run_dir.join("lock");
    let unusable = || format!("{} cannot be locked", path.display());
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).with_context(unusable)?;
            bail!(
                "another greyhound (process {}) is running with the run directory {}",
                pid.trim(),
                run_dir.display()
            );
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(unusable),
    }
    file.set_len(0).with_context(unusable)?;
    file.rewind().with_context(unusable)?;
    writeln!(file, "{}", std::process::id()).with_context(unusable)?;
    Ok(file)
}

/// Removes what a greyhound that was killed has left. To be called with the lock held.
fn remove_sockets(run_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(run_dir)? {
        let entry = entry?;
        if entry.file_type()?.is_socket() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A socket that becomes readable when this process is told to stop.
fn stop_signals() -> io::Result<UnixStream> {
    let (stop, raise) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, raise.try_clone()?)?;
    }
    Ok(stop)
}
