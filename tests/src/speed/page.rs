//! Writes the table of docs/speed.md, as `cargo speed` prints it.

use super::race::{Race, Run};
use crate::table::table;

/// The headings of the columns.
pub const HEAD: [&str; 8] = [
    "images",
    "accounts each",
    "account by account",
    "batched",
    "ami-share",
    "as fast as account by account",
    "as fast as batched",
    "calls of the three",
];

/// One row for each race, as Markdown.
pub fn races(races: &[Race]) -> String {
    let row = |race: &Race| {
        let Race { images, accounts, account_by_account, batched, ami_share } = race;
        let runs = [account_by_account, batched, ami_share];
        let start = [images.to_string(), accounts.to_string()];
        let seconds = runs.map(|run| format!("{:.1} s", run.seconds));
        let faster = [account_by_account, batched].map(|script| times(script.seconds / ami_share.seconds));
        let calls = runs.map(|run| format!("{:.0}", run.calls)).join(", ");
        start.into_iter().chain(seconds).chain(faster).chain([calls]).collect()
    };
    table(&HEAD.map(str::to_owned), &races.iter().map(row).collect::<Vec<_>>())
}

/// How much longer the first share of a stack takes than a later one of the same size.
pub fn cold(first: &Run, races: &[Race]) -> Option<String> {
    let warm = races.iter().find(|race| (race.images, race.accounts) == (1, 1))?.ami_share;
    Some(format!(
        "The first share, for which every function starts its process: {:.1} s, {} as long as the same once they run.\n",
        first.seconds,
        times(first.seconds / warm.seconds)
    ))
}

/// A ratio, rounded to its significant digits.
fn times(ratio: f64) -> String {
    if ratio >= 10.0 { format!("{ratio:.0} ×") } else { format!("{ratio:.1} ×") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seconds: f64, calls: f64) -> Run {
        Run { seconds, calls }
    }

    fn race() -> Race {
        Race {
            images: 1,
            accounts: 1,
            account_by_account: run(20.0, 401.0),
            batched: run(0.5, 5.0),
            ami_share: run(1.0, 49.0),
        }
    }

    #[test]
    fn a_row_says_how_many_times_as_fast_ami_share_is() {
        let table = races(&[race()]);
        assert_eq!(
            table.lines().last(),
            Some("| 1 | 1 | 20.0 s | 0.5 s | 1.0 s | 20 × | 0.5 × | 401, 5, 49 |")
        );
    }

    #[test]
    fn a_cold_start_is_compared_with_the_same_share() {
        assert!(cold(&run(1.5, 49.0), &[race()]).unwrap().contains("1.5 s, 1.5 × as long"));
        assert_eq!(cold(&run(1.5, 49.0), &[]), None);
    }
}
