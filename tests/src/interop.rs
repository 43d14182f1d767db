//! The table of ways in which peers that nobody here wrote dial in, and what is to come of each.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::guest::{Case, DataPath, Guest, Role};
use crate::machine::Machine;
use crate::namespace::Lan;
use crate::ping::Ping;
use crate::process::send_signal;
use crate::scratch::Scratch;
use crate::table::{Expected, Seen, Table};
use crate::tcp::{self, Amount};
use crate::tunnel::SERVER;
use crate::wait::wait_for;

/// The password of every user of [`CONFIG`].
pub const PASSWORD: &str = "StrongPass-1";

/// A server that lets each user encrypt as the user's profile says, and takes every method.
pub const CONFIG: &str = "\
/ip pool
add name=clients ranges=10.0.1.2-10.0.1.250
/ppp profile
add name=no local-address=10.0.0.1 remote-address=clients use-encryption=no
add name=yes local-address=10.0.0.1 remote-address=clients use-encryption=yes
add name=required local-address=10.0.0.1 remote-address=clients use-encryption=required
/interface pptp-server server
set authentication=pap,chap,mschap1,mschap2 enabled=yes keepalive-timeout=2
/ppp secret
add name=no-linux password=StrongPass-1 profile=no
add name=no-kernel password=StrongPass-1 profile=no
add name=yes-linux password=StrongPass-1 profile=yes
add name=yes-kernel password=StrongPass-1 profile=yes
add name=required-linux password=StrongPass-1 profile=required
add name=required-kernel password=StrongPass-1 profile=required
";

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// How the guest dials.
    pub case: Case,
    /// For people: how it proves who it is, what it encrypts with, what is special.
    pub words: [&'static str; 3],
    /// What is to come of it.
    pub expected: Expected,
}

/// Runs rows in one guest, one after the other, with everything on its wire captured.
///
/// # Errors
/// The laboratory fails; what fails of a row is in the table.
pub fn run(lan: &Lan, server: &Machine, address: &str, rows: &[Row]) -> Result<Table> {
    let role = Role::Cases {
        server: SERVER,
        cases: rows.iter().map(|row| row.case.clone()).collect(),
        files: vec![("pattern".to_owned(), tcp::pattern(PATTERN))],
    };
    let mut guest = Guest::boot(lan, address, &role)?;
    let mut table = Table::of("client");
    for row in rows {
        let mut seen = None;
        let outcome = watch(&mut guest, server, row, &mut seen);
        let peer = row.case.data_path.name();
        table.add(peer, row.words, row.expected, &seen, outcome);
    }
    guest.finish(Duration::from_secs(20))?;
    Ok(table)
}

fn watch(guest: &mut Guest, server: &Machine, row: &Row, seen: &mut Seen) -> Result<()> {
    let name = &row.case.name;
    let file = |what: &str| format!("{name}.{what}");
    let told_before = reasons(server, row);
    let up = guest.wait_for_either(&file("tried"), &file("status"), CASE)?;
    if up {
        *seen = session_of(server, &row.case.user)?;
        guest.tell(&file("seen"))?;
    }
    guest.wait_for(&file("status"), CASE)?;
    let output = guest.read(&file("output"));
    let story = || format!("{output}\n{}", guest.read(&file("log")));
    let (encoding, mtu) = match row.expected {
        Expected::Up { encoding, mtu } | Expected::UpOnBadWire { encoding, mtu, .. } => {
            (encoding, mtu)
        }
        Expected::Down(why) => {
            ensure!(!up, "it came up\n{}", story());
            ensure!(
                reasons(server, row) > told_before,
                "not in the log: {why}\n{}\n{}",
                story(),
                server.greyhound.log()
            );
            return Ok(());
        }
    };
    ensure!(up, "it did not come up\n{}", story());
    let expected = Some((mtu, encoding.to_owned()));
    ensure!(
        *seen == expected,
        "{seen:?}, expected {expected:?}\n{}",
        story()
    );
    transfers_arrived(&output).with_context(story)?;
    match row.expected {
        Expected::UpOnBadWire { faults, .. } => {
            let impaired = impaired_packets(&output, faults);
            let both_ways = impaired.len() == 2 && impaired.iter().all(|&count| count > 100);
            ensure!(both_ways, "{faults}: {impaired:?}\n{}", story());
        }
        Expected::Up { .. } | Expected::Down(_) => {
            pings_arrived(&output).with_context(story)?;
        }
    }
    Ok(())
}

/// How many lines of the log give a row's reason for its user.
fn reasons(server: &Machine, row: &Row) -> usize {
    let Expected::Down(why) = row.expected else {
        return 0;
    };
    let log = server.greyhound.log();
    let about_it = |line: &&str| line.contains(why) && line.contains(&row.case.user);
    log.lines().filter(about_it).count()
}

/// How many packets went through each netem with these options, by what `tc -s qdisc` printed.
fn impaired_packets(output: &str, faults: &str) -> Vec<u64> {
    let mut lines = output.lines();
    let mut counts = Vec::new();
    while let Some(line) = lines.next() {
        if line.contains("qdisc netem") && line.contains(faults) {
            let sent = lines.next().unwrap_or_default();
            // Sent 86132 bytes 344 pkt (dropped 5, overlimits 0 requeues 0)
            counts.extend(
                sent.split_whitespace()
                    .nth(3)
                    .and_then(|n| n.parse::<u64>().ok()),
            );
        }
    }
    counts
}

fn session_of(server: &Machine, user: &str) -> Result<Seen> {
    let console = server.greyhound.console()?;
    let rows = console.json(&["interface", "pptp-server", "print"])?;
    let rows = rows.as_array().context("no rows")?;
    let row = rows.iter().find(|row| row["user"] == user);
    Ok(row.map(|row| {
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let encoding = row["encoding"].as_str().unwrap_or_default().to_owned();
        (number(&row["mtu"]).unwrap_or_default(), encoding)
    }))
}

/// What stands ready on the server for the guests' traffic.
#[derive(Debug)]
pub struct Services {
    stop: AtomicBool,
    /// Uploads with a wrong byte.
    wrong: AtomicUsize,
    upload: TcpListener,
    download: TcpListener,
}

impl Services {
    /// Listens.
    ///
    /// # Errors
    /// A port is taken.
    pub fn new(server: &Machine) -> Result<Self> {
        let listen = |port| {
            let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
            let listener = tcp::listen(&server.namespace, any)?;
            listener.set_nonblocking(true)?;
            Ok::<_, anyhow::Error>(listener)
        };
        Ok(Self {
            stop: AtomicBool::new(false),
            wrong: AtomicUsize::new(0),
            upload: listen(UPLOAD)?,
            download: listen(DOWNLOAD)?,
        })
    }

    /// Serves until `work` is done.
    ///
    /// # Errors
    /// `work` fails, or an upload had a wrong byte.
    pub fn during<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.stop.store(false, Ordering::Relaxed);
        let done = thread::scope(|scope| {
            scope.spawn(|| self.serve(&self.upload, take_upload));
            scope.spawn(|| {
                let amount = Amount::Bytes(PATTERN as u64);
                self.serve(&self.download, |stream| tcp::send(stream, amount).map(drop));
            });
            let done = work();
            self.stop.store(true, Ordering::Relaxed);
            done
        })?;
        let wrong = self.wrong.load(Ordering::Relaxed);
        ensure!(wrong == 0, "{wrong} transfers failed at the server");
        Ok(done)
    }

    fn serve(&self, listener: &TcpListener, transfer: impl Fn(&TcpStream) -> Result<()>) {
        while !self.stop.load(Ordering::Relaxed) {
            let Ok((stream, _)) = listener.accept() else {
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            let outcome = stream
                .set_nonblocking(false)
                .map_err(anyhow::Error::from)
                .and_then(|()| transfer(&stream));
            if outcome.is_err() {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Takes what a guest sends, and says so when all of it is right.
fn take_upload(mut stream: &TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(CASE))?;
    let mut bytes = vec![0; PATTERN];
    stream.read_exact(&mut bytes)?;
    ensure!(bytes == tcp::pattern(PATTERN), "a wrong byte");
    stream.write_all(b"uploaded\n")?;
    Ok(())
}

/// Everything of PPTP that goes over the wire of a machine's peers, in a file.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Child,
    folder: Scratch,
}

impl Capture {
    /// Captures what goes to and from the machine that was plugged in first.
    ///
    /// # Errors
    /// There is none, or tcpdump does not start.
    pub fn start(lan: &Lan) -> Result<Self> {
        let folder = Scratch::new("capture")?;
        let interfaces = lan.namespace().interfaces()?;
        let port = interfaces.keys().find(|name| name.starts_with("port"));
        let interface = port.context("nothing is plugged in")?;
        let tcpdump = lan
            .namespace()
            .command("tcpdump")
            .args([
                "-i",
                interface.as_str(),
                "-U",
                "-s",
                "0",
                "-Z",
                "root",
                "-w",
            ])
            .arg(folder.file(PCAP))
            .arg("tcp port 1723 or proto 47")
            .stderr(fs::File::create(folder.file(TCPDUMP_LOG))?)
            .spawn()
            .context("start tcpdump")?;
        let capture = Self { tcpdump, folder };
        let log = capture.folder.file(TCPDUMP_LOG);
        wait_for("tcpdump listens", Duration::from_secs(10), || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.contains("listening on").then_some(())
        })?;
        Ok(capture)
    }

    /// Ends it, and lets tshark read what was captured: nothing may be malformed, and no expert
    /// message may be an error. Returns how many packets there were.
    ///
    /// # Errors
    /// Something is wrong; the message has tshark's words.
    pub fn check(mut self) -> Result<usize> {
        send_signal(self.tcpdump.id(), Signal::INT)?;
        self.tcpdump.wait()?;
        let file = self.folder.file(PCAP);
        let count = tshark(&file, "tcp.port == 1723 || gre")?.lines().count();
        let wrong = tshark(&file, WRONG)?;
        ensure!(wrong.is_empty(), "tshark says of {count} packets:\n{wrong}");
        Ok(count)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.tcpdump.kill();
        let _ = self.tcpdump.wait();
    }
}

fn tshark(file: &PathBuf, filter: &str) -> Result<String> {
    let output = std::process::Command::new("tshark")
        .arg("-r")
        .arg(file)
        .args(["-Y", filter])
        .args(["--disable-protocol", ENCRYPTED])
        .output()
        .context("run tshark")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tshark: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What must not be in a capture.
const WRONG: &str = "_ws.malformed || _ws.expert.severity == error";
/// What tshark is not to look into: the payload of an encrypted frame, which it would take for
/// compressed data and then for a protocol.
const ENCRYPTED: &str = "comp_data";

const PCAP: &str = "wire.pcap";
const TCPDUMP_LOG: &str = "tcpdump.log";

/// Bytes of TCP each way.
pub const PATTERN: usize = 200_000;
/// The server's port that takes [`PATTERN`] bytes.
pub const UPLOAD: u16 = 7001;
/// The server's port that sends them.
pub const DOWNLOAD: u16 = 7002;

/// How long a case may take.
const CASE: Duration = Duration::from_secs(45);

/// The traffic of a usual case: pings with content, and TCP both ways.
#[must_use]
pub fn traffic(pings: &str) -> String {
    format!(
        "{pings}\n\
         exec {{upload}}<>/dev/tcp/$peer/{UPLOAD} && cat /job/pattern >&$upload\n\
         read -rt 30 -u $upload answer && echo $answer\n\
         cat </dev/tcp/$peer/{DOWNLOAD} | cmp - /job/pattern && echo same\n"
    )
}

/// Checks what [`traffic`] printed of TCP: every byte arrived both ways.
///
/// # Errors
/// It did not.
pub fn transfers_arrived(output: &str) -> Result<()> {
    let arrived = output.contains("uploaded") && output.contains("same");
    ensure!(arrived, "TCP: {output}");
    Ok(())
}

/// Checks what [`traffic`] printed of its pings: each came back as it was sent.
///
/// # Errors
/// One did not.
pub fn pings_arrived(output: &str) -> Result<()> {
    let ping = Ping::parse(output).with_context(|| format!("no pings: {output}"))?;
    ensure!(ping.received == ping.sent, "{ping:?}: {output}");
    ensure!(!output.contains("wrong data byte"), "pings: {output}");
    Ok(())
}

/// A row that differs from others in what is given here.
#[must_use]
pub fn row(
    data_path: DataPath,
    words: [&'static str; 3],
    policy: &str,
    options: &[&str],
    expected: Expected,
) -> Row {
    let kind = match data_path {
        DataPath::PptpLinux => "linux",
        DataPath::Kernel => "kernel",
    };
    Row {
        case: Case {
            // Its place in the table makes it unique; whoever gathers rows sets it.
            name: String::new(),
            data_path,
            user: format!("{policy}-{kind}"),
            password: PASSWORD.to_owned(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            before: String::new(),
            traffic: traffic("ping -q -c 20 -i 0.05 -s 1000 -p 5aa5 $peer"),
        },
        words,
        expected,
    }
}

/// Gives each row the name of its place.
pub fn number(rows: &mut [Row]) {
    for (place, row) in rows.iter_mut().enumerate() {
        row.case.name = format!("case{place}");
    }
}
