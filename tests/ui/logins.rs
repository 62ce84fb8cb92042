//! Floods of guesses, and changes of a password. What is measured is printed.

use std::time::{Duration, Instant};

use super::server::{PASSWORD, Server, encode, fields};

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_guesses_is_counted_before_it_is_looked_at() {
    let server = Server::start().await;
    let visitor = server.stranger();
    let form = fields(&visitor.page("/login").await);
    let with = |name: &str, password: &str| {
        let mut form = form.clone();
        for (field, value) in &mut form {
            match field.as_str() {
                "name" => name.clone_into(value),
                "password" => password.clone_into(value),
                _ => {}
            }
        }
        encode(&form)
    };
    let before = memory_kib();
    let start = Instant::now();
    let guesses = (0..300).map(|number| {
        let body = with("ada", &format!("wrong {number}"));
        let (client, url) = (visitor.client.clone(), format!("{}/login", visitor.url));
        tokio::spawn(async move {
            let request = client.post(url);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            // A connection beyond those that one address may have is closed.
            request.body(body).send().await.map_or(0, |answer| answer.status().as_u16())
        })
    });
    let guesses: Vec<_> = guesses.collect();
    let mut seen = std::collections::BTreeMap::new();
    for guess in guesses {
        *seen.entry(guess.await.unwrap()).or_insert(0) += 1;
    }
    let grown = memory_kib().saturating_sub(before) / 1024;
    println!("300 guesses at once: {seen:?} in {:?}, {grown} MiB more", start.elapsed());
    // One more for each second that the flood takes.
    let looked_at = seen.get(&401).copied().unwrap_or(0);
    assert!((3..=6).contains(&looked_at), "{seen:?}");
    assert!(!seen.contains_key(&303) && seen.contains_key(&429), "{seen:?}");
    // Another person is not kept waiting by it.
    server
        .app
        .inventory
        .database
        .add_user("bob", "warm aisle 43", rackstrap::model::Role::Admin)
        .await
        .unwrap();
    let start = Instant::now();
    assert_eq!(server.stranger().log_in("bob", "warm aisle 43").await.status(), 303);
    println!("another login meanwhile: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_change_of_the_password_is_throttled_and_ends_other_sessions() {
    let server = Server::start().await;
    let (one, other) = (server.operator().await, server.operator().await);
    let new = "lukewarm aisle 1";
    let send = async |old: &str| {
        let mut form = fields(&one.page("/access").await);
        form.retain(|(name, _)| name == "csrf");
        for (name, value) in [("old", old), ("new", new), ("again", new)] {
            form.push((name.to_owned(), value.to_owned()));
        }
        one.post("/access/password", encode(&form)).await
    };
    let too_soon = "too many wrong passwords: try again in";
    // The sixth guess makes the next one wait for eight seconds, on however slow a machine.
    let mut looked_at = 0;
    while looked_at < 6 {
        let text = send("wrong").await.text().await.unwrap();
        if text.contains(too_soon) {
            assert!(looked_at >= 3, "the first three are free: {text}");
            tokio::time::sleep(Duration::from_millis(300)).await;
            continue;
        }
        assert!(text.contains("the current password is wrong"), "{looked_at}: {text}");
        looked_at += 1;
    }
    let text = send(PASSWORD).await.text().await.unwrap();
    assert!(text.contains(too_soon), "{text}");
    tokio::time::sleep(Duration::from_millis(9100)).await;
    assert_eq!(send(PASSWORD).await.status(), 303);
    assert_eq!(one.get("/hosts").await.status(), 200, "this session goes on");
    assert_eq!(other.get("/hosts").await.status(), 303, "the other has ended");
    assert_eq!(server.stranger().log_in("ada", PASSWORD).await.status(), 401);
}
