//! Takes over what people have: exports of RouterOS, and the files of pppd, pptpd and accel-ppp.
//!
//! Text goes in; statements in the language of the configuration come out, and a list of what was
//! left out with the reasons. Every reader makes a draft of what its source says, in the
//! names of the configuration, also of what the configuration may not have; the model then judges
//! each value (`judge`), and what it refuses is left out in its words. So a reader knows nothing
//! of what is supported, and takes over more as soon as the model takes more.
//!
//! Nothing is lost silently: each line of a source that says something is a line of a statement or
//! of something left out. And no account is opened that was not open before: one whose password is
//! not known, or which lost a limit on who may use it, is imported disabled.

use std::fmt;

use zeroize::Zeroizing;

mod accel;
mod detect;
mod draft;
mod judge;
mod pppd;
mod pptpd;
mod ranges;
mod routeros;

pub use self::detect::detect;

/// What kinds of text can be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What `/export` of RouterOS writes, version 6 or 7, in any of its styles; also what this
    /// program exports itself.
    RouterOs,
    /// `chap-secrets` of pppd.
    ChapSecrets,
    /// `pap-secrets` of pppd.
    PapSecrets,
    /// `chap-secrets` of accel-ppp: an address or a pool in the fourth column, a rate in the fifth.
    AccelSecrets,
    /// `pptpd.conf`.
    PptpdConf,
    /// A file of pppd's options, as `pptpd-options`.
    PppdOptions,
    /// A file of pppd's options for a tunnel out by PPTP, as in `/etc/ppp/peers`.
    PppdPeer,
    /// `accel-ppp.conf`.
    AccelPpp,
    /// None of them.
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RouterOs => "export of RouterOS",
            Self::ChapSecrets => "chap-secrets file",
            Self::PapSecrets => "pap-secrets file",
            Self::AccelSecrets => "chap-secrets file of accel-ppp",
            Self::PptpdConf => "pptpd.conf",
            Self::PppdOptions => "file of pppd's options",
            Self::PppdPeer => "file of pppd's options for a tunnel out by PPTP",
            Self::AccelPpp => "accel-ppp.conf",
            Self::Unknown => "file that can be taken over",
        })
    }
}

/// What became of a source.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// In an order in which they can be carried out one by one: what is referred to comes first.
    pub statements: Vec<Statement>,
    /// What has no equivalent or was not understood, by line.
    pub left_out: Vec<LeftOut>,
}

impl Imported {
    /// The statements as one text, a line each.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let length = self.statements.iter().map(|one| one.text.len() + 1).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        for statement in &self.statements {
            text.push_str(&statement.text);
            text.push('\n');
        }
        text
    }
}

/// One command of the configuration's language.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    /// The line of the source where it begins, counted from 1.
    pub line: usize,
    /// All lines of the source that it was made of.
    pub lines: Vec<usize>,
    /// The command in one line, with the full path of its menu. May hold passwords.
    pub text: Zeroizing<String>,
}

/// Without the text, which may hold a password.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

/// Something of the source that is not in the statements. Holds no values, so no passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The line of the source where it begins, counted from 1.
    pub line: usize,
    /// All lines of the source that it is about.
    pub lines: Vec<usize>,
    /// What it is: a menu, an item, or a property of an item.
    pub what: String,
    /// Why, and what to do instead if there is something.
    pub why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.what, self.why)
    }
}

/// The text is not of the kind that it was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a {0}")]
pub struct NotThatKind(pub Kind);

/// Takes over `text`, which is of `kind` and stands in the file `name`: a tunnel out is called as its
/// file is. An empty `name` is none. `existing` is the configuration that the statements are
/// to be added to, as its own statements, or empty: what it has can be referred to, and is not
/// added again.
///
/// # Errors
/// If nothing in `text` is as `kind` has it. Whatever is wrong with single lines is left out
/// instead.
pub fn import(kind: Kind, name: &str, text: &str, existing: &str) -> Result<Imported, NotThatKind> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let draft = match kind {
        Kind::RouterOs => routeros::read(text),
        Kind::ChapSecrets | Kind::PapSecrets => {
            let own = judge::identity(existing);
            let clients = judge::clients_without_password(existing);
            pppd::secrets::read(text, own.as_deref(), clients)
        }
        Kind::PppdOptions => pppd::options::read(text),
        Kind::PppdPeer => pppd::peer::read(name, text),
        Kind::AccelSecrets => accel::secrets::read(text),
        Kind::AccelPpp => accel::conf::read(text),
        Kind::PptpdConf => pptpd::read(text),
        Kind::Unknown => None,
    };
    let draft = draft.ok_or(NotThatKind(kind))?;
    Ok(draft.finish(existing))
}
