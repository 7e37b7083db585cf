//! When a dnsmasq that is ours is started, asked whether it answers, and replaced. A value: no I/O, no clock.
//!
//! - It is started again only when it has ended: at once if it has run for a while, else after doubling pauses.
//! - It is asked now and then. If it does not answer for long, it is told to end, and made to if it does not.

use crate::daemon::schedule::Moment;
use std::time::Duration;

/// How patient we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often it is asked; five times as often while it does not answer.
    pub ask: Duration,
    /// So long it may not answer: with 10,000 reservations it stands still for a second whenever it reads them.
    pub patience: Duration,
    /// The same right after its start.
    pub first_patience: Duration,
    /// So long it has to end by itself when it was told to.
    pub grace: Duration,
    /// The first pause between an end and the next start.
    pub shortest: Duration,
    /// No pause is longer. Whoever has run for so long begins anew at once.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ask: Duration::from_secs(5),
            patience: Duration::from_secs(20),
            first_patience: Duration::from_secs(60),
            grace: Duration::from_secs(3),
            shortest: Duration::from_millis(500),
            longest: Duration::from_secs(60),
        }
    }
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Start it.
    Start,
    /// Ask it.
    Ask,
    /// Tell it to end.
    End {
        /// Since it does not answer; else it is to be replaced.
        hangs: bool,
    },
    /// Make it end.
    Kill,
    /// Wait for its answer or its end, until then.
    Wait(Moment),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Down { until: Moment },
    Up { since: Moment, give_up: Moment, ask: Moment, is_answering: bool },
    Ending { since: Moment, is_told: bool, kill: Moment },
}

/// What we know about it.
#[derive(Debug, Clone)]
pub struct Tending {
    pace: Pace,
    state: State,
    failures: u32,
}

impl Tending {
    /// It does not run yet.
    pub fn new(pace: Pace) -> Self {
        Self { pace, state: State::Down { until: Moment::ZERO }, failures: 0 }
    }

    /// What is to be done now.
    pub fn next(&self, now: Moment) -> Step {
        match self.state {
            State::Down { until } if until <= now => Step::Start,
            State::Down { until } => Step::Wait(until),
            State::Up { give_up, .. } if give_up <= now => Step::End { hangs: true },
            State::Up { ask, .. } if ask <= now => Step::Ask,
            State::Up { give_up, ask, .. } => Step::Wait(give_up.min(ask)),
            State::Ending { is_told: false, .. } => Step::End { hangs: false },
            State::Ending { kill, .. } if kill <= now => Step::Kill,
            State::Ending { kill, .. } => Step::Wait(kill),
        }
    }

    /// It runs: was started, or ran already.
    pub fn runs(&mut self, now: Moment) {
        let give_up = now + self.pace.first_patience;
        self.state = State::Up { since: now, give_up, ask: now, is_answering: false };
    }

    /// It was asked.
    pub fn asked(&mut self, now: Moment) {
        if let State::Up { ask, is_answering, .. } = &mut self.state {
            let pause = if *is_answering { self.pace.ask } else { self.pace.ask / 5 };
            *is_answering = false;
            *ask = now + pause;
        }
    }

    /// It has answered.
    pub fn answered(&mut self, now: Moment) {
        if let State::Up { give_up, ask, is_answering, .. } = &mut self.state {
            *is_answering = true;
            *give_up = now + self.pace.patience;
            *ask = now + self.pace.ask;
        }
    }

    /// Whether it has answered since it was asked last.
    pub fn is_answering(&self) -> bool {
        matches!(self.state, State::Up { is_answering: true, .. })
    }

    /// It is to be replaced, through no fault of its own.
    pub fn replace(&mut self, now: Moment) {
        if let State::Up { since, .. } = self.state {
            self.state = State::Ending { since, is_told: false, kill: now + self.pace.grace };
        }
    }

    /// It was told to end.
    pub fn told(&mut self, now: Moment) {
        if let State::Up { since, .. } | State::Ending { since, .. } = self.state {
            self.state = State::Ending { since, is_told: true, kill: now + self.pace.grace };
        }
    }

    /// It has ended, or could not be started.
    pub fn ended(&mut self, now: Moment) {
        let since = match self.state {
            State::Down { .. } => now,
            State::Up { since, .. } | State::Ending { since, .. } => since,
        };
        if now.saturating_sub(since) >= self.pace.longest {
            self.failures = 0;
        }
        let doubled = self.failures.checked_sub(1).map(|doublings| 1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        let pause = doubled.map_or(Duration::ZERO, |times| self.pace.shortest.saturating_mul(times));
        self.failures = (self.failures + 1).min(31);
        self.state = State::Down { until: now + pause.min(self.pace.longest) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(milliseconds: u64) -> Moment {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn one_that_answers_is_asked_now_and_then() {
        let mut tending = Tending::new(Pace::default());
        assert_eq!(tending.next(ms(0)), Step::Start);
        tending.runs(ms(0));
        let mut now = ms(0);
        for _ in 0..100 {
            assert_eq!(tending.next(now), Step::Ask);
            tending.asked(now);
            now += ms(1);
            tending.answered(now);
            assert_eq!(tending.next(now), Step::Wait(now + ms(5000)));
            now += ms(5000);
        }
    }

    #[test]
    fn one_that_hangs_is_asked_more_often_then_told_then_killed() {
        let mut tending = Tending::new(Pace::default());
        tending.runs(ms(0));
        tending.asked(ms(0));
        tending.answered(ms(0));
        let (mut asked, mut now) = (0, ms(0));
        loop {
            match tending.next(now) {
                Step::Ask => {
                    asked += 1;
                    tending.asked(now);
                }
                Step::Wait(until) => now = until,
                step => break assert_eq!((step, now), (Step::End { hangs: true }, ms(20_000))),
            }
        }
        assert_eq!(asked, 11);
        tending.told(now);
        assert_eq!(tending.next(now), Step::Wait(ms(23_000)));
        assert_eq!(tending.next(ms(23_000)), Step::Kill);
        tending.ended(ms(23_001));
        assert_eq!(tending.next(ms(23_001)), Step::Start);
    }

    #[test]
    fn one_that_keeps_dying_begins_ever_more_rarely_and_one_that_ran_at_once() {
        let mut tending = Tending::new(Pace::default());
        let mut now = ms(0);
        for pause in [0, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            tending.runs(now);
            tending.ended(now);
            let expected = if pause == 0 { Step::Start } else { Step::Wait(now + ms(pause)) };
            assert_eq!(tending.next(now), expected);
            now += ms(pause);
        }
        tending.runs(now);
        tending.ended(now + ms(60_000));
        assert_eq!(tending.next(now + ms(60_000)), Step::Start);
    }

    #[test]
    fn one_that_is_to_be_replaced_is_told_once() {
        let mut tending = Tending::new(Pace::default());
        tending.replace(ms(0));
        assert_eq!(tending.next(ms(0)), Step::Start);
        tending.runs(ms(0));
        tending.replace(ms(1));
        assert_eq!(tending.next(ms(1)), Step::End { hangs: false });
        tending.told(ms(1));
        assert_eq!(tending.next(ms(1)), Step::Wait(ms(3001)));
    }

    proptest! {
        /// Whatever happens, it is neither started while it runs, nor told to end while it does not; and a step that is taken
        /// leads on: nothing is done twice at one moment.
        #[test]
        fn it_is_one_at_a_time(history in proptest::collection::vec((0_u8..5, 0_u64..30_000), 0..200)) {
            let mut tending = Tending::new(Pace::default());
            let (mut now, mut runs) = (ms(0), false);
            for (what, passes) in history {
                match what {
                    0 if runs => {
                        tending.ended(now);
                        runs = false;
                    }
                    1 if runs => tending.answered(now),
                    2 => tending.replace(now),
                    _ => now += ms(passes),
                }
                let mut steps = 0;
                loop {
                    steps += 1;
                    prop_assert!(steps < 5);
                    match tending.next(now) {
                        Step::Start => {
                            prop_assert!(!runs);
                            tending.runs(now);
                            runs = true;
                        }
                        Step::Ask => tending.asked(now),
                        Step::End { .. } => {
                            prop_assert!(runs);
                            tending.told(now);
                        }
                        Step::Kill => {
                            prop_assert!(runs);
                            tending.ended(now);
                            runs = false;
                        }
                        Step::Wait(until) => break prop_assert!(until > now && until <= now + ms(60_000)),
                    }
                }
            }
        }
    }
}
