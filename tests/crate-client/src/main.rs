//! A runner for so many jobs: `crate-client SERVER TOKEN BUILD_DIR JOBS`. The lines of a job's script are commands of its own:
//!
//! * `say WORDS`: a line in the log
//! * `show NAME`: the value of a variable, in the log
//! * `file NAME WORDS`: a file to upload
//! * `fetch`: the archives of the jobs that this one needs, in the log
//! * `wait`: until the job is canceled
//! * `fail`: the job has failed

use futures::io::Cursor;
use gitlab_runner::job::Job;
use gitlab_runner::{GitlabLayer, JobHandler, JobResult, Phase, RunnerBuilder, UploadableFile, outputln};
use std::borrow::Cow;
use std::io::Read;
use std::time::Duration;
use tracing_subscriber::prelude::*;

/// Between two requests that got nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// A job at work.
struct Work {
    job: Job,
    files: Vec<(String, String)>,
}

/// A file to upload.
struct Made {
    name: String,
    content: String,
}

#[async_trait::async_trait]
impl UploadableFile for Made {
    type Data<'a> = Cursor<Vec<u8>>;

    fn get_path(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    async fn get_data(&self) -> Result<Cursor<Vec<u8>>, ()> {
        Ok(Cursor::new(self.content.clone().into_bytes()))
    }
}

impl Work {
    async fn command(&mut self, line: &str) -> JobResult {
        let (command, words) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "say" => outputln!("{}", words),
            "show" => match self.job.variable(words) {
                Some(variable) => outputln!("{} is {}", words, variable.value()),
                None => outputln!("{} is not there", words),
            },
            "file" => {
                let (name, content) = words.split_once(' ').unwrap_or((words, ""));
                self.files.push((name.to_owned(), content.to_owned()));
            }
            "fetch" => self.fetch().await?,
            "wait" => std::future::pending().await,
            _ => return Err(()),
        }
        Ok(())
    }

    async fn fetch(&self) -> JobResult {
        for needed in self.job.dependencies() {
            let Some(mut archive) = needed.download().await.map_err(|error| outputln!("{}", error))? else {
                outputln!("{} has no archive", needed.name());
                continue;
            };
            for index in 0..archive.len() {
                let mut file = archive.by_index(index).ok_or(())?;
                let mut content = String::new();
                file.read_to_string(&mut content).map_err(|error| outputln!("{}", error))?;
                outputln!("{} of {}: {}", file.name(), needed.name(), content);
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl JobHandler<Made> for Work {
    async fn step(&mut self, script: &[String], _phase: Phase) -> JobResult {
        for line in script {
            outputln!("> {}", line);
            self.command(line).await?;
        }
        Ok(())
    }

    async fn get_uploadable_files(&mut self) -> Result<Box<dyn Iterator<Item = Made> + Send>, ()> {
        // It is asked for them once for each kind.
        Ok(Box::new(self.files.clone().into_iter().map(|(name, content)| Made { name, content })))
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, token, build_dir, jobs] = arguments.as_slice() else {
        eprintln!("usage: crate-client SERVER TOKEN BUILD_DIR JOBS");
        std::process::exit(2);
    };
    let server = server.parse().expect("SERVER is a URL");
    let jobs: usize = jobs.parse().expect("JOBS is a number");
    let (layer, lines) = GitlabLayer::new();
    tracing_subscriber::registry().with(layer).init();
    let mut runner = RunnerBuilder::new(server, token.as_str(), build_dir, lines).build().await;
    let mut taken = 0;
    while taken < jobs {
        match runner.request_job(|job| async move { Ok(Work { job, files: Vec::new() }) }).await {
            Ok(true) => {
                println!("took a job");
                taken += 1;
                // One after the other: the next one may need this one.
                runner.drain().await;
            }
            Ok(false) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                println!("got none: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
