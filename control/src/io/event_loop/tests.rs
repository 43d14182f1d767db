use std::io::Write;
use std::net::{Shutdown, TcpStream as StdTcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use greyhound_datapath::ids::{CallId, SessionId};
use greyhound_datapath::ipc::seqpacket::{Channel, Listener};
use greyhound_datapath::ipc::{self, Event, IoMode, Request, Tunnel, Uplink};
use greyhound_datapath::stats::SessionCounters;

use super::super::datapath::SOCKET;
use super::*;
use crate::console::wire;
use crate::dns::keeper::{self, Keeper};
use crate::dns::resolver::Places;
use crate::hooks::runner::{self, Runner};
use crate::model::Config;
use crate::pptp::requests::{call_request, start_request};
use crate::pptp::wire::{
    EchoRequest, GeneralError, MAX_LEN, OutgoingCallResult, Repr, message_len,
};

const SERVER: &str = "
    /interface pptp-server server
    set enabled=yes
    /ppp secret
    add name=ann password=secret local-address=10.0.0.1 remote-address=10.0.0.5
";

#[test]
fn a_client_is_answered_however_its_messages_are_cut() {
    let process = Process::start(SERVER);
    let mut client = process.connect();
    let start = start_request().to_bytes();
    for piece in start.chunks(50) {
        client.write_all(piece).unwrap();
    }
    let Repr::StartControlConnectionReply(reply) = receive(&mut client) else {
        panic!("not a start reply");
    };
    assert_eq!(reply.vendor.to_string_lossy(), "Greyhound");
    let echoes = [7, 8].map(|identifier| Repr::from(EchoRequest { identifier }).to_bytes());
    client.write_all(&echoes.concat()).unwrap();
    for expected in [7, 8] {
        let Repr::EchoReply(reply) = receive(&mut client) else {
            panic!("not an echo reply");
        };
        assert_eq!(reply.identifier, expected);
    }
}

#[test]
fn without_a_datapath_a_call_is_refused() {
    let process = Process::start(SERVER);
    let mut client = process.connect();
    client.write_all(&start_request().to_bytes()).unwrap();
    receive(&mut client);
    client.write_all(&call_request(7).to_bytes()).unwrap();
    let Repr::OutgoingCallReply(reply) = receive(&mut client) else {
        panic!("not a call reply");
    };
    assert_eq!(reply.result, OutgoingCallResult::GeneralError);
    assert_eq!(reply.error, GeneralError::PacError);
}

#[test]
fn nonsense_closes_the_connection_and_nothing_else() {
    let process = Process::start(SERVER);
    let mut bystander = process.connect();
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 300], &[0xff; 300]] {
        let mut stranger = process.connect();
        stranger.write_all(nonsense).unwrap();
        assert_closed(&mut stranger);
    }
    bystander.write_all(&start_request().to_bytes()).unwrap();
    receive(&mut bystander);
}

#[test]
fn who_says_nothing_is_closed_after_the_start_timeout() {
    let process = Process::start(SERVER);
    let mut silent = process.connect();
    let mut halting = process.connect();
    halting
        .write_all(&start_request().to_bytes()[..100])
        .unwrap();
    // The loop has seen both when it has answered who came after them.
    let mut last = process.connect();
    last.write_all(&start_request().to_bytes()).unwrap();
    receive(&mut last);
    process.pass(crate::pptp::connection::START_TIMEOUT);
    assert_closed(&mut silent);
    assert_closed(&mut halting);
}

#[test]
fn a_client_that_hangs_up_at_any_point_is_forgotten() {
    let process = Process::start(SERVER);
    let bytes = [start_request().to_bytes(), call_request(7).to_bytes()].concat();
    for cut in (0..bytes.len()).step_by(13) {
        let mut client = process.connect();
        client.write_all(&bytes[..cut]).unwrap();
        client.shutdown(Shutdown::Both).unwrap();
    }
    let mut client = process.connect();
    client.write_all(&start_request().to_bytes()).unwrap();
    receive(&mut client);
}

#[test]
fn a_disabled_server_does_not_listen_and_the_console_answers() {
    let process = Process::start("/system identity\nset name=hound\n");
    assert_eq!(process.port, 0);
    let reply = process.ask("ppp active print");
    assert_eq!(reply.status, 0, "{}", reply.text);
    assert_eq!(process.ask("no such thing").status, 1);
}

#[test]
fn a_change_is_kept_in_the_file_and_holds_at_once() {
    let run_dir = folder();
    let file = run_dir.join("greyhound.rsc");
    let port = free_port();
    let store = Some(Store::new(file.clone()));
    let process = Process::start_keeping("", port, run_dir, store);
    let address = (Ipv4Addr::LOCALHOST, port);
    assert!(StdTcpStream::connect(address).is_err());
    let done = process.ask("/interface pptp-server server set enabled=yes");
    assert_eq!((done.status, done.text.as_str()), (0, ""));
    StdTcpStream::connect(address).unwrap();
    let done = process.ask("/ppp secret add name=ann password=secret");
    assert_eq!(done.status, 0, "{}", done.text);
    let saved = std::fs::read_to_string(&file).unwrap();
    let (saved, _) = Config::parse(&saved).unwrap();
    assert!(saved.server.enabled);
    assert_eq!(saved.secrets[0].password.as_str(), "secret");
    let log = process.ask("/log print where topics~\"system\"").text;
    assert!(
        log.contains("system,info PPTP Server settings changed by admin\n"),
        "{log}"
    );

    process.ask("/interface pptp-server server set enabled=no");
    assert!(StdTcpStream::connect(address).is_err());
}

#[test]
fn what_cannot_be_kept_or_listened_for_is_not_done() {
    let run_dir = folder();
    let file = run_dir.join("no such folder/greyhound.rsc");
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let process = Process::start_keeping("", port, run_dir, Some(Store::new(file.clone())));
    let log = process.ask("/log print").text;
    assert!(log.contains("nor the configuration changed: "), "{log}");
    let refused = process.ask("/ppp secret add name=ann");
    assert_eq!(refused.status, 1);
    let expected = format!("failure: cannot save {}: ", file.display());
    assert!(refused.text.starts_with(&expected), "{}", refused.text);
    assert_eq!(process.ask("/ppp secret print count-only").text, "0\n");
    let refused = process.ask("/interface pptp-server server set enabled=yes");
    assert!(
        refused.text.starts_with("failure: cannot listen on TCP "),
        "{}",
        refused.text
    );
    drop(taken);
}

#[test]
fn a_session_is_ended_from_the_console() {
    let process = Process::start(SERVER);
    let none = process.ask("/ppp active remove 0");
    assert_eq!(
        (none.status, none.text.as_str()),
        (1, "no such item (line 1 column 20)\n")
    );
}

#[test]
fn many_consoles_at_once_are_all_answered() {
    let process = Process::start(SERVER);
    thread::scope(|scope| {
        let asked: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| process.ask("ppp active print").status))
            .collect();
        for one in asked {
            assert_eq!(one.join().unwrap(), 0);
        }
    });
}

/// One process is server and client at once, over real sockets; only GRE and TUN are played.
#[test]
fn a_client_dials_by_name_and_comes_up_and_a_stop_ends_everything() {
    let port = free_port();
    let client = "
        /interface pptp-client
        add name=out1 connect-to=localhost user=ann password=secret disabled=no
    ";
    let run_dir = folder();
    let datapath = PlayedDatapath::listen(&run_dir);
    let process = Process::start_with(&format!("{SERVER}{client}"), port, run_dir);
    process.wait_for(
        "interface pptp-client monitor out1 once",
        "status: connected",
    );
    let active = process.ask("ppp active print").text;
    assert!(
        active.contains("10.0.0.5") && active.contains("MPPE128 stateless"),
        "{active}"
    );
    let log = process.log.clone();
    process.stop();
    assert_eq!(datapath.finish(), 0, "sessions are left");
    let recent = log.recent();
    let said: Vec<_> = recent.iter().map(|entry| &*entry.line.text).collect();
    assert_eq!(said[0], "datapath connected");
    assert!(said.contains(&"<pptp-ann>: disconnected"), "{said:#?}");
}

#[test]
fn hooks_run_in_the_process_for_them_up_to_those_of_the_stop() {
    let port = free_port();
    let client = "
        /interface pptp-client
        add name=out1 connect-to=localhost user=ann password=secret disabled=no
    ";
    let (run_dir, out_dir) = (folder(), folder());
    let datapath = PlayedDatapath::listen(&run_dir);
    let listener = Listener::bind(&run_dir.join(hooks::SOCKET)).unwrap();
    let runner = Runner::new(runner::Options {
        listener: listener.as_fd().try_clone_to_owned().unwrap(),
        at_once: runner::AT_ONCE,
        stop_grace: PATIENCE,
        as_root: false,
        refusal: None,
        log: Log::default(),
    });
    let (mut stop, stopped) = StdUnixStream::pair().unwrap();
    let runner = thread::spawn(move || runner.run(stopped).unwrap());
    let down = out_dir.join("down");
    let script = out_dir.join("script");
    std::fs::write(&script, format!("echo $PPTP_CAUSE >> {}", down.display())).unwrap();
    let hooks = format!(
        "on-up=\"/bin/echo hello\" on-down=\"/bin/sh {}\"",
        script.display()
    );
    let profiles = format!("/ppp profile\nset default {hooks}\nset default-encryption {hooks}\n");
    let process = Process::start_with(&format!("{SERVER}{client}{profiles}"), port, run_dir);
    let log = process.log.clone();
    for text in ["<pptp-ann>: on-up: hello", "out1: on-up: hello"] {
        wait(|| {
            let recent = log.recent();
            let mut lines = recent.iter();
            lines.find(|entry| entry.line.text == text).map(drop)
        });
    }
    process.stop();
    assert_eq!(datapath.finish(), 0, "sessions are left");
    stop.write_all(&[0]).unwrap();
    runner.join().unwrap();
    assert_eq!(std::fs::read_to_string(down).unwrap(), "reboot\nreboot\n");
    std::fs::remove_dir_all(out_dir).unwrap();
}

#[test]
fn dns_servers_are_used_by_the_process_for_them_and_what_it_says_is_logged() {
    let run_dir = folder();
    let listener = Listener::bind(&run_dir.join(dns::SOCKET)).unwrap();
    let keeper = Keeper::new(keeper::Options {
        listener: listener.as_fd().try_clone_to_owned().unwrap(),
        run_dir: run_dir.clone(),
        places: Places {
            path: run_dir.display().to_string(),
            resolved: run_dir.clone(),
        },
        timeout: PATIENCE,
        stop_grace: PATIENCE,
        log: Log::default(),
    });
    let (mut stop, stopped) = StdUnixStream::pair().unwrap();
    let keeper = thread::spawn(move || keeper.run(stopped).unwrap());
    let options = Options::new(run_dir.clone(), run_dir.clone(), Config::default());
    let log = options.log.clone();
    let clock = super::super::clock;
    let mut event_loop = EventLoop::new(options, 0, Box::new(clock)).unwrap();
    let set = |name: &str| Command::SetDns {
        name: name.to_owned(),
        setting: dns::Setting {
            interface: "pptp".to_owned(),
            servers: vec![Ipv4Addr::LOCALHOST],
            exclusively: false,
        },
    };
    for name in ["one", "two"] {
        event_loop.carry_out(clock(), set(name));
        let start = format!("{name}: not using DNS servers 127.0.0.1: neither ");
        let is_logged = || {
            let recent = log.recent();
            let mut lines = recent.iter();
            lines.any(|entry| entry.line.text.starts_with(&start))
        };
        let deadline = clock() + PATIENCE;
        while !is_logged() {
            assert!(clock() < deadline, "{start}");
            event_loop.turn().unwrap();
        }
        let interface = "pptp".to_owned();
        event_loop.carry_out(clock(), Command::RevertDns { interface });
        assert!(event_loop.dns.is_flushed());
    }
    stop.write_all(&[0]).unwrap();
    keeper.join().unwrap();
    std::fs::remove_dir_all(run_dir).unwrap();
}

#[test]
fn a_datapath_that_comes_back_is_greeted_again() {
    let run_dir = folder();
    let listener = Listener::bind(&run_dir.join(SOCKET)).unwrap();
    let _process = Process::start_with(SERVER, 0, run_dir);
    for _ in 0..2 {
        let mut channel = accept(&listener);
        let hello = Request::Hello {
            version: ipc::VERSION,
        };
        assert_eq!(next_request(&mut channel), Some(hello));
    }
}

// Helpers

/// A control process in a thread, with a clock that can be moved on.
struct Process {
    port: u16,
    run_dir: PathBuf,
    log: Log,
    stop: StdUnixStream,
    passed_millis: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Process {
    fn start(config: &str) -> Self {
        Self::start_with(config, 0, folder())
    }

    fn start_with(config: &str, port: u16, run_dir: PathBuf) -> Self {
        Self::start_keeping(config, port, run_dir, None)
    }

    fn start_keeping(config: &str, port: u16, run_dir: PathBuf, store: Option<Store>) -> Self {
        let (config, _) = Config::parse(config).unwrap();
        let mut options = Options::new(run_dir.clone(), run_dir.clone(), config);
        options.bind = Some(Ipv4Addr::LOCALHOST);
        options.port = port;
        options.store = store;
        let log = options.log.clone();
        let (stop, signals) = StdUnixStream::pair().unwrap();
        signals.set_nonblocking(true).unwrap();
        let passed_millis = Arc::new(AtomicU64::new(0));
        let passed = Arc::clone(&passed_millis);
        let (tell_port, port) = channel();
        let thread = thread::spawn(move || {
            let clock = move || {
                let passed = Duration::from_millis(passed.load(Ordering::SeqCst));
                super::super::clock() + passed
            };
            let mut event_loop = EventLoop::new(options, 0, Box::new(clock)).unwrap();
            let mut signals = UnixStream::from_std(signals);
            let registry = event_loop.poll.registry();
            registry
                .register(&mut signals, SIGNALS, Interest::READABLE)
                .unwrap();
            event_loop.signals = Some(signals);
            event_loop.check_store();
            let listener = event_loop.listener.as_ref();
            let port = listener.map_or(0, |one| one.local_addr().unwrap().port());
            tell_port.send(port).unwrap();
            while event_loop.turn().unwrap() {}
        });
        Self {
            port: port.recv().unwrap(),
            run_dir,
            log,
            stop,
            passed_millis,
            thread: Some(thread),
        }
    }

    fn connect(&self) -> StdTcpStream {
        let stream = StdTcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Lets time pass for the process.
    fn pass(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap();
        self.passed_millis.fetch_add(millis, Ordering::SeqCst);
    }

    fn ask(&self, words: &str) -> Reply {
        let request = wire::Request {
            line: words.to_owned(),
            menu: Vec::new(),
            numbers: wire::Numbers::new(),
            json: false,
            width: 80,
        };
        wire::ask(&self.run_dir, &request).unwrap()
    }

    /// Asks until the answer contains `text`.
    fn wait_for(&self, words: &str, text: &str) {
        let deadline = super::super::clock() + PATIENCE;
        loop {
            let reply = self.ask(words).text;
            if reply.contains(text) {
                return;
            }
            assert!(super::super::clock() < deadline, "{reply}");
            thread::yield_now();
        }
    }

    fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.stop.write_all(&[1]).unwrap();
        let ended = thread.join();
        std::fs::remove_dir_all(&self.run_dir).unwrap();
        if !thread::panicking() {
            ended.unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A datapath that carries frames between the two ends of each call, both of which it has.
struct PlayedDatapath(JoinHandle<usize>);

impl PlayedDatapath {
    fn listen(run_dir: &Path) -> Self {
        let listener = Listener::bind(&run_dir.join(SOCKET)).unwrap();
        Self(thread::spawn(move || {
            let mut channel = accept(&listener);
            let mut tunnels = BTreeMap::new();
            while let Some(request) = next_request(&mut channel) {
                for event in play(&mut tunnels, request) {
                    channel.send(&event).unwrap();
                }
            }
            tunnels.len()
        }))
    }

    /// How many sessions there were when the process ended.
    fn finish(self) -> usize {
        self.0.join().unwrap()
    }
}

fn play(tunnels: &mut BTreeMap<SessionId, Tunnel>, request: Request) -> Vec<Event> {
    let counters = SessionCounters::default();
    match request {
        Request::Hello { version } => vec![
            Event::Hello {
                version,
                uplinks: vec![Uplink {
                    name: "lo".to_owned(),
                    mtu: 1500,
                    io: IoMode::Raw,
                }],
                workers: 1,
            },
            Event::Held {
                sessions: vec![],
                last: true,
            },
        ],
        Request::Install { session, tunnel } => {
            tunnels.insert(session, tunnel);
            vec![]
        }
        Request::Send {
            session,
            protocol,
            payload,
        } => {
            let to = tunnels.get(&session).map(|one| CallId(one.peer_call_id.0));
            let far = tunnels
                .iter()
                .find_map(|(&far, tunnel)| (Some(tunnel.call_id) == to).then_some(far));
            far.map(|session| Event::Frame {
                session,
                protocol,
                payload,
            })
            .into_iter()
            .collect()
        }
        Request::Attach { session, .. } => vec![Event::Attached {
            session,
            kernel_name: format!("tun{}", session.0),
            ifindex: 1,
        }],
        Request::Read { session } => vec![Event::Counters { session, counters }],
        Request::Remove { session } => {
            tunnels.remove(&session);
            vec![Event::Removed { session, counters }]
        }
        Request::ReadTotals => vec![Event::Totals {
            workers: vec![],
            xdp: vec![],
        }],
        Request::SetLink { .. }
        | Request::ResetMppe { .. }
        | Request::Forget { .. }
        | Request::SetLimits { .. }
        | Request::SetIpv6 { .. }
        | Request::SetMppe { .. }
        | Request::Detach { .. }
        | Request::Dismiss { .. }
        | Request::DismissOthers
        | Request::Await { .. }
        | Request::Unpin { .. } => vec![],
        Request::Stand { standing } => vec![Event::Stands {
            kernel_name: standing.name.clone(),
            name: standing.name,
            ifindex: 1,
            warnings: Vec::new(),
        }],
        Request::Pin { name, server } => vec![Event::Pinned {
            name,
            server,
            refused: None,
        }],
    }
}

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `attempt` gives something.
fn wait<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = super::super::clock() + PATIENCE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(super::super::clock() < deadline, "it did not happen");
        thread::yield_now();
    }
}

fn accept(listener: &Listener) -> Channel<Event, Request> {
    wait(|| listener.accept().unwrap())
}

/// The next request, or `None` at the end of the connection.
fn next_request(channel: &mut Channel<Event, Request>) -> Option<Request> {
    wait(|| match channel.receive() {
        Ok(Some(request)) => Some(Some(request)),
        Ok(None) => None,
        Err(_) => Some(None),
    })
}

fn folder() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::SeqCst);
    let name = format!("greyhound-loop-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A port that nobody listened on a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// The next message of a connection.
fn receive(stream: &mut StdTcpStream) -> Repr {
    let mut message = Vec::with_capacity(MAX_LEN);
    loop {
        if let Some(len) = message_len(&message).unwrap()
            && message.len() == len
        {
            return Repr::parse(&message).unwrap();
        }
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        message.push(byte[0]);
    }
}

#[track_caller]
fn assert_closed(stream: &mut StdTcpStream) {
    let mut rest = Vec::new();
    // A reset is an end too: what was sent may not have been read.
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(rest, [0; 0]);
}
