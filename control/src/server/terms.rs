//! What the configuration gives a session, in the words of the session.

use std::num::NonZeroU64;

use greyhound_datapath::ipc::{self, Limits, Prefix};

use crate::model::Resolved;
use crate::model::rate::Rate;
use crate::model::route::Route;
use crate::session::Terms;

/// The terms of who gets this.
pub(super) fn terms(resolved: &Resolved) -> Terms {
    Terms {
        session_timeout: resolved.session_timeout,
        limits: limits(resolved),
        routes: resolved.routes.iter().filter_map(route).collect(),
        address_lists: resolved.address_list.clone(),
        interface_list: resolved.interface_list.clone(),
        incoming_filter: resolved.incoming_filter.clone(),
        outgoing_filter: resolved.outgoing_filter.clone(),
    }
}

/// In both, `rx` and `in` are what comes from the peer.
fn limits(resolved: &Resolved) -> Limits {
    Limits {
        rx_rate: resolved.rate_limit.and_then(|limit| rate(&limit.rx)),
        tx_rate: resolved.rate_limit.and_then(|limit| rate(&limit.tx)),
        rx_bytes: NonZeroU64::new(resolved.limit_bytes_in),
        tx_bytes: NonZeroU64::new(resolved.limit_bytes_out),
        total_bytes: NonZeroU64::new(resolved.limit_bytes_total),
        idle_timeout: resolved.idle_timeout,
        clamp_mss: resolved.change_tcp_mss,
    }
}

fn rate(rate: &Rate) -> Option<ipc::Rate> {
    let burst = rate.burst.as_ref().and_then(|burst| {
        Some(ipc::Burst {
            bits_per_second: NonZeroU64::new(burst.limit)?,
            threshold: burst.threshold,
            time: burst.time,
        })
    });
    Some(ipc::Rate {
        bits_per_second: NonZeroU64::new(rate.limit)?,
        burst,
    })
}

/// None of those that were read is too long to be one.
fn route(route: &Route) -> Option<ipc::Route> {
    Some(ipc::Route {
        destination: Prefix::new(route.destination, route.prefix_len)?,
        gateway: route.gateway,
        metric: route.metric,
    })
}
