//! Which endpoint a request is for: a table for each protocol, and a line for each endpoint.
//!
//! What must stay true: all that depends on which endpoints there are (404, 405 with its `Allow`, the routes in the log
//! and the metrics) comes from the tables. Patterns are made of words and of `:id`, which stands for a number.

use super::message::Method;

/// An endpoint, and what answers it.
pub struct Endpoint<F: 'static> {
    /// What it takes. GET takes HEAD, too.
    pub method: Method,
    /// The path, as `builds/:id/artifacts`.
    pub pattern: &'static str,
    /// What answers.
    pub answer: F,
}

/// What a table says of a request.
pub enum Found<'t, F: 'static> {
    /// This endpoint, with the numbers in the path.
    Endpoint(&'t Endpoint<F>, Vec<i64>),
    /// There is this path, for these methods.
    OtherMethods(&'static str, Vec<Method>, Vec<i64>),
    /// There is no such path.
    Nothing,
}

/// Looks for an endpoint.
#[must_use]
pub fn find<'t, F>(table: &'t [Endpoint<F>], method: Method, path: &str) -> Found<'t, F> {
    let mut other: Option<(&'static str, Vec<Method>, Vec<i64>)> = None;
    for endpoint in table {
        let Some(ids) = numbers(endpoint.pattern, path) else { continue };
        let is_head = method == Method::Head && endpoint.method == Method::Get;
        if endpoint.method == method || is_head {
            return Found::Endpoint(endpoint, ids);
        }
        let (_, methods, _) = other.get_or_insert_with(|| (endpoint.pattern, Vec::new(), ids));
        methods.push(endpoint.method);
        if endpoint.method == Method::Get {
            methods.push(Method::Head);
        }
    }
    other.map_or(Found::Nothing, |(pattern, methods, ids)| Found::OtherMethods(pattern, methods, ids))
}

/// The patterns of a table, each once.
#[must_use]
pub fn patterns<F>(table: &[Endpoint<F>]) -> Vec<&'static str> {
    let mut patterns: Vec<&'static str> = Vec::new();
    for endpoint in table {
        if !patterns.contains(&endpoint.pattern) {
            patterns.push(endpoint.pattern);
        }
    }
    patterns
}

/// The numbers that stand in `path` where the pattern has `:id`; `None` if it does not fit.
fn numbers(pattern: &str, path: &str) -> Option<Vec<i64>> {
    let (mut words, mut segments, mut numbers) = (pattern.split('/'), path.split('/'), Vec::new());
    loop {
        match (words.next(), segments.next()) {
            (None, None) => return Some(numbers),
            (Some(":id"), Some(segment)) => numbers.push(segment.parse().ok()?),
            (Some(word), Some(segment)) if word == segment => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn on(method: Method, pattern: &'static str, answer: u8) -> Endpoint<u8> {
        Endpoint { method, pattern, answer }
    }

    const TABLE: [Endpoint<u8>; 6] = [
        on(Method::Post, "things/new", 1),
        on(Method::Get, "things/:id", 2),
        on(Method::Put, "things/:id", 3),
        on(Method::Get, "things/:id/parts/:id", 4),
        on(Method::Delete, "things/:id/parts/:id", 5),
        on(Method::Get, "/-/health", 6),
    ];

    fn found(method: Method, path: &str) -> String {
        match find(&TABLE, method, path) {
            Found::Endpoint(endpoint, ids) => format!("{} {ids:?}", endpoint.answer),
            Found::OtherMethods(pattern, methods, ids) => {
                let methods: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
                format!("{pattern} takes {} {ids:?}", methods.join(", "))
            }
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn a_path_leads_to_the_endpoint_of_its_method_or_says_which_there_are() {
        for (method, path, expected) in [
            (Method::Post, "things/new", "1 []"),
            (Method::Get, "things/5", "2 [5]"),
            (Method::Head, "things/5", "2 [5]"),
            (Method::Put, "things/-1", "3 [-1]"),
            (Method::Get, "things/1/parts/2", "4 [1, 2]"),
            (Method::Get, "/-/health", "6 []"),
            (Method::Get, "things/new", "things/new takes POST []"),
            (Method::Post, "things/7", "things/:id takes GET, HEAD, PUT [7]"),
            (Method::Other, "things/1/parts/2", "things/:id/parts/:id takes GET, HEAD, DELETE [1, 2]"),
            (Method::Get, "things", "nothing"),
            (Method::Get, "things/", "nothing"),
            (Method::Get, "things/x", "nothing"),
            (Method::Get, "things/5/", "nothing"),
            (Method::Get, "things//5", "nothing"),
            (Method::Get, "things/99999999999999999999", "nothing"),
            (Method::Get, "", "nothing"),
        ] {
            assert_eq!(found(method, path), expected, "{method:?} {path}");
        }
        assert_eq!(patterns(&TABLE), ["things/new", "things/:id", "things/:id/parts/:id", "/-/health"]);
    }
}
