//! Who looks at a page: by a token shown once and kept in a cookie that no script and no other site can use.
//!
//! Nothing is kept here: the cookie holds the token itself, so that any coordinator of a store knows it, and a token that is taken
//! away is gone at once. A form carries a secret derived from the token, so that only a page made for this session can change
//! something. The check itself stands in `service::gate`.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use maud::{Markup, html};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::frame::{Frame, Here, Page};
use crate::service::app::App;
use crate::service::extract::{self, Asked};
use crate::service::gate;
use crate::service::problem::{Kind, Problem};
use crate::service::tokens::Role;

/// Name of the cookie.
const COOKIE: &str = "sweep_session";
/// A session ends with the browser, and at the latest after so many seconds: a week.
const AGE: u32 = 7 * 24 * 3600;
/// What the secret of forms is derived for; another text, another secret.
const FORMS: &str = "sweep dashboard 2026-11 forms of a session";
/// Bytes of a form at most.
const FORM_MAX: u64 = 16 * 1024;
/// The field that carries the secret.
const FIELD: &str = "csrf";

/// Who asks, as the gate found.
#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    /// What this viewer may do.
    pub(crate) role: Role,
    /// The secret of this session's forms; `None` where no cookie was used.
    secret: Option<String>,
}

impl Viewer {
    /// Somebody on this machine, or a client that shows its token with each request.
    pub(crate) fn without_session(role: Role) -> Self {
        Self { role, secret: None }
    }

    /// Somebody with a cookie that holds `token`.
    pub(crate) fn with_session(role: Role, token: &SecretString) -> Self {
        let key = blake3::derive_key(FORMS, token.expose_secret().as_bytes());
        Self { role, secret: Some(blake3::Hash::from_bytes(key).to_hex().to_string()) }
    }

    /// Whether there is something to log out of.
    pub(crate) fn has_session(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether this viewer may steer sweeps.
    pub(crate) fn may_steer(&self) -> bool {
        self.role >= Role::Submit
    }

    /// Whether this viewer may steer workers.
    #[allow(dead_code, reason = "asked by the page of workers")]
    pub(crate) fn may_administer(&self) -> bool {
        self.role >= Role::Admin
    }

    /// The hidden field that every form of a page must hold.
    pub(crate) fn field(&self) -> Markup {
        html! { @if let Some(secret) = &self.secret { input type="hidden" name=(FIELD) value=(secret); } }
    }

    fn knows(&self, form: &Form) -> bool {
        let Some(secret) = &self.secret else { return true };
        form.get(FIELD).is_some_and(|given| given.as_bytes().ct_eq(secret.as_bytes()).into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Problem::internal("a page stands behind no gate"))
    }
}

/// The token of a request's cookie.
pub(crate) fn token(headers: &HeaderMap) -> Option<SecretString> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    let bytes = BASE64URL_NOPAD.decode(value.as_bytes()).ok()?;
    String::from_utf8(bytes).ok().map(SecretString::from)
}

/// Names and values of a form.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// The value of the first field of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    async fn read(request: Request) -> Result<Self, Problem> {
        let (parts, body): (Parts, Body) = request.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.is_empty() && !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            return Err(Problem::new(Kind::MediaType, "the body must be a form"));
        }
        let bytes = extract::whole(&parts.headers, body, FORM_MAX).await?;
        Ok(Self(url::form_urlencoded::parse(&bytes).into_owned().collect()))
    }
}

/// A form that a page of this session sent.
pub(crate) struct Posted {
    pub(crate) form: Form,
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let viewer = Viewer::from_request_parts(&mut parts, state).await?;
        let form = Form::read(Request::from_parts(parts, body)).await?;
        if viewer.knows(&form) {
            return Ok(Self { form });
        }
        Err(Problem::new(
            Kind::Origin,
            "the form is not of this session: go back, reload the page and try again",
        ))
    }
}

/// An address of ours to go on to: a path of a page, never another site.
pub(crate) fn own_path(asked: Option<&str>) -> &str {
    let own = |path: &&str| {
        let second = path.as_bytes().get(1);
        path.starts_with('/')
            && !matches!(second, Some(b'/' | b'\\'))
            && path.bytes().all(|byte| byte.is_ascii_graphic())
            && !path.starts_with("/api/")
    };
    asked.filter(own).unwrap_or("/")
}

/// Go on there by GET.
pub(crate) fn see_other(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let place = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, place);
    response
}

/// The address of the login that leads on to `path`.
pub(crate) fn login_for(path: &str) -> String {
    let next = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", own_path(Some(path)))
        .finish();
    format!("/login?{next}")
}

/// Where to go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginQuery {
    next: Option<String>,
}

/// The page that asks for a token.
pub(crate) async fn login_page(
    State(app): State<App>,
    Asked(asked): Asked<LoginQuery>,
) -> Response {
    let next = own_path(asked.next.as_deref());
    // Without tokens there is nothing to ask for.
    if app.tokens.is_empty() { see_other(next) } else { ask(next, None).into_response() }
}

fn ask(next: &str, wrong: Option<&str>) -> Page {
    let frame =
        Frame { title: "Log in", viewer: None, here: Here::Elsewhere, live: None, refresh: None };
    frame.page(html! {
        h1 { "Log in" }
        form.login method="post" action="/login" {
            @if let Some(wrong) = wrong { p.wrong role="alert" id="wrong" { (wrong) } }
            input type="hidden" name="next" value=(next);
            p {
                label for="token" { "Token of this coordinator" }
                input id="token" name="token" type="password" autocomplete="current-password" required autofocus
                    aria-describedby=[wrong.map(|_| "wrong")];
            }
            button type="submit" { "Log in" }
            p.quiet { "The token stays in a cookie of this browser that scripts cannot read, until you log out, at most a week. Its role — read, submit or admin — decides what you may do." }
        }
    })
}

/// Takes a token.
pub(crate) async fn login(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    if gate::is_foreign(request.headers()) {
        return Err(Problem::new(
            Kind::Origin,
            "a page of another site may not log anybody in here",
        ));
    }
    let secure = request.headers().get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let form = Form::read(request).await?;
    let next = own_path(form.get("next")).to_owned();
    if app.tokens.is_empty() {
        return Ok(see_other(&next));
    }
    let token = SecretString::from(form.get("token").unwrap_or_default().trim());
    if app.tokens.role(&token).is_none() {
        let mut response = ask(&next, Some("This token is not known here.")).into_response();
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response.extensions_mut().insert(Said);
        return Ok(response);
    }
    let value = BASE64URL_NOPAD.encode(token.expose_secret().as_bytes());
    Ok(with_cookie(see_other(&next), &value, AGE, secure))
}

/// Forgets the token.
pub(crate) async fn logout(headers: HeaderMap, _: Posted) -> Response {
    let secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    with_cookie(see_other("/login"), "", 0, secure)
}

/// An answer whose status is an error's and whose body says so already.
#[derive(Clone, Copy)]
pub(crate) struct Said;

fn with_cookie(mut response: Response, value: &str, age: u32, secure: bool) -> Response {
    let secure = if secure { "; Secure" } else { "" };
    let cookie =
        format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}");
    if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_pages_are_gone_on_to() {
        for own in ["/", "/sweeps/abc?page=2", "/workers"] {
            assert_eq!(own_path(Some(own)), own);
        }
        for other in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/api/v1/sweeps",
            "/a\r\nb",
            "/ä",
            "sweeps",
        ] {
            assert_eq!(own_path(Some(other)), "/", "{other}");
        }
        assert_eq!(own_path(None), "/");
        assert_eq!(
            login_for("/sweeps/a?page=2&q=x"),
            "/login?next=%2Fsweeps%2Fa%3Fpage%3D2%26q%3Dx"
        );
    }

    #[test]
    fn the_secret_of_a_form_belongs_to_one_token_and_is_not_the_token() {
        let viewer = |token: &str| Viewer::with_session(Role::Read, &SecretString::from(token));
        let one = viewer("first-0123456789").secret.unwrap();
        assert_eq!(viewer("first-0123456789").secret.unwrap(), one);
        assert_ne!(viewer("second-0123456789").secret.unwrap(), one);
        assert!(!one.contains("first"));
        let form = |value: &str| Form(vec![(FIELD.to_owned(), value.to_owned())]);
        assert!(viewer("first-0123456789").knows(&form(&one)));
        assert!(!viewer("second-0123456789").knows(&form(&one)));
        assert!(!viewer("second-0123456789").knows(&Form(Vec::new())));
        assert!(Viewer::without_session(Role::Admin).knows(&Form(Vec::new())));
    }

    #[test]
    fn a_cookie_gives_its_token_back_and_a_damaged_one_nothing() {
        let mut headers = HeaderMap::new();
        assert!(token(&headers).is_none());
        let value = BASE64URL_NOPAD.encode(b"t;o=k,e\"n-0123456789");
        headers.insert(header::COOKIE, format!("a=b; {COOKIE}={value}; c=d").parse().unwrap());
        assert_eq!(token(&headers).unwrap().expose_secret(), "t;o=k,e\"n-0123456789");
        headers.insert(header::COOKIE, HeaderValue::from_static("sweep_session=!"));
        assert!(token(&headers).is_none());
    }
}
