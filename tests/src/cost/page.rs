//! Writes the tables of docs/cost.md, as `cargo cost` prints them.

use std::collections::BTreeMap;

use super::life::SHARED;
use super::month::{LifeEvent, Month};
use super::prices::{Found, Item, Price};
use super::usage::Usage;
use crate::table::table;

/// The sizes of the hubs that the tables show, in images.
pub const IMAGES: [u32; 3] = [10, 100, 1_000];

/// All tables, as Markdown.
pub fn tables(month: &Month) -> String {
    let titled = [
        ("A month, in dollars", costs(month)),
        ("What happens to an image", life_events(&month.life_events)),
        ("What a review uses", reviews(month)),
        ("What a month uses", amounts(month)),
        ("Prices", prices()),
    ];
    titled.map(|(title, table)| format!("## {title}\n\n{table}")).join("\n")
}

/// By service, the most expensive of the largest hub first.
fn costs(month: &Month) -> String {
    let hubs = IMAGES.map(|images| month.of(images));
    let by_service: Vec<BTreeMap<&str, f64>> = hubs.iter().map(Usage::cost_by_service).collect();
    let of = |service: &str| -> Vec<f64> {
        by_service.iter().map(|costs| costs.get(service).copied().unwrap_or_default()).collect()
    };
    let mut services = Item::ALL.map(|item| item.price().service).to_vec();
    services.sort_unstable();
    services.dedup();
    services.sort_by(|one, other| of(other).last().unwrap_or(&0.0).total_cmp(of(one).last().unwrap_or(&0.0)));
    let mut rows: Vec<Vec<String>> = services
        .into_iter()
        .map(|service| [service.to_owned()].into_iter().chain(of(service).into_iter().map(dollars)).collect())
        .collect();
    let totals = hubs.iter().map(|usage| format!("**{}**", dollars(usage.cost())));
    rows.push(["**all**".to_owned()].into_iter().chain(totals).collect());
    let each = hubs.iter().zip(IMAGES).map(|(usage, images)| dollars(usage.cost() / f64::from(images)));
    rows.push(["for each image".to_owned()].into_iter().chain(each).collect());
    let watching = IMAGES.map(|images| dollars(month.watching(images).cost()));
    rows.push(["for metrics, alarms and dashboard".to_owned()].into_iter().chain(watching).collect());
    let head = ["service".to_owned()].into_iter().chain(IMAGES.map(images));
    table(&head.collect::<Vec<_>>(), &rows)
}

fn life_events(life_events: &[LifeEvent]) -> String {
    let head = [
        "what happens",
        "times a month",
        "reconciliations",
        "invocations",
        "calls",
        "compared with a share",
        "transitions",
        "write units",
        "read units",
        "events",
        "KMS",
        "dollars for 1,000",
    ];
    let share = life_events.iter().find(|event| event.name == SHARED).map_or(1.0, |event| event.calls);
    let row = |event: &LifeEvent| {
        let LifeEvent { name, times, reconciliations, calls, usage } = event;
        let items = [Item::Transition, Item::WriteUnit, Item::ReadUnit, Item::Event, Item::KeyRequest];
        let used = items.map(|item| amount(usage.of(item)));
        let start = [
            (*name).to_owned(),
            amount(*times),
            amount(*reconciliations),
            amount(usage.of(Item::Invocation)),
            amount(*calls),
            format!("{:.0} %", calls / share * 100.0),
        ];
        start.into_iter().chain(used).chain([dollars(usage.cost() * 1_000.0)]).collect()
    };
    table(&head.map(str::to_owned), &life_events.iter().map(row).collect::<Vec<_>>())
}

fn reviews(month: &Month) -> String {
    let head =
        ["images", "invocations", "transitions", "read units", "KMS", "S3 requests", "dollars for 1,000"];
    let row = |images: u32| {
        let usage = month.review.of(images);
        let requests = usage.of(Item::ObjectWrite) + usage.of(Item::ObjectRead);
        let used = [Item::Invocation, Item::Transition, Item::ReadUnit, Item::KeyRequest]
            .map(|item| amount(usage.of(item)));
        let start = [grouped(images)].into_iter().chain(used);
        start.chain([amount(requests), dollars(usage.cost() * 1_000.0)]).collect()
    };
    table(&head.map(str::to_owned), &IMAGES.map(row))
}

fn amounts(month: &Month) -> String {
    let hubs = IMAGES.map(|images| month.of(images));
    let row = |item: Item| {
        let Price { service, unit, .. } = item.price();
        let start = [format!("{service}: {unit}")];
        start.into_iter().chain(hubs.iter().map(|usage| amount(usage.of(item)))).collect()
    };
    let head = ["what".to_owned()].into_iter().chain(IMAGES.map(images));
    table(&head.collect::<Vec<_>>(), &Item::ALL.map(row))
}

/// What each item costs and where that was found.
pub fn prices() -> String {
    let row = |item: Item| {
        let Price { service, dollars, per, unit, page, found } = item.price();
        let per = if per > 1.0 { format!("{} {unit}", amount(per)) } else { unit.to_owned() };
        let found = match found {
            Found::OnThePage => "there".to_owned(),
            Found::Quoted(by) => format!("quoted [elsewhere]({by})"),
            Found::NotRetrieved => "not looked up".to_owned(),
        };
        vec![format!("[{service}]({page})"), format!("${dollars}"), per, found]
    };
    table(&["service", "dollars", "for", "found"].map(str::to_owned), &Item::ALL.map(row))
}

fn images(count: u32) -> String {
    format!("{} images", grouped(count))
}

/// To the cent.
fn dollars(amount: f64) -> String {
    format!("{amount:.2}")
}

/// Whole where it is large or whole, else with the digits that say something.
fn amount(amount: f64) -> String {
    if amount >= 10.0 || amount.fract().abs() < 0.005 {
        return grouped(amount.round() as u32);
    }
    let digits = if amount < 0.01 { 4 } else { 1 + usize::from(amount < 1.0) };
    format!("{amount:.digits$}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn grouped(count: u32) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_with_the_digits_that_say_something() {
        let written = [0.0, 0.0004, 0.25, 1.5, 6.97, 12.6, 1_234_567.0].map(amount);
        assert_eq!(written, ["0", "0", "0.25", "1.5", "7", "13", "1,234,567"]);
    }
}
