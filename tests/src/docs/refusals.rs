//! The table of refusals in docs/troubleshooting.md.

use ami_share_domain::refusal::{RefusalCode, RefusalReason};
use strum::IntoEnumIterator;

use super::markdown::{self, code};

/// Every code, with an example of each of its reasons. Several reasons at once are no reason of their own.
pub fn table() -> String {
    let mut examples = RefusalReason::examples();
    examples.retain(|reason| !matches!(reason, RefusalReason::Several { .. }));
    let row = |refusal: RefusalCode| {
        let of_this = examples.iter().filter(|reason| reason.code() == refusal);
        let said: Vec<String> = of_this.map(|reason| code(&reason.to_string())).collect();
        vec![code(refusal.into()), said.join("<br>"), refusal.remedy().to_owned()]
    };
    let rows: Vec<Vec<String>> = RefusalCode::iter().map(row).collect();
    markdown::table(&["code", "what the status says after `refused:`, for example", "remedy"], &rows)
}
