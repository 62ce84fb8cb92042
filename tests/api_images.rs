//! Files of images by the API: uploaded, listed, refused.

use serde_json::Value;

use crate::api_server::ApiServer;
use crate::image_store::{INITRD, bz_image, sha256};

async fn upload(server: &ApiServer, path: &str, bytes: &[u8]) -> (u16, Value) {
    let answer = server.request("POST", path).body(bytes.to_vec()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn an_image_is_uploaded_file_by_file() {
    let server = ApiServer::start().await;
    let kernel = bz_image("6.1.0-50-amd64");
    let digest = sha256(&kernel);
    let path = format!("/images/debian/files/kernel?filename=vmlinuz&sha256={digest}");
    let (status, done) = upload(&server, &path, &kernel).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(done["file"]["sha256"], digest);
    assert_eq!(done["file"]["kernel-version"], "6.1.0-50-amd64");
    assert!(done["change"]["revision"].as_i64().unwrap() > 1);
    let other = [INITRD, b" two"].concat();
    for (path, bytes) in [
        ("/images/debian/files/initrd?filename=a.img", INITRD),
        ("/images/debian/files/initrd?filename=b.img&add", &other),
    ] {
        let (status, done) = upload(&server, path, bytes).await;
        assert_eq!(status, 200, "{done}");
    }
    let list = server.request("GET", "/images/debian/files").send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let keys: Vec<_> = list["files"].as_array().unwrap().iter().map(|file| &file["key"]).collect();
    assert_eq!(keys, ["kernel", "initrd", "initrd"]);
    assert_eq!(list["files"][2]["record"]["size-bytes"], other.len());

    assert_eq!((&list["items"], &list["total"]), (&list["files"], &Value::from(3)));
    let mut path = "/images/debian/files?limit=2".to_owned();
    let mut keys = Vec::new();
    loop {
        let page = server.request("GET", &path).send().await.unwrap();
        let has_link = page.headers().contains_key("link");
        let page: Value = page.json().await.unwrap();
        keys.extend(page["items"].as_array().unwrap().iter().map(|file| file["key"].clone()));
        assert_eq!(has_link, page["next"].is_string(), "{page}");
        let Some(next) = page["next"].as_str() else { break };
        path = next.strip_prefix("/api/v1").unwrap().to_owned();
    }
    assert_eq!(keys, ["kernel", "initrd", "initrd"]);

    let wrong = "0".repeat(64);
    let wrong = format!("/images/debian/files/kernel?sha256={wrong}");
    let cases: [(&str, &[u8], u16, &str); 7] = [
        (&wrong, &kernel, 422, "was changed or damaged"),
        ("/images/debian/files/kernel", b"<html>", 422, "found a web page"),
        ("/images/debian/files/kernels", &kernel, 400, "expected kernel, initrd"),
        ("/images/debian/files/kernel?add", &kernel, 409, "only initrds are added"),
        ("/images/debian/files/kernel?sha256=1", &kernel, 400, "64 hexadecimal digits"),
        ("/images/a%20b/files/kernel", &kernel, 400, "image name"),
        // An initrd alone boots nothing.
        ("/images/new/files/initrd", b"0707010000000", 422, "N183"),
    ];
    for (path, bytes, expected, text) in cases {
        let (status, problem) = upload(&server, path, bytes).await;
        assert!(status == expected && problem.to_string().contains(text), "{path}: {problem}");
    }
    let huge = server.request("POST", "/images/debian/files/kernel");
    let stream = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let body = reqwest::Body::wrap_stream(stream);
    let huge = huge.header("content-length", 1_u64 << 60).body(body).send().await.unwrap();
    assert_eq!(huge.status(), 507);
    let stream =
        futures_util::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"x"))]);
    let unknown = server.request("POST", "/images/debian/files/kernel");
    let unknown = unknown.body(reqwest::Body::wrap_stream(stream)).send().await.unwrap();
    assert_eq!(unknown.status(), 411);
}
