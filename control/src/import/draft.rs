//! What a source says, put in the names of the configuration; and what the model makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use zeroize::Zeroizing;

use super::judge::{self, Objection};
use super::{Imported, LeftOut, Statement};
use crate::language::write;
use crate::model::DEFAULT_ENCRYPTION_PROFILE;

/// The menu of the users.
pub(super) const SECRETS: &str = "/ppp secret";
/// The menu of the profiles.
pub(super) const PROFILES: &str = "/ppp profile";
/// The menu of the address pools.
pub(super) const POOLS: &str = "/ip pool";
/// The menu of the server, which has one item.
pub(super) const SERVER: &str = "/interface pptp-server server";
/// The menu of the tunnels out.
pub(super) const CLIENTS: &str = "/interface pptp-client";
/// The menu of what this machine calls itself.
pub(super) const IDENTITY: &str = "/system identity";
/// The menu that says whether RADIUS is asked.
pub(super) const AAA: &str = "/ppp aaa";
/// The menu of the RADIUS servers.
pub(super) const RADIUS: &str = "/radius";
/// The menu of what RADIUS servers may ask of us.
pub(super) const RADIUS_INCOMING: &str = "/radius incoming";

/// The order of the statements: what is referred to stands before what refers to it.
const ORDER: &[&str] = &[
    IDENTITY,
    POOLS,
    PROFILES,
    SERVER,
    SECRETS,
    "/interface pptp-server",
    CLIENTS,
    AAA,
    RADIUS,
    RADIUS_INCOMING,
];

/// Menus whose items let somebody in, or us in somewhere, by a secret.
const ACCOUNTS: &[Account] = &[
    Account {
        menu: SECRETS,
        secret: "password",
        limits: &["caller-id", "service", "disabled"],
    },
    Account {
        menu: CLIENTS,
        secret: "password",
        limits: &["disabled"],
    },
    Account {
        menu: RADIUS,
        secret: "secret",
        limits: &["address", "disabled"],
    },
];

/// What an item of a menu must not lose without being disabled.
struct Account {
    menu: &'static str,
    /// The property with the secret; an empty one is none.
    secret: &'static str,
    /// Properties that say who may use it.
    limits: &'static [&'static str],
}

/// Items in the order of the source, and what its reader left out itself.
#[derive(Default)]
pub(super) struct Draft {
    items: Vec<Item>,
    left_out: Vec<LeftOut>,
    /// Why an item may have no password, if this kind of source has a reason of its own.
    no_password: Option<&'static str>,
}

impl Draft {
    /// A draft of a source that may keep passwords to itself, which is said in these words.
    pub(super) fn without_passwords(why: &'static str) -> Self {
        Self {
            no_password: Some(why),
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, item: Item) {
        self.items.push(item);
    }

    /// Sets a property in a menu with one item.
    pub(super) fn set(
        &mut self,
        menu: &str,
        name: &str,
        value: &str,
        lines: impl IntoIterator<Item = usize>,
    ) {
        self.set_of(menu, &Command::Set, name, value, lines);
    }

    /// Sets a property of the profile that the server takes for users without another.
    pub(super) fn set_for_all(
        &mut self,
        name: &str,
        value: &str,
        lines: impl IntoIterator<Item = usize>,
    ) {
        let command = Command::SetItem(DEFAULT_ENCRYPTION_PROFILE.to_owned());
        self.set_of(PROFILES, &command, name, value, lines);
    }

    /// Sets a property of the item that is added in a menu, for a source that adds one.
    pub(super) fn set_new(
        &mut self,
        menu: &str,
        name: &str,
        value: &str,
        lines: impl IntoIterator<Item = usize>,
    ) {
        self.set_of(menu, &Command::Add, name, value, lines);
    }

    fn set_of(
        &mut self,
        menu: &str,
        command: &Command,
        name: &str,
        value: &str,
        lines: impl IntoIterator<Item = usize>,
    ) {
        let lines: Vec<_> = lines.into_iter().collect();
        let is_it = |item: &Item| item.menu == menu && item.command == *command;
        let index = self.items.iter().position(is_it).unwrap_or_else(|| {
            self.items.push(Item::new(menu, command.clone(), []));
            self.items.len() - 1
        });
        let item = &mut self.items[index];
        let given = item.properties.iter().position(|one| one.name == name);
        if let Some(given) = given
            && item.value(name) != Some(value)
        {
            let (before, what) = (item.properties.remove(given).lines, item.title_of(name));
            let why = match lines.first() {
                Some(line) => format!("line {line} says otherwise, and counts"),
                None => "is set again".to_owned(),
            };
            // What no line said is not lost.
            if !before.is_empty() {
                self.leave_out(before, what, why);
            }
        }
        self.items[index].put(name, value, lines);
    }

    /// Whether that profile has a value for this property already.
    pub(super) fn is_set_for_all(&self, name: &str) -> bool {
        let command = Command::SetItem(DEFAULT_ENCRYPTION_PROFILE.to_owned());
        self.is_set_of(PROFILES, &command, name)
    }

    /// Whether the item that is added in a menu has a value for this property already.
    pub(super) fn is_set_new(&self, menu: &str, name: &str) -> bool {
        self.is_set_of(menu, &Command::Add, name)
    }

    fn is_set_of(&self, menu: &str, command: &Command, name: &str) -> bool {
        self.items
            .iter()
            .any(|item| item.menu == menu && item.command == *command && item.value(name).is_some())
    }

    /// Leaves out what has the same reason as one: `what` with the lines where it stands.
    pub(super) fn leave_out_together(&mut self, what: &[(String, usize)], why: &str) {
        if what.is_empty() {
            return;
        }
        let names: Vec<_> = what.iter().map(|(name, _)| name.as_str()).collect();
        let lines = what.iter().map(|&(_, line)| line).collect::<BTreeSet<_>>();
        // Each name is short; together they may be more than what is shown of one.
        self.left_out.push(LeftOut {
            line: lines.first().copied().unwrap_or(1),
            lines: lines.into_iter().collect(),
            what: names.join(", "),
            why: why.to_owned(),
        });
    }

    /// The items so far, to be changed by what stands further down.
    pub(super) fn items(&mut self) -> &mut [Item] {
        &mut self.items
    }

    pub(super) fn leave_out(
        &mut self,
        lines: impl IntoIterator<Item = usize>,
        what: impl AsRef<str>,
        why: impl Into<String>,
    ) {
        let lines: BTreeSet<_> = lines.into_iter().collect();
        self.left_out.push(LeftOut {
            line: lines.first().copied().unwrap_or(1),
            lines: lines.into_iter().collect(),
            what: shown(what.as_ref()),
            why: why.into(),
        });
    }

    /// Orders the items, has the model judge them, and writes them as statements.
    pub(super) fn finish(mut self, existing: &str) -> Imported {
        self.disable_what_has_no_secret();
        self.order_items();
        self.order_pools();
        self.settle_each();
        self.disable_what_lost_a_limit();
        self.disable_what_would_step_in();
        self.settle_all(existing);
        let mut statements = Vec::with_capacity(self.items.len());
        for item in std::mem::take(&mut self.items) {
            if item.command != Command::Add && item.properties.is_empty() {
                // What it lost was told already, with its lines.
                if item.lost.is_empty() {
                    self.leave_out(item.lines.clone(), item.title(), "sets nothing");
                }
                continue;
            }
            statements.push(Statement {
                line: item.lines.first().copied().unwrap_or(1),
                text: item.render().text,
                lines: item.lines.into_iter().collect(),
            });
        }
        self.left_out.sort_by_key(|left_out| left_out.line);
        Imported {
            statements,
            left_out: self.left_out,
        }
    }

    /// An account without a password would let in whoever knows its name. It is kept with all that
    /// it has, and disabled, rather than left out: only its password is to be set.
    fn disable_what_has_no_secret(&mut self) {
        let why = self.no_password.unwrap_or("is empty");
        for index in 0..self.items.len() {
            let item = &mut self.items[index];
            let Some(account) = item.account() else {
                continue;
            };
            let value = item.value(account.secret);
            if value.is_some_and(|value| !value.is_empty()) {
                continue;
            }
            let why = match (item.hidden, value) {
                (Some(why), _) => why,
                (None, Some(_)) => "is empty",
                (None, None) => why,
            };
            item.disable();
            let (lines, what) = (item.lines.clone(), item.title_of(account.secret));
            self.leave_out(lines, what, format!("{why}: imported disabled"));
        }
    }

    /// Says who may log in, and that is gone: nobody may.
    fn disable_what_lost_a_limit(&mut self) {
        for index in 0..self.items.len() {
            let item = &mut self.items[index];
            let Some(account) = item.account().filter(|_| !item.is_disabled) else {
                continue;
            };
            let lost = |name: &&str| account.limits.contains(name) || *name == account.secret;
            let Some(name) = item.lost.iter().map(String::as_str).find(lost) else {
                continue;
            };
            let why = format!("imported disabled, as it is without its {name}");
            item.disable();
            let (lines, what) = (item.lines.clone(), item.title());
            self.leave_out(lines, what, why);
        }
    }

    /// A secret for PPTP counts before one for any service. Where it is disabled only here, the other
    /// one must not let its user in instead.
    fn disable_what_would_step_in(&mut self) {
        let is_secret = |item: &&Item| item.menu == SECRETS && item.command == Command::Add;
        let shut = self.items.iter().filter(is_secret).filter(|item| {
            item.is_disabled && item.was_open && item.value("service") == Some("pptp")
        });
        let shut: BTreeSet<_> = shut
            .filter_map(|item| item.value("name").map(str::to_owned))
            .collect();
        for index in 0..self.items.len() {
            let item = &mut self.items[index];
            let is_other = matches!(item.value("service"), None | Some("any"));
            let is_of_user = item.value("name").is_some_and(|name| shut.contains(name));
            if !is_secret(&&*item) || !is_other || !is_of_user || item.is_disabled {
                continue;
            }
            item.disable();
            let (lines, what) = (item.lines.clone(), item.title());
            let why = "imported disabled, as another one of the same name counted before it";
            self.leave_out(lines, what, why);
        }
    }

    fn order_items(&mut self) {
        self.items.sort_by_key(|item| {
            let rank = ORDER.iter().position(|menu| *menu == item.menu);
            rank.unwrap_or(ORDER.len())
        });
    }

    /// Puts each pool behind the one that it names as its next. One that leads back to itself is
    /// cut where it does.
    fn order_pools(&mut self) {
        let is_pool = |item: &Item| item.menu == POOLS;
        let begin = self.items.iter().position(is_pool).unwrap_or(0);
        let count = self.items.iter().filter(|item| is_pool(item)).count();
        let mut pools: Vec<_> = self.items.drain(begin..begin + count).map(Some).collect();
        let names: BTreeMap<_, _> = pools
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(index, pool)| Some((pool.as_ref()?.value("name")?.to_owned(), index)))
            .collect();
        let mut ordered = Vec::with_capacity(count);
        for first in 0..count {
            // Along the chain to a pool that is placed already, or names none; then back.
            let mut chain = Vec::new();
            let mut at = Some(first);
            while let Some(index) = at {
                let Some(pool) = &mut pools[index] else {
                    break;
                };
                chain.push(index);
                let next = pool.value("next-pool").and_then(|name| names.get(name));
                at = next.copied();
                if at.is_some_and(|next| chain.contains(&next)) {
                    pool.properties
                        .retain(|property| property.name != "next-pool");
                    let (lines, what) = (pool.lines.clone(), pool.title_of("next-pool"));
                    self.leave_out(lines, what, "leads back to itself");
                    at = None;
                }
            }
            ordered.extend(
                chain
                    .into_iter()
                    .rev()
                    .filter_map(|index| pools[index].take()),
            );
        }
        self.items.splice(begin..begin, ordered);
    }

    /// Has each item judged alone, but for what it refers to.
    fn settle_each(&mut self) {
        let mut settled = Vec::with_capacity(self.items.len());
        for mut item in std::mem::take(&mut self.items) {
            loop {
                let mut objections = judge::objections(&item.render().text);
                objections.retain(|objection| !objection.is_about_a_reference());
                if objections.is_empty() {
                    settled.push(item);
                    break;
                }
                if !self.condemn(&mut item, &objections) {
                    break;
                }
            }
        }
        self.items = settled;
    }

    /// Has all items judged together, behind what there is.
    fn settle_all(&mut self, existing: &str) {
        let existing_lines = existing.lines().count();
        loop {
            let mut text = Zeroizing::new(String::with_capacity(existing.len() + 1));
            for line in existing.lines() {
                text.push_str(line);
                text.push('\n');
            }
            let texts: Vec<_> = self.items.iter().map(|item| item.render().text).collect();
            text.reserve_exact(texts.iter().map(|text| text.len() + 1).sum());
            for one in texts {
                text.push_str(&one);
                text.push('\n');
            }
            let mut by_item: BTreeMap<usize, Vec<Objection>> = BTreeMap::new();
            for objection in judge::objections(&text) {
                // What the model has against what there is, is not our business.
                if let Some(index) = objection.line.checked_sub(existing_lines + 1)
                    && index < self.items.len()
                {
                    by_item.entry(index).or_default().push(objection);
                }
            }
            if by_item.is_empty() {
                return;
            }
            let items = std::mem::take(&mut self.items);
            for (index, mut item) in items.into_iter().enumerate() {
                let stays = by_item
                    .get(&index)
                    .is_none_or(|objections| self.condemn(&mut item, objections));
                if stays {
                    self.items.push(item);
                }
            }
        }
    }

    /// Leaves out of `item` what `objections` point at, of which there is at least one. False if
    /// that is the item itself.
    fn condemn(&mut self, item: &mut Item, objections: &[Objection]) -> bool {
        let spans = item.render().spans;
        let hit = |objection: &Objection| {
            spans
                .iter()
                .position(|span| span.contains(&objection.column))
        };
        if let Some(whole) = objections.iter().find(|one| hit(one).is_none()) {
            self.leave_out(item.lines.clone(), item.title(), reason(&whole.text));
            return false;
        }
        let condemned: BTreeMap<_, _> = objections
            .iter()
            .filter_map(|objection| Some((hit(objection)?, objection)))
            .collect();
        for (&index, objection) in condemned.iter().rev() {
            let property = item.properties.remove(index);
            if property.name == "disabled" && item.is_disabled {
                let why = "it would have to be disabled, and cannot be";
                self.leave_out(item.lines.clone(), item.title(), why);
                return false;
            }
            // What was unset in the source is not there anyway.
            if property.value.is_some() {
                let what = item.title_of(&property.name);
                self.leave_out(property.lines, what, reason(&objection.text));
            }
            item.lost.push(property.name);
        }
        true
    }
}

/// What an item's command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `add`.
    Add,
    /// `set` of a menu with one item.
    Set,
    /// `set` of the item with this name.
    SetItem(String),
}

/// One statement to be.
pub(super) struct Item {
    menu: String,
    command: Command,
    properties: Vec<Property>,
    lines: BTreeSet<usize>,
    /// The properties that were left out.
    lost: Vec<String>,
    /// It must not be imported otherwise.
    is_disabled: bool,
    /// It was not so in the source.
    was_open: bool,
    /// Why its secret is not known, if it has one.
    hidden: Option<&'static str>,
}

struct Property {
    name: String,
    /// `None` unsets it.
    value: Option<Zeroizing<String>>,
    lines: Vec<usize>,
}

impl Item {
    pub(super) fn new(
        menu: &str,
        command: Command,
        lines: impl IntoIterator<Item = usize>,
    ) -> Self {
        Self {
            menu: menu.to_owned(),
            command,
            properties: Vec::new(),
            lines: lines.into_iter().collect(),
            lost: Vec::new(),
            is_disabled: false,
            was_open: false,
            hidden: None,
        }
    }

    /// An `add` in `menu`, from these lines of the source.
    pub(super) fn add(menu: &str, lines: impl IntoIterator<Item = usize>) -> Self {
        Self::new(menu, Command::Add, lines)
    }

    pub(super) fn menu(&self) -> &str {
        &self.menu
    }

    pub(super) const fn command(&self) -> &Command {
        &self.command
    }

    /// The value of a property, if it was given one.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let property = self.properties.iter().find(|one| one.name == name)?;
        property.value.as_ref().map(|value| value.as_str())
    }

    /// Gives a property a value, instead of the one it may have. The lines become the item's too.
    pub(super) fn put(&mut self, name: &str, value: &str, lines: impl IntoIterator<Item = usize>) {
        self.assign(name, Some(Zeroizing::new(value.to_owned())), lines);
    }

    /// Puts a property back to its default.
    pub(super) fn unset(&mut self, name: &str, lines: impl IntoIterator<Item = usize>) {
        self.assign(name, None, lines);
    }

    /// Notes that a property of the source could not be given a value.
    pub(super) fn lose(&mut self, name: &str) {
        self.lost.push(name.to_owned());
    }

    /// Notes that its secret is not known, and why.
    pub(super) const fn hide_secret(&mut self, why: &'static str) {
        self.hidden = Some(why);
    }

    /// Nobody is to use it until somebody has looked at it.
    pub(super) fn disable(&mut self) {
        self.was_open |= self.value("disabled") != Some("yes");
        self.put("disabled", "yes", []);
        self.is_disabled = true;
    }

    fn assign(
        &mut self,
        name: &str,
        value: Option<Zeroizing<String>>,
        lines: impl IntoIterator<Item = usize>,
    ) {
        let mut lines: Vec<_> = lines.into_iter().collect();
        self.lines.extend(&lines);
        if let Some(property) = self.properties.iter_mut().find(|one| one.name == name) {
            lines.append(&mut property.lines);
            property.lines = lines;
            property.value = value;
        } else {
            let name = name.to_owned();
            self.properties.push(Property { name, value, lines });
        }
    }

    /// The rules for it, if it lets somebody in.
    fn account(&self) -> Option<&'static Account> {
        let account = ACCOUNTS.iter().find(|account| account.menu == self.menu)?;
        (self.command == Command::Add).then_some(account)
    }

    /// What it is called in what is left out.
    pub(super) fn title(&self) -> String {
        let name = match &self.command {
            Command::Add => ["name", "address", "user"]
                .into_iter()
                .find_map(|name| self.value(name))
                .unwrap_or_default(),
            Command::Set => "",
            Command::SetItem(name) => name,
        };
        format!("{} {}", self.menu, shown(name))
            .trim_end()
            .to_owned()
    }

    /// What one of its properties is called in what is left out.
    pub(super) fn title_of(&self, property: &str) -> String {
        format!("{} of {}", shown(property), self.title())
    }

    fn render(&self) -> Rendered {
        let values = self.properties.iter().flat_map(|one| &one.value);
        let names = self.properties.iter().map(|one| one.name.len() + 4);
        // Large enough for every escape, so that no copy of a password stays behind.
        let length = values
            .map(|value| 6 * value.len())
            .chain(names)
            .sum::<usize>();
        let mut text = Zeroizing::new(String::with_capacity(length + self.menu.len() + 1024));
        text.push_str(&self.menu);
        match &self.command {
            Command::Add => text.push_str(" add"),
            Command::Set => text.push_str(" set"),
            Command::SetItem(name) => {
                text.push_str(" set ");
                text.push_str(&write::value(name));
            }
        }
        let mut spans = Vec::with_capacity(self.properties.len());
        let mut column = text.chars().count() + 1;
        for property in &self.properties {
            let begin = text.len();
            text.push(' ');
            if let Some(value) = &property.value {
                text.push_str(&property.name);
                text.push('=');
                text.push_str(&Zeroizing::new(write::value(value)));
            } else {
                text.push('!');
                text.push_str(&property.name);
            }
            let end = column + text[begin..].chars().count();
            spans.push(column + 1..end + 1);
            column = end;
        }
        Rendered { text, spans }
    }
}

/// A statement, and in which columns each of its properties stands, with the blank behind it: an
/// empty value is there.
struct Rendered {
    text: Zeroizing<String>,
    spans: Vec<Range<usize>>,
}

/// A name of the source as a message may repeat it: short, and without control characters.
pub(super) fn shown(name: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    let mut text: String = name.chars().take(MOST_SHOWN).map(plain).collect();
    if name.chars().nth(MOST_SHOWN).is_some() {
        text.push_str("...");
    }
    text
}

/// In characters.
const MOST_SHOWN: usize = 96;

/// The model's words where they speak of a command line, said of something that was left out.
fn reason(text: &str) -> String {
    if text == "expected end of command" {
        "not a property of greyhound".to_owned()
    } else if text == "syntax error" {
        "not a value that greyhound knows".to_owned()
    } else if let Some(kind) = text.strip_prefix("input does not match any value of ") {
        format!("there is no such {kind}")
    } else if let Some(names) = text.strip_prefix("missing value(s) of argument(s) ") {
        format!("it lacks {}", names.replace(' ', ", "))
    } else {
        text.strip_prefix("failure: ").unwrap_or(text).to_owned()
    }
}
