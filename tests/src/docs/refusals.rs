//! The table of refusals in docs/troubleshooting.md.

use ami_share_domain::refusal::RefusalCode;
use strum::IntoEnumIterator;

use super::markdown::{self, code};

/// Every code, in the order of the code.
pub fn table() -> String {
    let row = |refusal: RefusalCode| {
        let said: Vec<String> = refusal.says().iter().map(|text| code(text)).collect();
        vec![code(refusal.into()), said.join("<br>"), refusal.remedy().to_owned()]
    };
    let rows: Vec<Vec<String>> = RefusalCode::iter().map(row).collect();
    markdown::table(&["code", "what the status says after `refused:`", "remedy"], &rows)
}
