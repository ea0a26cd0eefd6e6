//! Variables of a project.

use crate::domain::project_variable::ProjectVariable;
use serde_json::{Value, json};

/// A variable with its value.
pub fn variable(it: &ProjectVariable) -> Value {
    json!({
        "key": it.key,
        "value": it.value,
        "variable_type": if it.is_file { "file" } else { "env_var" },
        "protected": it.is_protected,
        "masked": it.is_masked,
        "hidden": false,
        "raw": it.is_raw,
        "environment_scope": "*",
        "description": it.description,
    })
}
