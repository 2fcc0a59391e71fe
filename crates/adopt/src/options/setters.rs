//! Setters for [`TABLE`](super::TABLE): each sets an option, and returns false if the option does not accept the value.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::options::LogLevel;
use crate::options::message::Template;
use crate::options::network::Network;

/// Sets networks that are separated by commas.
pub(super) fn networks(place: &mut Vec<Network>, value: &str) -> bool {
    let networks: Option<Vec<_>> = value.split(',').map(Network::parse).collect();
    networks.map(|it| *place = it).is_some()
}

/// Sets names that are separated by commas.
pub(super) fn list(place: &mut Vec<String>, value: &str) -> bool {
    const MOST: usize = 200;
    let names: Vec<_> = value.split(',').map(|it| it.trim().to_owned()).collect();
    let is_good = names.len() <= MOST && names.iter().all(|it| !it.is_empty());
    if is_good {
        *place = names;
    }
    is_good
}

pub(super) fn message(place: &mut Option<Template>, value: &str) -> bool {
    let template = Template::parse(value);
    let is_good = template.is_some();
    if is_good {
        *place = template;
    }
    is_good
}

/// Sets a choice by the word that the value starts with.
pub(super) fn choose<T: Copy>(place: &mut T, value: &str, words: &[(&str, T)]) -> bool {
    let chosen = words.iter().find(|(word, _)| starts_with(value, word));
    chosen.map(|(_, it)| *place = *it).is_some()
}

/// Sets what is off or on.
pub(super) fn switch(place: &mut bool, value: &str) -> bool {
    choose(place, value, &[("0", false), ("1", true)])
}

/// Compares as strncasecmp(3) does with the word's length.
pub(super) fn starts_with(value: &str, word: &str) -> bool {
    value
        .as_bytes()
        .get(..word.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
}

pub(super) fn text(value: &str, set: impl FnOnce(String)) -> bool {
    if value.is_empty() {
        return false;
    }
    set(value.to_owned());
    true
}

pub(super) fn log_level(place: &mut LogLevel, value: &str) -> bool {
    let Ok(number) = value.parse::<usize>() else {
        return choose(place, value, LogLevel::WORDS);
    };
    // SchedMD's has four more levels of debug.
    let found = LogLevel::WORDS.get(number.min(LogLevel::WORDS.len() - 1));
    let level = found.filter(|_| number <= 9);
    level.map(|(_, level)| *place = *level).is_some()
}

/// The bounds of a timeout in milliseconds.
pub(super) const TIMEOUT: RangeInclusive<u64> = 100..=60_000;

/// Sets a duration: seconds with at most three decimals, within these milliseconds.
pub(super) fn duration(place: &mut Duration, value: &str, range: RangeInclusive<u64>) -> bool {
    let (seconds, decimals) = value.split_once('.').unwrap_or((value, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|sign| sign.is_ascii_digit());
    if !digits(seconds) || !digits(decimals) || seconds.len() > 4 || decimals.len() > 3 {
        return false;
    }
    let Ok(millis) = format!("{seconds}{decimals:0<3}").parse() else {
        return false;
    };
    if !range.contains(&millis) {
        return false;
    }
    *place = Duration::from_millis(millis);
    true
}
