//! The table of metrics in docs/observability.md.

use ami_share_domain::metrics::Metric;
use strum::IntoEnumIterator;

use super::markdown::{self, code};

/// Every metric, in the order of the code.
pub fn table() -> String {
    let row = |metric: Metric| {
        let unit = metric.unit().name().to_lowercase();
        vec![code(metric.name()), unit, metric.meaning().to_owned()]
    };
    markdown::table(&["metric", "unit", "what it counts"], &Metric::iter().map(row).collect::<Vec<_>>())
}
