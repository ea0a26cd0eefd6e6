//! What Baton needs while it does nothing.

use crate::Scale;
use crate::client::ask_once;
use crate::data::Data;
use crate::procs::Served;
use crate::report::{Row, Target, Unit};
use crate::wire::{Connections, poll};
use std::time::Duration;

/// Resident memory of both processes of an idle server that has answered something.
pub fn idle_memory(_: &Scale) -> Vec<Row> {
    let data = Data::new();
    let runners = data.runners(1);
    let server = Served::baton(data.path(), &[]);
    ask_once(server.address, &poll(&runners[0], None, Connections::Fresh)).expect(204);
    std::thread::sleep(Duration::from_secs(1));
    let row = Row::alone("resident memory, idle", Unit::Bytes, server.memory(), Target::Below(20e6));
    let processes = server.tree().len();
    vec![row.note(format!("of {processes} processes together; memory that they share counts in each"))]
}

/// The program's size. Benchmarks are built as releases are: stripped, with link-time optimisation.
pub fn binary_size(_: &Scale) -> Vec<Row> {
    let bytes = std::fs::metadata(env!("CARGO_BIN_EXE_baton")).unwrap().len();
    vec![Row::alone("release binary", Unit::Bytes, bytes as f64, Target::Below(6e6))]
}
