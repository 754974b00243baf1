//! Points in time that come from inputs: archive dates, source dates, the day of a lock. Never reads a clock.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Seconds since 1970-01-01 00:00 UTC: the value of SOURCE_DATE_EPOCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Reads the date of an RFC 5322 header, as archives' InRelease files write it (`Sat, 06 Sep 2025 10:02:33 UTC`).
    ///
    /// # Errors
    /// [`Kind::Document`] when the text is not such a date or lies before 1970.
    pub fn parse_rfc2822(text: &str) -> Result<Self> {
        let wrong = |cause: String| Error::new(Kind::Document, format!("date `{text}`"), cause);
        // jiff wants the zone as GMT or an offset; archives write UTC.
        let zoned = text.trim().replace("UTC", "GMT");
        let parsed = jiff::fmt::rfc2822::parse(&zoned).map_err(|error| wrong(error.to_string()))?;
        let seconds = parsed.timestamp().as_second();
        u64::try_from(seconds).map(Epoch).map_err(|_| wrong("lies before 1970".into()))
    }

    /// The day in UTC.
    ///
    /// # Errors
    /// [`Kind::Document`] when the number is beyond the calendar (year 9999).
    pub fn day(self) -> Result<Day> {
        Ok(Day(self.timestamp()?.to_zoned(jiff::tz::TimeZone::UTC).date()))
    }

    /// The form snapshot services use in their URLs: `20250906T100233Z`.
    ///
    /// # Errors
    /// [`Kind::Document`] when the number is beyond the calendar (year 9999).
    pub fn compact(self) -> Result<String> {
        Ok(self.timestamp()?.strftime("%Y%m%dT%H%M%SZ").to_string())
    }

    /// Reads what [`Epoch::compact`] writes.
    ///
    /// # Errors
    /// [`Kind::Document`] when the text is no such time.
    pub fn parse_compact(text: &str) -> Result<Self> {
        let wrong = |cause: String| {
            Error::new(Kind::Document, format!("time `{text}`"), cause).remedy("write it as 20250906T100233Z")
        };
        let civil =
            jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).map_err(|error| wrong(error.to_string()))?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| wrong(error.to_string()))?;
        u64::try_from(zoned.timestamp().as_second()).map(Epoch).map_err(|_| wrong("lies before 1970".into()))
    }

    /// Reads an RFC 3339 time, as OCI configurations have it; what lies before 1970 is no date.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let timestamp: jiff::Timestamp = text.trim().parse().ok()?;
        u64::try_from(timestamp.as_second()).ok().filter(|seconds| *seconds > 0).map(Epoch)
    }

    /// RFC 3339 in UTC (`2025-09-06T10:02:33Z`), as OCI configurations want it.
    ///
    /// # Errors
    /// [`Kind::Document`] when the number is beyond the calendar (year 9999).
    pub fn rfc3339(self) -> Result<String> {
        Ok(self.timestamp()?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    fn timestamp(self) -> Result<jiff::Timestamp> {
        i64::try_from(self.0)
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            .ok_or_else(|| Error::new(Kind::Document, format!("epoch {}", self.0), "lies beyond the calendar"))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A day, written `2026-11-23`: the DATE of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(jiff::civil::Date);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Day).map_err(|error| {
            Error::new(Kind::Document, format!("date `{text}`"), error).remedy("write year-month-day, as 2026-11-23")
        })
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse().map_err(|error: Error| error.to_string())
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_dates_in_all_forms() {
        let epoch = Epoch::parse_rfc2822("Sat, 06 Sep 2025 10:02:33 UTC").unwrap();
        assert_eq!(epoch, Epoch(1_757_152_953));
        assert_eq!(epoch.compact().unwrap(), "20250906T100233Z");
        assert_eq!(Epoch::parse_compact("20250906T100233Z").unwrap(), epoch);
        assert_eq!(epoch.rfc3339().unwrap(), "2025-09-06T10:02:33Z");
        assert_eq!(epoch.day().unwrap().to_string(), "2025-09-06");
    }

    #[test]
    fn what_is_no_date_is_named() {
        assert!(Epoch::parse_rfc2822("yesterday").unwrap_err().to_string().contains("`yesterday`"));
        assert!(Epoch::parse_compact("2025-09-06").unwrap_err().to_string().contains("`2025-09-06`"));
        assert!(Epoch(u64::MAX).day().is_err());
        assert!("2026-13-01".parse::<Day>().is_err());
    }
}
