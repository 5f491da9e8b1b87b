//! Surveys of windows of the history, made once for all who ask for the same window with the same eyes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use history::{Effort, Walked};
use insight::Survey;
use insight::alone::Brought;
use insight::compare::Gateways;
use tokio::sync::OnceCell;

use crate::archive::{Archive, Unreadable};
use crate::visibility::{Sight, Visitor};
use crate::window::Window;

/// How much is done for one survey: a busy day. What is longer says how far back it came.
const EFFORT: Effort = Effort { rows: 1_500_000, time: Duration::from_millis(1_500) };
/// How long a survey is good for, ms: the window of the last minutes goes on filling.
const KEPT_MS: i64 = 60_000;
/// Surveys kept at a time.
const KEPT_MAX: usize = 12;

/// A survey with how far back it came.
#[derive(Debug)]
pub struct Surveyed {
    /// What was found.
    pub survey: Survey,
    /// How far back.
    pub walked: Walked,
}

type Cell = Arc<OnceCell<Arc<Surveyed>>>;

/// The surveys made lately.
#[derive(Default)]
pub struct Surveys(Mutex<Vec<Made>>);

/// Whether it is the public's, of which window, when it was made, and what came of it.
type Made = ((bool, Window), i64, Cell);

impl Surveys {
    /// The survey of a window as the visitor may see it.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn of(
        &self,
        archive: &Archive,
        window: Window,
        sight: &Sight,
        now_ms: i64,
    ) -> Result<Arc<Surveyed>, Unreadable> {
        let cell = self.cell((sight.visitor == Visitor::Operator, window), now_ms);
        let made = cell.get_or_try_init(|| async {
            let eyes = sight.clone();
            archive
                .ask(move |reader| reader.survey(window.since_ms, window.until_ms, EFFORT, &eyes))
                .await
                .map(|(survey, walked)| Arc::new(Surveyed { survey, walked }))
        });
        made.await.cloned()
    }

    /// Forgets all of them.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn cell(&self, key: (bool, Window), now_ms: i64) -> Cell {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, made_ms, _)| (0..KEPT_MS).contains(&(now_ms - made_ms)));
        if let Some((_, _, cell)) = kept.iter().find(|(known, _, _)| *known == key) {
            return cell.clone();
        }
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        let cell = Cell::default();
        kept.push((key, now_ms, cell.clone()));
        cell
    }
}

/// What each gateway alone heard of the last day, made once in a while for each kind of visitor.
#[derive(Default)]
pub struct AloneOfDay([tokio::sync::Mutex<Option<MadeAlone>>; 2]);

/// When it was made, Unix ms, and what came of it.
type MadeAlone = (i64, Arc<ByGateway>);

/// What each gateway brought, by number.
pub type ByGateway = BTreeMap<u32, Brought>;

/// How long that is good for, ms.
const ALONE_KEPT_MS: i64 = 5 * 60_000;
/// What it looks back at, ms.
const ALONE_SINCE_MS: i64 = 86_400_000;

impl AloneOfDay {
    /// What the visitor may know of it.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn of(
        &self,
        archive: &Archive,
        sight: &Sight,
        now_ms: i64,
    ) -> Result<Arc<ByGateway>, Unreadable> {
        let mut kept = self.0[usize::from(sight.is_operator())].lock().await;
        if let Some((at_ms, made)) = &*kept
            && (0..ALONE_KEPT_MS).contains(&(now_ms - at_ms))
        {
            return Ok(made.clone());
        }
        let eyes = sight.clone();
        let (alone, _) = archive
            .ask(move |reader| reader.alone(now_ms - ALONE_SINCE_MS, now_ms + 1, EFFORT, &eyes))
            .await?;
        let made = Arc::new(alone.by_gateway());
        *kept = Some((now_ms, made.clone()));
        Ok(made)
    }
}

/// What two gateways heard of a window, as the visitor may see it.
///
/// # Errors
/// When the history cannot be read.
pub async fn gateways(
    archive: &Archive,
    pair: (u32, u32),
    window: Window,
    sight: &Sight,
) -> Result<(Gateways, Walked), Unreadable> {
    let eyes = sight.clone();
    archive
        .ask(move |reader| reader.compare_gateways(pair, window.since_ms, window.until_ms, EFFORT, &eyes))
        .await
}
