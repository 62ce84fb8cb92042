//! Arming a host for an install in the UI: the page that says what will be erased, arming,
//! cancelling, and every refusal.

use rackstrap::inventory::Change;
use rackstrap::lifecycle::install::InstallState;

use super::server::{Server, encode, fields};
use crate::common::sample::{self, ARM_REFUSALS};

const PAGE: &str = "/hosts/r1-n01/install";

/// A server whose host `r1-n01` has an image that installs, and one more change.
async fn server(edit: impl FnOnce(&mut rackstrap::model::Site)) -> Server {
    let server = Server::start().await;
    let change = Change { who: "ada", summary: "an installer", ..Change::default() };
    let done = server.app.inventory.change_site(change, |site| {
        sample::install_first_host(site);
        edit(site);
        Ok(())
    });
    done.await.unwrap();
    server
}

fn state(server: &Server) -> Option<InstallState> {
    server.app.inventory.installs().of("r1-n01").map(|install| install.state)
}

#[tokio::test]
async fn a_host_is_reviewed_armed_and_cancelled() {
    let server = server(|_| ()).await;
    let operator = server.operator().await;
    assert!(operator.page("/hosts/r1-n01").await.contains(&format!("href=\"{PAGE}\"")));
    let page = operator.page(PAGE).await;
    for text in
        ["Install r1-n01?", "<strong>installer</strong>", "erases", "di/vmlinuz", "di/initrd"]
    {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert_eq!(state(&server), None, "the page itself arms nothing");

    let answer = operator.fill_in(PAGE, &[]).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    assert_eq!(answer.headers()["location"], "/hosts/r1-n01");
    assert_eq!(state(&server), Some(InstallState::Armed));
    let page = operator.page("/hosts/r1-n01").await;
    assert!(
        page.contains("r1-n01 is armed: its next boot installs installer and erases its disk."),
        "{page}"
    );
    let page = operator.page(PAGE).await;
    assert!(page.contains("armed by ada") && page.contains("Cancel the install"), "{page}");

    // The first form of the page is the one that cancels.
    let csrf = fields(&page).into_iter().find(|(name, _)| name == "csrf").unwrap();
    let cancel = encode(&[csrf, ("do".to_owned(), "cancel".to_owned())]);
    assert_eq!(operator.post(PAGE, cancel.clone()).await.status(), 303);
    assert_eq!(state(&server), Some(InstallState::Cancelled));
    let again = operator.post(PAGE, cancel).await;
    assert_eq!(again.status(), 409);
    assert!(again.text().await.unwrap().contains("nothing to cancel"));
    assert!(!operator.page(PAGE).await.contains("Cancel the install"));
}

#[tokio::test]
async fn a_disk_image_is_not_said_to_erase_what_it_leaves_alone() {
    let server = server(|site| {
        let image = site.images.get_mut("installer").unwrap();
        (image.kernel, image.initrd) = (None, Vec::new());
        image.disk = Some("di/disk.raw".to_owned());
    })
    .await;
    let operator = server.operator().await;
    let page = operator.page(PAGE).await;
    for text in [
        "Arm r1-n01?",
        "installs installer on its only disk; if that has data, nothing is written",
        "erases its only disk and installs installer",
        "erases all of its disks",
        "Arm for the next boot",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("Erase and install"), "{page}");
    let refused = operator.fill_in(PAGE, &[("task", "erase")]).await;
    assert_eq!(refused.status(), 409);
    let refused = refused.text().await.unwrap();
    assert!(refused.contains("confirm=r1-n01"), "{refused}");
    assert_eq!(state(&server), None);
    let armed = operator.fill_in(PAGE, &[("task", "erase"), ("confirm", "r1-n01")]).await;
    assert_eq!(armed.status(), 303);
    assert!(operator.page("/hosts/r1-n01").await.contains("its next boot erases all of its disks"));
    // The first form of the page is the one that cancels.
    let csrf = fields(&operator.page(PAGE).await).into_iter().find(|it| it.0 == "csrf").unwrap();
    let body = [csrf, ("task".to_owned(), "install".to_owned())];
    assert_eq!(operator.post(PAGE, encode(&body)).await.status(), 303);
    let page = operator.page("/hosts/r1-n01").await;
    assert!(page.contains("It was armed for: erase."), "{page}");
}

#[tokio::test]
async fn what_cannot_be_armed_says_why_and_has_no_button() {
    for (edit, reason) in ARM_REFUSALS {
        let server = server(edit).await;
        let operator = server.operator().await;
        let page = operator.page(PAGE).await;
        assert!(page.contains("This host cannot be armed") && page.contains(reason), "{page}");
        assert!(!page.contains("Erase and install"), "{page}");
        // A form that was open before the host was protected.
        let csrf = fields(&operator.page("/hosts/r1-n01/edit").await);
        let csrf = csrf.into_iter().find(|(name, _)| name == "csrf").unwrap();
        let answer = operator.post(PAGE, encode(&[csrf])).await;
        assert_eq!(answer.status(), 409, "{reason}");
        assert!(answer.text().await.unwrap().contains(reason), "{reason}");
        assert_eq!(state(&server), None, "{reason}");
    }
}

#[tokio::test]
async fn arming_needs_the_token_of_the_session_and_a_host() {
    let server = server(|_| ()).await;
    let operator = server.operator().await;
    for body in ["", "do=arm", "csrf=", "csrf=0000", "do=cancel&csrf=x"] {
        assert_eq!(operator.post(PAGE, body).await.status(), 403, "{body}");
    }
    assert_eq!(server.stranger().post(PAGE, "").await.headers()["location"], "/login");
    assert_eq!(state(&server), None);
    assert_eq!(operator.get("/hosts/r1-n99/install").await.status(), 404);
    let csrf = fields(&operator.page(PAGE).await).remove(0);
    assert_eq!(csrf.0, "csrf");
    let nobody = operator.post("/hosts/r1-n99/install", encode(&[csrf])).await;
    assert_eq!(nobody.status(), 404, "{}", nobody.text().await.unwrap());
}

#[tokio::test]
async fn what_an_install_depends_on_is_edited_in_the_form() {
    let server = server(|_| ()).await;
    let operator = server.operator().await;
    let edit = "/hosts/r1-n01/edit";
    let host = || server.app.inventory.snapshot().site.hosts["r1-n01"].clone();
    let values = [("labels", "db, blue"), ("protected", "true"), ("local-boot", "sanboot")];
    assert_eq!(operator.fill_in(edit, &values).await.status(), 303);
    assert_eq!(host().labels, ["db", "blue"]);
    assert!(host().protected);
    assert_eq!(host().local_boot.unwrap().label(), "sanboot");
    // The form has them all, so that a save of another field loses none.
    assert_eq!(operator.fill_in(edit, &[("unit", "5")]).await.status(), 303);
    assert_eq!((host().labels.len(), host().protected, host().unit), (2, true, Some(5)));
    assert!(operator.page(PAGE).await.contains("protected: true on host r1-n01"));
    for (field, value, text) in [
        ("labels", "a b", "1 to 63 letters"),
        ("local-boot", "disk", "expected one of menu, sanboot, exit, no-file, found"),
    ] {
        let refused = operator.fill_in(edit, &[(field, value)]).await;
        assert_eq!(refused.status(), 422, "{field}");
        let page = refused.text().await.unwrap();
        assert!(page.contains(&format!("id=\"{field}-wrong\"")) && page.contains(text), "{page}");
    }
    // A box that is not ticked is not sent.
    let mut form = fields(&operator.page(edit).await);
    form.retain(|(name, _)| name != "protected");
    assert_eq!(operator.post(edit, encode(&form)).await.status(), 303);
    assert!(!host().protected);
}

/// All of a selection or none, with what happens to each host, after its number was typed.
#[tokio::test]
async fn a_selection_of_hosts_is_armed_after_its_number_was_typed() {
    let server = server(|site| {
        let image = site.images.get_mut("installer").unwrap();
        (image.kernel, image.initrd) = (None, Vec::new());
        image.disk = Some("di/disk.raw".to_owned());
        site.hosts.get_mut("r1-n02").unwrap().image = Some("installer".to_owned());
    })
    .await;
    let operator = server.operator().await;
    let task = |name: &str| server.app.inventory.installs().of(name).map(|it| it.task.label());
    assert!(operator.page("/hosts").await.contains("formaction=\"/install-hosts\""));

    // Nothing is destroyed, so nothing is typed.
    let url = "/install-hosts?which=selected&host=r1-n01&host=nobody&host=r1-n02";
    let page = operator.page(&format!("{url}&task=rescue")).await;
    assert!(page.contains("starts the live system live once") && !page.contains("to confirm"));
    let url = format!("{url}&task=reinstall");
    let page = operator.page(&url).await;
    for text in ["2 hosts", "erases its only disk and installs installer", "Type <strong>2 hosts"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let form = |page: &str, confirm: &str| {
        // The last form of the page is the one that arms.
        let mut form = fields(page);
        form.retain(|(name, _)| name != "confirm");
        form.push(("confirm".to_owned(), confirm.to_owned()));
        encode(&form)
    };
    for wrong in ["", "r1-n01", "3 hosts"] {
        let refused = operator.post("/install-hosts", form(&page, wrong)).await;
        assert_eq!(refused.status(), 422, "{wrong}");
        assert!(refused.text().await.unwrap().contains("confirm=&#34;2 hosts&#34;"), "{wrong}");
    }
    assert_eq!((task("r1-n01"), task("r1-n02")), (None, None));
    assert_eq!(operator.post("/install-hosts", form(&page, "2 hosts")).await.status(), 303);
    assert_eq!((task("r1-n01"), task("r1-n02")), (Some("reinstall"), Some("reinstall")));
    assert!(operator.page("/hosts").await.contains("2 hosts are armed: reinstall"));

    // What was reviewed is what is done.
    let all = "/install-hosts?which=all&query=rack%3Dr1&task=erase";
    let page = operator.page(all).await;
    assert_eq!(operator.fill_in("/hosts/r1-n02/edit", &[("rack", "r2")]).await.status(), 303);
    let overtaken = operator.post("/install-hosts", form(&page, "2 hosts")).await;
    assert_eq!(overtaken.status(), 422);
    assert!(overtaken.text().await.unwrap().contains("changed since"));

    // One that cannot be armed keeps the others from it, and is left out by a click.
    assert_eq!(
        operator.fill_in("/hosts/r1-n02/edit", &[("protected", "true")]).await.status(),
        303
    );
    let page = operator.page(&url).await;
    assert!(
        page.contains("protected: true on host r1-n02") && !page.contains("id=\"arm\""),
        "{page}"
    );
    assert!(page.contains("Leave out 1"), "{page}");
    let page = operator.page("/install-hosts?which=selected&host=r1-n01&task=erase").await;
    assert_eq!(operator.post("/install-hosts", form(&page, "r1-n01")).await.status(), 303);
    assert_eq!(task("r1-n01"), Some("erase"));
}

/// Whatever a host boots, its live system can be started; the disk image's host is released too.
#[tokio::test]
async fn a_host_is_rescued_and_released() {
    let server = server(|site| site.hosts.get_mut("r1-n01").unwrap().image = None).await;
    let operator = server.operator().await;
    let page = operator.page(PAGE).await;
    assert!(page.contains("starts the live system live once and leaves all disks"), "{page}");
    let answer = operator.fill_in(PAGE, &[("task", "rescue")]).await;
    assert_eq!(answer.status(), 303);
    let task = || server.app.inventory.installs().of("r1-n01").map(|install| install.task.label());
    assert_eq!(task(), Some("rescue"));

    let disk_image = |site: &mut rackstrap::model::Site| {
        let image = site.images.get_mut("installer").unwrap();
        (image.kernel, image.initrd) = (None, Vec::new());
        image.disk = Some("di/disk.raw".to_owned());
    };
    let server = self::server(disk_image).await;
    let operator = server.operator().await;
    let page = operator.page(PAGE).await;
    assert!(page.contains("are removed from the inventory"), "{page}");
    let refused = operator.fill_in(PAGE, &[("task", "release")]).await;
    assert_eq!(refused.status(), 409);
    let answer = operator.fill_in(PAGE, &[("task", "release"), ("confirm", "r1-n01")]).await;
    assert_eq!(answer.status(), 303);
    assert!(operator.page("/hosts/r1-n01").await.contains("to release it"));
}
