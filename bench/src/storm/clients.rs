//! Many clients in one thread: the product's machines over one raw GRE socket and a TCP connection
//! each.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::{PASSWORD, user};
use anyhow::{Context, Result, bail, ensure};
use greyhound_control::entropy::SystemEntropy;
use greyhound_control::ppp::{self, AuthMethod, Config, Encryption, Link, Role, UseIpv6};
use greyhound_control::pptp::{self, Connection};
use greyhound_datapath::ids::{CallId, PeerCallId};
use greyhound_datapath::ipc::Tunnel;
use greyhound_datapath::mppe::Portable;
use greyhound_datapath::session::{Inner, MAX_OVERHEAD, Opened, Session};
use greyhound_datapath::wire::{gre, ipv4};
use greyhound_tests::wait::now;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// The clients' calls; they end when this is dropped.
pub(super) struct Calls {
    poll: Poll,
    gre: OwnedFd,
    ours: Ipv4Addr,
    server: Ipv4Addr,
    /// The one with call id `n` is at `n - 1`.
    calls: Vec<Call>,
    /// Calls that are being set up.
    in_flight: Vec<usize>,
}

struct Call {
    tcp: TcpStream,
    pptp: Connection,
    /// From the call's establishment on.
    link: Option<(Link, Session)>,
    began: Instant,
    is_up: bool,
}

const GRE: Token = Token(usize::MAX);
/// How long a set-up may take; what is lost is sent again after 3 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a TCP connection may take.
const CONNECTING: Duration = Duration::from_secs(5);
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(100);

impl Calls {
    pub(super) fn new(ours: Ipv4Addr, server: Ipv4Addr) -> Result<Self> {
        let poll = Poll::new()?;
        let gre = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::RAW,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            Some(rustix::net::Protocol::from_raw(
                GRE_PROTOCOL.try_into().context("not a protocol")?,
            )),
        )
        .context("raw socket for GRE")?;
        // What does not fit is lost, and costs 3 s.
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&gre, 8 << 20)?;
        let fd = gre.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), GRE, Interest::READABLE)?;
        Ok(Self {
            poll,
            gre,
            ours,
            server,
            calls: Vec::new(),
            in_flight: Vec::new(),
        })
    }

    /// Sets calls up, so many of them at the same time, and tells how long each took.
    pub(super) fn set_up(
        &mut self,
        sessions: u16,
        in_flight: usize,
        mut up: impl FnMut(Duration),
    ) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut ticked = now();
        loop {
            while self.calls.len() < sessions.into() && self.in_flight.len() < in_flight {
                self.begin()?;
            }
            if self.in_flight.is_empty() {
                return Ok(());
            }
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                if event.token() == GRE {
                    self.receive_gre()?;
                } else {
                    self.receive_tcp(event.token().0)?;
                }
            }
            if ticked.elapsed() >= TICK {
                ticked = now();
                self.tick(ticked)?;
            }
            let calls = &self.calls;
            self.in_flight.retain(|&at| {
                let call = &calls[at];
                if call.is_up {
                    up(call.began.elapsed());
                }
                !call.is_up
            });
        }
    }

    fn begin(&mut self) -> Result<()> {
        let began = now();
        let address = SocketAddr::V4(SocketAddrV4::new(self.server, pptp::PORT));
        let mut tcp = TcpStream::connect(address).context("connect to the server")?;
        let at = self.calls.len();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut tcp, Token(at), interest)?;
        let mut pptp = Connection::client(began, "storm");
        pptp.start(began);
        self.calls.push(Call {
            tcp,
            pptp,
            link: None,
            began,
            is_up: false,
        });
        self.in_flight.push(at);
        Ok(())
    }

    fn receive_tcp(&mut self, at: usize) -> Result<()> {
        let Some(call) = self.calls.get_mut(at) else {
            return Ok(());
        };
        let mut bytes = [0; 1024];
        loop {
            match call.tcp.read(&mut bytes) {
                Ok(0) => bail!("the server closed a control connection"),
                Ok(length) => call.pptp.handle_data(now(), &bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Not connected yet.
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(error).context("a control connection"),
            }
        }
        self.pump(at)
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
            let at = usize::from(header.call_id()).wrapping_sub(1);
            let Some(Some((link, session))) = self.calls.get_mut(at).map(|call| &mut call.link)
            else {
                continue;
            };
            let now = now();
            let Ok(Opened::Plain(ticket)) = session.open(&mut Portable, frame, now) else {
                continue;
            };
            if let Ok(Inner::Control {
                protocol,
                information,
            }) = session.accept(ticket, frame)
            {
                link.handle_frame(now, protocol, &frame[information]);
                self.pump(at)?;
            }
        }
    }

    /// Sends again what was lost, and ends what takes too long.
    fn tick(&mut self, now: Instant) -> Result<()> {
        for index in 0..self.in_flight.len() {
            let at = self.in_flight[index];
            let call = &mut self.calls[at];
            ensure!(
                now.duration_since(call.began) < PATIENCE,
                "a set-up takes too long"
            );
            call.pptp.handle_timeout(now);
            if let Some((link, _)) = &mut call.link {
                link.handle_timeout(now);
            }
            self.pump(at)?;
        }
        Ok(())
    }

    /// Does what the machines of a call want, until they want nothing more.
    fn pump(&mut self, at: usize) -> Result<()> {
        loop {
            let call = &mut self.calls[at];
            if let Some(command) = call.pptp.poll_command() {
                self.on_pptp(at, command)?;
            } else if let Some((link, session)) = &mut call.link
                && let Some(command) = link.poll_command()
            {
                match command {
                    ppp::Command::Send { protocol, payload } => {
                        let mut out = vec![0; payload.len() + MAX_OVERHEAD];
                        let length = session
                            .control(protocol, &payload, &mut out)
                            .map_err(|reason| anyhow::anyhow!("{}", reason.name()))?;
                        let to = SocketAddrV4::new(self.server, 0);
                        rustix::net::sendto(&self.gre, &out[..length], SendFlags::empty(), &to)?;
                    }
                    ppp::Command::SetLink(options) => session.set_link(options),
                    ppp::Command::NetworkUp { .. } => call.is_up = true,
                    ppp::Command::Down(cause) => bail!("a call ended: {cause}"),
                    ppp::Command::Authenticate { .. }
                    | ppp::Command::Authenticated { .. }
                    | ppp::Command::Refused { .. }
                    | ppp::Command::SetMppe { .. }
                    | ppp::Command::ResetMppe
                    | ppp::Command::SetIpv6(_)
                    | ppp::Command::NetworkDown
                    | ppp::Command::Sample
                    | ppp::Command::MissedEcho => {}
                }
            } else {
                return Ok(());
            }
        }
    }

    fn on_pptp(&mut self, at: usize, command: pptp::Command) -> Result<()> {
        let now = now();
        let call_id = CallId(u16::try_from(at + 1).context("too many calls")?);
        let call = &mut self.calls[at];
        match command {
            pptp::Command::Send(bytes) => match call.tcp.write(&bytes) {
                Ok(length) => ensure!(length == bytes.len(), "TCP took a part"),
                // Still connecting: on a wire without loss it is done in a moment.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::NotConnected
                    ) =>
                {
                    while call.tcp.peer_addr().is_err() {
                        let waits = call.began.elapsed() < CONNECTING;
                        ensure!(waits, "the server does not take connections");
                        std::hint::spin_loop();
                    }
                    let length = call.tcp.write(&bytes)?;
                    ensure!(length == bytes.len(), "TCP took a part");
                }
                Err(error) => return Err(error).context("a control connection"),
            },
            pptp::Command::Traced(..) => {}
            pptp::Command::Started { .. } => call.pptp.request_call(now, call_id),
            pptp::Command::CallConnected { peer_call_id, .. } => {
                let session = Session::new(Tunnel {
                    ours: self.ours,
                    peer: self.server,
                    call_id,
                    peer_call_id: PeerCallId(peer_call_id.0),
                });
                let mut link = Link::new(link(at), Box::new(SystemEntropy));
                link.open(now);
                call.link = Some((link, session));
            }
            pptp::Command::Close(cause) => bail!("a control connection ended: {cause}"),
            pptp::Command::CallEnded { cause, .. } => bail!("a call was refused: {cause}"),
            pptp::Command::CallRequested { .. } => {}
        }
        Ok(())
    }
}

fn link(at: usize) -> Config {
    Config {
        role: Role::Client {
            user: user(u16::try_from(at).unwrap_or(u16::MAX)),
            password: PASSWORD.to_owned().into(),
            allow: vec![AuthMethod::MsChapV2],
        },
        max_mru: 1460,
        mrru: None,
        encryption: Encryption::Required,
        ipv6: UseIpv6::No,
        keepalive: None,
        rechallenge: None,
    }
}

/// The number of the protocol, IANA's.
const GRE_PROTOCOL: u32 = 47;
