"""What python-gitlab does with a server, whose things tests/siege/clients/mod.rs has made."""

import io
import os
import zipfile

import gitlab

url, token, reading = os.environ["BATON_URL"], os.environ["BATON_TOKEN"], os.environ["BATON_READING"]
server = gitlab.Gitlab(url, private_token=token)


def refused(call, status):
    try:
        call()
    except gitlab.GitlabError as error:
        assert error.response_code == status, f"{error.response_code} is not {status}: {error}"
        return str(error.error_message)
    raise AssertionError(f"nothing was refused with {status}")


server.auth()
assert server.user.username == "operator" and server.user.is_admin
assert server.version()[0].startswith("18.")
assert gitlab.Gitlab(url, oauth_token=token).projects.get("demo").id == 1

project = server.projects.get("group/demo")
assert project.path_with_namespace == "group/demo" and project.namespace["full_path"] == "group"
assert server.projects.get(project.id).web_url == project.web_url == f"{url}/group/demo"
assert [it.id for it in server.projects.list(iterator=True, per_page=1)] == [2, 1]
assert [it.id for it in server.projects.list(search="group", simple=True, membership=True)] == [2]
assert refused(lambda: server.projects.get("nobody"), 404) == "404 Project Not Found"

# Pages, by number and by keyset.
assert [it.id for it in project.jobs.list(iterator=True, per_page=2)] == [6, 5, 4, 3, 2, 1]
assert [it.id for it in project.jobs.list(iterator=True, per_page=2, pagination="keyset", order_by="id")] == [6, 5, 4, 3, 2, 1]
assert [it.id for it in project.jobs.list(scope=["success", "failed"], get_all=True)] == [2, 1]
assert [it.id for it in project.jobs.list(scope="failed")] == [2]
pages = project.pipelines.list(per_page=2, iterator=True)
assert (pages.total, pages.total_pages, len(list(pages))) == (4, 2, 4)
assert "Scope contains" in refused(lambda: project.jobs.list(scope="done"), 400)

job = project.jobs.get(1)
assert job.status == "success" and job.user["username"] == "operator" and job.pipeline["project_id"] == project.id
assert job.trace() == b"a line\n" and job.attributes["artifacts_file"]["filename"] == "artifacts.zip"
archive = job.artifacts()
assert zipfile.ZipFile(io.BytesIO(archive)).read("report.json") == b"{}"
assert job.artifact("out/a b/ü.txt") == b"text" and job.artifact("report.json") == b"{}"
assert b"".join(job.artifacts(iterator=True)) == archive
assert project.artifacts.download(ref_name="feature/slash", job="compile") == archive
assert project.artifacts.raw(ref_name="feature/slash", artifact_path="report.json", job="compile") == b"{}"
refused(lambda: job.artifact("nothing"), 404)
refused(lambda: project.artifacts.download(ref_name="main", job="compile"), 404)
job.keep_artifacts()
assert project.jobs.get(1).artifacts_expire_at is None
job.delete_artifacts()
refused(lambda: project.jobs.get(1).artifacts(), 404)

failed = project.jobs.get(2)
assert failed.failure_reason == "script_failure"
again = failed.retry()
assert again["id"] == 7 and again["status"] == "pending"
assert "not retryable" in refused(failed.retry, 403)
failed.erase()
assert "not erasable" in refused(failed.erase, 403)
assert project.jobs.get(7).cancel()["status"] == "canceled"
project.jobs.get(7).cancel()
assert project.jobs.get(3).trace() == b""
assert "Unplayable" in refused(project.jobs.get(3).play, 400)

pipeline = project.pipelines.latest(ref="main")
assert pipeline.id == 4 and pipeline.user["name"] and pipeline.detailed_status["label"] and pipeline.before_sha
assert [it.name for it in pipeline.jobs.list(include_retried=True)] == ["by hand", "test", "compile"]
assert pipeline.bridges.list() == [] and pipeline.test_report.get().total_count == 0
assert pipeline.test_report_summary.get().total["count"] == 0
assert [(it.key, it.value) for it in pipeline.variables.list()] == [("TOKEN", "hunter2")]
assert [it.id for it in project.pipelines.list(status="pending", ref="main", sha=pipeline.sha)] == [4, 3]
assert project.pipelines.list(ref="nothing", updated_after="2020-01-01T00:00:00Z") == []
assert pipeline.cancel()["id"] == 4
assert project.pipelines.get(4).status in ("canceled", "manual")
manual = project.jobs.list(scope="manual")[0]
# The library's own `play` sends no variables.
given = {"job_variables_attributes": [{"key": "A", "value": "b"}]}
assert server.http_post(f"/projects/{project.id}/jobs/{manual.id}/play", post_data=given)["id"] == manual.id
assert project.jobs.get(manual.id).status != "manual"
refused(manual.play, 400)
assert pipeline.retry()["id"] == 4
commit = project.commits.get(pipeline.sha)
assert commit.last_pipeline["id"] == 4 and commit.title == "Make it so"
assert {it.name for it in commit.statuses.list()} >= {"compile", "test"}
assert [it.name for it in project.branches.list()] == ["feature/slash", "main"] and project.tags.list() == []
assert project.mergerequests.list() == [] and project.environments.list() == []
pipeline.delete()
refused(lambda: project.pipelines.get(4), 404)

made = server.user.runners.create({"runner_type": "project_type", "project_id": project.id, "tag_list": "kit,linux"})
assert made.token.startswith("glrt-")
runner = server.runners.get(made.id)
assert runner.tag_list == ["kit", "linux"] and runner.projects[0]["id"] == project.id
runner.description, runner.tag_list, runner.paused = "new", ["kit"], True
runner.save()
assert server.runners.get(made.id).description == "new"
assert made.id in [it.id for it in server.runners.list(paused=True)]
assert len(server.runners_all.list()) == 2 and [it.id for it in project.runners.list(tag_list=["kit"])] == [made.id]
assert [it.id for it in server.runners.get(1).jobs.list(status="success")] == [1]
runner.delete()
refused(lambda: server.runners.get(made.id), 404)

variable = project.variables.create({"key": "A", "value": "one", "masked": False})
variable.value = "two"
variable.save()
assert project.variables.get("A").value == "two" and len(project.variables.list()) == 1
assert "already been taken" in refused(lambda: project.variables.create({"key": "A", "value": "x"}), 400)
variable.delete()
refused(lambda: project.variables.get("A"), 404)
trigger = project.triggers.create({"description": "nightly"})
assert trigger.token.startswith("btt-") and project.triggers.get(trigger.id).token == trigger.token[:8]
assert "repository" in refused(lambda: project.trigger_pipeline("main", trigger.token, variables={"A": "b"}), 400)
refused(lambda: project.trigger_pipeline("main", "btt-nothing"), 404)
trigger.delete()
linted = project.ci_lint.create({"content": "job: {script: [x]}", "include_jobs": True})
assert linted.valid and linted.jobs[0]["name"] == "job"
project.ci_lint.validate({"content": "job: {script: [x]}"})
assert not project.ci_lint.create({"content": "job: {scirpt: [x]}"}).valid
server.ci_lint.validate({"content": "job: {script: [x]}"})
assert project.pipelineschedules.list() == []
refused(lambda: project.pipelineschedules.create({"description": "x", "ref": "main", "cron": "0 1 * * *"}), 403)

new = server.projects.create({"name": "new"})
new.name, new.build_timeout = "newer", 120
new.save()
assert server.projects.get("newer").build_timeout == 120
new.description = "words"
assert "at least one" in refused(new.save, 400)
new.delete()
refused(lambda: server.projects.get("newer"), 404)

reader = gitlab.Gitlab(url, private_token=reading)
assert reader.projects.get("demo").id == 1
refused(lambda: reader.projects.get("demo", lazy=True).pipelines.get(1, lazy=True).delete(), 403)
stranger = gitlab.Gitlab(url, private_token="btn-nothing")
refused(stranger.auth, 401)
print("done")
