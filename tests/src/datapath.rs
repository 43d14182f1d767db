//! The datapath without the control process: two of the program, each the other's peer, and one
//! call between them that nobody negotiated.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Child;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use greyhound_datapath::ids::{CallId, PeerCallId, SessionId};
use greyhound_datapath::ipc::seqpacket::Channel;
use greyhound_datapath::ipc::{
    Event, Interface, IoMode, Limit, Limits, LinkOptions, Membership, Multilink, Request, Tunnel,
    VERSION, Warning, WorkerTotals,
};
use greyhound_datapath::mppe::{Parameters, StartKey, Strength};
use greyhound_datapath::stats::{SessionCounters, WorkerCounters};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::machine::{QUEUES, UPLINK};
use crate::namespace::{Namespace, join};
use crate::ping::Ping;
use crate::process::program;
use crate::relay::{Faults, Relay, Tally};
use crate::scratch::Scratch;
use crate::wait::{wait_for, wait_until};

/// A running datapath; killed when dropped.
#[derive(Debug)]
pub struct Datapath {
    program: Child,
    folder: Scratch,
    channel: Channel<Request, Event>,
    io: IoMode,
    /// Limits that it said were reached, and nobody asked for yet.
    reached: VecDeque<Limit>,
}

impl Datapath {
    /// Starts it in a namespace, with GRE through this interface, and says Hello.
    ///
    /// # Errors
    /// It does not start; the message has its log.
    pub fn start(namespace: &Namespace, uplink: &str, arguments: &[&str]) -> Result<Self> {
        let folder = Scratch::new("datapath")?;
        let log = File::create(folder.file(LOG))?;
        let mut program = namespace
            .command(program("greyhound-datapath")?)
            .args(["--interface", uplink, "--run-dir"])
            .arg(folder.path())
            .args(arguments)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start greyhound-datapath")?;
        let path = folder.file("datapath.sock");
        let connected = wait_for("the datapath listens", PATIENCE, || {
            Channel::connect(&path).ok()
        });
        let channel = match connected {
            Ok(channel) => channel,
            Err(error) => {
                program.kill()?;
                program.wait()?;
                let log = fs::read_to_string(folder.file(LOG)).unwrap_or_default();
                return Err(error.context(log));
            }
        };
        let io = IoMode::Raw;
        let mut datapath = Self {
            program,
            folder,
            channel,
            io,
            reached: VecDeque::new(),
        };
        datapath.say(&Request::Hello { version: VERSION })?;
        datapath.io = datapath.hear("Hello", |event| {
            if let Event::Hello { uplinks, .. } = event {
                uplinks.first().map(|uplink| uplink.io)
            } else {
                None
            }
        })?;
        Ok(datapath)
    }

    /// Sets a call up with MPPE and an interface that carries IPv6 too; returns the name of that.
    ///
    /// # Errors
    /// It refuses.
    pub fn establish(&mut self, end: End, terms: Terms) -> Result<String> {
        let session = SESSION;
        let peer = end.other();
        let tunnel = Tunnel {
            ours: end.outer(),
            peer: peer.outer(),
            call_id: CallId(end.call_id()),
            peer_call_id: PeerCallId(peer.call_id()),
        };
        self.say(&Request::Install { session, tunnel })?;
        let multilink = terms.mrru.map(|mrru| Multilink { mrru, short: false });
        let link = LinkOptions {
            opened: true,
            rx_multilink: multilink,
            tx_multilink: multilink,
            peer_mru: MTU,
            ..LinkOptions::default()
        };
        self.say(&Request::SetLink { session, link })?;
        // What one end sends with is what the other receives with.
        let keys = |sender: End| {
            Some(Parameters {
                start_key: sender.start_key(),
                strength: Strength::Bits128,
                stateless: terms.stateless,
            })
        };
        let (rx, tx) = (keys(peer), keys(end));
        self.say(&Request::SetMppe { session, rx, tx })?;
        let mtu = terms.mrru.unwrap_or(MTU);
        let attached = self.attach(end, mtu, Membership::default())?;
        Ok(attached.interface)
    }

    /// Gives the call an interface that belongs to this.
    ///
    /// # Errors
    /// It refuses.
    pub fn attach(&mut self, end: End, mtu: u16, membership: Membership) -> Result<Attached> {
        let interface = Interface {
            name: "tunnel".to_owned(),
            address: end.inner(),
            peer: end.other().inner(),
            mtu,
            check_source: true,
            ipv6: Some(end.link_local()),
            membership,
            stands: false,
        };
        let session = SESSION;
        self.say(&Request::Attach { session, interface })?;
        // What else there is to say about it comes before the answer to this.
        self.say(&Request::ReadTotals)?;
        let mut attached = None;
        let mut warnings = Vec::new();
        self.hear("Attached", |event| match event {
            Event::Attached { kernel_name, .. } => {
                attached = Some(kernel_name);
                None
            }
            Event::Warning { warning, .. } => {
                warnings.push(warning);
                None
            }
            Event::Failed { reason, .. } => Some(Err(anyhow!(reason))),
            Event::Totals { .. } => Some(Ok(())),
            Event::Hello { .. }
            | Event::Held { .. }
            | Event::Installed { .. }
            | Event::Stands { .. }
            | Event::CannotStand { .. }
            | Event::Demand { .. }
            | Event::Pinned { .. }
            | Event::Frame { .. }
            | Event::MppeOutOfSync { .. }
            | Event::MppeKeysDiffer { .. }
            | Event::LimitReached { .. }
            | Event::Counters { .. }
            | Event::Removed { .. } => None,
        })??;
        Ok(Attached {
            interface: attached.context("no answer to Attach")?,
            warnings,
        })
    }

    /// Takes the call's interface away.
    ///
    /// # Errors
    /// It is gone.
    pub fn detach(&mut self) -> Result<()> {
        self.say(&Request::Detach { session: SESSION })
    }

    /// Ends it as an operator does.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.program.id())?;
        let pid = Pid::from_raw(pid).context("no such process")?;
        kill_process(pid, Signal::TERM)?;
        self.program.wait()?;
        Ok(())
    }

    /// Limits what the call may do.
    ///
    /// # Errors
    /// It has ended.
    pub fn limit(&mut self, limits: Limits) -> Result<()> {
        let session = SESSION;
        self.say(&Request::SetLimits { session, limits })
    }

    /// Waits until the call reaches a limit; says which.
    ///
    /// # Errors
    /// It does not.
    pub fn limit_reached(&mut self) -> Result<Limit> {
        if let Some(limit) = self.reached.pop_front() {
            return Ok(limit);
        }
        self.hear("LimitReached", |event| {
            if let Event::LimitReached { limit, .. } = event {
                Some(limit)
            } else {
                None
            }
        })?;
        self.reached.pop_front().context("it was heard")
    }

    /// A limit that the call had reached when something else was heard last.
    pub fn limit_heard(&mut self) -> Option<Limit> {
        self.reached.pop_front()
    }

    /// Asks the peer's LCP whether it is there, and waits for the answer, which the peer's datapath
    /// gives.
    ///
    /// # Errors
    /// There is none.
    pub fn echo(&mut self) -> Result<()> {
        self.say(&Request::Send {
            session: SESSION,
            protocol: LCP,
            payload: ECHO_REQUEST.to_vec(),
        })?;
        self.hear("Echo-Reply", |event| {
            if let Event::Frame { protocol: LCP, .. } = event {
                Some(())
            } else {
                None
            }
        })
    }

    /// What the call has moved.
    ///
    /// # Errors
    /// It does not answer.
    pub fn counters(&mut self) -> Result<SessionCounters> {
        self.say(&Request::Read { session: SESSION })?;
        self.hear("Counters", |event| {
            if let Event::Counters { counters, .. } = event {
                Some(counters)
            } else {
                None
            }
        })
    }

    /// What its workers have counted together.
    ///
    /// # Errors
    /// It does not answer.
    pub fn totals(&mut self) -> Result<Totals> {
        self.say(&Request::ReadTotals)?;
        let workers: Vec<WorkerTotals> = self.hear("Totals", |event| {
            if let Event::Totals { workers, .. } = event {
                Some(workers)
            } else {
                None
            }
        })?;
        let mut totals = Totals::default();
        for worker in workers {
            let (sum, one) = (&mut totals.counters, worker.counters);
            sum.rx_xsk += one.rx_xsk;
            sum.rx_raw += one.rx_raw;
            sum.rx_handoff += one.rx_handoff;
            sum.tun_written += one.tun_written;
            sum.tun_read += one.tun_read;
            sum.tx_xsk += one.tx_xsk;
            sum.tx_raw += one.tx_raw;
            sum.lone_acks += one.lone_acks;
            for (reason, count) in worker.drops {
                *totals.drops.entry(reason).or_default() += count;
            }
        }
        Ok(totals)
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.file(LOG)).unwrap_or_default()
    }

    fn say(&mut self, request: &Request) -> Result<()> {
        self.channel.send(request).context("send to the datapath")
    }

    /// Waits for an event that `wanted` makes something of; others are passed over.
    fn hear<T>(&mut self, what: &str, mut wanted: impl FnMut(Event) -> Option<T>) -> Result<T> {
        let heard = wait_for(what, PATIENCE, || {
            loop {
                match self.channel.receive() {
                    Ok(Some(event)) => {
                        if let Event::LimitReached { limit, .. } = event {
                            self.reached.push_back(limit);
                        }
                        if let Some(heard) = wanted(event) {
                            return Some(Ok(heard));
                        }
                    }
                    Ok(None) => return None,
                    Err(error) => return Some(Err(error)),
                }
            }
        });
        heard
            .with_context(|| self.log())?
            .with_context(|| self.log())
    }
}

impl Drop for Datapath {
    fn drop(&mut self) {
        if thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the log is lost otherwise")]
            {
                eprintln!("--- log of a datapath\n{}", self.log());
            }
        }
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// An interface that is there.
#[derive(Clone, Debug)]
pub struct Attached {
    /// Its name.
    pub interface: String,
    /// What it has to do without.
    pub warnings: Vec<Warning>,
}

/// What the workers of a datapath have counted together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// What they moved.
    pub counters: WorkerCounters,
    /// What they dropped, by reason.
    pub drops: BTreeMap<String, u64>,
}

/// One end of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one.
    Near,
    /// The other.
    Far,
}

impl End {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }

    /// Its address outside the tunnel.
    #[must_use]
    pub fn outer(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.number())
    }

    /// Its address inside the tunnel.
    #[must_use]
    pub fn inner(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, self.number())
    }

    /// Its IPv6 address inside the tunnel.
    #[must_use]
    pub fn inner_v6(self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.number().into())
    }

    fn link_local(self) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, self.number().into())
    }

    fn call_id(self) -> u16 {
        0x100 + u16::from(self.number())
    }

    /// What it sends is encrypted with keys that begin with this one.
    fn start_key(self) -> StartKey {
        StartKey([self.number(); 16])
    }

    fn number(self) -> u8 {
        match self {
            Self::Near => 1,
            Self::Far => 2,
        }
    }
}

/// What lies between the two ends.
#[derive(Clone, Copy, Debug)]
pub enum Between {
    /// A cable.
    Cable,
    /// A relay with these faults, drawn from this seed.
    Relay(Faults, u64),
}

/// What the two ends agreed on, as if they had negotiated it.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// MPPE in its stateless mode.
    pub stateless: bool,
    /// Multilink, for packets of up to so many bytes.
    pub mrru: Option<u16>,
}

impl Terms {
    /// Stateless MPPE, and packets that fit the wire.
    pub const USUAL: Self = Self {
        stateless: true,
        mrru: None,
    };
}

/// Two datapaths and the call between them.
#[derive(Debug)]
pub struct Pair {
    // Dropped in this order: the programs, what lies between, the namespaces.
    near: Datapath,
    far: Datapath,
    relay: Option<Relay>,
    near_namespace: Namespace,
    far_namespace: Namespace,
}

impl Pair {
    /// Sets both up, each with arguments of its own.
    ///
    /// # Errors
    /// One does not start, or refuses the call.
    pub fn set_up(between: Between, near: &[&str], far: &[&str]) -> Result<Self> {
        Self::with_terms(between, near, far, Terms::USUAL)
    }

    /// The same with other terms.
    ///
    /// # Errors
    /// One does not start, or refuses the call.
    pub fn with_terms(between: Between, near: &[&str], far: &[&str], terms: Terms) -> Result<Self> {
        let near_namespace = Namespace::new("near")?;
        let far_namespace = Namespace::new("far")?;
        let relay = match between {
            Between::Cable => {
                join(&near_namespace, &far_namespace, UPLINK, QUEUES)?;
                None
            }
            Between::Relay(faults, seed) => {
                let (near, far) = (&near_namespace, &far_namespace);
                Some(Relay::lay(near, far, UPLINK, QUEUES, faults, seed)?)
            }
        };
        let start = |end: End, namespace: &Namespace, arguments: &[&str]| {
            let outer = end.outer();
            namespace.ip(&format!("addr add {outer}/24 dev {UPLINK}"))?;
            Datapath::start(namespace, UPLINK, arguments)
        };
        let near = start(End::Near, &near_namespace, near)?;
        let far = start(End::Far, &far_namespace, far)?;
        let mut pair = Self {
            near,
            far,
            relay,
            near_namespace,
            far_namespace,
        };
        for end in [End::Near, End::Far] {
            let (datapath, namespace) = match end {
                End::Near => (&mut pair.near, &pair.near_namespace),
                End::Far => (&mut pair.far, &pair.far_namespace),
            };
            let interface = datapath.establish(end, terms)?;
            let switch = format!("net/ipv6/conf/{interface}/disable_ipv6");
            namespace.set(&switch, "0")?;
            let (own, peer) = (end.inner_v6(), end.other().inner_v6());
            let words = format!("-6 addr add {own} peer {peer} dev {interface} nodad");
            namespace.ip(&words)?;
        }
        pair.warm_up()?;
        Ok(pair)
    }

    /// The namespace of an end.
    #[must_use]
    pub fn namespace(&self, end: End) -> &Namespace {
        match end {
            End::Near => &self.near_namespace,
            End::Far => &self.far_namespace,
        }
    }

    /// The datapath of an end.
    #[must_use]
    pub fn datapath(&mut self, end: End) -> &mut Datapath {
        match end {
            End::Near => &mut self.near,
            End::Far => &mut self.far,
        }
    }

    /// How the one and the other move their frames.
    #[must_use]
    pub fn io(&self) -> [IoMode; 2] {
        [self.near.io, self.far.io]
    }

    /// Ends it, and tells what it was like.
    ///
    /// # Errors
    /// A datapath does not answer, or the relay failed.
    pub fn end(mut self) -> Result<Ended> {
        // The far end first: no frame that it counts is one that the near end has not counted.
        let far = self.far.totals()?;
        let near = self.near.totals()?;
        let relayed = self.relay.map(Relay::cut).transpose()?.unwrap_or_default();
        let namespaces = [&self.near_namespace, &self.far_namespace];
        let wrong_checksums = namespaces
            .into_iter()
            .map(wrong_checksums)
            .sum::<Result<u64>>()?;
        Ok(Ended {
            near,
            far,
            relayed,
            wrong_checksums,
        })
    }

    /// Waits until packets pass: until both ends know each other's Ethernet address, they send
    /// through the kernel, and that drops what comes before it is resolved.
    fn warm_up(&self) -> Result<()> {
        let far = End::Far.inner().to_string();
        wait_until("packets pass", PATIENCE, || {
            let words = ["-q", "-c", "2", "-i", "0.1", "-W", "1", &far];
            let ping = Ping::run(&self.near_namespace, &words);
            ping.is_ok_and(|ping| ping.received == 2)
        })
    }
}

/// What the call was like.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What the one datapath counted.
    pub near: Totals,
    /// What the other counted.
    pub far: Totals,
    /// What the relay did to their frames; nothing if there was none.
    pub relayed: Tally,
    /// How many packets the kernels at both ends found damaged.
    pub wrong_checksums: u64,
}

/// How many packets a kernel found damaged, of those whose checksums it looked at.
fn wrong_checksums(namespace: &Namespace) -> Result<u64> {
    let counters: Value =
        serde_json::from_str(&namespace.run("nstat", &["-a", "-s", "-z", "-j"])?)?;
    let counters = counters["kernel"].as_object();
    let counters = counters.context("nstat printed no counters")?;
    let of_checksums = counters
        .iter()
        .filter(|(name, _)| name.ends_with("InCsumErrors"));
    Ok(of_checksums.filter_map(|(_, count)| count.as_u64()).sum())
}

/// The one call that there is.
const SESSION: SessionId = SessionId(1);

/// As large as it can be with an outer packet of 1500 bytes.
pub const MTU: u16 = 1456;

/// The protocol number of LCP (RFC 1661 §6).
const LCP: u16 = 0xc021;

/// Code, identifier, length, and no magic number (RFC 1661 §5.8).
const ECHO_REQUEST: [u8; 8] = [9, 1, 0, 8, 0, 0, 0, 0];

/// How long it may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);

const LOG: &str = "log";
