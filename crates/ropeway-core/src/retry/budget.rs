//! How many retries there may be.

/// How many seconds a request's share of the budget lasts.
const WINDOW_SECONDS: u64 = 10;

/// One retry, in the units of the budget: a request deposits its percentage.
const RETRY: u64 = 100;

/// Bounds retries to a share of the requests, so that servers in trouble see a little more load and not twice as
/// much. One per worker.
///
/// Every request deposits `percent` hundredths of a retry, and every second adds `floor_per_second` retries, so
/// that retries work with little traffic too. What is not used within 10 seconds is lost: a quiet night does not
/// pay for a storm. The budget starts full, with 10 seconds' worth of the floor.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    percent: u32,
    floor_per_second: u32,
    /// What was deposited in each of the last seconds and not used, by second modulo the window.
    slots: [u64; WINDOW_SECONDS as usize],
    /// The sum of the slots.
    balance: u64,
    /// The latest second seen.
    second: u64,
}

impl Default for RetryBudget {
    /// 20 % of the requests, and 10 per second.
    fn default() -> Self {
        Self::new(20, 10)
    }
}

impl RetryBudget {
    /// A budget of `percent` of the requests, and `floor_per_second` retries beside. With both 0 there are no
    /// retries.
    #[must_use]
    pub fn new(percent: u32, floor_per_second: u32) -> Self {
        let floor = u64::from(floor_per_second) * RETRY;
        let slots = [floor; WINDOW_SECONDS as usize];
        Self { percent, floor_per_second, slots, balance: floor * WINDOW_SECONDS, second: 0 }
    }

    /// Counts a request. `now_ms` is monotonic, in milliseconds.
    pub fn deposit(&mut self, now_ms: u64) {
        self.advance(now_ms);
        let amount = u64::from(self.percent);
        if let Some(slot) = self.slots.get_mut((self.second % WINDOW_SECONDS) as usize) {
            *slot += amount;
            self.balance += amount;
        }
    }

    /// Takes one retry out of the budget. False if there is none left: the failure has to be passed on.
    pub fn withdraw(&mut self, now_ms: u64) -> bool {
        self.advance(now_ms);
        if self.balance < RETRY {
            return false;
        }
        self.balance -= RETRY;
        self.take_oldest(RETRY);
        true
    }

    /// How many retries are left at this moment.
    #[must_use]
    pub const fn available(&self) -> u64 {
        self.balance / RETRY
    }

    /// Lets the seconds pass since the last call. A clock that steps back changes nothing.
    fn advance(&mut self, now_ms: u64) {
        let now = now_ms / 1000;
        if now > self.second {
            self.expire(now);
        }
    }

    #[cold]
    fn expire(&mut self, now: u64) {
        let first = now.saturating_sub(WINDOW_SECONDS).max(self.second) + 1;
        let floor = u64::from(self.floor_per_second) * RETRY;
        for second in first..=now {
            if let Some(slot) = self.slots.get_mut((second % WINDOW_SECONDS) as usize) {
                self.balance = self.balance - *slot + floor;
                *slot = floor;
            }
        }
        self.second = now;
    }

    /// Uses up what would be lost first.
    fn take_oldest(&mut self, mut amount: u64) {
        for age in (0..WINDOW_SECONDS).rev() {
            // Adding the window keeps the first seconds of the clock from going below 0.
            let slot = (self.second + WINDOW_SECONDS - age) % WINDOW_SECONDS;
            if let Some(slot) = self.slots.get_mut(slot as usize) {
                let taken = amount.min(*slot);
                *slot -= taken;
                amount -= taken;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn withdraw_all(budget: &mut RetryBudget, now_ms: u64) -> u64 {
        std::iter::repeat_with(|| budget.withdraw(now_ms)).take_while(|&granted| granted).count() as u64
    }

    #[test]
    fn starts_with_ten_seconds_of_the_floor_and_refills_at_that_rate() {
        let mut budget = RetryBudget::default();
        assert_eq!(withdraw_all(&mut budget, 0), 100);
        assert_eq!(withdraw_all(&mut budget, 999), 0);
        assert_eq!(withdraw_all(&mut budget, 1_000), 10);
        assert_eq!(withdraw_all(&mut budget, 4_000), 30);
        assert_eq!(withdraw_all(&mut budget, 4_000_000), 100);
    }

    #[test]
    fn five_requests_pay_for_one_retry() {
        let mut budget = RetryBudget::new(20, 0);
        (0..4).for_each(|_| budget.deposit(0));
        assert!(!budget.withdraw(0));
        budget.deposit(0);
        assert!(budget.withdraw(0));
        assert!(!budget.withdraw(0));
    }

    #[test]
    fn what_is_not_used_within_ten_seconds_is_lost() {
        let mut budget = RetryBudget::new(100, 0);
        (0..7).for_each(|_| budget.deposit(0));
        (0..2).for_each(|_| budget.deposit(5_000));
        assert!(budget.withdraw(9_999));
        assert_eq!(withdraw_all(&mut budget.clone(), 9_999), 8);
        assert_eq!(withdraw_all(&mut budget.clone(), 10_000), 2);
        assert_eq!(withdraw_all(&mut budget, 15_000), 0);
    }

    #[test]
    fn nothing_means_nothing() {
        let mut budget = RetryBudget::new(0, 0);
        (0..1000).for_each(|_| budget.deposit(0));
        assert!(!budget.withdraw(u64::MAX));
    }

    proptest! {
        #[test]
        fn grants_never_exceed_the_deposits_and_the_balance_is_the_sum_of_the_slots(
            percent in 0_u32..=100, floor in 0_u32..20,
            steps in proptest::collection::vec((0_u64..3_000, any::<bool>()), 1..400),
        ) {
            let mut budget = RetryBudget::new(percent, floor);
            let (mut now, mut deposits, mut granted) = (0, 0_u64, 0_u64);
            for (wait, is_request) in steps {
                now += wait;
                if is_request {
                    budget.deposit(now);
                    deposits += 1;
                } else {
                    granted += u64::from(budget.withdraw(now));
                }
                prop_assert_eq!(budget.slots.iter().sum::<u64>(), budget.balance);
                let earned = deposits * u64::from(percent) / RETRY;
                prop_assert!(granted <= earned + u64::from(floor) * (now / 1000 + WINDOW_SECONDS));
            }
        }
    }
}
