//! Lambda entry point of `extend-key-policy`; what it does is in `lib.rs`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    ami_share_lambda::run::<extend_key_policy::ExtendKeyPolicy>().await
}
