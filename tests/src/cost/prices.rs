//! The prices of `us-east-1`: what AWS bills, in which unit, and where the price was found. No other file has prices.
//!
//! AWS's price pages fill in most of their numbers in the browser, so a stored copy rarely has them. Where it has none,
//! the price is from a page that quotes it, or was not looked up, and is marked so.

/// When the prices were looked up.
pub const RETRIEVED_ON: &str = "2026-11-22";

/// Something that AWS bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A state that an execution of a Standard workflow enters, retries included.
    Transition,
    /// An invocation of a function.
    Invocation,
    /// A function's time multiplied by its memory, in GB seconds, on arm64.
    ComputeTime,
    /// 1 KB written to a table on demand.
    WriteUnit,
    /// 4 KB read from a table on demand, strongly consistent.
    ReadUnit,
    /// A GB that a table holds for a month.
    TableStorage,
    /// A GB that can be restored to any point in time, for a month.
    TableBackup,
    /// An event of our own that is put on a bus, in units of 64 KB.
    Event,
    /// A schedule of EventBridge Scheduler that starts something.
    ScheduledStart,
    /// A message that is published to a topic, in units of 64 KB.
    Message,
    /// A request to KMS.
    KeyRequest,
    /// A `PUT` or `LIST` of S3.
    ObjectWrite,
    /// A `GET` of S3.
    ObjectRead,
    /// A GB in S3 for a month.
    ObjectStorage,
    /// A request to SQS.
    QueueRequest,
    /// A metric that has values, for a month; one that has none in an hour costs nothing for that hour.
    Metric,
    /// An alarm on one metric, for a month.
    Alarm,
    /// A dashboard for a month.
    Dashboard,
    /// A GB that is written to logs.
    LogIntake,
    /// A GB that logs store for a month.
    LogStorage,
}

/// Where a price was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// On AWS's price page itself.
    OnThePage,
    /// On another page, which quotes AWS's.
    Quoted(&'static str),
    /// Nowhere: it is from memory.
    NotRetrieved,
}

/// What one [`Item`] costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// The service on the bill.
    pub service: &'static str,
    /// The dollars for
    pub dollars: f64,
    /// this many
    pub per: f64,
    /// of this unit.
    pub unit: &'static str,
    /// AWS's price page.
    pub page: &'static str,
    /// Where the price was found.
    pub found: Found,
}

impl Item {
    /// All of them, in the order of a bill.
    pub const ALL: [Self; 20] = [
        Self::Transition,
        Self::Invocation,
        Self::ComputeTime,
        Self::WriteUnit,
        Self::ReadUnit,
        Self::TableStorage,
        Self::TableBackup,
        Self::Event,
        Self::ScheduledStart,
        Self::Message,
        Self::KeyRequest,
        Self::ObjectWrite,
        Self::ObjectRead,
        Self::ObjectStorage,
        Self::QueueRequest,
        Self::Metric,
        Self::Alarm,
        Self::Dashboard,
        Self::LogIntake,
        Self::LogStorage,
    ];

    /// What it costs.
    pub fn price(self) -> Price {
        match self {
            Self::Transition => step_functions(0.025, 1e3, "state transitions"),
            Self::Invocation => lambda(0.20, 1e6, "invocations"),
            Self::ComputeTime => lambda(13.3334, 1e6, "GB seconds on arm64"),
            Self::WriteUnit => dynamodb(0.625, 1e6, "write request units", Found::Quoted(AIRBYTE)),
            Self::ReadUnit => dynamodb(0.125, 1e6, "read request units", Found::Quoted(AIRBYTE)),
            Self::TableStorage => dynamodb(0.25, 1.0, "GB a month", Found::NotRetrieved),
            Self::TableBackup => dynamodb(0.20, 1.0, "GB a month, restorable", Found::NotRetrieved),
            Self::Event => eventbridge(1.00, 1e6, "custom events of 64 KB"),
            Self::ScheduledStart => eventbridge(1.00, 1e6, "starts by Scheduler"),
            Self::Message => price(
                "SNS",
                0.50,
                1e6,
                "messages of 64 KB",
                "https://aws.amazon.com/sns/pricing/",
                FACTUALMINDS_SNS,
            ),
            Self::KeyRequest => price(
                "KMS",
                0.03,
                1e4,
                "requests",
                "https://aws.amazon.com/kms/pricing/",
                Found::Quoted(CLOUDBURN_KMS),
            ),
            Self::ObjectWrite => s3(0.005, 1e3, "PUT and LIST requests"),
            Self::ObjectRead => s3(0.0004, 1e3, "GET requests"),
            Self::ObjectStorage => s3(0.023, 1.0, "GB a month"),
            Self::QueueRequest => price(
                "SQS",
                0.40,
                1e6,
                "requests",
                "https://aws.amazon.com/sqs/pricing/",
                Found::NotRetrieved,
            ),
            Self::Metric => cloudwatch(0.30, "metric a month", Found::Quoted(FACTUALMINDS_CLOUDWATCH)),
            Self::Alarm => cloudwatch(0.10, "alarm a month", Found::NotRetrieved),
            Self::Dashboard => cloudwatch(3.00, "dashboard a month", Found::Quoted(FACTUALMINDS_CLOUDWATCH)),
            Self::LogIntake => cloudwatch(0.50, "GB written to logs", Found::Quoted(FACTUALMINDS_CLOUDWATCH)),
            Self::LogStorage => cloudwatch(0.03, "GB of logs a month", Found::NotRetrieved),
        }
    }

    /// What `amount` of it costs, in dollars.
    pub fn cost(self, amount: f64) -> f64 {
        let Price { dollars, per, .. } = self.price();
        amount / per * dollars
    }
}

const AIRBYTE: &str = "https://airbyte.com/data-engineering-resources/dynamodb-pricing";
const CLOUDBURN_EVENTBRIDGE: &str = "https://cloudburn.io/blog/amazon-eventbridge-pricing";
const CLOUDBURN_KMS: &str = "https://cloudburn.io/blog/aws-kms-pricing";
const FACTUALMINDS_CLOUDWATCH: &str =
    "https://www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards/";
const FACTUALMINDS_SNS: Found =
    Found::Quoted("https://www.factualminds.com/blog/amazon-sns-pricing-publishes-fanout-protocols/");
const CLOUDCHIPR: &str = "https://cloudchipr.com/blog/aws-lambda-pricing";
const DEVNOTES: &str =
    "https://devnotes.tech/understanding-aws-s3-pricing-a-complete-cost-breakdown-with-examples";

fn step_functions(dollars: f64, per: f64, unit: &'static str) -> Price {
    let page = "https://aws.amazon.com/step-functions/pricing/";
    price("Step Functions", dollars, per, unit, page, Found::OnThePage)
}

fn lambda(dollars: f64, per: f64, unit: &'static str) -> Price {
    price("Lambda", dollars, per, unit, "https://aws.amazon.com/lambda/pricing/", Found::Quoted(CLOUDCHIPR))
}

fn dynamodb(dollars: f64, per: f64, unit: &'static str, found: Found) -> Price {
    price("DynamoDB", dollars, per, unit, "https://aws.amazon.com/dynamodb/pricing/on-demand/", found)
}

fn eventbridge(dollars: f64, per: f64, unit: &'static str) -> Price {
    let page = "https://aws.amazon.com/eventbridge/pricing/";
    price("EventBridge", dollars, per, unit, page, Found::Quoted(CLOUDBURN_EVENTBRIDGE))
}

fn s3(dollars: f64, per: f64, unit: &'static str) -> Price {
    price("S3", dollars, per, unit, "https://aws.amazon.com/s3/pricing/", Found::Quoted(DEVNOTES))
}

fn cloudwatch(dollars: f64, unit: &'static str, found: Found) -> Price {
    price("CloudWatch", dollars, 1.0, unit, "https://aws.amazon.com/cloudwatch/pricing/", found)
}

fn price(
    service: &'static str,
    dollars: f64,
    per: f64,
    unit: &'static str,
    page: &'static str,
    found: Found,
) -> Price {
    Price { service, dollars, per, unit, page, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_costs_its_share_of_the_price() {
        assert_eq!(Item::Transition.cost(4_000.0), 0.1);
        assert_eq!(Item::Event.cost(500_000.0), 0.5);
        assert_eq!(Item::Dashboard.cost(1.0), 3.0);
    }

    #[test]
    fn every_item_has_a_price_and_appears_once_in_the_order_of_the_bill() {
        assert!(Item::ALL.is_sorted_by(|one, next| one < next));
        for item in Item::ALL {
            let Price { dollars, per, page, .. } = item.price();
            assert!(dollars > 0.0 && per > 0.0 && page.starts_with("https://aws.amazon.com/"), "{item:?}");
        }
    }
}
