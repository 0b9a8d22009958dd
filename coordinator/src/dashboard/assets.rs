//! The style sheet, the script and the icon: in the binary, named by their content so that browsers keep them.

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::service::extract::{Asked, Named};
use crate::service::problem::{Kind, Problem, cut};

/// Characters of the digest in an address: enough to tell versions apart.
const DIGEST: usize = 12;

struct Asset {
    name: &'static str,
    media_type: &'static str,
    text: String,
    digest: String,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let asset = |name, media_type, text: String| {
        let digest = blake3::hash(text.as_bytes()).to_hex()[..DIGEST].to_owned();
        Asset { name, media_type, text, digest }
    };
    let css = [
        include_str!("assets/dash.css"),
        include_str!("assets/pages.css"),
        sweep_report::plot::STYLE,
    ]
    .concat();
    [
        asset("dash.css", "text/css; charset=utf-8", css),
        asset(
            "dash.js",
            "text/javascript; charset=utf-8",
            include_str!("assets/dash.js").to_owned(),
        ),
        asset("icon.svg", "image/svg+xml", include_str!("assets/icon.svg").to_owned()),
    ]
});

/// The address of an asset of this name.
pub(crate) fn address(name: &str) -> String {
    let digest = ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| &asset.digest);
    format!("/assets/{name}?v={digest}")
}

/// Which version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Version {
    v: Option<String>,
}

/// An asset.
pub(crate) async fn get(
    Named(name): Named<String>,
    Asked(asked): Asked<Version>,
) -> Result<Response, Problem> {
    let unknown = || Problem::new(Kind::Route, format!("no asset `{}`", cut(&name)));
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(unknown)?;
    let mut response = asset.text.as_str().into_response();
    let keep = if asked.v.as_deref() == Some(&asset.digest) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    Ok(response)
}
