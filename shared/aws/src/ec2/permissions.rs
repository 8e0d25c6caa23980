//! Launch permissions of images and create-volume permissions of snapshots.

mod reader;
mod writer;

pub use self::reader::{PermissionReader, Shown};
pub use self::writer::{AcceptedPermissions, Applied, PermissionWriter, RejectedPermission};
