//! What a hub of any size uses in a month, computed from measured life events and reviews, and from what AWS bills by
//! the month.

use super::prices::Item;
use super::usage::Usage;

/// The hours of a month, as AWS counts them.
const HOURS: f64 = 730.0;
/// Images on one page of a review: of the pages from the ledger, and of the pages of tagged images.
const PAGE: u32 = 50;
const TAGGED_PAGE: u32 = 100;

/// Something that happens to an image, as measured.
#[derive(Debug, Clone, PartialEq)]
pub struct LifeEvent {
    /// What happens.
    pub name: &'static str,
    /// How often it happens to each image in a month.
    pub times: f64,
    /// The executions of workflows that it causes.
    pub reconciliations: f64,
    /// The calls that functions make.
    pub calls: f64,
    /// What is used.
    pub usage: Usage,
}

/// What a review uses, for any number of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// By itself.
    pub fixed: Usage,
    /// For each page that it reads.
    pub page: Usage,
    /// For each image.
    pub image: Usage,
}

impl Review {
    /// Computes it from three reviews and the numbers of their images. The first two read a page of each kind, the
    /// third one more page from the ledger.
    pub fn from_three([(few, of_few), (some, of_some), (many, of_many)]: [(u32, Usage); 3]) -> Self {
        let image = ((of_some.clone() - of_few) * (1.0 / f64::from(some - few))).at_least_nothing();
        let page = (of_many - of_some.clone() - image.clone() * f64::from(many - some)).at_least_nothing();
        let pages = f64::from(pages(some));
        let fixed = of_some - image.clone() * f64::from(some) - page.clone() * pages;
        Self { fixed: fixed.at_least_nothing(), page, image }
    }

    /// What one review of `images` images uses.
    pub fn of(&self, images: u32) -> Usage {
        let pages = self.page.clone() * f64::from(pages(images));
        self.fixed.clone() + pages + self.image.clone() * f64::from(images)
    }
}

/// The number of pages that a review of `images` images reads.
fn pages(images: u32) -> u32 {
    images.div_ceil(PAGE).max(1) + images.div_ceil(TAGGED_PAGE).max(1)
}

/// The resources of the template and the code that AWS bills by the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// Custom metrics.
    pub metrics: u32,
    /// Alarms, each on one metric.
    pub alarms: u32,
    /// Dashboards.
    pub dashboards: u32,
}

/// A month.
#[derive(Debug, Clone, PartialEq)]
pub struct Month {
    /// What happens to each image.
    pub life_events: Vec<LifeEvent>,
    /// A review.
    pub review: Review,
    /// Reviews in a month.
    pub reviews: f64,
    /// What is billed by the month.
    pub watched: Watched,
}

impl Month {
    /// What a hub with `images` images uses.
    pub fn of(&self, images: u32) -> Usage {
        let life_events = self
            .life_events
            .iter()
            .fold(Usage::default(), |sum, event| sum + event.usage.clone() * event.times);
        let reviews = self.review.of(images) * self.reviews;
        life_events * f64::from(images) + reviews + self.watching(images)
    }

    /// Metrics, alarms and dashboards. A metric is billed for the hours in which it has values: here each execution
    /// falls into an hour of its own, as long as there are hours, and gives every metric a value.
    pub fn watching(&self, images: u32) -> Usage {
        let reconciliations: f64 =
            self.life_events.iter().map(|event| event.reconciliations * event.times).sum();
        let hours = (reconciliations * f64::from(images) + self.reviews).min(HOURS);
        let Watched { metrics, alarms, dashboards } = self.watched;
        Usage::default()
            .with(Item::Metric, f64::from(metrics) * hours / HOURS)
            .with(Item::Alarm, f64::from(alarms))
            .with(Item::Dashboard, f64::from(dashboards))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(amount: f64) -> Usage {
        Usage::default().with(Item::ReadUnit, amount)
    }

    #[test]
    fn three_reviews_say_what_any_review_uses() {
        let real = Review { fixed: reads(5.0), page: reads(3.0), image: reads(0.5) };
        let read = Review::from_three([2, 12, 62].map(|images| (images, real.of(images))));
        assert_eq!(read, real);
        assert_eq!(read.of(1_000).of(Item::ReadUnit), 5.0 + 3.0 * (20.0 + 10.0) + 0.5 * 1_000.0);
        assert_eq!(read.of(0).of(Item::ReadUnit), 5.0 + 3.0 * 2.0);
    }

    #[test]
    fn a_month_is_its_life_events_for_each_image_its_reviews_and_its_monitoring() {
        let review = Review { fixed: reads(1.0), page: reads(0.0), image: reads(2.0) };
        let event = |name, times, amount| LifeEvent {
            name,
            times,
            reconciliations: 1.0,
            calls: 9.0,
            usage: reads(amount),
        };
        let life_events = vec![event("shared", 1.0, 10.0), event("reconciled", 4.0, 3.0)];
        let watched = Watched { metrics: 73, alarms: 5, dashboards: 1 };
        let month = Month { life_events, review, reviews: 30.0, watched };
        let usage = month.of(10);
        assert_eq!(usage.of(Item::ReadUnit), 10.0 * 22.0 + 30.0 * 21.0);
        assert_eq!((usage.of(Item::Alarm), usage.of(Item::Dashboard)), (5.0, 1.0));
        // 50 reconciliations and 30 reviews, an hour each; more than there are hours costs no more.
        assert!((usage.of(Item::Metric) - 8.0).abs() < 1e-9);
        assert_eq!(month.of(1_000).of(Item::Metric), 73.0);
    }
}
