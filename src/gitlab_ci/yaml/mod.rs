//! YAML as GitLab reads it: version 1.1 with the rules of Ruby's loader.
//!
//! What must stay true: a merge key counts where it is written; of a key that is written twice the last counts, with a
//! warning; each value knows its file, line and column; and nothing is built before it is known to be within the bounds.

mod load;
mod node;
mod render;
mod scalar;

pub use load::{DEPTH_MAX, Documents, FILE_BYTES_MAX, LoadError, NODES_MAX, load};
pub use node::{Entry, Map, Node, Place, Yaml};
pub use render::{to_json, to_yaml};
