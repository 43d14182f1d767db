//! The kinds of messages: for each a name, its topics, and an id that never changes.
//!
//! Who watches the log tells one message from another by the id, whatever its text says: in the
//! journal it is `MESSAGE_ID`, in syslog the name is MSGID. An id is never given to another kind.

use tracing::Level;

macro_rules! messages {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $level:ident, $topics:literal, $id:literal;)+) => {
        /// A kind of message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Message {
            $($(#[$doc])* $variant,)+
        }

        impl Message {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name: lower-case words with hyphens, 32 bytes at most (RFC 5424 §6.2.7).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// How much it matters.
            #[must_use]
            pub const fn level(self) -> Level {
                match self {
                    $(Self::$variant => Level::$level,)+
                }
            }

            /// The topics, separated by commas.
            #[must_use]
            pub const fn topics(self) -> &'static str {
                match self {
                    $(Self::$variant => $topics,)+
                }
            }

            /// The 128 bits that it is known by, written as 32 hexadecimal digits.
            #[must_use]
            pub const fn id(self) -> u128 {
                match self {
                    $(Self::$variant => $id,)+
                }
            }
        }
    };
}

messages! {
    /// `TCP connection established from CALLER`.
    TcpEstablished => "tcp-established", INFO, "pptp,info", 0xeba3a135_bf58414c_b0efca94_3a7f5d2c;
    /// `TCP connection from CALLER refused: too many without a session`.
    TcpRefused => "tcp-refused", DEBUG, "pptp,debug", 0xda12b270_e0864fc0_bb2e5ee1_1d343882;
    /// `CALLER is HOST (VENDOR)`.
    PeerNamed => "peer-named", DEBUG, "pptp,debug", 0xc5dbd869_051040e8_a3aeb20e_57d677d0;
    /// `CALLER misbehaved: WHAT COUNT`.
    PeerMisbehaved => "peer-misbehaved", DEBUG, "pptp,debug", 0x6a5ea37e_2f094eed_a11013e7_b0a91820;
    /// Rcvd or sent a message of a control connection.
    ControlMessage => "control-message", DEBUG, "pptp,debug,packet", 0x9b9fe125_f7d04b3c_9dc1a0db_dcf0cf8e;
    /// Accepting a TCP connection failed.
    AcceptFailed => "accept-failed", WARN, "pptp,warning", 0x9c0f2721_62d44de4_afe58629_866982ea;
    /// `INTERFACE: initializing...`.
    Initializing => "initializing", INFO, "pptp,ppp,info", 0x92503db3_a03c49b0_b6fdfee4_82733625;
    /// `INTERFACE: cannot resolve HOST: WHY`.
    NameNotResolved => "name-not-resolved", WARN, "pptp,ppp,warning", 0x51c6e2f8_0d7b4a93_b86f1e27_9c40d5aa;
    /// `INTERFACE: cannot connect to ADDRESS: WHY`.
    ConnectFailed => "connect-failed", WARN, "pptp,ppp,warning", 0xa7d83b19_62fe4c05_9e1a70b4_d3285f6c;
    /// `INTERFACE: the server refused WHAT: WHY (result CODE)`.
    CallRefused => "call-refused", ERROR, "pptp,ppp,error", 0x092c18f3_24864268_b4605f00_7d5db969;
    /// `INTERFACE: connecting...`.
    Connecting => "connecting", INFO, "pptp,ppp,info", 0x22c73866_785f48fc_9b237b13_48b721d9;
    /// Rcvd or sent a PPP control packet.
    PppPacket => "ppp-packet", DEBUG, "pptp,ppp,debug,packet", 0xa4de0250_07a94cc1_83323e5e_81d26712;
    /// `USER logged in, ADDRESS from CALLER`.
    LoggedIn => "logged-in", INFO, "pptp,ppp,info,account", 0xa94e1312_8d24498f_94e41187_26e16fa7;
    /// `INTERFACE: user USER authentication failed`.
    LoginFailed => "login-failed", ERROR, "pptp,ppp,error", 0xc971be1d_a5ac47bf_8673570e_c644e11f;
    /// `user USER refused: WHY`, for a reason that is not the user's.
    LoginUndecided => "login-undecided", ERROR, "pptp,ppp,error", 0x5d3e9a07_c4f1482b_9a60b7d2_e81f3c94;
    /// `RADIUS server ADDRESS does not answer`.
    RadiusMissing => "radius-missing", WARN, "radius,warning", 0x3b9c10e5_7f2a4d86_8c41d90e_a5b6372f;
    /// `RADIUS server ADDRESS answers again`.
    RadiusBack => "radius-back", INFO, "radius,info", 0xe04f7b29_c6d84a13_97b2f581_3d60ac9e;
    /// `RADIUS server ADDRESS answered, and that is dropped: WHY`.
    RadiusUnbelieved => "radius-unbelieved", ERROR, "radius,error", 0x72a5d8c4_0be9471f_a6e3509d_c18f4b27;
    /// A request of RADIUS cannot be sent, and why.
    RadiusUnsent => "radius-unsent", ERROR, "radius,error", 0x1f86e3b0_5ad24c97_bd074e62_98ca31f5;
    /// `INTERFACE: changed` or `disconnected by RADIUS server ADDRESS`.
    RadiusChanged => "radius-changed", INFO, "pptp,ppp,radius,info", 0x86c20f5b_17ad4e39_b3d8a4f0_629e7c15;
    /// `INTERFACE: the server refused: REASON`.
    LoginRefused => "login-refused", ERROR, "pptp,ppp,error", 0xb801600f_6c28440d_a5f98210_b84fa3bf;
    /// `INTERFACE: authenticated`.
    Authenticated => "authenticated", INFO, "pptp,ppp,info", 0x8c0bdf5e_738e4a14_86f5830f_f525ff09;
    /// No address for USER, and why.
    NoAddress => "no-address", ERROR, "pptp,ppp,error", 0x2201ef80_217d40a8_93a53947_277317d0;
    /// `INTERFACE: using encoding - ENCODING`.
    Encoding => "encoding", INFO, "pptp,ppp,info", 0x3ebf9903_214b4813_ad790f63_13f69c68;
    /// `INTERFACE: connected`.
    Connected => "connected", INFO, "pptp,ppp,info", 0xd62f803c_af8e40ea_88a65afb_1a443bb5;
    /// `INTERFACE: what is wrong with the addresses that the server gave`.
    AddressDoubtful => "address-doubtful", WARN, "pptp,ppp,warning", 0xe0942c7d_18b54f36_a3d60f8b_725ec1d4;
    /// `INTERFACE: no GRE from CALLER - protocol 47 blocked?`.
    NoGre => "no-gre", WARN, "pptp,ppp,warning", 0x99a2d520_a66f4911_b6c05b86_923af000;
    /// `INTERFACE: nothing can be decrypted - MPPE keys disagree`.
    KeysDisagree => "keys-disagree", ERROR, "pptp,ppp,error", 0x98ea4a45_19164a06_aac4eb90_71e60883;
    /// `INTERFACE: LCP missed echo reply`.
    EchoMissed => "echo-missed", INFO, "pptp,ppp,info", 0x2e5af000_890a49fc_9c393f3e_43c69fd2;
    /// `INTERFACE: what the datapath could not do`.
    SessionFailed => "session-failed", ERROR, "pptp,ppp,error", 0x6cb60426_97d8426a_899fa518_7da556b1;
    /// `INTERFACE: what it does without: WHY`.
    Lacking => "lacking", WARN, "pptp,ppp,warning", 0x3f0c9d52_7a6e4b18_91d4c7e2_58ab60f3;
    /// `INTERFACE: using DNS servers SERVERS`.
    DnsUsed => "dns-used", INFO, "pptp,ppp,info", 0x667cb2c9_443748cc_a8e3e5c5_66f2e32a;
    /// `INTERFACE: not using DNS servers SERVERS: WHY`, or they could not be taken back.
    DnsFailed => "dns-failed", WARN, "pptp,ppp,warning", 0x4f4552d0_472340e6_8c7533c6_3e497ee2;
    /// `INTERFACE: terminating... - CAUSE`.
    Terminating => "terminating", INFO, "pptp,ppp,info", 0x9f94fa0a_383a4945_aff04ca6_05c6f9b7;
    /// `USER logged out, SECONDS RX-BYTES TX-BYTES RX-PACKETS TX-PACKETS from CALLER`.
    LoggedOut => "logged-out", INFO, "pptp,ppp,info,account", 0x79e5a1ce_40ef443a_9fffe251_a3994c34;
    /// `INTERFACE: disconnected`.
    Disconnected => "disconnected", INFO, "pptp,ppp,info", 0x6b5aa958_445b4ce6_b0392455_ecba5745;
    /// The datapath process is connected.
    DatapathConnected => "datapath-connected", INFO, "system,info", 0xe1500efe_77e047f9_abfa7573_677f176c;
    /// The datapath process is gone, and every session with it.
    DatapathLost => "datapath-lost", ERROR, "system,error", 0x7b167500_bf2b4a26_a08f9cdd_d7a0fad9;
    /// The datapath process is of another version.
    DatapathMismatch => "datapath-mismatch", ERROR, "system,error", 0x1a1e74fd_ac744017_941db75d_4f5664a0;
    /// `WHAT changed by WHOM`.
    SettingsChanged => "settings-changed", INFO, "system,info", 0x6ed3cb63_11ca4d02_ad94d680_fa2bcb2d;
    /// Changes of the configuration cannot be kept, and will be refused.
    ConfigurationUnkept => "configuration-unkept", WARN, "system,warning", 0x8d2b6f04_c51e4b7a_a3f09d6c_417e58b2;
    /// Accounting records cannot be kept for now.
    AccountingUnkept => "accounting-unkept", ERROR, "system,error", 0x1fdb70cd_65c44631_80982dfb_1a4ba600;
    /// Accounting records are kept again.
    AccountingKept => "accounting-kept", INFO, "system,info", 0x15e39805_cff14872_a7af5a94_d85984dd;
    /// Accounting records cannot be read.
    AccountingUnread => "accounting-unread", ERROR, "system,error", 0x220025e3_c7694f66_a2feeb14_ed3b7ac9;
    /// The file of accounting records is damaged and was moved aside.
    AccountingMoved => "accounting-moved", ERROR, "system,error", 0xfbdaec4c_a9b54282_a7037e1d_dd3ae3d1;
    /// Accounting records are lost.
    AccountingGivenUp => "accounting-given-up", ERROR, "system,error", 0x48160af3_5ffd4bb0_a081b7c0_31b49025;
    /// Changes about no session that is up.
    AccountingIgnored => "accounting-ignored", DEBUG, "system,debug", 0xd8b3e3ad_f3e44b7b_ac97cd4f_3fe7f529;
    /// The program stops.
    Stopping => "stopping", INFO, "system,info", 0x736a2b5a_6d054f55_980f92b4_39ed2c23;
    /// What a hook wrote to its standard output.
    HookOutput => "hook-output", INFO, "script,info", 0x7bb4df71_76b645a9_938f043f_b79773d7;
    /// What a hook wrote to its standard error.
    HookComplaint => "hook-complaint", WARN, "script,warning", 0xbf9aad36_f5534717_b581086d_97ed41fa;
    /// A hook has ended as it should.
    HookEnded => "hook-ended", DEBUG, "script,debug", 0x1bd98a8d_8f6b275a_ca0361dc_857caff0;
    /// There is no program that may be run as a hook.
    HookMissing => "hook-missing", WARN, "script,warning", 0x137c7f05_6d390ed9_1a975e5d_22f797ab;
    /// A hook was not run, or did not end well.
    HookFailed => "hook-failed", ERROR, "script,error", 0x7494cd8a_e1ae439c_b16e4aa0_0b46d03b;
    /// `COUNT lines could not be written`.
    LinesLost => "lines-lost", WARN, "system,warning", 0x98f0c18f_8a12401c_a050b14e_29b2e43e;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_messages_have_the_same_id_or_name() {
        let ids: BTreeSet<_> = Message::ALL.iter().map(|one| one.id()).collect();
        let names: BTreeSet<_> = Message::ALL.iter().map(|one| one.name()).collect();
        assert_eq!(ids.len(), Message::ALL.len());
        assert_eq!(names.len(), Message::ALL.len());
        assert!(!ids.contains(&0));
    }

    #[test]
    fn a_name_is_one_that_syslog_takes() {
        for message in Message::ALL {
            let name = message.name();
            assert!((1..=32).contains(&name.len()), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
        }
    }

    #[test]
    fn the_topics_name_the_level() {
        for message in Message::ALL {
            let word = match message.level() {
                Level::ERROR => "error",
                Level::WARN => "warning",
                Level::INFO => "info",
                Level::DEBUG => "debug",
                Level::TRACE => "trace",
            };
            let mut topics = message.topics().split(',');
            assert!(topics.any(|topic| topic == word), "{}", message.name());
        }
    }

    /// The page that operators read has every message as it is here.
    #[test]
    fn the_documentation_lists_every_message() {
        const PAGE: &str = include_str!("../../../docs/logs.md");
        for message in Message::ALL {
            let (name, topics, id) = (message.name(), message.topics(), message.id());
            let (head, tail) = (
                format!("| `{name}` | `{topics}` |"),
                format!("| `{id:032x}` |"),
            );
            let is_row = |line: &str| line.starts_with(&head) && line.ends_with(&tail);
            assert!(PAGE.lines().any(is_row), "no row {head} ... {tail}");
        }
    }
}
