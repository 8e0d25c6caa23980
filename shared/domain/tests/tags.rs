//! The tags as an interface: what is written reads back the same, and invalid tags never grant access.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::tags::selector::Selector;
use ami_share_domain::tags::share_tags::{COPY, Copying, ShareTags, UNTIL, Until, VALUE_LIMIT, WITH};
use ami_share_testkit::ids::matching;
use ami_share_testkit::selectors::{malformed_selectors, public_selectors, selectors, share_tags};
use proptest::prelude::*;

/// Reads the selectors of one tag.
fn read(texts: &str) -> ShareTags {
    ShareTags::read(&BTreeMap::from([(WITH.to_owned(), texts.to_owned())]))
}

/// What may separate selectors.
fn separators() -> impl Strategy<Value = String> {
    matching("[ ,\t\n]{1,3}|\u{a0}")
}

/// The names of ami-share's tags, similar names and unrelated ones.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(WITH.to_owned()),
        Just(UNTIL.to_owned()),
        Just(COPY.to_owned()),
        matching("ami-share:(with|until|copy|regions|status)(:[0-9]{1,2})?"),
        matching("ami-share:\\PC{0,8}"),
        matching("\\PC{0,12}"),
    ]
}

/// Values, some of which resemble dates.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![matching("\\PC{0,40}"), matching("[0-9TZ:+.-]{0,25}")]
}

proptest! {
    #[test]
    fn a_rendered_selector_parses_back_to_itself(selector in selectors()) {
        prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
    }

    #[test]
    fn tags_read_back_as_they_were_written(tags in share_tags()) {
        let texts: Vec<usize> =
            tags.selectors.iter().map(|selector| selector.to_string().chars().count()).collect();
        match tags.write() {
            Ok(written) => {
                prop_assert_eq!(ShareTags::read(&written), tags);
                prop_assert!(written.values().all(|value| value.chars().count() <= VALUE_LIMIT));
            }
            // Two consecutive tags together always hold more than fits into one.
            Err(no_room) => prop_assert!(
                texts.iter().any(|text| *text > VALUE_LIMIT)
                    || texts.iter().map(|text| text + 1).sum::<usize>() > 4 * VALUE_LIMIT,
                "{no_room}"
            ),
        }
    }

    #[test]
    fn order_separators_and_repetitions_of_selectors_do_not_matter(
        (texts, mixed) in prop::collection::vec(prop_oneof![
            selectors().prop_map(|selector| selector.to_string()),
            malformed_selectors(),
        ], 0..12).prop_flat_map(|texts| {
            let repeated: Vec<String> = texts.iter().chain(texts.first()).cloned().collect();
            let mixed = (Just(repeated).prop_shuffle(), prop::collection::vec(separators(), 13));
            (Just(texts), mixed)
        }),
    ) {
        let (order, separators) = mixed;
        let text: String =
            order.iter().zip(&separators).flat_map(|(text, separator)| [separator.as_str(), text]).collect();
        let (one, other) = (read(&texts.join(" ")), read(&text));
        prop_assert_eq!(one.selectors, other.selectors);
        prop_assert_eq!(one.refused.iter().collect::<BTreeSet<_>>(), other.refused.iter().collect());
    }

    #[test]
    fn selectors_may_be_in_any_of_the_nine_tags(
        texts in prop::collection::vec((selectors(), 1..=9_usize), 0..12),
    ) {
        let mut tags: BTreeMap<String, String> = BTreeMap::new();
        for (selector, number) in &texts {
            let name = if *number == 1 { WITH.to_owned() } else { format!("{WITH}:{number}") };
            let value = tags.entry(name).or_default();
            value.push(' ');
            value.push_str(&selector.to_string());
        }
        let read = ShareTags::read(&tags);
        prop_assert_eq!(read.selectors, texts.into_iter().map(|(selector, _)| selector).collect());
        prop_assert_eq!(read.refused, []);
    }

    #[test]
    fn nonsense_never_panics_and_whatever_is_read_from_it_can_be_written(
        tags in prop::collection::btree_map(names(), values(), 0..8),
    ) {
        let read = ShareTags::read(&tags);
        for selector in &read.selectors {
            prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector.clone()));
        }
        let understood = ShareTags { refused: Vec::new(), ..read };
        let is_readable = understood.until != Until::Unreadable && understood.copy != Copying::Unreadable;
        if let Ok(written) = understood.write() && is_readable {
            prop_assert_eq!(ShareTags::read(&written), understood);
        }
    }

    #[test]
    fn public_selectors_are_always_refused_and_the_others_go_ahead(
        public in public_selectors(),
        others in prop::collection::btree_set(selectors(), 0..5),
    ) {
        let mut texts: Vec<String> = others.iter().map(ToString::to_string).collect();
        texts.insert(texts.len() / 2, public.clone());
        let read = read(&texts.join(","));
        prop_assert_eq!(read.selectors, others);
        prop_assert_eq!(read.refused.len(), 1);
        prop_assert_eq!(&read.refused[0].subject, &public);
        prop_assert_eq!(read.refused[0].code(), RefusalCode::Public);
    }

    #[test]
    fn a_malformed_selector_is_refused_by_name(text in malformed_selectors()) {
        let read = read(&text);
        prop_assert!(read.selectors.is_empty());
        prop_assert_eq!(read.refused.len(), 1);
        prop_assert_eq!(&read.refused[0].subject, &text);
        let beginning = format!("{text}: ");
        prop_assert!(read.refused[0].to_string().starts_with(&beginning));
    }
}
