//! A variable that a project gives to its builds.
//!
//! What must stay true: `Debug` shows no value.

use super::build::{Variable, check_variable_name};
use super::{reserved, secret};
use std::fmt;

/// Bytes of a value.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a description.
const DESCRIPTION_BYTES_MAX: usize = 255;

/// See the module.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ProjectVariable {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether the build gets the name of a file with the value.
    pub is_file: bool,
    /// Whether its value is masked in logs, and shown nowhere else but to those who may change it.
    pub is_masked: bool,
    /// Whether nothing in it is expanded.
    pub is_raw: bool,
    /// Whether only builds of the default branch get it.
    pub is_protected: bool,
    /// What it is for; maybe empty.
    pub description: String,
}

impl fmt::Debug for ProjectVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=hidden", self.key)
    }
}

/// What is wrong with a variable, and with which part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongVariable {
    /// `key`, `value` or `description`.
    pub part: &'static str,
    /// A sentence without the value.
    pub why: String,
}

impl ProjectVariable {
    /// Checks what can be checked without others.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self) -> Result<(), WrongVariable> {
        let wrong = |part, why: String| Err(WrongVariable { part, why });
        if let Err(why) = check_variable_name(&self.key).and_then(|()| reserved::check_names([self.key.as_str()])) {
            return wrong("key", why);
        }
        let (name, bytes) = (&self.key, self.value.len());
        if bytes > VALUE_BYTES_MAX {
            return wrong(
                "value",
                format!("the value of {name} has {bytes} bytes; at most {VALUE_BYTES_MAX} are allowed"),
            );
        }
        if self.value.contains('\0') {
            return wrong("value", format!("the value of {name} has a NUL byte, which no program takes"));
        }
        if self.is_masked && secret::is_short(&self.value) {
            let least = secret::BYTES_MIN;
            return wrong("value", format!("the value of {name} is too short to be masked: {least} bytes at least"));
        }
        if self.description.len() > DESCRIPTION_BYTES_MAX || self.description.contains(char::is_control) {
            let why = format!("a description is one line of {DESCRIPTION_BYTES_MAX} bytes at most");
            return wrong("description", why);
        }
        Ok(())
    }
}

impl From<ProjectVariable> for Variable {
    fn from(own: ProjectVariable) -> Variable {
        let ProjectVariable { key, value, is_file, is_masked, is_raw, .. } = own;
        Variable { public: !is_masked, file: is_file, expand: !is_raw && !is_file, ..Variable::public(key, value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_variable_is_refused_without_its_value() {
        let good =
            ProjectVariable { key: "TOKEN".into(), value: "hunter2hunter2".into(), ..ProjectVariable::default() };
        assert_eq!(good.check(), Ok(()));
        type Spoil = fn(&mut ProjectVariable);
        let cases: [(&str, Spoil); 6] = [
            ("key", |it| it.key = "1A".into()),
            ("key", |it| it.key = "CI_JOB_TOKEN".into()),
            ("value", |it| it.value = "hunter2\0".into()),
            ("value", |it| it.value = "hunter2".repeat(10_000)),
            ("value", |it| (it.is_masked, it.value) = (true, "hunter2".into())),
            ("description", |it| it.description = "a\nb".into()),
        ];
        for (part, spoil) in cases {
            let mut bad = good.clone();
            spoil(&mut bad);
            let wrong = bad.check().unwrap_err();
            assert!(wrong.part == part && !wrong.why.contains("hunter2"), "{wrong:?}");
        }
        assert_eq!(format!("{good:?}"), "TOKEN=hidden");
    }
}
