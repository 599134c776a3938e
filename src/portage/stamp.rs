//! The time stamps of an ebuild repository: `metadata/timestamp*` and a Manifest's `TIMESTAMP`.
//!
//! `timestamp.chk` alone decides what a client does at `emerge --sync`, so its format is read as
//! leniently as Portage reads it (`strptime`: one digit or two, any run of blanks, any case) and
//! written exactly as upstream writes it. Everything is UTC and whole seconds since 1970, from
//! year 1970 to 9999: no other value comes out of a parser, and printers clamp to that range.
//! Absent on purpose: time zones, leap seconds, the clock.

use std::ops::RangeInclusive;

const DAY: i64 = 86_400;
const YEARS: RangeInclusive<i64> = 1970..=9999;
/// 9999-12-31T23:59:59Z, the last second with a four-digit year.
const LAST: i64 = 253_402_300_799;
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The last commit of the tree's source repository, from `metadata/timestamp.commit`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// The commit's name, lower-case hex.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub epoch: i64,
}

/// Reads the first line of `metadata/timestamp.chk`: `Wed, 01 Jul 2020 12:00:01 +0000`.
///
/// Returns seconds since 1970, or `None` for what Portage would not understand either.
pub fn parse_chk(text: &[u8]) -> Option<i64> {
    let line = text.split(|&b| b == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (weekday, rest) = line.trim_start().split_once(',')?;
    position(&WEEKDAYS, weekday)?;
    let mut words = rest.split_ascii_whitespace();
    let day = number(words.next()?, 2)?;
    let month = position(&MONTHS, words.next()?)?;
    let year = number(words.next()?, 4)?;
    let seconds = parse_clock(words.next()?)?;
    (words.next()? == "+0000" && words.next().is_none()).then_some(())?;
    Some(parse_civil(year, month, day)? + seconds)
}

/// Writes `metadata/timestamp.chk` with its newline.
pub fn print_chk(epoch: i64) -> String {
    let at = Civil::at(epoch);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000\n",
        at.weekday,
        at.day,
        at.month_name(),
        at.year,
        at.hour,
        at.minute,
        at.second
    )
}

/// Writes `metadata/timestamp` with its newline: `Wed 01 Jul 2020 09:38:22 AM UTC`.
pub fn print_human(epoch: i64) -> String {
    let at = Civil::at(epoch);
    let half = if at.hour < 12 { "AM" } else { "PM" };
    let hour = match at.hour % 12 {
        0 => 12,
        hour => hour,
    };
    format!(
        "{} {:02} {} {:04} {hour:02}:{:02}:{:02} {half} UTC\n",
        at.weekday,
        at.day,
        at.month_name(),
        at.year,
        at.minute,
        at.second
    )
}

/// Reads the first field of `metadata/timestamp.x`, which is all that emerge-webrsync reads.
pub fn parse_x(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    bounded(text.split_ascii_whitespace().next()?)
}

/// Writes `metadata/timestamp.x` with its newline: the seconds, then the date for people.
pub fn print_x(epoch: i64) -> String {
    format!("{} {}", epoch.clamp(0, LAST), print_human(epoch))
}

/// Reads `metadata/timestamp.commit`: `SHA1 EPOCH ISO8601`. The third field only repeats the second.
pub fn parse_commit(text: &[u8]) -> Option<Commit> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace();
    let id = words.next()?;
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    // SHA-1 today, SHA-256 when git changes over.
    (matches!(id.len(), 40 | 64) && id.bytes().all(hex)).then_some(())?;
    Some(Commit { id: id.to_owned(), epoch: bounded(words.next()?)? })
}

/// Writes `metadata/timestamp.commit` with its newline.
pub fn print_commit(commit: &Commit) -> String {
    let at = Civil::at(commit.epoch);
    format!("{} {} {}+00:00\n", commit.id, commit.epoch.clamp(0, LAST), at.date_and_time())
}

/// Reads the time of a Manifest's `TIMESTAMP` line (GLEP 74): `2020-07-01T09:38:26Z`.
pub fn parse_iso(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    (date.len() == 10 && clock.len() == 8).then_some(())?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(())?;
    let month = usize::try_from(number(month, 2)?).ok()?.checked_sub(1)?;
    Some(parse_civil(number(year, 4)?, month, number(day, 2)?)? + parse_clock(clock)?)
}

/// Writes the time of a Manifest's `TIMESTAMP` line, without newline.
pub fn print_iso(epoch: i64) -> String {
    format!("{}Z", Civil::at(epoch).date_and_time())
}

/// Writes the date alone, `2020-07-01`, as GLSAs and news items carry it.
pub fn print_date(epoch: i64) -> String {
    let at = Civil::at(epoch);
    format!("{:04}-{:02}-{:02}", at.year, at.month + 1, at.day)
}

/// A moment taken apart; `month` counts from 0.
struct Civil {
    year: i64,
    month: usize,
    day: i64,
    weekday: &'static str,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    fn at(epoch: i64) -> Self {
        let epoch = epoch.clamp(0, LAST);
        let (days, second) = (epoch / DAY, epoch % DAY);
        // 1970-01-01 was a Thursday.
        let weekday = WEEKDAYS[usize::try_from((days + 3) % 7).unwrap_or(0)];
        let mut year = 1970 + days / 366;
        while days_before_year(year + 1) <= days {
            year += 1;
        }
        let mut left = days - days_before_year(year);
        let mut month = 0;
        while left >= days_in_month(year, month) {
            left -= days_in_month(year, month);
            month += 1;
        }
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        Self { year, month, day: left + 1, weekday, hour, minute, second }
    }

    fn month_name(&self) -> &'static str {
        MONTHS[self.month]
    }

    fn date_and_time(&self) -> String {
        let Self { year, month, day, hour, minute, second, .. } = self;
        let month = month + 1;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    let since_year_one = past * 365 + past / 4 - past / 100 + past / 400;
    since_year_one - 719_162
}

fn days_in_month(year: i64, month: usize) -> i64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

fn parse_civil(year: i64, month: usize, day: i64) -> Option<i64> {
    let known = YEARS.contains(&year) && month < 12 && day >= 1 && day <= days_in_month(year, month);
    known.then_some(())?;
    let months: i64 = (0..month).map(|month| days_in_month(year, month)).sum();
    Some((days_before_year(year) + months + day - 1) * DAY)
}

fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(|part| number(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let known = hour < 24 && minute < 60 && second < 60 && parts.next().is_none();
    known.then_some(hour * 3600 + minute * 60 + second)
}

/// A number of at most `most` digits and nothing else.
fn number(text: &str, most: usize) -> Option<i64> {
    let digits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn bounded(text: &str) -> Option<i64> {
    number(text, 12).filter(|epoch| (0..=LAST).contains(epoch))
}

fn position(names: &[&str], word: &str) -> Option<usize> {
    names.iter().position(|name| name.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_593_604_801;

    #[test]
    fn prints_the_lines_of_the_real_tree() {
        assert_eq!(print_chk(NOON), "Wed, 01 Jul 2020 12:00:01 +0000\n");
        assert_eq!(print_human(1_593_596_302), "Wed 01 Jul 2020 09:38:22 AM UTC\n");
        assert_eq!(print_x(1_593_596_101), "1593596101 Wed 01 Jul 2020 09:35:01 AM UTC\n");
        assert_eq!(print_iso(1_593_596_306), "2020-07-01T09:38:26Z");
        let id = "56911e5b7b0e6a0e71a495f7768123184ac7ac3b".to_owned();
        let commit = Commit { id, epoch: 1_593_595_961 };
        let line = "56911e5b7b0e6a0e71a495f7768123184ac7ac3b 1593595961 2020-07-01T09:32:41+00:00\n";
        assert_eq!(print_commit(&commit), line);
        assert_eq!(parse_commit(line.as_bytes()), Some(commit));
        assert_eq!(parse_x(b"1593596101 Wed 01 Jul 2020 09:35:01 AM UTC\n"), Some(1_593_596_101));
    }

    #[test]
    fn midnight_and_noon_are_twelve_o_clock() {
        assert_eq!(print_human(0), "Thu 01 Jan 1970 12:00:00 AM UTC\n");
        assert_eq!(print_human(12 * 3600), "Thu 01 Jan 1970 12:00:00 PM UTC\n");
    }

    #[test]
    fn reads_a_chk_line_as_portage_does() {
        let good: &[&[u8]] = &[
            b"Wed, 01 Jul 2020 12:00:01 +0000\n",
            b"Wed, 01 Jul 2020 12:00:01 +0000",
            b"Wed, 1 Jul 2020 12:00:01 +0000\nanything",
            b"wed,  01 JUL 2020 12:0:1 +0000  \r\n",
            b"Mon, 01 Jul 2020 12:00:01 +0000\n",
        ];
        for line in good {
            assert_eq!(parse_chk(line), Some(NOON), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn refuses_a_chk_line_that_is_not_one() {
        let bad: &[&[u8]] = &[
            b"",
            b"\n",
            b"Wed 01 Jul 2020 12:00:01 +0000\n",
            b"Xyz, 01 Jul 2020 12:00:01 +0000\n",
            b"Wed, 32 Jul 2020 12:00:01 +0000\n",
            b"Wed, 30 Feb 2020 12:00:01 +0000\n",
            b"Wed, 29 Feb 2021 12:00:01 +0000\n",
            b"Wed, 01 Jul 1969 12:00:01 +0000\n",
            b"Wed, 01 Jul 20200 12:00:01 +0000\n",
            b"Wed, 01 Jul 2020 24:00:01 +0000\n",
            b"Wed, 01 Jul 2020 12:00:01 +0200\n",
            b"Wed, 01 Jul 2020 12:00:01 UTC\n",
            b"Wed, 01 Jul 2020 12:00:01 +0000 x\n",
            b"Wed, 01 Jul 2020 12:00 +0000\n",
            b"Wed, -1 Jul 2020 12:00:01 +0000\n",
            b"Wed, \xff1 Jul 2020 12:00:01 +0000\n",
        ];
        for line in bad {
            assert_eq!(parse_chk(line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn every_day_of_the_calendar_comes_back_as_itself() {
        let mut epoch = 0;
        while epoch <= LAST {
            let second = epoch + epoch / DAY % DAY;
            assert_eq!(parse_chk(print_chk(second).as_bytes()), Some(second));
            assert_eq!(parse_iso(print_iso(second).as_bytes()), Some(second));
            epoch += DAY * 11;
        }
        assert_eq!(parse_iso(print_iso(LAST).as_bytes()), Some(LAST));
        assert_eq!(parse_chk(print_chk(951_782_400).as_bytes()), Some(951_782_400));
        assert_eq!(print_date(951_782_400), "2000-02-29");
    }

    #[test]
    fn refuses_times_that_are_not_iso() {
        for text in ["2020-07-01T09:38:26", "2020-7-01T09:38:26Z", "2020-13-01T09:38:26Z", "2020-00-01T09:38:26Z", "x"]
        {
            assert_eq!(parse_iso(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn refuses_commits_without_a_name_or_a_time() {
        let id = "56911e5b7b0e6a0e71a495f7768123184ac7ac3b";
        for text in
            [String::new(), id.to_owned(), format!("{id} -5"), format!("{} 5", &id[1..]), format!("{id} 9999999999999")]
        {
            assert_eq!(parse_commit(text.as_bytes()), None, "{text}");
        }
    }
}
