//! The lease book against a small reference model, with the power failing at any moment:
//! what was acknowledged is still there, no address is promised twice, and memory says
//! what the database says.

mod reference;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use rackstrap::inventory::Database;
use rackstrap::leases::facts::LeaseFacts;
use rackstrap::leases::{CommitError, LeaseBook};
use rackstrap::model::{ClientKey, Lease, LeaseState, Mac, Site};
use rackstrap::site_file;
use tokio::runtime::{Builder, Runtime};

use crate::common::store::Store;
use reference::{Change, Model, Step, address, mac, steps};

const START: i64 = 1_800_000_000;
const LEASE_SECONDS: i64 = 600;
/// How long the database may take to let go of what was cut off.
const PATIENCE: Duration = Duration::from_secs(20);
const SITE: &str = "subnets: {lan: {cidr: 10.0.0.0/24, unknown-clients: lease, \
    ranges: [{from: 10.0.0.1, to: 10.0.0.4, for: dhcp}]}}";

/// What is gone when the power fails.
struct Server {
    runtime: Runtime,
    database: Database,
    book: LeaseBook,
}

impl Server {
    fn start(store: &Store) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (database, book) = runtime.block_on(async {
            let database = store.open().await;
            (database.clone(), LeaseBook::open(database).await.unwrap())
        });
        Self { runtime, database, book }
    }
}

/// A server's life, and what was promised to clients.
struct World<'a> {
    store: &'a Store,
    server: Option<Server>,
    model: Model,
    /// Who was told that an address is theirs, and until when.
    promises: BTreeMap<Ipv4Addr, (Mac, i64)>,
    site: Site,
    now: i64,
}

type Waiting = Pin<Box<dyn Future<Output = Result<Lease, CommitError>> + Send>>;

impl<'a> World<'a> {
    fn new(store: &'a Store) -> Self {
        let site = site_file::parse(SITE, "site.yaml").unwrap();
        let (model, promises) = (Model::default(), BTreeMap::new());
        let server = Some(Server::start(store));
        Self { store, server, model, promises, site, now: START }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(seconds) => self.now += seconds,
            Step::Discover(client) => self.discover(*client)?,
            Step::Remove(number) => {
                let Server { runtime, book, .. } = self.server();
                runtime.block_on(book.remove(address(*number))).unwrap();
                self.model.0.remove(&address(*number));
                self.promises.remove(&address(*number));
            }
            Step::Changes(changes) => {
                let outcomes = self.ask(changes, u32::MAX);
                self.take(changes, &outcomes)?;
            }
            Step::PowerFailure(changes, looks) => {
                let outcomes = self.ask(changes, *looks);
                self.fail_power();
                self.take_back(changes, &outcomes)?;
            }
        }
        self.check_quiet()
    }

    /// Asks for changes at once and looks at the answers so often at most; none where
    /// there was no answer yet.
    fn ask(&mut self, changes: &[Change], looks: u32) -> Vec<Option<Result<Lease, CommitError>>> {
        let ask = |change: &Change| -> Waiting { Box::pin(self.commit(*change)) };
        self.server().runtime.block_on(async {
            let mut waiting: Vec<Waiting> = changes.iter().map(ask).collect();
            let mut outcomes = vec![None; waiting.len()];
            let mut looked = 0;
            poll_fn(|context| {
                for (outcome, answer) in outcomes.iter_mut().zip(&mut waiting) {
                    if outcome.is_none()
                        && let Poll::Ready(result) = answer.as_mut().poll(context)
                    {
                        *outcome = Some(result);
                    }
                }
                looked += 1;
                if looked > looks || outcomes.iter().all(Option::is_some) {
                    return Poll::Ready(());
                }
                // Each look lets the book's task go one await further.
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            outcomes
        })
    }

    /// Asks for one change as the DHCP server does: an end counts in memory at once, and
    /// an address is kept for its client while the commit runs.
    fn commit(&self, change: Change) -> impl Future<Output = Result<Lease, CommitError>> + use<> {
        let mut lease = change.lease(self.now);
        let mut table = self.server().book.at(1, &self.site, self.now);
        let held = table.find(lease.address).filter(|held| held.is_live(self.now));
        let own = held.as_ref().is_none_or(|held| held.nic == lease.nic);
        if let Some(held) = held.filter(|_| change.state != LeaseState::Bound) {
            lease.starts_at = held.starts_at;
        }
        match change.state {
            LeaseState::Bound => {
                table.offer(&lease.client, lease.nic, lease.address, self.now + 60)
            }
            _ if own && !table.is_offered(lease.address) => table.end(lease.clone()),
            _ => {}
        }
        drop(table);
        self.server().book.commit(lease, self.now)
    }

    /// Every change was answered: as the model answers it.
    fn take(
        &mut self,
        changes: &[Change],
        outcomes: &[Option<Result<Lease, CommitError>>],
    ) -> Result<(), TestCaseError> {
        for (change, outcome) in changes.iter().zip(outcomes) {
            let expected = self.model.apply(&change.lease(self.now), self.now);
            let agrees = outcome.as_ref().is_some_and(|outcome| self.agrees(outcome, &expected));
            prop_assert!(agrees, "{:?}: {:?}, not {:?}", change, outcome, expected);
            self.promise(*change, outcome)?;
        }
        Ok(())
    }

    /// Whether an outcome is the expected one. What is refused although it stands there
    /// already, word for word, may count as granted: SQLite's statement does not tell.
    fn agrees(
        &self,
        outcome: &Result<Lease, CommitError>,
        expected: &Result<Lease, CommitError>,
    ) -> bool {
        let stands = |lease: &Lease| self.model.0.get(&lease.address) == Some(lease);
        let same = outcome == expected;
        same || (expected.is_err() && outcome.as_ref().is_ok_and(stands))
    }

    /// The power failed: what was answered is stored; of the rest, any beginning may be.
    fn take_back(
        &mut self,
        changes: &[Change],
        outcomes: &[Option<Result<Lease, CommitError>>],
    ) -> Result<(), TestCaseError> {
        let stored: BTreeMap<_, _> =
            self.server().book.list().into_iter().map(|lease| (lease.address, lease)).collect();
        for number in 0..4 {
            let address = address(number);
            let mut possible = vec![self.model.0.get(&address).cloned()];
            let own = changes.iter().zip(outcomes).filter(|(change, _)| change.address == number);
            for (change, outcome) in own {
                let expected = self.model.apply(&change.lease(self.now), self.now);
                if let Some(outcome) = outcome {
                    let agrees = self.agrees(outcome, &expected);
                    prop_assert!(agrees, "{:?}: {:?}, not {:?}", change, outcome, expected);
                    possible.clear();
                }
                possible.push(self.model.0.get(&address).cloned());
            }
            let found = stored.get(&address).cloned();
            prop_assert!(possible.contains(&found), "{:?} is none of {:?}", found, possible);
        }
        self.model = Model(stored);
        let mut all = changes.iter().zip(outcomes);
        all.try_for_each(|(change, outcome)| self.promise(*change, outcome))
    }

    /// Notes who was told that an address is theirs, and who said that it no longer is.
    fn promise(
        &mut self,
        change: Change,
        outcome: &Option<Result<Lease, CommitError>>,
    ) -> Result<(), TestCaseError> {
        if change.state != LeaseState::Bound {
            let (address, client) = (address(change.address), mac(change.client));
            self.promises.retain(|of, (holder, _)| *of != address || *holder != client);
            return Ok(());
        }
        let Some(Ok(lease)) = outcome else { return Ok(()) };
        if let Some((holder, until)) = self.promises.get(&lease.address) {
            let open = *until <= self.now || Some(*holder) == lease.mac();
            prop_assert!(
                open,
                "{} is promised to {} and given to {}",
                lease.address,
                holder,
                lease.mac().unwrap()
            );
        }
        self.promises.insert(lease.address, (lease.mac().unwrap(), lease.expires_at));
        Ok(())
    }

    /// A client is offered an address that nobody holds.
    fn discover(&mut self, client: u8) -> Result<(), TestCaseError> {
        let key = ClientKey::Mac(mac(client));
        let net = "10.0.0.0/24".parse().unwrap();
        let mut table = self.server.as_ref().unwrap().book.at(1, &self.site, self.now);
        let asked = LeaseFacts { may_lease: true, ..LeaseFacts::default() };
        let facts = table.complete(asked, &key, None, net);
        let offered = facts.leased.or(facts.offered).or(facts.previous).or(facts.free);
        if let Some(offered) = offered {
            table.offer(&key, Some(mac(client).into()), offered, self.now + 60);
            let running = self.model.0.get(&offered).filter(|lease| lease.is_live(self.now));
            let own =
                running.is_none_or(|lease| lease.mac() == Some(mac(client)) || lease.client == key);
            prop_assert!(
                own,
                "{} is offered to client {} and leased: {:?}",
                offered,
                client,
                running
            );
        }
        Ok(())
    }

    /// Nothing is under way: memory, the database and the model say the same.
    fn check_quiet(&self) -> Result<(), TestCaseError> {
        let Server { runtime, database, book } = self.server();
        // Memory knows a client by the name of today, if the site was read meanwhile.
        let unnamed = |leases: Vec<Lease>| -> Vec<Lease> {
            let unnamed =
                |lease: Lease| Lease { client: ClientKey::Mac(lease.mac().unwrap()), ..lease };
            leases.into_iter().map(unnamed).collect()
        };
        prop_assert_eq!(unnamed(book.list()), unnamed(self.model.list()), "memory");
        let again = runtime.block_on(LeaseBook::open(database.clone())).unwrap();
        prop_assert_eq!(again.list(), self.model.list(), "the database");
        Ok(())
    }

    /// Everything of the server that is in memory is gone, wherever its tasks were.
    fn fail_power(&mut self) {
        let Server { runtime, database, book } = self.server.take().unwrap();
        // In this order: whatever is under way is cut off, not ended properly.
        drop(runtime);
        drop((book, database));
        wait_until_let_go(self.store);
        self.server = Some(Server::start(self.store));
    }
}

/// Waits until no connection of before is at work any more: a real power failure ends
/// those at once.
fn wait_until_let_go(store: &Store) {
    let end = Instant::now() + PATIENCE;
    while is_held(store) {
        assert!(Instant::now() < end, "{} is still at it", store.kind);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is_held(store: &Store) -> bool {
    if let Some(path) = store.url.strip_prefix("sqlite:") {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let mut targets = open.filter_map(|file| std::fs::read_link(file.path()).ok());
        return targets.any(|target| target.to_string_lossy().starts_with(path));
    }
    const OTHERS: &str = "SELECT COUNT(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let others: i64 = runtime.block_on(async {
        let mut connection =
            <sqlx::PgConnection as sqlx::Connection>::connect(&store.url).await.unwrap();
        sqlx::query_scalar(OTHERS).fetch_one(&mut connection).await.unwrap()
    });
    others > 0
}

/// Runs so many lives, and says how many changes and power failures were in them.
fn run_lives(cases: u32, store: impl Fn() -> Store) {
    let counts = RefCell::new((0, 0));
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let result = TestRunner::new(config).run(&steps(), |steps| {
        let store = store();
        let mut world = World::new(&store);
        for step in &steps {
            let mut counts = counts.borrow_mut();
            match step {
                Step::Changes(changes) => counts.0 += changes.len(),
                Step::PowerFailure(changes, _) => {
                    counts.0 += changes.len();
                    counts.1 += 1;
                }
                _ => {}
            }
            world.step(step)?;
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    let (changes, failures) = counts.into_inner();
    println!("{cases} lives, {changes} changes, {failures} power failures");
}

#[test]
fn a_book_on_sqlite_is_what_the_model_says_whenever_the_power_fails() {
    run_lives(60, Store::sqlite);
}

#[test]
fn a_book_on_postgresql_is_what_the_model_says_whenever_the_power_fails() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    run_lives(6, || runtime.block_on(Store::postgres()));
}
