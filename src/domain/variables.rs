//! What a build can be told of itself. Each protocol has a list of the names by which its runners get it.

use super::base_url::BaseUrl;
use super::build::{BuildId, ProjectId, Variable};
use super::pipeline::{PipelineId, Source};
use super::repo_url;
use super::tags::Tags;
use super::time::Timestamp;
use super::token::Token;

/// All that a build can be told.
pub struct Facts<'a> {
    /// The build.
    pub id: BuildId,
    /// Its pipeline; `None`: it was queued before there were any.
    pub pipeline: Option<PipelineFacts<'a>>,
    /// Its name.
    pub name: &'a str,
    /// Its stage.
    pub stage: &'a str,
    /// Branch or tag.
    pub ref_: &'a str,
    /// Whether that is a tag.
    pub is_tag: bool,
    /// The commit, as runners get it.
    pub sha: String,
    /// The commit before.
    pub before_sha: &'a str,
    /// The build's token.
    pub token: &'a Token,
    /// Where the sources come from, as runners get it.
    pub repo_url: String,
    /// Whether there is something to fetch from there.
    pub has_sources: bool,
    /// Its project.
    pub project_id: ProjectId,
    /// The project's name, with its groups.
    pub project: &'a str,
    /// When a runner took it.
    pub started_at: Option<Timestamp>,
    /// Longest run, in seconds.
    pub timeout_s: i64,
    /// The URL by which the runner has come, if it is known.
    pub server: Option<&'a BaseUrl>,
    /// The runner that has it.
    pub runner: Option<RunnerFacts<'a>>,
}

/// What a build can be told of its pipeline.
pub struct PipelineFacts<'a> {
    /// Its id.
    pub id: PipelineId,
    /// Its number in the project, from 1.
    pub iid: i64,
    /// Why there is one.
    pub source: Source,
    /// `workflow:name`.
    pub name: Option<&'a str>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a build can be told of its runner.
pub struct RunnerFacts<'a> {
    /// Its id.
    pub id: i64,
    /// Its description.
    pub description: &'a str,
    /// Its tags.
    pub tags: &'a Tags,
}

/// One thing that a build can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    /// That it is a build, and none on a desk.
    IsBuild,
    /// The name of the server's program.
    ServerName,
    /// Its version.
    ServerVersion,
    /// The build's id.
    Id,
    /// The pipeline's id.
    PipelineId,
    /// Its number in the project.
    PipelineIid,
    /// Why there is one.
    PipelineSource,
    /// Its name, if it has one.
    PipelineName,
    /// When it was made.
    PipelineCreatedAt,
    /// Its name.
    Name,
    /// Its stage.
    Stage,
    /// Its token: secret.
    Token,
    /// The commit.
    Sha,
    /// The commit before.
    BeforeSha,
    /// Branch or tag.
    Ref,
    /// The same as a part of a host name.
    RefSlug,
    /// The tag, for builds of tags.
    Tag,
    /// Where the sources come from: secret if there is a password in it.
    RepoUrl,
    /// `none`, for builds without sources: runners from 1.7 touch no repository then; older ones need one.
    GitStrategy,
    /// The project's id.
    ProjectId,
    /// The last part of the project's name.
    ProjectName,
    /// The project's name.
    ProjectPath,
    /// The runner's id.
    RunnerId,
    /// The runner's description.
    RunnerDescription,
    /// The runner's tags.
    RunnerTags,
    /// Its name as a part of a host name.
    NameSlug,
    /// When a runner took it.
    StartedAt,
    /// Into how many its job was split.
    NodeTotal,
    /// The longest run, in seconds.
    Timeout,
    /// The begin of the commit.
    ShortSha,
    /// The branch, for builds of branches.
    Branch,
    /// The project's name as a part of a host name.
    ProjectPathSlug,
    /// The project's groups.
    ProjectNamespace,
    /// The first of the project's groups.
    ProjectRootNamespace,
    /// Where the project can be looked at.
    ProjectUrl,
    /// `private`: who sees the project.
    Visibility,
    /// The file that pipelines are made of.
    ConfigPath,
    /// The URL by which the runner has come.
    ServerUrl,
    /// Its host.
    ServerHost,
    /// Its port.
    ServerPort,
    /// `http` or `https`.
    ServerProtocol,
    /// Its host, and the port if one is said.
    ServerAuthority,
    /// Where today's API is.
    ApiUrl,
    /// The first number of the version.
    ServerMajor,
    /// The second.
    ServerMinor,
    /// The third.
    ServerPatch,
    /// The runner's tags as a JSON array.
    RunnerTagsJson,
    /// An empty text.
    Nothing,
}

impl Facts<'_> {
    /// These facts by these names, in their order, without those that this build does not have.
    #[must_use]
    pub fn variables(&self, names: &[(&str, Fact)]) -> Vec<Variable> {
        names.iter().filter_map(|(name, fact)| self.variable(name, *fact)).collect()
    }

    fn variable(&self, name: &str, fact: Fact) -> Option<Variable> {
        let value = self.value(fact)?;
        let public = match fact {
            Fact::Token => false,
            Fact::RepoUrl => repo_url::secrets(&value).is_empty(),
            Fact::IsBuild
            | Fact::ServerName
            | Fact::ServerVersion
            | Fact::Id
            | Fact::PipelineId
            | Fact::PipelineIid
            | Fact::PipelineSource
            | Fact::PipelineName
            | Fact::PipelineCreatedAt
            | Fact::Name
            | Fact::Stage
            | Fact::Sha
            | Fact::BeforeSha
            | Fact::Ref
            | Fact::RefSlug
            | Fact::Tag
            | Fact::GitStrategy
            | Fact::ProjectId
            | Fact::ProjectName
            | Fact::ProjectPath
            | Fact::RunnerId
            | Fact::RunnerDescription
            | Fact::RunnerTags
            | Fact::NameSlug
            | Fact::StartedAt
            | Fact::NodeTotal
            | Fact::Timeout
            | Fact::ShortSha
            | Fact::Branch
            | Fact::ProjectPathSlug
            | Fact::ProjectNamespace
            | Fact::ProjectRootNamespace
            | Fact::ProjectUrl
            | Fact::Visibility
            | Fact::ConfigPath
            | Fact::ServerUrl
            | Fact::ServerHost
            | Fact::ServerPort
            | Fact::ServerProtocol
            | Fact::ServerAuthority
            | Fact::ApiUrl
            | Fact::ServerMajor
            | Fact::ServerMinor
            | Fact::ServerPatch
            | Fact::RunnerTagsJson
            | Fact::Nothing => true,
        };
        Some(Variable { public, ..Variable::public(name, value) })
    }

    fn value(&self, fact: Fact) -> Option<String> {
        let runner = self.runner.as_ref();
        Some(match fact {
            Fact::IsBuild => "true".to_owned(),
            Fact::ServerName => "Baton".to_owned(),
            Fact::ServerVersion => env!("CARGO_PKG_VERSION").to_owned(),
            Fact::Id => self.id.to_string(),
            Fact::PipelineId => self.pipeline.as_ref()?.id.to_string(),
            Fact::PipelineIid => self.pipeline.as_ref()?.iid.to_string(),
            Fact::PipelineSource => self.pipeline.as_ref()?.source.as_str().to_owned(),
            Fact::PipelineName => self.pipeline.as_ref()?.name?.to_owned(),
            Fact::PipelineCreatedAt => self.pipeline.as_ref()?.created_at.to_string(),
            Fact::Name => self.name.to_owned(),
            Fact::Stage => self.stage.to_owned(),
            Fact::Token => self.token.reveal().to_owned(),
            Fact::Sha => self.sha.clone(),
            Fact::BeforeSha => self.before_sha.to_owned(),
            Fact::Ref => self.ref_.to_owned(),
            Fact::RefSlug => slug(self.ref_),
            Fact::Tag if !self.is_tag => return None,
            Fact::Tag => self.ref_.to_owned(),
            Fact::RepoUrl => self.repo_url.clone(),
            Fact::GitStrategy if self.has_sources => return None,
            Fact::GitStrategy => "none".to_owned(),
            Fact::ProjectId => self.project_id.0.to_string(),
            Fact::ProjectName => self.project.rsplit('/').next().unwrap_or_default().to_owned(),
            Fact::ProjectPath => self.project.to_owned(),
            Fact::RunnerId => runner?.id.to_string(),
            Fact::RunnerDescription => runner?.description.to_owned(),
            Fact::RunnerTags => runner?.tags.join(", "),
            Fact::RunnerTagsJson => serde_json::to_string(&runner?.tags).ok()?,
            Fact::NameSlug => slug(self.name),
            Fact::StartedAt => self.started_at?.to_string(),
            Fact::NodeTotal => "1".to_owned(),
            Fact::Timeout => self.timeout_s.to_string(),
            Fact::ShortSha => self.sha.get(..8)?.to_owned(),
            Fact::Branch if self.is_tag || self.ref_ == "HEAD" => return None,
            Fact::Branch => self.ref_.to_owned(),
            Fact::ProjectPathSlug => slug(self.project),
            Fact::ProjectNamespace => self.project.rsplit_once('/')?.0.to_owned(),
            Fact::ProjectRootNamespace => self.project.split_once('/')?.0.to_owned(),
            Fact::ProjectUrl => format!("{}/{}", self.server?, self.project),
            Fact::Visibility => "private".to_owned(),
            Fact::ConfigPath => ".gitlab-ci.yml".to_owned(),
            Fact::ServerUrl => self.server?.to_string(),
            Fact::ServerHost => self.server?.host().to_owned(),
            Fact::ServerPort => self.server?.port().to_owned(),
            Fact::ServerProtocol => self.server?.protocol().to_owned(),
            Fact::ServerAuthority => self.server?.authority().to_owned(),
            Fact::ApiUrl => format!("{}/api/v4", self.server?),
            Fact::ServerMajor => env!("CARGO_PKG_VERSION_MAJOR").to_owned(),
            Fact::ServerMinor => env!("CARGO_PKG_VERSION_MINOR").to_owned(),
            Fact::ServerPatch => env!("CARGO_PKG_VERSION_PATCH").to_owned(),
            Fact::Nothing => String::new(),
        })
    }
}

/// GitLab's slug: lower case, everything but letters and digits a `-`, none at the ends, at most 63 bytes.
#[must_use]
pub fn slug(text: &str) -> String {
    let dashed: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(63).collect();
    dashed.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(token: &Token) -> Facts<'_> {
        Facts {
            id: BuildId(7),
            pipeline: None,
            name: "n",
            stage: "s",
            ref_: "Feature/x",
            is_tag: false,
            sha: "0123456789".to_owned(),
            before_sha: "9876543210",
            token,
            repo_url: "https://u:hunter2@h/x.git".to_owned(),
            has_sources: true,
            project_id: ProjectId(3),
            project: "group/demo",
            started_at: None,
            timeout_s: 60,
            server: None,
            runner: None,
        }
    }

    #[test]
    fn a_list_says_which_facts_a_build_gets_and_what_it_lacks_is_left_out() {
        let token = Token::new_secret().unwrap();
        let names = [("B", Fact::RefSlug), ("A", Fact::Id), ("T", Fact::Tag), ("R", Fact::RunnerId)];
        let expected = [Variable::public("B", "feature-x"), Variable::public("A", "7")];
        assert_eq!(facts(&token).variables(&names), expected);
        let of_tag = Facts { is_tag: true, has_sources: false, ..facts(&token) };
        let names = [("T", Fact::Tag), ("G", Fact::GitStrategy)];
        assert_eq!(of_tag.variables(&names), [Variable::public("T", "Feature/x"), Variable::public("G", "none")]);
    }

    #[test]
    fn tokens_and_urls_with_passwords_are_secret() {
        let token = Token::new_secret().unwrap();
        let secret = facts(&token).variables(&[("T", Fact::Token), ("U", Fact::RepoUrl)]);
        assert!(secret.iter().all(|variable| !variable.public));
        let open = Facts { repo_url: "https://h/x.git".to_owned(), ..facts(&token) };
        assert!(open.variables(&[("U", Fact::RepoUrl)])[0].public);
    }
}
