//! The files beside the pages: a style and a script. Their names hold a hash of their content, so that browsers keep them.

use super::Visit;
use crate::domain::terminal::palette;
use crate::domain::token::hex;
use crate::error::{Error, Result};
use crate::gzip;
use crate::http::{Answer, Body, Request, Response};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: Cow<'static, str>,
    packed: OnceLock<Vec<u8>>,
}

static ASSETS: LazyLock<[Asset; 2]> = LazyLock::new(|| {
    let asset = |name, kind, text| Asset { name, kind, text, packed: OnceLock::new() };
    let style = Cow::Owned(include_str!("assets/style.css").to_owned() + &palette::rules());
    let script = Cow::Borrowed(include_str!("assets/page.js"));
    [asset("style.css", "text/css; charset=utf-8", style), asset("page.js", "text/javascript; charset=utf-8", script)]
});

static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    ASSETS.iter().for_each(|asset| hash.update(asset.text.as_bytes()));
    hex(hash.finalize().get(..6).unwrap_or_default())
});

/// A hash of all files: another one means another version.
pub fn hash() -> &'static str {
    &HASH
}

/// Where a file is, below the base URL.
pub fn path(name: &str) -> String {
    format!("/-/assets/{}/{name}", hash())
}

/// Answers a request for a file.
pub fn answer(visit: &mut Visit<'_, '_>) -> Result<Answer> {
    let [wanted, name] = visit.places.texts.as_slice() else { return Err(Error::not_found("")) };
    let asset = ASSETS.iter().find(|asset| asset.name == *name).ok_or_else(|| Error::not_found(""))?;
    // A page of another version asks for what that had: it gets what there is, and keeps it no longer than needed.
    let keep = if *wanted == hash() { "public, max-age=31536000, immutable" } else { "no-cache" };
    let response = |bytes: Vec<u8>| {
        Response::new(200, Body::Bytes(bytes))
            .with("Content-Type", asset.kind)
            .with("Cache-Control", keep)
            .with("Vary", "Accept-Encoding")
            .with("X-Content-Type-Options", "nosniff")
    };
    Ok(if takes_gzip(visit.request) {
        let packed = asset.packed.get_or_init(|| gzip::packed_well(asset.text.as_bytes()));
        response(packed.clone()).with("Content-Encoding", "gzip").into()
    } else {
        response(asset.text.as_bytes().to_vec()).into()
    })
}

/// Whether the browser unpacks gzip.
pub fn takes_gzip(request: &Request<'_>) -> bool {
    let accepted = request.headers.get("Accept-Encoding").unwrap_or_default();
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|weight| weight.replace(' ', "") == "q=0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_palette_is_made_for_the_grounds_that_the_style_has() {
        let style = include_str!("assets/style.css");
        let panels = style.match_indices("--panel: ").filter_map(|(at, name)| style.get(at + name.len()..)?.get(..7));
        let grounds = palette::GROUNDS.map(|ground| format!("#{}", hex(&ground)));
        assert_eq!(panels.collect::<Vec<_>>(), grounds);
    }
}
