//! How much is used of what AWS bills: amounts that add up, and what they cost.

use std::collections::BTreeMap;
use std::ops::{Add, Mul, Sub};

use super::prices::Item;

/// The amount of each item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage(BTreeMap<Item, f64>);

impl Usage {
    /// The same with `amount` more of `item`.
    #[must_use]
    pub fn with(mut self, item: Item, amount: f64) -> Self {
        *self.0.entry(item).or_default() += amount;
        self
    }

    /// How much is used of `item`.
    pub fn of(&self, item: Item) -> f64 {
        self.0.get(&item).copied().unwrap_or_default()
    }

    /// What all of it costs, in dollars.
    pub fn cost(&self) -> f64 {
        self.0.iter().map(|(item, amount)| item.cost(*amount)).sum()
    }

    /// What it costs by service, in dollars.
    pub fn cost_by_service(&self) -> BTreeMap<&'static str, f64> {
        let mut costs = BTreeMap::new();
        for (item, amount) in &self.0 {
            *costs.entry(item.price().service).or_default() += item.cost(*amount);
        }
        costs
    }

    /// The same without amounts below zero, which a difference of two measurements can have.
    #[must_use]
    pub fn at_least_nothing(self) -> Self {
        Self(self.0.into_iter().map(|(item, amount)| (item, amount.max(0.0))).collect())
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        other.0.into_iter().fold(self, |sum, (item, amount)| sum.with(item, amount))
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + other * -1.0
    }
}

impl Mul<f64> for Usage {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        Self(self.0.into_iter().map(|(item, amount)| (item, amount * times)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_add_up_item_by_item_and_cost_what_the_items_cost() {
        let one = Usage::default().with(Item::Transition, 10.0).with(Item::Event, 2.0);
        let other = Usage::default().with(Item::Transition, 5.0);
        let sum = one.clone() + other.clone() * 2.0;
        assert_eq!((sum.of(Item::Transition), sum.of(Item::Event), sum.of(Item::Alarm)), (20.0, 2.0, 0.0));
        assert!((sum.cost() - (0.0005 + 0.000_002)).abs() < 1e-12);
        assert_eq!((sum - other * 2.0).of(Item::Transition), one.of(Item::Transition));
    }

    #[test]
    fn the_costs_of_the_services_are_the_whole_cost() {
        let usage = Item::ALL.into_iter().fold(Usage::default(), |usage, item| usage.with(item, 7.0));
        let services = usage.cost_by_service();
        assert!((services.values().sum::<f64>() - usage.cost()).abs() < 1e-9);
        assert!((services["DynamoDB"] - 7.0 * (0.25 + 0.20 + 0.75e-6)).abs() < 1e-9);
    }

    #[test]
    fn a_difference_below_zero_counts_as_nothing() {
        let usage = Usage::default().with(Item::ReadUnit, -0.5).with(Item::Event, 1.0).at_least_nothing();
        assert_eq!((usage.of(Item::ReadUnit), usage.of(Item::Event)), (0.0, 1.0));
    }
}
