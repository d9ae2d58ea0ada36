//! `xtask/budgets.toml`: what each case may cost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// By how much a count may exceed what is written here.
    tolerance_percent: u64,
    /// Instructions per call, by case.
    instructions: BTreeMap<String, u64>,
    /// Pairs of cases whose costs must be alike, however different their sizes.
    flat: Vec<Flat>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    small: String,
    large: String,
    tolerance_percent: u64,
}

impl Limits {
    /// # Errors
    /// When the file cannot be read or is not of this shape.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The budget of a case in words, and whether it could be lower.
    pub fn describe(&self, case: &str, instructions: u64) -> String {
        match self.instructions.get(case) {
            None => "no budget".to_owned(),
            Some(&budget) if instructions + self.slack(budget) < budget => {
                format!("budget {budget}, could be lowered")
            }
            Some(&budget) => format!("budget {budget}"),
        }
    }

    /// A finding for each case above its budget, each case without one and each budget without a case, and for each
    /// pair that is not flat.
    pub fn compare(&self, counted: &[(String, u64)]) -> Vec<String> {
        let mut findings: Vec<String> =
            counted.iter().filter_map(|(case, instructions)| self.judge(case, *instructions)).collect();
        let unknown = self.instructions.keys().filter(|case| cost(counted, case).is_none());
        findings.extend(unknown.map(|case| format!("{case}: has a budget, but is not counted")));
        findings.extend(self.flat.iter().filter_map(|pair| pair.judge(counted)));
        findings
    }

    fn judge(&self, case: &str, instructions: u64) -> Option<String> {
        let Some(&budget) = self.instructions.get(case) else {
            return Some(format!("{case}: write its {instructions} instructions into xtask/budgets.toml"));
        };
        (instructions > budget + self.slack(budget))
            .then(|| format!("{case}: {instructions} instructions, {budget} are its budget"))
    }

    const fn slack(&self, budget: u64) -> u64 {
        budget * self.tolerance_percent / 100
    }
}

impl Flat {
    fn judge(&self, counted: &[(String, u64)]) -> Option<String> {
        let (small, large) = (cost(counted, &self.small)?, cost(counted, &self.large)?);
        let highest = small + small * self.tolerance_percent / 100;
        (large > highest)
            .then(|| format!("{}: {large} instructions, {} needs {small}: not flat", self.large, self.small))
    }
}

fn cost(counted: &[(String, u64)], case: &str) -> Option<u64> {
    counted.iter().find(|(name, _)| name == case).map(|(_, instructions)| *instructions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let text = "tolerance_percent = 5\n[instructions]\none = 200\nmany = 210\n\
                    [[flat]]\nsmall = \"one\"\nlarge = \"many\"\ntolerance_percent = 10\n";
        toml::from_str(text).unwrap()
    }

    fn findings(one: u64, many: u64) -> Vec<String> {
        limits().compare(&[("one".to_owned(), one), ("many".to_owned(), many)])
    }

    #[test]
    fn within_the_tolerance_nothing_is_said() {
        assert_eq!(findings(200, 210), Vec::<String>::new());
        assert_eq!(findings(210, 220), Vec::<String>::new());
        assert_eq!(findings(190, 200), Vec::<String>::new());
    }

    #[test]
    fn more_is_a_finding() {
        assert_eq!(findings(211, 210), ["one: 211 instructions, 200 are its budget"]);
    }

    #[test]
    fn much_less_is_mentioned() {
        assert_eq!(limits().describe("one", 190), "budget 200");
        assert_eq!(limits().describe("one", 189), "budget 200, could be lowered");
    }

    #[test]
    fn a_large_table_may_not_cost_more_than_a_small_one() {
        assert_eq!(findings(190, 211), ["many: 211 instructions, one needs 190: not flat"]);
    }

    #[test]
    fn cases_and_budgets_belong_together() {
        let limits: Limits =
            toml::from_str("tolerance_percent = 5\nflat = []\n[instructions]\ngone = 1\n").unwrap();
        let found = limits.compare(&[("new".to_owned(), 7)]);
        assert_eq!(
            found,
            [
                "new: write its 7 instructions into xtask/budgets.toml",
                "gone: has a budget, but is not counted"
            ]
        );
    }
}
