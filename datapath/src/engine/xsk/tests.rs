//! Frames between the two ends of a veth pair, `va` and `vb`.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use caps::Capability;
use greyhound_bpf::{Metadata, Mode, Steering};
use rustix::net::{AddressFamily, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::area::HEADROOM_BYTES;
use super::*;
use crate::engine::testing::{in_namespace, ip, keep_capabilities, wait_for};
use crate::engine::uring::{self, Completion, Ring};

const SMALL: Config = Config {
    rx_frames: 256,
    tx_frames: 256,
    copy: false,
};

const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const CALL_ID: u16 = 0x1234;

#[test]
fn frames_arrive_with_their_owner_in_front_in_both_modes() {
    for mode in [Mode::Native, Mode::Skb] {
        in_namespace(move || {
            let mut link = Link::new(1, mode);
            let payloads: Vec<Vec<u8>> = [42, 43, 60, 1000, 1500, FRAME_BYTES]
                .map(|length| frame(u32::try_from(length).unwrap(), length))
                .into();
            for bytes in &payloads {
                send(&mut link.va[0], bytes);
                let received = receive(&mut link.vb[0]);
                assert_eq!(received.bytes(), bytes, "{mode}");
                let owner = Metadata {
                    worker: 5,
                    session: 77,
                };
                assert_eq!(received.metadata(), owner, "{mode}");
                link.vb[0].recycle(received);
            }
            link.assert_conserved();
        });
    }
}

#[test]
fn ten_thousand_frames_go_through_in_order_and_none_is_leaked() {
    in_namespace(|| {
        let mut link = Link::new(1, Mode::Native);
        let mut received = 0;
        let mut sent = 0;
        let mut burst = ArrayVec::new();
        let mut batch = ArrayVec::new();
        wait_for("10,000 frames", || {
            while sent < 10_000 && sent - received < 128 && !batch.is_full() {
                let Some(mut taken) = link.va[0].take_tx() else {
                    break;
                };
                write(&mut taken, &frame(sent, 100));
                batch.push(taken);
                sent += 1;
            }
            link.va[0].transmit(&mut batch);
            link.va[0].kick().unwrap();
            link.vb[0].receive(&mut burst);
            for frame in burst.drain(..) {
                assert_eq!(number(frame.bytes()), received);
                received += 1;
                link.vb[0].recycle(frame);
            }
            (received == 10_000).then_some(())
        });
        link.assert_conserved();
        let statistics = link.vb[0].statistics().unwrap();
        assert_eq!(statistics.rx_dropped, 0);
        assert_eq!(statistics.bad_descriptors, 0);
        assert_eq!(link.va[0].statistics().unwrap().tx_invalid, 0);
    });
}

#[test]
fn frames_of_one_queue_recycled_on_another_thread_by_another_queue_come_round_again() {
    in_namespace(|| {
        let mut link = Link::new(2, Mode::Native);
        let mut other = link.vb.pop().unwrap();
        // Room for fewer than the first queue has, so that it never runs dry.
        let (hand_over, handed_over) = std::sync::mpsc::sync_channel::<Frame>(BURST);
        let recycler = thread::spawn(move || {
            for frame in handed_over {
                other.recycle(frame);
            }
            other
        });
        // Far more than the first queue has: it lives on what the second one gives up.
        for index in 0..3000 {
            send(&mut link.va[0], &frame(index, 80));
            let received = receive(&mut link.vb[0]);
            assert_eq!(number(received.bytes()), index);
            hand_over.send(received).unwrap();
        }
        drop(hand_over);
        link.vb.push(recycler.join().unwrap());
        link.assert_conserved();
    });
}

#[test]
fn each_queue_receives_what_its_counterpart_sends() {
    in_namespace(|| {
        let mut link = Link::new(2, Mode::Native);
        for index in [1, 0, 1] {
            send(&mut link.va[index], &frame(7, 90));
            let received = receive(&mut link.vb[index]);
            link.vb[1 - index].recycle(received);
        }
        let mut none = ArrayVec::new();
        assert_eq!(link.vb[0].receive(&mut none), 0);
        assert_eq!(link.vb[1].receive(&mut none), 0);
        link.assert_conserved();
    });
}

#[test]
fn a_reader_that_falls_behind_loses_frames_but_no_chunks() {
    in_namespace(|| {
        let mut link = Link::new(1, Mode::Native);
        for index in 0..300 {
            send(&mut link.va[0], &frame(index, 100));
        }
        let lost = wait_for("frames without a chunk", || {
            let statistics = link.vb[0].statistics().unwrap();
            (statistics.rx_dropped > 0).then_some(statistics.rx_dropped)
        });
        let mut burst = ArrayVec::new();
        let mut received = 0;
        while link.vb[0].receive(&mut burst) > 0 {
            received += burst.len() as u64;
            burst.drain(..).for_each(|frame| link.vb[0].recycle(frame));
        }
        assert_eq!((received, lost), (256, 44));
        send(&mut link.va[0], &frame(4711, 100));
        assert_eq!(number(receive(&mut link.vb[0]).bytes()), 4711);
        link.assert_conserved();
    });
}

#[test]
fn a_received_frame_can_be_sent_back_as_it_is() {
    in_namespace(|| {
        let mut link = Link::new(1, Mode::Native);
        send(&mut link.va[0], &frame(1, 200));
        let mut echo = receive(&mut link.vb[0]);
        echo.bytes_mut()[60] = 0xee;
        echo.set_len(100);
        link.vb[0].transmit(&mut ArrayVec::from_iter([echo]));
        // No program is attached at this end, so the kernel counts it as received.
        wait_for("the echo", || {
            link.vb[0].kick().unwrap();
            ip("-s link show va")
                .contains("        100       1 ")
                .then_some(())
        });
        wait_for("the completion", || {
            (link.vb[0].reclaim() == 1).then_some(())
        });
        link.assert_conserved();
    });
}

#[test]
fn frames_to_send_run_out_and_those_dropped_come_back() {
    in_namespace(|| {
        let mut link = Link::new(1, Mode::Native);
        let queue = &mut link.va[0];
        let taken: Vec<Frame> = std::iter::from_fn(|| queue.take_tx()).collect();
        assert_eq!(taken.len(), 256);
        assert!(queue.take_tx().is_none());
        thread::spawn(|| drop(taken)).join().unwrap();
        let again = std::iter::from_fn(|| queue.take_tx()).collect::<Vec<_>>();
        assert_eq!(again.len(), 256);
        let chunks: std::collections::BTreeSet<usize> = again
            .iter()
            .map(|frame| frame.desc.addr() / CHUNK_BYTES)
            .collect();
        assert_eq!(chunks.len(), 256);
        assert!(again.iter().all(|frame| frame.len() == 0));
        drop(again);
        link.assert_conserved();
    });
}

#[test]
fn a_full_ring_leaves_frames_with_the_caller() {
    in_namespace(|| {
        let mut link = Link::new(2, Mode::Native);
        let queue = &mut link.va[0];
        // All 256 frames are in the ring; nobody kicks, so it stays full.
        for _ in 0..4 {
            let mut batch: ArrayVec<Frame, BURST> =
                std::iter::from_fn(|| queue.take_tx()).take(BURST).collect();
            batch
                .iter_mut()
                .for_each(|taken| write(taken, &frame(0, 60)));
            assert_eq!(queue.transmit(&mut batch), BURST);
        }
        let mut more = ArrayVec::from_iter([link.va[1].take_tx().unwrap()]);
        assert_eq!(link.va[0].transmit(&mut more), 0);
        assert_eq!(more.len(), 1);
        assert_eq!(link.va[0].kick().unwrap(), 0);
        wait_for("room", || {
            (link.va[0].transmit(&mut more) == 1).then_some(())
        });
        link.assert_conserved();
    });
}

#[test]
fn a_frame_of_other_memory_goes_back_to_where_it_belongs() {
    in_namespace(|| {
        let mut link = Link::new(1, Mode::Native);
        let strangers = [(); 2].map(|()| link.va[0].take_tx().unwrap());
        let [first, second] = strangers;
        link.vb[0].recycle(first);
        assert_eq!(link.vb[0].transmit(&mut ArrayVec::from_iter([second])), 0);
        assert_eq!(link.va[0].area.unclaimed.len(), 2);
        link.assert_conserved();
    });
}

#[test]
fn a_frame_keeps_within_its_chunk() {
    in_namespace(|| {
        let mut link = Link::new(1, Mode::Native);
        let mut taken = link.va[0].take_tx().unwrap();
        assert_eq!(taken.area_mut().len(), FRAME_BYTES);
        taken.set_len(FRAME_BYTES + 1);
        assert_eq!(taken.bytes().len(), FRAME_BYTES);
        taken.area_mut().fill(0xff);
        taken.set_len(0);
        assert_eq!(taken.bytes(), []);
        let neighbours = std::iter::from_fn(|| link.va[0].take_tx()).take(100);
        for mut neighbour in neighbours.collect::<Vec<_>>() {
            assert!(neighbour.area_mut().iter().all(|&byte| byte == 0));
        }
    });
}

#[test]
fn descriptors_that_point_elsewhere_are_refused() {
    let (area, _) = Area::new(1, &SMALL).unwrap();
    let (_, of_larger_area) = Area::new(2, &SMALL).unwrap();
    for desc in &of_larger_area[512..] {
        assert!(area.checked(*desc).is_none());
    }
    assert_eq!(area.unclaimed.len(), 0);
    // No room for the metadata in front of it.
    assert!(area.checked(FrameDesc::default()).is_none());
    // Longer than its chunk.
    let large_chunks = xsk_rs::config::UmemConfig::builder().build().unwrap();
    let (umem, mut descriptors) = xsk_rs::Umem::new(large_chunks, NonZeroU32::MIN, false).unwrap();
    for (length, fits) in [(FRAME_BYTES, true), (FRAME_BYTES + 1, false)] {
        // SAFETY: the only chunk of an area that nobody else uses.
        let mut data = unsafe { umem.data_mut(&mut descriptors[0]) };
        data.cursor().set_pos(length);
        assert_eq!(area.checked(descriptors[0]).is_some(), fits);
    }
    // The chunks of the last two, and of the one that was dropped, are there to be used again.
    assert_eq!(area.unclaimed.len(), 3);
    let unclaimed = area.unclaimed.pop().unwrap();
    assert_eq!(
        (unclaimed.addr(), unclaimed.lengths().data()),
        (HEADROOM_BYTES, 0)
    );
}

#[test]
fn a_thread_without_capabilities_moves_frames_and_waits_for_them() {
    in_namespace(|| {
        let mut link = Link::new(1, Mode::Native);
        keep_capabilities(&[]);
        let mut ring = Ring::<Frame>::new(&uring::Config::default()).unwrap();
        ring.poll(&link.vb[0], 9).unwrap();
        for index in 0..3 {
            ring.submit().unwrap();
            assert!(ring.next_completion().is_none());
            send(&mut link.va[0], &frame(index, 100));
            ring.submit_and_wait(None).unwrap();
            let woken = ring.next_completion();
            assert!(
                matches!(woken, Some(Completion::Ready { token: 9 })),
                "{woken:?}"
            );
            let received = receive(&mut link.vb[0]);
            link.vb[0].recycle(received);
        }
        ring.cancel(9).unwrap();
        drop(ring);
        link.assert_conserved();
    });
}

#[test]
fn a_part_of_a_frame_can_be_written_by_a_ring_which_gives_the_frame_back() {
    in_namespace(|| {
        let mut link = Link::new(1, Mode::Native);
        let mut ring = Ring::<Frame>::new(&uring::Config::default()).unwrap();
        let (reader, writer) = pipe_with(PipeFlags::empty()).unwrap();
        let mut taken = link.va[0].take_tx().unwrap();
        write(&mut taken, b"headers and a payload");
        ring.write(&writer, taken, 14..21, 1).unwrap();
        ring.submit_and_wait(None).unwrap();
        let Some(Completion::Written {
            token: 1,
            buffer,
            result,
        }) = ring.next_completion()
        else {
            panic!("not written");
        };
        assert_eq!(result.unwrap(), 7);
        let mut written = [0; 20];
        assert_eq!(rustix::io::read(&reader, &mut written).unwrap(), 7);
        assert_eq!(written[..7], *b"payload");
        link.va[0].recycle(buffer);
        link.assert_conserved();
    });
}

#[test]
fn errors_say_what_is_missing() {
    in_namespace(|| {
        let _link = Link::new(1, Mode::Native);
        let refusal = |interface: &str, queues, config: &Config| {
            open(interface, queues, config).unwrap_err().to_string()
        };
        let busy = refusal("va", 1, &SMALL);
        assert!(
            busy.starts_with("va: no AF_XDP socket on queue 0: "),
            "{busy}"
        );
        assert!(
            busy.ends_with("another program has an AF_XDP socket on this queue"),
            "{busy}"
        );
        let missing = refusal("vc", 1, &SMALL);
        assert!(
            missing.ends_with("; there is no such interface"),
            "{missing}"
        );
        let odd = Config {
            rx_frames: 100,
            ..SMALL
        };
        assert_eq!(
            refusal("va", 1, &odd),
            "100 is not a possible number of frames or queues"
        );
        assert_eq!(
            refusal("va", 0, &SMALL),
            "0 is not a possible number of frames or queues"
        );
        assert_eq!(
            refusal("v\0", 1, &SMALL),
            "\"v\\0\" is not an interface name"
        );
        ip("link add vd type veth peer name ve");
        ip("link set vd up");
        let queue = refusal("vd", 2, &SMALL);
        assert!(
            queue.starts_with("vd: no AF_XDP socket on queue 1: "),
            "{queue}"
        );
        assert!(
            queue.ends_with("; the interface has no such queue, or is not up"),
            "{queue}"
        );
    });
}

#[test]
fn a_process_without_the_capabilities_is_told_which() {
    in_namespace(|| {
        // Other threads keep the capability that makes the limit meaningless.
        let limit = getrlimit(Resource::Memlock);
        let current = Some(8 << 20);
        setrlimit(Resource::Memlock, Rlimit { current, ..limit }).unwrap();
        keep_capabilities(&[Capability::CAP_NET_RAW]);
        let memory = open("lo", 1, &Config::default()).unwrap_err().to_string();
        assert!(
            memory.starts_with("the UMEM of 16777216 bytes was refused: "),
            "{memory}"
        );
        assert!(memory.contains("RLIMIT_MEMLOCK"), "{memory}");
        assert!(memory.ends_with("or run with CAP_IPC_LOCK"), "{memory}");
        keep_capabilities(&[]);
        let socket = open("lo", 1, &SMALL).unwrap_err().to_string();
        assert!(socket.ends_with("; AF_XDP needs CAP_NET_RAW"), "{socket}");
    });
}

/// A veth pair, with sockets on all queues of both ends, and frames of one call steered at `vb`.
struct Link {
    va: Vec<Queue>,
    vb: Vec<Queue>,
    _steering: Steering,
}

impl Link {
    fn new(queues: u32, mode: Mode) -> Self {
        let number = format!("numrxqueues {queues} numtxqueues {queues}");
        ip(&format!(
            "link add va mtu 2000 {number} type veth peer name vb mtu 2000 {number}"
        ));
        for end in ["va", "vb"] {
            ip(&format!("link set {end} addrgenmode none"));
            ip(&format!("link set {end} up"));
        }
        let mut steering = Steering::load().unwrap();
        steering.insert_session(PEER, CALL_ID, 5, 77).unwrap();
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None).unwrap();
        let ifindex = rustix::net::netdevice::name_to_index(&socket, "vb").unwrap();
        steering.attach(ifindex, mode).unwrap();
        let (va, vb) = ["va", "vb"]
            .map(|end| open(end, queues, &SMALL).unwrap())
            .into();
        for (number, queue) in (0..).zip(&vb) {
            steering.set_socket(number, queue).unwrap();
        }
        Self {
            va,
            vb,
            _steering: steering,
        }
    }

    /// Every chunk of either end is free or in one of the kernel's rings.
    fn assert_conserved(&mut self) {
        for queues in [&mut self.va, &mut self.vb] {
            let total = queues[0].area.pristine.len();
            wait_for("all frames to be sent", || {
                queues.iter_mut().for_each(|queue| {
                    queue.kick().unwrap();
                    queue.reclaim();
                });
                queues.iter().all(|queue| queue.in_tx == 0).then_some(())
            });
            let held: usize = (queues.iter())
                .map(|queue| queue.free.len() + queue.in_rx as usize)
                .sum();
            assert_eq!(held + queues[0].area.unclaimed.len(), total);
        }
    }
}

/// A GRE frame of the call that is steered, with a number in it.
fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    bytes.extend([0x45, 0, 0, 86, 0, 1, 0, 0, 64, 47, 0, 0]);
    bytes.extend(PEER.octets());
    bytes.extend([198, 51, 100, 1]);
    bytes.extend([0x30, 0x01, 0x88, 0x0b, 0, 50]);
    bytes.extend(CALL_ID.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes.resize(length, 0x5a);
    bytes
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(*frame[42..].first_chunk().unwrap())
}

fn write(frame: &mut Frame, bytes: &[u8]) {
    frame.area_mut()[..bytes.len()].copy_from_slice(bytes);
    frame.set_len(bytes.len());
}

fn send(queue: &mut Queue, bytes: &[u8]) {
    let mut taken = wait_for("a frame to send", || queue.take_tx());
    write(&mut taken, bytes);
    let mut batch = ArrayVec::from_iter([taken]);
    wait_for("room to send", || {
        (queue.transmit(&mut batch) == 1).then_some(())
    });
    wait_for("the frame to leave", || {
        (queue.kick().unwrap() == 0).then_some(())
    });
}

fn receive(queue: &mut Queue) -> Frame {
    let mut received = ArrayVec::new();
    wait_for("a frame", || {
        queue.receive(&mut received);
        received.pop()
    })
}
