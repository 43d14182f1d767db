//! A terminal with somebody before it.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::wait::WaitStatus;
use rexpect::process::PtyProcess;
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Color, Parser};

use super::server::{PATIENCE, PAUSE, Server};

const WIDTH: u16 = 80;
const HEIGHT: u16 = 24;

/// The console on a terminal.
pub struct Terminal {
    process: PtyProcess,
    keyboard: File,
    screen: Arc<Mutex<Parser>>,
}

impl Terminal {
    /// The console of a server, when it waits for a command.
    pub fn new(server: &Server) -> Self {
        Self::with(server, &[])
    }

    /// The same, with variables of the environment.
    pub fn with(server: &Server, variables: &[(&str, &str)]) -> Self {
        let mut command = server.greyhound();
        command.envs(variables.iter().copied());
        let mut terminal = Self::of(command);
        terminal.shows("[admin@Lab] > ");
        terminal
    }

    /// A program on a terminal.
    pub fn of(command: Command) -> Self {
        let process = PtyProcess::new(command).unwrap();
        let keyboard = process.get_file_handle().unwrap();
        // This is also what a console takes for granted that has looked before.
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
        Self {
            process,
            keyboard,
            screen,
        }
    }

    /// Presses keys.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen ends with `end`.
    pub fn shows(&mut self, end: &str) {
        let end = trimmed(end);
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if trimmed(&self.text()).ends_with(&end) {
                return;
            }
            thread::sleep(PAUSE);
        }
        panic!("{end:?} is not to be seen at the end of\n{}", self.text());
    }

    /// Waits until `text` is nowhere on the screen.
    pub fn shows_no_more(&mut self, text: &str) {
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if !self.text().contains(text) {
                return;
            }
            thread::sleep(PAUSE);
        }
        panic!("{text:?} is still to be seen on\n{}", self.text());
    }

    /// The lines of the screen.
    pub fn text(&self) -> String {
        let screen = self.screen.lock().unwrap();
        screen.screen().contents()
    }

    /// The status that the console ends with.
    pub fn status(&mut self) -> i32 {
        let ended = self.process.wait().unwrap();
        let WaitStatus::Exited(_, status) = ended else {
            panic!("{ended:?}");
        };
        status
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

/// Without the blanks at the ends of lines, which a screen does not tell from nothing.
fn trimmed(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}
