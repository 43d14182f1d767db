use super::*;

#[test]
fn help_stands_beside_the_names_in_lines_that_fit() {
    let row = |shown: &str, help: &str| Candidate {
        shown: shown.to_owned(),
        replacement: String::new(),
        class: Class::Property,
        help: help.to_owned(),
    };
    let rows = [row("name", "what others refer to it by"), row("no", "")];
    let table = help_table(&rows, Colours { are_on: false }, 26);
    assert_eq!(table, "name  what others refer to\n      it by\nno\n");
}
