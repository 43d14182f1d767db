//! `/ip pool`: gives out addresses and takes them back.
//!
//! An owner that comes back gets its old address as long as nobody else has it. Otherwise the
//! addresses go round, so that one that was just given back is the last to be given out again and
//! packets for its former owner do not reach somebody else. Pools may share addresses: an address
//! is in use in all of them at once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::model;

/// All pools, with what is in use.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    pools: Vec<Pool>,
    used: BTreeMap<Ipv4Addr, Used>,
    /// Who had an address last, and the address that an owner had last: each other's inverse, so
    /// that there is never more than one entry for an address.
    last_owner: BTreeMap<Ipv4Addr, Owner>,
    last_address: BTreeMap<Owner, Ipv4Addr>,
}

/// An address in use: a row of `/ip pool used`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The pool it was taken from; `None` for an address that was configured.
    pub pool: Option<String>,
    /// The address.
    pub address: Ipv4Addr,
    /// Who uses it.
    pub owner: Owner,
}

/// Who uses an address. The same owner gets the same address again, if it is free.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The service: `pptp`.
    pub service: String,
    /// The user.
    pub info: String,
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no pool of this name.
    #[error("there is no pool called {0}")]
    Unknown(String),
    /// Neither the pool nor those after it has a free address.
    #[error("no free address: {}", .0.iter().map(Occupancy::to_string).collect::<Vec<_>>().join(", "))]
    Exhausted(Vec<Occupancy>),
    /// A configured address is in use.
    #[error("{address} is in use by {}", .owner.info)]
    InUse {
        /// The address.
        address: Ipv4Addr,
        /// Who has it.
        owner: Owner,
    },
}

/// How full a pool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// Its name.
    pub pool: String,
    /// Addresses that nobody uses.
    pub free: u64,
    /// All addresses.
    pub total: u64,
}

impl std::fmt::Display for Occupancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pool, free, total } = self;
        write!(f, "pool {pool} has {free} of {total} free")
    }
}

impl Pools {
    /// The configured pools, nothing in use.
    #[must_use]
    pub fn new(pools: &[model::Pool]) -> Self {
        Self {
            pools: pools.iter().map(Pool::new).collect(),
            ..Self::default()
        }
    }

    /// Goes on with other pools. What is in use stays in use.
    pub fn reconfigure(&mut self, pools: &[model::Pool]) {
        let mut new: Vec<_> = pools.iter().map(Pool::new).collect();
        for pool in &mut new {
            for &address in self.used.keys() {
                pool.occupy(address);
            }
            if let Some(old) = self.pools.iter().find(|old| old.name == pool.name) {
                pool.next = old.next;
            }
        }
        self.pools = new;
    }

    /// Gives `owner` an address of the pool called `name`, or of those that follow it by
    /// `next-pool`.
    ///
    /// # Errors
    /// [`Error::Unknown`] and [`Error::Exhausted`].
    pub fn allocate(&mut self, name: &str, owner: Owner) -> Result<Ipv4Addr, Error> {
        let chain = self.chain(name)?;
        let chosen = self.address_of_old(&chain, &owner).or_else(|| {
            chain
                .iter()
                .find_map(|&index| Some((index, self.pools[index].next_free()?)))
        });
        let Some((index, address)) = chosen else {
            let full = chain.iter().map(|&index| self.pools[index].occupancy());
            return Err(Error::Exhausted(full.collect()));
        };
        self.pools[index].next = address.to_bits().wrapping_add(1);
        self.remember(address, &owner);
        let pool = Some(self.pools[index].name.clone());
        self.occupy(Used {
            pool,
            address,
            owner,
        });
        Ok(address)
    }

    /// Takes a configured address for `owner`, so that no pool gives it to anybody else.
    ///
    /// # Errors
    /// [`Error::InUse`].
    pub fn take(&mut self, address: Ipv4Addr, owner: Owner) -> Result<(), Error> {
        if let Some(used) = self.used.get(&address) {
            let owner = used.owner.clone();
            return Err(Error::InUse { address, owner });
        }
        self.occupy(Used {
            pool: None,
            address,
            owner,
        });
        Ok(())
    }

    /// Takes `address` back; what it was used for, if it was in use.
    pub fn release(&mut self, address: Ipv4Addr) -> Option<Used> {
        let used = self.used.remove(&address)?;
        for pool in &mut self.pools {
            pool.free(address);
        }
        Some(used)
    }

    /// What is in use, in the order of the addresses.
    pub fn used(&self) -> impl Iterator<Item = &Used> {
        self.used.values()
    }

    /// How full each pool is, in the order of the configuration.
    pub fn occupancy(&self) -> impl Iterator<Item = Occupancy> {
        self.pools.iter().map(Pool::occupancy)
    }

    /// The pool called `name` and those that follow it. A circle ends where it closes.
    fn chain(&self, name: &str) -> Result<Vec<usize>, Error> {
        let mut chain = Vec::new();
        let mut next = Some(name);
        while let Some(name) = next {
            let index = self
                .pools
                .iter()
                .position(|pool| pool.name == name)
                .ok_or_else(|| Error::Unknown(name.to_owned()))?;
            if chain.contains(&index) {
                break;
            }
            chain.push(index);
            next = self.pools[index].next_pool.as_deref();
        }
        Ok(chain)
    }

    /// The address that `owner` had last, if it is free and in a pool of `chain`.
    fn address_of_old(&self, chain: &[usize], owner: &Owner) -> Option<(usize, Ipv4Addr)> {
        let address = *self.last_address.get(owner)?;
        let index = chain
            .iter()
            .copied()
            .find(|&index| self.pools[index].is_free(address))?;
        Some((index, address))
    }

    fn remember(&mut self, address: Ipv4Addr, owner: &Owner) {
        if let Some(before) = self.last_owner.insert(address, owner.clone())
            && before != *owner
        {
            self.last_address.remove(&before);
        }
        if let Some(before) = self.last_address.insert(owner.clone(), address)
            && before != address
        {
            self.last_owner.remove(&before);
        }
    }

    fn occupy(&mut self, used: Used) {
        for pool in &mut self.pools {
            pool.occupy(used.address);
        }
        self.used.insert(used.address, used);
    }
}

/// One pool. Its free addresses are kept as runs, so that a pool of any size costs no more than
/// the holes in it.
#[derive(Clone, Debug)]
struct Pool {
    name: String,
    ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
    next_pool: Option<String>,
    /// First to last address of each run, neither overlapping nor touching.
    runs: BTreeMap<u32, u32>,
    free: u64,
    /// Where the search for a free address begins.
    next: u32,
}

impl Pool {
    fn new(pool: &model::Pool) -> Self {
        let mut new = Self {
            name: pool.name.clone(),
            ranges: pool.ranges.clone(),
            next_pool: pool.next_pool.clone(),
            runs: BTreeMap::new(),
            free: 0,
            next: pool.ranges.first().map_or(0, |range| range.0.to_bits()),
        };
        for &(first, last) in &pool.ranges {
            new.insert(first.to_bits(), last.to_bits());
        }
        new
    }

    fn occupy(&mut self, address: Ipv4Addr) {
        let address = address.to_bits();
        let Some((first, last)) = self.run_of(address) else {
            return;
        };
        self.runs.remove(&first);
        if first < address {
            self.runs.insert(first, address - 1);
        }
        if address < last {
            self.runs.insert(address + 1, last);
        }
        self.free -= 1;
    }

    /// Makes `address` free if it is one of this pool's and is not free.
    fn free(&mut self, address: Ipv4Addr) {
        let ours = |&(first, last): &(Ipv4Addr, Ipv4Addr)| (first..=last).contains(&address);
        if self.ranges.iter().any(ours) && !self.is_free(address) {
            self.insert(address.to_bits(), address.to_bits());
        }
    }

    /// Adds a run that touches no free address, and joins it with its neighbours.
    fn insert(&mut self, mut first: u32, mut last: u32) {
        self.free += u64::from(last - first) + 1;
        if let Some((before, _)) = first.checked_sub(1).and_then(|end| self.run_of(end)) {
            first = before;
        }
        if let Some((start, after)) = last.checked_add(1).and_then(|start| self.run_of(start)) {
            self.runs.remove(&start);
            last = after;
        }
        self.runs.insert(first, last);
    }

    fn is_free(&self, address: Ipv4Addr) -> bool {
        self.run_of(address.to_bits()).is_some()
    }

    /// The next free address, going round.
    fn next_free(&self) -> Option<Ipv4Addr> {
        let here = self.run_of(self.next).map(|_| self.next);
        let found = here
            .or_else(|| self.runs.range(self.next..).next().map(|(&first, _)| first))
            .or_else(|| self.runs.keys().next().copied())?;
        Some(found.into())
    }

    fn run_of(&self, address: u32) -> Option<(u32, u32)> {
        let (&first, &last) = self.runs.range(..=address).next_back()?;
        (address <= last).then_some((first, last))
    }

    fn occupancy(&self) -> Occupancy {
        let used =
            |&(first, last): &(Ipv4Addr, Ipv4Addr)| u64::from(last.to_bits() - first.to_bits()) + 1;
        Occupancy {
            pool: self.name.clone(),
            free: self.free,
            total: self.ranges.iter().map(used).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_go_round_before_one_is_given_out_again() {
        let mut pools = pools("/ip pool add name=p ranges=10.0.0.1-10.0.0.3");

        let first = pools.allocate("p", owner("a")).unwrap();
        pools.release(first).unwrap();

        assert_eq!(first, ip(1));
        assert_eq!(pools.allocate("p", owner("b")), Ok(ip(2)));
        assert_eq!(pools.allocate("p", owner("c")), Ok(ip(3)));
        assert_eq!(pools.allocate("p", owner("d")), Ok(ip(1)));
    }

    #[test]
    fn an_owner_that_comes_back_gets_its_address_if_it_is_free() {
        let mut pools = pools("/ip pool add name=p ranges=10.0.0.1-10.0.0.3");
        for user in ["a", "b", "c"] {
            pools.allocate("p", owner(user)).unwrap();
        }
        pools.release(ip(1));
        pools.release(ip(3));

        assert_eq!(pools.allocate("p", owner("c")), Ok(ip(3)));
        assert_eq!(pools.allocate("p", owner("d")), Ok(ip(1)));
        pools.release(ip(2));
        assert_eq!(pools.allocate("p", owner("a")), Ok(ip(2)));
    }

    #[test]
    fn a_second_session_of_an_owner_gets_another_address() {
        let mut pools = pools("/ip pool add name=p ranges=10.0.0.1-10.0.0.3");

        assert_eq!(pools.allocate("p", owner("a")), Ok(ip(1)));
        assert_eq!(pools.allocate("p", owner("a")), Ok(ip(2)));
    }

    #[test]
    fn an_exhausted_pool_goes_on_with_the_next_and_names_all_when_none_is_left() {
        let mut pools = pools(
            "/ip pool
             add name=p ranges=10.0.0.1 next-pool=q
             add name=q ranges=10.0.0.8/31",
        );

        for (user, last) in [("a", 1), ("b", 8), ("c", 9)] {
            assert_eq!(pools.allocate("p", owner(user)), Ok(ip(last)));
        }

        assert_eq!(
            pools.allocate("p", owner("d")).unwrap_err().to_string(),
            "no free address: pool p has 0 of 1 free, pool q has 0 of 2 free"
        );
        let users: Vec<_> = pools.used().map(|used| used.owner.info.as_str()).collect();
        assert_eq!(users, ["a", "b", "c"]);
        assert_eq!(pools.used().nth(2).unwrap().pool.as_deref(), Some("q"));
    }

    #[test]
    fn pools_in_a_circle_are_each_asked_once() {
        let circle = |name: &str, next: &str, last| model::Pool {
            name: name.to_owned(),
            ranges: vec![(ip(last), ip(last))],
            next_pool: Some(next.to_owned()),
            ..model::Pool::default()
        };
        let mut pools = Pools::new(&[circle("p", "q", 1), circle("q", "p", 2)]);

        assert_eq!(pools.allocate("q", owner("a")), Ok(ip(2)));
        assert_eq!(pools.allocate("q", owner("b")), Ok(ip(1)));
        assert!(
            matches!(pools.allocate("q", owner("c")), Err(Error::Exhausted(full)) if full.len() == 2)
        );
    }

    #[test]
    fn an_unknown_pool_is_named() {
        let mut pools = pools("/ip pool add name=p ranges=10.0.0.1");

        let error = pools.allocate("nix", owner("a")).unwrap_err();

        assert_eq!(error.to_string(), "there is no pool called nix");
    }

    #[test]
    fn a_configured_address_is_not_given_out_by_a_pool() {
        let mut pools = pools("/ip pool add name=p ranges=10.0.0.1-10.0.0.2");

        pools.take(ip(1), owner("fixed")).unwrap();

        assert_eq!(pools.allocate("p", owner("a")), Ok(ip(2)));
        let refused = pools.take(ip(1), owner("b")).unwrap_err();
        assert_eq!(refused.to_string(), "10.0.0.1 is in use by fixed");
        assert_eq!(pools.release(ip(1)).unwrap().pool, None);
        assert_eq!(pools.allocate("p", owner("b")), Ok(ip(1)));
    }

    #[test]
    fn an_address_of_two_pools_is_given_out_once() {
        let mut pools = pools(
            "/ip pool
             add name=p ranges=10.0.0.1-10.0.0.2
             add name=q ranges=10.0.0.1",
        );

        assert_eq!(pools.allocate("q", owner("a")), Ok(ip(1)));
        assert_eq!(pools.allocate("p", owner("b")), Ok(ip(2)));
        assert!(pools.allocate("p", owner("c")).is_err());
        pools.release(ip(1));
        let free: Vec<_> = pools.occupancy().map(|pool| pool.free).collect();
        assert_eq!(free, [1, 1]);
    }

    #[test]
    fn what_is_not_in_use_cannot_be_given_back() {
        let mut pools = pools("/ip pool add name=p ranges=10.0.0.1-10.0.0.2");

        assert_eq!(pools.release(ip(1)), None);
        assert_eq!(pools.release(ip(99)), None);
        assert_eq!(pools.occupancy().next().unwrap().free, 2);
    }

    #[test]
    fn a_pool_of_65536_addresses_gives_out_each() {
        let mut pools = pools("/ip pool add name=p ranges=10.1.0.0/16");

        let given: BTreeSet<_> = (0..65_536)
            .map(|user| pools.allocate("p", owner(&user.to_string())).unwrap())
            .collect();

        assert_eq!(given.len(), 65_536);
        assert!(pools.allocate("p", owner("one more")).is_err());
        for address in given {
            pools.release(address).unwrap();
        }
        assert_eq!(pools.pools[0].runs.len(), 1);
        assert_eq!(pools.pools[0].free, 65_536);
    }

    proptest! {
        /// Whatever happens, an address has one user, the free runs are what is not used, and
        /// nothing is remembered about more addresses than there are.
        #[test]
        fn the_books_balance(steps in proptest::collection::vec((0..3_u8, 0..12_u8), 0..60)) {
            let mut pools = pools(
                "/ip pool
                 add name=p ranges=10.0.0.1-10.0.0.4,10.0.0.6 next-pool=q
                 add name=q ranges=10.0.0.5-10.0.0.8",
            );
            for (step, number) in steps {
                match step {
                    0 => drop(pools.allocate("p", owner(&number.to_string()))),
                    1 => drop(pools.take(ip(number), owner("fixed"))),
                    _ => drop(pools.release(ip(number))),
                }
                for pool in &pools.pools {
                    let free: u64 = pool.runs.iter().map(|(&a, &b)| u64::from(b - a) + 1).sum();
                    prop_assert_eq!(free, pool.free);
                    for address in (0..12).map(ip) {
                        let ours = pool.ranges.iter().any(|&(a, b)| (a..=b).contains(&address));
                        let used = pools.used.contains_key(&address);
                        prop_assert_eq!(pool.is_free(address), ours && !used);
                    }
                    for pair in pool.runs.iter().collect::<Vec<_>>().windows(2) {
                        prop_assert!(pair[0].1 + 1 < *pair[1].0);
                    }
                }
                prop_assert_eq!(pools.last_owner.len(), pools.last_address.len());
            }
        }
    }

    fn pools(text: &str) -> Pools {
        Pools::new(&model::Config::parse(text).unwrap().0.pools)
    }

    fn owner(info: &str) -> Owner {
        Owner {
            service: "pptp".to_owned(),
            info: info.to_owned(),
        }
    }

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }
}
