//! The configuration: what the menus of the product hold, as values.
//!
//! A [`Config`] is read from text in the syntax of the product's export ([`Config::parse`]), and
//! written as such ([`export`]). The [`schema`] says which menus and properties there are; a text
//! that contains anything else, or refers to what does not exist, is refused as a whole. A
//! [`Draft`] is what commands change; it becomes the configuration only if everything fits together.

use std::fmt;

use crate::ppp::Encryption;

mod change;
mod check;
mod draft;
pub mod export;
mod items;
pub mod rate;
mod reader;
mod resolve;
pub mod route;
pub mod running;
pub mod schema;
mod select;
pub mod table;
pub mod time;
pub mod value;

pub use self::change::COPY_FROM;
pub(crate) use self::change::change;
pub use self::draft::Draft;
pub use self::items::{
    Aaa, AccountingSettings, AddressSource, Binding, Identity, PeerDns, Pool, PptpClient,
    PptpServer, Profile, Radius, RadiusIncoming, Secret, Service,
};
pub use self::resolve::Resolved;
pub use self::running::Running;
pub use self::schema::Id;
pub(crate) use self::select::{Choice, found, selected};
pub use crate::language::{Error, Position};

/// The configuration of the demonstration, in the syntax of the file: a server with the user
/// `MT-User`, password `StrongPass`, and the addresses 10.0.0.1 and 10.0.0.5.
pub const DEMO: &str = include_str!("demo.rsc");

/// The name of the profile that leaves everything to the server's `default-profile`.
pub const DEFAULT_PROFILE: &str = "default";

/// The name of the built-in profile with encryption.
pub const DEFAULT_ENCRYPTION_PROFILE: &str = "default-encryption";

/// The ids of the built-in profiles, which the product's exports name them by.
const BUILT_IN: [Id; 2] = [Id(0), Id(0xffff_fffe)];

/// Everything that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `/system identity`.
    pub identity: Identity,
    /// `/interface pptp-server server`.
    pub server: PptpServer,
    /// `/interface pptp-server`: those reserved for users.
    pub bindings: Vec<Binding>,
    /// `/interface pptp-client`, in the order they were added.
    pub clients: Vec<PptpClient>,
    /// `/ppp profile`, the two built-in ones first.
    pub profiles: Vec<Profile>,
    /// `/ppp secret`.
    pub secrets: Vec<Secret>,
    /// `/ip pool`.
    pub pools: Vec<Pool>,
    /// `/ppp aaa`.
    pub aaa: Aaa,
    /// `/ppp accounting settings`.
    pub accounting: AccountingSettings,
    /// `/radius`.
    pub radius: Vec<Radius>,
    /// `/radius incoming`.
    pub radius_incoming: RadiusIncoming,
    /// The id of the next item.
    next_id: u32,
}

impl Config {
    /// Reads a configuration from text in the syntax of the product's export.
    ///
    /// # Errors
    /// All that is wrong with the text, in its order. No part of it is to be used then.
    pub fn parse(text: &str) -> Result<(Self, Vec<Warning>), Vec<Error>> {
        reader::read(Self::default(), text)
    }

    /// The profile called `name`.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// The pool called `name`.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }
}

/// Nothing configured but the two built-in profiles.
impl Default for Config {
    fn default() -> Self {
        Self {
            identity: Identity::default(),
            server: PptpServer::default(),
            bindings: Vec::new(),
            clients: Vec::new(),
            profiles: built_in_profiles(),
            secrets: Vec::new(),
            pools: Vec::new(),
            aaa: Aaa::default(),
            accounting: AccountingSettings::default(),
            radius: Vec::new(),
            radius_incoming: RadiusIncoming::default(),
            next_id: 1,
        }
    }
}

/// The profiles that are always there.
fn built_in_profiles() -> Vec<Profile> {
    let mut profiles = [
        Profile {
            name: DEFAULT_PROFILE.to_owned(),
            change_tcp_mss: Some(true),
            ..Profile::default()
        },
        Profile {
            name: DEFAULT_ENCRYPTION_PROFILE.to_owned(),
            change_tcp_mss: Some(true),
            use_encryption: Some(Encryption::Yes),
            ..Profile::default()
        },
    ];
    for (profile, id) in profiles.iter_mut().zip(BUILT_IN) {
        profile.meta.id = id;
    }
    profiles.into()
}

/// What is accepted and of no use, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub at: Position,
    /// What.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.at)
    }
}
