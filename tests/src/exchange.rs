//! Streams and datagrams through a tunnel, compared byte for byte with what was sent.
//!
//! Everything that is sent follows from a seed: the receiver needs no second way to know it, and
//! can say which byte of which packet is wrong.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, UdpGroSegment};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg, setsockopt,
};

use crate::namespace::Namespace;
use crate::random::Random;
use crate::tcp::{self, PATIENCE};
use crate::wait::now;

/// Sends `length` bytes each way at once over one TCP connection, in pieces of all sizes, and
/// compares what arrives.
///
/// # Errors
/// No connection, silence for [`PATIENCE`], or the first byte that differs.
pub fn tcp(
    from: &Namespace,
    to: &Namespace,
    address: SocketAddr,
    length: usize,
    seed: u64,
) -> Result<()> {
    let listener = tcp::listen(to, address)?;
    let forth = Random::new(seed).bytes(length);
    let back = Random::new(!seed).bytes(length);
    let connected = from
        .inside(|| TcpStream::connect_timeout(&address, PATIENCE))?
        .with_context(|| format!("connect to {address}"))?;
    let accepted = tcp::accept(&listener)?;
    thread::scope(|scope| {
        let threads = [
            scope.spawn(|| compare(&accepted, &forth)),
            scope.spawn(|| compare(&connected, &back)),
            scope.spawn(|| write(&connected, &forth, seed)),
            scope.spawn(|| write(&accepted, &back, seed)),
        ];
        let ended = threads.map(|thread| thread.join().map_err(|_| anyhow!("panicked")).flatten());
        // All of them: where one finds a wrong byte, the others find the connection ended.
        let errors = ended.into_iter().filter_map(Result::err);
        let errors: Vec<String> = errors.map(|error| format!("{error:#}")).collect();
        ensure!(errors.is_empty(), "TCP to {address}: {}", errors.join("; "));
        Ok(())
    })
}

/// Writes all of it, in pieces that a sender who does not wait for full segments would write.
fn write(mut stream: &TcpStream, mut bytes: &[u8], seed: u64) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut random = Random::new(seed);
    while !bytes.is_empty() {
        let most = if random.happens(200) { 300 } else { 1 << 17 };
        let piece = random.between(1, most).min(bytes.len());
        stream.write_all(&bytes[..piece]).context("send")?;
        bytes = &bytes[piece..];
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(())
}

/// Reads to the end of the stream. At the first wrong byte it ends the connection.
fn compare(stream: &TcpStream, expected: &[u8]) -> Result<()> {
    let compared = compare_all(stream, expected);
    if compared.is_err() {
        // It may have ended by itself.
        let _ = stream.shutdown(Shutdown::Both);
    }
    compared
}

fn compare_all(mut stream: &TcpStream, expected: &[u8]) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; 1 << 18];
    let mut right = 0;
    loop {
        let length = stream
            .read(&mut buffer)
            .with_context(|| format!("receive after {right} of {} bytes", expected.len()))?;
        if length == 0 {
            break;
        }
        let rest = &expected[right..];
        ensure!(length <= rest.len(), "more bytes than were sent");
        if let Some(difference) = difference(&buffer[..length], &rest[..length]) {
            bail!("after {right} right bytes, {difference}");
        }
        right += length;
    }
    ensure!(right == expected.len(), "the end after {right} bytes");
    Ok(())
}

/// Where two byte strings of the same length begin to differ, and how.
fn difference(arrived: &[u8], sent: &[u8]) -> Option<String> {
    let at = arrived.iter().zip(sent).position(|(a, b)| a != b)?;
    let wrong = arrived.iter().zip(sent).filter(|(a, b)| a != b).count();
    let some = |bytes: &[u8]| format!("{:02x?}", &bytes[at..bytes.len().min(at + 32)]);
    Some(format!(
        "{wrong} of {} bytes differ, from byte {at}: {} in place of {}",
        sent.len(),
        some(arrived),
        some(sent)
    ))
}

/// A flow of datagrams of all sizes, and how they are handed to the kernel.
#[derive(Debug)]
pub struct Datagrams {
    seed: u64,
    /// The bytes of each.
    sizes: Vec<usize>,
    /// How many of them each call sends; with more than one, the kernel segments.
    calls: Vec<usize>,
}

impl Datagrams {
    /// At least `count` of them: single ones of any size, and runs of one size with a shorter one
    /// at the end, handed over one by one or as one piece to be segmented.
    #[must_use]
    pub fn new(count: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (mut sizes, mut calls) = (Vec::new(), Vec::new());
        while sizes.len() < count {
            let size = random.between(1, LARGEST_DATAGRAM);
            // Full ones and tiny ones are more than chance would give.
            let size = match random.between(0, 4) {
                0 => LARGEST_DATAGRAM,
                1 => size % 32 + 1,
                _ => size,
            };
            let run = random.between(2, MOST_SEGMENTS.min(LARGEST_PIECE / size));
            let last = random.between(1, size);
            let kind = random.between(0, 2);
            if kind == 0 {
                // A datagram may be empty.
                sizes.push(size - usize::from(size < 16));
                calls.push(1);
                continue;
            }
            sizes.extend((1..run).map(|_| size));
            sizes.push(last);
            if kind == 1 {
                calls.extend((0..run).map(|_| 1));
            } else {
                calls.push(run);
            }
        }
        Self { seed, sizes, calls }
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sizes.len()
    }

    /// Its number is in front; where there is no room for it, all datagrams of a size are alike.
    fn content(&self, number: usize) -> Vec<u8> {
        let size = self.sizes[number];
        if size < NUMBER_BYTES {
            return vec![0x5a; size];
        }
        let stamp = u32::try_from(number).unwrap_or(u32::MAX);
        let mut content = stamp.to_be_bytes().to_vec();
        let seed = self.seed ^ u64::from(stamp) << 32;
        content.extend(Random::new(seed).bytes(size - NUMBER_BYTES));
        content
    }

    /// Sends them to an address in another namespace, no more at a time than the queues on the way
    /// hold, and compares what arrives.
    ///
    /// # Errors
    /// A datagram arrived that was not sent, or arrived twice.
    pub fn exchange(
        &self,
        from: &Namespace,
        to: &Namespace,
        address: SocketAddr,
    ) -> Result<Arrived> {
        let receiver = to.inside(|| UdpSocket::bind(address))??;
        setsockopt(&receiver, RcvBufForce, &RECEIVE_BUFFER)?;
        setsockopt(&receiver, UdpGroSegment, &true)?;
        receiver.set_read_timeout(Some(SILENCE))?;
        let any: IpAddr = if address.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let sender = from.inside(|| {
            let sender = UdpSocket::bind((any, 0))?;
            sender.connect(address)?;
            std::io::Result::Ok(sender)
        })??;
        let progress = Progress::default();
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let sent = self.send(&sender, &progress);
                progress.sent_all.store(true, Ordering::Relaxed);
                sent
            });
            let arrived = self.receive(&receiver, &progress);
            progress.received_all.store(true, Ordering::Relaxed);
            let sent = sender
                .join()
                .map_err(|_| anyhow!("the sender panicked"))
                .flatten();
            // What the receiver says comes first: the sender only sees that nobody receives.
            arrived.and_then(|arrived| sent.map(|()| arrived))
        })
        .with_context(|| format!("UDP to {address}"))
    }

    fn send(&self, socket: &UdpSocket, progress: &Progress) -> Result<()> {
        let mut number = 0;
        for &run in &self.calls {
            let asked = now();
            // What a later one has overtaken is lost, or as good as there.
            while number + run > progress.next.load(Ordering::Relaxed) + WINDOW {
                let received_all = progress.received_all.load(Ordering::Relaxed);
                ensure!(
                    !received_all && asked.elapsed() < PATIENCE,
                    "nothing is received before datagram {number} is sent"
                );
                thread::sleep(LOOK_AGAIN);
            }
            let content: Vec<u8> = (number..number + run)
                .flat_map(|number| self.content(number))
                .collect();
            let segment = u16::try_from(self.sizes[number])?;
            let segments = [ControlMessage::UdpGsoSegments(&segment)];
            let control = if run > 1 { &segments[..] } else { &[] };
            let piece = [IoSlice::new(&content)];
            let fd = socket.as_raw_fd();
            let sent = sendmsg::<()>(fd, &piece, control, MsgFlags::empty(), None)
                .with_context(|| format!("send {run} datagrams of {segment} bytes"))?;
            ensure!(sent == content.len(), "sent {sent} bytes");
            number += run;
        }
        Ok(())
    }

    fn receive(&self, socket: &UdpSocket, progress: &Progress) -> Result<Arrived> {
        let mut judge = Judge::new(self);
        let mut buffer = vec![0; 1 << 16];
        let mut control = cmsg_space!(i32);
        let mut last = now();
        while judge.arrived.count < self.count() {
            let mut piece = [IoSliceMut::new(&mut buffer)];
            let fd = socket.as_raw_fd();
            let received = recvmsg::<()>(fd, &mut piece, Some(&mut control), MsgFlags::empty());
            let (length, segment) = match received {
                Ok(message) => {
                    let segment = message.cmsgs()?.find_map(|control| {
                        if let ControlMessageOwned::UdpGroSegments(size) = control {
                            usize::try_from(size).ok()
                        } else {
                            None
                        }
                    });
                    (message.bytes, segment)
                }
                Err(Errno::EAGAIN) if progress.sent_all.load(Ordering::Relaxed) => break,
                Err(Errno::EAGAIN) if last.elapsed() < PATIENCE => continue,
                Err(error) => return Err(error).context("receive"),
            };
            last = now();
            match segment {
                Some(segment) if segment < length => {
                    judge.arrived.merged += 1;
                    let mut datagrams = buffer[..length].chunks(segment);
                    datagrams.try_for_each(|datagram| judge.look(datagram))?;
                }
                Some(_) | None => judge.look(&buffer[..length])?,
            }
            progress.next.store(judge.next, Ordering::Relaxed);
        }
        Ok(judge.arrived)
    }
}

/// What arrived of [`Datagrams`], each as it was sent, none twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// So many.
    pub count: usize,
    /// How many of them came after a later one.
    pub late: usize,
    /// How often the kernel gave several as one piece.
    pub merged: usize,
}

/// Compares each datagram with what was sent.
struct Judge<'a> {
    of: &'a Datagrams,
    seen: Vec<bool>,
    /// How many may still come of those too small to be told apart, by size.
    small: [usize; NUMBER_BYTES],
    /// One more than the highest number that came.
    next: usize,
    arrived: Arrived,
}

impl<'a> Judge<'a> {
    fn new(of: &'a Datagrams) -> Self {
        let mut small = [0; NUMBER_BYTES];
        for (size, count) in small.iter_mut().enumerate() {
            *count = of.sizes.iter().filter(|&&other| other == size).count();
        }
        Self {
            of,
            seen: vec![false; of.count()],
            small,
            next: 0,
            arrived: Arrived::default(),
        }
    }

    fn look(&mut self, datagram: &[u8]) -> Result<()> {
        self.arrived.count += 1;
        let Some(number) = datagram.first_chunk() else {
            return self.look_at_small(datagram);
        };
        let number = usize::try_from(u32::from_be_bytes(*number))?;
        let next = self.next;
        let place = || format!("datagram {number}, while {next} was expected");
        ensure!(
            number < self.of.count(),
            "no such datagram: {}: {datagram:02x?}",
            place()
        );
        let sent = self.of.content(number);
        ensure!(
            datagram.len() == sent.len(),
            "{}: {} bytes in place of {}: {datagram:02x?}",
            place(),
            datagram.len(),
            sent.len()
        );
        if let Some(difference) = difference(datagram, &sent) {
            bail!("{}: {difference}", place());
        }
        ensure!(!self.seen[number], "{}: it came before", place());
        self.seen[number] = true;
        self.arrived.late += usize::from(number < next);
        self.next = self.next.max(number + 1);
        Ok(())
    }

    fn look_at_small(&mut self, datagram: &[u8]) -> Result<()> {
        let (size, next) = (datagram.len(), self.next);
        ensure!(
            datagram.iter().all(|&byte| byte == 0x5a),
            "{size} wrong bytes, while datagram {next} was expected: {datagram:02x?}"
        );
        let left = self.small[size].checked_sub(1);
        self.small[size] = left.with_context(|| {
            format!("one datagram of {size} bytes too many, while datagram {next} was expected")
        })?;
        Ok(())
    }
}

/// What both threads of a flow see.
#[derive(Default)]
struct Progress {
    sent_all: AtomicBool,
    received_all: AtomicBool,
    /// One more than the highest number that has arrived.
    next: AtomicUsize,
}

/// With the IPv6 and UDP headers, still within a tunnel's MTU.
const LARGEST_DATAGRAM: usize = 1400;

/// How much the kernel takes at once, and in how many pieces.
const LARGEST_PIECE: usize = 60_000;
const MOST_SEGMENTS: usize = 64;

/// In front of each datagram that has room for it.
const NUMBER_BYTES: usize = 4;

/// How many may be on their way: four flows share the queue of a TUN interface, which holds 500.
const WINDOW: usize = 120;

const LOOK_AGAIN: Duration = Duration::from_micros(100);

/// For how long nothing arrives after the end until nothing more will.
const SILENCE: Duration = Duration::from_millis(300);

const RECEIVE_BUFFER: usize = 16 << 20;
