//! What all pages share: head, navigation, landmarks, policy, and the page for what goes wrong.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::session::Viewer;
use crate::service::problem::{Kind, Problem};

/// No inline script or style, nothing from elsewhere: what a text of a user holds stays a text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page as it is sent.
pub(crate) struct Page(Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = self.0.into_string().into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        // Without a referrer a browser says `Origin: null` with a form, and a form of ours would look like one of another site.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        response
    }
}

/// Where a page stands in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Here {
    /// The list of sweeps and one of them.
    Sweeps,
    /// Who trains.
    Workers,
    /// Configurations of several sweeps side by side.
    Compare,
    /// Nowhere.
    Elsewhere,
}

/// What a page says about itself.
pub(crate) struct Frame<'a> {
    /// Before ` · sweep`.
    pub(crate) title: &'a str,
    /// `None` where nobody is known: then there is no navigation.
    pub(crate) viewer: Option<&'a Viewer>,
    pub(crate) here: Here,
    /// Address of a stream of patches ([`super::live`]), if the page has one.
    pub(crate) live: Option<String>,
    /// Seconds after which the script reads the page again and puts its `data-part` elements in place; for pages without a stream.
    pub(crate) refresh: Option<u32>,
}

impl<'a> Frame<'a> {
    /// A page that stays as it is.
    pub(crate) fn still(title: &'a str, viewer: &'a Viewer, here: Here) -> Self {
        Self { title, viewer: Some(viewer), here, live: None, refresh: None }
    }

    /// The page around `body`.
    pub(crate) fn page(self, body: Markup) -> Page {
        let link = |here: Here, address: &str, words: &str| {
            let current = (here == self.here).then_some("page");
            html! { li { a href=(address) aria-current=[current] { (words) } } }
        };
        Page(html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · sweep" }
                    link rel="icon" href=(assets::address("icon.svg"));
                    link rel="stylesheet" href=(assets::address("dash.css"));
                    script src=(assets::address("dash.js")) defer {}
                }
                body data-live=[self.live] data-refresh=[self.refresh] {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        a.home href="/" { "sweep" }
                        @if let Some(viewer) = self.viewer {
                            nav aria-label="Pages" {
                                ul {
                                    (link(Here::Sweeps, "/", "Sweeps"))
                                    (link(Here::Workers, "/workers", "Workers"))
                                    (link(Here::Compare, "/compare", "Compare"))
                                }
                            }
                            @if viewer.has_session() {
                                form.session method="post" action="/logout" {
                                    (viewer.field())
                                    span.quiet { "role " (viewer.role) }
                                    button.plain type="submit" { "Log out" }
                                }
                            }
                        }
                    }
                    p.banner id="banner" role="status" hidden { "The coordinator cannot be reached: reconnecting…" }
                    main id="main" tabindex="-1" { (body) }
                }
            }
        })
    }
}

/// A table that is wider than a phone scrolls by itself, also from the keyboard.
pub(crate) fn scroll(name: &str, inner: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(name) { (inner) } }
}

/// A problem as a page.
pub(crate) fn problem(problem: &Problem) -> Page {
    let frame = Frame {
        title: problem.kind.title(),
        viewer: None,
        here: Here::Elsewhere,
        live: None,
        refresh: None,
    };
    frame.page(html! {
        h1 { (sweep_title(problem.kind.title())) }
        p.lead { (problem.detail()) }
        p {
            a href="/" { "All sweeps" }
            @if matches!(problem.kind, Kind::Role | Kind::Token) { " · " a href="/login" { "Log in with another token" } }
        }
    })
}

/// With a capital.
fn sweep_title(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
