//! Reports, made anew from results each time.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sweep_report::{csv, html, latex, markdown};

use super::app::App;
use super::extract::{Asked, Named};
use super::problem::Problem;
use super::schema;
use crate::find::find;
use crate::view::{View, ViewError};

/// Which form of a report.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    #[default]
    Json,
    Html,
    Markdown,
    Latex,
    RunsCsv,
    EpochsCsv,
    SummariesCsv,
    ComparisonsCsv,
}

impl Format {
    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Html => "text/html; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Latex => "application/x-tex; charset=utf-8",
            Self::RunsCsv | Self::EpochsCsv | Self::SummariesCsv | Self::ComparisonsCsv => {
                "text/csv; charset=utf-8"
            }
        }
    }

    fn write(self, view: &View) -> String {
        let report = view.report();
        match self {
            Self::Json => report.json(),
            Self::Html => html::page(&report),
            Self::Markdown => markdown::page(&report),
            Self::Latex => latex::tables(&report),
            Self::RunsCsv => csv::runs(&report),
            Self::EpochsCsv => csv::epochs(&view.input()),
            Self::SummariesCsv => csv::summaries(&report),
            Self::ComparisonsCsv => csv::comparisons(&report),
        }
    }
}

/// In which form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportQuery {
    #[serde(default)]
    format: Format,
}

/// Summaries, comparisons and verdicts; showing it to a person counts as a look (`POST …/reported`)
#[utoipa::path(get, path = "/api/v1/sweeps/{sweep}/report", tag = "sweeps",
    params(("sweep" = String, Path, description = "An id, a unique prefix of one, or a name (the newest of it)"),
           ("format" = Option<schema::Format>, Query, description = "json by default; its shape is docs/report.schema.json")),
    responses((status = 200, description = "The report", content(
        (schema::Report = "application/json"), (String = "text/html"), (String = "text/markdown"),
        (String = "application/x-tex"), (String = "text/csv")))))]
pub(crate) async fn report(
    State(app): State<App>,
    Named(sweep): Named<String>,
    Asked(asked): Asked<ReportQuery>,
) -> Result<Response, Problem> {
    let found = find(&app.store, Some(&sweep)).await?;
    let (store, format) = (app.store.clone(), asked.format);
    let runtime = tokio::runtime::Handle::current();
    let made = app.heavy(move || {
        let view = runtime.block_on(View::read(&store, &found.id))?;
        Ok::<_, ViewError>(format.write(&view))
    });
    let mut response = made.await??.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    if let Format::Html = format {
        // It holds its own styles and no scripts; texts of users are escaped in it, and this stands behind that.
        let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    Ok(response)
}
