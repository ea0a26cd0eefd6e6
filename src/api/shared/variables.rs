//! Variables that more than one generation of runners gets by the same names.

use crate::domain::variables::Fact;

/// The names of GitLab 8.x, which scripts of its time read.
pub const OLD_NAMES: [(&str, Fact); 10] = [
    ("CI_BUILD_ID", Fact::Id),
    ("CI_BUILD_REF", Fact::Sha),
    ("CI_BUILD_BEFORE_SHA", Fact::BeforeSha),
    ("CI_BUILD_REF_NAME", Fact::Ref),
    ("CI_BUILD_REF_SLUG", Fact::RefSlug),
    ("CI_BUILD_NAME", Fact::Name),
    ("CI_BUILD_STAGE", Fact::Stage),
    ("CI_BUILD_TOKEN", Fact::Token),
    ("CI_BUILD_REPO", Fact::RepoUrl),
    ("CI_BUILD_TAG", Fact::Tag),
];
