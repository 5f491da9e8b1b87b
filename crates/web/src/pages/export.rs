//! `/export`: what a filter finds, all of it, as a file that comes while it is made.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use exports::{ExportError, Format, Means, export};
use futures_util::stream;
use maud::{Markup, html};
use query::Condition;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::filter::View;
use crate::moment;
use crate::pages::login::form_field;
use crate::site::Visit;

/// Exports made at the same time; each reads the disk as fast as its reader takes it.
pub const EXPORTS_AT_ONCE: usize = 2;
/// Bytes of one part on its way to the reader.
const PART_BYTES: usize = 64 * 1024;
/// Parts that wait for the reader; then the export waits.
const PARTS_WAITING: usize = 4;

/// `GET /export`: `q` is the filter, `format` the ending of the file.
pub async fn file(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let (view, problems) = View::parse(&query);
    let condition = match problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => visit.bind(&view.query),
    };
    let condition = match condition {
        Ok(condition) => condition,
        Err(problem) => {
            return visit.trouble(
                StatusCode::BAD_REQUEST,
                "This filter is not understood",
                &problem.to_string(),
            );
        }
    };
    let ending = form_field(query.as_bytes(), "format").unwrap_or_else(|| "csv".to_owned());
    let Some((format, ending, kind)) = Format::ALL.into_iter().find(|(_, known, _)| *known == ending) else {
        let what_to_do = "Choose one of csv, jsonl, copies.jsonl, parquet, geojson and pcapng.";
        return visit.trouble(StatusCode::BAD_REQUEST, "There is no such format", what_to_do);
    };
    send(&visit, condition, format, &format!("backhaul-{}.{ending}", moment::date(visit.now_ms)), kind)
}

/// Everything that fulfils a condition, as a file that comes while it is made. What the visitor may see is for the caller.
pub fn send(visit: &Visit, condition: Condition, format: Format, name: &str, kind: &'static str) -> Response {
    let Ok(turn) = visit.site.exports.clone().try_acquire_owned() else {
        let what_to_do = "Others are being made. Try again when they are done.";
        return visit.trouble(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many exports at the same time",
            what_to_do,
        );
    };
    let (parts, coming) = mpsc::channel(PARTS_WAITING);
    let reader = visit.site.archive.reader();
    let means = Means { keyring: (*visit.site.keyring).clone(), preset: visit.site.info.preset };
    spawn_blocking(move || {
        let _turn = turn;
        let out = BufWriter::with_capacity(PART_BYTES, ToReader(parts.clone()));
        let failed = export(&reader, &condition, format, &means, out, |_| {}).err();
        // A reader that has gone does not hear it.
        if let Some(ExportError::Read(error)) = failed {
            tracing::error!(%error, "an export stopped");
            let _ = parts.blocking_send(Err(io::Error::other("the history cannot be read")));
        }
    });
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    let body = stream::unfold(coming, |mut coming| async { coming.recv().await.map(|part| (part, coming)) });
    (headers, Body::from_stream(body)).into_response()
}

/// Hands parts to whoever reads the answer, and waits when they are slow.
struct ToReader(mpsc::Sender<io::Result<Bytes>>);

impl Write for ToReader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(part)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Links to the same receptions as files.
pub fn links(view: &View) -> Markup {
    let address = |ending: &str| {
        let address = view.first_page().address("/export");
        let joint = if address.contains('?') { '&' } else { '?' };
        format!("{address}{joint}format={ending}")
    };
    html! {
        details.formats {
            summary.button.plain { "Export" }
            ul {
                @for (format, ending, _) in Format::ALL { li {
                    a href=(address(ending)) download { (what(format)) }
                } }
            }
        }
    }
}

const fn what(format: Format) -> &'static str {
    match format {
        Format::Csv => "Table for a spreadsheet (CSV)",
        Format::JsonLines => "JSON Lines",
        Format::JsonLinesWithCopies => "JSON Lines with what became of copies, for another Backhaul",
        Format::Parquet => "Typed columns (Parquet)",
        Format::GeoJson => "Places for a map (GeoJSON)",
        Format::Pcapng => "Frames for Wireshark (pcapng)",
    }
}

/// Turns for exports.
pub fn turns() -> Arc<tokio::sync::Semaphore> {
    Arc::new(tokio::sync::Semaphore::new(EXPORTS_AT_ONCE))
}
