//! Lambda entry point of `report-usage`; what it does is in `lib.rs`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    ami_share_lambda::run::<report_usage::ReportUsage>().await
}
