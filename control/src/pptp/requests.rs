//! What a client begins with, for the tests: the requests as pptp-linux makes them.

use super::wire::{OutgoingCallRequest, Repr, StartControlConnectionRequest, Text};

/// Version 1.0, which is the only one.
pub(crate) fn start_request() -> Repr {
    start_request_of(0x0100)
}

/// One that speaks another version.
pub(crate) fn start_request_of(version: u16) -> Repr {
    StartControlConnectionRequest {
        version,
        framing_capabilities: 3,
        bearer_capabilities: 3,
        maximum_channels: 0,
        firmware_revision: 1,
        host_name: "client".into(),
        vendor: "cananian".into(),
    }
    .into()
}

/// A call that the client knows by `call_id`.
pub(crate) fn call_request(call_id: u16) -> Repr {
    OutgoingCallRequest {
        call_id,
        call_serial_number: 0,
        minimum_bps: 2400,
        maximum_bps: 10_000_000,
        bearer_type: 3,
        framing_type: 3,
        receive_window: 3,
        processing_delay: 0,
        phone_number_length: 0,
        phone_number: Text::default(),
        subaddress: Text::default(),
    }
    .into()
}
