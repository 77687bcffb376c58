//! Places that runs change as a whole: one at a time. A place is a mark of its run, and free again
//! when that has ended.

use crate::Store;
use crate::dialect::Intent;
use crate::error::{failed, row_parse, row_string};
use crate::leases::hold;
use crate::run_log::RunMark;
use crate::runs::RunClaim;
use windlass_types::{Result, RunId};

/// Whether a place was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is the run's now.
    Ours,
    /// Another run has it, which has not ended.
    Theirs(RunId),
    /// The run was lost to another process.
    Lost,
}

impl Store {
    /// Sets a mark, unless another run that has not ended has one of the same name that `conflicts`
    /// with it. Of several that try, one is told [`Taken::Ours`].
    pub async fn take_place(
        &self,
        claim: RunClaim,
        mark: &RunMark,
        conflicts: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Taken> {
        let doing = "take a place";
        let mut tx = self.begin(Intent::Place).await?;
        if !hold(&mut tx, claim).await? {
            return Ok(Taken::Lost);
        }
        let others = sqlx::query(
            "SELECT m.run_id, m.value FROM run_marks m JOIN runs r ON r.id = m.run_id WHERE m.name = $1 AND m.run_id <> $2 AND r.state IN ('queued', 'running')",
        )
        .bind(&mark.name)
        .bind(claim.run.to_string())
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(doing))?;
        for row in &others {
            if conflicts(&row_string(row, "value")?) {
                return Ok(Taken::Theirs(row_parse(row, "run_id")?));
            }
        }
        sqlx::query(
            "INSERT INTO run_marks (run_id, name, value) VALUES ($1, $2, $3) ON CONFLICT (run_id, name) DO UPDATE SET value = excluded.value",
        )
        .bind(claim.run.to_string())
        .bind(&mark.name)
        .bind(&mark.value)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(Taken::Ours)
    }
}
