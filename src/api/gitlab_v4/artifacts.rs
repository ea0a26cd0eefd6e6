//! What jobs have uploaded: the archive, one file out of it, and the same by branch and name.
//!
//! What must stay true: a file out of an archive is what a build says: it goes out as a download, never as something that
//! a browser shows.

use super::call::Call;
use super::denial::Denial;
use super::jobs::whole;
use super::route::{Answered, Content, May, route, says};
use super::urls::decoded;
use crate::api::Handler;
use crate::api::shared::download;
use crate::domain::build::BuildId;
use crate::domain::spec::ArtifactKind;
use crate::domain::token::hex;
use crate::error::Kind;
use crate::http::headers::disposition::content_disposition;
use crate::http::params::{Field, Shape, text};
use crate::http::router::Endpoint;
use crate::http::{Body, Method, Response};

/// The endpoints. What follows `jobs/artifacts/` is looked at here, since a branch may have slashes in its name.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    route(
        Method::Get,
        "projects/:project/jobs/:id/artifacts",
        May::ReadOrJob,
        &[],
        archive,
        says("A job's archive", 200, Content::File),
    ),
    route(
        Method::Delete,
        "projects/:project/jobs/:id/artifacts",
        May::Write,
        &[],
        remove,
        says("Removes all that a job has uploaded", 204, Content::Nothing),
    ),
    route(
        Method::Post,
        "projects/:project/jobs/:id/artifacts/keep",
        May::Write,
        &[],
        keep,
        says("Keeps artifacts until somebody removes them", 200, Content::Object("Job")),
    ),
    route(
        Method::Get,
        "projects/:project/jobs/:id/artifacts/*path",
        May::ReadOrJob,
        &[],
        file,
        says("One file out of a job's archive", 200, Content::File),
    ),
    route(
        Method::Get,
        "projects/:project/jobs/artifacts/*ref_and_path",
        May::ReadOrJob,
        BY_REF,
        by_ref,
        says("REF/download or REF/raw/PATH: of the newest success of a branch or tag", 200, Content::File),
    ),
];

const SEARCHES: Field = Field { name: "search_recent_successful_pipelines", shape: Shape::Flag };
const BY_REF: &[Field] = &[text("job"), SEARCHES];

/// Bytes of a file out of an archive that are sent as they are, without a place among transfers.
const SMALL_BYTES: u64 = 64 << 10;

fn archive(call: &mut Call<'_, '_>) -> Answered {
    let id = call.job()?;
    call.coordinator().is_job_of(call.project()?.id, id)?;
    send(call, id)
}

fn send(call: &Call<'_, '_>, id: BuildId) -> Answered {
    let found = call.coordinator().operator_artifacts(id, &ArtifactKind::archive(), call.now)?;
    let response = download::send(call.api, call.request, found)?;
    Ok(response.with("X-Content-Type-Options", "nosniff").with_id("build", id.0).into())
}

fn file(call: &mut Call<'_, '_>) -> Answered {
    let id = call.job()?;
    call.coordinator().is_job_of(call.project()?.id, id)?;
    let path = decoded(call.raw_text()?).ok_or_else(|| bad_path("the path is no text"))?;
    send_file(call, id, &path)
}

fn bad_path(why: &str) -> Denial {
    Denial::Status(400, format!("400 Bad request - {why}"))
}

/// Answers a file out of an archive.
fn send_file(call: &Call<'_, '_>, id: BuildId, path: &str) -> Answered {
    let found = call
        .coordinator()
        .archive_file(id, path, call.now)
        .map_err(|error| if error.kind == Kind::Invalid { bad_path(&error.message) } else { error.into() })?;
    let etag = format!("\"{}-{}\"", hex(&found.artifacts.sha256), found.size.unwrap_or_default());
    let body = Body::read(found.read, found.size, SMALL_BYTES, || call.api.transfers.reserve(1))?;
    let response = Response::new(200, body)
        .with("Content-Type", "application/octet-stream")
        .with("Content-Disposition", content_disposition(&found.name))
        .with("X-Content-Type-Options", "nosniff")
        .with("ETag", etag);
    Ok(response.with_id("build", id.0).into())
}

fn by_ref(call: &mut Call<'_, '_>) -> Answered {
    let rest = call.raw_text()?;
    let project = call.project()?.id;
    let places = places(rest);
    if places.is_empty() {
        return Err(Denial::NoThing);
    }
    let name = call.params()?.text("job").filter(|name| !name.is_empty()).ok_or_else(|| Denial::missing("job"))?;
    let is_any = call.params()?.flag(SEARCHES.name) == Some(true);
    // The last `raw` counts, as in GitLab, unless no branch is called so.
    for (ref_, path) in places {
        match call.coordinator().newest_archive_of(project, (&ref_, is_any), name, call.now) {
            Err(error) if error.kind == Kind::NotFound => {}
            found => {
                let id = found?;
                return match path {
                    Some(path) => send_file(call, id, &path),
                    None => send(call, id),
                };
            }
        }
    }
    Err(Denial::NoThing)
}

/// Most places where `raw` may stand between a branch and a path.
const PLACES_MAX: usize = 8;

/// What `REF/download` or `REF/raw/PATH` may mean, read from the right: the branch or tag, and the path.
fn places(rest: &str) -> Vec<(String, Option<String>)> {
    let segments: Vec<&str> = rest.split('/').collect();
    let joined = |from: usize, to: usize| decoded(&segments.get(from..to).unwrap_or_default().join("/"));
    let raw = (1..segments.len()).rev().filter(|at| segments.get(*at) == Some(&"raw"));
    let mut all = Vec::new();
    for at in raw.take(PLACES_MAX) {
        if let (Some(ref_), Some(path)) = (joined(0, at), joined(at + 1, segments.len()))
            && !ref_.is_empty()
            && !path.is_empty()
        {
            all.push((ref_, Some(path)));
        }
    }
    if let Some(ref_) = rest.strip_suffix("/download").filter(|ref_| !ref_.is_empty()).and_then(decoded) {
        all.insert(0, (ref_, None));
    }
    all
}

fn keep(call: &mut Call<'_, '_>) -> Answered {
    let (project, id) = (call.project()?.id, call.job()?);
    call.coordinator().is_job_of(project, id)?;
    call.coordinator().keep_artifacts(id, call.now)?;
    let report = call.coordinator().job_of(project, id, call.now)?;
    Ok(Response::json(200, &whole(call, &report)?).into())
}

fn remove(call: &mut Call<'_, '_>) -> Answered {
    let id = call.job()?;
    call.coordinator().is_job_of(call.project()?.id, id)?;
    call.coordinator().remove_artifacts(id)?;
    Ok(Response::empty(204).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_may_have_slashes_and_is_read_from_the_right() {
        let meant = |rest: &str| {
            let of = |(ref_, path): (String, Option<String>)| format!("{ref_}:{}", path.unwrap_or_default());
            places(rest).into_iter().map(of).collect::<Vec<_>>()
        };
        for (rest, expected) in [
            ("main/download", &["main:"][..]),
            ("feature/slash/download", &["feature/slash:"]),
            ("feature%2Fslash/download", &["feature/slash:"]),
            ("main/raw/out/a%20b/%C3%BC.txt", &["main:out/a b/ü.txt"]),
            ("a/raw/raw/c", &["a/raw:c", "a:raw/c"]),
            ("a/raw/b/raw/c.json", &["a/raw/b:c.json", "a:b/raw/c.json"]),
            ("main/raw/x/download", &["main/raw/x:", "main:x/download"]),
            ("download", &[]),
            ("main", &[]),
            ("main/raw/", &[]),
            ("/raw/x", &[]),
        ] {
            assert_eq!(meant(rest), expected, "{rest}");
        }
    }
}
