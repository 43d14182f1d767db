//! Requests of RADIUS servers about sessions that are up (RFC 5176), sent by radclient.

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
