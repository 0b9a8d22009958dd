//! What a viewer chose to see of a sweep: the query of its page. What is not chosen is what the stream of patches shows.

use sweep_report::plot::{HeatMapChoice, HeatMapMetric, OverlayMetric};

use super::watch::CURVES;
use crate::service::problem::{Kind, Problem, cut};

/// In which order configurations stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// That of the file.
    #[default]
    File,
    /// The highest mean first.
    Mean,
}

/// The query of a sweep's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Index of the data set.
    pub(crate) dataset: usize,
    /// Of the table of configurations, from 1.
    pub(crate) page: usize,
    pub(crate) order: Order,
    /// Part of a label.
    pub(crate) filter: String,
    pub(crate) heat: HeatMapChoice,
    /// Candidates whose curves are shown; empty: the best and the baseline.
    pub(crate) curves: Vec<usize>,
    pub(crate) objective: bool,
}

impl Choice {
    /// What the stream of patches shows.
    pub(crate) fn of_all() -> Self {
        Self { page: 1, ..Self::default() }
    }

    /// Reads a query.
    ///
    /// # Errors
    /// When it holds a key or a value that is not one of this page.
    pub(crate) fn read(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut choice = Self::of_all();
        for (key, value) in pairs {
            let wrong = |allowed: &str| {
                let text = format!("`{key}` is `{}`, but must be {allowed}", cut(&value));
                Problem::new(Kind::Query, text)
            };
            let number = || value.parse::<usize>().map_err(|_| wrong("a number"));
            let text = || (!value.is_empty()).then(|| cut(&value).to_owned());
            match key.as_str() {
                "data" => choice.dataset = number()?,
                "page" => choice.page = number()?.max(1),
                "order" => {
                    choice.order = match value.as_str() {
                        "file" => Order::File,
                        "mean" => Order::Mean,
                        _ => return Err(wrong("file or mean")),
                    }
                }
                "q" => choice.filter = cut(value.trim()).to_owned(),
                "loss" => choice.heat.loss = text(),
                "x" => choice.heat.x = text(),
                "y" => choice.heat.y = text(),
                "metric" => {
                    let metric = HeatMapMetric::ALL.into_iter().find(|m| m.key() == value);
                    choice.heat.metric = metric.ok_or_else(|| wrong("accuracy, balanced or sd"))?;
                }
                "curve" => {
                    let candidate = number()?;
                    if choice.curves.len() < CURVES && !choice.curves.contains(&candidate) {
                        choice.curves.push(candidate);
                    }
                }
                "curves" => {
                    choice.objective = match value.as_str() {
                        "accuracy" => false,
                        "objective" => true,
                        _ => return Err(wrong("accuracy or objective")),
                    }
                }
                _ => {
                    let text = format!(
                        "unknown key `{}` (known: data, page, order, q, loss, x, y, metric, curve, curves)",
                        cut(&key)
                    );
                    return Err(Problem::new(Kind::Query, text));
                }
            }
        }
        Ok(choice)
    }

    /// The address of this choice, with `#part` of the page.
    pub(crate) fn address(&self, sweep: &str, part: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in self.pairs() {
            query.append_pair(key, &value);
        }
        let query = query.finish();
        let query = if query.is_empty() { query } else { format!("?{query}") };
        format!("/sweeps/{sweep}{query}#{part}")
    }

    /// What differs from [`Self::of_all`].
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        let mut add = |key, value: Option<String>| pairs.extend(value.map(|value| (key, value)));
        add("data", (self.dataset > 0).then(|| self.dataset.to_string()));
        add("page", (self.page > 1).then(|| self.page.to_string()));
        add("order", (self.order == Order::Mean).then(|| "mean".to_owned()));
        add("q", (!self.filter.is_empty()).then(|| self.filter.clone()));
        add("loss", self.heat.loss.clone());
        add("x", self.heat.x.clone());
        add("y", self.heat.y.clone());
        let metric = self.heat.metric;
        add("metric", (metric != HeatMapMetric::default()).then(|| metric.key().to_owned()));
        add("curves", self.objective.then(|| "objective".to_owned()));
        for candidate in &self.curves {
            add("curve", Some(candidate.to_string()));
        }
        pairs
    }

    /// Whether an element shows something else than the stream does.
    pub(crate) fn is_own(&self, part: &str) -> bool {
        let of_all = Self::of_all();
        let table = self.page != 1 || self.order != of_all.order || !self.filter.is_empty();
        match part {
            "steer" => true,
            "configs" => table,
            "board" | "intervals" | "differences" | "parallel" | "trace" => self.dataset != 0,
            "heat" => self.dataset != 0 || self.heat != of_all.heat,
            "curves" => self.dataset != 0 || !self.curves.is_empty() || self.objective,
            _ => false,
        }
    }

    /// What the curves are of.
    pub(crate) fn metric(&self) -> OverlayMetric {
        if self.objective { OverlayMetric::Objective } else { OverlayMetric::Accuracy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Choice, Problem> {
        Choice::read(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    #[test]
    fn an_address_gives_its_choice_back() {
        let query = "data=1&page=3&order=mean&q=am_&loss=am_softmax&x=scale&y=margin&metric=sd&curves=objective&curve=4&curve=2";
        let choice = read(query).unwrap();
        assert_eq!(choice.address("abc", "heat"), format!("/sweeps/abc?{query}#heat"));
        assert_eq!(read("").unwrap(), Choice::of_all());
        assert_eq!(Choice::of_all().address("abc", "board"), "/sweeps/abc#board");
    }

    #[test]
    fn what_is_no_choice_is_refused() {
        for query in ["page=x", "order=best", "metric=luck", "curves=both", "other=1", "data=-1"] {
            assert!(read(query).is_err(), "{query}");
        }
        assert_eq!(
            read("curve=1&curve=1&curve=2&curve=3&curve=4&curve=5&curve=6&curve=7").unwrap().curves,
            [1, 2, 3, 4, 5, 6]
        );
    }

    #[test]
    fn only_what_was_chosen_is_ones_own() {
        let choice = read("metric=sd").unwrap();
        assert!(choice.is_own("heat") && !choice.is_own("board") && !choice.is_own("configs"));
        assert!(Choice::of_all().is_own("steer"));
    }
}
