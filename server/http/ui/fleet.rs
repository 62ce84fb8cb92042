//! The home page: which hosts need somebody, where they are, and what else is wrong. On an empty
//! site it is the list of what the first boot needs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use tower_sessions::cookie::{Cookie, SameSite};

use super::clock::{Moment, span};
use super::error::Error;
use super::form::CheckedForm;
use super::host_query::urgency;
use super::host_row::{Board, StateCell};
use super::login::cookie_of;
use super::overview::{counted, thousands};
use super::page::{Frame, Page};
use super::session::Operator;
use super::site_facts::SiteFacts;
use super::state::Ui;
use crate::inventory::{Inventory, RollOut, Snapshot};
use crate::leases::fill::{Level, Usage};
use crate::lifecycle::HostState;
use crate::lifecycle::roll_out::RollOutState;
use crate::model::natural;
use crate::model::{RangeUse, Role, Site};
use crate::network::ConfigState;

/// That somebody does not want to see the steps any more.
const STEPS_COOKIE: &str = "rackstrap-steps";
/// Hosts of a cause that are named.
const NAMED: usize = 4;
/// Causes, and hosts that are booting, that are shown.
const MOST_ROWS: usize = 20;
/// Changes that are shown.
const CHANGES: u32 = 6;
/// Hosts beside each other in the picture of a rack.
const ACROSS: usize = 5;
/// The width and height of a host in the picture, in pixels.
const CELL: (usize, usize) = (6, 6);

/// How many hosts are in each state.
#[derive(Template)]
#[template(path = "fleet_counts.html")]
struct StateCounts {
    counts: Vec<Count>,
}

struct Count {
    state: HostState,
    count: String,
    is_any: bool,
}

/// Hosts that do not go on for the same reason.
struct Trouble {
    state: HostState,
    reason: String,
    named: Vec<String>,
    count: usize,
    /// How long it has been so for the first of them.
    since: String,
}

impl Trouble {
    fn more(&self) -> usize {
        self.count.saturating_sub(self.named.len())
    }
}

/// The hosts that do not go on, by cause.
#[derive(Template)]
#[template(path = "fleet_attention.html")]
struct Attention {
    troubles: Vec<Trouble>,
    more_troubles: usize,
}

/// The hosts that boot or install.
#[derive(Template)]
#[template(path = "fleet_progress.html")]
struct BootsInProgress {
    in_progress: Vec<InProgress>,
    more_in_progress: usize,
}

struct InProgress {
    name: String,
    state: StateCell,
    since: String,
}

/// A place with its racks, such as `hall 1 row 2`.
struct RackGroup {
    name: String,
    racks: Vec<RackPicture>,
}

/// The hosts of a rack in their states.
#[derive(Template)]
#[template(path = "fleet_rack.html")]
struct RackPicture {
    name: String,
    /// The states of its hosts in words.
    text: String,
    height: usize,
    /// A path for each state.
    paths: Vec<StatePath>,
}

struct StatePath {
    state: HostState,
    path: String,
}

/// The subnets whose dynamic addresses run low.
#[derive(Template)]
#[template(path = "fleet_pools.html")]
struct LowPools {
    pools: Vec<Pool>,
}

struct Pool {
    subnet: String,
    usage: Usage,
    level: &'static str,
}

/// How many hosts run the configuration that the inventory has, or do not.
#[derive(Template)]
#[template(path = "fleet_configs.html")]
struct ConfigCounts {
    configs: Vec<ConfigCount>,
}

struct ConfigCount {
    state: ConfigState,
    count: String,
    is_any: bool,
}

struct ChangeRow {
    id: i64,
    at: Moment,
    who: String,
    summary: String,
}

/// Something that the first boot needs.
struct SetupStep {
    is_done: bool,
    title: &'static str,
    text: String,
    links: Vec<StepLink>,
}

struct StepLink {
    href: &'static str,
    text: &'static str,
}

#[derive(Template)]
#[template(path = "fleet.html")]
struct FleetPage {
    frame: Frame,
    hosts: usize,
    moving: Moving,
    /// The roll-out that is not over.
    roll_out: Option<RollOut>,
    errors: usize,
    warnings: usize,
    revision: i64,
    changes: Vec<ChangeRow>,
    steps: Vec<SetupStep>,
    /// Whether the steps are shown beside hosts that are there already.
    goes_on: bool,
    interfaces: String,
}

impl RackPicture {
    const WIDTH: usize = ACROSS * CELL.0;

    /// What the browser knows it by.
    fn key(&self) -> String {
        format!("picture {}", self.name)
    }
}

/// What moves on the page.
struct Moving {
    as_of: Moment,
    counts: StateCounts,
    attention: Attention,
    progress: BootsInProgress,
    places: Vec<RackGroup>,
    pools: LowPools,
    configs: ConfigCounts,
}

impl Moving {
    async fn read(ui: &Ui) -> Result<Self, Error> {
        let board = Board::read(ui).await?;
        let snapshot = ui.app.inventory.snapshot();
        let (site, now_ms) = (&snapshot.site, ui.now_ms());
        let configs = configs(site, &ui.app.inventory.config_states().await?);
        Ok(Self {
            as_of: ui.moment(now_ms),
            counts: StateCounts { counts: counts(site, &board) },
            attention: attention(ui, site, &board),
            progress: in_progress(ui, site, &board),
            places: places(site, &board),
            pools: LowPools { pools: pools(ui, &snapshot, now_ms / 1000) },
            configs: ConfigCounts { configs },
        })
    }
}

/// The moving parts of the page, as HTML by the element's `data-live` key.
pub(crate) struct FleetUpdate(pub BTreeMap<String, String>);

impl FleetUpdate {
    /// What the page would show now.
    pub(super) async fn read(ui: &Ui) -> Result<Self, Error> {
        let moving = Moving::read(ui).await?;
        let pictures = moving.places.iter().flat_map(|place| &place.racks);
        let pictures = pictures.map(|rack| (rack.key(), rack.to_string()));
        let parts = [
            ("as-of", moving.as_of.text.clone()),
            ("counts", moving.counts.to_string()),
            ("attention", moving.attention.to_string()),
            ("progress", moving.progress.to_string()),
            ("pools", moving.pools.to_string()),
            ("configs", moving.configs.to_string()),
        ];
        let parts = parts.map(|(key, html)| (key.to_owned(), html));
        Ok(Self(pictures.chain(parts).collect()))
    }
}

impl FleetPage {
    fn total(&self) -> String {
        counted(self.hosts, "host", "hosts")
    }

    fn steps_done(&self) -> usize {
        self.steps.iter().filter(|step| step.is_done).count()
    }
}

/// `GET /`
pub(super) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Error> {
    let facts = SiteFacts::read(&ui, false).await?;
    let snapshot = ui.app.inventory.snapshot();
    let site = &snapshot.site;
    let config = ui.app.config.now();
    let steps = steps(site, &config.interfaces);
    let is_wanted = cookie_of(&headers, STEPS_COOKIE).is_empty() && operator.role >= Role::Operator;
    let is_open = steps.iter().any(|step| !step.is_done);
    Ok(Page(FleetPage {
        goes_on: is_open && is_wanted && !site.hosts.is_empty(),
        frame: operator.frame("").await?,
        hosts: site.hosts.len(),
        moving: Moving::read(&ui).await?,
        revision: snapshot.revision,
        roll_out: ui.app.inventory.database.last_roll_out().await?.filter(|it| it.state.is_open()),
        errors: facts.error_count(),
        warnings: facts.warning_count(),
        changes: changes(&ui, &ui.app.inventory).await?,
        steps,
        interfaces: config.interfaces.join(", "),
    }))
}

/// `POST /steps/dismiss`: the list of steps is not shown in this browser any more.
pub(super) async fn dismiss_steps(_: CheckedForm) -> Result<Response, Error> {
    let cookie = Cookie::build((STEPS_COOKIE, "dismissed"))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .max_age(time::Duration::days(400))
        .build()
        .to_string();
    let cookie = HeaderValue::from_str(&cookie);
    let cookie = cookie.map_err(|error| Error::Internal(error.to_string()))?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

fn counts(site: &Site, board: &Board) -> Vec<Count> {
    let mut states: Vec<HostState> = HostState::ALL.to_vec();
    states.sort_by_key(|state| urgency(*state));
    let count = |state: HostState| {
        let count = site.hosts.keys().filter(|name| board.state(name) == state).count();
        Count { state, count: thousands(count), is_any: count > 0 }
    };
    states.into_iter().map(count).collect()
}

fn configs(site: &Site, known: &BTreeMap<String, ConfigState>) -> Vec<ConfigCount> {
    let of = |name: &String| known.get(name).copied().unwrap_or(ConfigState::Unknown);
    let count = |state: ConfigState| {
        let count = site.hosts.keys().filter(|name| of(name) == state).count();
        ConfigCount { state, count: thousands(count), is_any: count > 0 }
    };
    ConfigState::ALL.into_iter().map(count).collect()
}

fn attention(ui: &Ui, site: &Site, board: &Board) -> Attention {
    let mut troubles = troubles(ui, site, board);
    let more_troubles = troubles.len().saturating_sub(MOST_ROWS);
    troubles.truncate(MOST_ROWS);
    Attention { troubles, more_troubles }
}

fn in_progress(ui: &Ui, site: &Site, board: &Board) -> BootsInProgress {
    let is_booting =
        |name: &&String| matches!(board.state(name), HostState::Booting | HostState::Installing);
    let mut booting: Vec<&String> = site.hosts.keys().filter(is_booting).collect();
    booting.sort_by(|a, b| natural(a, b));
    let more_in_progress = booting.len().saturating_sub(MOST_ROWS);
    booting.truncate(MOST_ROWS);
    let now_ms = ui.now_ms();
    let row = |name: &String| InProgress {
        name: name.clone(),
        state: board.state_cell(ui, name),
        since: since(board, name, now_ms),
    };
    BootsInProgress { in_progress: booting.into_iter().map(row).collect(), more_in_progress }
}

fn since(board: &Board, host: &str, now_ms: i64) -> String {
    match board.since_ms(host) {
        0 => String::new(),
        at_ms => span((now_ms - at_ms).max(0) / 1000),
    }
}

/// Hosts that do not go on, by state and reason, the most first.
fn troubles(ui: &Ui, site: &Site, board: &Board) -> Vec<Trouble> {
    let mut by_reason: BTreeMap<(u8, String), Vec<&String>> = BTreeMap::new();
    for name in site.hosts.keys() {
        let state = board.state(name);
        if matches!(state, HostState::Stuck | HostState::Failed) {
            // A host's own words differ in its name and addresses alone.
            by_reason.entry((urgency(state), board.reason(name))).or_default().push(name);
        }
    }
    let now_ms = ui.now_ms();
    let trouble = |((_, reason), mut names): ((u8, String), Vec<&String>)| {
        names.sort_by(|a, b| natural(a, b));
        let first = names.first().map(|name| name.as_str()).unwrap_or_default();
        Trouble {
            state: board.state(first),
            reason,
            since: since(board, first, now_ms),
            named: names.iter().take(NAMED).map(|name| (*name).clone()).collect(),
            count: names.len(),
        }
    };
    let mut troubles: Vec<Trouble> = by_reason.into_iter().map(trouble).collect();
    troubles.sort_by_key(|trouble| (urgency(trouble.state), std::cmp::Reverse(trouble.count)));
    troubles
}

/// The racks by their location, each as a picture.
fn places(site: &Site, board: &Board) -> Vec<RackGroup> {
    let mut hosts: BTreeMap<&str, Vec<(u16, &String)>> = BTreeMap::new();
    for (name, host) in &site.hosts {
        let rack = host.rack.as_deref().unwrap_or_default();
        hosts.entry(rack).or_default().push((host.unit.unwrap_or(u16::MAX), name));
    }
    let mut places: Vec<RackGroup> = Vec::new();
    for (rack, mut hosts) in hosts {
        hosts.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| natural(a.1, b.1)));
        let location = site.racks.get(rack).and_then(|rack| rack.location.clone());
        let name = match rack {
            "" => "Without a rack".to_owned(),
            _ => location.unwrap_or_else(|| "Racks without a location".to_owned()),
        };
        let states: Vec<HostState> = hosts.iter().map(|(_, name)| board.state(name)).collect();
        let picture = picture(rack, &states);
        match places.iter_mut().find(|place| place.name == name) {
            Some(place) => place.racks.push(picture),
            None => places.push(RackGroup { name, racks: vec![picture] }),
        }
    }
    places.sort_by(|a, b| natural(&a.name, &b.name));
    for place in &mut places {
        place.racks.sort_by(|a, b| natural(&a.name, &b.name));
    }
    places
}

fn picture(rack: &str, states: &[HostState]) -> RackPicture {
    let (width, height) = CELL;
    let rows = states.len().div_ceil(ACROSS);
    let (mut paths, mut words): (Vec<StatePath>, Vec<String>) = Default::default();
    for state in HostState::ALL {
        let mut path = String::new();
        let mut count = 0;
        for index in (0..states.len()).filter(|index| states[*index] == state) {
            // The lowest unit is at the bottom.
            let (x, y) = (index % ACROSS * width, (rows - 1 - index / ACROSS) * height);
            let _ = write!(path, "M{x} {y}h5v5h-5z");
            count += 1;
        }
        if count > 0 {
            words.push(format!("{count} {state}"));
            paths.push(StatePath { state, path });
        }
    }
    RackPicture { name: rack.to_owned(), text: words.join(", "), height: rows * height, paths }
}

fn pools(ui: &Ui, snapshot: &Snapshot, now: i64) -> Vec<Pool> {
    let leases = ui.app.leases.at(snapshot.revision, &snapshot.site, now);
    let mut pools = Vec::new();
    for (name, subnet) in &snapshot.site.subnets {
        let ipnet::IpNet::V4(net) = subnet.cidr else { continue };
        if !subnet.ranges.iter().any(|range| range.used_for == RangeUse::Dhcp) {
            continue;
        }
        let usage = leases.usage(net.trunc());
        if usage.of > 0 && usage.level() != Level::Enough {
            pools.push(Pool { subnet: name.clone(), level: usage.level().label(), usage });
        }
    }
    pools
}

async fn changes(ui: &Ui, inventory: &Inventory) -> Result<Vec<ChangeRow>, Error> {
    let revisions = inventory.database.list_revision_heads(CHANGES).await?;
    let row = |revision: crate::inventory::Revision| ChangeRow {
        id: revision.id,
        at: ui.moment(revision.at.saturating_mul(1000)),
        who: revision.who,
        summary: revision.summary,
    };
    Ok(revisions.into_iter().map(row).collect())
}

/// What the first boot needs, and whether it is there.
fn steps(site: &Site, interfaces: &[String]) -> Vec<SetupStep> {
    let has_range = |use_: RangeUse| {
        let mut ranges = site.subnets.values().flat_map(|subnet| &subnet.ranges);
        ranges.any(|range| range.used_for == use_)
    };
    let link = |href, text| StepLink { href, text };
    let count = |count: usize, one: &str| match count {
        0 => String::new(),
        1 => format!("There is one {one}."),
        many => format!("There are {many} {one}s."),
    };
    vec![
        SetupStep {
            is_done: !interfaces.is_empty(),
            title: "An interface serves DHCP",
            text: match interfaces {
                [] => "Set interfaces in rackstrap.toml to the interface of the provisioning \
                       network; rackstrap doctor says whether another DHCP server is there."
                    .to_owned(),
                some => format!("Served: {}.", some.join(", ")),
            },
            links: Vec::new(),
        },
        SetupStep {
            is_done: has_range(RangeUse::Dhcp),
            title: "A provisioning subnet with a range for DHCP",
            text: match count(site.subnets.len(), "subnet") {
                none if none.is_empty() => "Clients get an address from it.".to_owned(),
                some if has_range(RangeUse::Dhcp) => some,
                some => format!("{some} None has a range for DHCP."),
            },
            links: vec![link("/change?noun=subnets&view=fields", "Add a subnet")],
        },
        SetupStep {
            is_done: !site.images.is_empty(),
            title: "An image to boot",
            text: count(site.images.len(), "image"),
            links: vec![link("/add-image", "Upload an image")],
        },
        SetupStep {
            is_done: !site.profiles.is_empty(),
            title: "A profile: what the network of a host looks like",
            text: count(site.profiles.len(), "profile"),
            links: vec![link("/change?noun=profiles", "Add a profile")],
        },
        SetupStep {
            is_done: !site.hosts.is_empty(),
            title: "The first host",
            text: "Power a machine on in the provisioning network and adopt it, or type its MACs."
                .to_owned(),
            links: vec![
                link("/discovered", "Discovered clients"),
                link("/add-host", "Add a host"),
                link("/import", "Import a table"),
            ],
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rack_is_a_picture_from_the_bottom() {
        use HostState::{Stuck, Up, Waiting};
        let picture = picture("r1", &[Up, Up, Stuck, Up, Up, Waiting]);
        assert_eq!(picture.height, 12);
        assert_eq!(picture.text, "1 waiting, 4 up, 1 stuck");
        let waiting = picture.paths.iter().find(|path| path.state == Waiting).unwrap();
        assert_eq!(waiting.path, "M0 0h5v5h-5z", "the sixth is in the second row from the bottom");
        let stuck = picture.paths.iter().find(|path| path.state == Stuck).unwrap();
        assert_eq!(stuck.path, "M12 6h5v5h-5z");
    }

    #[test]
    fn steps_are_done_one_by_one() {
        let done = |site: serde_json::Value, interfaces: &[String]| -> Vec<bool> {
            let site: Site = serde_json::from_value(site).unwrap();
            steps(&site, interfaces).iter().map(|step| step.is_done).collect()
        };
        assert_eq!(done(serde_json::json!({}), &[]), [false; 5]);
        let subnets = serde_json::json!({"a": {"cidr": "10.0.0.0/24"}});
        let site = serde_json::json!({"subnets": subnets, "hosts": {"n": {}}});
        assert_eq!(done(site, &["eth0".into()]), [true, false, false, false, true]);
        let range = serde_json::json!([{"from": "10.0.0.9", "to": "10.0.0.99", "for": "dhcp"}]);
        let subnets = serde_json::json!({"a": {"cidr": "10.0.0.0/24", "ranges": range}});
        let site = serde_json::json!({"subnets": subnets, "images": {"l": {"local": true}}});
        assert_eq!(done(site, &[]), [false, true, true, false, false]);
    }
}
