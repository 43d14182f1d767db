//! What the configuration gives a session, in the words of the session.

use greyhound_datapath::ipc::{self, Prefix};

use crate::model::Resolved;
use crate::model::route::Route;
use crate::session::Terms;

/// The terms of who gets this.
pub(super) fn terms(resolved: &Resolved) -> Terms {
    Terms {
        session_timeout: resolved.session_timeout,
        routes: resolved.routes.iter().filter_map(route).collect(),
        address_lists: resolved.address_list.clone(),
        interface_list: resolved.interface_list.clone(),
        incoming_filter: resolved.incoming_filter.clone(),
        outgoing_filter: resolved.outgoing_filter.clone(),
    }
}

/// None of those that were read is too long to be one.
fn route(route: &Route) -> Option<ipc::Route> {
    Some(ipc::Route {
        destination: Prefix::new(route.destination, route.prefix_len)?,
        gateway: route.gateway,
        metric: route.metric,
    })
}
