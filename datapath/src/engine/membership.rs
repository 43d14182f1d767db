//! Where sessions' interfaces belong: the routes through them.

use super::netlink::Netlink;
use crate::ipc::membership::MAX_ROUTES;
use crate::ipc::{Lacking, Route, Warning};

/// Deletes what routes carry our number from before. Those of a process that crashed went with its
/// interfaces; what is there was put there by somebody else, and would be taken for a session's.
pub fn delete_left_routes() {
    match Netlink::open().and_then(|mut netlink| netlink.delete_routes()) {
        Ok(0) => {}
        Ok(routes) => tracing::info!(routes, "deleted what was left from before"),
        Err(error) => tracing::warn!("routes from before are not deleted: {error:#}"),
    }
}

/// Adds a session's routes, and says which could not be.
#[must_use]
pub fn add_routes(ifindex: u32, routes: &[Route]) -> Vec<Warning> {
    if routes.is_empty() {
        return Vec::new();
    }
    let mut netlink = Netlink::open();
    let added = routes.iter().zip(0..).map(|(route, number)| {
        if number >= MAX_ROUTES {
            return Err(format!("a session has {MAX_ROUTES} at most"));
        }
        let netlink = netlink.as_mut().map_err(|error| format!("{error:#}"))?;
        let added = netlink.add_route(ifindex, route);
        added.map_err(|error| format!("{error:#}"))
    });
    let warnings = added.zip(routes).filter_map(|(added, &route)| {
        let reason = added.err()?;
        let lacking = Lacking::Route(route);
        Some(Warning { lacking, reason })
    });
    warnings.collect()
}
