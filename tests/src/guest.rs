//! User-mode Linux guests: machines with a kernel that has PPP, on the LAN of a test.
//!
//! `linux.uml` is an ordinary process that boots in about two seconds from the host's own root (see
//! `guests/init.sh`). What a guest does is its role: one of Debian's PPTP clients or its server.
//! Guest and test talk through files of the guest's job folder.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::namespace::{Lan, run};
use crate::scratch::{Scratch, unique_name};
use crate::wait::{now, wait_for, wait_until};

/// Which of Debian's programs carries a client's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPath {
    /// `pptp` of the package pptp-linux, which pppd starts on a pseudo-terminal.
    PptpLinux,
    /// The kernel's own PPTP socket; the control connection is made by our pppd plugin.
    Kernel,
}

/// What a guest is.
#[derive(Clone, Debug)]
pub enum Role {
    /// pppd as a client with MS-CHAPv2 and MPPE-128 required.
    Client {
        /// What carries its packets.
        data_path: DataPath,
        /// The server's address.
        server: Ipv4Addr,
        /// Login.
        user: String,
        /// Password.
        password: String,
        /// Bash that runs when the link is up, with `$peer` the server's address inside the tunnel.
        /// When it ends, the client hangs up and the guest halts.
        script: String,
        /// Files of the job folder, `/job` in the guest.
        files: Vec<(String, Vec<u8>)>,
    },
    /// pppd as a client that dials again and again, each time in another way.
    Cases {
        /// The server's address.
        server: Ipv4Addr,
        /// In their order.
        cases: Vec<Case>,
        /// Files of the job folder, `/job` in the guest.
        files: Vec<(String, Vec<u8>)>,
    },
    /// pptpd, which does what it is ordered to besides.
    Server {
        /// The logins that it accepts, each with its password.
        logins: Vec<(String, String)>,
        /// Its own addresses inside the tunnels, as pptpd.conf has them: `10.0.0.1-4`.
        ours: String,
        /// The clients' addresses inside the tunnels, likewise.
        peers: String,
        /// Options of pppd, until an order changes them.
        options: Vec<String>,
        /// Files of the job folder, `/job` in the guest.
        files: Vec<(String, Vec<u8>)>,
    },
}

/// One of the ways in which a guest dials.
#[derive(Clone, Debug)]
pub struct Case {
    /// A word, different from that of the others.
    pub name: String,
    /// What carries its packets.
    pub data_path: DataPath,
    /// Login.
    pub user: String,
    /// Password.
    pub password: String,
    /// Options of pppd.
    pub options: Vec<String>,
    /// Bash that runs before it dials.
    pub before: String,
    /// Bash that runs when the link is up, with `$peer` the server's address inside the tunnel.
    pub traffic: String,
}

/// A running guest; killed when dropped.
#[derive(Debug)]
pub struct Guest {
    machine: Machine,
    job: Scratch,
    started: Instant,
    orders: u32,
}

/// The process of a guest.
#[derive(Debug)]
struct Machine(Child);

/// A PPP link that came up in a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// From the start of the guest's process.
    pub after: Duration,
    /// The guest's address inside the tunnel.
    pub ours: Ipv4Addr,
    /// The peer's address inside the tunnel.
    pub peer: Ipv4Addr,
}

/// What a guest left in its job folder.
#[derive(Debug)]
pub struct Report {
    /// What its script printed.
    pub output: String,
    /// What pppd logged, with `debug`.
    pub pppd_log: String,
    /// pppd's exit status, of a client: 5 if the link was ended by a signal, 19 if authentication
    /// failed; others in its manual page.
    pub pppd_status: Option<i32>,
    job: Scratch,
}

impl Report {
    /// Reads a file that the script wrote to `/job`.
    ///
    /// # Errors
    /// It did not.
    pub fn file(&self, name: &str) -> Result<Vec<u8>> {
        fs::read(self.job.file(name)).with_context(|| format!("the guest left no {name}"))
    }
}

impl Guest {
    /// Boots a guest on a LAN with this address (and prefix length).
    ///
    /// # Errors
    /// A program that it needs is missing, or the LAN has no room for it.
    pub fn boot(lan: &Lan, address: &str, role: &Role) -> Result<Self> {
        let job = Scratch::new("guest")?;
        for script in ["init.sh", "common.sh", "client.sh", "cases.sh", "server.sh"] {
            fs::copy(sources().join(script), job.file(script))?;
        }
        for plugin in ["pptp-call", "mppe-stateful"] {
            build_plugin(plugin, &job)?;
        }
        role.write(&job)?;

        let count = lan.namespace().interfaces()?.len();
        let tap = format!("guest{count}");
        lan.add_tap(&tap)?;
        let console = File::create(job.file("console"))?;
        let folder = job.path().display();
        let mut command = lan.namespace().command("linux.uml");
        command
            .args(["mem=192M", "root=/dev/root", "rootfstype=hostfs"])
            .args(["rootflags=/", "ro", "quiet", "loglevel=4"])
            .args(["con=null", "con0=null,fd:1", "ssl=null"])
            .arg(format!("umid={}", unique_name("guest")))
            .arg(format!("uml_dir={folder}/uml/"))
            .arg(format!(
                "vec0:transport=tap,ifname={tap},mac=02:00:00:00:00:{count:02x},depth=128,gro=0"
            ))
            .arg(format!("init={folder}/init.sh"))
            .arg(format!("job={folder}"))
            .arg(format!("address={address}"))
            .arg(format!("role={}", role.script()))
            .stdout(console.try_clone()?)
            .stderr(console);
        let started = now();
        let machine = Machine(command.spawn().context("start linux.uml")?);
        Ok(Self {
            machine,
            job,
            started,
            orders: 0,
        })
    }

    /// Waits until a client's link is up.
    ///
    /// # Errors
    /// It is not within `patience`, or the guest halted without one.
    pub fn wait_for_link(&mut self, patience: Duration) -> Result<Link> {
        let link = self.wait_for_file("link", patience)?;
        let after = self.started.elapsed();
        let mut words = link.split_whitespace().skip(1);
        let mut address = || words.next()?.parse().ok();
        match (address(), address()) {
            (Some(ours), Some(peer)) => Ok(Link { after, ours, peer }),
            _ => bail!("the guest wrote {link:?}"),
        }
    }

    /// Waits for a file in the guest's job folder, and returns its content.
    ///
    /// # Errors
    /// It does not appear within `patience`, or the guest halted without it.
    pub fn wait_for(&mut self, name: &str, patience: Duration) -> Result<String> {
        self.wait_for_file(name, patience)
    }

    /// Waits for the first of two files in the guest's job folder; true if it is the first named.
    ///
    /// # Errors
    /// Neither appears within `patience`.
    pub fn wait_for_either(&mut self, one: &str, other: &str, patience: Duration) -> Result<bool> {
        let what = format!("the guest's {one} or {other}");
        let found = wait_for(&what, patience, || {
            let exists = |name| self.job.file(name).exists();
            (exists(one) || exists(other)).then(|| exists(one))
        });
        found.with_context(|| self.story())
    }

    /// A file of the guest's job folder, as far as it is written; empty if it is not there.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        read_lossy(&self.job.file(name))
    }

    /// Makes a file in the guest's job folder appear.
    ///
    /// # Errors
    /// The folder is gone.
    pub fn tell(&self, name: &str) -> Result<()> {
        Ok(fs::write(self.job.file(name), "")?)
    }

    /// Waits until a server listens on TCP 1723.
    ///
    /// # Errors
    /// It does not within `patience`, or the guest halted.
    pub fn wait_until_ready(&mut self, patience: Duration) -> Result<()> {
        self.wait_for_file("ready", patience).map(drop)
    }

    /// Has a server run bash, with what `guests/server.sh` defines, and returns what it printed.
    ///
    /// # Errors
    /// It has not ended within `patience`, or the guest halted.
    pub fn order(&mut self, script: &str, patience: Duration) -> Result<String> {
        self.orders += 1;
        let name = format!("order.{}", self.orders);
        // Renamed into place: the guest never sees half of it.
        let written = self.job.file("order.new");
        fs::write(&written, script)?;
        fs::rename(written, self.job.file(&name))?;
        self.wait_for_file(&format!("answer.{}", self.orders), patience)
            .with_context(|| format!("ordered: {script}"))
    }

    /// Tells a server to end.
    ///
    /// # Errors
    /// The job folder is gone.
    pub fn stop(&self) -> Result<()> {
        Ok(fs::write(self.job.file("stop"), "")?)
    }

    /// Waits until the guest has halted by itself, and returns what it left.
    ///
    /// # Errors
    /// It has not within `patience`.
    pub fn finish(mut self, patience: Duration) -> Result<Report> {
        let halted = wait_until("the guest halts", patience, || self.has_halted());
        halted.with_context(|| self.story())?;
        let job = self.job;
        let read = |name| read_lossy(&job.file(name));
        Ok(Report {
            output: read("output"),
            pppd_log: read("pppd.log"),
            pppd_status: read("pppd.status").trim().parse().ok(),
            job,
        })
    }

    fn wait_for_file(&mut self, name: &str, patience: Duration) -> Result<String> {
        let found = wait_for(&format!("the guest's {name}"), patience, || {
            // In this order: what it wrote before it halted counts.
            let halted = self.has_halted();
            let content = fs::read_to_string(self.job.file(name)).ok();
            content.map(Some).or_else(|| halted.then_some(None))
        });
        let content = found.with_context(|| self.story())?;
        content.with_context(|| format!("no {name}: the guest halted\n{}", self.story()))
    }

    fn has_halted(&mut self) -> bool {
        matches!(self.machine.0.try_wait(), Ok(Some(_)))
    }

    /// Everything the guest said, for the message of a failure.
    fn story(&self) -> String {
        let mut story = String::new();
        for name in ["console", "output", "pptpd.log", "pppd.log"] {
            let text = read_lossy(&self.job.file(name));
            if !text.is_empty() {
                // Writing to a String cannot fail.
                let _ = writeln!(story, "--- guest's {name}\n{text}");
            }
        }
        story
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its helper processes end with it, or with the namespace at the latest.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Role {
    fn script(&self) -> &'static str {
        match self {
            Self::Client { .. } => "client.sh",
            Self::Cases { .. } => "cases.sh",
            Self::Server { .. } => "server.sh",
        }
    }

    fn write(&self, job: &Scratch) -> Result<()> {
        let settings: Vec<(&str, String)> = match self {
            Self::Client {
                data_path,
                server,
                user,
                password,
                script,
                files,
            } => {
                fs::write(job.file("script.sh"), script)?;
                for (name, content) in files {
                    fs::write(job.file(name), content)?;
                }
                vec![
                    ("data_path", data_path.name().to_owned()),
                    ("server", server.to_string()),
                    ("user", user.clone()),
                    ("password", password.clone()),
                ]
            }
            Self::Cases {
                server,
                cases,
                files,
            } => {
                for (name, content) in files {
                    fs::write(job.file(name), content)?;
                }
                for case in cases {
                    fs::write(job.file(&format!("{}.case", case.name)), case.script()?)?;
                }
                let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
                vec![("server", server.to_string()), ("cases", names.join(" "))]
            }
            Self::Server {
                logins,
                ours,
                peers,
                options,
                files,
            } => {
                for (name, content) in files {
                    fs::write(job.file(name), content)?;
                }
                let words = logins.iter().flat_map(|(user, password)| [user, password]);
                let words: Vec<_> = words.map(String::as_str).collect();
                vec![
                    ("logins", words.join(" ")),
                    ("ours", ours.clone()),
                    ("peers", peers.clone()),
                    ("options", options.join(" ")),
                ]
            }
        };
        let mut lines = String::new();
        for (name, value) in settings {
            ensure!(!value.contains('\''), "{name} must not hold a quote");
            writeln!(lines, "{name}='{value}'")?;
        }
        Ok(fs::write(job.file("settings"), lines)?)
    }
}

impl Case {
    /// The settings of this case, in bash.
    fn script(&self) -> Result<String> {
        let mut script = String::new();
        let mut set = |name: &str, value: &str| {
            ensure!(!value.contains('\''), "{name} must not hold a quote");
            writeln!(script, "{name}='{value}'")?;
            Ok(())
        };
        set("data_path", self.data_path.name())?;
        set("user", &self.user)?;
        set("password", &self.password)?;
        set("before", &self.before)?;
        set("traffic", &self.traffic)?;
        writeln!(script, "options=({})", self.options.join(" "))?;
        Ok(script)
    }
}

impl DataPath {
    /// What the guest's scripts call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PptpLinux => "pptp-linux",
            Self::Kernel => "kernel",
        }
    }
}

/// Compiles a pppd plugin, unless one newer than its source is there, and copies it.
fn build_plugin(name: &str, job: &Scratch) -> Result<()> {
    let folder = crate::process::programs()?.join("../guests");
    fs::create_dir_all(&folder)?;
    let file = format!("{name}.so");
    let (source, plugin) = (sources().join(format!("{name}.c")), folder.join(&file));
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    if modified(&plugin) < modified(&source) {
        let build = sources().join("build.sh");
        let words = [&build, &source, &plugin].map(|path| path.to_string_lossy());
        run("bash", &words.each_ref().map(|word| &**word))?;
    }
    fs::copy(&plugin, job.file(&file)).context("copy the pppd plugin")?;
    Ok(())
}

fn read_lossy(path: &Path) -> String {
    fs::read(path).map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guests")
}
