//! Lambda entry point of `notify-targets`; what it does is in `lib.rs`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    ami_share_lambda::run::<notify_targets::NotifyTargets>().await
}
