//! What is counted. A drop reason is one enum: the index of its counter, and its text.
//!
//! Counters are plain `u64`, owned by one worker, and read by copying them.

use serde::{Deserialize, Serialize};

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)+) => {
        /// Why a frame or packet was dropped. Each has a counter of its own, named by [`Self::name`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum DropReason {
            $($(#[$doc])* $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order of its counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The counter's name, the same in logs, in `print` and in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

drop_reasons! {
    /// The frame ends inside an Ethernet, VLAN or IPv4 header, or the IPv4 header is nonsense.
    BadIp => "bad-ip",
    /// The GRE header is cut off, or its payload length exceeds the frame.
    TruncatedGre => "truncated-gre",
    /// Not an enhanced GRE header (version 1, protocol 0x880B, key present).
    BadGre => "bad-gre",
    /// No session has this peer address and call id.
    UnknownCall => "unknown-call",
    /// A sequence number that was delivered before.
    DuplicateSeq => "duplicate-seq",
    /// A sequence number behind the reorder window.
    StaleSeq => "stale-seq",
    /// A sequence number too far ahead to be believed.
    FutureSeq => "future-seq",
    /// A data frame without a sequence number (RFC 2637 §4.1: S is set when payload follows).
    MissingSeq => "missing-seq",
    /// The PPP frame ends inside its address, control or protocol field.
    TruncatedPpp => "truncated-ppp",
    /// A Multilink header is cut off, or its fragments make up more than our MRRU.
    BadFragment => "bad-fragment",
    /// A network protocol that is not up on this session.
    ProtocolNotUp => "protocol-not-up",
    /// An encrypted frame on a session without MPPE.
    MppeNotUp => "mppe-not-up",
    /// An unencrypted network packet on a session with MPPE.
    NotEncrypted => "not-encrypted",
    /// An MPPE frame without the D bit, or without the A bit in stateless mode (RFC 3078 §3.1).
    BadMppeHeader => "bad-mppe-header",
    /// A coherency count whose key is no longer kept.
    StaleKey => "stale-key",
    /// A coherency count so far ahead that its key costs more steps than the session may spend.
    KeyBudget => "key-budget",
    /// Stateful MPPE: a frame before this one is missing, and no reset has come since.
    OutOfSync => "mppe-out-of-sync",
    /// What was decrypted is not a PPP frame with a valid IP packet: wrong key or forged.
    Undecryptable => "undecryptable",
    /// The inner packet is not a valid IPv4 or IPv6 packet.
    BadInnerIp => "bad-inner-ip",
    /// The inner source address is not the session's.
    SpoofedSource => "spoofed-source",
    /// A packet from TUN larger than the session's MTU.
    TooBig => "too-big",
    /// What was read from TUN is not what its virtio-net header says.
    BadSuperPacket => "bad-super-packet",
    /// The queue to the control process, or the session's share of it, was full.
    ControlQueueFull => "control-queue-full",
    /// A session without an interface received a network packet.
    NoInterface => "no-interface",
    /// A packet from the peer came faster than the session may send.
    RateLimitRx => "rate-limit-rx",
    /// A packet to the peer came faster than the session may receive.
    RateLimitTx => "rate-limit-tx",
    /// The TUN interface refused the packet.
    TunWrite => "tun-write",
    /// The queue to the worker that owns the session was full.
    HandoffFull => "handoff-full",
    /// No free TX frame, or the TX ring was full.
    TxFull => "tx-full",
    /// The raw socket refused the frame.
    RawSend => "raw-send",
}

/// A counter for each [`DropReason`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Default for Drops {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl Drops {
    /// Counts one drop.
    pub fn count(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }

    /// How often `reason` was counted.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Every reason with its count, in the order of the enum.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .iter()
            .map(|&reason| (reason, self.of(reason)))
    }
}

/// What one session has moved. `rx` is from the peer, `tx` to the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCounters {
    /// Valid GRE frames of any kind received: the sign of life that the keepalive looks at.
    pub rx_frames: u64,
    /// Network packets received from the peer.
    pub rx_packets: u64,
    /// Bytes of these packets, inner IP header included.
    pub rx_bytes: u64,
    /// Network packets sent to the peer.
    pub tx_packets: u64,
    /// Bytes of these packets, inner IP header included.
    pub tx_bytes: u64,
    /// Packets that came after a later one and were delivered all the same.
    pub rx_late: u64,
    /// Sequence numbers that were skipped and have not come (a late one takes itself off).
    pub rx_lost: u64,
    /// Multilink fragments received.
    pub rx_fragments: u64,
    /// Those of them that were dropped because others of their packet did not come.
    pub rx_fragments_lost: u64,
    /// Multilink fragments sent.
    pub tx_fragments: u64,
    /// Frames dropped, whatever the reason.
    pub dropped: u64,
}

/// What one worker has moved, besides its [`Drops`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCounters {
    /// Frames received through AF_XDP.
    pub rx_xsk: u64,
    /// Frames received through the raw socket.
    pub rx_raw: u64,
    /// Frames received from another worker's queue.
    pub rx_handoff: u64,
    /// Packets written to TUN interfaces.
    pub tun_written: u64,
    /// Packets read from TUN interfaces.
    pub tun_read: u64,
    /// Frames sent through AF_XDP.
    pub tx_xsk: u64,
    /// Frames sent through the raw socket.
    pub tx_raw: u64,
    /// Acknowledgements sent without payload.
    pub lone_acks: u64,
}
