//! What people write: the tags of an image, and the selectors in them.

pub mod selector;
pub mod share_tags;
