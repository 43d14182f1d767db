//! What the server says of encryption, against what the concentrator and the client want.

use greyhound_tests::radius::Mppe;

use super::*;

#[test]
#[ignore = "needs root: ./run test"]
fn nobody_comes_in_without_keys_where_encryption_is_required() -> Result<()> {
    let required = "/ppp profile set default-encryption use-encryption=required";
    let world = World::encrypted(required, Mppe::WithoutKeys, "yes")?;
    let line = "user ann refused: encryption is required, and it lacks";
    world.server.wait_for_log(&[line], PATIENCE)?;
    ensure!(world.server.greyhound.console()?.sessions()?.is_empty());
    world.client.stop()?;
    world.server.stop()
}

#[test]
#[ignore = "needs root: ./run test"]
fn without_keys_nothing_is_encrypted_where_it_only_may_be() -> Result<()> {
    let world = World::encrypted("", Mppe::WithoutKeys, "yes")?;
    world.client.wait_for_clients(1, PATIENCE)?;
    let sessions = world.server.greyhound.console()?.sessions()?;
    ensure!(sessions[0].encoding.is_empty(), "{sessions:?}");
    ping(&world, "ann", 10)?;
    world.close()?;
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn encryption_that_the_server_requires_is_required() -> Result<()> {
    // The profile of the concentrator would do without.
    let without = "/ppp profile set default-encryption use-encryption=no";
    let world = World::encrypted(without, Mppe::Required, "yes")?;
    world.client.wait_for_clients(1, PATIENCE)?;
    let sessions = world.server.greyhound.console()?.sessions()?;
    ensure!(sessions[0].encoding == "MPPE128 stateless", "{sessions:?}");
    ping(&world, "ann", 10)?;
    world.close()?;

    let world = World::encrypted(without, Mppe::Required, "no")?;
    let line = "terminating... - encryption not negotiated";
    world.server.wait_for_log(&[line], PATIENCE)?;
    world.client.stop()?;
    world.server.stop()
}

impl World {
    /// A client that encrypts so, where the server brings this.
    fn encrypted(more: &str, mppe: Mppe, client: &str) -> Result<Self> {
        let lan = Lan::new()?;
        let users = [User::new("ann", "secret", &[])];
        let radius = FreeRadius::with(&lan, RADIUS, &users, mppe)?;
        let config = format!("{CONCENTRATOR}{more}\n");
        let server = Machine::on(&lan, SERVER, &config, &[])?;
        let profile = format!("/ppp profile add name=wants use-encryption={client}\n");
        let dials = dial("ann", "ann", "secret", "allow=mschap2 profile=wants");
        let client = Machine::on(&lan, CLIENT, &format!("{profile}{dials}"), &[])?;
        Ok(Self {
            client,
            server,
            radius,
            lan,
        })
    }
}
