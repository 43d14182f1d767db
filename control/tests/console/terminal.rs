//! A terminal with somebody before it.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::wait::WaitStatus;
use rexpect::process::PtyProcess;
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Color, Parser};

use super::script::console;

const WIDTH: u16 = 80;
const HEIGHT: u16 = 24;

/// Longer than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// The console on a terminal.
pub struct Terminal {
    process: PtyProcess,
    keyboard: File,
    screen: Arc<Mutex<Parser>>,
    home: PathBuf,
    /// The home is still needed.
    is_kept: bool,
}

impl Terminal {
    /// Of a user who is here for the first time.
    pub fn new(variables: &[(&str, &str)]) -> Self {
        let home = std::env::temp_dir().join(format!("greyhound-console-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(&home).unwrap();
        Self::at_home(home, variables)
    }

    /// The next one of the same user.
    pub fn again(mut self, variables: &[(&str, &str)]) -> Self {
        self.is_kept = true;
        Self::at_home(self.home.clone(), variables)
    }

    fn at_home(home: PathBuf, variables: &[(&str, &str)]) -> Self {
        let mut command = console(&home);
        command.envs(variables.iter().copied());
        let process = PtyProcess::new(command).unwrap();
        let keyboard = process.get_file_handle().unwrap();
        let size = Winsize {
            ws_col: WIDTH,
            ws_row: HEIGHT,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&keyboard, size).unwrap();
        let side = |length| NonZeroU16::new(length).unwrap();
        let screen = Arc::new(Mutex::new(Parser::new(side(HEIGHT), side(WIDTH), 1000)));
        let (mut output, drawn) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal whose console has ended has nothing to read.
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                drawn.lock().unwrap().process(&buffer[..count]);
            }
        });
        let mut terminal = Self {
            process,
            keyboard,
            screen,
            home,
            is_kept: false,
        };
        terminal.shows("[admin@Lab] > ");
        terminal
    }

    /// Presses keys.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen ends with `end`.
    pub fn shows(&mut self, end: &str) {
        let end = trimmed(end);
        let turns = PATIENCE.as_millis() / 10;
        for _ in 0..turns {
            if trimmed(&self.text()).ends_with(&end) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{end:?} is not to be seen at the end of\n{}", self.text());
    }

    /// The lines of the screen.
    pub fn text(&self) -> String {
        let screen = self.screen.lock().unwrap();
        screen.screen().contents()
    }

    /// The status that the console ends with.
    pub fn status(&mut self) -> i32 {
        match self.process.wait().unwrap() {
            WaitStatus::Exited(_, status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// The user's home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The colour of the character `offset` of `word`, where it stands first.
    pub fn colour_of(&self, word: &str, offset: u16) -> Color {
        let screen = self.screen.lock().unwrap();
        let screen = screen.screen();
        let rows = screen.rows(0, WIDTH).enumerate();
        let (row, column) = rows
            .filter_map(|(row, text)| Some((row, text.find(word)?)))
            .next()
            .unwrap();
        let at = |place| u16::try_from(place).unwrap();
        screen.cell(at(row), at(column) + offset).unwrap().fgcolor()
    }

    /// Nothing on the screen has a colour.
    pub fn is_uncoloured(&self) -> bool {
        let screen = self.screen.lock().unwrap();
        let screen = screen.screen();
        let cells = (0..HEIGHT).flat_map(|row| (0..WIDTH).map(move |column| (row, column)));
        let mut cells = cells.filter_map(|(row, column)| screen.cell(row, column));
        cells.all(|cell| cell.fgcolor() == Color::Default && !cell.bold())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_dir_all(&self.home);
        }
    }
}

/// Without the blanks at the ends of lines, which a screen does not tell from nothing.
fn trimmed(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}
