//! nginx, as it comes, for files that go up and down.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running nginx that takes and serves the files of one folder.
pub struct Nginx {
    process: Child,
    pub address: SocketAddr,
    dir: TempDir,
}

impl Nginx {
    /// Starts it.
    ///
    /// # Errors
    /// Says why there is none: it is not installed, or cannot take files.
    pub fn start() -> Result<Nginx, &'static str> {
        match Command::new("nginx").arg("-V").output() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err("nginx is not installed"),
            Ok(told) if String::from_utf8_lossy(&told.stderr).contains("http_dav_module") => {}
            _ => return Err("nginx has no DAV module"),
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("files")).unwrap();
        // Free a moment ago, which is as much as can be known.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        std::fs::write(dir.path().join("nginx.conf"), configuration(&dir, address)).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).args(["-e", "error.log", "-c"]).arg(dir.path().join("nginx.conf"));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Nginx { process, address, dir })
    }

    /// Where the file of this name is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("files").join(name)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.process.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

fn configuration(dir: &TempDir, address: SocketAddr) -> String {
    let dir_text = dir.path().display();
    // Started by root, its workers would be somebody who may not use the folder.
    let user = if std::fs::metadata(dir.path()).unwrap().uid() == 0 { "user root;" } else { "" };
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders: String = folders.iter().map(|name| format!("{name}_temp_path {dir_text}/{name};\n")).collect();
    format!(
        "daemon off; worker_processes 2; {user} pid {dir_text}/pid;
         events {{ worker_connections 256; }}
         http {{
             {folders}
             access_log off; sendfile on; client_max_body_size 0;
             server {{ listen {address}; root {dir_text}/files; location / {{ dav_methods PUT; }} }}
         }}
        "
    )
}
