//! Requests of RADIUS servers about sessions that are up (RFC 5176), sent by radclient.

use std::net::UdpSocket;

use greyhound_control::radius::attribute::{Attribute, kind};
use greyhound_control::radius::packet::{Code, Packet, build_request};

use super::*;

const INCOMING: &str = "/radius incoming set accept=yes";

fn world() -> Result<World> {
    let users = [User::new(
        "ann",
        "secret",
        &["Mikrotik-Rate-Limit = \"1M\""],
    )];
    let world = World::with(
        INCOMING,
        &users,
        &dial("ann", "ann", "secret", "allow=mschap2"),
    )?;
    world.client.wait_for_clients(1, PATIENCE)?;
    world.server.wait_for_sessions(1, PATIENCE)?;
    Ok(world)
}

impl World {
    fn radclient(&self, kind: &str, attributes: &str) -> Result<String> {
        self.radius.ask(SERVER, kind, attributes, SECRET)
    }

    fn session_id(&self) -> Result<String> {
        let started = |records: &[Record]| records.iter().any(|one| one.status() == "Start");
        let records = self.radius.wait_for_records("a Start", PATIENCE, started)?;
        let start = records.iter().rfind(|one| one.status() == "Start");
        Ok(start.context("no Start")?.session().to_owned())
    }
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_session_ends_when_radius_says_so_whatever_names_it() -> Result<()> {
    let world = world()?;
    for what in ["session", "user", "caller", "address", "upper"] {
        world.server.wait_for_sessions(1, PATIENCE)?;
        let id = world.session_id()?;
        let console = world.server.greyhound.console()?;
        let address = console.text(&["/ppp active get 0 address"])?;
        let selector = match what {
            "session" => format!("Acct-Session-Id = \"{id}\""),
            "upper" => format!("Acct-Session-Id = \"0x{}\"", id.to_uppercase()),
            "user" => "User-Name = \"ann\"".to_owned(),
            "caller" => format!("Calling-Station-Id = \"{CLIENT}\""),
            _ => format!("Framed-IP-Address = {}", address.trim()),
        };
        let before = world
            .server
            .greyhound
            .log()
            .matches("administrator request")
            .count();
        let answer = world.radclient("disconnect", &selector)?;
        assert!(answer.contains("Disconnect-ACK"), "{what}: {answer}");
        wait_until("it ends", PATIENCE, || {
            let log = world.server.greyhound.log();
            log.matches("<pptp-ann>: terminating... - administrator request")
                .count()
                > before
        })?;
        // It dials again, and its new Start follows.
        let is_new = |records: &[Record]| {
            let last = records.iter().rfind(|one| one.status() == "Start");
            last.is_some_and(|start| start.session() != id)
        };
        world
            .radius
            .wait_for_records("another Start", PATIENCE, is_new)?;
    }
    let records = world.close()?;
    let stops = check_pairs(&records)?;
    let reset = stops
        .iter()
        .filter(|one| one.get("Acct-Terminate-Cause") == "Admin-Reset");
    assert_eq!(reset.count(), 5);
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_session_is_changed_while_it_goes_on_and_nonsense_is_refused_by_its_cause() -> Result<()> {
    let world = world()?;
    let of_ann = "User-Name = \"ann\"";
    let change = |attributes: &str| world.radclient("coa", &format!("{of_ann}\n{attributes}"));

    let answer = change("Mikrotik-Rate-Limit = \"4M\"\nIdle-Timeout = 600")?;
    assert!(answer.contains("CoA-ACK"), "{answer}");
    for (attributes, cause) in [
        ("Mikrotik-Rate-Limit = \"fast\"", "Invalid-Attribute-Value"),
        ("Framed-Pool = \"gold\"", "Unsupported-Attribute"),
        ("Mikrotik-Group = \"iron\"", "Invalid-Attribute-Value"),
    ] {
        let answer = change(attributes)?;
        assert!(
            answer.contains("CoA-NAK") && answer.contains(cause),
            "{attributes}: {answer}"
        );
    }
    let nobody = world.radclient("disconnect", "User-Name = \"eve\"")?;
    assert!(nobody.contains("Session-Context-Not-Found"), "{nobody}");
    let elsewhere = format!("{of_ann}\nNAS-Identifier = \"other\"");
    let elsewhere = world.radclient("disconnect", &elsewhere)?;
    assert!(
        elsewhere.contains("NAS-Identification-Mismatch"),
        "{elsewhere}"
    );
    let forged = world.radius.ask(SERVER, "disconnect", of_ann, "wrong")?;
    assert!(!forged.contains("Received"), "{forged}");

    ping(&world, "ann", 5)?;
    assert_eq!(world.server.greyhound.console()?.sessions()?.len(), 1);
    let answer = change("Session-Timeout = 1")?;
    assert!(answer.contains("CoA-ACK"), "{answer}");
    let line = "<pptp-ann>: terminating... - session timeout";
    world.server.wait_for_log(&[line], PATIENCE)?;
    world.close()?;
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_session_is_named_by_its_port_too_and_all_that_is_given_must_fit() -> Result<()> {
    let world = world()?;
    let id = world.session_id()?;
    let started = |records: &[Record]| records.iter().any(|one| one.session() == id);
    let records = world
        .radius
        .wait_for_records("its Start", PATIENCE, started)?;
    let start = records.iter().find(|one| one.session() == id);
    let port = start.context("no Start")?.number("NAS-Port")?;

    let name = "User-Name = \"ann\"";
    for other in [
        format!("{name}\nNAS-Port = {}", port + 1),
        format!("{name}\nNAS-Port-Id = \"<pptp-bob>\""),
        format!("{name}\nCalling-Station-Id = \"192.0.2.99\""),
        format!("{name}\nFramed-IP-Address = 10.0.1.9"),
        format!("Acct-Session-Id = \"{id}\"\nUser-Name = \"bob\""),
    ] {
        let answer = world.radclient("disconnect", &other)?;
        assert!(answer.contains("Disconnect-NAK"), "{other}: {answer}");
        assert!(answer.contains("Session-Context-Not-Found"), "{answer}");
    }
    let nothing = world.radclient("disconnect", "NAS-IP-Address = 192.0.2.1")?;
    assert!(nothing.contains("Missing-Attribute"), "{nothing}");
    assert_eq!(world.session_id()?, id, "it was ended");

    for selector in [
        format!("NAS-Port = {port}"),
        "NAS-Port-Id = \"<pptp-ann>\"".to_owned(),
    ] {
        world.server.wait_for_sessions(1, PATIENCE)?;
        let id = world.session_id()?;
        let answer = world.radclient("disconnect", &selector)?;
        assert!(answer.contains("Disconnect-ACK"), "{selector}: {answer}");
        let is_over = |records: &[Record]| {
            let mut records = records.iter();
            records.any(|one| one.session() == id && one.status() == "Stop")
        };
        world
            .radius
            .wait_for_records("its Stop", PATIENCE, is_over)?;
        let is_new = |records: &[Record]| {
            let last = records.iter().rfind(|one| one.status() == "Start");
            last.is_some_and(|start| start.session() != id)
        };
        world
            .radius
            .wait_for_records("another Start", PATIENCE, is_new)?;
        // The next port is another one.
        if selector.starts_with("NAS-Port =") {
            let answer = world.radclient("disconnect", &selector)?;
            assert!(answer.contains("Session-Context-Not-Found"), "{answer}");
        }
    }
    world.close()?;
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_request_that_comes_again_is_answered_again_and_ends_nothing_more() -> Result<()> {
    let world = world()?;
    let first = world.session_id()?;
    let user = Attribute::text(kind::USER_NAME, "ann");
    let request = build_request(
        Code::DisconnectRequest,
        7,
        &[user],
        SECRET.as_bytes(),
        now(),
        [0; 16],
    )?;
    let socket = world
        .radius
        .namespace()
        .inside(|| UdpSocket::bind((RADIUS, 0)))??;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let send = || -> Result<Vec<u8>> {
        let mut answer = [0; 4096];
        socket.send_to(&request.0, (SERVER, 3799))?;
        let (length, _) = socket.recv_from(&mut answer)?;
        Ok(answer[..length].to_vec())
    };
    let answer = send()?;
    assert_eq!(Packet::new_checked(&answer)?.code(), Code::DisconnectAck);
    let is_new = |records: &[Record]| {
        let last = records.iter().rfind(|one| one.status() == "Start");
        last.is_some_and(|start| start.session() != first)
    };
    world
        .radius
        .wait_for_records("another Start", PATIENCE, is_new)?;

    // The user is back: the same datagram is not a new wish.
    let second = world.session_id()?;
    assert_eq!(send()?, answer);
    ping(&world, "ann", 5)?;
    assert_eq!(world.session_id()?, second);
    let stops = check_pairs(&world.close()?)?;
    let ended = stops
        .iter()
        .filter(|stop| stop.get("Acct-Terminate-Cause") == "Admin-Reset");
    assert_eq!(ended.count(), 1, "{stops:#?}");
    Ok(())
}
