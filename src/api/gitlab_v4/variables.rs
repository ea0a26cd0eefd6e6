//! Variables of a project: list, show, make, change, remove. Values are shown to tokens that may change them.

use super::call::Call;
use super::denial::Denial;
use super::object::variable::variable;
use super::pages::{self, Asked};
use super::route::{Answered, Content, May, route, says};
use crate::api::Handler;
use crate::coordinator::Presence;
use crate::domain::project_variable::{ProjectVariable, WrongVariable};
use crate::error::Kind;
use crate::http::params::{Field, Params, Shape, text};
use crate::http::router::Endpoint;
use crate::http::{Method, Response};

/// The endpoints.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[
    route(
        Method::Get,
        "projects/:project/variables",
        May::Write,
        &[pages::PAGE, pages::PER_PAGE],
        list,
        says("The variables of a project, with their values", 200, Content::List("ProjectVariable")),
    ),
    route(
        Method::Post,
        "projects/:project/variables",
        May::Write,
        FIELDS,
        make,
        says("Gives a project a variable", 201, Content::Object("ProjectVariable")),
    ),
    route(
        Method::Get,
        "projects/:project/variables/:key",
        May::Write,
        &[],
        show,
        says("A variable of a project", 200, Content::Object("ProjectVariable")),
    ),
    route(
        Method::Put,
        "projects/:project/variables/:key",
        May::Write,
        FIELDS,
        change,
        says("Changes a variable of a project", 200, Content::Object("ProjectVariable")),
    ),
    route(
        Method::Delete,
        "projects/:project/variables/:key",
        May::Write,
        &[],
        remove,
        says("Removes a variable of a project", 204, Content::Nothing),
    ),
];

const fn flag(name: &'static str) -> Field {
    Field { name, shape: Shape::Flag }
}

const FIELDS: &[Field] = &[
    text("key"),
    text("value"),
    text("variable_type"),
    text("environment_scope"),
    text("description"),
    flag("masked"),
    flag("masked_and_hidden"),
    flag("protected"),
    flag("raw"),
];

fn wrong(WrongVariable { part, why }: WrongVariable) -> Denial {
    Denial::Value { field: part, why }
}

/// The variable with what is said of it in place of what is known.
fn changed(known: ProjectVariable, params: &Params) -> Result<ProjectVariable, Denial> {
    let is_file = match params.text("variable_type") {
        None | Some("") => known.is_file,
        Some("env_var") => false,
        Some("file") => true,
        Some(_) => return Err(Denial::invalid("variable_type")),
    };
    if params.text("environment_scope").is_some_and(|scope| !matches!(scope, "" | "*")) {
        let why = "must be `*`: a project's variables are for all environments".to_owned();
        return Err(Denial::Value { field: "environment_scope", why });
    }
    let is = |name: &str, known: bool| params.flag(name).unwrap_or(known);
    let said = |name: &str, known: String| params.text(name).map_or(known, str::to_owned);
    let new = ProjectVariable {
        is_file,
        is_masked: is("masked_and_hidden", is("masked", known.is_masked)),
        is_raw: is("raw", known.is_raw),
        is_protected: is("protected", known.is_protected),
        value: said("value", known.value),
        description: said("description", known.description),
        key: known.key,
    };
    new.check().map_err(wrong)?;
    Ok(new)
}

fn list(call: &mut Call<'_, '_>) -> Answered {
    let asked = Asked::numbered(call.params()?)?;
    let all = call.coordinator().project_variables(&call.project()?.name)?;
    let part = asked.cut(all).map(|one| variable(&one));
    Ok(asked.answer(call, &part).as_routine().into())
}

fn show(call: &mut Call<'_, '_>) -> Answered {
    let found = call.coordinator().project_variable(&call.project()?.name, &call.text()?)?;
    Ok(Response::json(200, &variable(&found)).as_routine().into())
}

fn make(call: &mut Call<'_, '_>) -> Answered {
    let params = call.params()?;
    let key = params.text("key").ok_or_else(|| Denial::missing("key"))?.to_owned();
    params.text("value").ok_or_else(|| Denial::missing("value"))?;
    let new = changed(ProjectVariable { key: key.clone(), ..ProjectVariable::default() }, params)?;
    let body = variable(&new);
    match call.coordinator().put_project_variable(&call.project()?.name, new, Presence::New) {
        Ok(()) => Ok(Response::json(201, &body).into()),
        Err(error) if error.kind == Kind::Conflict && error.message.contains("already") => {
            Err(Denial::Value { field: "key", why: format!("({key}) has already been taken") })
        }
        Err(error) => Err(error.into()),
    }
}

fn change(call: &mut Call<'_, '_>) -> Answered {
    let project = &call.project()?.name;
    let known = call.coordinator().project_variable(project, &call.text()?)?;
    let new = changed(known, call.params()?)?;
    let body = variable(&new);
    call.coordinator().put_project_variable(project, new, Presence::Known)?;
    Ok(Response::json(200, &body).into())
}

fn remove(call: &mut Call<'_, '_>) -> Answered {
    call.coordinator().remove_project_variable(&call.project()?.name, &call.text()?)?;
    Ok(Response::empty(204).into())
}
