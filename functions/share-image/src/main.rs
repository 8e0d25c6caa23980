//! Lambda entry point of `share-image`; what it does is in `lib.rs`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    ami_share_lambda::run::<share_image::ShareImage>().await
}
