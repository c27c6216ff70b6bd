//! The page's files, embedded in the binary: no build step, and nothing is loaded from elsewhere.

/// One file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its URL path.
    pub path: &'static str,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// The content.
    pub body: &'static str,
}

/// The file at `path`, if the page has it.
pub fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const ASSETS: &[Asset] = &[
    Asset { path: "/", content_type: HTML, body: include_str!("../page/index.html") },
    Asset { path: "/style.css", content_type: CSS, body: include_str!("../page/style.css") },
    Asset { path: "/app.js", content_type: JS, body: include_str!("../page/app.js") },
    Asset { path: "/chart.js", content_type: JS, body: include_str!("../page/chart.js") },
    Asset { path: "/words.js", content_type: JS, body: include_str!("../page/words.js") },
    Asset { path: "/icon.svg", content_type: SVG, body: include_str!("../page/icon.svg") },
];
