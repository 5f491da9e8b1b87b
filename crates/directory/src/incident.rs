//! Incidents: windows of time that somebody wants to come back to, with a title and notes.

use std::fmt;

/// Longest title, in characters.
pub const INCIDENT_TITLE_CHARS_MAX: usize = 120;
/// Longest notes, in characters.
pub const INCIDENT_NOTES_CHARS_MAX: usize = 4_000;
/// Longest window, ms: 31 days.
pub const INCIDENT_WINDOW_MS_MAX: i64 = 31 * 86_400_000;
/// Most incidents kept.
pub const INCIDENTS_MAX: usize = 1_000;

/// What somebody says about a window of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentForm {
    /// What it was, in one line.
    pub title: String,
    /// What is to be said about it.
    pub notes: String,
    /// From then on, Unix ms.
    pub since_ms: i64,
    /// Before then, Unix ms.
    pub until_ms: i64,
    /// Whether its days are kept however long others are.
    pub is_pinned: bool,
    /// Whether everybody may see title, notes and counts.
    pub is_public: bool,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its number, from 1.
    pub number: i64,
    /// What is said about it.
    pub form: IncidentForm,
    /// When it was closed, Unix ms; `None` while it is looked into.
    pub closed_ms: Option<i64>,
    /// When it was marked, Unix ms.
    pub made_ms: i64,
    /// Who marked it.
    pub made_by: String,
    /// The archive that has its receptions, when it came from another Backhaul; `None` when they are our own.
    pub archive: Option<String>,
}

/// Why an incident is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentRefused {
    /// It has no title.
    NoTitle,
    /// Title or notes are too long.
    TooLong,
    /// There are control characters in it.
    Control,
    /// The window ends before it begins, or is longer than a month.
    Window,
    /// There are too many.
    TooMany,
    /// None has this number.
    Unknown(i64),
}

impl fmt::Display for IncidentRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTitle => f.write_str("an incident needs a title"),
            Self::TooLong => write!(
                f,
                "a title has at most {INCIDENT_TITLE_CHARS_MAX} characters, notes {INCIDENT_NOTES_CHARS_MAX}"
            ),
            Self::Control => f.write_str("there are control characters in the title or the notes"),
            Self::Window => f.write_str("the window must begin before it ends, and is at most 31 days long"),
            Self::TooMany => write!(f, "at most {INCIDENTS_MAX} incidents are kept; remove some first"),
            Self::Unknown(number) => write!(f, "there is no incident {number}"),
        }
    }
}

impl std::error::Error for IncidentRefused {}

impl IncidentForm {
    /// The same without what is around its words, if it makes sense.
    ///
    /// # Errors
    /// When it does not.
    pub fn checked(mut self) -> Result<Self, IncidentRefused> {
        self.title = self.title.trim().to_owned();
        self.notes = self.notes.trim().replace("\r\n", "\n");
        if self.title.is_empty() {
            return Err(IncidentRefused::NoTitle);
        }
        if self.title.chars().count() > INCIDENT_TITLE_CHARS_MAX
            || self.notes.chars().count() > INCIDENT_NOTES_CHARS_MAX
        {
            return Err(IncidentRefused::TooLong);
        }
        if self.title.chars().any(char::is_control) || self.notes.chars().any(|c| c.is_control() && c != '\n')
        {
            return Err(IncidentRefused::Control);
        }
        match self.until_ms.checked_sub(self.since_ms) {
            Some(1..=INCIDENT_WINDOW_MS_MAX) => Ok(self),
            _ => Err(IncidentRefused::Window),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let fine = IncidentForm {
            title: " Storm ".to_owned(),
            notes: "one\r\ntwo".to_owned(),
            since_ms: 5,
            until_ms: 6,
            is_pinned: true,
            is_public: false,
        };
        let checked = fine.clone().checked().unwrap();
        assert_eq!((checked.title.as_str(), checked.notes.as_str()), ("Storm", "one\ntwo"));
        let refused = |change: &dyn Fn(&mut IncidentForm)| {
            let mut form = fine.clone();
            change(&mut form);
            form.checked().unwrap_err()
        };
        assert_eq!(refused(&|f| f.title = "  ".into()), IncidentRefused::NoTitle);
        assert_eq!(refused(&|f| f.title = "x".repeat(121)), IncidentRefused::TooLong);
        assert_eq!(refused(&|f| f.notes = "\u{7}".into()), IncidentRefused::Control);
        assert_eq!(refused(&|f| f.until_ms = 5), IncidentRefused::Window);
        assert_eq!(refused(&|f| f.until_ms = i64::MAX), IncidentRefused::Window);
        assert_eq!(refused(&|f| f.since_ms = i64::MIN), IncidentRefused::Window);
    }
}
