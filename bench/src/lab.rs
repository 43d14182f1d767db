//! A namespace with all that one thread needs to measure: wires whose far end a generator sends
//! into, the product's own worker at the near end, and a sink behind it that packets are routed to.
//!
//! Everything happens on one core, one thing after the other: the generator carries frames up to
//! the socket, then the worker is stepped until it has nothing left to do. What is counted is that
//! thread's CPU time, in which the kernel's work for it is included.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use core_affinity::CoreId;
use crossbeam::channel::{Receiver, Sender, unbounded};
use greyhound_bpf::Steering;
use greyhound_bpf::generator::{Discard, Generator};
use greyhound_datapath::engine::handoff::Inboxes;
use greyhound_datapath::engine::netlink::Uplink;
use greyhound_datapath::engine::options::IoChoice;
use greyhound_datapath::engine::probe::{self, Io};
use greyhound_datapath::engine::raw;
use greyhound_datapath::engine::reaper::Reaper;
use greyhound_datapath::engine::tun::{self, Tun};
use greyhound_datapath::engine::worker::{
    Command, Exit, Outbox, POOL_BUFFERS, Parts, Report, Worker,
};
use greyhound_datapath::engine::xsk::{self, Queue};
use greyhound_datapath::ids::{SessionId, WorkerId};
use greyhound_datapath::ipc::{Interface, Limits, Membership, WorkerTotals};
use greyhound_tests::namespace::Namespace;
use rustix::process::setpriority_process;
use rustix::time::{ClockId, clock_gettime};

use crate::generator::{
    Ends, Frames, GATEWAY, HEADER_BYTES, INNER_MTU, Size, beyond, inner_address,
};
use crate::timing::now;

/// How long a worker looks for work when it runs by itself: as by default.
pub(crate) const SPIN: Duration = Duration::from_micros(50);

/// Frames that the generator sends in one go: half of what the socket's rings hold.
pub(crate) const LOAD: u32 = 2048;

/// A namespace that routes.
#[derive(Debug)]
pub(crate) struct Lab {
    namespace: Namespace,
}

impl Lab {
    /// Needs root.
    pub(crate) fn new() -> Result<Self> {
        let namespace = Namespace::new("bench")?;
        namespace.inside(|| {
            set("ip_forward", "1")?;
            // Packets are routed on whatever interface they come from.
            set("conf/all/rp_filter", "0")?;
            set("conf/default/rp_filter", "0")
        })??;
        Ok(Self { namespace })
    }

    /// Measures on a thread of its own in the namespace, on this core. One that changes its core
    /// leaves what the kernel is about to do for it behind.
    pub(crate) fn measure<T: Send>(
        &self,
        core: usize,
        work: impl FnOnce(&Self) -> Result<T> + Send,
    ) -> Result<T> {
        self.namespace.inside(|| {
            pin(core)?;
            work(self)
        })?
    }

    /// An interface for what is routed on from one worker. It takes packets of up to 64 KB as they
    /// are, nobody reads it, and what its queue does not hold is dropped.
    pub(crate) fn sink(&self, worker: u8) -> Result<Tun> {
        tun::create(&interface("sink", beyond(worker)), true)
    }

    /// A pair of interfaces, both in the namespace.
    pub(crate) fn wire(&self, name: &str, queues: u16) -> Result<Wire> {
        let (far, near) = (format!("{name}-far"), format!("{name}-near"));
        self.namespace.ip(&format!(
            "link add {far} numtxqueues {queues} numrxqueues {queues} type veth \
             peer name {near} numtxqueues {queues} numrxqueues {queues}"
        ))?;
        for end in [&far, &near] {
            self.namespace.ip(&format!("link set {end} up"))?;
        }
        Ok(Wire {
            far: Uplink::by_name(&far)?,
            near: Uplink::by_name(&near)?,
        })
    }
}

/// Keeps this thread, and those it starts, on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let pinned = core_affinity::set_for_current(CoreId { id: core });
    ensure!(pinned, "core {core} is not to be had");
    Ok(())
}

/// The core that one thread measures on: the first that was named, else the last there is, for most
/// of what else goes on is on the first.
pub(crate) fn core(named: &[usize]) -> usize {
    let last = || Some(core_affinity::get_core_ids()?.last()?.id);
    named.first().copied().or_else(last).unwrap_or_default()
}

/// Measures rounds until the time is over. Now and then the kernel puts off what it has to do, and
/// a round lacks packets: it does not count.
///
/// # Errors
/// Too many do not count: why the last one did not.
pub(crate) fn rounds<T>(time: Duration, mut round: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    const FEWEST: usize = 5;
    let end = deadline(time);
    let mut rounds = Vec::new();
    let mut failed = 0;
    while rounds.len() < FEWEST || now() < end {
        match round() {
            Ok(figures) => rounds.push(figures),
            Err(_) if failed < 3 + rounds.len() / 5 => failed += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(rounds)
}

/// The two ends of a pair of interfaces.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    /// Where the generator sends.
    pub(crate) far: Uplink,
    /// Where frames arrive.
    pub(crate) near: Uplink,
}

impl Wire {
    /// What sends into the far end, as frames that arrive at the near one.
    pub(crate) fn load(&self, size: Size) -> Result<Load> {
        Load::start(self.far.ifindex, HEADER_BYTES + usize::from(size.longest()))
    }

    /// Takes away what the near end sends.
    pub(crate) fn discard(&self) -> Result<Discard> {
        Discard::attach(self.far.ifindex).map_err(in_words)
    }
}

/// A generator with a thread of its own, on the same core. Whoever waits in io_uring for what is
/// sent is sent signals by the kernel, and these would interrupt a generator in the same thread.
#[derive(Debug)]
pub(crate) struct Load {
    orders: Option<Sender<Order>>,
    done: Receiver<Result<Sent>>,
    thread: Option<JoinHandle<()>>,
}

/// The nice value of those who always go first.
const FIRST: i32 = -20;

/// Frames to be sent, without so many of the first.
type Order = (Arc<Frames>, usize);

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// How many frames.
    pub(crate) frames: usize,
    /// In how much CPU time.
    pub(crate) time: Duration,
}

impl Load {
    fn start(ifindex: u32, longest: usize) -> Result<Self> {
        let (orders, ordered) = unbounded::<Order>();
        let (done_out, done) = unbounded();
        // It inherits the namespace and the core.
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || {
                // Else whoever waits for the frames takes the core at the first of them, again and
                // again. Without the right to it, the figures are a little higher.
                let _ = setpriority_process(None, FIRST);
                let mut generator = Generator::load(ifindex, LOAD, longest).map_err(in_words);
                for (frames, skipped) in ordered {
                    let sent = match &mut generator {
                        Ok(generator) => send(generator, &frames, skipped),
                        Err(error) => Err(anyhow!("{error:#}")),
                    };
                    if done_out.send(sent).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self {
            orders: Some(orders),
            done,
            thread: Some(thread),
        })
    }

    /// Sends up to [`LOAD`] frames, those after the first `skipped`.
    pub(crate) fn send(&mut self, frames: &Arc<Frames>, skipped: usize) -> Result<Sent> {
        let orders = self.orders.as_ref().context("it has ended")?;
        orders.send((Arc::clone(frames), skipped))?;
        self.done.recv()?
    }
}

fn send(generator: &mut Generator, frames: &Frames, skipped: usize) -> Result<Sent> {
    let prepared = generator
        .prepare(frames.iter().skip(skipped))
        .map_err(in_words)?;
    let mut sent = 0;
    let time = timed(|| {
        sent = generator.send(prepared).map_err(in_words)?;
        Ok(())
    })?;
    ensure!(sent == prepared, "{sent} of {prepared} frames were sent");
    Ok(Sent {
        frames: sent as usize,
        time,
    })
}

impl Drop for Load {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where threads wait for each other, so that they are busy at the same time. Who waits alone for
/// long goes on alone.
#[derive(Debug, Default)]
pub(crate) struct Meeting {
    expected: usize,
    arrived: AtomicUsize,
}

impl Meeting {
    /// Of so many threads.
    pub(crate) fn of(expected: usize) -> Self {
        Self {
            expected,
            arrived: AtomicUsize::new(0),
        }
    }

    /// Until as many have come as are expected.
    pub(crate) fn wait(&self) {
        if self.expected < 2 {
            return;
        }
        let number = self.arrived.fetch_add(1, Ordering::SeqCst) + 1;
        let all = number.next_multiple_of(self.expected);
        let end = deadline(ALONE);
        while self.arrived.load(Ordering::SeqCst) < all && now() < end {
            std::hint::spin_loop();
        }
    }
}

/// How long one thread waits for the others.
const ALONE: Duration = Duration::from_millis(200);

/// The CPU time of this thread so far.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// The CPU time that some work takes.
pub(crate) fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = cpu();
    work()?;
    Ok(cpu().saturating_sub(start))
}

/// The middle one; of an even number the lower of the two.
pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().checked_sub(1)? / 2).copied()
}

/// Gigabits of packets in a second at so many nanoseconds each.
pub(crate) fn gbps(size: Size, ns: f64) -> f64 {
    size.mean() * 8.0 / ns
}

/// Which part of the time goes into what cannot be done without.
pub(crate) fn efficiency(floor_ns: f64, crypto_ns: f64, ns: f64) -> f64 {
    (floor_ns + crypto_ns) / ns
}

/// What a measured interface is to be.
pub(crate) fn interface(name: &str, peer: Ipv4Addr) -> Interface {
    Interface {
        name: name.to_owned(),
        address: GATEWAY,
        peer,
        mtu: INNER_MTU,
        check_source: true,
        ipv6: None,
        membership: Membership::default(),
        stands: false,
    }
}

/// A worker at the near end of a wire, with sessions.
pub(crate) struct Product {
    worker: Worker,
    line: Line,
    /// Kept so that its program stays attached.
    steering: Option<Steering>,
    installed: u32,
    reaper: Reaper,
}

/// How a worker is told something, and what it answers.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) commands: Sender<Command>,
    pub(crate) reports: Receiver<Report>,
    _frames: Receiver<greyhound_datapath::engine::worker::ControlFrame>,
    _poll: mio::Poll,
}

impl Product {
    /// Alone on the first queue of a wire, with tunnels numbered from `first` on.
    pub(crate) fn new(wire: &Wire, first: u32, sessions: u32) -> Result<Self> {
        let mut io = open(&wire.near, 1)?;
        let mut steering = io.steering.context("no XDP program")?;
        steer(&mut steering, 0, first, sessions)?;
        let queue = io.queues.pop().context("no queue")?;
        let (parts, line) = parts(0, 0, queue, &inboxes(1)?)?;
        let mut product = Self::of(parts, line, first, sessions)?;
        product.steering = Some(steering);
        Ok(product)
    }

    /// One worker of several, with tunnels numbered from `first` on, each with an interface.
    pub(crate) fn of(parts: Parts, line: Line, first: u32, sessions: u32) -> Result<Self> {
        let mut product = Self {
            worker: Worker::new(parts).context("io_uring")?,
            line,
            steering: None,
            installed: 0,
            reaper: Reaper::start()?,
        };
        for number in first..first + sessions {
            install(&product.line.commands, number, product.installed)?;
            product.installed += 1;
            // In between, so that not all wait at once.
            if product.installed.is_multiple_of(64) {
                product.drain()?;
            }
        }
        product.totals()?;
        Ok(product)
    }

    /// Holds every session to limits.
    pub(crate) fn limit(&mut self, limits: Limits) -> Result<()> {
        for id in 0..self.installed {
            self.line
                .commands
                .send(Command::SetLimits(SessionId(id), limits))?;
            // In between, so that not all wait at once.
            if (id + 1).is_multiple_of(64) {
                self.drain()?;
            }
        }
        self.drain()
    }

    /// Lets the worker do what there is to do.
    pub(crate) fn drain(&mut self) -> Result<()> {
        while self.worker.pass().context("the worker's ring")? {}
        Ok(())
    }

    /// One look at everything.
    pub(crate) fn pass(&mut self) -> Result<bool> {
        self.worker.pass().context("the worker's ring")
    }

    /// What the worker counted.
    pub(crate) fn totals(&mut self) -> Result<WorkerTotals> {
        self.line.commands.send(Command::ReadTotals)?;
        self.drain()?;
        totals(&self.line.reports)
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        self.steering = None;
        for id in 0..self.installed {
            let _ = self.line.commands.send(Command::Remove(SessionId(id)));
        }
        // An interface is given back when its reads are cancelled, which takes a moment.
        let mut left = self.installed;
        let end = now() + PATIENCE;
        while left > 0 && now() < end {
            let _ = self.worker.pass();
            for report in self.line.reports.try_iter() {
                if let Report::Released(tun) = report {
                    self.reaper.bury(tun);
                    left -= 1;
                }
            }
        }
    }
}

impl std::fmt::Debug for Product {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Product")
            .field("installed", &self.installed)
            .finish_non_exhaustive()
    }
}

/// How long interfaces may take to be given back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sockets on the queues of an interface, and the program that steers frames to them.
pub(crate) fn open(interface: &Uplink, queues: u16) -> Result<Io> {
    let rings = xsk::Config::default();
    probe::open(IoChoice::Native, interface, queues, &rings)
}

/// Inboxes as the main thread makes them.
pub(crate) fn inboxes(workers: u16) -> Result<Arc<Inboxes>> {
    let rings = xsk::Config::default();
    let owned = (rings.rx_frames + rings.tx_frames) as usize + POOL_BUFFERS;
    Ok(Arc::new(Inboxes::new(workers, owned)?))
}

/// What a worker is made of, as the main thread does it.
pub(crate) fn parts(
    number: u16,
    core: u16,
    queue: Queue,
    inboxes: &Arc<Inboxes>,
) -> Result<(Parts, Line)> {
    let poll = mio::Poll::new().context("epoll")?;
    let wake = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).context("eventfd")?);
    let (reports_out, reports) = unbounded();
    let (frames_out, frames) = crossbeam::channel::bounded(64);
    let (commands, commands_in) = unbounded();
    let parts = Parts {
        id: WorkerId(number),
        core,
        queue: Some(queue),
        raw_receiver: None,
        raw_sender: raw::Sender::new().context("raw socket to send")?,
        inboxes: Arc::clone(inboxes),
        commands: commands_in,
        outbox: Outbox {
            reports: reports_out,
            frames: frames_out,
            wake,
        },
        spin: SPIN,
    };
    let line = Line {
        commands,
        reports,
        _frames: frames,
        _poll: poll,
    };
    Ok((parts, line))
}

/// Steers the frames of tunnels to a worker, whose sessions are numbered from 0.
pub(crate) fn steer(steering: &mut Steering, worker: u16, first: u32, sessions: u32) -> Result<()> {
    for (id, number) in (first..first + sessions).enumerate() {
        let tunnel = Ends::of(number).tunnel;
        steering
            .insert_session(tunnel.peer, tunnel.call_id.0, worker, u32::try_from(id)?)
            .map_err(in_words)?;
    }
    Ok(())
}

/// Gives a worker the tunnel with this number as its session `id`, ready to carry packets.
pub(crate) fn install(commands: &Sender<Command>, number: u32, id: u32) -> Result<()> {
    let ends = Ends::of(number);
    let id = SessionId(id);
    let name = format!("gh{number}");
    let tun = tun::create(&interface(&name, inner_address(number)), true)?;
    for command in [
        Command::Install(id, ends.tunnel, Exit::Queue),
        Command::SetLink(id, ends.link),
        Command::SetMppe(id, Some(ends.rx), Some(ends.tx)),
        Command::Attach(id, tun, ends.inner, Vec::new()),
    ] {
        commands.send(command)?;
    }
    Ok(())
}

/// The answer to [`Command::ReadTotals`], which is due.
pub(crate) fn totals(reports: &Receiver<Report>) -> Result<WorkerTotals> {
    let mut totals = None;
    for report in reports.try_iter() {
        match report {
            Report::Totals(answer) => totals = Some(answer),
            Report::Failed(id, reason) => bail!("session {}: {reason}", id.0),
            Report::Broken(_, reason) => bail!("the worker broke: {reason}"),
            Report::Notice(id, notice) => bail!("session {}: {notice:?}", id.0),
            Report::MergingRefused(_) => bail!("the kernel refused a merged packet"),
            Report::Counters(..)
            | Report::LimitReached(..)
            | Report::Released(_)
            | Report::Removed(..) => {}
        }
    }
    totals.context("the worker did not answer")
}

/// Errors of the XDP programs tell their source themselves.
pub(crate) fn in_words(error: greyhound_bpf::Error) -> anyhow::Error {
    anyhow!("{error}")
}

/// A moment from which on something has taken too long.
pub(crate) fn deadline(time: Duration) -> Instant {
    now() + time
}

/// Sets a switch of the calling thread's network namespace.
fn set(key: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/ipv4/{key}");
    fs::write(&path, value).with_context(|| format!("write {path}"))
}

#[cfg(test)]
mod tests {
    use arrayvec::ArrayVec;

    use super::*;
    use crate::generator::{Cipher, Peers};

    #[test]
    fn efficiency_is_the_part_that_cannot_be_done_without() {
        assert!((efficiency(300.0, 100.0, 500.0) - 0.8).abs() < 1e-9);
        assert!((gbps(Size::Bytes(1250), 1000.0) - 10.0).abs() < 1e-9);
        assert_eq!(median(vec![3.0, 1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    #[ignore = "needs root"]
    fn prepared_frames_arrive_in_their_order_and_each_as_it_was() {
        let lab = Lab::new().unwrap();
        let work = |lab: &Lab| {
            let wire = lab.wire("gen", 1)?;
            let mut io = open(&wire.near, 1)?;
            steer(io.steering.as_mut().unwrap(), 0, 0, 5)?;
            let queue = &mut io.queues[0];
            let mut load = wire.load(Size::Imix)?;
            let mut peers = Peers::new(0, 5, 7, Cipher::Mppe)?;
            // More than the kernel has pages for at once, so that they are used again.
            for _ in 0..3 {
                let frames = Arc::new(peers.frames(LOAD as usize + 100, Size::Imix)?);
                assert_eq!(load.send(&frames, 0)?.frames, LOAD as usize, "no more");
                assert_eq!(load.send(&frames, LOAD as usize)?.frames, 100);
                let mut expected = frames.iter();
                let mut burst = ArrayVec::new();
                while queue.receive(&mut burst) > 0 {
                    for frame in burst.drain(..) {
                        assert_eq!(Some(frame.bytes()), expected.next());
                        queue.recycle(frame);
                    }
                }
                assert_eq!(expected.next(), None);
            }
            Ok(())
        };
        lab.measure(core(&[]), work).unwrap();
    }

    #[test]
    fn this_thread_spends_time() {
        let spent = timed(|| {
            let start = cpu();
            while cpu() == start {}
            Ok(())
        });
        assert!(spent.unwrap() > Duration::ZERO);
    }
}
