//! A PPTP server that lies: real TCP 1723 and real GRE, the product's own machines behind them, and
//! one thing that it does otherwise than it should.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use greyhound_control::pptp;
use greyhound_control::pptp::wire::{GeneralError, OutgoingCallResult, StartResult};
use greyhound_datapath::ids::CallId;
use greyhound_datapath::wire::{gre, ipv4};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use self::call::Call;
use crate::namespace::Namespace;
use crate::wait::now;

mod call;

/// The user that it lets in.
pub const USER: &str = "MT-User";

/// The user's password.
pub const PASSWORD: &str = "StrongPass-1";

/// What a server does otherwise than it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    None,
    /// It takes the TCP connection and says nothing.
    Silence,
    /// It answers the start request with these bytes.
    Garbage(Vec<u8>),
    /// It refuses the control connection.
    RefusesStart(StartResult, GeneralError),
    /// It refuses the call.
    RefusesCall(OutgoingCallResult, GeneralError),
    /// It answers a call that nobody made, and hangs up when nothing comes of it.
    WrongCallId,
    /// It closes the TCP connection without a word after this step.
    HangsUp(Step),
    /// It neither hears nor says anything of this PPP protocol.
    Mute(u16),
    /// It answers each Configure-Request of this PPP protocol with another Configure-Nak.
    Naks(u16),
    /// It sends Configure-Requests of this PPP protocol, and never answers any.
    Asks(u16),
    /// Its proof that it knows the password, which MS-CHAPv2 asks for, is wrong.
    WrongProof,
    /// It encrypts with other keys.
    WrongKeys,
    /// It encrypts with no more than 40 bit, and hangs up soon after that was agreed on.
    WeakKeys,
    /// It refuses CCP.
    NoEncryption,
    /// It will not encrypt what it sends, but takes what is encrypted.
    HalfEncryption,
    /// It closes CCP when packets flow.
    EndsEncryption,
    /// The addresses inside the tunnel.
    Addresses {
        /// Its own.
        server: Ipv4Addr,
        /// The one it gives.
        client: Ipv4Addr,
    },
    /// It sends far too much of something once LCP is open.
    Floods(Flood),
}

/// How far a server goes before it hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// TCP is connected.
    Connected,
    /// It has sent its Start-Control-Connection-Reply.
    Started,
    /// It has sent its Outgoing-Call-Reply.
    Called,
    /// LCP is open.
    LcpOpen,
    /// It has let the user in.
    Authenticated,
    /// Packets may flow.
    Up,
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// LCP Echo-Requests.
    Echoes,
    /// LCP Configure-Requests, each of which takes an open link down.
    ConfigureRequests,
    /// LCP Protocol-Rejects, of protocols that nobody spoke.
    ProtocolRejects,
    /// GRE frames of the call with numbers from anywhere.
    Numbers,
    /// Set-Link-Infos on the control connection.
    LinkInfos,
}

/// What came of it, as the server sees it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When TCP connections came.
    pub dials: Vec<Instant>,
    /// How often packets might have flowed.
    pub ups: usize,
    /// Network packets that came in clear.
    pub clear: usize,
    /// What it flooded with.
    pub flooded: usize,
    /// Why it stopped, which it should not.
    failure: Option<String>,
}

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct Liar {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    /// Starts it in a namespace that has this address.
    ///
    /// # Errors
    /// It cannot listen; raw sockets need root.
    pub fn start(namespace: &Namespace, address: Ipv4Addr, lie: Lie) -> Result<Self> {
        let (listener, gre) = namespace.inside(|| open(address))??;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut server = Server {
            lie,
            address,
            listener,
            gre,
            calls: BTreeMap::new(),
            next_call: 1,
            seen: Arc::clone(&seen),
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Err(error) = server.turn() {
                    lock(&server.seen).failure = Some(format!("{error:#}"));
                    return;
                }
            }
        });
        Ok(Self {
            seen,
            stop,
            thread: Some(thread),
        })
    }

    /// What it has seen so far.
    ///
    /// # Errors
    /// It had to stop.
    pub fn seen(&self) -> Result<Seen> {
        let seen = lock(&self.seen).clone();
        match seen.failure {
            Some(failure) => bail!("{failure}"),
            None => Ok(seen),
        }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it has to say is in `seen`.
            let _ = thread.join();
        }
    }
}

/// What its thread has.
struct Server {
    lie: Lie,
    address: Ipv4Addr,
    listener: TcpListener,
    gre: OwnedFd,
    /// By our id of the call, of which there is one on each connection.
    calls: BTreeMap<u16, Call>,
    next_call: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    /// Waits a moment, and does what there is to do.
    fn turn(&mut self) -> Result<()> {
        self.wait()?;
        self.accept()?;
        self.receive_gre()?;
        let now = now();
        let (gre, seen) = (&self.gre, &self.seen);
        for call in self.calls.values_mut() {
            receive_tcp(call, now, gre, seen)?;
            call.tick(now, gre, &mut lock(seen))?;
        }
        self.calls.retain(|_, call| !call.is_over());
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        let mut fds = vec![
            PollFd::new(&self.listener, PollFlags::IN),
            PollFd::new(&self.gre, PollFlags::IN),
        ];
        let streams = self.calls.values().map(|call| &call.tcp);
        fds.extend(streams.map(|tcp| PollFd::new(tcp, PollFlags::IN)));
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: TICK.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("poll"),
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let (tcp, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accept"),
            };
            let now = now();
            lock(&self.seen).dials.push(now);
            let SocketAddr::V4(peer) = peer else {
                continue;
            };
            if self.lie == Lie::HangsUp(Step::Connected) {
                continue;
            }
            tcp.set_nonblocking(true)?;
            let id = self.next_call;
            self.next_call = self.next_call.checked_add(1).context("too many calls")?;
            let ends = (self.address, *peer.ip());
            let call = Call::new(now, self.lie.clone(), tcp, ends, CallId(id));
            self.calls.insert(id, call);
        }
    }

    fn receive_gre(&mut self) -> Result<()> {
        let mut datagram = [0; 2048];
        loop {
            let received = rustix::net::recv(&self.gre, &mut datagram[..], RecvFlags::empty());
            let length = match received {
                Ok((_, length)) => length,
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error).context("receive GRE"),
            };
            let Ok(ip) = ipv4::Packet::new_checked(&datagram[..length]) else {
                continue;
            };
            let range = ip.header_len()..ip.total_len();
            let frame = &mut datagram[range];
            let Ok(header) = gre::Packet::new_checked(&*frame) else {
                continue;
            };
            if let Some(call) = self.calls.get_mut(&header.call_id()) {
                call.handle_gre(now(), frame, &self.gre, &mut lock(&self.seen))?;
            }
        }
    }
}

fn receive_tcp(call: &mut Call, now: Instant, gre: &OwnedFd, seen: &Mutex<Seen>) -> Result<()> {
    let mut bytes = [0; 2048];
    loop {
        match call.tcp.read(&mut bytes) {
            Ok(0) => return call.handle_hangup(now, gre, &mut lock(seen)),
            Ok(length) => call.handle_tcp(now, &bytes[..length], gre, &mut lock(seen))?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // The client may well be angry.
            Err(_) => return call.handle_hangup(now, gre, &mut lock(seen)),
        }
    }
}

/// The two sockets, bound to the address: each server hears only what is sent to it.
fn open(address: Ipv4Addr) -> Result<(TcpListener, OwnedFd)> {
    let listener =
        TcpListener::bind((address, pptp::PORT)).with_context(|| format!("listen on {address}"))?;
    listener.set_nonblocking(true)?;
    let gre = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        Some(rustix::net::Protocol::from_raw(
            GRE_PROTOCOL.try_into().context("not a protocol")?,
        )),
    )
    .context("raw socket for GRE")?;
    rustix::net::bind(gre.as_fd(), &SocketAddrV4::new(address, 0))?;
    Ok((listener, gre))
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often deadlines are looked at, and how far one burst of a flood is from the next.
const TICK: Duration = Duration::from_millis(10);

/// The number of the protocol, IANA's.
const GRE_PROTOCOL: u32 = 47;
