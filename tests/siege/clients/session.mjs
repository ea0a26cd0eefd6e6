// What @gitbeaker/rest does with a server, whose things tests/siege/clients/mod.rs has made.

import assert from "node:assert/strict";
import { Gitlab } from "@gitbeaker/rest";

const [host, token] = [process.env.BATON_URL, process.env.BATON_TOKEN];
const api = new Gitlab({ host, token });
const ids = (list) => list.map((it) => it.id);
const refused = async (call, status) => {
  const error = await call.then(() => assert.fail("nothing was refused"), (error) => error);
  assert.equal(error.cause?.response?.status, status, String(error));
};

assert.equal((await api.Users.showCurrentUser()).username, "operator");
assert.match((await api.Metadata.show()).version, /^18\./);
const project = await api.Projects.show("group/demo");
assert.equal(project.path_with_namespace, "group/demo");
assert.deepEqual(ids(await api.Projects.all({ perPage: 1 })), [2, 1]);
await refused(api.Projects.show("nobody"), 404);

assert.deepEqual(ids(await api.Jobs.all(project.id, { perPage: 2 })), [6, 5, 4, 3, 2, 1]);
assert.deepEqual(ids(await api.Jobs.all(project.id, { perPage: 2, pagination: "keyset", orderBy: "id", sort: "desc" })), [6, 5, 4, 3, 2, 1]);
assert.deepEqual(ids(await api.Jobs.all(project.id, { scope: ["success", "failed"], perPage: 1 })), [2, 1]);
const job = await api.Jobs.show(project.id, 1);
assert.equal(job.artifacts_file.filename, "artifacts.zip");
assert.equal(await api.Jobs.showLog(project.id, 1), "a line\n");
assert.equal(await api.Jobs.showLog(project.id, 3), "");
const archive = await api.JobArtifacts.downloadArchive(project.id, { jobId: 1 });
assert.ok(archive.size > 100);
assert.equal(await (await api.JobArtifacts.downloadArchive(project.id, { jobId: 1, artifactPath: "report.json" })).text(), "{}");
const byBranch = await api.JobArtifacts.downloadArchive(project.id, { ref: "feature/slash", job: "compile" });
assert.equal(byBranch.size, archive.size);
assert.equal((await api.JobArtifacts.keep(project.id, 1)).artifacts_expire_at, null);
await refused(api.JobArtifacts.remove(project.id), 405);
await api.JobArtifacts.remove(project.id, { jobId: 1 });
await refused(api.JobArtifacts.downloadArchive(project.id, { jobId: 1 }), 404);

assert.equal((await api.Jobs.retry(project.id, 2)).id, 7);
await refused(api.Jobs.retry(project.id, 2), 403);
assert.equal((await api.Jobs.cancel(project.id, 7)).status, "canceled");
assert.ok((await api.Jobs.erase(project.id, 7)).erased_at);

assert.deepEqual(ids(await api.Pipelines.all(project.id, { perPage: 2 })), [4, 3, 2, 1]);
const pipeline = await api.Pipelines.show(project.id, "latest");
assert.equal(pipeline.id, 4);
assert.deepEqual((await api.Jobs.all(project.id, { pipelineId: 4 })).map((it) => it.name), ["by hand", "test", "compile"]);
assert.deepEqual(await api.Pipelines.allVariables(project.id, 4), [{ key: "TOKEN", value: "hunter2", variable_type: "env_var", raw: true }]);
assert.equal((await api.Pipelines.cancel(project.id, 4)).id, 4);
const [manual] = await api.Jobs.all(project.id, { scope: "manual" });
const given = { jobVariablesAttributes: [{ key: "A", value: "b" }] };
assert.equal((await api.Jobs.play(project.id, manual.id, given)).id, manual.id);
await refused(api.Jobs.play(project.id, manual.id), 400);
assert.equal((await api.Pipelines.retry(project.id, 4)).id, 4);
assert.equal((await api.Commits.show(project.id, pipeline.sha)).last_pipeline.id, 4);
await api.Pipelines.remove(project.id, 4);
await refused(api.Pipelines.show(project.id, 4), 404);

const made = await api.Users.createCIRunner("instance_type", { tagList: ["kit", "linux"], description: "all" });
assert.match(made.token, /^glrt-/);
assert.deepEqual((await api.Runners.show(made.id)).tag_list, ["kit", "linux"]);
assert.equal((await api.Runners.edit(made.id, { paused: true })).paused, true);
assert.deepEqual(ids(await api.Runners.all({ paused: true })), [made.id]);
await api.Runners.remove({ runnerId: made.id });
await refused(api.Runners.show(made.id), 404);
assert.equal((await api.ProjectVariables.create(project.id, "A", "one", { masked: false })).value, "one");
assert.equal((await api.ProjectVariables.edit(project.id, "A", "two")).value, "two");
assert.deepEqual((await api.ProjectVariables.all(project.id)).map((it) => it.key), ["A"]);
await api.ProjectVariables.remove(project.id, "A");
const trigger = await api.PipelineTriggerTokens.create(project.id, "nightly");
assert.match(trigger.token, /^btt-/);
await refused(api.PipelineTriggerTokens.trigger(project.id, "main", trigger.token, { variables: { A: "b" } }), 400);
await refused(api.PipelineTriggerTokens.trigger(project.id, "main", "btt-nothing"), 404);
await api.PipelineTriggerTokens.remove(project.id, trigger.id);
assert.equal((await api.Lint.lint(project.id, "job: {script: [x]}", { includeJobs: true })).jobs[0].name, "job");
assert.deepEqual(await api.PipelineSchedules.all(project.id), []);
assert.equal((await api.Pipelines.showTestReport(project.id, 1)).total_count, 0);

const added = await api.Projects.create({ name: "new" });
assert.equal((await api.Projects.edit(added.id, { name: "newer", buildTimeout: 120 })).build_timeout, 120);
assert.deepEqual(await api.Projects.remove(added.id), { message: "202 Accepted" });
await refused(api.Projects.show("newer"), 404);
await refused(new Gitlab({ host, token: "btn-nothing" }).Users.showCurrentUser(), 401);
console.log("done");
