//! The XDP program and its typed maps.
