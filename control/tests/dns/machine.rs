//! A machine with a resolver of Debian's: namespaces in which packages lie over /usr and /etc, so
//! that nothing of this machine is changed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use greyhound_control::dns::client::Client;
use greyhound_control::dns::{SOCKET, Setting};
use greyhound_control::log::Line;
use greyhound_datapath::ipc::seqpacket::Listener;
use mio::{Events, Poll, Token};
use rustix::process::{Pid, Signal, kill_process};

/// The interface of a session.
pub(crate) const INTERFACE: &str = "pptp-out1";

/// A machine, a process that has its resolver told, and what the control process has of that.
pub(crate) struct Machine {
    /// Whose end is the end of all that runs in the namespaces.
    holder: Child,
    inside: u32,
    pub(crate) dir: PathBuf,
    listener: Option<Listener>,
    keeper: Option<Child>,
    poll: Poll,
    client: Client,
}

impl Machine {
    /// With packages of Debian's, after the commands that start what they have, and the keeper.
    pub(crate) fn with(packages: &[&str], commands: &str) -> Self {
        let unpacked = packages.iter().map(|package| unpacked(package));
        let unpacked = unpacked.map(|folder| folder.display().to_string());
        let of = |folder: &str| {
            let folders = unpacked
                .clone()
                .map(|package| format!("{package}/{folder}"));
            let folders: Vec<_> = folders.chain([format!("/{folder}")]).collect();
            folders.join(":")
        };
        let name = format!("greyhound-{}-{}", packages[0], std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        let mut holder = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-c", &format!("{SETUP}{commands}\n{READY}"), "sh"])
            .args([of("usr"), of("etc")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let stdout = BufReader::new(holder.stdout.take().unwrap());
        for line in stdout.lines().map(Result::unwrap) {
            if line == "ready" {
                break;
            }
            said = line;
        }
        let pid = holder.id();
        let inside = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        assert!(!inside.is_empty(), "the machine does not start: {said}");
        let inside = inside.trim().parse().unwrap();
        let mut machine = Self {
            holder,
            inside,
            listener: Some(Listener::bind(&dir.join(SOCKET)).unwrap()),
            keeper: None,
            poll: Poll::new().unwrap(),
            client: Client::new(&dir, Token(0), now()),
            dir,
        };
        machine.start_keeper(&[]);
        machine
    }

    /// What a program writes that runs there.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let Output { status, stdout, .. } = self
            .command(program)
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(status.success(), "{program} {arguments:?}: {status}");
        String::from_utf8(stdout).unwrap()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--mount", "--net", "--target", &self.inside.to_string()])
            .arg(program);
        command
    }

    /// The name servers that /etc/resolv.conf has, in their order.
    pub(crate) fn name_servers(&self) -> Vec<String> {
        let file = self.run("cat", &["/etc/resolv.conf"]);
        let lines = file.lines();
        let servers = lines.filter_map(|line| line.strip_prefix("nameserver "));
        servers.map(str::to_owned).collect()
    }

    /// Waits until they are these.
    pub(crate) fn wait_for_name_servers(&self, expected: &[&str]) {
        wait_until(&format!("name servers {expected:?}"), || {
            self.name_servers() == expected
        });
    }

    /// What the log says of servers that are used from now on.
    pub(crate) fn set(&mut self, exclusively: bool) -> String {
        let setting = Setting {
            interface: INTERFACE.to_owned(),
            servers: vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()],
            exclusively,
        };
        let registry = self.poll.registry();
        let name = INTERFACE.to_owned();
        self.client.set(now(), name, setting, registry);
        self.line().text
    }

    /// Takes that back.
    pub(crate) fn revert(&mut self) {
        self.client.revert(now(), INTERFACE, self.poll.registry());
    }

    /// What the control process does when it starts after a crash: it wants nothing.
    pub(crate) fn forget_control(&mut self) {
        self.client = Client::new(&self.dir, Token(0), now());
    }

    /// The next line of the log.
    pub(crate) fn line(&mut self) -> Line {
        let deadline = now() + PATIENCE;
        loop {
            assert!(now() < deadline, "nothing is said");
            let mut events = Events::with_capacity(4);
            let patience = Some(Duration::from_millis(50));
            // A child that ends may interrupt it.
            let _ = self.poll.poll(&mut events, patience);
            self.client.handle_ready(now(), self.poll.registry());
            if let Some(line) = self.client.poll_line() {
                return line;
            }
        }
    }

    /// Starts a keeper, through a program that says its number if one is given.
    pub(crate) fn start_keeper(&mut self, launcher: &[&str]) {
        let listener = self.listener.as_ref().unwrap();
        let stdin = listener.as_fd().try_clone_to_owned().unwrap();
        let greyhound = env!("CARGO_BIN_EXE_greyhound");
        let mut words = launcher.iter().copied().chain([greyhound]);
        let child = self
            .command(words.next().unwrap())
            .args(words)
            .args(["dns", "--run-dir"])
            .arg(&self.dir)
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        self.keeper = Some(child);
    }

    /// The keeper, which has taken its socket over when the log has said something.
    pub(crate) fn keeper(&mut self) -> &mut Child {
        self.keeper.as_mut().unwrap()
    }

    /// Ends the keeper by a signal, and checks that it ends well by one to stop.
    pub(crate) fn end_keeper(&mut self, signal: Signal) {
        let mut keeper = self.keeper.take().unwrap();
        kill_process(Pid::from_child(&keeper), signal).unwrap();
        let status = keeper.wait().unwrap();
        assert_eq!(status.success(), signal == Signal::TERM, "{status}");
    }

    /// Checks that the keeper has nothing to take back any more.
    pub(crate) fn wait_until_nothing_is_held(&self) {
        let record = self.dir.join("dns.json");
        wait_until("nothing is held", || !record.exists());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in self.keeper.iter_mut().chain([&mut self.holder]) {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.listener = None;
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The packages' files over this machine's, and an interface that is up. Its files are writable.
const SETUP: &str = "
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/etc /mnt/work
mount -t overlay overlay -o \"lowerdir=$1\" /usr
mount -t overlay overlay -o \"lowerdir=$2,upperdir=/mnt/etc,workdir=/mnt/work\" /etc
mount -t tmpfs tmpfs /run
ip link set lo up
ip tuntap add pptp-out1 mode tun
ip address add 10.0.0.5/32 peer 10.0.0.1 dev pptp-out1
ip link set pptp-out1 up
";

/// Says that all is there, and stays.
const READY: &str = "
echo ready
exec sleep infinity
";

/// The files of a package of Debian's, which is fetched the first time and not installed.
fn unpacked(package: &str) -> PathBuf {
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    let path = packages.join(package);
    if path.exists() {
        return path;
    }
    let new = packages.join(format!("{package}.{}", std::process::id()));
    fs::create_dir_all(&new).unwrap();
    // Not the folders that hold it: /lib and /sbin are in /usr. The lists may be missing or old.
    let script = "
        set -eu
        cd \"$1\"
        fetch() { apt-get -o APT::Sandbox::User=root --quiet=2 download \"$2\"; }
        fetch \"$@\" || { apt-get --quiet=2 update && fetch \"$@\"; }
        dpkg-deb --extract ./*.deb .
        rm ./*.deb
        for folder in bin sbin lib; do
            if [ -d $folder ]; then
                mkdir -p usr/$folder
                cp -a $folder/. usr/$folder
                rm -r $folder
            fi
        done
        mkdir -p etc
    ";
    let status = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(&new)
        .arg(package)
        .status()
        .unwrap();
    assert!(status.success(), "{package} cannot be fetched");
    fs::rename(&new, &path).unwrap();
    path
}

/// Waits for something to hold.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = now() + PATIENCE;
    while !condition() {
        assert!(now() < deadline, "not so: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[expect(clippy::disallowed_methods, reason = "the processes are real")]
fn now() -> Instant {
    Instant::now()
}

const PATIENCE: Duration = Duration::from_secs(30);
