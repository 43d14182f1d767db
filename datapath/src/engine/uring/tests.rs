//! Rings on pipes, event counters and a TUN interface.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever was not expected ends a test"
)]

use std::cell::Cell;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};
use rustix::pipe::{PipeFlags, pipe_with};

use super::*;
use crate::engine::testing::{in_namespace, interfaces, ip, wait_for};
use crate::engine::tun::{self, Tun};
use crate::ipc::{Interface, Membership};

const SMALL: Config = Config {
    entries: 8,
    writes: 4,
    buffers: 8,
    buffer_bytes: 256,
};

type VecRing = Ring<Vec<u8>>;

#[test]
fn a_poll_reports_each_time_that_there_is_something_new() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let counter = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    ring.poll(&counter, 7).unwrap();
    for _ in 0..20 {
        assert!(nothing(&mut ring));
        rustix::io::write(&counter, &1_u64.to_ne_bytes()).unwrap();
        assert!(matches!(next(&mut ring), Completion::Ready { token: 7 }));
        rustix::io::read(&counter, &mut [0; 8]).unwrap();
    }
}

#[test]
fn a_poll_for_once_reports_once_and_leaves_nothing() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let counter = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    for _ in 0..20 {
        ring.poll_once(&counter, 7).unwrap();
        assert!(nothing(&mut ring));
        rustix::io::write(&counter, &1_u64.to_ne_bytes()).unwrap();
        assert!(matches!(next(&mut ring), Completion::Ready { token: 7 }));
        rustix::io::write(&counter, &1_u64.to_ne_bytes()).unwrap();
        assert!(nothing(&mut ring), "nobody asked again");
        rustix::io::read(&counter, &mut [0; 8]).unwrap();
    }
    rustix::io::write(&counter, &1_u64.to_ne_bytes()).unwrap();
    ring.poll_once(&counter, 8).unwrap();
    let ready = next(&mut ring);
    assert!(
        matches!(ready, Completion::Ready { token: 8 }),
        "it was before"
    );
    assert_eq!(ring.in_kernel, 0);
}

#[test]
fn a_cancelled_poll_ends_once_and_its_token_can_be_used_again() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let counter = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    for _ in 0..3 {
        ring.poll(&counter, 7).unwrap();
        ring.cancel(7).unwrap();
        ring.cancel(7).unwrap();
        let Completion::PollEnded { token: 7, error } = next(&mut ring) else {
            panic!("not ended");
        };
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        ring.cancel(7).unwrap();
        assert!(nothing(&mut ring));
    }
    assert_eq!(ring.in_kernel, 0);
}

#[test]
fn a_read_delivers_all_that_comes_in_order() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let (reader, writer) = packet_pipe();
    ring.read(&reader, 3).unwrap();
    ring.submit().unwrap();
    for index in 0..100_u8 {
        rustix::io::write(&writer, &[index; 5]).unwrap();
        assert_eq!(read(&mut ring, 3), [index; 5]);
    }
    drop(writer);
    let Completion::ReadEnded { token: 3, error } = next(&mut ring) else {
        panic!("not ended");
    };
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn reading_pauses_while_all_buffers_are_out_and_goes_on_when_one_is_back() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let (reader, writer) = packet_pipe();
    ring.read(&reader, 3).unwrap();
    ring.submit().unwrap();
    for round in 0..5 {
        for index in 0..20 {
            rustix::io::write(&writer, &[round, index]).unwrap();
        }
        let mut held = VecDeque::new();
        for index in 0..8 {
            let bytes = next_read(&mut ring, 3);
            assert_eq!(*bytes, [round, index]);
            held.push_back(bytes);
        }
        assert!(nothing(&mut ring));
        for index in 8..20 {
            held.pop_front();
            let bytes = next_read(&mut ring, 3);
            assert_eq!(*bytes, [round, index]);
            held.push_back(bytes);
        }
        assert!(nothing(&mut ring));
    }
}

#[test]
fn a_read_that_waits_for_buffers_can_be_cancelled() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let (reader, writer) = packet_pipe();
    ring.read(&reader, 3).unwrap();
    ring.submit().unwrap();
    for index in 0..9 {
        rustix::io::write(&writer, &[index]).unwrap();
    }
    let held: Vec<_> = (0..8).map(|_| next_read(&mut ring, 3)).collect();
    assert!(nothing(&mut ring));
    ring.cancel(3).unwrap();
    let Completion::ReadEnded { token: 3, error } = next(&mut ring) else {
        panic!("not ended");
    };
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    drop(held);
    assert!(nothing(&mut ring));
    ring.read(&reader, 3).unwrap();
    assert_eq!(read(&mut ring, 3), [8]);
}

#[test]
fn buffers_outlive_the_ring_and_can_be_written_to() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let (reader, writer) = packet_pipe();
    ring.read(&reader, 3).unwrap();
    rustix::io::write(&writer, b"abc").unwrap();
    let mut bytes = next_read(&mut ring, 3);
    drop(ring);
    bytes.make_ascii_uppercase();
    assert_eq!(*bytes, *b"ABC");
}

#[test]
fn a_write_owns_its_buffer_until_it_is_done() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let (reader, writer) = packet_pipe();
    for token in 0..4 {
        let buffer = vec![u8::try_from(token).unwrap(); 10];
        ring.write(&writer, buffer, 2..6, token).unwrap();
    }
    assert_eq!(ring.free_writes(), 0);
    let refused = ring.write(&writer, b"one too many".to_vec(), 0..3, 9);
    assert_eq!(refused.unwrap_err(), b"one too many");
    for expected in 0..4 {
        let Completion::Written {
            token,
            buffer,
            result,
        } = next(&mut ring)
        else {
            panic!("not written");
        };
        assert_eq!((token, result.unwrap()), (expected, 4));
        assert_eq!(buffer, [u8::try_from(token).unwrap(); 10]);
        let mut written = [0xff; 10];
        assert_eq!(rustix::io::read(&reader, &mut written).unwrap(), 4);
        assert_eq!(written[..4], buffer[2..6]);
    }
    assert_eq!(ring.free_writes(), 4);
}

#[test]
fn a_range_outside_of_the_buffer_is_refused() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let (_reader, writer) = packet_pipe();
    #[expect(clippy::reversed_empty_ranges, reason = "what a caller gets wrong")]
    for range in [0..4, 4..5, 3..2] {
        assert_eq!(
            ring.write(&writer, vec![1, 2, 3], range, 0),
            Err(vec![1, 2, 3])
        );
    }
    assert_eq!(ring.free_writes(), 4);
    assert_eq!(ring.in_kernel, 0);
}

#[test]
fn an_error_of_a_write_comes_with_its_buffer() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let (reader, _writer) = packet_pipe();
    ring.write(&reader, vec![1], 0..1, 5).unwrap();
    let Completion::Written {
        token: 5,
        buffer,
        result,
    } = next(&mut ring)
    else {
        panic!("not written");
    };
    assert_eq!(buffer, [1]);
    assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
}

#[test]
fn more_operations_than_entries_are_all_done() {
    let mut ring = VecRing::new(&Config {
        writes: 64,
        ..SMALL
    })
    .unwrap();
    let (_reader, writer) = pipe_with(PipeFlags::empty()).unwrap();
    for token in 0..60 {
        ring.write(&writer, vec![0], 0..1, token).unwrap();
    }
    for expected in 0..60 {
        assert!(matches!(next(&mut ring), Completion::Written { token, .. } if token == expected));
    }
}

#[test]
fn dropping_the_ring_lets_go_of_everything_it_holds() {
    let (reader, writer) = packet_pipe();
    let fill = (0..).take_while(|_| rustix::io::write(&writer, &[0; 4096]).is_ok());
    assert!(fill.count() > 0);
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let mut ring = Ring::<Tattling>::new(&SMALL).unwrap();
    let dropped = Rc::new(Cell::new(0));
    let other = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    ring.poll(&other, 1).unwrap();
    ring.read(&other, 2).unwrap();
    // The pipe is full, so these stay under way.
    for token in 0..2 {
        let blocked = Tattling(Rc::clone(&dropped));
        ring.write(&writer, blocked, 0..4, token).unwrap();
    }
    assert!(nothing(&mut ring));
    assert_eq!((dropped.get(), ring.in_kernel), (0, 4));
    drop(ring);
    assert_eq!(dropped.get(), 2);
    // The kernel has let go of the descriptors too, or is about to: the pipe comes to an end, and
    // there is nothing of the buffers in it.
    drop(writer);
    let mut bytes = [0xff; 4096];
    wait_for("the end", || {
        let read = rustix::io::read(&reader, &mut bytes).unwrap_or(1);
        assert!(bytes[..read].iter().all(|&byte| byte != 1));
        (read == 0).then_some(())
    });
}

#[test]
fn waiting_ends_with_the_time_or_with_a_completion() {
    let mut ring = VecRing::new(&SMALL).unwrap();
    let counter = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    ring.poll(&counter, 7).unwrap();
    ring.submit_and_wait(Some(Duration::from_millis(1)))
        .unwrap();
    assert!(nothing(&mut ring));
    let thread = {
        let mut file = File::from(counter.try_clone().unwrap());
        std::thread::spawn(move || file.write_all(&1_u64.to_ne_bytes()).unwrap())
    };
    ring.submit_and_wait(None).unwrap();
    assert!(matches!(
        ring.next_completion(),
        Some(Completion::Ready { token: 7 })
    ));
    thread.join().unwrap();
}

#[test]
fn impossible_sizes_are_refused() {
    for config in [
        Config {
            buffers: 0,
            ..SMALL
        },
        Config {
            buffers: 100,
            ..SMALL
        },
        Config {
            buffer_bytes: 0,
            ..SMALL
        },
        Config {
            entries: 0,
            ..SMALL
        },
    ] {
        assert!(VecRing::new(&config).is_err(), "{config:?}");
    }
}

#[test]
fn packets_of_an_interface_are_read_and_written_until_it_is_deleted() {
    in_namespace(|| {
        let tun = tun("tun-a");
        let mut ring = VecRing::new(&SMALL).unwrap();
        ring.read(&tun, 1).unwrap();
        ring.submit().unwrap();
        // An echo request from the other side of the interface is answered by the kernel.
        for sequence in 0..30 {
            let request = echo_request(sequence);
            let length = request.len();
            ring.write(&tun, request, 0..length, 2).unwrap();
            let (mut written, mut answered) = (false, false);
            while !(written && answered) {
                match next(&mut ring) {
                    Completion::Written {
                        token: 2, result, ..
                    } => {
                        assert_eq!(result.unwrap(), length);
                        written = true;
                    }
                    Completion::Read { token: 1, bytes } => {
                        assert_eq!(bytes[20], 0, "an echo reply");
                        assert_eq!(bytes[26..28], sequence.to_be_bytes());
                        answered = true;
                    }
                    unexpected => panic!("{unexpected:?}"),
                }
            }
        }
        ip("link del tun-a");
        let Completion::ReadEnded { token: 1, error } = next(&mut ring) else {
            panic!("not ended");
        };
        assert_eq!(error.raw_os_error(), Some(libc::EBADFD));
    });
}

#[test]
fn a_cancelled_read_of_an_interface_lets_it_go() {
    in_namespace(|| {
        let tun = tun("tun-a");
        let mut ring = VecRing::new(&SMALL).unwrap();
        ring.read(&tun, 1).unwrap();
        ring.submit().unwrap();
        ring.cancel(1).unwrap();
        assert!(matches!(
            next(&mut ring),
            Completion::ReadEnded { token: 1, .. }
        ));
        drop(tun);
        assert!(interfaces().is_empty());
    });
}

fn next<B: AsRef<[u8]> + fmt::Debug>(ring: &mut Ring<B>) -> Completion<B> {
    wait_for("a completion", || {
        ring.submit().unwrap();
        ring.next_completion()
    })
}

/// Whether there is no completion even after everything was handed to the kernel.
fn nothing<B: AsRef<[u8]>>(ring: &mut Ring<B>) -> bool {
    ring.submit().unwrap();
    ring.submit_and_wait(Some(Duration::from_millis(1)))
        .unwrap();
    ring.next_completion().is_none()
}

fn next_read(ring: &mut VecRing, expected: u64) -> ReadBuffer {
    match next(ring) {
        Completion::Read { token, bytes } if token == expected => bytes,
        other => panic!("{other:?}"),
    }
}

fn read(ring: &mut VecRing, expected: u64) -> Vec<u8> {
    next_read(ring, expected).to_vec()
}

/// A pipe that keeps what was written in one piece in one piece, as an interface does.
fn packet_pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::DIRECT | PipeFlags::NONBLOCK).unwrap()
}

/// A buffer that counts its drops.
#[derive(Debug)]
struct Tattling(Rc<Cell<u32>>);

impl AsRef<[u8]> for Tattling {
    fn as_ref(&self) -> &[u8] {
        &[1; 4]
    }
}

impl Drop for Tattling {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A TUN interface from 192.0.2.1 to 192.0.2.2.
fn tun(name: &str) -> Tun {
    let (address, peer) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let name = name.to_owned();
    let interface = Interface {
        name,
        address,
        peer,
        mtu: 256,
        check_source: false,
        ipv6: None,
        membership: Membership::default(),
        stands: false,
    };
    tun::create(&interface, false).unwrap()
}

fn echo_request(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 1, 0x40, 0, 64, 1, 0, 0];
    packet.extend([192, 0, 2, 2, 192, 0, 2, 1]);
    packet.extend([8, 0, 0, 0, 0, 1]);
    packet.extend(sequence.to_be_bytes());
    let checksums = [(10, 0..20), (22, 20..28)];
    for (at, covered) in checksums {
        let words = packet[covered].chunks_exact(2);
        let sum: u32 = words
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        packet[at..at + 2].copy_from_slice(&(!folded).to_be_bytes());
    }
    packet
}

#[test]
fn what_keeps_a_ring_from_being_made_comes_with_what_to_do() {
    for (errno, word) in [
        (libc::EPERM, "kernel.io_uring_disabled"),
        (libc::ENOSYS, "CONFIG_IO_URING"),
        (libc::EINVAL, "6.7"),
        (libc::ENOMEM, "MEMLOCK"),
    ] {
        let said = hint(&io::Error::from_raw_os_error(errno));
        assert!(said.contains(word), "{errno}: {said}");
    }
    assert_eq!(hint(&io::ErrorKind::Other.into()), "");
}
