//! Exports of RouterOS: version 6 and 7, compact, verbose and terse.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use self::lex::{Raw, Value, Word};
use super::draft::{Command, Draft, Item, PROFILES, shown};
use super::judge;
use crate::model::{DEFAULT_ENCRYPTION_PROFILE, DEFAULT_PROFILE};

mod lex;

/// What `text` says; `None` if nothing in it is RouterOS's.
pub(super) fn read(text: &str) -> Option<Draft> {
    let mut reader = Reader {
        draft: Draft::without_passwords(
            "is not in this export, which hides it unless made with show-sensitive",
        ),
        menu: None,
        ours: BTreeMap::new(),
        block: None,
        is_export: text.trim().is_empty() || has_header(text),
        has_header: has_header(text),
    };
    for raw in lex::statements(text) {
        reader.statement(&raw);
    }
    reader.end_block();
    reader.is_export.then_some(reader.draft)
}

/// Whether the comments at the beginning are those of an export.
pub(super) fn has_header(text: &str) -> bool {
    text.lines()
        .map(str::trim_start)
        .take_while(|line| line.is_empty() || line.starts_with('#'))
        .any(|line| line.contains("by RouterOS"))
}

/// Reads statement by statement.
struct Reader {
    draft: Draft,
    /// The menu of the last menu line; `None` if it is not known.
    menu: Option<Vec<String>>,
    /// Which menus the model has, of those that were asked for.
    ours: BTreeMap<String, bool>,
    /// What is left out one after the other for one reason.
    block: Option<Block>,
    /// Something in it is RouterOS's.
    is_export: bool,
    /// RouterOS itself wrote it.
    has_header: bool,
}

struct Block {
    what: String,
    why: &'static str,
    lines: Vec<usize>,
}

impl Reader {
    fn statement(&mut self, raw: &Raw) {
        if let Some(fault) = raw.fault {
            return self.leave_out_in_block(raw, "unreadable text".to_owned(), fault);
        }
        let is_script = match raw.words.first() {
            Some(Word::Bare(first)) => {
                first.starts_with(':') || SCRIPT_WORDS.contains(&first.as_str())
            }
            Some(Word::Script | Word::Brackets(_)) => true,
            Some(Word::Quoted(_) | Word::Argument { .. } | Word::Unset(_)) | None => false,
        };
        if is_script {
            return self.leave_out_in_block(raw, "script".to_owned(), NO_SCRIPTS);
        }
        let Some(Address { path, verb, rest }) = self.address(raw) else {
            self.menu = None;
            return self.leave_out_in_block(raw, "unreadable text".to_owned(), NOT_UNDERSTOOD);
        };
        let menu = format!("/{}", path.join(" "));
        let arguments = &raw.words[rest..];
        let Some(verb) = verb else {
            if !arguments.is_empty() {
                return self.leave_out_in_block(raw, shown(&menu), "neither add nor set");
            }
            self.menu = Some(path);
            return;
        };
        if !self.is_ours(&menu) {
            return self.leave_out_in_block(raw, shown(&menu), "not a menu of greyhound");
        }
        self.end_block();
        match verb {
            "add" => self.add(&menu, arguments, raw),
            "set" => self.set(&menu, arguments, raw),
            _ => {
                let what = format!("{verb} in {menu}");
                let why = "only add and set are taken over";
                self.draft.leave_out(raw.lines.clone(), what, why);
            }
        }
    }

    /// Which menu a statement is about, and its command. `None` if it is not one.
    fn address<'a>(&mut self, raw: &'a Raw) -> Option<Address<'a>> {
        let Some(Word::Bare(first)) = raw.words.first() else {
            return None;
        };
        let is_rooted = first.starts_with('/');
        self.is_export |= is_rooted;
        let mut path = if is_rooted {
            Vec::new()
        } else {
            self.menu.clone()?
        };
        for (index, word) in raw.words.iter().enumerate() {
            let Word::Bare(text) = word else {
                // Without a command before it: an argument of the menu itself.
                return (index > 0 && is_rooted).then_some(Address {
                    path,
                    verb: None,
                    rest: index,
                });
            };
            let mut segments = text.split('/').filter(|segment| !segment.is_empty());
            while let Some(segment) = segments.next() {
                if segment == ".." {
                    path.pop();
                } else if VERBS.contains(&segment) && !path.is_empty() {
                    return segments.next().is_none().then_some(Address {
                        path,
                        verb: Some(segment),
                        rest: index + 1,
                    });
                } else {
                    path.push(segment.to_owned());
                }
            }
        }
        // A menu line; one that is relative is only believed if it leads to a menu.
        let menu = format!("/{}", path.join(" "));
        (is_rooted || path.is_empty() || self.is_ours(&menu)).then_some(Address {
            path,
            verb: None,
            rest: raw.words.len(),
        })
    }

    fn add(&mut self, menu: &str, arguments: &[Word], raw: &Raw) {
        let mut item = Item::add(menu, raw.lines.clone());
        if self.assign(&mut item, arguments, raw) {
            self.draft.push(item);
        }
    }

    fn set(&mut self, menu: &str, arguments: &[Word], raw: &Raw) {
        let is_selected = match arguments.first() {
            Some(Word::Argument { name, .. }) => name == "numbers",
            Some(Word::Unset(_)) | None => false,
            Some(_) => true,
        };
        if !is_selected {
            let mut item = Item::new(menu, Command::Set, raw.lines.clone());
            if self.assign(&mut item, arguments, raw) {
                self.draft.push(item);
            }
            return;
        }
        let (selector, arguments) = (&arguments[0], &arguments[1..]);
        let Some(selected) = self.select(menu, selector, arguments) else {
            let what = format!("set in {menu}");
            let why = "the export does not say which item it means";
            return self.draft.leave_out(raw.lines.clone(), what, why);
        };
        for target in selected {
            match target {
                Target::BuiltIn(name) => {
                    let command = Command::SetItem(name.to_owned());
                    let mut item = Item::new(menu, command, raw.lines.clone());
                    if self.assign(&mut item, arguments, raw) {
                        self.draft.push(item);
                    }
                }
                Target::Added(index) => {
                    // To be what the add of it says at once.
                    let mut item = Item::add(menu, []);
                    std::mem::swap(&mut item, &mut self.draft.items()[index]);
                    self.assign(&mut item, arguments, raw);
                    self.draft.items()[index] = item;
                }
            }
        }
    }

    /// The items that a selector means; `None` if that cannot be told.
    fn select(&mut self, menu: &str, selector: &Word, arguments: &[Word]) -> Option<Vec<Target>> {
        let conditions = match selector {
            Word::Brackets(words) => {
                let (first, conditions) = words.split_first()?;
                if !matches!(first, Word::Bare(find) if find == "find") {
                    return None;
                }
                conditions
                    .iter()
                    .map(Word::text_argument)
                    .collect::<Option<Vec<_>>>()?
            }
            Word::Bare(list) => return self.select_by_name(menu, list.split(','), arguments),
            Word::Quoted(Value::Text(name))
            | Word::Argument {
                value: Value::Text(name),
                ..
            } => {
                return self.select_by_name(menu, [name.as_str()], arguments);
            }
            Word::Quoted(_) | Word::Argument { .. } | Word::Unset(_) | Word::Script => return None,
        };
        let built_in = BUILT_IN.into_iter().filter(|name| {
            menu == PROFILES
                && conditions.iter().all(|condition| {
                    *condition == ("default", "yes") || *condition == ("name", *name)
                })
        });
        let mut selected: Vec<_> = built_in.map(Target::BuiltIn).collect();
        for (index, item) in self.draft.items().iter().enumerate() {
            let fits = |&(name, value): &(&str, &str)| {
                (name, value) == ("default", "no") || item.value(name) == Some(value)
            };
            let is_row = item.menu() == menu && *item.command() == Command::Add;
            if is_row && conditions.iter().all(fits) {
                selected.push(Target::Added(index));
            }
        }
        (!selected.is_empty()).then_some(selected)
    }

    fn select_by_name<'a>(
        &mut self,
        menu: &str,
        names: impl IntoIterator<Item = &'a str>,
        arguments: &[Word],
    ) -> Option<Vec<Target>> {
        // Old exports number the items, and repeat the names of the built-in ones.
        let given = arguments
            .iter()
            .filter_map(Word::text_argument)
            .filter(|(property, _)| *property == "name")
            .find_map(|(_, value)| BUILT_IN.into_iter().find(|name| *name == value));
        let one = |name: &str| {
            if menu == PROFILES {
                let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
                let built_in = match name {
                    "*0" | "0" => Some(DEFAULT_PROFILE),
                    "*FFFFFFFE" | "1" => Some(DEFAULT_ENCRYPTION_PROFILE),
                    _ => BUILT_IN.into_iter().find(|built_in| *built_in == name),
                };
                let built_in = given.filter(|_| is_number).or(built_in);
                if let Some(name) = built_in {
                    return Some(Target::BuiltIn(name));
                }
            }
            let is_meant = |item: &Item| {
                item.menu() == menu
                    && *item.command() == Command::Add
                    && item.value("name") == Some(name)
            };
            self.draft
                .items()
                .iter()
                .position(is_meant)
                .map(Target::Added)
        };
        names.into_iter().map(one).collect()
    }

    /// Gives `item` what a statement says. False if it says what cannot be understood.
    fn assign(&mut self, item: &mut Item, arguments: &[Word], raw: &Raw) -> bool {
        let is_odd = |word: &&Word| !matches!(word, Word::Argument { .. } | Word::Unset(_));
        if arguments.iter().any(|word| is_odd(&word)) {
            let why = "it has more than properties with values";
            self.draft.leave_out(raw.lines.clone(), item.title(), why);
            return false;
        }
        let mut given = Vec::new();
        // Told at the end, when the item has its name.
        let mut left_out = Vec::new();
        for word in arguments {
            let (name, value) = match word {
                Word::Argument { name, value } => (name, Some(value)),
                Word::Unset(name) => (name, None),
                Word::Bare(_) | Word::Quoted(_) | Word::Brackets(_) | Word::Script => continue,
            };
            let why = match value {
                _ if !name.bytes().all(is_of_a_name) => "not a property of greyhound",
                _ if given.contains(&name) => "stands there twice: the first one counts",
                None => {
                    // A new item has nothing that could be unset.
                    if *item.command() != Command::Add {
                        item.unset(name, raw.lines.clone());
                    }
                    continue;
                }
                Some(Value::Text(value)) if self.is_script(name, value) => NO_SCRIPTS,
                Some(Value::Text(value)) => {
                    given.push(name);
                    match built_in_name(item, name, value) {
                        BuiltInName::Not => item.put(name, value, raw.lines.clone()),
                        BuiltInName::Same => {}
                        BuiltInName::Other => {
                            left_out.push((name, "the built-in profiles keep their names"));
                        }
                    }
                    continue;
                }
                Some(Value::Script) => NO_SCRIPTS,
                Some(Value::Unreadable) => "is not UTF-8 text, or wrongly escaped",
            };
            item.lose(name);
            left_out.push((name, why));
        }
        for (name, why) in left_out {
            self.draft
                .leave_out(raw.lines.clone(), item.title_of(name), why);
        }
        true
    }

    /// Whether a property holds a script of RouterOS, which is none of the hooks of this program.
    fn is_script(&self, property: &str, value: &str) -> bool {
        matches!(property, "on-up" | "on-down")
            && !value.is_empty()
            && (self.has_header || value.starts_with(':') || value.contains(['\n', ';', '{', '$']))
    }

    fn is_ours(&mut self, menu: &str) -> bool {
        if let Some(&known) = self.ours.get(menu) {
            return known;
        }
        let is_ours = judge::is_menu(menu);
        self.ours.insert(menu.to_owned(), is_ours);
        is_ours
    }

    /// Leaves out a statement together with those before it of which the same is said.
    fn leave_out_in_block(&mut self, raw: &Raw, what: String, why: &'static str) {
        let same = self
            .block
            .as_mut()
            .filter(|block| block.what == what && block.why == why);
        if let Some(block) = same {
            block.lines.extend(raw.lines.clone());
            return;
        }
        self.end_block();
        self.block = Some(Block {
            what,
            why,
            lines: raw.lines.clone().collect(),
        });
    }

    fn end_block(&mut self) {
        let Some(Block {
            what,
            why,
            mut lines,
        }) = self.block.take()
        else {
            return;
        };
        lines.dedup();
        let count = lines.len();
        let plural = if count == 1 { "" } else { "s" };
        self.draft
            .leave_out(lines, what, format!("{why} ({count} line{plural})"));
    }
}

/// What a statement begins with: where it is, and what is to be done there.
struct Address<'a> {
    path: Vec<String>,
    /// `None` if it is a menu line, or arguments without a command.
    verb: Option<&'a str>,
    /// The index of the first word behind it.
    rest: usize,
}

/// What a selector means.
enum Target {
    /// This profile.
    BuiltIn(&'static str),
    /// The item with this index in the draft.
    Added(usize),
}

/// The name of a built-in profile repeats what the selector says, or would change it.
enum BuiltInName {
    Not,
    Same,
    Other,
}

fn built_in_name(item: &Item, property: &str, value: &Zeroizing<String>) -> BuiltInName {
    match item.command() {
        Command::SetItem(name) if property == "name" => {
            if name == value.as_str() {
                BuiltInName::Same
            } else {
                BuiltInName::Other
            }
        }
        Command::SetItem(_) | Command::Add | Command::Set => BuiltInName::Not,
    }
}

/// The profiles that cannot be added.
const BUILT_IN: [&str; 2] = [DEFAULT_PROFILE, DEFAULT_ENCRYPTION_PROFILE];

const NO_SCRIPTS: &str = "scripts are not taken over";
const NOT_UNDERSTOOD: &str = "neither a menu nor a command";

/// The commands that menus have.
const VERBS: &[&str] = &[
    "add", "comment", "disable", "edit", "enable", "export", "find", "get", "import", "monitor",
    "move", "print", "remove", "reset", "set", "unset",
];

/// Commands of the scripting language that may stand without their colon.
const SCRIPT_WORDS: &[&str] = &[
    "do", "for", "foreach", "global", "if", "local", "put", "while",
];

const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
