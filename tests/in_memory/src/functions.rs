//! The functions of the share workflow, started as Lambda starts them.

use ami_share_lambda::{Clients, Environment, Function};
use extend_key_policy::ExtendKeyPolicy;
use lambda_runtime::{Context, Diagnostic};
use notify_targets::NotifyTargets;
use report_usage::ReportUsage;
use resolve_share::ResolveShare;
use schedule_expiry::ScheduleExpiry;
use serde_json::Value;
use share_image::ShareImage;

use ami_share_testkit::memory::HUB;

use crate::connection::Connection;

/// The table of the ledger.
pub const TABLE: &str = "ledger";
/// The ARN of the share workflow.
pub const SHARE_WORKFLOW: &str = "arn:aws:states:eu-west-1:111122223333:stateMachine:share";

/// The functions of the share workflow.
pub struct Functions {
    resolve: ResolveShare,
    schedule: ScheduleExpiry,
    extend: ExtendKeyPolicy,
    share: ShareImage,
    report: ReportUsage,
    notify: NotifyTargets,
}

/// Starts a function with the environment of `template.yaml`.
async fn start<F: Function>(name: &'static str, connection: &Connection) -> F {
    let variables = [
        ("DEAD_LETTER_QUEUE_ARN", "arn:aws:sqs:eu-west-1:111122223333:dead-letters"),
        ("EXPIRY_WARNING_DAYS", "7"),
        ("EXTERNAL_SHARES_NEED_UNTIL", "true"),
        ("HUB_ACCOUNT_ID", HUB),
        ("HUB_BUS_NAME", "ami-share"),
        ("LEDGER_TABLE", TABLE),
        ("MAKE_PUBLIC_IMAGES_PRIVATE", "false"),
        ("MAX_TARGETS_PER_IMAGE", "1000"),
        ("NOTIFICATION_TOPIC_ARN", "arn:aws:sns:eu-west-1:111122223333:notifications"),
        // What is read must be what is there: the runs share the process.
        ("ORGANIZATION_CACHE_SECONDS", "0"),
        ("SCHEDULE_GROUP", "ami-share"),
        ("SCHEDULE_ROLE_ARN", "arn:aws:iam::111122223333:role/schedules"),
        ("SHARE_WORKFLOW_ARN", SHARE_WORKFLOW),
        ("SHARING", "enabled"),
        ("STACK_NAME", "ami-share"),
        ("TARGET_BUS_NAME", "ami-share"),
        ("WARN_IF_IN_USE", "false"),
    ];
    let clients: Clients = connection.clients(name);
    let started = F::start(&Environment::of(&variables), &clients).await;
    match started {
        Ok(function) => function,
        Err(failure) => panic!("{name} does not start: {failure}"),
    }
}

impl Functions {
    /// Starts all of them.
    pub async fn start(connection: &Connection) -> Self {
        Self {
            resolve: start("resolve-share", connection).await,
            schedule: start("schedule-expiry", connection).await,
            extend: start("extend-key-policy", connection).await,
            share: start("share-image", connection).await,
            report: start("report-usage", connection).await,
            notify: start("notify-targets", connection).await,
        }
    }

    /// Invokes a function by the substitution that names it in the workflow.
    pub async fn invoke(&self, arn: &str, payload: &Value, id: &str) -> Result<Value, Diagnostic> {
        let mut context = Context::default();
        id.clone_into(&mut context.request_id);
        match arn {
            "${ResolveShareFunctionArn}" => invoke(&self.resolve, payload, &context).await,
            "${ScheduleExpiryFunctionArn}" => invoke(&self.schedule, payload, &context).await,
            "${ExtendKeyPolicyFunctionArn}" => invoke(&self.extend, payload, &context).await,
            "${ShareImageFunctionArn}" => invoke(&self.share, payload, &context).await,
            "${ReportUsageFunctionArn}" => invoke(&self.report, payload, &context).await,
            "${NotifyTargetsFunctionArn}" => invoke(&self.notify, payload, &context).await,
            other => panic!("the workflow invokes {other}, which is not known here"),
        }
    }
}

async fn invoke<F: Function>(function: &F, payload: &Value, context: &Context) -> Result<Value, Diagnostic> {
    let (_, answer) = ami_share_lambda::invoke(function, payload, context).await;
    answer.map(|answer| serde_json::to_value(answer).unwrap_or_default())
}
