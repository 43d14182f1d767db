//! Servers that lie to our client: each session ends with its cause named, nothing is left of it,
//! and the client dials again, more and more slowly.

use std::fmt::Write as _;
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use greyhound_control::ppp::protocol::{CCP, CHAP, IPCP, LCP};
use greyhound_control::pptp::wire::{GeneralError, OutgoingCallResult, StartResult};
use greyhound_tests::liar::{Lie, Step};
use greyhound_tests::namespace::Lan;

use self::laboratory::{Client, Laboratory, Row, row};

mod floods;
mod laboratory;
mod names;
mod own_address;

/// Several clients at a time: most of what they do is to wait.
#[test]
#[ignore = "needs root: ./run test"]
fn a_server_that_lies_is_named_and_dialed_again_later_and_later() -> Result<()> {
    let lan = Lan::new()?;
    let lying = Laboratory::with(&lan, lies(), 100)?;
    let silent = Laboratory::with(&lan, silences(), 150)?;
    let flooding = Laboratory::with(&lan, floods::rows(), 170)?;
    let own_address = Laboratory::with(&lan, own_address::rows(), 230)?;
    let names = names::prepare(&lan)?;

    thread::scope(|scope| {
        let parts = [
            scope.spawn(|| {
                watch(lying, LIES_WATCHED)?;
                floods::check(flooding)
            }),
            scope.spawn(|| watch(silent, SILENCE_WATCHED)),
            scope.spawn(|| names::check(names)),
            scope.spawn(|| own_address::check(own_address)),
        ];
        let ended = parts.map(|part| part.join().map_err(|_| anyhow!("panicked")).flatten());
        let errors = ended.into_iter().filter_map(Result::err);
        let errors: Vec<String> = errors.map(|error| format!("{error:#}")).collect();
        ensure!(errors.is_empty(), "{}", errors.join("\n\n"));
        Ok(())
    })
}

/// Lets all dial for a while, and sees what they came to.
fn watch((laboratory, clients): (Laboratory, Vec<Client>), time: Duration) -> Result<()> {
    let names = || clients.iter().map(|client| &*client.name);
    laboratory.set(names(), "disabled=no")?;
    sleep(time);
    let mut wrong = String::new();
    // The last one began last.
    for client in clients.iter().rev() {
        if let Err(error) = laboratory.check(client) {
            writeln!(wrong, "{:?}: {error:#}", client.row.lie)?;
        }
    }
    ensure!(wrong.is_empty(), "{wrong}\n{}", laboratory.log());
    laboratory.close()
}

fn lies() -> Vec<Row> {
    use GeneralError as Error;
    use OutgoingCallResult as Call;

    let message = |length: u16, kind: u16| {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend([0, 1, 0x1a, 0x2b, 0x3c, 0x4d]);
        bytes.extend(kind.to_be_bytes());
        bytes.resize(usize::from(length).max(16), 0);
        bytes
    };
    let garbage = |bytes: &[u8], counter| {
        let lie = Lie::Garbage(bytes.to_vec());
        row(lie, "protocol error").says(counter)
    };
    let addresses = |server: [u8; 4], client: [u8; 4], given| {
        let (server, client) = (server.into(), client.into());
        let lie = Lie::Addresses { server, client };
        row(lie, "unusable address").says(given)
    };
    vec![
        row(
            Lie::WrongProof,
            "the server did not prove that it knows our password",
        ),
        row(Lie::WrongKeys, "MPPE keys disagree").says("can be decrypted"),
        row(Lie::WeakKeys, "hungup").says("using encoding - MPPE40 stateless"),
        row(Lie::NoEncryption, "encryption not negotiated"),
        row(Lie::HalfEncryption, "encryption not negotiated"),
        // It says that it wants no encryption, and is given 3 s to think better of it.
        row(Lie::EndsEncryption, "encryption not negotiated").takes(4),
        addresses([127, 0, 0, 1], [10, 9, 1, 2], "127.0.0.1"),
        addresses([10, 9, 1, 1], [127, 0, 0, 1], "127.0.0.1"),
        addresses([10, 9, 1, 1], [224, 0, 0, 1], "224.0.0.1"),
        addresses([255, 255, 255, 255], [10, 9, 1, 2], "255.255.255.255"),
        addresses([10, 9, 1, 1], [10, 9, 1, 1], "10.9.1.1"),
        row(
            Lie::Addresses {
                server: [10, 9, 1, 1].into(),
                client: [0, 0, 0, 0].into(),
            },
            "could not determine remote address",
        ),
        row(Lie::Naks(LCP), "LCP not negotiated"),
        row(Lie::Naks(CCP), "encryption not negotiated"),
        row(Lie::Naks(IPCP), "no network protocols running"),
        row(
            Lie::RefusesStart(StartResult::NotAuthorized, Error::None),
            "call refused",
        )
        .says("the server refused the control connection: not authorized (result 4)"),
        row(
            Lie::RefusesStart(StartResult::GeneralError, Error::NoResource),
            "call refused",
        )
        .says("the server refused the control connection: no resource (result 2, error 4)"),
        row(Lie::RefusesCall(Call::Busy, Error::None), "call refused")
            .says("the server refused the call: busy (result 4)"),
        row(
            Lie::RefusesCall(Call::GeneralError, Error::NoResource),
            "call refused",
        )
        .says("the server refused the call: no resource (result 2, error 4)"),
        row(
            Lie::RefusesCall(Call::Unknown(99), Error::None),
            "call refused",
        )
        .says("the server refused the call: unknown (result 99)"),
        row(Lie::HangsUp(Step::Connected), "hungup"),
        row(Lie::HangsUp(Step::Started), "hungup"),
        row(Lie::HangsUp(Step::Called), "hungup"),
        row(Lie::HangsUp(Step::LcpOpen), "hungup"),
        row(Lie::HangsUp(Step::Authenticated), "hungup").says("authenticated"),
        row(Lie::HangsUp(Step::Up), "hungup").says(": connected"),
        row(Lie::WrongCallId, "hungup").says("misbehaved: unknown-call 1"),
        garbage(
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "misbehaved: bad-length 1",
        ),
        garbage(
            &[0, 156, 0, 1, 0xde, 0xad, 0xbe, 0xef],
            "misbehaved: bad-cookie 1",
        ),
        garbage(&message(221, 2), "misbehaved: bad-length 1"),
        garbage(&message(15, 2), "misbehaved: bad-length 1"),
        garbage(&message(16, 2), "misbehaved: wrong-length 1"),
        garbage(&message(16, 99), "misbehaved: unknown-control-type 1"),
    ]
}

/// Servers that leave it to the client to lose patience.
fn silences() -> Vec<Row> {
    vec![
        row(Lie::Mute(LCP), "LCP not negotiated")
            .says("protocol 47 blocked?")
            .takes(31),
        row(Lie::Silence, "").takes(60),
        row(Lie::Mute(CHAP), "timeout").takes(16),
        row(Lie::Mute(CCP), "encryption not negotiated").takes(31),
        row(Lie::Mute(IPCP), "no network protocols running").takes(31),
        row(Lie::Asks(LCP), "LCP not negotiated").takes(31),
        // Both ends say goodbye at the same moment, which takes 3 s more.
        row(Lie::Asks(IPCP), "no network protocols running").takes(35),
    ]
}

/// Long enough for the first few waits.
const LIES_WATCHED: Duration = Duration::from_secs(12);

/// Long enough for ten requests without an answer.
const SILENCE_WATCHED: Duration = Duration::from_secs(31);
