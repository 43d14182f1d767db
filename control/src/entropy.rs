//! Where the protocol machines get their random bytes from: the caller decides, so tests repeat.

/// A source of random bytes.
pub trait Entropy {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);

    /// A random 16-bit number.
    fn next_u16(&mut self) -> u16 {
        let mut bytes = [0; 2];
        self.fill(&mut bytes);
        u16::from_ne_bytes(bytes)
    }

    /// A random 32-bit number.
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_ne_bytes(bytes)
    }
}

/// The kernel's random bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("getrandom(2) cannot fail once the system has booted");
    }
}

/// The same bytes in each run, for tests.
#[derive(Clone, Debug)]
pub struct CountingEntropy(pub u8);

impl Entropy for CountingEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(17);
            *byte = self.0;
        }
    }
}
