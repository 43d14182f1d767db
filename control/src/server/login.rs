//! Who a user is and what the user gets: from the local configuration, and from an answer of RADIUS
//! laid over that.

use std::net::Ipv4Addr;

use crate::aaa::pool::{self, Owner, Pools};
use crate::accounting::Authentic;
use crate::model::{AddressSource, Resolved, Running, Secret};
use crate::ppp::{MppeKeys, Network, Proof, Refusal};
use crate::radius::access::Grant;

/// A user that proved to be one.
#[derive(Debug)]
pub(super) struct Known {
    /// The name that the configuration knows the user by, or RADIUS.
    pub(super) name: String,
    /// What the layers of the configuration give, and RADIUS.
    pub(super) resolved: Resolved,
    /// For the Success packet.
    pub(super) message: String,
    /// Where encryption begins.
    pub(super) keys: Option<MppeKeys>,
    /// Who let the user in.
    pub(super) authentic: Authentic,
    /// What RADIUS gave, if it did.
    pub(super) grant: Option<Box<Grant>>,
}

/// Why a user was not found to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// There is no secret for that name: somebody else may know.
    Absent,
    /// There is, and it says no.
    Refused(Refusal),
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
) -> Result<Known, Unknown> {
    let short = user.rsplit_once('\\').map(|(_, user)| user);
    let secret = config.secret(user).or_else(|| config.secret(short?));
    let password = secret.map_or("", |secret| &secret.password);
    let right = proof.check(user, password);
    let Some(secret) = secret else {
        return Err(Unknown::Absent);
    };
    let Some((message, keys)) = right else {
        return Err(Unknown::Refused(Refusal::WrongLogin));
    };
    if secret.disabled {
        return Err(Unknown::Refused(Refusal::Disabled));
    }
    if !may_call_from(secret, caller) {
        return Err(Unknown::Refused(Refusal::NoPermission));
    }
    Ok(Known {
        name: secret.name.clone(),
        resolved: config.resolve(secret),
        message,
        keys,
        authentic: Authentic::Local,
        grant: None,
    })
}

/// What a user gets to whom RADIUS gave `grant`: what is in it counts before what the profile says
/// that it names. Where it names none that is what the user's secret gives, if RADIUS changed what a
/// local user has, or else the server's default profile.
///
/// # Errors
/// What it names and is not there, as a text for the log.
pub(super) fn resolve(
    config: &Running,
    secret: Option<&Secret>,
    grant: &Grant,
) -> Result<Resolved, String> {
    let base = match (&grant.group, secret) {
        (Some(name), _) => config
            .resolve_profile(name)
            .ok_or_else(|| format!("Mikrotik-Group {name}: there is no such profile"))?,
        (None, Some(secret)) => config.resolve(secret),
        (None, None) => config.resolve_default(),
    };
    let pool = grant.pool.as_ref();
    if let Some(pool) = pool.filter(|&name| !config.pools.iter().any(|pool| pool.name == *name)) {
        return Err(format!("Framed-Pool {pool}: there is no such pool"));
    }
    let fixed = grant.address.map(AddressSource::Fixed);
    let from_pool = || pool.cloned().map(AddressSource::Pool);
    let or = |given: &[Option<Ipv4Addr>; 2], base: [Option<Ipv4Addr>; 2]| {
        let is_given = given.iter().any(Option::is_some);
        if is_given { *given } else { base }
    };
    let address_list = match grant.address_lists.as_slice() {
        [] => base.address_list,
        lists => lists.to_vec(),
    };
    Ok(Resolved {
        remote: fixed.or_else(from_pool).or(base.remote),
        dns: or(&grant.dns, base.dns),
        wins: or(&grant.wins, base.wins),
        encryption: grant.encryption.unwrap_or(base.encryption),
        session_timeout: grant.session_timeout.or(base.session_timeout),
        idle_timeout: grant.idle_timeout.or(base.idle_timeout),
        rate_limit: grant.rate_limit.or(base.rate_limit),
        limit_bytes_in: grant.recv_limit.unwrap_or(base.limit_bytes_in),
        limit_bytes_out: grant.xmit_limit.unwrap_or(base.limit_bytes_out),
        limit_bytes_total: grant.total_limit.unwrap_or(base.limit_bytes_total),
        routes: match grant.routes.as_slice() {
            [] => base.routes,
            routes => routes.to_vec(),
        },
        address_list,
        ..base
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

    fn check_pap(user: &str, password: &str) -> Result<String, Unknown> {
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
        const WRONG: Unknown = Unknown::Refused(Refusal::WrongLogin);
        for (user, unknown, wrong) in [
            ("off", Unknown::Refused(Refusal::Disabled), WRONG),
            ("far", Unknown::Refused(Refusal::NoPermission), WRONG),
            ("sstp", Unknown::Absent, Unknown::Absent),
            ("nobody", Unknown::Absent, Unknown::Absent),
        ] {
            assert_eq!(check_pap(user, "secret"), Err(unknown), "{user}");
            assert_eq!(check_pap(user, "guess"), Err(wrong), "{user}");
            assert_eq!(check_pap(user, ""), Err(wrong), "{user}");
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
        assert_eq!(check_pap("bob", "secret"), Err(Unknown::Absent));
    }
}
