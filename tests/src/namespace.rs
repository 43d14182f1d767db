//! Network namespaces as machines, veth pairs as the cables between them, a bridge as their LAN.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::scratch;
use crate::wait::wait_until;

/// A network namespace. Dropping it ends every process in it and removes it with its interfaces.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: File,
    kept: bool,
}

impl Namespace {
    /// Creates a namespace of this run.
    ///
    /// # Errors
    /// `ip netns add` failed; it needs root.
    pub fn new(label: &str) -> Result<Self> {
        static CLEANED: Once = Once::new();
        CLEANED.call_once(cleanup);
        Self::named(&scratch::unique_name(label))
    }

    /// Creates a namespace with exactly this name, which a cleanup leaves alone.
    ///
    /// # Errors
    /// `ip netns add` failed: it needs root, or the name is taken.
    pub fn named(name: &str) -> Result<Self> {
        run("ip", &["netns", "add", name])?;
        let namespace = Self::open(name)?;
        namespace.ip("link set lo up")?;
        // Neighbour discovery would add frames that no test asked for.
        namespace.set("net/ipv6/conf/default/disable_ipv6", "1")?;
        Ok(namespace)
    }

    /// Takes over a namespace that was kept, if there is one of this name.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn existing(name: &str) -> Result<Option<Self>> {
        if Path::new(NAMESPACES).join(name).exists() {
            Self::open(name).map(Some)
        } else {
            Ok(None)
        }
    }

    fn open(name: &str) -> Result<Self> {
        let handle = File::open(Path::new(NAMESPACES).join(name))
            .with_context(|| format!("open namespace {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            handle,
            kept: false,
        })
    }

    /// Its name, for `ip netns exec`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run in it. Its process is the program itself, not a wrapper.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .arg(program)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command in it and returns what it printed.
    ///
    /// # Errors
    /// It could not be started, or failed; the message has its output.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(program).args(arguments).output();
        succeed(&format!("{program} {}", arguments.join(" ")), output)
    }

    /// `ip -n NAME` with these words.
    ///
    /// # Errors
    /// `ip` said so.
    pub fn ip(&self, words: &str) -> Result<String> {
        let mut arguments = vec!["-n", &self.name];
        arguments.extend(words.split_whitespace());
        run("ip", &arguments)
    }

    /// Runs `work` on a thread of its own inside the namespace. A socket that it opens and returns
    /// belongs to the namespace wherever it is used.
    ///
    /// # Errors
    /// The namespace cannot be entered, or `work` panicked.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    let network = Some(LinkNameSpaceType::Network);
                    move_into_link_name_space(self.handle.as_fd(), network)
                        .with_context(|| format!("enter namespace {}", self.name))?;
                    Ok(work())
                })
                .join()
                .map_err(|_| anyhow!("the thread in namespace {} panicked", self.name))?
        })
    }

    /// Its interfaces by name, as `ip -json -details link` describes them.
    ///
    /// # Errors
    /// `ip` failed.
    pub fn interfaces(&self) -> Result<BTreeMap<String, Value>> {
        let links: Vec<Value> = serde_json::from_str(&self.ip("-json -details link show")?)?;
        Ok(links
            .into_iter()
            .filter_map(|link| Some((link["ifname"].as_str()?.to_owned(), link)))
            .collect())
    }

    /// The processes in it.
    ///
    /// # Errors
    /// `ip netns pids` failed.
    pub fn processes(&self) -> Result<Vec<u32>> {
        pids_in(&self.name)
    }

    /// Leaves it and everything in it running when the value is dropped.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Sets a switch under /proc/sys; one that this kernel does not have is left out.
    ///
    /// # Errors
    /// The kernel refuses the value.
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key);
        // What /proc/sys/net shows depends on who looks.
        self.inside(|| {
            if path.exists() {
                fs::write(&path, value).with_context(|| format!("write {}", path.display()))?;
            }
            Ok(())
        })?
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.name);
        }
    }
}

/// Joins two namespaces by a veth pair with this many queues, both ends up, named alike.
///
/// # Errors
/// An interface of that name exists, or the kernel has no veth.
pub fn join(a: &Namespace, b: &Namespace, interface: &str, queues: u16) -> Result<()> {
    add_veth((a, interface), (b, interface), queues)
}

/// A namespace with a bridge that others are plugged into.
#[derive(Debug)]
pub struct Lan {
    namespace: Namespace,
}

impl Lan {
    /// Creates an empty one.
    ///
    /// # Errors
    /// The namespace or the bridge cannot be created.
    pub fn new() -> Result<Self> {
        let namespace = Namespace::new("lan")?;
        // No spanning tree: a port forwards from its first frame on.
        namespace.ip("link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
        namespace.ip("link set bridge up")?;
        Ok(Self { namespace })
    }

    /// The namespace of the bridge, in which guests run.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Plugs a namespace in: `interface` in it, with `address` (and prefix length).
    ///
    /// # Errors
    /// The interface cannot be created.
    pub fn plug(
        &self,
        machine: &Namespace,
        interface: &str,
        address: &str,
        queues: u16,
    ) -> Result<()> {
        let port = self.unused("port")?;
        add_veth((machine, interface), (&self.namespace, &port), queues)?;
        self.namespace
            .ip(&format!("link set {port} master bridge"))?;
        machine.ip(&format!("addr add {address} dev {interface}"))?;
        Ok(())
    }

    /// A name that no interface of the bridge has: that of a machine that is gone is free again.
    fn unused(&self, kind: &str) -> Result<String> {
        let taken = self.namespace.interfaces()?;
        let names = (taken.len()..).map(|number| format!("{kind}{number}"));
        let mut unused = names.filter(|name| !taken.contains_key(name));
        unused.next().context("no name is left")
    }

    /// Adds a TAP interface to the bridge, for a guest to open.
    ///
    /// # Errors
    /// The interface cannot be created.
    pub fn add_tap(&self, tap: &str) -> Result<()> {
        self.namespace
            .ip(&format!("tuntap add mode tap name {tap}"))?;
        self.namespace
            .ip(&format!("link set {tap} master bridge up"))?;
        Ok(())
    }
}

/// Removes the namespaces and folders of runs that were killed: those that carry our prefix and the
/// id of a process that no longer exists.
pub fn cleanup() {
    if let Ok(entries) = fs::read_dir(NAMESPACES) {
        for entry in entries.flatten() {
            if let Some(name) = entry.file_name().to_str()
                && scratch::is_left_over(name)
            {
                remove(name);
            }
        }
    }
    scratch::remove_left_over_folders();
}

/// Runs a command and returns what it printed.
///
/// # Errors
/// It could not be started, or failed; the message has its output.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    succeed(&format!("{program} {}", arguments.join(" ")), output)
}

fn succeed(what: &str, output: std::io::Result<Output>) -> Result<String> {
    let output = output.with_context(|| format!("start {what}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{what}: {}\n{stdout}{stderr}", output.status);
    }
    Ok(stdout)
}

pub(crate) fn add_veth(
    near: (&Namespace, &str),
    far: (&Namespace, &str),
    queues: u16,
) -> Result<()> {
    // Created where it belongs: nothing of it is ever in the host's own namespace.
    near.0.ip(&format!(
        "link add {near_if} numtxqueues {queues} numrxqueues {queues} type veth \
         peer name {far_if} numtxqueues {queues} numrxqueues {queues} netns {far_ns}",
        near_if = near.1,
        far_if = far.1,
        far_ns = far.0.name,
    ))?;
    near.0.ip(&format!("link set {} up", near.1))?;
    far.0.ip(&format!("link set {} up", far.1))?;
    Ok(())
}

fn pids_in(name: &str) -> Result<Vec<u32>> {
    let pids = run("ip", &["netns", "pids", name])?;
    Ok(pids.lines().filter_map(|pid| pid.parse().ok()).collect())
}

/// Ends what runs in a namespace and removes it. For drop and cleanup: what fails is left.
fn remove(name: &str) {
    let empty = || {
        let pids = pids_in(name).unwrap_or_default();
        for &pid in &pids {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        pids.is_empty()
    };
    let _ = wait_until("the namespace is empty", Duration::from_secs(5), empty);
    let _ = run("ip", &["netns", "del", name]);
}

/// Where `ip netns` keeps its handles.
const NAMESPACES: &str = "/run/netns";
