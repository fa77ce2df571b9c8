//! What the numbers were measured on.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use vault_crypto_core::{Clock as _, SystemClock};

/// One line: processor, cores, kernel, compiler, day and command.
pub fn describe(command: &str) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "*{}, {cores} cores; Linux {}; {}; {}; `{command}`*",
        processor(),
        first_line("/proc/sys/kernel/osrelease"),
        compiler(),
        today(),
    )
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| "an unknown processor".into());
    let family = field("cpu family").zip(field("model\t"));
    let numbers = family
        .map_or_else(String::new, |(family, model)| format!(" (family {family}, model {model})"));
    let flags = field("flags").unwrap_or_default();
    let wide = flags.split(' ').any(|flag| flag == "avx512f");
    format!("{model}{numbers} {} AVX-512", if wide { "with" } else { "without" })
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or("of an unknown version").to_owned()
}

/// The day in UTC (the civil calendar from a count of days; Howard Hinnant's algorithm).
fn today() -> String {
    let since = SystemClock::new().now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let days = since.as_secs() / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}
