//! Counts what the server answers, by route, method and status.
//!
//! What must stay true: the routes are given once, methods and statuses are ours, so that there is a fixed number of
//! counts, whatever clients send; counting takes no lock.

use super::message::{Method, STATUSES};
use crate::metrics::{Counter, Histogram};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The counts of one server.
pub struct Traffic {
    /// The last one stands for all others.
    routes: Vec<&'static str>,
    /// By route, method and status.
    answers: Vec<Counter>,
    /// By route and method.
    times: Vec<Histogram>,
    /// Requests that were refused before they had a route, by status.
    refusals: Vec<Counter>,
    /// Connections that exist.
    pub connections: Gauge,
}

/// A number that goes up and down.
#[derive(Default)]
pub struct Gauge(AtomicUsize);

impl Gauge {
    /// Sets it.
    pub fn set(&self, number: usize) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The name of all routes that have none.
pub const OTHER_ROUTE: &str = "other";

impl Traffic {
    /// Counts requests on these routes, each of which is a pattern.
    #[must_use]
    pub fn new(routes: &[&'static str]) -> Traffic {
        let routes: Vec<&str> = routes.iter().copied().chain([OTHER_ROUTE]).collect();
        let lines = routes.len() * Method::ALL.len();
        Traffic {
            routes,
            answers: (0..lines * STATUSES.len()).map(|_| Counter::default()).collect(),
            times: (0..lines).map(|_| Histogram::of_times()).collect(),
            refusals: STATUSES.iter().map(|_| Counter::default()).collect(),
            connections: Gauge::default(),
        }
    }

    /// A request was answered, so long after it had arrived.
    pub fn count(&self, route: &str, method: Method, status: u16, time: Duration) {
        let route = self.routes.iter().position(|own| *own == route).unwrap_or(self.routes.len() - 1);
        let method = Method::ALL.iter().position(|own| *own == method).unwrap_or(0);
        let line = route * Method::ALL.len() + method;
        if let Some(times) = self.times.get(line) {
            times.observe(time);
        }
        if let Some(count) = status_index(status).and_then(|index| self.answers.get(line * STATUSES.len() + index)) {
            count.increment();
        }
    }

    /// What did not become a request was refused.
    pub fn count_refusal(&self, status: u16) {
        if let Some(count) = status_index(status).and_then(|index| self.refusals.get(index)) {
            count.increment();
        }
    }

    /// Answers by route, method and status; those that were never given are left out.
    pub fn answers(&self) -> impl Iterator<Item = (&'static str, Method, u16, u64)> + '_ {
        let with_labels = |(line, counts): (usize, &[Counter])| {
            let (route, method) = self.line(line);
            let counts: Vec<u64> = counts.iter().map(Counter::get).collect();
            STATUSES.iter().zip(counts).map(move |((status, _), count)| (route, method, *status, count))
        };
        self.answers.chunks(STATUSES.len()).enumerate().flat_map(with_labels).filter(|(.., count)| *count > 0)
    }

    /// Times by route and method; those without a request are left out.
    pub fn times(&self) -> impl Iterator<Item = (&'static str, Method, crate::metrics::Distribution)> + '_ {
        let with_labels = |(line, times): (usize, &Histogram)| {
            let (route, method) = self.line(line);
            (route, method, times.read())
        };
        self.times.iter().enumerate().map(with_labels).filter(|(.., times)| times.count() > 0)
    }

    /// Refusals by status.
    pub fn refusals(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        STATUSES.iter().zip(&self.refusals).map(|((status, _), count)| (*status, count.get())).filter(|it| it.1 > 0)
    }

    fn line(&self, index: usize) -> (&'static str, Method) {
        let route = self.routes.get(index / Method::ALL.len()).copied().unwrap_or(OTHER_ROUTE);
        (route, Method::ALL.get(index % Method::ALL.len()).copied().unwrap_or(Method::Other))
    }
}

/// Where a status stands among [`STATUSES`].
pub(super) fn status_index(status: u16) -> Option<usize> {
    STATUSES.iter().position(|(own, _)| *own == status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_counted_under_its_own_labels_and_unknown_routes_together() {
        let traffic = Traffic::new(&["a", "b"]);
        for (route, method, status) in [
            ("a", Method::Get, 200),
            ("a", Method::Get, 200),
            ("a", Method::Other, 507),
            ("b", Method::Get, 404),
            ("zanzibar", Method::Put, 404),
            ("", Method::Put, 404),
        ] {
            traffic.count(route, method, status, Duration::from_millis(2));
        }
        let answers: Vec<_> = traffic.answers().collect();
        let expected = [
            ("a", Method::Get, 200, 2),
            ("a", Method::Other, 507, 1),
            ("b", Method::Get, 404, 1),
            (OTHER_ROUTE, Method::Put, 404, 2),
        ];
        assert_eq!(answers, expected);
        let times: Vec<_> = traffic.times().map(|(route, method, times)| (route, method, times.count())).collect();
        let expected =
            [("a", Method::Get, 2), ("a", Method::Other, 1), ("b", Method::Get, 1), (OTHER_ROUTE, Method::Put, 2)];
        assert_eq!(times, expected);
    }

    #[test]
    fn every_status_has_a_place_of_its_own() {
        let traffic = Traffic::new(&[]);
        for (status, _) in STATUSES {
            traffic.count_refusal(status);
        }
        traffic.count_refusal(999);
        assert!(traffic.refusals().eq(STATUSES.map(|(status, _)| (status, 1))));
    }
}
