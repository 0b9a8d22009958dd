//! `/sweeps/{sweep}`: one sweep.

use axum::extract::State;
use maud::html;

use super::frame::{Frame, Here, Page};
use super::session::Viewer;
use super::words::Standing;
use crate::find::find;
use crate::service::app::App;
use crate::service::extract::Named;
use crate::service::problem::Problem;

/// The page.
pub(crate) async fn get(
    State(app): State<App>,
    viewer: Viewer,
    Named(sweep): Named<String>,
) -> Result<Page, Problem> {
    let found = find(&app.store, Some(&sweep)).await?;
    Ok(Frame::still(&found.name, &viewer, Here::Sweeps).page(html! {
        h1 { (found.name) }
        p { (Standing::of(&found).badge()) }
    }))
}
