//! What the operator silenced: alerts that begin meanwhile are kept back, and told when they go on beyond it.

use std::path::Path;

use automation::alert::engine::Happening;
use directory::Silence;
use directory_store::Store;

/// What began while it was silenced and is told when that is over; more is on the page only.
const KEPT_BACK_MAX: usize = 1_000;

/// The silences in force.
pub struct Silences {
    directory: Store,
    version: Option<i64>,
    silences: Vec<Silence>,
    /// What began while it was silenced and is not over.
    kept_back: Vec<Happening>,
}

impl Silences {
    /// Those of a data folder.
    ///
    /// # Errors
    /// When the directory cannot be opened, in words.
    pub fn open(data: &Path, now_ms: i64) -> Result<Self, String> {
        let directory = Store::open(data).map_err(|error| error.to_string())?;
        let mut opened = Self { directory, version: None, silences: Vec::new(), kept_back: Vec::new() };
        opened.look(now_ms);
        Ok(opened)
    }

    /// Keeps back what begins while it is silenced, and says so. The end of something is never kept back: it is told only to
    /// whom its beginning was told.
    pub fn hush(&mut self, happening: &Happening) -> bool {
        if happening.is_end {
            self.kept_back
                .retain(|one| one.rule.name != happening.rule.name || one.subject != happening.subject);
            return false;
        }
        let is_silenced = self.is_silenced(happening, happening.at_ms);
        if is_silenced && self.kept_back.len() < KEPT_BACK_MAX {
            self.kept_back.push(happening.clone());
        }
        is_silenced
    }

    /// Takes over what the operator silenced or does no longer, and gives what goes on beyond its silence.
    pub fn look(&mut self, now_ms: i64) -> Vec<Happening> {
        // A directory that is busy is asked again a second later.
        let version = self.directory.data_version().ok();
        if version.is_some()
            && version != self.version
            && let Ok(silences) = self.directory.silences(now_ms)
        {
            self.silences = silences;
            self.version = version;
        }
        let (still, over) =
            std::mem::take(&mut self.kept_back).into_iter().partition(|one| self.is_silenced(one, now_ms));
        self.kept_back = still;
        over
    }

    /// Forgets a node.
    pub fn forget_node(&mut self, node: u32) {
        self.kept_back.retain(|happening| happening.subject.node() != Some(node));
    }

    fn is_silenced(&self, happening: &Happening, now_ms: i64) -> bool {
        let node = happening.subject.node();
        self.silences.iter().any(|silence| silence.holds(&happening.rule.name, node, now_ms))
    }
}
