//! Reads a line that is still being written: what its words are, and what may stand where it ends.
//!
//! This is for completion, help and colours only, so that nothing is refused here: what cannot be
//! understood is said to be wrong, and the rest is read as well as it can be. Whether a command is
//! right is for the [language](crate::language) and the control process to say.

use std::ops::Range;

use super::guide::{Argument, Command, Condition, Guide, NUMBERS, Positional, Step, named};

/// What a line says.
#[derive(Debug)]
pub(super) struct Reading<'g> {
    /// What its words are, in their order; what stands between them is not mentioned.
    pub(super) spans: Vec<Span>,
    /// What may stand at its end.
    pub(super) next: Next<'g>,
    /// Where a line behind this one begins.
    pub(super) menu: Vec<&'static str>,
    /// What its last statement runs; `None` if it is a path alone, or cannot be understood.
    pub(super) invocation: Option<Invocation<'g>>,
}

/// A command with what it is given.
#[derive(Clone, Debug)]
pub(super) struct Invocation<'g> {
    pub(super) command: &'g Command,
    /// What it is given by name.
    pub(super) given: Vec<&'g Argument>,
}

/// A part of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// In bytes.
    pub(super) range: Range<usize>,
    pub(super) class: Class,
}

/// What a part of the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Menu,
    Command,
    Property,
    Value,
    Comment,
    /// Nothing that is known.
    Error,
}

/// What may stand at the end of the line.
#[derive(Debug)]
pub(super) struct Next<'g> {
    pub(super) place: Place<'g>,
    /// Where that begins which has been typed of it, in bytes.
    pub(super) start: usize,
    /// What has been typed of it, without the quote that it begins with.
    pub(super) typed: String,
    /// It is in quotes.
    pub(super) is_quoted: bool,
    /// It stands in a word with slashes, which join the words of a path.
    pub(super) is_slashed: bool,
}

/// What is expected at a place of the line.
#[derive(Clone, Debug)]
pub(super) enum Place<'g> {
    /// The name of a menu or a command below this path.
    Path(Vec<&'static str>),
    /// What a command takes.
    Arguments {
        menu: Vec<&'static str>,
        command: &'g Command,
        /// Those that stand before.
        given: Vec<&'static str>,
        /// What may still be given without a name.
        positional: &'static [Positional],
    },
    /// What items have to be like.
    Condition(Vec<&'static str>),
    /// A value.
    Value(&'g Argument),
    /// It is not known.
    Unknown,
}

impl<'g> Reading<'g> {
    /// Reads `line`, typed in the menu `home`.
    pub(super) fn new(guide: &'g Guide, home: &[&'static str], line: &str) -> Self {
        let mut reader = Reader {
            guide,
            home: home.to_vec(),
            place: Place::Path(home.to_vec()),
            outer: Vec::new(),
            spans: Vec::new(),
            invocation: None,
        };
        let mut next = None;
        for Token { range, kind } in tokens(line) {
            let is_last = range.end == line.len();
            match kind {
                TokenKind::Word => {
                    let word = &line[range.clone()];
                    let here = is_last.then(|| reader.next(word, range.start));
                    let marks = reader.spans.len();
                    reader.word(word, range.start);
                    if let Some(here) = here {
                        // What may still become right is not wrong.
                        let unfinished = here.start..line.len();
                        let is_unfinished =
                            |span: &Span| span.class == Class::Error && span.range == unfinished;
                        if here.is_beginning(guide)
                            && let Some(wrong) =
                                reader.spans[marks..].iter().position(is_unfinished)
                        {
                            reader.spans.remove(marks + wrong);
                        }
                        next = Some(here);
                    }
                }
                TokenKind::Comment => {
                    reader.mark(range, Class::Comment);
                    if is_last {
                        reader.place = Place::Unknown;
                    }
                }
                TokenKind::Parenthesis => {}
                TokenKind::Open => reader.open(),
                TokenKind::Close => reader.close(range),
                TokenKind::End => {
                    reader.end();
                    reader.invocation = None;
                }
            }
        }
        let next = next.unwrap_or_else(|| reader.next("", line.len()));
        reader.end();
        Self {
            spans: reader.spans,
            next,
            menu: reader.home,
            invocation: reader.invocation,
        }
    }
}

impl Next<'_> {
    /// Something that may stand here begins with what has been typed.
    fn is_beginning(&self, guide: &Guide) -> bool {
        let begins = |name: &str| name.starts_with(&*self.typed);
        match &self.place {
            Place::Path(menu) => {
                begins("..") || guide.below(menu).iter().any(|step| begins(step.name()))
            }
            Place::Arguments { command, .. } => {
                let where_ = command.condition == Condition::BehindWhere;
                command.arguments.iter().any(|one| begins(one.name)) || where_ && begins("where")
            }
            Place::Condition(menu) => guide.conditions(menu).iter().any(|one| begins(one.name)),
            Place::Value(_) | Place::Unknown => true,
        }
    }
}

/// What has been read.
struct Reader<'g> {
    guide: &'g Guide,
    /// The menu in which a statement begins.
    home: Vec<&'static str>,
    place: Place<'g>,
    /// The places outside of the brackets that are open, the innermost last.
    outer: Vec<Place<'g>>,
    spans: Vec<Span>,
    /// Of the statement that is read.
    invocation: Option<Invocation<'g>>,
}

impl<'g> Reader<'g> {
    fn mark(&mut self, range: Range<usize>, class: Class) {
        if !range.is_empty() {
            self.spans.push(Span { range, class });
        }
    }

    /// A statement ends. A path alone enters a menu.
    fn end(&mut self) {
        if let Place::Path(menu) = &self.place
            && self.outer.is_empty()
        {
            self.home.clone_from(menu);
        }
        self.outer.clear();
        self.place = Place::Path(self.home.clone());
    }

    /// `[`: a command inside of the command.
    fn open(&mut self) {
        let inside = match &self.place {
            Place::Arguments { menu, .. } => Place::Path(menu.clone()),
            Place::Path(_) | Place::Condition(_) | Place::Value(_) | Place::Unknown => {
                Place::Unknown
            }
        };
        self.outer.push(std::mem::replace(&mut self.place, inside));
    }

    /// `]`: what was inside has chosen the items.
    fn close(&mut self, range: Range<usize>) {
        match self.outer.pop() {
            Some(outside) => self.place = outside,
            None => self.mark(range, Class::Error),
        }
        if let Place::Arguments {
            positional, given, ..
        } = &mut self.place
        {
            *positional = positional.get(1..).unwrap_or_default();
            given.push(NUMBERS);
        }
    }

    /// Takes a word that begins at byte `at`.
    fn word(&mut self, word: &str, at: usize) {
        let place = std::mem::replace(&mut self.place, Place::Unknown);
        let whole = at..at + word.len();
        self.place = match place {
            Place::Path(menu) => self.path(menu, word, at),
            Place::Arguments {
                menu,
                command,
                given,
                positional,
            } => self.argument((menu, command, given), positional, word, at),
            Place::Condition(menu) => {
                match condition(word) {
                    Some((name, value)) => {
                        let is_known = named(self.guide.conditions(&menu), name).is_some();
                        let class = if is_known {
                            Class::Property
                        } else {
                            Class::Error
                        };
                        self.mark(at..at + name.len(), class);
                        self.mark(at + value..whole.end, Class::Value);
                    }
                    None => self.mark(whole, Class::Property),
                }
                Place::Condition(menu)
            }
            Place::Value(_) | Place::Unknown => Place::Unknown,
        };
    }

    /// A part of the path to a command.
    fn path(&mut self, mut menu: Vec<&'static str>, word: &str, at: usize) -> Place<'g> {
        if word.starts_with('/') {
            menu.clear();
        }
        let mut from = at;
        let mut command: Option<&'g Command> = None;
        for segment in word.split('/') {
            let range = from..from + segment.len();
            from = range.end + 1;
            if segment.is_empty() {
                continue;
            }
            let step = self
                .guide
                .step(&menu, segment)
                .filter(|_| command.is_none());
            match step {
                Some(Step::Menu(name)) => menu.push(name),
                Some(Step::Command(found)) => command = Some(found),
                None if segment == ".." && command.is_none() => {
                    menu.pop();
                }
                None => {
                    self.mark(range, Class::Error);
                    return Place::Unknown;
                }
            }
            let class = if command.is_some() {
                Class::Command
            } else {
                Class::Menu
            };
            self.mark(range, class);
        }
        if let Some(command) = command
            && self.outer.is_empty()
        {
            self.invocation = Some(Invocation {
                command,
                given: Vec::new(),
            });
        }
        match command {
            None => Place::Path(menu),
            Some(command) if command.condition == Condition::AtOnce => Place::Condition(menu),
            Some(command) => Place::Arguments {
                menu,
                command,
                given: Vec::new(),
                positional: command.positional,
            },
        }
    }

    /// A part of what a command takes.
    fn argument(
        &mut self,
        (menu, command, mut given): (Vec<&'static str>, &'g Command, Vec<&'static str>),
        mut positional: &'static [Positional],
        word: &str,
        at: usize,
    ) -> Place<'g> {
        let whole = at..at + word.len();
        if command.condition == Condition::BehindWhere && word == "where" {
            self.mark(whole, Class::Property);
            return Place::Condition(menu);
        }
        let (name, value) = match (assignment(word), word.strip_prefix('!')) {
            (Some((name, value)), _) => (at..at + name.len(), Some(value)),
            (None, Some(name)) => (whole.end - name.len()..whole.end, None),
            (None, None) => {
                if let Some((first, positional)) = positional.split_first() {
                    if *first == Positional::Items {
                        given.push(NUMBERS);
                    }
                    self.mark(whole, Class::Value);
                    return Place::Arguments {
                        menu,
                        command,
                        given,
                        positional,
                    };
                }
                (whole.clone(), None)
            }
        };
        let text = &word[name.start - at..name.end - at];
        match command.argument(text) {
            Some(argument) => {
                given.push(argument.name);
                if argument.name == NUMBERS {
                    positional = positional.get(1..).unwrap_or_default();
                }
                if let Some(invocation) = &mut self.invocation
                    && self.outer.is_empty()
                {
                    invocation.given.push(argument);
                }
                self.mark(name, Class::Property);
            }
            None => self.mark(name, Class::Error),
        }
        if let Some(value) = value {
            self.mark(at + value..whole.end, Class::Value);
        }
        Place::Arguments {
            menu,
            command,
            given,
            positional,
        }
    }

    /// What may stand where `word` does, which begins at byte `at`.
    fn next(&self, word: &str, at: usize) -> Next<'g> {
        match &self.place {
            Place::Path(menu) => {
                let mut menu = menu.clone();
                let last = word.rfind('/').map_or(0, |slash| slash + 1);
                let (before, typed) = word.split_at(last);
                if word.starts_with('/') {
                    menu.clear();
                }
                let mut place = Some(menu);
                for segment in before.split('/').filter(|segment| !segment.is_empty()) {
                    place = place.and_then(|mut menu| {
                        match self.guide.step(&menu, segment) {
                            Some(Step::Menu(name)) => menu.push(name),
                            None if segment == ".." => {
                                menu.pop();
                            }
                            Some(Step::Command(_)) | None => return None,
                        }
                        Some(menu)
                    });
                }
                Next {
                    place: place.map_or(Place::Unknown, Place::Path),
                    is_slashed: last > 0,
                    ..Next::typed(at + last, typed)
                }
            }
            Place::Arguments {
                command,
                positional,
                ..
            } => match assignment(word) {
                Some((name, value)) => Next {
                    place: value_of(command.argument(name)),
                    ..part(command.argument(name), at + value, &word[value..])
                },
                None if positional.first() == Some(&Positional::Items) => Next {
                    place: self.place.clone(),
                    ..last_of(at, word)
                },
                None => {
                    let typed = word.strip_prefix('!').unwrap_or(word);
                    Next {
                        place: self.place.clone(),
                        ..Next::typed(at + word.len() - typed.len(), typed)
                    }
                }
            },
            Place::Condition(menu) => match condition(word) {
                Some((name, value)) => {
                    let property = named(self.guide.conditions(menu), name);
                    Next {
                        place: value_of(property),
                        ..Next::typed(at + value, &word[value..])
                    }
                }
                None => {
                    let typed = word.strip_prefix('!').unwrap_or(word);
                    Next {
                        place: self.place.clone(),
                        ..Next::typed(at + word.len() - typed.len(), typed)
                    }
                }
            },
            Place::Value(_) | Place::Unknown => Next::typed(at, word),
        }
    }
}

impl Next<'_> {
    /// Nothing that is known, of which `text` has been typed.
    fn typed(start: usize, text: &str) -> Self {
        let bare = text.strip_prefix('"');
        Self {
            place: Place::Unknown,
            start,
            typed: bare.unwrap_or(text).to_owned(),
            is_quoted: bare.is_some(),
            is_slashed: false,
        }
    }
}

fn value_of(argument: Option<&Argument>) -> Place<'_> {
    let value = argument.filter(|argument| argument.values.is_some());
    value.map_or(Place::Unknown, Place::Value)
}

/// What is being typed of the value `text`: of a list its last part.
fn part<'g>(argument: Option<&Argument>, at: usize, text: &str) -> Next<'g> {
    let values = argument.and_then(|argument| argument.values.as_ref());
    if values.is_some_and(|values| values.is_list) {
        last_of(at, text)
    } else {
        Next::typed(at, text)
    }
}

/// The part of a list that is being typed.
fn last_of<'g>(at: usize, list: &str) -> Next<'g> {
    let last = match list.rfind(',') {
        Some(comma) if !list.starts_with('"') => comma + 1,
        Some(_) | None => 0,
    };
    Next::typed(at + last, &list[last..])
}

/// The name in `name=value`, and where the value begins.
fn assignment(word: &str) -> Option<(&str, usize)> {
    let equals = word.find('=')?;
    let name = &word[..equals];
    (!name.is_empty() && !name.starts_with('"')).then_some((name, equals + 1))
}

/// The name in `name=value`, `name!=value`, `name~value` and so on, and where the value begins.
fn condition(word: &str) -> Option<(&str, usize)> {
    let name = &word[..word.find(['!', '=', '~', '<', '>'])?];
    let value = word[name.len()..].trim_start_matches(['!', '=', '~', '<', '>']);
    (!name.is_empty() && !name.contains('"')).then_some((name, word.len() - value.len()))
}

/// Where the statements of `text` stand, in bytes; what is between them belongs to the one behind.
pub(super) fn statements(text: &str) -> Vec<Range<usize>> {
    let mut statements = Vec::new();
    let mut begin = 0;
    let mut is_empty = true;
    for Token { range, kind } in tokens(text) {
        match kind {
            TokenKind::End => {
                if !is_empty {
                    statements.push(begin..range.start);
                }
                begin = range.end;
                is_empty = true;
            }
            TokenKind::Comment => begin = range.end,
            TokenKind::Word | TokenKind::Parenthesis | TokenKind::Open | TokenKind::Close => {
                is_empty = false;
            }
        }
    }
    if !is_empty {
        statements.push(begin..text.len());
    }
    statements
}

/// A part of the text as it is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    range: Range<usize>,
    kind: TokenKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenKind {
    Word,
    /// Of a condition.
    Parenthesis,
    Open,
    Close,
    /// Of a statement.
    End,
    Comment,
}

/// Cuts the text. A quote that does not end goes on to the end.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let is_at_begin = tokens.last().is_none_or(|last| last.kind == TokenKind::End);
        let (len, kind) = match first {
            '\\' if rest[1..].trim_start_matches('\r').starts_with('\n') => {
                at += rest.find('\n').unwrap_or(0) + 1;
                continue;
            }
            '\n' | ';' => (1, TokenKind::End),
            _ if first.is_whitespace() => {
                at += first.len_utf8();
                continue;
            }
            '#' if is_at_begin => (rest.find('\n').unwrap_or(rest.len()), TokenKind::Comment),
            '[' => (1, TokenKind::Open),
            ']' => (1, TokenKind::Close),
            '(' | ')' => (1, TokenKind::Parenthesis),
            _ => (word_length(rest), TokenKind::Word),
        };
        let range = at..at + len;
        at = range.end;
        tokens.push(Token { range, kind });
    }
    tokens
}

/// How long the word is with which `text` begins, in bytes.
fn word_length(text: &str) -> usize {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, next) in text.char_indices() {
        match next {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ';' | '[' | ']' | '(' | ')' if !is_quoted && at > 0 => return at,
            '\\' if text[at + 1..].trim_start_matches('\r').starts_with('\n') => return at,
            _ if next.is_whitespace() && !is_quoted => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests;
