//! Lambda entry point of `review-shares`; what it does is in `lib.rs`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    ami_share_lambda::run::<review_shares::ReviewShares>().await
}
