//! Where sessions' interfaces belong: the routes through them, the firewall's lists they are in,
//! and the chains their packets go through. Interfaces that belong nowhere cost nothing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use anyhow::Result;

use super::netlink::Netlink;
use super::nftables::Nftables;
use super::nftables::messages::{Direction, Element, Member, Step, delete};
use super::nftables::watch::Watch;
use crate::ipc::membership::{MAX_ADDRESS_LISTS, MAX_ROUTES, firewall_name};
use crate::ipc::{Lacking, Membership, Route, Warning};

/// Elements in one transaction at most: the kernel's answers to all of them fit the socket.
const BATCH: usize = 64;

/// What interfaces are in.
#[derive(Debug, Default)]
pub struct Memberships {
    /// Opened when it is needed.
    nftables: Option<Nftables>,
    /// Hears of losses once there is something to lose.
    watch: Option<Watch>,
    /// By the kernel's index of the interface.
    joined: BTreeMap<u32, Vec<Member>>,
    /// How many interfaces share each.
    shared: BTreeMap<Member, usize>,
}

/// Something that an interface is to be in, on its way there.
struct Candidate {
    member: Member,
    lacking: Lacking,
    /// Create what has to be there before it.
    founding: bool,
}

impl Memberships {
    /// Removes what a process that crashed has left: elements of sessions that are no more. What
    /// routes carry our number went with the interfaces; any that are there are somebody else's,
    /// and would be taken for a session's.
    #[must_use]
    pub fn start() -> Self {
        match Netlink::open().and_then(|mut netlink| netlink.delete_routes()) {
            Ok(0) => {}
            Ok(routes) => tracing::info!(routes, "deleted what was left from before"),
            Err(error) => tracing::warn!("routes from before are not deleted: {error:#}"),
        }
        let mut memberships = Self::default();
        match Watch::open() {
            Ok(watch) => memberships.watch = Some(watch),
            Err(error) => tracing::debug!("no nftables: {error:#}"),
        }
        match memberships.delete_elements() {
            Ok(0) => {}
            Ok(elements) => tracing::info!(elements, "deleted what was left in the firewall"),
            // Nothing is left in a firewall that there is not.
            Err(error) if is_unsupported(&error) => tracing::debug!("no nftables: {error:#}"),
            Err(error) => tracing::warn!("the firewall's elements from before stay: {error:#}"),
        }
        memberships
    }

    /// Puts an interface into what it is to be in, and says into what it could not be. Its packets
    /// are to be filtered from the first on: it is not up yet.
    #[must_use]
    pub fn join(
        &mut self,
        ifindex: u32,
        kernel_name: &str,
        membership: &Membership,
    ) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut candidates = candidates(kernel_name, membership, &mut warnings);
        if !candidates.is_empty() {
            self.listen();
            self.admit(&mut candidates, &mut warnings);
        }
        if !candidates.is_empty() {
            let members: Vec<Member> = candidates.into_iter().map(|one| one.member).collect();
            for member in &members {
                *self.shared.entry(member.clone()).or_default() += 1;
            }
            self.joined.insert(ifindex, members);
        }
        warnings
    }

    /// Takes interfaces out of all they are in. They must carry nothing any more: no filter holds
    /// them.
    pub fn leave(&mut self, interfaces: impl IntoIterator<Item = u32>) {
        let mut left = Vec::new();
        for ifindex in interfaces {
            for member in self.joined.remove(&ifindex).unwrap_or_default() {
                let Some(sharing) = self.shared.get_mut(&member) else {
                    continue;
                };
                *sharing -= 1;
                if *sharing == 0 {
                    self.shared.remove(&member);
                    left.push(member.element());
                }
            }
        }
        if left.is_empty() {
            return;
        }
        if let Err(error) = self.nftables().and_then(|nftables| expel(nftables, left)) {
            tracing::warn!("sessions that are no more stay in the firewall: {error:#}");
        }
    }

    /// Takes every interface out of all it is in.
    pub fn leave_all(&mut self) {
        let all: Vec<u32> = self.joined.keys().copied().collect();
        self.leave(all);
    }

    /// A descriptor that is readable when [`Self::repair`] has something to look at.
    #[must_use]
    pub fn watched(&self) -> Option<RawFd> {
        self.watch.as_ref().map(Watch::as_raw_fd)
    }

    /// If somebody has taken our table away, or what is ours in it, puts every interface back where
    /// it belongs: an operator who reloads the firewall does not mean the sessions.
    pub fn repair(&mut self) {
        let (Some(watch), Some(nftables)) = (&mut self.watch, &mut self.nftables) else {
            return;
        };
        match watch.heard_of_loss(nftables.port()) {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => return tracing::warn!("the firewall is not watched: {error:#}"),
        }
        if self.shared.is_empty() {
            return;
        }
        let members: Vec<&Member> = self.shared.keys().collect();
        tracing::info!(
            elements = members.len(),
            "the firewall was changed; sessions are put into it again"
        );
        if let Err(error) = readmit(nftables, members) {
            tracing::warn!("sessions are not in the firewall: {error:#}");
        }
    }

    fn listen(&mut self) {
        if let Some(watch) = &mut self.watch
            && let Err(error) = watch.listen()
        {
            tracing::debug!("the firewall is not watched: {error:#}");
        }
    }

    /// Commits what can be; what cannot is taken out of the candidates. Each turn either succeeds
    /// or leaves less to try.
    fn admit(&mut self, candidates: &mut Vec<Candidate>, warnings: &mut Vec<Warning>) {
        while !candidates.is_empty() {
            let (steps, owners) = self.steps(candidates);
            let refused = match self.nftables().and_then(|nftables| nftables.commit(&steps)) {
                Ok(refused) if refused.is_empty() => return,
                Ok(refused) => refused,
                Err(error) => {
                    let reason = format!("{error:#}");
                    warnings.extend(candidates.drain(..).map(|candidate| Warning {
                        lacking: candidate.lacking,
                        reason: reason.clone(),
                    }));
                    return;
                }
            };
            // What is refused first is the cause of the rest.
            let mut causes: BTreeMap<usize, (bool, io::Error)> = BTreeMap::new();
            for (number, error) in refused {
                let (owner, is_element) = owners[number];
                causes.entry(owner).or_insert((is_element, error));
            }
            for (owner, (is_element, error)) in causes.into_iter().rev() {
                let candidate = &mut candidates[owner];
                if error.kind() == io::ErrorKind::NotFound && !candidate.founding {
                    candidate.founding = true;
                    continue;
                }
                let Candidate {
                    member, lacking, ..
                } = candidates.remove(owner);
                match refusal(&member, is_element, &error) {
                    Some(reason) => warnings.push(Warning { lacking, reason }),
                    None => tracing::debug!(?member, "the operator has put it there already"),
                }
            }
        }
    }

    /// The steps of a transaction, and for each whose it is and whether it adds an element.
    fn steps(&self, candidates: &[Candidate]) -> (Vec<Step>, Vec<(usize, bool)>) {
        let (mut steps, mut owners) = (Vec::new(), Vec::new());
        for (candidate, owner) in candidates.iter().zip(0..) {
            if candidate.founding {
                steps.extend(candidate.member.foundation());
                owners.resize(steps.len(), (owner, false));
            }
            let shared = self.shared.contains_key(&candidate.member);
            steps.push(candidate.member.add(shared));
            owners.push((owner, true));
        }
        (steps, owners)
    }

    fn delete_elements(&mut self) -> Result<usize> {
        let nftables = self.nftables()?;
        let elements = nftables.elements_of_ours()?;
        let found = elements.len();
        expel(nftables, elements)?;
        Ok(found)
    }

    fn nftables(&mut self) -> Result<&mut Nftables> {
        let opened = match self.nftables.take() {
            Some(opened) => opened,
            None => Nftables::open()?,
        };
        Ok(self.nftables.insert(opened))
    }
}

/// Adds members that may be there, with all they stand on.
fn readmit(nftables: &mut Nftables, mut members: Vec<&Member>) -> Result<()> {
    while !members.is_empty() {
        let batch = members.len().min(BATCH);
        let (mut steps, mut owners) = (Vec::new(), Vec::new());
        for (member, owner) in members[..batch].iter().zip(0_usize..) {
            for step in member.foundation() {
                // Most stand on the same.
                if !steps.contains(&step) {
                    steps.push(step);
                }
            }
            steps.push(member.add(true));
            owners.resize(steps.len(), owner);
        }
        let refused = nftables.commit(&steps)?;
        if refused.is_empty() {
            members.drain(..batch);
            continue;
        }
        let refused: BTreeMap<usize, io::Error> = refused
            .into_iter()
            .rev()
            .map(|(number, error)| (owners[number], error))
            .collect();
        for (owner, error) in refused.into_iter().rev() {
            let member = members.remove(owner);
            tracing::warn!(?member, %error, "is no more in the firewall");
        }
    }
    Ok(())
}

/// Deletes elements; those that the operator has deleted are none to worry about.
fn expel(nftables: &mut Nftables, mut elements: Vec<Element>) -> Result<()> {
    while !elements.is_empty() {
        let batch = elements.len().min(BATCH);
        let steps: Vec<Step> = elements[..batch].iter().map(delete).collect();
        let refused = nftables.commit(&steps)?;
        if refused.is_empty() {
            elements.drain(..batch);
            continue;
        }
        for (number, error) in refused.into_iter().rev() {
            let element = elements.remove(number);
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(?element, %error, "stays in the firewall");
            }
        }
    }
    Ok(())
}

/// What an interface is to be in. What cannot even be tried is a warning.
fn candidates(
    kernel_name: &str,
    membership: &Membership,
    warnings: &mut Vec<Warning>,
) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut add = |name: &str, lacking: Lacking, member: &dyn Fn(String) -> Member| {
        let listed = matches!(lacking, Lacking::AddressList(_) | Lacking::InterfaceList(_));
        match firewall_name(name).map(member) {
            Ok(member) if candidates.iter().any(|one| one.member == member) => {}
            Ok(member) => candidates.push(Candidate {
                member,
                lacking,
                // A set may be another kind of set now: whether it is what we need is asked each
                // time. What leads to a chain is ours alone.
                founding: listed,
            }),
            Err(error) => warnings.push(Warning {
                lacking,
                reason: error.to_string(),
            }),
        }
    };
    for listed in membership.address_lists.iter().take(MAX_ADDRESS_LISTS) {
        let address = listed.address;
        let lacking = Lacking::AddressList(listed.clone());
        add(&listed.list, lacking, &|set| Member::Address {
            set,
            address,
        });
    }
    if let Some(list) = &membership.interface_list {
        let lacking = Lacking::InterfaceList(list.clone());
        add(list, lacking, &|set| Member::Interface {
            set,
            interface: kernel_name.to_owned(),
        });
    }
    let filter = |direction| {
        move |chain| Member::Filter {
            direction,
            interface: kernel_name.to_owned(),
            chain,
        }
    };
    if let Some(chain) = &membership.incoming_filter {
        let lacking = Lacking::IncomingFilter(chain.clone());
        add(chain, lacking, &filter(Direction::Incoming));
    }
    if let Some(chain) = &membership.outgoing_filter {
        let lacking = Lacking::OutgoingFilter(chain.clone());
        add(chain, lacking, &filter(Direction::Outgoing));
    }
    let beyond = membership.address_lists.iter().skip(MAX_ADDRESS_LISTS);
    warnings.extend(beyond.map(|listed| Warning {
        lacking: Lacking::AddressList(listed.clone()),
        reason: format!("an address is in {MAX_ADDRESS_LISTS} lists at most"),
    }));
    candidates
}

/// Why an interface is not in something; `None` if the operator has put it there.
fn refusal(member: &Member, is_element: bool, error: &io::Error) -> Option<String> {
    let listed = !matches!(member, Member::Filter { .. });
    let exists = error.kind() == io::ErrorKind::AlreadyExists;
    let set = member.element().set;
    match (exists, is_element) {
        (true, true) if listed => None,
        (true, false) if listed => {
            let kind = match member {
                Member::Interface { .. } => "type ifname",
                Member::Address { .. } | Member::Filter { .. } => "type ipv4_addr",
            };
            Some(format!(
                "the set {set} is not simply one of {kind}, without flags"
            ))
        }
        _ => Some(format!("nftables: {error}")),
    }
}

/// Adds the routes of an interface that is up, and says which could not be.
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

fn is_unsupported(error: &anyhow::Error) -> bool {
    let errno = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::raw_os_error);
    matches!(
        errno,
        Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP | libc::EINVAL)
    )
}

#[cfg(test)]
mod tests;
