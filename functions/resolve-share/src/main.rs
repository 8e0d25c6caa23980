//! Lambda entry point of `resolve-share`; what it does is in `lib.rs`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    ami_share_lambda::run::<resolve_share::ResolveShare>().await
}
