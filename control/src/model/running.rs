//! The configuration as the server works with it: what is asked for at each login is found at once.

use std::collections::HashMap;
use std::ops::Deref;

use super::{Config, Secret, Service};

/// A configuration with an index of its secrets.
#[derive(Clone, Debug, Default)]
pub struct Running {
    config: Config,
    /// Which secret logs a user in.
    secrets: HashMap<String, usize>,
}

impl Running {
    /// Indexes a configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut secrets: HashMap<String, usize> = HashMap::with_capacity(config.secrets.len());
        for (index, secret) in config.secrets.iter().enumerate() {
            let Some(new) = rank(secret) else {
                continue;
            };
            let old = secrets
                .get(&secret.name)
                .map(|&old| rank(&config.secrets[old]));
            if old.is_none_or(|old| old < Some(new)) {
                secrets.insert(secret.name.clone(), index);
            }
        }
        Self { config, secrets }
    }

    /// The secret by which `user` logs in over PPTP: one for this service before one for any.
    /// A disabled one is found where there is no other; those of other services do not count.
    ///
    /// The time it takes does not tell whether there is one: names are hashed with a random key.
    #[must_use]
    pub fn secret(&self, user: &str) -> Option<&Secret> {
        self.secrets
            .get(user)
            .map(|&index| &self.config.secrets[index])
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }
}

impl Deref for Running {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

impl From<Config> for Running {
    fn from(config: Config) -> Self {
        Self::new(config)
    }
}

/// Which of two secrets with the same name counts; `None` if it never does.
const fn rank(secret: &Secret) -> Option<u8> {
    match (secret.disabled, secret.service) {
        (false, Service::Pptp) => Some(4),
        (false, Service::Any) => Some(3),
        (true, Service::Pptp) => Some(2),
        (true, Service::Any) => Some(1),
        (_, Service::Other(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_for_this_service_counts_before_one_for_any_and_a_disabled_one_last() {
        let running = running(
            "/ppp secret\n\
             add name=u password=any\n\
             add name=u password=l2tp service=l2tp\n\
             add name=u password=pptp service=pptp\n\
             add name=v password=any\n\
             add name=v password=pptp service=pptp disabled=yes\n\
             add name=w password=l2tp service=l2tp\n\
             add name=x disabled=yes\n",
        );
        let password = |user| {
            running
                .secret(user)
                .map(|secret| secret.password.to_string())
        };

        assert_eq!(password("u").as_deref(), Some("pptp"));
        assert_eq!(password("v").as_deref(), Some("any"));
        assert_eq!(password("w"), None);
        assert!(running.secret("x").unwrap().disabled);
        assert_eq!(running.secret("nobody"), None);
    }

    fn running(text: &str) -> Running {
        Running::new(Config::parse(text).unwrap().0)
    }
}
