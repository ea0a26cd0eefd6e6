//! Variables that people give a pipeline or a job, as a list of objects.

use super::denial::Denial;
use crate::gitlab_ci::context::Given;
use crate::http::params::{Field, Params, Shape};

/// Of which shape the list is.
pub const LIST: Shape = Shape::Objects(&["key", "value", "variable_type"]);

/// The variables in a list of this field.
///
/// # Errors
/// 400 for one without a name, and for a type that is none.
pub fn listed(params: &Params, field: Field) -> Result<Vec<Given>, Denial> {
    let list = field.name;
    let mut all = Vec::new();
    for (place, entry) in params.objects(list).iter().enumerate() {
        let member = |name: &str| entry.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str());
        let key = member("key").ok_or_else(|| Denial::missing(&format!("{list}[{place}][key]")))?;
        let file = match member("variable_type") {
            None | Some("" | "env_var") => false,
            Some("file") => true,
            Some(_) => return Err(Denial::invalid(&format!("{list}[{place}][variable_type]"))),
        };
        all.push(Given { file, raw: file, ..Given::public(key, member("value").unwrap_or_default()) });
    }
    Ok(all)
}
