//! Writes the commands that make a configuration, as the product's `export` does: what
//! [`Config::parse`] reads, and every router of the product's kind.

use super::Config;
use super::schema::MENUS;
use super::table::{self, Table};
use super::value::Style;
use crate::language::write::value;

/// What is written, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Defaults too; what is unset as `!property`.
    pub verbose: bool,
    /// Each command in a line of its own, with its whole path.
    pub terse: bool,
    /// Passwords too.
    pub show_sensitive: bool,
}

/// What is kept in the file.
pub const WHOLE: Options = Options {
    verbose: false,
    terse: false,
    show_sensitive: true,
};

/// The commands for the menus whose path begins with `under`.
#[must_use]
pub fn export(config: &Config, under: &[&str], options: Options) -> String {
    let mut out = String::new();
    let menus = MENUS.iter().filter(|menu| menu.path.starts_with(under));
    for table in menus.filter_map(|menu| table::at(menu.path)) {
        let writer = Writer {
            table,
            config,
            options,
        };
        writer.menu(&mut out);
    }
    out
}

struct Writer<'a> {
    table: &'static dyn Table,
    config: &'a Config,
    options: Options,
}

impl Writer<'_> {
    fn menu(&self, out: &mut String) {
        let path = format!("/{}", self.table.path().join(" "));
        let properties = self.properties();
        let mut is_entered = false;
        for row in 0..self.table.len(self.config) {
            let Some(words) = self.command(row, &properties) else {
                continue;
            };
            if self.options.terse {
                out.push_str(&path);
                for word in words {
                    out.push(' ');
                    out.push_str(&word);
                }
                out.push('\n');
                continue;
            }
            if !std::mem::replace(&mut is_entered, true) {
                out.push_str(&path);
                out.push('\n');
            }
            wrapped(&words, out);
        }
    }

    /// The properties that are written, by number, in the order of their names.
    fn properties(&self) -> Vec<(usize, &'static str)> {
        let properties = self.table.properties();
        let written = properties.iter().enumerate().filter(|(_, property)| {
            property.style != Style::Sensitive || self.options.show_sensitive
        });
        let mut properties: Vec<_> = written
            .map(|(number, property)| (number, property.name))
            .collect();
        properties.sort_by_key(|&(_, name)| name);
        properties
    }

    /// The words of the command that makes a row; `None` if it is there without one.
    fn command(&self, row: usize, properties: &[(usize, &'static str)]) -> Option<Vec<String>> {
        let (table, config) = (self.table, self.config);
        let is_built_in = table.is_built_in(config, row);
        let mut words = Vec::new();
        let defaults = table.defaults(config, row);
        for &(property, name) in properties {
            // What tells a built-in item from the others stands in front.
            if is_built_in && name == "name" {
                continue;
            }
            let is_default = defaults[property];
            if is_default && !self.options.verbose {
                continue;
            }
            let text = table.show(config, row, property);
            words.push(if text.is_empty() && is_default {
                format!("!{name}")
            } else {
                format!("{name}={}", value(&text))
            });
        }
        let is_there_anyway = table.is_single() || is_built_in;
        if words.is_empty() && is_there_anyway {
            return None;
        }
        let command = if is_built_in {
            format!("set {}", table.id(config, row))
        } else if table.is_single() {
            "set".to_owned()
        } else {
            "add".to_owned()
        };
        words.insert(0, command);
        Some(words)
    }
}

/// A line of the product is no longer than this, its `\` included, unless a word is.
const WIDTH: usize = 80;

/// Writes a command so that what is too long goes on in the next line.
fn wrapped(words: &[String], out: &mut String) {
    let mut width = 0;
    for (index, word) in words.iter().enumerate() {
        let length = word.chars().count();
        let is_last = index + 1 == words.len();
        // Behind a word that is not the last there stands a blank and a backslash.
        let end = if is_last { 0 } else { 2 };
        if index > 0 && width + 1 + length + end > WIDTH {
            out.push_str(" \\\n    ");
            width = 4;
        } else if index > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: &str = "/system identity\n\
        set name=gate\n\
        /ip pool\n\
        add comment=\"two of them\" name=a next-pool=b ranges=\\\n    \
            10.0.0.1-10.0.0.9,10.0.0.20-10.0.0.29\n\
        add name=b ranges=10.0.1.0/24\n\
        /ppp profile\n\
        add address-list=customers dns-server=1.1.1.1 idle-timeout=5m local-address=a name=p \\\n    \
            only-one=yes rate-limit=\"1M/4M 2M/8M 1M/4M 8/8\" use-compression=yes\n\
        set *0 change-tcp-mss=no\n\
        set *FFFFFFFE comment=strict use-encryption=required\n\
        /interface pptp-server server\n\
        set authentication=mschap2 default-profile=p enabled=yes max-mtu=1400\n\
        /interface pptp-server\n\
        add name=branch user=b\n\
        /interface pptp-client\n\
        add connect-to=vpn.example.net disabled=no name=out password=\"p w\" user=me\n\
        /ppp secret\n\
        add caller-id=192.0.2.1 limit-bytes-in=5 name=b password=\"a \\\"b\\\" \\$c\" routes=\\\n    \
            \"10.1.0.0/16 0.0.0.0 1\"\n\
        /ppp aaa\n\
        set use-radius=yes\n\
        /radius\n\
        add address=127.0.0.1 secret=s service=ppp timeout=3s\n\
        /radius incoming\n\
        set accept=yes\n";

    #[test]
    fn what_is_written_reads_back_in_every_style() {
        let config = read(EVERYTHING);
        for verbose in [false, true] {
            for terse in [false, true] {
                let options = Options {
                    verbose,
                    terse,
                    show_sensitive: true,
                };
                let text = export(&config, &[], options);
                let again = read(&text);
                assert_eq!(
                    export(&again, &[], WHOLE),
                    export(&config, &[], WHOLE),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn only_what_is_not_the_default_is_written_in_the_order_of_names() {
        insta::assert_snapshot!(export(&read(EVERYTHING), &[], WHOLE));
        assert_eq!(export(&Config::default(), &[], WHOLE), "");
    }

    /// What is cut off inside of a quoted value is no configuration; nothing of it is used.
    #[test]
    fn a_file_cut_short_inside_of_a_value_is_refused() {
        let whole = export(&read(EVERYTHING), &[], WHOLE);
        let mut quotes = 0;
        for (end, c) in whole.char_indices() {
            let is_inside = quotes % 2 == 1;
            if c == '"' && !whole[..end].ends_with('\\') {
                quotes += 1;
            }
            let cut = Config::parse(&whole[..end]);
            assert!(!is_inside || cut.is_err(), "{}", &whole[..end]);
        }
        assert!(quotes > 4, "{whole}");
    }

    #[test]
    fn passwords_are_written_only_for_those_who_ask() {
        let text = export(&read(EVERYTHING), &[], Options::default());

        assert!(!text.contains("password"), "{text}");
        assert!(!text.contains("secret="), "{text}");
    }

    #[test]
    fn terse_lines_stand_by_themselves_and_verbose_ones_say_everything() {
        let terse = Options {
            terse: true,
            ..Options::default()
        };
        let config = read(
            "/ip pool add name=a ranges=10.0.0.1\n/ip pool add name=b ranges=10.0.0.2 next-pool=a",
        );
        assert_eq!(
            export(&config, &["ip", "pool"], terse),
            "/ip pool add name=a ranges=10.0.0.1\n/ip pool add name=b next-pool=a ranges=10.0.0.2\n"
        );
        let verbose = Options {
            verbose: true,
            ..terse
        };
        assert_eq!(
            export(&config, &["ip"], verbose),
            "/ip pool add !comment name=a next-pool=none ranges=10.0.0.1\n\
             /ip pool add !comment name=b next-pool=a ranges=10.0.0.2\n"
        );
    }

    #[test]
    fn lines_end_within_80_columns_unless_a_word_is_longer() {
        let text = export(
            &read(EVERYTHING),
            &[],
            Options {
                verbose: true,
                ..WHOLE
            },
        );

        for line in text.lines() {
            assert!(
                line.chars().count() <= WIDTH
                    || !line.trim().trim_end_matches('\\').trim().contains(' ')
                    || line.contains('"'),
                "{line}"
            );
        }
    }

    fn read(text: &str) -> Config {
        Config::parse(text).unwrap().0
    }
}
