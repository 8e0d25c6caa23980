//! Paths in this checkout.

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The folder of cargo's builds, and of everything that the tests install.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}

/// The folder of the functions' binaries.
pub fn binaries() -> PathBuf {
    target().join("debug")
}

/// The folder in which the whole flows record the permissions that they use.
pub fn permission_record() -> PathBuf {
    target().join("permissions-used")
}

/// The path of a file of the checkout.
pub fn file(path: &str) -> PathBuf {
    root().join(path)
}
