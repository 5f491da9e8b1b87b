//! Style sheet and scripts, inside the program, under addresses that change with their content.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// One embedded file.
pub struct Asset {
    stem: &'static str,
    extension: &'static str,
    media_type: &'static str,
    content: &'static str,
}

/// The style sheet of every page.
pub const STYLE: Asset = Asset {
    stem: "style",
    extension: "css",
    media_type: "text/css; charset=utf-8",
    content: include_str!("../assets/style.css"),
};
/// Live updates of status and log.
pub const LIVE: Asset = Asset {
    stem: "live",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/live.js"),
};
/// Completions in the search field.
pub const SEARCH: Asset = Asset {
    stem: "search",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/search.js"),
};
/// Moves the one-time code from the link into the form.
pub const SETUP: Asset = Asset {
    stem: "setup",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/setup.js"),
};
/// Follows a backtest.
pub const BACKTEST: Asset = Asset {
    stem: "backtest",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/backtest.js"),
};
/// Work before a stranger's form is sent.
pub const WORK: Asset = Asset {
    stem: "work",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/work.js"),
};
/// Buttons that copy.
pub const COPY: Asset = Asset {
    stem: "copy",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/copy.js"),
};
/// Lights the bytes of a decoded field.
pub const BYTES: Asset = Asset {
    stem: "bytes",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/bytes.js"),
};
/// Draws the map.
pub const MAP: Asset = Asset {
    stem: "map",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/map.js"),
};
/// MapLibre GL, which draws maps (`assets/maplibre/README.md`).
pub const MAPLIBRE: Asset = Asset {
    stem: "maplibre-gl",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/maplibre/maplibre-gl.mjs"),
};
/// The part of MapLibre GL that runs beside the page.
pub const MAPLIBRE_WORKER: Asset = Asset {
    stem: "maplibre-gl-worker",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/maplibre/maplibre-gl-worker.mjs"),
};
/// Outlines of countries, states and counties, so that the map needs no other server.
pub const OUTLINES: Asset = Asset {
    stem: "outlines",
    extension: "json",
    media_type: "application/json",
    content: include_str!("../assets/outlines.json"),
};
/// The mark of the browser tab.
pub const ICON: Asset = Asset {
    stem: "icon",
    extension: "svg",
    media_type: "image/svg+xml",
    content: include_str!("../assets/icon.svg"),
};

const ALL: [&Asset; 13] = [
    &STYLE,
    &LIVE,
    &BYTES,
    &SEARCH,
    &SETUP,
    &BACKTEST,
    &COPY,
    &WORK,
    &ICON,
    &MAP,
    &MAPLIBRE,
    &MAPLIBRE_WORKER,
    &OUTLINES,
];

impl Asset {
    /// The address of this content.
    pub fn address(&self) -> String {
        format!("/assets/{}", self.file_name())
    }

    fn file_name(&self) -> String {
        format!("{}-{:016x}.{}", self.stem, content_hash(self.content.as_bytes()), self.extension)
    }
}

/// FNV-1a: tells contents apart for caches, proves nothing.
const fn content_hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// `GET /assets/{file}`
pub async fn asset(Path(file): Path<String>) -> Response {
    match ALL.iter().find(|a| a.file_name() == file) {
        Some(found) => {
            let headers = [
                (header::CONTENT_TYPE, found.media_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, found.content).into_response()
        }
        None => {
            (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], "no such file\n").into_response()
        }
    }
}
