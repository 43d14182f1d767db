//! Who a user is and what the user gets, from the local configuration.

use std::net::Ipv4Addr;

use crate::aaa::pool::{self, Owner, Pools};
use crate::model::{AddressSource, Resolved, Running, Secret};
use crate::ppp::{MppeKeys, Network, Proof, Refusal};

/// A user that proved to be one.
#[derive(Debug)]
pub(super) struct Known {
    /// The name that the configuration knows the user by.
    pub(super) name: String,
    /// What the layers of the configuration give.
    pub(super) resolved: Resolved,
    /// For the Success packet.
    pub(super) message: String,
    /// Where encryption begins.
    pub(super) keys: Option<MppeKeys>,
}

/// Checks a proof against the secrets.
///
/// The name counts as it came; if nobody is called so, without the `DOMAIN\` that a client may put
/// in front of it. A name that does not exist takes as long as a wrong password, and gets the same
/// answer.
///
/// # Errors
/// Why the user is not let in.
pub(super) fn check(
    config: &Running,
    user: &str,
    caller: Ipv4Addr,
    proof: &Proof,
) -> Result<Known, Refusal> {
    let short = user.rsplit_once('\\').map(|(_, user)| user);
    let secret = config.secret(user).or_else(|| config.secret(short?));
    let password = secret.map_or("", |secret| &secret.password);
    let (Some((message, keys)), Some(secret)) = (proof.check(user, password), secret) else {
        return Err(Refusal::WrongLogin);
    };
    if secret.disabled {
        return Err(Refusal::Disabled);
    }
    if !may_call_from(secret, caller) {
        return Err(Refusal::NoPermission);
    }
    Ok(Known {
        name: secret.name.clone(),
        resolved: config.resolve(secret),
        message,
        keys,
    })
}

/// Finds the addresses of a session. Those that nobody else may have are noted in `leases`: what
/// comes from a pool, and the peer's. Our own fixed address may serve any number of sessions.
///
/// # Errors
/// What is missing, as a text for the log.
pub(super) fn addresses(
    pools: &mut Pools,
    resolved: &Resolved,
    user: &str,
    leases: &mut Vec<Ipv4Addr>,
) -> Result<Network, String> {
    let mut lease = |pool: &str| {
        let address = pools.allocate(pool, owner(user))?;
        leases.push(address);
        Ok(address)
    };
    let unset = |what| format!("no {what} for {user}: neither the secret nor a profile has one");
    let failed = |what, error: pool::Error| format!("no {what} for {user}: {error}");
    let ours = match &resolved.local {
        Some(AddressSource::Fixed(address)) => *address,
        Some(AddressSource::Pool(pool)) => {
            lease(pool).map_err(|error| failed("local-address", error))?
        }
        None => return Err(unset("local-address")),
    };
    let peer = match &resolved.remote {
        Some(AddressSource::Fixed(address)) => {
            pools
                .take(*address, owner(user))
                .map_err(|error| failed("remote-address", error))?;
            leases.push(*address);
            *address
        }
        Some(AddressSource::Pool(pool)) => {
            lease(pool).map_err(|error| failed("remote-address", error))?
        }
        None => return Err(unset("remote-address")),
    };
    Ok(Network {
        ours,
        peer,
        dns: resolved.dns,
        wins: resolved.wins,
    })
}

fn owner(user: &str) -> Owner {
    Owner {
        service: "pptp".to_owned(),
        info: user.to_owned(),
    }
}

/// `caller-id` of a secret: the address that its user must come from.
fn may_call_from(secret: &Secret, caller: Ipv4Addr) -> bool {
    secret.caller_id.is_empty() || secret.caller_id.parse() == Ok(caller)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    const CALLER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn check_pap(user: &str, password: &str) -> Result<String, Refusal> {
        let (config, _) = crate::model::Config::parse(
            "/ppp secret
             add name=ann password=secret
             add name=\"DOMAIN\\\\bob\" password=secret
             add name=off password=secret disabled=yes
             add name=far password=secret caller-id=192.0.2.99
             add name=sstp password=secret service=sstp",
        )
        .unwrap_or_default();
        let proof = Proof::Pap {
            password: Zeroizing::new(password.into()),
        };
        check(&config.into(), user, CALLER, &proof).map(|known| known.name)
    }

    #[test]
    fn why_a_user_may_not_come_in_is_told_to_who_knows_the_password() {
        for (user, refusal) in [
            ("off", Refusal::Disabled),
            ("far", Refusal::NoPermission),
            ("sstp", Refusal::WrongLogin),
            ("nobody", Refusal::WrongLogin),
        ] {
            assert_eq!(check_pap(user, "secret"), Err(refusal), "{user}");
            assert_eq!(check_pap(user, "guess"), Err(Refusal::WrongLogin), "{user}");
            assert_eq!(check_pap(user, ""), Err(Refusal::WrongLogin), "{user}");
        }
    }

    #[test]
    fn a_domain_is_part_of_the_name_where_the_configuration_has_it_so() {
        assert_eq!(check_pap("ann", "secret").as_deref(), Ok("ann"));
        assert_eq!(check_pap("ANY\\ann", "secret").as_deref(), Ok("ann"));
        assert_eq!(
            check_pap("DOMAIN\\bob", "secret").as_deref(),
            Ok("DOMAIN\\bob")
        );
        assert_eq!(check_pap("bob", "secret"), Err(Refusal::WrongLogin));
    }
}
