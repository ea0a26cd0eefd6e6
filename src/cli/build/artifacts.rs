//! `baton build artifacts`: a copy of the archive or of a report, checked on its way.

use crate::cli::show::print;
use crate::cli::show::progress::Progress;
use crate::cli::{Done, Stop, build_id};
use crate::coordinator::{Coordinator, Download};
use crate::domain::autorun::read_by_itself;
use crate::domain::build::BuildId;
use crate::domain::filename::artifacts_filename;
use crate::domain::spec::{ArtifactFormat, ArtifactKind};
use crate::domain::text::size::format_size;
use crate::domain::time::Timestamp;
use crate::domain::token::{hex, random};
use argh::{ArgsInfo, FromArgs};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Save a build's artifacts.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "artifacts",
    example = "{command_name} 7\n{command_name} 7 --kind junit --output - | gzip -d\n{command_name} 7 --output latest.zip\n{command_name} 7 --output - | bsdtar -t -f -"
)]
pub struct Artifacts {
    /// the build's id
    #[argh(positional, from_str_fn(build_id))]
    id: BuildId,

    /// which of them, as `build show` names them: junit, dotenv, ...; default: archive
    #[argh(option, arg_name = "KIND", from_str_fn(kind), default = "ArtifactKind::archive()")]
    kind: ArtifactKind,

    /// where to, also over an existing file; - is standard output; default: their own name in the current directory,
    /// which must not exist yet
    #[argh(option, arg_name = "FILE")]
    output: Option<String>,
}

fn kind(text: &str) -> Result<ArtifactKind, String> {
    ArtifactKind::parse(text)
}

/// Where the bytes go.
enum Target {
    Stdout,
    /// A pipe or a device: there is nothing to replace.
    Special(PathBuf),
    File(PathBuf),
}

impl Artifacts {
    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        let download = coordinator.operator_artifacts(self.id, &self.kind, Timestamp::now())?;
        match target(self.output.as_deref(), &download.artifacts.filename, &self.kind)? {
            Target::Stdout => copy(download, &mut io::stdout().lock(), Stop::output),
            Target::Special(path) => {
                let mut file = OpenOptions::new().write(true).open(&path).map_err(|error| failed(&path, &error))?;
                copy(download, &mut file, |error| failed(&path, &error))
            }
            Target::File(path) => {
                let size = download.artifacts.size;
                save(download, &path)?;
                print::note(&format!("wrote {}, {}", path.display(), format_size(size)));
                Ok(())
            }
        }
    }
}

fn target(output: Option<&str>, filename: &str, kind: &ArtifactKind) -> Done<Target> {
    let path = match output {
        Some("-") => return Ok(Target::Stdout),
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(own_name(filename, kind)),
    };
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Target::File(path)),
        Err(error) => Err(failed(&path, &error)),
        Ok(_) if output.is_none() => Err(Stop::Failed(format!(
            "{} exists already; `--output FILE` writes to another name, or over it",
            path.display()
        ))),
        Ok(found) if found.is_dir() => {
            Err(Stop::Failed(format!("{} is a directory; give `--output` a file's name", path.display())))
        }
        // A link stays: what it names is replaced.
        Ok(found) if found.is_file() => {
            fs::canonicalize(&path).map(Target::File).map_err(|error| failed(&path, &error))
        }
        Ok(_) => Ok(Target::Special(path)),
    }
}

/// The name that the artifacts have by themselves. The build chose it: none that is hidden or that git reads, since a
/// program could run what is in it.
fn own_name(filename: &str, kind: &ArtifactKind) -> String {
    let name = artifacts_filename(Some(filename));
    if !name.starts_with('.') && read_by_itself(Path::new(&name)).is_none() {
        return name;
    }
    if *kind == ArtifactKind::archive() {
        return artifacts_filename(None);
    }
    let is_packed = kind.format() == Some(ArtifactFormat::Gzip);
    format!("{}-report{}", kind.0, if is_packed { ".gz" } else { "" })
}

/// Writes to a temporary name beside `path`, and renames when all is well. The temporary name is not made of the other
/// one, which may be as long as a name can be.
fn save(download: Download, path: &Path) -> Done {
    let part = path.with_file_name(format!(".baton-{}.part", hex(&random::<8>().map_err(crate::error::Error::from)?)));
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(&part).map_err(|error| failed(&part, &error))?;
        copy(download, &mut file, |error| failed(&part, &error))?;
        file.sync_all().and_then(|()| fs::rename(&part, path)).map_err(|error| failed(path, &error))
    };
    let result = write();
    if result.is_err() {
        // It may not be there at all.
        let _ = fs::remove_file(&part);
    }
    result
}

/// Copies all bytes and compares their size and checksum with what was stored.
pub fn copy(download: Download, to: &mut dyn Write, write_failed: impl Fn(io::Error) -> Stop) -> Done {
    let Download { artifacts, mut file } = download;
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut piece = vec![0; PIECE_BYTES];
    let mut progress = Progress::new("artifacts", artifacts.size);
    loop {
        let count = read(&mut file, &mut piece)?;
        let bytes = piece.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        hash.update(bytes);
        size += bytes.len() as u64;
        to.write_all(bytes).map_err(&write_failed)?;
        progress.add(bytes.len() as u64);
    }
    drop(progress);
    to.flush().map_err(&write_failed)?;
    let sha256: [u8; 32] = hash.finalize().into();
    if size != artifacts.size || sha256 != artifacts.sha256 {
        let message = "the stored artifacts are damaged: their size or checksum is not that of the upload";
        return Err(Stop::Failed(format!("{message}; run the build once more, with `baton build retry`")));
    }
    Ok(())
}

fn read(file: &mut File, piece: &mut [u8]) -> Done<usize> {
    loop {
        match file.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::Failed(format!("cannot read the stored artifacts: {error}"))),
            Ok(count) => return Ok(count),
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Stop {
    Stop::Failed(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_that_a_build_chose_is_one_that_programs_read() {
        for name in [".envrc", ".bashrc", ".git", "git~1", ".gitattributes"] {
            assert_eq!(own_name(name, &ArtifactKind::archive()), "artifacts.zip", "{name}");
        }
        assert_eq!(own_name("größe.zip", &ArtifactKind::archive()), "größe.zip");
        assert_eq!(own_name(".env.gz", &ArtifactKind("dotenv".to_owned())), "dotenv-report.gz");
    }
    use crate::domain::build::ArtifactsFile;

    fn download(dir: &Path, stored: &[u8], uploaded: &[u8]) -> Download {
        let path = dir.join("stored");
        fs::write(&path, stored).unwrap();
        let artifacts = ArtifactsFile {
            path: "stored".into(),
            filename: "a.zip".into(),
            size: uploaded.len() as u64,
            sha256: Sha256::digest(uploaded).into(),
            expire_at: None,
        };
        Download { artifacts, file: File::open(path).unwrap() }
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_whole_copy_takes_the_place_of_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.zip");
        fs::write(&path, "old").unwrap();
        save(download(dir.path(), b"new", b"new"), &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["out.zip", "stored"]);
    }

    #[test]
    fn a_copy_can_have_the_longest_name_that_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let name = artifacts_filename(Some(&"ä".repeat(300)));
        save(download(dir.path(), b"new", b"new"), &dir.path().join(&name)).unwrap();
        assert_eq!(names(dir.path()), ["stored", &name]);
    }

    #[test]
    fn a_damaged_copy_is_refused_and_leaves_nothing() {
        for stored in [&b"nEw"[..], b"ne", b"newer"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("out.zip");
            fs::write(&path, "old").unwrap();
            let stop = save(download(dir.path(), stored, b"new"), &path).unwrap_err();
            assert!(matches!(stop, Stop::Failed(message) if message.contains("damaged")));
            assert_eq!(fs::read(&path).unwrap(), b"old");
            assert_eq!(names(dir.path()), ["out.zip", "stored"]);
        }
    }

    #[test]
    fn an_existing_file_is_replaced_only_when_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zip");
        let text = path.to_str().unwrap();
        let to = |output, filename| target(output, filename, &ArtifactKind::archive());
        assert!(matches!(to(Some(text), "x"), Ok(Target::File(_))));
        fs::write(&path, "old").unwrap();
        assert!(matches!(to(Some(text), "x"), Ok(Target::File(_))));
        assert!(matches!(to(None, "Cargo.toml"), Err(Stop::Failed(_))));
        assert!(matches!(to(Some("-"), "x"), Ok(Target::Stdout)));
        assert!(matches!(to(Some("/dev/null"), "x"), Ok(Target::Special(_))));
        assert!(matches!(to(dir.path().to_str(), "x"), Err(Stop::Failed(_))));
        assert!(matches!(to(None, "../../no-such.zip"), Ok(Target::File(path)) if path == Path::new("no-such.zip")));
    }
}
