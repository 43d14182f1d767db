//! The XDP program and its typed maps.
/// x
pub const MAX_FRAME_BYTES: usize = 1792;
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Metadata {
    /// x
    pub worker: u32,
    /// x
    pub session: u32,
}
