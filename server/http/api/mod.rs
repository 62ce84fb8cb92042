//! `/api/v1`: the inventory as JSON, for programs that have a token.
//!
//! Every token may read; one that may change may also send POST, PUT and DELETE.
//! Bodies are JSON or YAML, with the site file's keys. What GET returns, PUT accepts.

mod answer;
mod audit;
mod auth;
mod extract;
mod history;
mod image_files;
mod install;
mod json;
mod live;
mod nouns;
mod openapi;
mod page;
mod parsed;
mod precondition;
mod problem;
mod roll_out;
mod schema;
mod secrets;
mod site;

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use axum::Router;
use axum::extract::{Extension, Request};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt, service_fn};

use crate::app::App;
use crate::http::settled::settled;
use crate::images::ReceiveError;
use crate::model::{Noun, NounVisitor, visit_nouns};
pub(crate) use auth::without_hashes;
pub(crate) use problem::{Explanation, describe_failures};

/// The status of an upload that failed.
pub(crate) fn status_of_upload(error: &ReceiveError) -> StatusCode {
    image_files::kind_of(error).0
}

/// Every route, without `/api/v1`. They are made with the first request: their description takes
/// megabytes of code and text that a server whose API nobody uses does not load.
pub(crate) fn service(
    app: App,
    stop: CancellationToken,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync
{
    let routes: Arc<OnceLock<Router>> = Arc::default();
    service_fn(move |request: Request| {
        let routes = routes.get_or_init(|| router(app.clone(), stop.clone())).clone();
        routes.oneshot(request)
    })
}

fn router(app: App, stop: CancellationToken) -> Router {
    openapi::begin();
    let with_token = ApiRouter::new()
        .merge(whole_site())
        .merge(nouns())
        .merge(generated())
        .merge(installs())
        .merge(image_files())
        .merge(leases())
        .merge(discovered())
        .merge(secrets())
        .merge(roll_out())
        .merge(what_happened())
        .route_layer(from_fn_with_state(app.clone(), settled))
        .route_layer(from_fn_with_state(app.clone(), auth::require_token));
    let document: Arc<OnceLock<String>> = Arc::default();
    let described = document.clone();
    let describe = move || {
        let document = described.get().cloned().unwrap_or_default();
        async move { openapi::response(document).into_response() }
    };
    let routes = ApiRouter::new().merge(with_token).api_route(
        "/openapi.json",
        get_with(describe, |op| {
            let op = openapi::operation(op, "api", "get_openapi", "Get this description", &[]);
            openapi::returns_json(op)
        }),
    );
    let (routes, text) = openapi::finish(routes);
    // It is made of the routes, one of which has it.
    let _ = document.set(text);
    routes
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(Extension(live::Streams::new(stop)))
        .with_state(app)
}

/// The routes of all nouns.
fn nouns() -> ApiRouter<App> {
    struct Routes(ApiRouter<App>);
    impl NounVisitor for Routes {
        fn visit<T: Noun>(&mut self) {
            self.0 = std::mem::replace(&mut self.0, ApiRouter::new()).merge(noun::<T>());
        }
    }
    let mut routes = Routes(ApiRouter::new());
    visit_nouns(&mut routes);
    routes.0
}

/// The routes of a noun: they are the same for all.
fn noun<T: Noun>() -> ApiRouter<App> {
    let (section, word) = (T::SECTION, T::NOUN);
    let list = get_with(nouns::list::<T>, |op| {
        let (id, summary) = (format!("list_{section}"), format!("List {section}"));
        openapi::is_paged(openapi::operation(op, section, &id, &summary, &[400]))
    });
    let one = get_with(nouns::show::<T>, |op| {
        let (id, summary) = (format!("get_{word}"), format!("Get a {word}"));
        openapi::has_tag(openapi::operation(op, section, &id, &summary, &[400, 404]))
    })
    .put_with(nouns::put::<T>, |op| {
        let failures = [400, 403, 409, 412, 413, 415, 422];
        let (id, summary) = (format!("put_{word}"), format!("Create or replace a {word}"));
        let op = openapi::operation(op, section, &id, &summary, &failures);
        openapi::is_conditional(openapi::may_create(op))
    })
    .delete_with(nouns::remove::<T>, |op| {
        let failures = [400, 403, 404, 409, 412];
        let (id, summary) = (format!("delete_{word}"), format!("Delete a {word}"));
        let op = openapi::operation(op, section, &id, &summary, &failures);
        openapi::is_conditional(op)
    });
    ApiRouter::new()
        .api_route(&format!("/{section}"), list)
        .api_route(&format!("/{section}/{{name}}"), one)
}

fn whole_site() -> ApiRouter<App> {
    let site = get_with(site::show, |op| {
        openapi::has_tag(openapi::operation(op, "site", "get_site", "Get the whole site", &[400]))
    })
    .merge(put_with(site::replace, |op| {
        let summary = "Make the site equal to the body, as rackstrap apply does";
        let failures = [400, 403, 409, 412, 413, 415, 422];
        openapi::is_conditional(openapi::operation(op, "site", "put_site", summary, &failures))
    }));
    let check = get_with(site::check, |op| {
        let summary = "List everything that is wrong with the site, errors first";
        openapi::is_paged(openapi::operation(op, "site", "list_findings", summary, &[400]))
    });
    ApiRouter::new().api_route("/site", site).api_route("/check", check)
}

fn generated() -> ApiRouter<App> {
    let host = get_with(site::config, |op| {
        let summary = "Generate the network configuration of a host";
        openapi::operation(op, "hosts", "get_host_config", summary, &[400, 404, 422])
    });
    let switch = get_with(site::switch_config, |op| {
        let summary = "Generate the ports of a switch in its vendor's syntax";
        openapi::operation(op, "switches", "get_switch_config", summary, &[400, 404, 422])
    });
    let preseed = get_with(site::microcloud, |op| {
        let summary = "Generate the MicroCloud preseed document of the hosts of a profile";
        openapi::operation(op, "profiles", "get_microcloud_preseed", summary, &[400, 404, 422])
    });
    ApiRouter::new()
        .api_route("/hosts/{name}/config", host)
        .api_route("/switches/{name}/config", switch)
        .api_route("/profiles/{name}/microcloud-preseed", preseed)
}

fn installs() -> ApiRouter<App> {
    let install = get_with(install::show, |op| {
        let summary = "Get the latest install of a host, null if it was never armed";
        openapi::has_tag(openapi::operation(op, "hosts", "get_host_install", summary, &[400, 404]))
    })
    .post_with(install::arm, |op| {
        let summary = "Arm a host: its next boot installs its image, or erases its disks (`task`)";
        let failures = [400, 403, 404, 409, 412];
        let op = openapi::operation(op, "hosts", "arm_host_install", summary, &failures);
        openapi::is_conditional(op)
    })
    .delete_with(install::cancel, |op| {
        let summary = "Cancel the install of a host";
        let failures = [400, 403, 404, 409, 412];
        let op = openapi::operation(op, "hosts", "cancel_host_install", summary, &failures);
        openapi::is_conditional(op)
    });
    let all = post_with(install::arm_all, |op| {
        let summary = "Arm several hosts: all of them, or none";
        openapi::operation(op, "hosts", "arm_hosts", summary, &[400, 403, 404, 409])
    });
    ApiRouter::new().api_route("/hosts/{name}/install", install).api_route("/installs", all)
}

fn image_files() -> ApiRouter<App> {
    let list = get_with(image_files::list, |op| {
        let summary = "List the files of an image with what is recorded of them";
        openapi::is_paged(openapi::operation(
            op,
            "images",
            "list_image_files",
            summary,
            &[400, 404],
        ))
    });
    let upload = post_with(image_files::upload, |op| {
        let summary = "Upload a file of an image; an image that does not exist is created";
        let failures = [400, 403, 409, 411, 422, 507];
        openapi::operation(op, "images", "upload_image_file", summary, &failures)
    });
    ApiRouter::new()
        .api_route("/images/{name}/files", list)
        .api_route("/images/{name}/files/{key}", upload)
}

fn leases() -> ApiRouter<App> {
    let list = get_with(history::leases, |op| {
        let summary = "List leases, those that have ended included";
        openapi::is_paged(openapi::operation(op, "leases", "list_leases", summary, &[400]))
    });
    let one = get_with(history::lease, |op| {
        openapi::has_tag(openapi::operation(op, "leases", "get_lease", "Get a lease", &[400, 404]))
    })
    .delete_with(history::remove_lease, |op| {
        let summary = "Release a lease; its client is not notified";
        let op = openapi::operation(op, "leases", "delete_lease", summary, &[400, 403, 404, 412]);
        openapi::is_conditional(op)
    });
    ApiRouter::new().api_route("/leases", list).api_route("/leases/{address}", one)
}

fn discovered() -> ApiRouter<App> {
    let list = get_with(history::discovered, |op| {
        let summary = "List unknown clients: who asked DHCP and is in no host, newest first";
        openapi::is_paged(openapi::operation(op, "leases", "list_discovered", summary, &[400]))
    });
    ApiRouter::new().api_route("/discovered", list)
}

fn secrets() -> ApiRouter<App> {
    let list = get_with(secrets::list, |op| {
        let summary = "List secrets by name, and where they are used; values are never shown";
        openapi::operation(op, "secrets", "get_secrets", summary, &[400])
    });
    let one = put_with(secrets::put, |op| {
        let summary = "Set a secret";
        let failures = [400, 403, 409, 413, 415, 422];
        let op = openapi::operation(op, "secrets", "put_secret", summary, &failures);
        openapi::may_create(op)
    })
    .delete_with(secrets::remove, |op| {
        let summary = "Remove a secret that nothing names";
        openapi::operation(op, "secrets", "delete_secret", summary, &[400, 403, 404, 409])
    });
    ApiRouter::new().api_route("/secrets", list).api_route("/secrets/{name}", one)
}

fn roll_out() -> ApiRouter<App> {
    const TAG: &str = "roll-out";
    let last = get_with(roll_out::show, |op| {
        let summary = "Get the roll-out that was begun last, null if none was";
        openapi::operation(op, TAG, "get_roll_out", summary, &[400])
    })
    .post_with(roll_out::start, |op| {
        let summary = "Begin a roll-out: hosts apply their configuration in waves";
        openapi::operation(op, TAG, "start_roll_out", summary, &[400, 403, 409])
    });
    let resume = post_with(roll_out::resume, |op| {
        let summary = "Let a halted roll-out go on; hosts that failed may try again";
        openapi::operation(op, TAG, "resume_roll_out", summary, &[400, 403, 409])
    });
    let end = post_with(roll_out::end, |op| {
        let summary = "End a roll-out; hosts that have not applied keep what they have";
        openapi::operation(op, TAG, "end_roll_out", summary, &[400, 403, 409])
    });
    ApiRouter::new()
        .api_route("/roll-out", last)
        .api_route("/roll-out/resume", resume)
        .api_route("/roll-out/end", end)
}

fn what_happened() -> ApiRouter<App> {
    let status = get_with(history::status, |op| {
        let summary = "Get the state of a host and its last report";
        openapi::operation(op, "hosts", "get_host_status", summary, &[400, 404])
    });
    let events = get_with(history::events, |op| {
        let summary = "List events, newest first";
        openapi::is_paged(openapi::operation(op, "events", "list_events", summary, &[400]))
    });
    let live = get_with(live::stream, |op| {
        let summary = "Stream everything that happens from now on";
        let op = openapi::operation(op, "events", "stream_events", summary, &[400, 429]);
        openapi::header(op, "Last-Event-ID", "The id of the last message seen: go on behind it.")
    });
    let audit = get_with(audit::list, |op| {
        let summary = "List the audit log, newest first: changes, logins, uses of tokens";
        openapi::is_paged(openapi::operation(op, "audit", "list_audit", summary, &[400]))
    });
    let revisions = get_with(history::revisions, |op| {
        let summary = "List the changes of the inventory, newest first";
        openapi::is_paged(openapi::operation(op, "revisions", "list_revisions", summary, &[400]))
    });
    let revision = get_with(history::revision, |op| {
        let summary = "Get a revision and what it changed";
        let op = openapi::operation(op, "revisions", "get_revision", summary, &[400, 404]);
        openapi::has_tag(op)
    });
    let revert = post_with(history::revert, |op| {
        let summary = "Undo a revision, unless its entries were changed since";
        let failures = [400, 403, 404, 409, 412, 422];
        let op = openapi::operation(op, "revisions", "revert_revision", summary, &failures);
        openapi::is_conditional(op)
    });
    ApiRouter::new()
        .api_route("/hosts/{name}/status", status)
        .api_route("/events", events)
        .api_route("/live", live)
        .api_route("/audit", audit)
        .api_route("/revisions", revisions)
        .api_route("/revisions/{id}", revision)
        .api_route("/revisions/{id}/revert", revert)
}
