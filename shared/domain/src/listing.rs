//! Names in a sentence: the first few, and how many more there are.

/// `a, b and 3 more`: at most `at_most` names.
pub(crate) fn some_of<T: ToString>(names: impl IntoIterator<Item = T>, at_most: usize) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let (named, more) = names.split_at(names.len().min(at_most));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", named.join(", "))
}
