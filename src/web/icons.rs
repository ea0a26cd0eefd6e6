//! The shapes of states. Each page has them once, and uses them by name.

use super::states::Look;
use maud::{Markup, PreEscaped, html};

/// All shapes.
const SPRITE: &str = include_str!("assets/icons.svg");

/// The shapes, for the begin of a page.
pub fn sprite() -> Markup {
    PreEscaped(SPRITE.trim_end().to_owned())
}

/// A state's shape, which says the state to those who do not see it.
pub fn said(look: Look) -> Markup {
    named(look, look.word)
}

/// The same with other words.
pub fn named(look: Look, words: &str) -> Markup {
    html! {
        svg class={ "i " (look.class) (turn(look)) } role="img" aria-label=(words) {
            title { (words) }
            (shape(look.shape))
        }
    }
}

/// A state's shape where the state is said in words beside it.
pub fn silent(look: Look) -> Markup {
    html! {
        svg class={ "i " (look.class) (turn(look)) } aria-hidden="true" { (shape(look.shape)) }
    }
}

/// A shape by its name.
pub fn shape(name: &str) -> Markup {
    html! { use href={ "#" (name) } {} }
}

/// A state's shape with its word.
pub fn state(look: Look) -> Markup {
    html! { span class={ "st " (look.class) } { (silent(look)) (look.word) } }
}

fn turn(look: Look) -> &'static str {
    if look.shape == "run" { " turn" } else { "" }
}
