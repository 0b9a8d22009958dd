//! The dashboard over real HTTP: who sees what, what changes something, and that texts stay texts.

use std::io::Write;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};

use crate::world::{FILE, World};

const READER: &str = "reader-tok-4f1d0a2b";
const STEERER: &str = "submit-tok-77aa01c9";

fn token_file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "read {READER}\nsubmit {STEERER}").unwrap();
    file
}

/// A browser that goes nowhere by itself.
struct Browser<'a> {
    world: &'a World,
    client: Client,
    cookie: Option<String>,
}

impl<'a> Browser<'a> {
    fn new(world: &'a World) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { world, client, cookie: None }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request =
            self.client.request(method, self.world.url(path)).header("accept", "text/html");
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    /// As a form of a page of ours.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let form = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace('/', "%2F")))
            .collect::<Vec<_>>()
            .join("&");
        self.request(Method::POST, path)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .unwrap()
    }

    async fn log_in(&mut self, token: &str) {
        let answer = self.post("/login", &[("token", token), ("next", "/")]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    }

    /// The secret in the forms of a page.
    async fn secret(&self, path: &str) -> String {
        let page = self.text(path).await;
        let rest = page.split("name=\"csrf\" value=\"").nth(1).expect("a form with a secret");
        rest.split('"').next().unwrap().to_owned()
    }
}

fn place(answer: &Response) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()["location"].to_str().unwrap()
}

async fn submitted(world: &World, token: Option<&str>) -> String {
    let mut request = world.request(Method::POST, "/api/v1/sweeps");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let (status, receipt) = crate::world::answer(
        request.header("content-type", "application/yaml").body(FILE.to_owned()),
    )
    .await;
    assert_eq!(status, StatusCode::CREATED, "{receipt}");
    receipt["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_taken_once_and_its_role_decides() {
    let file = token_file();
    let world = World::in_memory(&["--tokens", &file.path().display().to_string()]).await;
    let id = submitted(&world, Some(STEERER)).await;
    let page = format!("/sweeps/{id}");
    let mut browser = Browser::new(&world);

    let next = format!("/login?next=%2Fsweeps%2F{id}%3Fpage%3D2");
    assert_eq!(place(&browser.get(&format!("{page}?page=2")).await), next);
    let wrong = browser.post("/login", &[("token", "wrong-tok-00000000")]).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert!(!wrong.headers().contains_key("set-cookie"));
    assert!(wrong.text().await.unwrap().contains("not known here"));

    let answer = browser.post("/login", &[("token", READER), ("next", &page)]).await;
    assert_eq!(place(&answer), page);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains(READER));
    let elsewhere = browser.post("/login", &[("token", READER), ("next", "//evil.example")]).await;
    assert_eq!(place(&elsewhere), "/");

    browser.log_in(READER).await;
    let list = browser.text("/").await;
    assert!(list.contains(&format!("href=\"{page}\"")) && list.contains("role read"));
    assert!(!list.contains("/pause\""), "a reader sees buttons");
    let secret = browser.secret("/").await;
    let refused = browser.post(&format!("{page}/pause"), &[("csrf", &secret)]).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(refused.headers()["content-type"].to_str().unwrap().starts_with("text/html"));

    browser.log_in(STEERER).await;
    let secret = browser.secret("/").await;
    let answer = browser.post(&format!("{page}/pause"), &[("csrf", &secret), ("back", "/")]).await;
    assert_eq!(place(&answer), "/");
    assert!(browser.text("/").await.contains("/resume\""));

    // What the API reads may be read with the cookie, what it changes may not be changed with it.
    let answer = browser.get("/api/v1/sweeps").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer = browser.post(&format!("/api/v1/sweeps/{id}/resume"), &[]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);

    let answer = browser.post("/logout", &[("csrf", &secret)]).await;
    assert!(answer.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_counts_only_from_a_page_of_its_session() {
    let file = token_file();
    let world = World::in_memory(&["--tokens", &file.path().display().to_string()]).await;
    let id = submitted(&world, Some(STEERER)).await;
    let mut browser = Browser::new(&world);
    browser.log_in(STEERER).await;
    let secret = browser.secret("/").await;
    let pause = format!("/sweeps/{id}/pause");
    for fields in [vec![], vec![("csrf", "")], vec![("csrf", "0000")]] {
        let answer = browser.post(&pause, &fields).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{fields:?}");
    }
    // The right secret, but from nowhere or from another site.
    for (name, value) in
        [("x-nothing", ""), ("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")]
    {
        let answer = browser
            .request(Method::POST, &pause)
            .header(name, value)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("csrf={secret}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let status = browser.get(&format!("/api/v1/sweeps/{id}")).await.text().await.unwrap();
    assert!(status.contains("\"state\":\"active\""));
    // A login from another site would put a stranger's session into this browser.
    let answer = browser
        .request(Method::POST, "/login")
        .header("sec-fetch-site", "cross-site")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={READER}"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_forbids_what_it_does_not_need() {
    let world = World::in_memory(&[]).await;
    let id = submitted(&world, None).await;
    let browser = Browser::new(&world);
    for path in [
        "/".to_owned(),
        format!("/sweeps/{id}"),
        "/sweeps/nothing".to_owned(),
        "/nothing".to_owned(),
    ] {
        let answer = browser.get(&path).await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{path}: {policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
        assert!(
            answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"),
            "{path}"
        );
        let page = answer.text().await.unwrap();
        for forbidden in ["style=", "<style", "onclick", "http://", "https://", "<script>"] {
            assert!(!page.contains(forbidden), "{path} has {forbidden}");
        }
        for needed in ["<html lang=\"en\">", "<main", "class=\"skip\"", "<h1>"] {
            assert!(page.contains(needed), "{path} lacks {needed}");
        }
        for asset in page.split("/assets/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let answer = browser.get(&format!("/assets/{asset}")).await;
            assert_eq!(answer.status(), StatusCode::OK, "{asset}");
            assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        }
    }
    assert_eq!(browser.get("/assets/other.js").await.status(), StatusCode::NOT_FOUND);
    world.end().await;
}
