//! docs/reference.md: every menu and property, from the schema itself.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use greyhound_control::console::{LIVE_PROPERTIES, PRINT_OPTIONS};
use greyhound_control::language::path::{Command, Menu};
use greyhound_control::model::schema::MENUS;
use greyhound_control::model::table::{self, Info};
use greyhound_control::model::value::Style;

/// With GREYHOUND_REFERENCE=write in the environment the page is written anew.
#[test]
fn the_page_says_what_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference.md");
    let page = page();
    if std::env::var_os("GREYHOUND_REFERENCE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    assert!(
        committed == page,
        "docs/reference.md is not what the schema says: \
         GREYHOUND_REFERENCE=write cargo test -p greyhound-control --test reference"
    );
}

fn page() -> String {
    let mut out = include_str!("reference/head.md").to_owned();
    out += "\n## `print`\n\nIt takes these words, in any order, and `proplist=a,b`, `from=ITEMS` and, \
            last, `where CONDITION`:\n\n| word | shows |\n|---|---|\n";
    for (name, help) in PRINT_OPTIONS {
        let _ = writeln!(out, "| `{name}` | {help} |");
    }
    for menu in MENUS {
        out += &section(menu);
    }
    out
}

fn section(menu: &Menu) -> String {
    let path = menu.path.join(" ");
    let mut out = format!("\n## `/{path}`\n\n{}.\n\n", sentence(menu.help));
    let commands = menu.commands.iter().map(|command| command.name());
    let commands = commands.chain([Command::Export.name()]);
    let commands: Vec<_> = commands.map(|name| format!("`{name}`")).collect();
    let _ = writeln!(out, "Commands: {}", commands.join(" "));
    if let Some(table) = table::at(menu.path) {
        let properties = table.properties();
        let (inert, kept): (Vec<_>, Vec<_>) = properties.iter().partition(|one| one.is_inert);
        out += "\n| property | values | default | |\n|---|---|---|---|\n";
        for property in kept {
            out += &row(property);
        }
        if !inert.is_empty() {
            out += "\nTaken over, kept and exported, without effect:\n\n\
                    | property | values | default | | refused |\n|---|---|---|---|---|\n";
        }
        for property in inert {
            let line = row(property);
            let refused = property.refused.join("; ").replace('|', "\\|");
            let _ = writeln!(out, "{} {refused} |", line.trim_end());
        }
    }
    let live = LIVE_PROPERTIES.iter().find(|(path, _)| *path == menu.path);
    if let Some((_, live)) = live {
        out += "\nShown, and used behind `where`:\n\n| property | |\n|---|---|\n";
        for (name, help) in *live {
            let _ = writeln!(out, "| `{name}` | {help} |");
        }
    }
    out
}

fn row(property: &Info) -> String {
    let code = |text: &str| match text {
        "" => String::new(),
        text => format!("`{}`", text.replace('|', "\\|")),
    };
    let default = if property.required {
        "has to be given".to_owned()
    } else {
        code(&property.default)
    };
    let secret = if property.style == Style::Sensitive {
        "; shown only with `show-sensitive`"
    } else {
        ""
    };
    let (name, values, help) = (property.name, code(&property.values), property.help);
    format!("| `{name}` | {values} | {default} | {help}{secret} |\n")
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}
