//! The tags as an interface: what is written reads back the same, and nonsense never opens anything.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::selector::Selector;
use ami_share_domain::share_tags::{COPY, ShareTags, UNTIL, Until, VALUE_LIMIT, WITH};
use ami_share_testkit::ids::matching;
use ami_share_testkit::selectors::{malformed_words, public_words, selectors, share_tags};
use proptest::prelude::*;

/// Reads words from one tag.
fn read(words: &str) -> ShareTags {
    ShareTags::read(&BTreeMap::from([(WITH.to_owned(), words.to_owned())]))
}

/// What people put between words.
fn separators() -> impl Strategy<Value = String> {
    matching("[ ,\t\n]{1,3}|\u{a0}")
}

/// The names of our tags, near misses, and those of other people.
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

/// Values, some of which look like dates.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![matching("\\PC{0,40}"), matching("[0-9TZ:+.-]{0,25}")]
}

proptest! {
    #[test]
    fn a_word_reads_back_as_the_selector_that_wrote_it(selector in selectors()) {
        prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
    }

    #[test]
    fn tags_read_back_as_they_were_written(tags in share_tags()) {
        let words: Vec<usize> =
            tags.selectors.iter().map(|selector| selector.to_string().chars().count()).collect();
        match tags.write() {
            Ok(written) => {
                prop_assert_eq!(ShareTags::read(&written), tags);
                prop_assert!(written.values().all(|value| value.chars().count() <= VALUE_LIMIT));
            }
            // Two neighbouring tags together are always fuller than one tag can be.
            Err(no_room) => prop_assert!(
                words.iter().any(|word| *word > VALUE_LIMIT)
                    || words.iter().map(|word| word + 1).sum::<usize>() > 4 * VALUE_LIMIT,
                "{no_room}"
            ),
        }
    }

    #[test]
    fn order_separators_and_repetitions_of_words_do_not_matter(
        (words, mixed) in prop::collection::vec(prop_oneof![
            selectors().prop_map(|selector| selector.to_string()),
            malformed_words(),
        ], 0..12).prop_flat_map(|words| {
            let twice: Vec<String> = words.iter().chain(words.first()).cloned().collect();
            let mixed = (Just(twice).prop_shuffle(), prop::collection::vec(separators(), 13));
            (Just(words), mixed)
        }),
    ) {
        let (order, separators) = mixed;
        let text: String =
            order.iter().zip(&separators).flat_map(|(word, separator)| [separator.as_str(), word]).collect();
        let (one, other) = (read(&words.join(" ")), read(&text));
        prop_assert_eq!(one.selectors, other.selectors);
        prop_assert_eq!(one.refused.iter().collect::<BTreeSet<_>>(), other.refused.iter().collect());
    }

    #[test]
    fn words_may_stand_in_any_of_the_nine_tags(
        words in prop::collection::vec((selectors(), 1..=9_usize), 0..12),
    ) {
        let mut tags: BTreeMap<String, String> = BTreeMap::new();
        for (selector, number) in &words {
            let name = if *number == 1 { WITH.to_owned() } else { format!("{WITH}:{number}") };
            let value = tags.entry(name).or_default();
            value.push(' ');
            value.push_str(&selector.to_string());
        }
        let read = ShareTags::read(&tags);
        prop_assert_eq!(read.selectors, words.into_iter().map(|(selector, _)| selector).collect());
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
        if let Ok(written) = understood.write() && understood.until != Until::Unreadable {
            prop_assert_eq!(ShareTags::read(&written), understood);
        }
    }

    #[test]
    fn everybody_is_always_refused_and_the_other_words_go_ahead(
        public in public_words(),
        others in prop::collection::btree_set(selectors(), 0..5),
    ) {
        let mut words: Vec<String> = others.iter().map(ToString::to_string).collect();
        words.insert(words.len() / 2, public.clone());
        let read = read(&words.join(","));
        prop_assert_eq!(read.selectors, others);
        prop_assert_eq!(read.refused.len(), 1);
        prop_assert_eq!(&read.refused[0].word, &public);
        prop_assert_eq!(read.refused[0].code, RefusalCode::Public);
    }

    #[test]
    fn a_word_that_is_not_understood_is_refused_by_name(word in malformed_words()) {
        let read = read(&word);
        prop_assert!(read.selectors.is_empty());
        prop_assert_eq!(read.refused.len(), 1);
        prop_assert_eq!(&read.refused[0].word, &word);
        let quoted = format!("`{word}`");
        prop_assert!(read.refused[0].reason.contains(&quoted));
    }
}
