//! Bulk TCP with its content checked: every byte depends on its offset in the stream.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::namespace::Namespace;
use crate::wait::now;

/// How much to send.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// This many bytes.
    Bytes(u64),
    /// As much as goes in this time.
    For(Duration),
}

/// What arrived, every byte of it right.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// Payload bytes.
    pub bytes: u64,
    /// From the first byte to the end of the stream, at the receiver.
    pub elapsed: Duration,
}

impl Transfer {
    /// Payload rate.
    #[must_use]
    pub fn bits_per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let bits = (self.bytes * 8) as f64;
        bits / self.elapsed.as_secs_f64().max(1e-6)
    }
}

/// Sends over one connection from a namespace to an address in another, and checks what arrives.
///
/// # Errors
/// No connection, a wrong byte, a stream cut short, or silence for [`PATIENCE`].
pub fn transfer(
    from: &Namespace,
    to: &Namespace,
    address: SocketAddr,
    amount: Amount,
) -> Result<Transfer> {
    let listener = listen(to, address)?;
    thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&accept(&listener)?));
        let stream = from
            .inside(|| TcpStream::connect_timeout(&address, PATIENCE))?
            .with_context(|| format!("connect to {address}"))?;
        let sent = send(&stream, amount)?;
        let transfer = receiver
            .join()
            .map_err(|_| anyhow!("the receiver panicked"))??;
        ensure!(
            transfer.bytes == sent,
            "sent {sent} bytes, {} arrived",
            transfer.bytes
        );
        Ok(transfer)
    })
}

/// Opens a listening socket in a namespace.
///
/// # Errors
/// The address is not there, or taken.
pub fn listen(namespace: &Namespace, address: SocketAddr) -> Result<TcpListener> {
    namespace
        .inside(|| TcpListener::bind(address))?
        .with_context(|| format!("listen on {address}"))
}

/// Sends the pattern and ends the stream; returns how many bytes it was.
///
/// # Errors
/// The peer took nothing for [`PATIENCE`], or ended the connection.
pub fn send(mut stream: &TcpStream, amount: Amount) -> Result<u64> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let started = now();
    let mut sent: u64 = 0;
    loop {
        let left = match amount {
            Amount::Bytes(bytes) => bytes - sent,
            Amount::For(time) if started.elapsed() < time => u64::MAX,
            Amount::For(_) => 0,
        };
        if left == 0 {
            break;
        }
        let piece = pattern_at(sent);
        let piece = &piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        sent += stream.write(piece).context("send")? as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(sent)
}

/// Receives to the end of the stream and compares it with the pattern.
///
/// # Errors
/// A byte is wrong, or nothing came for [`PATIENCE`].
pub fn receive(mut stream: &TcpStream) -> Result<Transfer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut started = None;
    let mut buffer = vec![0; PATTERN_BYTES];
    let mut bytes: u64 = 0;
    loop {
        let expected = pattern_at(bytes);
        let length = stream
            .read(&mut buffer[..expected.len()])
            .context("receive")?;
        let started = *started.get_or_insert_with(now);
        if length == 0 {
            let elapsed = started.elapsed();
            return Ok(Transfer { bytes, elapsed });
        }
        ensure!(
            buffer[..length] == expected[..length],
            "a wrong byte after {bytes} right ones"
        );
        bytes += length as u64;
    }
}

/// Waits for one connection.
///
/// # Errors
/// None came within [`PATIENCE`].
pub fn accept(listener: &TcpListener) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let stream = crate::wait::wait_for("a TCP connection", PATIENCE, || {
        listener.accept().ok().map(|(stream, _)| stream)
    })?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// The first `length` bytes of the stream, for a peer that sends them from a file.
#[must_use]
pub fn pattern(length: usize) -> Vec<u8> {
    pattern_block()
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

/// The pattern from `offset` of the stream on, as much of it as lies in one piece.
fn pattern_at(offset: u64) -> &'static [u8] {
    let block = pattern_block();
    let start = usize::try_from(offset % block.len() as u64).unwrap_or_default();
    &block[start..]
}

fn pattern_block() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| {
        // Any generator does whose output does not repeat within a block: xorshift32.
        let mut state: u32 = 0x2637_1723;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        };
        (0..PATTERN_BYTES).map(|_| next()).collect()
    })
}

/// How long a transfer may stand still.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A prime, so that a lost or repeated packet never falls on the same bytes again.
const PATTERN_BYTES: usize = 65_521;

#[cfg(test)]
mod tests {
    use super::*;

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, accept(&listener).unwrap())
    }

    #[test]
    fn what_is_sent_is_counted() {
        let (near, far) = connected();
        let sender = thread::spawn(move || send(&near, Amount::Bytes(200_000)).unwrap());
        assert_eq!(receive(&far).unwrap().bytes, 200_000);
        assert_eq!(sender.join().unwrap(), 200_000);
    }

    #[test]
    fn a_changed_byte_is_found() {
        let (mut near, far) = connected();
        let mut bytes = pattern(1000);
        bytes[999] ^= 1;
        near.write_all(&bytes).unwrap();
        drop(near);
        assert!(receive(&far).is_err());
    }

    #[test]
    fn a_missing_packet_is_found() {
        let (mut near, far) = connected();
        let mut bytes = pattern(5000);
        bytes.drain(1400..2800);
        near.write_all(&bytes).unwrap();
        drop(near);
        assert!(receive(&far).is_err());
    }
}
