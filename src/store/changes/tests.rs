use super::*;
use crate::store::Store;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::Instant;

fn move_on(store: &Store) {
    store.write(|c| Ok(c.execute_batch("UPDATE queue_state SET generation = generation + 1")?)).unwrap();
}

fn stores() -> (tempfile::TempDir, Store, Store) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("baton.db");
    let (own, other) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
    (dir, own, other)
}

/// What [`Ear::open`] has it look for.
fn hear_the_first_call(store: &Store) {
    store.wait_for_change(1).unwrap();
}

#[test]
fn what_another_process_queues_is_seen_by_the_next_look() {
    let (dir, own, other) = stores();
    let log = dir.path().join("baton.db-wal");
    let past = SystemTime::now() - Duration::from_secs(60);
    for generation in 2..30 {
        move_on(&other);
        assert_eq!(own.look_at_queue().unwrap(), generation);
        assert!(own.changes().seen.lock().unwrap().is_none(), "another write in this moment would not show");
        if generation % 2 == 0 {
            File::options().write(true).open(&log).unwrap().set_modified(past).unwrap();
            assert_eq!(own.look_at_queue().unwrap(), generation);
            assert!(own.changes().seen.lock().unwrap().is_some());
        }
    }
}

/// Nothing but a datagram sets what is looked for here, however slow the machine is.
#[test]
fn every_commit_of_another_process_is_told_whatever_it_writes() {
    let (_dir, own, other) = stores();
    let _ear = own.listen().unwrap();
    hear_the_first_call(&own);
    let is_told = || lock(&own.changes().calls).told;
    let wait_until_told = || {
        let until = Instant::now() + Duration::from_secs(30);
        while !is_told() {
            assert!(Instant::now() < until, "nobody told");
            thread::sleep(PAUSE);
        }
    };
    for generation in 2..10 {
        move_on(&other);
        wait_until_told();
        assert_eq!(own.wait_for_change(generation - 1).unwrap(), generation);
    }
    other.write(|c| Ok(c.execute_batch("CREATE TABLE t (n INTEGER)")?)).unwrap();
    wait_until_told();
    assert_eq!(own.wait_for_change(9).unwrap(), 9);
    // Who only reads tells nothing; nor does the listener tell itself.
    other.read(|c| Ok(c.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))?)).unwrap();
    move_on(&own);
    thread::sleep(PAUSE * 20);
    assert!(!is_told());
}

#[test]
fn what_nobody_told_of_is_found_out_all_the_same() {
    let (dir, own, _other) = stores();
    let _ear = own.listen().unwrap();
    hear_the_first_call(&own);
    let stranger = rusqlite::Connection::open(dir.path().join("baton.db")).unwrap();
    stranger.execute_batch("UPDATE queue_state SET generation = generation + 1").unwrap();
    assert_eq!(own.wait_for_change(1).unwrap(), 2);
}

#[test]
fn the_socket_is_its_owners_takes_the_place_of_a_left_one_and_goes_with_its_listener() {
    let (dir, own, other) = stores();
    let path = dir.path().join(SOCKET);
    move_on(&other);
    assert!(!path.exists(), "who writes makes none");
    drop(UnixDatagram::bind(&path).unwrap());
    move_on(&other);
    let ear = own.listen().unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    drop(ear);
    assert!(!path.exists());
    // One that somebody else has put there is theirs.
    let ear = own.listen().unwrap();
    fs::rename(&path, dir.path().join("old.sock")).unwrap();
    let theirs = UnixDatagram::bind(&path).unwrap();
    drop(ear);
    assert!(path.exists());
    drop(theirs);
}

#[test]
fn a_path_of_any_length_that_a_file_can_have_works() {
    let dir = tempfile::tempdir().unwrap();
    for length in [50, 107, 108, 109, 250, 480] {
        let mut folder = dir.path().to_owned();
        while folder.as_os_str().len() + 1 + SOCKET.len() < length {
            let missing = length - folder.as_os_str().len() - 1 - SOCKET.len();
            folder.push("d".repeat(missing.saturating_sub(1).clamp(1, 200)));
        }
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("baton.db");
        let (own, other) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
        let ear = own.listen().unwrap();
        move_on(&other);
        assert!(folder.join(SOCKET).exists());
        assert!(
            with_address(&folder.join(SOCKET), |address| { UnixDatagram::unbound()?.send_to(&[], address) }).is_ok()
        );
        drop(ear);
        assert!(!folder.join(SOCKET).exists());
    }
}

#[test]
fn where_there_can_be_no_socket_it_looks_instead() {
    let (dir, own, other) = stores();
    fs::create_dir(dir.path().join(SOCKET)).unwrap();
    assert!(own.listen().is_none());
    move_on(&other);
    assert_eq!(own.wait_for_change(1).unwrap(), 2);
}

/// Nobody hears: the socket's queue fills up, and writers go on.
#[test]
fn a_server_that_hears_nothing_holds_up_no_writer() {
    let (dir, _own, other) = stores();
    let _deaf = UnixDatagram::bind(dir.path().join(SOCKET)).unwrap();
    for _ in 0..2000 {
        other.changes().tell();
    }
    move_on(&other);
}

/// Counted, not timed: how often it looks does not grow with what is sent.
#[test]
fn a_flood_of_datagrams_costs_a_look_a_millisecond_at_most() {
    let (_dir, own, other) = stores();
    let _ear = own.listen().unwrap();
    hear_the_first_call(&own);
    let (started, stop) = (Instant::now(), AtomicBool::new(false));
    let mut looks = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                other.changes().tell();
            }
        });
        while looks < 50 {
            assert_eq!(own.wait_for_change(1).unwrap(), 1);
            looks += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(started.elapsed() >= PAUSE * 48, "{looks} looks in {:?}", started.elapsed());
}
