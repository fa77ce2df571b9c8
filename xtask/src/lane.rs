//! Lanes: named checks that run one after another, report their time, and stop at the first failure.

use std::time::{Duration, Instant};

use crate::shell::Outcome;

/// One named check.
#[derive(Clone, Copy)]
pub(crate) struct Lane {
    /// What `cargo xtask ci NAME` calls it.
    pub(crate) name: &'static str,
    /// What a green run proves.
    pub(crate) proves: &'static str,
    /// When it runs without being named.
    pub(crate) when: When,
    /// The check.
    pub(crate) run: fn() -> Outcome,
}

/// When a lane runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// In `cargo xtask test` and in `cargo xtask ci`.
    Test,
    /// In `cargo xtask ci`.
    Ci,
    /// Only when named: it needs the network or another toolchain.
    Named,
}

/// Runs the lanes in order.
pub(crate) fn run(lanes: &[Lane]) -> Outcome {
    let start = now();
    for (index, lane) in lanes.iter().enumerate() {
        println!("==> [{}/{}] {}: {}", index + 1, lanes.len(), lane.name, lane.proves);
        let lane_start = now();
        if let Err(failure) = (lane.run)() {
            println!("<== {} FAILED after {}", lane.name, seconds(lane_start.elapsed()));
            return Err(format!(
                "lane `{0}`: {failure}\nrun it alone with: cargo xtask ci {0}",
                lane.name
            )
            .into());
        }
        println!("<== {} passed in {}", lane.name, seconds(lane_start.elapsed()));
    }
    let names: Vec<&str> = lanes.iter().map(|lane| lane.name).collect();
    println!("passed in {}: {}", seconds(start.elapsed()), names.join(", "));
    Ok(())
}

/// Names the lanes.
pub(crate) fn list(lanes: &[Lane]) {
    for lane in lanes {
        let when = match lane.when {
            When::Test => "test, ci",
            When::Ci => "ci",
            When::Named => "when named",
        };
        println!("{:10} {:10} {}", lane.name, when, lane.proves);
    }
}

#[expect(clippy::disallowed_methods, reason = "the time a lane took is only printed")]
fn now() -> Instant {
    Instant::now()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes() -> Outcome {
        Ok(())
    }

    fn fails() -> Outcome {
        Err("broken".into())
    }

    #[expect(clippy::panic, reason = "reaching it is the failure")]
    fn is_never_reached() -> Outcome {
        panic!("a lane ran after a failed one")
    }

    const fn lane(name: &'static str, run: fn() -> Outcome) -> Lane {
        Lane { name, proves: "", when: When::Ci, run }
    }

    #[test]
    fn a_failed_lane_stops_the_run_and_says_how_to_repeat_it() {
        let lanes = [lane("one", passes), lane("two", fails), lane("three", is_never_reached)];
        let failure = run(&lanes).unwrap_err().to_string();
        assert!(failure.contains("lane `two`: broken"), "{failure}");
        assert!(failure.contains("cargo xtask ci two"), "{failure}");
    }

    #[test]
    fn lanes_that_pass_are_a_success() {
        assert!(run(&[lane("one", passes)]).is_ok());
    }
}
