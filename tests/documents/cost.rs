//! Keeps docs/cost.md in step with the prices, and with what the template and the code have.

use ami_share_tests::cost::prices::Item;
use ami_share_tests::cost::{page, watched};

use crate::files::text;
use crate::markdown::rows;

const PAGE: &str = "docs/cost.md";
/// Amounts and dollars are rounded on the page.
const ROUNDING: f64 = 0.05;

/// The dollars of a service for each hub.
fn dollars(service: &str) -> Vec<f64> {
    let table = rows(&text(PAGE), "## A month, in dollars");
    let row = table.iter().find(|row| row[0] == service);
    let row = row.unwrap_or_else(|| panic!("{PAGE} has no costs of {service}"));
    row[1..].iter().map(|cell| number(cell)).collect()
}

fn number(cell: &str) -> f64 {
    cell.replace(['*', ','], "").parse().unwrap_or_else(|_| panic!("`{cell}` is no number"))
}

#[test]
fn the_page_of_costs_has_the_prices_that_the_code_has() {
    assert!(text(PAGE).contains(&page::prices()), "run `cargo cost` and put its tables into {PAGE}");
}

#[test]
fn the_page_of_costs_counts_the_metrics_alarms_and_dashboards_that_there_are() {
    let watched = watched::watched().unwrap();
    let said = format!(
        "{} metrics, {} alarms and {} dashboard",
        watched.metrics, watched.alarms, watched.dashboards
    );
    assert!(
        text(PAGE).contains(&said),
        "run `cargo cost` and put its tables into {PAGE}: there are {said} now"
    );
    let amounts = rows(&text(PAGE), "## What a month uses");
    for (item, count) in [(Item::Alarm, watched.alarms), (Item::Dashboard, watched.dashboards)] {
        let row = amounts.iter().find(|row| row[0].ends_with(item.price().unit)).unwrap();
        assert!(row[1..].iter().all(|cell| number(cell) == f64::from(count)), "{row:?}");
    }
}

#[test]
fn the_dollars_on_the_page_of_costs_are_what_its_amounts_cost() {
    let amounts = rows(&text(PAGE), "## What a month uses");
    let mut sums = [0.0; page::IMAGES.len()];
    for service in Item::ALL.map(|item| item.price().service) {
        let items = Item::ALL.into_iter().filter(|item| item.price().service == service);
        let mut costs = [0.0; page::IMAGES.len()];
        for item in items {
            let name = format!("{service}: {}", item.price().unit);
            let row = amounts.iter().find(|row| row[0] == name);
            let row = row.unwrap_or_else(|| panic!("{PAGE} has no amounts of {name}"));
            for (cost, cell) in costs.iter_mut().zip(&row[1..]) {
                *cost += item.cost(number(cell));
            }
        }
        for (cost, said) in costs.iter().zip(dollars(service)) {
            assert!((cost - said).abs() < ROUNDING, "{service} costs {cost}, and {PAGE} says {said}");
        }
    }
    let services: std::collections::BTreeSet<&str> = Item::ALL.map(|item| item.price().service).into();
    for service in services {
        for (sum, cost) in sums.iter_mut().zip(dollars(service)) {
            *sum += cost;
        }
    }
    for (sum, said) in sums.iter().zip(dollars("**all**")) {
        assert!((sum - said).abs() < ROUNDING, "the services cost {sum}, and {PAGE} says {said}");
    }
}
