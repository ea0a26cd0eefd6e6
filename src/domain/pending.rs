//! Why a build is not running yet, in words for the operator.
//!
//! What must stay true: each reason names what would have to change, and the ones to look at; none grows with the
//! number of runners or builds.

use super::build::{BuildId, ProjectId, Status};
use super::runner::{RunnerAtWork, RunnerState};
use super::tags::Tags;
use super::time::Timestamp;
use super::wants::Want;

/// Most tags or builds that a reason lists.
const LISTED_MAX: usize = 5;
/// Characters of a runner's description.
const DESCRIPTION_CHARS_MAX: usize = 40;

/// Why a build in state `created` waits, given those that it needs and that have not succeeded yet.
#[must_use]
pub fn needs_reason(open: &[(BuildId, Status)]) -> String {
    let named: Vec<String> = open.iter().map(|(id, status)| format!("{id} ({status})")).collect();
    format!("waits for {}", listed("build", &named))
}

/// Why a pending build waits where nobody serves, whatever runners there are.
pub const UNSERVED: &str = "no server runs; `baton serve` starts it";

/// What a build asks of a runner.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Asked {
    /// Of which project it is.
    pub project: ProjectId,
    /// What a runner must offer.
    pub tags: Tags,
    /// Whether it has a repository, without which runners older than 1.7 run nothing.
    pub has_sources: bool,
}

impl RunnerAtWork {
    /// Whether it may take a build that asks for this.
    #[must_use]
    pub fn may_take(&self, asked: &Asked) -> bool {
        let runner = &self.runner;
        let is_able = asked.has_sources || !runner.info.needs_sources();
        runner.takes_project(asked.project) && runner.takes_tags(&asked.tags) && is_able
    }
}

/// Why a pending build that asks for this has no runner yet.
#[must_use]
pub fn pending_reason(asked: &Asked, runners: &[RunnerAtWork], now: Timestamp) -> String {
    let (project, tags) = (asked.project, &asked.tags);
    let of_project: Vec<&RunnerAtWork> = runners.iter().filter(|it| it.runner.takes_project(project)).collect();
    if of_project.is_empty() {
        return match runners {
            [] => "no runner is registered".to_owned(),
            [one] => format!("no runner takes builds of this project: the only one, {}, is kept to another", name(one)),
            all => format!("no runner takes builds of this project: all {} are kept to others", all.len()),
        };
    }
    let fitting: Vec<&RunnerAtWork> = of_project.iter().copied().filter(|it| it.runner.takes_tags(tags)).collect();
    if fitting.is_empty() {
        let elsewhere = runners.iter().find(|it| it.runner.takes_tags(tags));
        return unfit(tags, &of_project, elsewhere, now);
    }
    let able: Vec<&RunnerAtWork> =
        fitting.iter().copied().filter(|it| asked.has_sources || !it.runner.info.needs_sources()).collect();
    match (able.as_slice(), fitting.as_slice()) {
        ([], [one, others @ ..]) => {
            let version = one.runner.info.get("version").unwrap_or_default();
            let others = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            format!(
                "a build without sources needs a runner from version 1.7 on; those that could take it are older: {} has \
                 {version}{others}",
                name(one)
            )
        }
        _ => unavailable(&able, now),
    }
}

/// What a build would run without, whichever runner takes it of those that may: in the words of the one that knows most of
/// it. `None`: somebody knows all that it wants, or nobody may take it.
#[must_use]
pub fn run_without(asked: &Asked, wants: &[Want], runners: &[RunnerAtWork]) -> Option<String> {
    let unknown = |it: &RunnerAtWork| Want::unknown_to(&it.runner.info, wants);
    let may_take = runners.iter().filter(|it| it.may_take(asked));
    let (unknown, it) =
        may_take.map(|it| (unknown(it), it)).min_by_key(|(unknown, it)| (unknown.len(), it.runner.id.0))?;
    (!unknown.is_empty())
        .then(|| format!("{} would run it without what it does not know: {}", name(it), some_of(&unknown)))
}

/// None of `runners` takes builds with `tags`; `elsewhere`, which is kept to another project, does.
fn unfit(tags: &Tags, runners: &[&RunnerAtWork], elsewhere: Option<&RunnerAtWork>, now: Timestamp) -> String {
    let problem = if tags.is_empty() {
        "no runner takes builds without tags".to_owned()
    } else {
        format!("no runner has the {}", listed("tag", tags.as_slice()))
    };
    if let Some(other) = elsewhere {
        let verb = if tags.is_empty() { "does" } else { "has" };
        return format!("{problem}; {} {verb}, but is kept to another project", name(other));
    }
    // Of those that lack as little, one that is there is of more use.
    let distance = |it: &&&RunnerAtWork| {
        (tags.missing_from(&it.runner.tags).len(), it.state(now) != RunnerState::Online, it.runner.id.0)
    };
    let Some(nearest) = runners.iter().min_by_key(distance) else { return problem };
    let lack = if tags.is_empty() {
        format!("takes only builds that ask for some of {}", some_of(nearest.runner.tags.as_slice()))
    } else {
        format!("lacks {}", some_of(&tags.missing_from(&nearest.runner.tags)))
    };
    format!("{problem}; the nearest, {}, {lack}", name(nearest))
}

/// Why a runner that may take a build does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    Paused,
    Busy,
    Stale,
    NeverSeen,
}

fn obstacle(it: &RunnerAtWork, now: Timestamp) -> Option<Obstacle> {
    match it.state(now) {
        RunnerState::Paused => Some(Obstacle::Paused),
        RunnerState::NeverSeen => Some(Obstacle::NeverSeen),
        RunnerState::Stale => Some(Obstacle::Stale),
        RunnerState::Online if it.asks_for_work(now) => None,
        RunnerState::Online => Some(Obstacle::Busy),
    }
}

/// All of these may take the build.
fn unavailable(fitting: &[&RunnerAtWork], now: Timestamp) -> String {
    let free: Vec<&RunnerAtWork> = fitting.iter().copied().filter(|it| obstacle(it, now).is_none()).collect();
    if let [first, others @ ..] = free.as_slice() {
        return match others.len() {
            0 => format!("could be taken any moment by {}, which is online", name(first)),
            1 => format!("could be taken any moment by {} or another one, both online", name(first)),
            more => format!("could be taken any moment by {} or {more} others, all online", name(first)),
        };
    }
    let groups: Vec<(usize, String)> = [Obstacle::Paused, Obstacle::Busy, Obstacle::Stale, Obstacle::NeverSeen]
        .into_iter()
        .filter_map(|kind| {
            let with: Vec<&RunnerAtWork> =
                fitting.iter().copied().filter(|it| obstacle(it, now) == Some(kind)).collect();
            (!with.is_empty()).then(|| (with.len(), said(kind, &with)))
        })
        .collect();
    match (fitting, groups.as_slice()) {
        ([one], [(_, said)]) => format!("{}, the only one that could take it, {said}", name(one)),
        (_, [(count, said)]) => format!("all {count} runners that could take it {said}"),
        (_, groups) => {
            let parts: Vec<String> = groups.iter().map(|(count, said)| format!("{count} {said}")).collect();
            format!("of the {} runners that could take it, {}", fitting.len(), parts.join(", "))
        }
    }
}

/// What hinders these, as the end of a sentence about as many.
fn said(kind: Obstacle, with: &[&RunnerAtWork]) -> String {
    let (is, has) = if with.len() == 1 { ("is", "has") } else { ("are", "have") };
    match kind {
        Obstacle::Paused => format!("{is} paused"),
        Obstacle::Busy => {
            let mut builds: Vec<BuildId> = with.iter().flat_map(|it| &it.builds).map(|build| build.id).collect();
            builds.sort_unstable();
            format!("{is} busy with {}", listed("build", &builds))
        }
        Obstacle::Stale => {
            let last = with.iter().filter_map(|it| it.called_at()).max();
            format!("{has} not been seen since {}", last.map_or_else(String::new, Timestamp::to_the_second))
        }
        Obstacle::NeverSeen => format!("{has} never asked for work"),
    }
}

fn name(it: &RunnerAtWork) -> String {
    let (id, description) = (it.runner.id, it.runner.description.trim());
    let shown: String = description.chars().take(DESCRIPTION_CHARS_MAX).collect();
    let cut = if shown.len() < description.len() { "..." } else { "" };
    if shown.is_empty() { format!("runner {id}") } else { format!("runner {id} ({shown}{cut})") }
}

/// `build 1`, `builds 1, 2 and 3 more`.
fn listed(noun: &str, items: &[impl ToString]) -> String {
    let s = if items.len() == 1 { "" } else { "s" };
    format!("{noun}{s} {}", some_of(items))
}

fn some_of(items: &[impl ToString]) -> String {
    // Not "and 1 more", which is as long as what it stands for.
    let shown = if items.len() <= LISTED_MAX + 1 { items.len() } else { LISTED_MAX };
    let text = items.iter().take(shown).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if shown < items.len() { format!("{text} and {} more", items.len() - shown) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::runner::tests::runner;
    use crate::domain::runner::{Runner, RunnerId, RunningBuild};

    const MINUTE_MS: i64 = 60_000;
    const NOW: Timestamp = Timestamp(100 * MINUTE_MS);

    /// A runner that takes untagged builds, as words say: `#2` its id, `a,b` its tags, `tagged-only`, `paused`,
    /// `of-1` its project, `asked-5` (minutes ago), `runs-7-5` (a build, and since how many minutes), ...
    fn at_work(words: &str) -> RunnerAtWork {
        let mut it = RunnerAtWork { runner: Runner { description: String::new(), ..runner("", true) }, builds: vec![] };
        let ago = |minutes: &str| Timestamp(NOW.0 - minutes.parse::<i64>().unwrap() * MINUTE_MS);
        for word in words.split_whitespace() {
            match word.split_once('-').unwrap_or((word, "")) {
                ("version", version) => it.runner.info.set("version", version),
                ("paused", _) => it.runner.paused = true,
                ("tagged", _) => it.runner.run_untagged = false,
                ("of", project) => it.runner.project = Some((ProjectId(project.parse().unwrap()), "p".to_owned())),
                ("asked", minutes) => it.runner.contacted_at = Some(ago(minutes)),
                ("named", description) => it.runner.description = description.to_owned(),
                ("runs", build) => {
                    let (id, minutes) = build.split_once('-').unwrap();
                    let id = BuildId(id.parse().unwrap());
                    it.builds.push(RunningBuild { id, started_at: ago(minutes), seen_at: ago("0"), manager_id: None });
                }
                (id, _) if id.starts_with('#') => it.runner.id = RunnerId(id[1..].parse().unwrap()),
                (tags, _) => it.runner.tags = Tags::from_list(tags).unwrap(),
            }
        }
        it
    }

    #[test]
    fn a_runner_may_take_what_is_of_its_project_has_tags_of_its_own_and_needs_nothing_that_it_does_not_know() {
        for (tags, has_sources, runner, may) in [
            ("", false, "#1", true),
            ("", false, "#1 paused", true),
            ("a", false, "#1 b", false),
            ("a", false, "#2 a of-2", false),
            ("a", false, "#1 a,b of-1", true),
            ("", false, "#1 version-1.6.0", false),
            ("", true, "#1 version-1.6.0", true),
        ] {
            let asked = Asked { project: ProjectId(1), tags: Tags::from_list(tags).unwrap(), has_sources };
            assert_eq!(at_work(runner).may_take(&asked), may, "{tags:?} {has_sources} {runner}");
        }
    }

    #[test]
    fn the_reason_names_what_hinders_and_whom() {
        for (tags, runners, reason) in [
            ("", &[][..], "no runner is registered"),
            ("a", &[], "no runner is registered"),
            ("", &["#1 of-2"], "no runner takes builds of this project: the only one, runner 1, is kept to another"),
            ("", &["#1 of-2", "#2 of-3"], "no runner takes builds of this project: all 2 are kept to others"),
            ("a", &["#1 named-mac"], "no runner has the tag a; the nearest, runner 1 (mac), lacks a"),
            ("a,b,c", &["#1", "#2 a,c", "#3 b"], "no runner has the tags a, b, c; the nearest, runner 2, lacks b"),
            ("a,b", &["#1 a paused", "#2 b asked-1"], "no runner has the tags a, b; the nearest, runner 2, lacks a"),
            ("a", &["#1 b", "#2 a of-2"], "no runner has the tag a; runner 2 has, but is kept to another project"),
            (
                "",
                &["#1 a,b tagged-only"],
                "no runner takes builds without tags; the nearest, runner 1, takes only builds that ask for some of a, b",
            ),
            (
                "",
                &["#1 a tagged-only", "#2 of-2"],
                "no runner takes builds without tags; runner 2 does, but is kept to another project",
            ),
            ("a", &["#1 a paused asked-0"], "runner 1, the only one that could take it, is paused"),
            ("", &["#1 of-1 paused", "#2 paused"], "all 2 runners that could take it are paused"),
            ("", &["#1"], "runner 1, the only one that could take it, has never asked for work"),
            ("", &["#1", "#2"], "all 2 runners that could take it have never asked for work"),
            (
                "",
                &["#1 asked-40", "#2 of-2 asked-0"],
                "runner 1, the only one that could take it, has not been seen since 1970-01-01T01:00:00Z",
            ),
            (
                "",
                &["#1 asked-40", "#2 asked-10"],
                "all 2 runners that could take it have not been seen since 1970-01-01T01:30:00Z",
            ),
            // It asked for work last when it got its build, and reports on that.
            ("", &["#1 asked-30 runs-7-30"], "runner 1, the only one that could take it, is busy with build 7"),
            ("", &["#1 asked-2 runs-7-2"], "runner 1, the only one that could take it, is busy with build 7"),
            (
                "",
                &["#1 asked-9 runs-7-9 runs-5-8", "#2 asked-9 runs-6-1"],
                "all 2 runners that could take it are busy with builds 5, 6, 7",
            ),
            (
                "a",
                &["#1 a paused", "#2 a asked-9 runs-7-9", "#3 a asked-40", "#4 a", "#5 a", "#6 asked-0"],
                "of the 5 runners that could take it, 1 is paused, 1 is busy with build 7, 1 has not been seen since \
                 1970-01-01T01:00:00Z, 2 have never asked for work",
            ),
            ("", &["#1 asked-0"], "could be taken any moment by runner 1, which is online"),
            (
                "",
                &["#1 asked-3 paused", "#2 named-x asked-3"],
                "could be taken any moment by runner 2 (x), which is online",
            ),
            ("", &["#1 asked-0", "#2 asked-1"], "could be taken any moment by runner 1 or another one, both online"),
            (
                "",
                &["#1", "#2 asked-1", "#4 asked-0", "#5 asked-2"],
                "could be taken any moment by runner 2 or 2 others, all online",
            ),
            // It has a build and has asked for another one since.
            ("", &["#1 asked-1 runs-7-2"], "could be taken any moment by runner 1, which is online"),
        ] {
            let runners: Vec<RunnerAtWork> = runners.iter().map(|words| at_work(words)).collect();
            assert_eq!(pending_reason(&asked(tags), &runners, NOW), reason, "{tags:?} {runners:?}");
        }
    }

    fn asked(tags: &str) -> Asked {
        Asked { project: ProjectId(1), tags: Tags::from_list(tags).unwrap(), has_sources: true }
    }

    #[test]
    fn runners_that_are_too_old_for_a_build_without_sources_are_named() {
        let without = Asked { has_sources: false, ..asked("") };
        let old = [at_work("#1 version-1.6.1 asked-0"), at_work("#2 version-1.0.4 asked-0")];
        let reason = |runners: &[RunnerAtWork]| pending_reason(&without, runners, NOW);
        let words = "a build without sources needs a runner from version 1.7 on; those that could take it are older: \
                     runner 1 has 1.6.1";
        assert_eq!(reason(&old[..1]), words);
        assert_eq!(reason(&old), format!("{words} and 1 more"));
        assert!(pending_reason(&asked(""), &old, NOW).starts_with("could be taken any moment by runner 1"));
        let mixed = [old[0].clone(), at_work("#3 version-1.7.0")];
        assert_eq!(reason(&mixed), "runner 3, the only one that could take it, has never asked for work");
    }

    #[test]
    fn what_no_runner_knows_is_named_with_the_one_that_knows_most() {
        let mut runners = [at_work("#1"), at_work("#2 named-old"), at_work("#3 of-2"), at_work("#4 a tagged-only")];
        for (it, version) in runners.iter_mut().zip(["1.11.5", "9.5.1", "19.3.0", "19.3.0"]) {
            it.runner.info.set("name", "gitlab-runner");
            it.runner.info.set("version", version);
            it.runner.info.set_feature("upload_multiple_artifacts", version == "19.3.0");
        }
        let without = |wants: &[Want], runners: &[RunnerAtWork]| run_without(&asked(""), wants, runners);
        let wants = [Want::Reports, Want::CachePolicy];
        let said = "runner 2 (old) would run it without what it does not know: artifacts:reports";
        assert_eq!(without(&wants, &runners).as_deref(), Some(said));
        let said = "runner 1 would run it without what it does not know: artifacts:reports, cache:policy";
        assert_eq!(without(&wants, &runners[..1]).as_deref(), Some(said));
        assert_eq!(without(&[Want::CachePolicy], &runners), None, "runner 2 knows it");
        assert_eq!(without(&[], &runners), None);
        assert_eq!(without(&wants, &runners[2..]), None, "they may not take it at all");
    }

    #[test]
    fn a_reason_stays_short_whatever_there_is() {
        let words = |n: usize| (0..n).map(|n| format!("t{n:02}")).collect::<Vec<_>>().join(",");
        let with_tags = |n| pending_reason(&asked(&words(n)), &[at_work("x")], NOW);
        assert!(with_tags(6).contains("t00, t01, t02, t03, t04, t05;"), "{}", with_tags(6));
        assert!(with_tags(64).contains("lacks t00, t01, t02, t03, t04 and 59 more"), "{}", with_tags(64));
        let mut many: Vec<RunnerAtWork> = (0..1000).map(|n| at_work(&format!("asked-9 runs-{n}-9"))).collect();
        let busy = pending_reason(&asked(""), &many, NOW);
        assert_eq!(busy, "all 1000 runners that could take it are busy with builds 0, 1, 2, 3, 4 and 995 more");
        many.truncate(1);
        many[0].runner.description = "ü".repeat(500);
        let busy = pending_reason(&asked(""), &many, NOW);
        assert!(busy.starts_with(&format!("runner 3 ({}...), the only", "ü".repeat(40))), "{busy}");
    }

    #[test]
    fn a_build_waits_for_those_it_needs_by_name_and_state() {
        let reason = |ids: &[i64]| {
            let open: Vec<_> = ids.iter().map(|id| (BuildId(*id), Status::Running)).collect();
            needs_reason(&open)
        };
        assert_eq!(reason(&[7]), "waits for build 7 (running)");
        assert_eq!(reason(&[7, 9]), "waits for builds 7 (running), 9 (running)");
        assert!(reason(&(0..256).collect::<Vec<_>>()).ends_with("4 (running) and 251 more"));
    }
}
