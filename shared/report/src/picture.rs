//! The picture of who can use what: images on the left, targets on the right, a curve for each share.
//!
//! The labels are text of the page, so that they wrap and can be searched; only the curves between them are
//! drawn. Both columns have the same height and spread their labels evenly over it, so that the middle of a
//! label is known here without measuring text.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::review::report::{AccessReview, ReviewedImage, ReviewedShare};

use crate::phrases::{GROUP_ALL, counted, ends_soon, kind, name, short};

/// The most labels of a column. More images than this are bundled where they have the same curves.
const MOST_LABELS: usize = 24;

/// The height of a label, in thousandths of the text's size; curves are drawn in the same unit.
const LABEL_HEIGHT: usize = 3_000;

/// The width of the drawing; the page stretches it.
const WIDTH: usize = 100;

/// How a curve looks, the most alarming first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CurveStyle {
    /// Public.
    Public,
    /// Not granted by ami-share.
    Unmanaged,
    /// Granted by ami-share, or requested by a tag.
    Share {
        /// Whether it does not end soon; one that ends soon is drawn differently, and comes first.
        stays: bool,
        /// Whether the target may copy the image too.
        may_copy: bool,
    },
}

impl CurveStyle {
    fn of(review: &AccessReview, share: &ReviewedShare) -> Self {
        let may_copy = share.permits.iter().any(|permit| permit == "copy");
        Self::Share { stays: !ends_soon(review, share), may_copy }
    }

    /// Its CSS classes.
    pub(crate) fn classes(&self) -> &'static str {
        match self {
            Self::Public => "curve public",
            Self::Unmanaged => "curve unmanaged",
            Self::Share { stays: true, may_copy: false } => "curve share",
            Self::Share { stays: true, may_copy: true } => "curve share copy",
            Self::Share { stays: false, may_copy: false } => "curve share soon",
            Self::Share { stays: false, may_copy: true } => "curve share copy soon",
        }
    }

    /// Whether it ends soon, which a dot marks.
    pub(crate) fn ends_soon(&self) -> bool {
        matches!(self, Self::Share { stays: false, .. })
    }

    /// What it means.
    fn meaning(&self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unmanaged => "access that ami-share did not grant",
            Self::Share { stays: true, may_copy: false } => "may launch",
            Self::Share { stays: true, may_copy: true } => "may launch and copy",
            Self::Share { stays: false, may_copy: false } => "may launch, ends within 7 days",
            Self::Share { stays: false, may_copy: true } => "may launch and copy, ends within 7 days",
        }
    }
}

/// The access of one target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Link<'a> {
    style: CurveStyle,
    target: &'a str,
}

/// One image, or several that have the same links.
#[derive(Debug)]
pub(crate) struct Bundle<'a> {
    /// The images, at least one.
    pub(crate) images: Vec<&'a ReviewedImage>,
    links: Vec<Link<'a>>,
}

impl Bundle<'_> {
    /// The name of the first image.
    pub(crate) fn name(&self) -> &str {
        self.images.first().map_or("", |image| name(image))
    }

    /// All names.
    pub(crate) fn names(&self) -> String {
        self.images.iter().map(|image| name(image)).collect::<Vec<_>>().join(", ")
    }

    /// The text for the filter of the tables: the ids, one of which a row has to contain.
    pub(crate) fn find(&self) -> String {
        self.images.iter().map(|image| image.id.as_str()).collect::<Vec<_>>().join("|")
    }

    /// The number of keys of the images.
    pub(crate) fn keys(&self) -> usize {
        self.images.iter().flat_map(|image| &image.keys).collect::<BTreeSet<_>>().len()
    }

    fn is_public(&self) -> bool {
        self.links.iter().any(|link| link.style == CurveStyle::Public)
    }
}

/// A target's label.
#[derive(Debug)]
pub(crate) struct Label<'a> {
    /// Its id.
    pub(crate) id: &'a str,
    /// The most accounts that any share of it reaches.
    pub(crate) accounts: usize,
}

/// One curve.
#[derive(Debug)]
pub(crate) struct Curve {
    /// The place of its image.
    pub(crate) from: usize,
    /// The place of its target.
    pub(crate) to: usize,
    /// How it looks.
    pub(crate) style: CurveStyle,
    /// Its path in SVG.
    pub(crate) path: String,
    /// A dot at its end in SVG.
    pub(crate) end: String,
    /// How many images it stands for.
    pub(crate) images: usize,
    /// Its tooltip.
    pub(crate) title: String,
}

/// What is not drawn.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Omitted {
    /// Images that only the hub can use.
    pub(crate) unshared: usize,
    /// Images for which there was no room.
    pub(crate) images: usize,
    /// Targets for which there was no room.
    pub(crate) targets: usize,
    /// Curves for which there was no room, each image counted.
    pub(crate) links: usize,
}

/// The whole picture.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    /// The left column.
    pub(crate) images: Vec<Bundle<'a>>,
    /// The right column.
    pub(crate) targets: Vec<Label<'a>>,
    /// What is between them.
    pub(crate) curves: Vec<Curve>,
    /// What is not drawn.
    pub(crate) omitted: Omitted,
}

impl<'a> Picture<'a> {
    /// Draws a review.
    pub(crate) fn of(review: &'a AccessReview) -> Self {
        let linked = linked(review);
        let (all_images, all_links) = (linked.len(), count_links(&linked));
        let all_targets = linked.iter().flat_map(|bundle| &bundle.links).map(|link| link.target);
        let all_targets = all_targets.collect::<BTreeSet<_>>().len();
        let mut images = fitting(bundled(linked));
        let mut targets = chosen_targets(&images);
        for bundle in &mut images {
            bundle.links.retain(|link| targets.contains(&link.target));
        }
        untangle(&mut images, &mut targets);
        let omitted = Omitted {
            unshared: review.images.len() - all_images,
            images: all_images - images.iter().map(|bundle| bundle.images.len()).sum::<usize>(),
            targets: all_targets - targets.len(),
            links: all_links - count_links(&images),
        };
        let curves = curves(&images, &targets);
        let most = most_accounts(review);
        let label = |id| Label { id, accounts: most.get(id).copied().unwrap_or_default() };
        Self { images, targets: targets.into_iter().map(label).collect(), curves, omitted }
    }

    /// The height of the drawing in its own unit.
    pub(crate) fn height(&self) -> usize {
        height(self.images.len(), self.targets.len())
    }

    /// The height of the drawing on the page, in the size of the text.
    pub(crate) fn lines(&self) -> usize {
        self.height() / 1_000
    }

    /// The width of the drawing in its own unit.
    pub(crate) fn width(&self) -> usize {
        WIDTH
    }
}

/// Every image that another account can use, with its links.
fn linked(review: &AccessReview) -> Vec<Bundle<'_>> {
    let bundles =
        review.images.iter().map(|image| Bundle { images: vec![image], links: links(review, image) });
    bundles.filter(|bundle| !bundle.links.is_empty()).collect()
}

/// The links of an image: each of its shares, and each unmanaged grantee once, whether it has the image, its snapshots or
/// both.
fn links<'a>(review: &AccessReview, image: &'a ReviewedImage) -> Vec<Link<'a>> {
    let shares =
        image.shares.iter().map(|share| Link { style: CurveStyle::of(review, share), target: &share.target });
    let grantees: BTreeSet<&str> = image.unmanaged.iter().map(|grant| short(&grant.grantee)).collect();
    let unmanaged = grantees.into_iter().map(|target| match target {
        GROUP_ALL => Link { style: CurveStyle::Public, target },
        _ => Link { style: CurveStyle::Unmanaged, target },
    });
    let mut links: Vec<Link> = shares.chain(unmanaged).collect();
    links.sort();
    links
}

/// How many curves it would take to draw each image alone.
fn count_links(bundles: &[Bundle]) -> usize {
    bundles.iter().map(|bundle| bundle.images.len() * bundle.links.len()).sum()
}

/// Images with the same links become one bundle, where there are too many to draw each alone.
fn bundled(images: Vec<Bundle<'_>>) -> Vec<Bundle<'_>> {
    if images.len() <= MOST_LABELS {
        return images;
    }
    let mut by_links: BTreeMap<Vec<Link>, Vec<&ReviewedImage>> = BTreeMap::new();
    for bundle in images {
        by_links.entry(bundle.links).or_default().extend(bundle.images);
    }
    by_links.into_iter().map(|(links, images)| Bundle { images, links }).collect()
}

/// As many bundles as there is room for: the alarming ones, then those with the most images.
fn fitting(mut bundles: Vec<Bundle<'_>>) -> Vec<Bundle<'_>> {
    bundles.sort_by(|a, b| {
        let alarm = |bundle: &Bundle| bundle.links.first().map(|link| link.style);
        (alarm(a), b.images.len(), a.name()).cmp(&(alarm(b), a.images.len(), b.name()))
    });
    bundles.truncate(MOST_LABELS);
    bundles
}

/// As many targets as there is room for: of each bundle the first, then of each the second, and so on, so that
/// every bundle keeps a curve.
fn chosen_targets<'a>(bundles: &[Bundle<'a>]) -> Vec<&'a str> {
    let mut chosen = Vec::new();
    let most_links = bundles.iter().map(|bundle| bundle.links.len()).max().unwrap_or_default();
    for depth in 0..most_links {
        for link in bundles.iter().filter_map(|bundle| bundle.links.get(depth)) {
            if chosen.len() < MOST_LABELS && !chosen.contains(&link.target) {
                chosen.push(link.target);
            }
        }
    }
    chosen
}

/// Orders both columns so that few curves cross: each label moves towards the middle of those that it is linked with, a
/// few times in turn. Public images, and the group `all`, stay on top.
fn untangle<'a>(bundles: &mut [Bundle<'a>], targets: &mut [&'a str]) {
    bundles.sort_by(|a, b| (!a.is_public(), a.name()).cmp(&(!b.is_public(), b.name())));
    for _ in 0..4 {
        let places = |target: &str| {
            let holders = bundles.iter().enumerate();
            let holders = holders.filter(|(_, bundle)| bundle.links.iter().any(|link| link.target == target));
            middle(holders.map(|(place, _)| place))
        };
        targets.sort_by_cached_key(|target| (*target != GROUP_ALL, places(target), target.to_string()));
        let order: BTreeMap<&str, usize> =
            targets.iter().enumerate().map(|(place, target)| (*target, place)).collect();
        bundles.sort_by_cached_key(|bundle| {
            let places = bundle.links.iter().filter_map(|link| order.get(link.target).copied());
            (!bundle.is_public(), middle(places), bundle.name().to_owned())
        });
    }
}

/// The mean, in thousandths.
fn middle(places: impl Iterator<Item = usize>) -> usize {
    let (sum, count) = places.fold((0, 0), |(sum, count), place| (sum + place, count + 1));
    (sum * 1_000_usize).checked_div(count).unwrap_or_default()
}

fn height(images: usize, targets: usize) -> usize {
    images.max(targets) * LABEL_HEIGHT
}

/// The middle of label `place` of `labels` that are spread evenly.
fn centre(place: usize, labels: usize, height: usize) -> usize {
    (height * (2 * place + 1)).checked_div(2 * labels).unwrap_or_default()
}

fn curves(bundles: &[Bundle], targets: &[&str]) -> Vec<Curve> {
    let height = height(bundles.len(), targets.len());
    let order: BTreeMap<&str, usize> =
        targets.iter().enumerate().map(|(place, target)| (*target, place)).collect();
    let mut curves = Vec::new();
    for (from, bundle) in bundles.iter().enumerate() {
        for link in &bundle.links {
            let Some(to) = order.get(link.target).copied() else { continue };
            let ends = (centre(from, bundles.len(), height), centre(to, targets.len(), height));
            curves.push(curve(bundle, link, (from, to), ends));
        }
    }
    // Later curves are drawn on top, so the alarming ones come last.
    curves.sort_by_key(|curve| std::cmp::Reverse(curve.style));
    curves
}

fn curve(bundle: &Bundle, link: &Link, (from, to): (usize, usize), (start, end): (usize, usize)) -> Curve {
    // A target with unmanaged access can have a share as well; the two curves run side by side.
    let aside = match link.style {
        CurveStyle::Share { .. } => 0,
        CurveStyle::Public | CurveStyle::Unmanaged => LABEL_HEIGHT / 8,
    };
    let (start, end) = (start + aside, end + aside);
    let half = WIDTH / 2;
    let what = match bundle.images.len() {
        1 => bundle.name().to_owned(),
        several => counted(several, "image"),
    };
    let target = match link.target {
        GROUP_ALL => kind(GROUP_ALL).to_owned(),
        target => format!("{} {target}", kind(target)),
    };
    Curve {
        from,
        to,
        style: link.style,
        path: format!("M0 {start}C{half} {start} {half} {end} {WIDTH} {end}"),
        end: format!("M{WIDTH} {end}h0"),
        images: bundle.images.len(),
        title: format!("{what} → {target}: {}", link.style.meaning()),
    }
}

/// The most accounts that any share of each target reaches.
fn most_accounts(review: &AccessReview) -> BTreeMap<&str, usize> {
    let mut most = BTreeMap::new();
    for share in review.images.iter().flat_map(|image| &image.shares) {
        let known = most.entry(share.target.as_str()).or_default();
        *known = share.accounts.len().max(*known);
    }
    most
}
