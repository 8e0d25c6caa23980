//! Lambda entry point of `schedule-expiry`; what it does is in `lib.rs`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    ami_share_lambda::run::<schedule_expiry::ScheduleExpiry>().await
}
