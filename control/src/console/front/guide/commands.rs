//! The commands of each kind of menu.

use super::probe::values_of;
use super::{Argument, Command, Condition, Menu, Path, Values};
use crate::model::schema::{Item, Property};

/// What works on the whole configuration.
pub(super) fn root() -> Menu {
    let file = value("file-name", "the file", "text");
    let commands = vec![
        export(),
        command("import", "carry out a file of commands", vec![file]),
    ];
    menu(&[], commands, Vec::new())
}

/// The only command that the console carries out itself.
pub(super) fn quit() -> Command {
    command("quit", "leave the console", Vec::new())
}

/// A menu with one item.
pub(super) fn single<T: Item>() -> Menu {
    let properties = properties::<T>();
    let commands = vec![
        export(),
        command("print", SHOW, Vec::new()),
        command("set", CHANGE, optional(&properties)),
    ];
    menu(T::MENU.path, commands, properties)
}

/// A menu of items that are configured.
pub(super) fn rows<T: Item>() -> Menu {
    let properties = properties::<T>();
    let mut comment = optional(&properties);
    comment.retain(|property| property.name == "comment");
    let mut commands = vec![
        command("add", "make a new one", properties.clone()),
        on_items("comment", "say something about it", comment),
        export(),
        find(),
        print(&[SHOW_SENSITIVE]),
        on_items("remove", "delete it", Vec::new()),
        on_items("set", CHANGE, optional(&properties)),
    ];
    if T::MENU.property("disabled").is_some() {
        commands.push(on_items("disable", "put it out of use", Vec::new()));
        commands.push(on_items("enable", "put it to use", Vec::new()));
    }
    menu(T::MENU.path, commands, properties)
}

/// A menu of configured items that do something.
pub(super) fn running<T: Item>() -> Menu {
    let mut menu = rows::<T>();
    menu.commands.push(monitor());
    sorted(menu)
}

/// `/interface pptp-server`.
pub(super) fn sessions() -> Menu {
    let commands = vec![find(), monitor(), print(&[]), remove_session()];
    let properties = [
        ("name", "name of the interface"),
        ("user", "the login"),
        ("mtu", "the largest packet that is sent, in bytes"),
        ("client-address", "where the client connects from"),
        ("uptime", "time since it was connected"),
        ("encoding", "how it is encrypted"),
    ];
    let properties = properties.map(|(name, help)| value(name, help, ""));
    menu(&["interface", "pptp-server"], commands, properties.to_vec())
}

/// `/ppp active`.
pub(super) fn active() -> Menu {
    let commands = vec![find(), print(&[STATS]), remove_session()];
    let properties = [
        ("name", "the login"),
        ("service", "the protocol"),
        ("caller-id", "where the user connects from"),
        ("address", "the user's address in the tunnel"),
        ("uptime", "time since login"),
        ("encoding", "how it is encrypted"),
        ("session-id", "number of the session"),
    ];
    let properties = properties.map(|(name, help)| value(name, help, ""));
    menu(&["ppp", "active"], commands, properties.to_vec())
}

/// `/datapath`.
pub(super) fn datapath() -> Menu {
    let print = command("print", SHOW, Vec::new());
    menu(&["datapath"], vec![print], Vec::new())
}

const SHOW: &str = "show what there is";
const CHANGE: &str = "change properties";

const STATS: (&str, &str) = ("stats", "what was moved");
const SHOW_SENSITIVE: (&str, &str) = ("show-sensitive", "with the passwords");

fn export() -> Command {
    let words = [
        ("compact", "without what is as it was shipped"),
        SHOW_SENSITIVE,
        ("terse", "each line with its whole path"),
        ("verbose", "with what is as it was shipped"),
    ];
    let mut arguments: Vec<_> = words.into_iter().map(word).collect();
    arguments.push(value("file", "write it there", "text"));
    command("export", "write the configuration as commands", arguments)
}

fn print(more: &[(&'static str, &'static str)]) -> Command {
    let words = [
        ("brief", "as a table"),
        ("count-only", "how many there are"),
        ("detail", "all properties"),
        ("show-ids", "with ids for numbers"),
        ("terse", "a line for each"),
        ("value-list", "a line for each property"),
        ("without-paging", "at once"),
    ];
    let mut arguments: Vec<_> = words
        .into_iter()
        .chain(more.iter().copied())
        .map(word)
        .collect();
    arguments.push(value(
        "interval",
        "again and again, this time apart",
        "time",
    ));
    arguments.push(value("proplist", "only these properties", "names"));
    Command {
        condition: Condition::BehindWhere,
        ..command("print", SHOW, arguments)
    }
}

fn find() -> Command {
    Command {
        condition: Condition::AtOnce,
        ..command("find", "choose items", Vec::new())
    }
}

fn monitor() -> Command {
    let arguments = vec![
        word(("once", "only now")),
        value("interval", "time between two looks, default 1s", "time"),
        value("duration", "how long to look", "time"),
    ];
    on_items("monitor", "watch it", arguments)
}

fn remove_session() -> Command {
    on_items("remove", "end the session", Vec::new())
}

fn on_items(name: &'static str, help: &'static str, arguments: Vec<Argument>) -> Command {
    Command {
        takes_items: true,
        ..command(name, help, arguments)
    }
}

fn command(name: &'static str, help: &'static str, mut arguments: Vec<Argument>) -> Command {
    arguments.sort_by_key(|argument| argument.name);
    Command {
        name,
        help,
        takes_items: false,
        arguments,
        condition: Condition::Nowhere,
    }
}

fn word((name, help): (&'static str, &'static str)) -> Argument {
    Argument {
        name,
        help,
        values: None,
    }
}

fn value(name: &'static str, help: &'static str, shape: &'static str) -> Argument {
    let values = Values {
        shape: shape.to_owned(),
        ..Values::default()
    };
    Argument {
        name,
        help,
        values: Some(values),
    }
}

fn properties<T: Item>() -> Vec<Argument> {
    let argument = |property: &Property<T>| Argument {
        name: property.name,
        help: property.help,
        values: Some(values_of(property)),
    };
    T::MENU.properties.iter().map(argument).collect()
}

/// The same where nothing is missing: what is not given stays as it is.
fn optional(properties: &[Argument]) -> Vec<Argument> {
    let mut properties = properties.to_vec();
    for values in properties.iter_mut().filter_map(|one| one.values.as_mut()) {
        values.is_required = false;
    }
    properties
}

fn menu(path: Path, commands: Vec<Command>, properties: Vec<Argument>) -> Menu {
    sorted(Menu {
        path,
        commands,
        properties,
    })
}

fn sorted(mut menu: Menu) -> Menu {
    menu.commands.sort_by_key(|command| command.name);
    menu
}
