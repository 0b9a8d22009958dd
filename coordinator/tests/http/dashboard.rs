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

/// What a stream of patches sent until a frame fits: ids and data of the frames.
async fn frames(
    browser: &Browser<'_>,
    path: &str,
    last: Option<&str>,
    until: impl Fn(&str) -> bool,
) -> Vec<(String, serde_json::Value)> {
    use eventsource_stream::Eventsource;
    use futures_util::StreamExt;
    let mut request = browser.request(Method::GET, path);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut stream = answer.bytes_stream().eventsource();
    let mut found = Vec::new();
    let reading = async {
        while let Some(event) = stream.next().await {
            let event = event.unwrap();
            assert_eq!(event.event, "patch");
            found.push((event.id, serde_json::from_str(&event.data).unwrap()));
            if until(&event.data) {
                return;
            }
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, reading).await.expect("no such frame comes");
    found
}

/// The text of an element of a page, up to the next element with an id of the same kind.
fn element<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    let from = start + page[start..].find('>').unwrap() + 1;
    let to = page[from..].find("</tr>").map_or(page.len(), |end| from + end);
    &page[from..to]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_patched_until_it_equals_one_read_afresh() {
    crate::world::on_both(async |world| {
        let id = submitted(world, None).await;
        let browser = Browser::new(world);
        let path = format!("/sweeps/{id}");
        let before = browser.text(&path).await;
        assert!(before.contains("Interim: 0 of 6 seeds") && before.contains("0 of 6 runs ended"));
        assert!(before.contains(&format!("data-live=\"{path}/live\"")));
        let live = format!("{path}/live");
        let (heard, ()) = tokio::join!(
            frames(&browser, &live, None, |data| data.contains("\"differences\"")
                && data.contains("6 of 6 runs ended")
                || data.contains("not distinguishable")
                || data.contains("Verdict")),
            world.train()
        );
        // What the patches add up to, element by element.
        let mut shown = std::collections::BTreeMap::new();
        for (_, parts) in &heard {
            for (name, markup) in parts.as_object().unwrap() {
                if let Some(markup) = markup.as_str() {
                    shown.insert(name.clone(), markup.to_owned());
                }
            }
        }
        let last = heard.last().unwrap().0.clone();
        // Another coordinator reads the same store from the beginning.
        let other = World::beside(world.store.clone(), world.blobs.clone(), &[]).await;
        let afresh = Browser::new(&other).text(&path).await;
        for name in ["c0", "c1"] {
            assert_eq!(shown[name], element(&afresh, name), "{name}");
        }
        for part in ["board", "summary", "failures"] {
            assert!(afresh.contains(&shown[part]), "{part}: {}", shown[part]);
        }
        assert!(shown["board"].contains("Verdict") && !shown["board"].contains("Interim"));

        // Who comes back hears nothing twice; who comes from another board hears everything.
        let everything = frames(&browser, &live, None, |_| true).await;
        let again = frames(&browser, &live, Some("elsewhere.3"), |_| true).await;
        assert_eq!(everything, again);
        assert!(everything[0].1.get("board").is_some());
        let (instance, version) = last.rsplit_once('.').unwrap();
        let version: u64 = version.parse().unwrap();
        let since =
            frames(&browser, &live, Some(&format!("{instance}.{}", version - 1)), |_| true).await;
        assert!(since[0].1.as_object().unwrap().len() < everything[0].1.as_object().unwrap().len());
        other.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_users_stay_texts() {
    const EVIL: &str = "<script>alert(1)</script>";
    let world = World::in_memory(&[]).await;
    let file = format!("description: '{EVIL}'\n{FILE}");
    let (status, receipt) = world.submit(&file).await;
    assert_eq!(status, StatusCode::CREATED, "{receipt}");
    let id: sweep_core::ids::SweepId = receipt["id"].as_str().unwrap().parse().unwrap();
    // A failure whose message is markup.
    use sweep_store::{Now, Outcome, Policy, RequestId, Store, Wish};
    let wish = Wish {
        holder: sweep_core::lifecycle::Holder { worker: "w".to_owned(), slot: 0 },
        request: RequestId(1),
        device: sweep_core::result::DeviceKind::Fake,
        only: None,
        holds: Vec::new(),
    };
    let policy = Policy::default();
    let sweep_store::Leased::Lease(lease) =
        world.store.lease(Now::Server, &wish, &policy).await.unwrap()
    else {
        panic!("nothing to lease")
    };
    let outcome = Outcome::Failed { error: format!("{EVIL} \" onload=x") };
    world.store.finish(Now::Server, &lease.run, lease.fence, &outcome, "", &policy).await.unwrap();
    let browser = Browser::new(&world);
    let page =
        browser.text(&format!("/sweeps/{id}?q={}", "%3Cscript%3Ealert(1)%3C/script%3E")).await;
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() >= 4, "{page}");
    let list = browser.text("/?q=%22%3E%3Cscript%3Ealert(1)").await;
    assert!(!list.contains("<script>alert"));
    let wrong = browser.get("/?state=%3Cscript%3Ealert(1)&other=1").await.text().await.unwrap();
    assert!(!wrong.contains("<script>alert"));
    let live = format!("/sweeps/{id}/live");
    let heard = frames(&browser, &live, None, |data| data.contains("onload")).await;
    let failures = heard.last().unwrap().1["failures"].as_str().unwrap().to_owned();
    assert!(failures.contains("&lt;script&gt;") && !failures.contains("<script>"), "{failures}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_shows_what_was_chosen_and_figures_come_as_files() {
    let world = World::in_memory(&[]).await;
    let file = FILE.replace(
        "losses: [softmax, cosine]",
        "losses: [softmax, { am_softmax: { margin: [0.1, 0.2], scale: [10, 30] } }]",
    );
    let (_, receipt) = world.submit(&file).await;
    let id = receipt["id"].as_str().unwrap().to_owned();
    world.train().await;
    let browser = Browser::new(&world);
    let page = browser
        .text(&format!(
            "/sweeps/{id}?x=margin&y=scale&metric=sd&curve=1&curves=objective&order=mean&q=am_"
        ))
        .await;
    assert!(page.contains("am_softmax by scale and margin"), "axes are as chosen");
    assert!(page.contains("id=\"heat\" data-own") && page.contains("id=\"configs\" data-own"));
    assert!(page.contains("Objective by epoch"));
    assert!(!element(&page, "configs").contains("softmax</th>"));
    for kind in ["intervals", "differences", "heat", "parallel"] {
        let answer = browser.get(&format!("/sweeps/{id}/figure?kind={kind}&data=0")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{kind}");
        assert_eq!(answer.headers()["content-type"], "image/svg+xml");
        assert!(answer.text().await.unwrap().starts_with("<svg xmlns="));
    }
    assert_eq!(
        browser.get(&format!("/sweeps/{id}/figure?kind=other")).await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        browser.get(&format!("/sweeps/{id}?luck=1")).await.status(),
        StatusCode::BAD_REQUEST
    );
    // Verdicts were shown to a person: that is a look, however many looked.
    let status = world.json(&format!("/api/v1/sweeps/{id}")).await;
    assert_eq!(status["reports"], 1);
    // The list names what has the highest mean.
    let has_best = async {
        while !browser.text("/").await.contains("(n=3)") {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, has_best).await.expect("the list shows no best");
    world.end().await;
}
