//! What is billed by the month: the alarms and dashboards of the template, and the metrics of the code.

use ami_share_domain::metrics::Metric;
use anyhow::Result;
use strum::IntoEnumIterator;

use super::month::Watched;
use crate::template::Template;

/// What the template and the code of this checkout have.
pub fn watched() -> Result<Watched> {
    let template = Template::read()?;
    let of_type = |name: &str| template.resources(name).map(|resources| count(resources.len()));
    Ok(Watched {
        // A metric without dimensions is one metric.
        metrics: of_type("AWS::Logs::MetricFilter")? + count(Metric::iter().count()),
        alarms: of_type("AWS::CloudWatch::Alarm")?,
        dashboards: of_type("AWS::CloudWatch::Dashboard")?,
    })
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
