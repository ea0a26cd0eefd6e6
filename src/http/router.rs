//! Which endpoint a request is for: a table for each protocol, and a line for each endpoint.
//!
//! What must stay true: all that depends on which endpoints there are (404, 405 with its `Allow`, the routes in the log
//! and the metrics) comes from the tables. A pattern is made of segments: a word stands for itself, `:id` for a number, any
//! other `:name` for a text that is not empty, and `*name`, which comes last, for the rest of the path, slashes included.
//! Texts are as they were sent. Of two lines that fit, the first one counts.

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

/// What stands in a path where its pattern has a place.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Places<'p> {
    /// The numbers, in order.
    pub numbers: Vec<i64>,
    /// The texts, in order.
    pub texts: Vec<&'p str>,
}

/// What a table says of a request.
pub enum Found<'t, 'p, F: 'static> {
    /// This endpoint, with what the path has in its places.
    Endpoint(&'t Endpoint<F>, Places<'p>),
    /// There is this path, for these methods.
    OtherMethods(&'static str, Vec<Method>, Places<'p>),
    /// There is no such path.
    Nothing,
}

/// Looks for an endpoint.
#[must_use]
pub fn find<'t, 'p, F>(table: &'t [Endpoint<F>], method: Method, path: &'p str) -> Found<'t, 'p, F> {
    let mut other: Option<(&'static str, Vec<Method>, Places<'p>)> = None;
    for endpoint in table {
        let Some(places) = fit(endpoint.pattern, path) else { continue };
        let is_head = method == Method::Head && endpoint.method == Method::Get;
        if endpoint.method == method || is_head {
            return Found::Endpoint(endpoint, places);
        }
        let (_, methods, _) = other.get_or_insert_with(|| (endpoint.pattern, Vec::new(), places));
        methods.push(endpoint.method);
        if endpoint.method == Method::Get {
            methods.push(Method::Head);
        }
    }
    other.map_or(Found::Nothing, |(pattern, methods, places)| Found::OtherMethods(pattern, methods, places))
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

/// What stands in `path` where the pattern has a place; `None` if it does not fit.
fn fit<'p>(pattern: &str, path: &'p str) -> Option<Places<'p>> {
    let (mut words, mut places) = (pattern.split('/'), Places::default());
    let mut rest = Some(path);
    loop {
        let (word, left) = match (words.next(), rest) {
            (None, None) => return Some(places),
            (Some(word), Some(left)) => (word, left),
            _ => return None,
        };
        if word.starts_with('*') {
            places.texts.push(left);
            return (!left.is_empty()).then_some(places);
        }
        let (segment, behind) = left.split_once('/').map_or((left, None), |(segment, rest)| (segment, Some(rest)));
        match word.strip_prefix(':') {
            Some("id") => places.numbers.push(segment.parse().ok()?),
            Some(_) if segment.is_empty() => return None,
            Some(_) => places.texts.push(segment),
            None if word == segment => {}
            None => return None,
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn on(method: Method, pattern: &'static str, answer: u8) -> Endpoint<u8> {
        Endpoint { method, pattern, answer }
    }

    const TABLE: [Endpoint<u8>; 8] = [
        on(Method::Post, "things/new", 1),
        on(Method::Get, "things/:id", 2),
        on(Method::Put, "things/:id", 3),
        on(Method::Get, "things/:id/parts/:id", 4),
        on(Method::Delete, "things/:id/parts/:id", 5),
        on(Method::Get, "/-/health", 6),
        on(Method::Get, "files/:id/:kind/*path", 7),
        on(Method::Post, "files/:name", 8),
    ];

    fn found(method: Method, path: &str) -> String {
        match find(&TABLE, method, path) {
            Found::Endpoint(endpoint, Places { numbers, texts }) if texts.is_empty() => {
                format!("{} {numbers:?}", endpoint.answer)
            }
            Found::Endpoint(endpoint, Places { numbers, texts }) => {
                format!("{} {numbers:?} {texts:?}", endpoint.answer)
            }
            Found::OtherMethods(pattern, methods, Places { numbers: ids, .. }) => {
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
            (Method::Get, "files/4/raw/a/b.txt", "7 [4] [\"raw\", \"a/b.txt\"]"),
            (Method::Get, "files/4/raw/%2e%2e//", "7 [4] [\"raw\", \"%2e%2e//\"]"),
            (Method::Put, "files/4/raw/a", "files/:id/:kind/*path takes GET, HEAD [4]"),
            (Method::Get, "files/4/raw/", "nothing"),
            (Method::Get, "files/4/raw", "nothing"),
            (Method::Get, "files/4//a", "nothing"),
            (Method::Get, "files/x/raw/a", "nothing"),
            (Method::Post, "files/any name", "8 [] [\"any name\"]"),
            (Method::Post, "files/", "nothing"),
        ] {
            assert_eq!(found(method, path), expected, "{method:?} {path}");
        }
        assert_eq!(
            patterns(&TABLE),
            ["things/new", "things/:id", "things/:id/parts/:id", "/-/health", "files/:id/:kind/*path", "files/:name"]
        );
    }
}
