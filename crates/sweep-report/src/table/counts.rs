//! A printed accuracy and the counts of right images that round to it, in integers.

use super::read::Unit;

/// A printed accuracy: `digits` with `decimals` of them behind the point, and the 1 or 100 it is out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    digits: u64,
    decimals: u32,
    whole: u64,
}

impl Print {
    /// A plain decimal number, `%` allowed behind percents; `None` for anything else.
    pub(super) fn parse(text: &str, unit: Unit) -> Option<Self> {
        let (text, whole) = match unit {
            Unit::Percent => (text.trim().trim_end_matches('%').trim_end(), 100),
            Unit::Share => (text.trim(), 1),
        };
        let (before, after) = text.split_once('.').unwrap_or((text, ""));
        let plain = |part: &str| part.chars().all(|c| c.is_ascii_digit());
        if !plain(before)
            || !plain(after)
            || before.len() > 3
            || after.len() > 6
            || before.len() + after.len() == 0
        {
            return None;
        }
        let digits = format!("{before}{after}").parse().ok()?;
        let decimals = after.len() as u32;
        (digits <= whole * 10u64.pow(decimals)).then_some(Self { digits, decimals, whole })
    }

    /// As a table prints it.
    pub(super) fn text(self) -> String {
        let unit = 10u64.pow(self.decimals);
        match self.decimals {
            0 => self.digits.to_string(),
            places => {
                format!(
                    "{}.{:0places$}",
                    self.digits / unit,
                    self.digits % unit,
                    places = places as usize
                )
            }
        }
    }

    /// Digits of `count` out of `n`, rounded half up and half to even: they differ at exact halves only.
    fn of(self, count: u64, n: u64) -> [u64; 2] {
        let exact = count * self.whole * 10u64.pow(self.decimals);
        let up = (2 * exact + n) / (2 * n);
        let half = 2 * (exact % n) == n;
        [up, if half && up % 2 == 1 { up - 1 } else { up }]
    }
}

/// Lowest and highest count out of `n` that rounds to `print`, half up or half to even; else the prints nearest to it.
pub(super) fn counts(print: Print, n: u64) -> Result<(u64, u64), String> {
    let unit = print.whole * 10u64.pow(print.decimals);
    // Within one unit of the last place on either side; the exact rule decides.
    let from = (print.digits.saturating_sub(1) * n / unit).min(n);
    let to = ((print.digits + 1) * n).div_ceil(unit).min(n);
    let fits = |count: &u64| print.of(*count, n).contains(&print.digits);
    match ((from..=to).find(fits), (from..=to).rev().find(fits)) {
        (Some(low), Some(high)) => Ok((low, high)),
        _ => {
            let at = |count: u64| {
                format!("{} ({count})", Print { digits: print.of(count, n)[0], ..print }.text())
            };
            let below = (0..=to).rev().find(|c| print.of(*c, n)[0] < print.digits);
            let above = (from..=n).find(|c| print.of(*c, n)[0] > print.digits);
            let names: Vec<String> = below.into_iter().chain(above).map(at).collect();
            Err(names.join(" and "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str, n: u64) -> Option<(u64, u64)> {
        counts(Print::parse(text, Unit::Percent).unwrap(), n).ok()
    }

    #[test]
    fn the_counts_of_the_study() {
        assert_eq!(range("98", 226), Some((221, 222)));
        assert_eq!(range("97", 226), Some((219, 220)));
        let fruits = ["88", "92", "90"].map(|p| range(p, 60).unwrap());
        assert_eq!(fruits, [(53, 53), (55, 55), (54, 54)]);
        let covid = ["91", "94", "89"].map(|p| range(p, 66).unwrap());
        assert_eq!(covid, [(60, 60), (62, 62), (59, 59)]);
    }

    #[test]
    fn an_exact_half_counts_by_both_rules() {
        // 1 of 8 is 12.5: half up prints 13, half to even 12.
        assert_eq!(range("12", 8), Some((1, 1)));
        assert_eq!(range("13", 8), Some((1, 1)));
        assert_eq!(range("12.5", 8), Some((1, 1)));
        assert_eq!(range("14", 8), None);
    }

    #[test]
    fn every_count_is_among_the_counts_of_its_own_print() {
        for n in [1, 2, 7, 60, 66, 226, 1000, 1747] {
            for count in 0..=n {
                for decimals in 0..3 {
                    let print = Print { digits: 0, decimals, whole: 100 };
                    for digits in print.of(count, n) {
                        let (low, high) = counts(Print { digits, ..print }, n).unwrap();
                        assert!((low..=high).contains(&count), "{count} of {n}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_plain_numbers_are_prints() {
        for wrong in ["", ".", "-1", "1e1", "101", "100.1", "9 1", "91,7", "0.1234567", "%"] {
            assert!(Print::parse(wrong, Unit::Percent).is_none(), "{wrong}");
        }
        assert!(Print::parse("1.01", Unit::Share).is_none());
        assert_eq!(Print::parse(".97", Unit::Share).unwrap().text(), "0.97");
        assert_eq!(Print::parse("97.0 %", Unit::Percent).unwrap().text(), "97.0");
    }
}
