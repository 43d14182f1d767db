//! The values of the properties of a menu, as the schema tells them.

use super::{Argument, Values};
use crate::language::path::Path;
use crate::model::Config;
use crate::model::schema::MENUS;
use crate::model::table::{self, Info, Table};
use crate::model::value::Style;

/// The properties of the menu `path`; none if nothing is configured there.
pub(super) fn properties(path: &Path) -> Vec<Argument> {
    let Some(table) = table::at(path) else {
        return Vec::new();
    };
    let reader = Reader::new(table);
    let properties = table.properties().into_iter().enumerate();
    properties
        .map(|(number, info)| {
            let values = reader.values(number, &info);
            let mut argument = Argument::of(info.name, info.help, values);
            argument.is_inert = info.is_inert;
            argument
        })
        .collect()
}

/// Tells words from what only says what values look like: words are what the schema takes.
struct Reader {
    table: &'static dyn Table,
    config: Config,
    row: usize,
}

impl Reader {
    fn new(table: &'static dyn Table) -> Self {
        let mut config = Config::default();
        let row = table.add(&mut config, None);
        Self { table, config, row }
    }

    fn values(&self, property: usize, info: &Info) -> Values {
        let mut values = Values {
            default: info.default.clone(),
            is_required: info.required,
            is_sensitive: info.style == Style::Sensitive,
            ..Values::default()
        };
        // One of these, or several of those.
        values.is_list = !info.values.contains(" | ") && info.values.contains(',');
        let separator = if values.is_list { "," } else { " | " };
        let takes_anything = self.takes(property, NOBODY);
        let mut shapes = Vec::new();
        for part in info.values.split(separator).filter(|part| !part.is_empty()) {
            if let Some(path) = part.strip_prefix('/').and_then(menu) {
                values.names_of = Some(path);
            } else if !takes_anything && self.takes(property, part) {
                values.words.push(part.to_owned());
            } else {
                shapes.push(part);
            }
        }
        values.shape = shapes.join(separator);
        values
    }

    /// Whether `text` is a value that names nothing else.
    fn takes(&self, property: usize, text: &str) -> bool {
        let mut config = self.config.clone();
        let taken = self.table.set(&mut config, self.row, property, text);
        taken.is_ok_and(|accepted| accepted.reference.is_none())
    }
}

/// No word of any property.
const NOBODY: &str = "nobody";

/// The menu whose words these are.
fn menu(words: &str) -> Option<&'static Path> {
    let paths = MENUS.iter().map(|menu| menu.path);
    paths.into_iter().find(|path| path.join(" ") == words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_what_values_look_like() {
        for (path, name, expected) in [
            (
                &["interface", "pptp-server", "server"][..],
                "enabled",
                "yes no",
            ),
            (
                &["interface", "pptp-server", "server"],
                "max-mtu",
                "<128..1500>",
            ),
            (
                &["interface", "pptp-server", "server"],
                "mrru",
                "disabled <512..65535>",
            ),
            (
                &["interface", "pptp-server", "server"],
                "authentication",
                "pap chap mschap1 mschap2 list",
            ),
            (
                &["interface", "pptp-server", "server"],
                "keepalive-timeout",
                "disabled <seconds>",
            ),
            (
                &["interface", "pptp-server", "server"],
                "default-profile",
                "/ppp profile",
            ),
            (
                &["interface", "pptp-client"],
                "connect-to",
                "<address or name> required",
            ),
            (&["ppp", "profile"], "local-address", "/ip pool <address>"),
            (&["ppp", "profile"], "dns-server", "<address,address> list"),
            (&["ppp", "profile"], "incoming-filter", "<chain>"),
            (
                &["ppp", "profile"],
                "use-encryption",
                "default no yes required",
            ),
            (
                &["ppp", "secret"],
                "service",
                "any pptp async isdn l2tp ovpn pppoe sstp",
            ),
            (&["ppp", "secret"], "password", "<text> sensitive"),
            (&["ppp", "secret"], "name", "<text> required"),
            (
                &["ip", "pool"],
                "ranges",
                "<first-last,address/length,...> required list",
            ),
            (&["ip", "pool"], "next-pool", "none /ip pool"),
            (&["radius"], "secret", "<text> sensitive"),
        ] {
            assert_eq!(told(path, name), expected, "{name}");
        }
    }

    fn told(path: &Path, name: &str) -> String {
        let all = properties(path);
        let argument = all.iter().find(|argument| argument.name == name).unwrap();
        let values = argument.values.as_ref().unwrap();
        let mut told: Vec<_> = values.words.clone();
        told.extend(values.names_of.map(|path| format!("/{}", path.join(" "))));
        if !values.shape.is_empty() {
            told.push(format!("<{}>", values.shape));
        }
        told.extend(values.is_required.then(|| "required".to_owned()));
        told.extend(values.is_sensitive.then(|| "sensitive".to_owned()));
        told.extend(values.is_list.then(|| "list".to_owned()));
        told.join(" ")
    }
}
