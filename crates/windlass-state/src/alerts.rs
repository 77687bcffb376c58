//! Alerts that wait to be delivered, and who is there to fire triggers.

use crate::dialect::Intent;
use crate::error::to_json;
use crate::error::{failed, row_count, row_json, row_parse, row_string, row_text, row_time};
use crate::runs::micros;
use crate::{Store, Tx};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::any::AnyRow;
use windlass_types::{FabricId, Result, RunId};

/// An alert to be delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAlert {
    /// Where to, as `windlass_jobs` writes it; secrets by name.
    pub target: Value,
    /// What is told.
    pub body: Value,
}

/// An alert of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRow {
    /// Id.
    pub id: String,
    /// The run it tells of.
    pub run: RunId,
    /// The fabric of the run, whose secrets the target may name.
    pub fabric: FabricId,
    /// Where to.
    pub target: Value,
    /// What is told.
    pub body: Value,
    /// Where its delivery is.
    pub state: Delivery,
    /// How often delivery was tried, this time included.
    pub attempts: u32,
    /// When it became due.
    pub created: DateTime<Utc>,
    /// Why the last delivery failed.
    pub error: Option<String>,
}

/// Where the delivery of an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Will be tried, perhaps again.
    Pending,
    /// Delivered.
    Sent,
    /// Given up.
    Failed,
}

impl Delivery {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

impl std::str::FromStr for Delivery {
    type Err = ();
    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        [Self::Pending, Self::Sent, Self::Failed]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(())
    }
}

/// A process that fires triggers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Who.
    pub owner: String,
    /// Since when.
    pub started: DateTime<Utc>,
    /// When it was last heard of.
    pub beat: DateTime<Utc>,
}

impl AlertRow {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            id: row_string(row, "id")?,
            run: row_parse(row, "run_id")?,
            fabric: row_parse(row, "fabric_id")?,
            target: row_json(row, "target")?,
            body: row_json(row, "body")?,
            state: row_parse(row, "state")?,
            attempts: row_count(row, "attempts")?,
            created: row_time(row, "created_at")?,
            error: row_text(row, "error")?,
        })
    }
}

pub(crate) async fn insert(
    tx: &mut Tx,
    run: RunId,
    alerts: &[NewAlert],
    now: DateTime<Utc>,
) -> Result<()> {
    for (index, alert) in alerts.iter().enumerate() {
        sqlx::query(
            "INSERT INTO run_alerts (id, run_id, target, body, state, attempts, next_at, created_at) VALUES ($1, $2, $3, $4, 'pending', 0, $5, $5)",
        )
        .bind(format!("{run}.{index}"))
        .bind(run.to_string())
        .bind(to_json(&alert.target)?)
        .bind(to_json(&alert.body)?)
        .bind(micros(now))
        .execute(&mut **tx)
        .await
        .map_err(failed("write an alert"))?;
    }
    Ok(())
}

impl Store {
    /// Takes alerts that are due, at most `limit`; they are due again at `again` unless
    /// [`Store::alert_delivered`] is told before. Two processes never take the same one.
    pub async fn take_alerts(
        &self,
        now: DateTime<Utc>,
        again: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<AlertRow>> {
        let doing = "read alerts";
        let due: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM run_alerts WHERE state = 'pending' AND next_at <= $1 ORDER BY next_at LIMIT $2",
        )
        .bind(micros(now))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed(doing))?;
        let mut taken = Vec::new();
        for id in due {
            let mut tx = self.begin(Intent::Write).await?;
            let row = sqlx::query(
                "UPDATE run_alerts SET next_at = $1, attempts = attempts + 1 WHERE id = $2 AND state = 'pending' AND next_at <= $3 RETURNING *, (SELECT fabric_id FROM runs WHERE runs.id = run_alerts.run_id) AS fabric_id",
            )
            .bind(micros(again))
            .bind(&id)
            .bind(micros(now))
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
            tx.commit().await.map_err(failed(doing))?;
            taken.extend(row.as_ref().map(AlertRow::read).transpose()?);
        }
        Ok(taken)
    }

    /// Notes how a delivery went: sent, given up, or pending until `next`.
    pub async fn alert_delivered(
        &self,
        id: &str,
        state: Delivery,
        error: Option<&str>,
        next: DateTime<Utc>,
    ) -> Result<()> {
        let doing = "note a delivery";
        let mut tx = self.begin(Intent::Write).await?;
        sqlx::query("UPDATE run_alerts SET state = $1, error = $2, next_at = $3 WHERE id = $4")
            .bind(state.as_str())
            .bind(error.map(str::to_owned))
            .bind(micros(next))
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Lists the alerts of a run.
    pub async fn alerts(&self, run: RunId) -> Result<Vec<AlertRow>> {
        sqlx::query(
            "SELECT a.*, r.fabric_id FROM run_alerts a JOIN runs r ON r.id = a.run_id WHERE a.run_id = $1 ORDER BY a.id",
        )
        .bind(run.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read alerts"))?
        .iter()
        .map(AlertRow::read)
        .collect()
    }

    /// Says that a process is there to fire triggers; forgets those silent for a day.
    pub async fn present(&self, owner: &str, now: DateTime<Utc>) -> Result<()> {
        let doing = "note who is there";
        let mut tx = self.begin(Intent::Write).await?;
        sqlx::query(
            "INSERT INTO presences (owner, started_at, beat_at) VALUES ($1, $2, $2) ON CONFLICT (owner) DO UPDATE SET beat_at = excluded.beat_at",
        )
        .bind(owner)
        .bind(micros(now))
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        sqlx::query("DELETE FROM presences WHERE beat_at < $1")
            .bind(micros(now - chrono::TimeDelta::days(1)))
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Says that a process is gone.
    pub async fn absent(&self, owner: &str) -> Result<()> {
        let doing = "note who is gone";
        let mut tx = self.begin(Intent::Write).await?;
        sqlx::query("DELETE FROM presences WHERE owner = $1")
            .bind(owner)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Lists processes heard of at or after `since`.
    pub async fn presences(&self, since: DateTime<Utc>) -> Result<Vec<Presence>> {
        sqlx::query("SELECT * FROM presences WHERE beat_at >= $1 ORDER BY owner")
            .bind(micros(since))
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read who is there"))?
            .iter()
            .map(|row| {
                Ok(Presence {
                    owner: row_string(row, "owner")?,
                    started: row_time(row, "started_at")?,
                    beat: row_time(row, "beat_at")?,
                })
            })
            .collect()
    }
}
