//! The real program in a network namespace of its own, and the control process's end of a
//! connection to it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use greyhound_datapath::ipc::seqpacket::Channel;
use greyhound_datapath::ipc::{Event, Held, Request, Uplink, VERSION, WorkerTotals};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The program at work; killed when dropped.
pub(crate) struct Program {
    child: Child,
    folder: PathBuf,
}

impl Program {
    /// Starts it with these arguments behind what the shell prepares in the namespace, whose
    /// loopback is up. The name is for its files.
    pub(crate) fn start(name: &str, prepare: &str, arguments: &str) -> Self {
        let folder = format!("greyhound-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let program = env!("CARGO_BIN_EXE_greyhound-datapath");
        let script = format!(
            "ip link set lo up && {prepare} && echo && exec {program} {arguments} --run-dir {}",
            folder.display()
        );
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The line comes from inside of the namespace, when all is prepared.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self { child, folder }
    }

    /// Moves this thread into its namespace.
    pub(crate) fn enter_namespace(&self) {
        let namespace = File::open(format!("/proc/{}/ns/net", self.child.id())).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace.as_fd(), kind).unwrap();
    }

    /// Connects to it, which takes the place of any other connection, and says Hello.
    pub(crate) fn connect(&self) -> Control {
        let path = self.folder.join("datapath.sock");
        let mut control = Control {
            channel: wait_for("the datapath listens", || Channel::connect(&path).ok()),
            uplinks: Vec::new(),
            workers: 0,
            held: Vec::new(),
        };
        control.say(&Request::Hello { version: VERSION });
        let hello = control.hear(|event| matches!(event, Event::Hello { .. }));
        if let Event::Hello {
            uplinks, workers, ..
        } = hello
        {
            control.uplinks = uplinks;
            control.workers = workers;
        }
        while let Event::Held { sessions, last } =
            control.hear(|event| matches!(event, Event::Held { .. }))
        {
            control.held.extend(sessions);
            if last {
                break;
            }
        }
        control
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A connection to it.
pub(crate) struct Control {
    channel: Channel<Request, Event>,
    /// What it said in answer to Hello.
    pub(crate) uplinks: Vec<Uplink>,
    /// The same.
    pub(crate) workers: u16,
    /// What it holds from before.
    pub(crate) held: Vec<Held>,
}

impl Control {
    pub(crate) fn say(&mut self, request: &Request) {
        self.channel.send(request).unwrap();
    }

    /// The next event of this kind; all before it are thrown away.
    pub(crate) fn hear(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        wait_for("an event", || {
            self.channel.receive().unwrap().filter(&wanted)
        })
    }

    /// What the workers counted.
    pub(crate) fn totals(&mut self) -> Vec<WorkerTotals> {
        self.say(&Request::ReadTotals);
        let totals = self.hear(|event| matches!(event, Event::Totals { .. }));
        let Event::Totals { workers, .. } = totals else {
            unreachable!("nothing else was wanted")
        };
        workers
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for another process")]
pub(crate) fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(reached) = attempt() {
            return reached;
        }
        assert!(Instant::now() < deadline, "{what}: not within ten seconds");
        std::thread::sleep(Duration::from_millis(2));
    }
}
