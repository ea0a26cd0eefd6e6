//! Long polling under chance and crowds; its rules are in `it`.

mod leaving;
mod model;
mod process;

use crate::harness::hold::*;
use crate::harness::http::RUNNER_1_11;
use crate::harness::random::Random;
use crate::harness::raw::{HEALTH, PATIENCE, Raw};
use crate::harness::*;
use baton::coordinator::{Coordinator, Queued};
use baton::domain::build::{BuildId, NewBuild, Status};
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use baton::store::runners::NewRunner;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
