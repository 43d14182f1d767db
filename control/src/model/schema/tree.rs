//! Every menu there is, those included whose items are not configured but come and go.

use crate::language::path::Command::{
    Add, Comment, Disable, Enable, Find, Get, Monitor, Move, Print, Remove, Reset, Set, Unset,
};
use crate::language::path::Menu;

/// The menus, in the order in which an export writes them: what is referred to stands first.
pub const MENUS: &[Menu] = &[
    Menu {
        path: &["system", "identity"],
        help: "the name of this server",
        commands: SINGLE,
    },
    Menu {
        path: &["ip", "pool"],
        help: "addresses to give to clients",
        commands: ITEMS,
    },
    Menu {
        path: &["ip", "pool", "used"],
        help: "addresses that clients have",
        commands: &[Print, Find, Get],
    },
    Menu {
        path: &["ppp", "profile"],
        help: "what users have in common",
        commands: &[Add, Comment, Find, Get, Print, Remove, Set, Unset],
    },
    Menu {
        path: &["interface", "pptp-server", "server"],
        help: "the server's settings",
        commands: SINGLE,
    },
    Menu {
        path: &["interface", "pptp-server"],
        help: "interfaces of clients that are connected, and those reserved for users",
        commands: &[
            Add, Comment, Disable, Enable, Find, Get, Monitor, Print, Remove, Set, Unset,
        ],
    },
    Menu {
        path: &["interface", "pptp-client"],
        help: "connections to other servers",
        commands: &[
            Add, Comment, Disable, Enable, Find, Get, Monitor, Print, Remove, Set, Unset,
        ],
    },
    Menu {
        path: &["ppp", "secret"],
        help: "users",
        commands: &[
            Add, Comment, Disable, Enable, Find, Get, Print, Remove, Set, Unset,
        ],
    },
    Menu {
        path: &["ppp", "active"],
        help: "users that are connected; remove disconnects",
        commands: &[Find, Get, Print, Remove],
    },
    Menu {
        path: &["ppp", "aaa"],
        help: "whether RADIUS is asked",
        commands: SINGLE,
    },
    Menu {
        path: &["ppp", "accounting"],
        help: "sessions there are and were, the newest first, as they are kept on the disk",
        commands: &[Find, Print],
    },
    Menu {
        path: &["ppp", "accounting", "settings"],
        help: "how much of it stays there",
        commands: SINGLE,
    },
    Menu {
        path: &["radius"],
        help: "RADIUS servers, the first one first",
        commands: &[
            Add, Comment, Disable, Enable, Find, Get, Monitor, Move, Print, Remove, Set, Unset,
        ],
    },
    Menu {
        path: &["radius", "incoming"],
        help: "requests of RADIUS servers",
        commands: &[Get, Monitor, Print, Reset, Set],
    },
    Menu {
        path: &["log"],
        help: "the last lines of the log",
        commands: &[Print, Find],
    },
    Menu {
        path: &["datapath"],
        help: "how frames move, and what was dropped",
        commands: &[Print],
    },
];

const SINGLE: &[crate::language::path::Command] = &[Get, Print, Reset, Set];
const ITEMS: &[crate::language::path::Command] =
    &[Add, Comment, Find, Get, Print, Remove, Set, Unset];
