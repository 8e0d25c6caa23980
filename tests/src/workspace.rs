//! Where things are in this checkout.

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo builds, and where everything that is installed lives.
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

/// Where the whole flows write down which permissions they used.
pub fn permission_record() -> PathBuf {
    target().join("permissions-used")
}

/// A path below the root, for the files that users see too.
pub fn file(path: &str) -> PathBuf {
    root().join(path)
}
