//! Every target with every input of its corpus, and with those that the fuzzers begin with.
#![cfg(test)]

use std::path::Path;

use greyhound_fuzz::{TARGETS, seeds};

#[test]
fn what_was_found_once_stays_found() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let mut inputs = 0;
        for file in std::fs::read_dir(corpora.join(name)).unwrap() {
            let path = file.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            // So that the output of a failure says which it was.
            println!("{}", path.display());
            target(&input);
            inputs += 1;
        }
        assert!(inputs > 0, "the corpus of {name} is empty");
    }
}

#[test]
fn what_the_fuzzers_begin_with_does_no_harm() {
    for seed in seeds::seeds() {
        let (_, target) = TARGETS
            .iter()
            .find(|(name, _)| *name == seed.target)
            .expect(seed.target);
        println!("{}: {}", seed.target, seed.name);
        target(&seed.input);
    }
}

#[test]
fn every_target_has_seeds_a_program_and_a_corpus() {
    let manifest = include_str!("../libfuzzer/Cargo.toml");
    for (name, _) in TARGETS {
        assert!(
            seeds::seeds().iter().any(|seed| seed.target == *name),
            "{name}"
        );
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
