//! Jobs: what is kept of a definition, and the one place where a trigger becomes a run.

use crate::connections::stored;
use crate::dialect::Intent;
use crate::error::{
    failed, is_duplicate, is_reference, row_json, row_name, row_number, row_parse, row_string,
    row_time, row_time_opt, to_json,
};
use crate::fabrics::no_fabric;
use crate::runs::{NewRun, insert_run};
use crate::{SeenShard, Store, Tx};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use windlass_types::{
    ConnectionId, Error, ErrorCode, FabricId, JobId, JobPolicy, JobState, Name, Overlap, Result,
    RunId, RunState,
};

/// A stored job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// Id; kept by ALTER.
    pub id: JobId,
    /// Fabric.
    pub fabric: FabricId,
    /// Name, unique in the fabric.
    pub name: Name,
    /// The word of its kind.
    pub kind: String,
    /// The statement that made it, secrets masked.
    pub definition: String,
    /// What the kind needs to know.
    pub payload: Value,
    /// The trigger, as `windlass_jobs` writes it.
    pub trigger: Value,
    /// How its runs behave.
    pub policy: JobPolicy,
    /// Who is told, as `windlass_jobs` writes it.
    pub alerts: Value,
    /// Whether its trigger is watched.
    pub state: JobState,
    /// When it was made; intervals count from here.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
    /// When its trigger fires next, or its folder is looked at next.
    pub next_fire: Option<DateTime<Utc>>,
    /// How often what it has seen has changed; [`Store::arrive`] asks for it.
    pub seen_version: i64,
}

impl JobRow {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            id: row_parse(row, "id")?,
            fabric: row_parse(row, "fabric_id")?,
            name: row_name(row, "name")?,
            kind: row_string(row, "kind")?,
            definition: row_string(row, "definition")?,
            payload: row_json(row, "payload")?,
            trigger: row_json(row, "trigger_spec")?,
            policy: row_json(row, "policy")?,
            alerts: row_json(row, "alerts")?,
            state: row_parse(row, "state")?,
            created: row_time(row, "created_at")?,
            updated: row_time(row, "updated_at")?,
            next_fire: row_time_opt(row, "next_fire_at")?,
            seen_version: row_number(row, "seen_version")?,
        })
    }
}

/// A job to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Name, unique in the fabric.
    pub name: Name,
    /// The word of its kind.
    pub kind: String,
    /// The statement, with every secret masked.
    pub definition: String,
    /// What the kind needs to know.
    pub payload: Value,
    /// The trigger.
    pub trigger: Value,
    /// How its runs behave.
    pub policy: JobPolicy,
    /// Who is told.
    pub alerts: Value,
    /// Connections it uses, which cannot be dropped while it is there.
    pub connections: Vec<ConnectionId>,
    /// Secrets its alerts name, which cannot be dropped while it is there.
    pub secrets: Vec<Name>,
    /// When its trigger fires first.
    pub next_fire: Option<DateTime<Utc>>,
}

/// What came of firing a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// A run was made, queued or, by the overlap rule, skipped.
    Run(RunId, RunState),
    /// Only the time moved on.
    Moved,
    /// Somebody else did it, or the job changed meanwhile: look again.
    Lost,
    /// The job is busy, and what arrived waits for the next look.
    Busy,
}

impl Store {
    /// Stores a new, active job.
    pub async fn create_job(
        &self,
        fabric: FabricId,
        new: NewJob,
        now: DateTime<Utc>,
    ) -> Result<JobRow> {
        let doing = "create a job";
        let row = JobRow {
            id: JobId::new(),
            fabric,
            name: new.name,
            kind: new.kind,
            definition: new.definition,
            payload: new.payload,
            trigger: new.trigger,
            policy: new.policy,
            alerts: new.alerts,
            state: JobState::Active,
            created: stored(now),
            updated: stored(now),
            next_fire: new.next_fire.map(stored),
            seen_version: 0,
        };
        let mut tx = self.begin(Intent::Write).await?;
        sqlx::query(
            "INSERT INTO jobs (id, fabric_id, name, kind, definition, payload, trigger_spec, policy, alerts, state, created_at, updated_at, next_fire_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12)",
        )
        .bind(row.id.to_string())
        .bind(fabric.to_string())
        .bind(row.name.as_str())
        .bind(&row.kind)
        .bind(&row.definition)
        .bind(to_json(&row.payload)?)
        .bind(to_json(&row.trigger)?)
        .bind(to_json(&row.policy)?)
        .bind(to_json(&row.alerts)?)
        .bind(row.state.as_str())
        .bind(row.created.timestamp_micros())
        .bind(row.next_fire.map(|time| time.timestamp_micros()))
        .execute(&mut *tx)
        .await
        .map_err(|error| {
            if is_duplicate(&error) {
                Error::new(ErrorCode::JobExists, format!("job {} exists", row.name))
                    .hint("ALTER JOB changes it, and keeps its history")
            } else if is_reference(&error) {
                no_fabric(fabric)
            } else {
                failed(doing)(error)
            }
        })?;
        write_uses(&mut tx, &row, &new.connections, &new.secrets).await?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(row)
    }

    /// Changes a job that was read as `seen`; id, state, age and history stay. A name that
    /// differs renames it. Refused when somebody changed the definition after `seen`.
    pub async fn alter_job(
        &self,
        seen: &JobRow,
        new: NewJob,
        now: DateTime<Utc>,
    ) -> Result<JobRow> {
        let doing = "change a job";
        let updated = stored(now).max(seen.updated + TimeDelta::microseconds(1));
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query(
            "UPDATE jobs SET name = $1, kind = $2, definition = $3, payload = $4, trigger_spec = $5, policy = $6, alerts = $7, updated_at = $8, next_fire_at = $9 WHERE id = $10 AND updated_at = $11",
        )
        .bind(new.name.as_str())
        .bind(&new.kind)
        .bind(&new.definition)
        .bind(to_json(&new.payload)?)
        .bind(to_json(&new.trigger)?)
        .bind(to_json(&new.policy)?)
        .bind(to_json(&new.alerts)?)
        .bind(updated.timestamp_micros())
        .bind(new.next_fire.map(|time| time.timestamp_micros()))
        .bind(seen.id.to_string())
        .bind(seen.updated.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(|error| {
            if is_duplicate(&error) {
                Error::new(ErrorCode::JobExists, format!("job {} exists", new.name))
            } else {
                failed(doing)(error)
            }
        })?;
        if done.rows_affected() == 0 {
            return Err(Error::new(
                ErrorCode::JobExists,
                format!("job {} was changed or dropped meanwhile", seen.name),
            )
            .hint("look at it again, then repeat the change"));
        }
        if new.trigger != seen.trigger {
            // Another folder, or none: what was seen means nothing there.
            sqlx::query("DELETE FROM job_seen WHERE job_id = $1")
                .bind(seen.id.to_string())
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
            sqlx::query("UPDATE jobs SET seen_version = 0 WHERE id = $1")
                .bind(seen.id.to_string())
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
        }
        write_uses(&mut tx, seen, &new.connections, &new.secrets).await?;
        tx.commit().await.map_err(failed(doing))?;
        self.job_by_id(seen.id).await
    }

    /// Pauses or resumes a job; its trigger fires next at `next`.
    pub async fn set_job_state(
        &self,
        id: JobId,
        state: JobState,
        next: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<JobRow> {
        let doing = "pause or resume a job";
        let mut tx = self.begin(Intent::Write).await?;
        sqlx::query(
            "UPDATE jobs SET state = $1, next_fire_at = $2, updated_at = CASE WHEN updated_at < $3 THEN $3 ELSE updated_at + 1 END WHERE id = $4",
        )
        .bind(state.as_str())
        .bind(next.map(|time| time.timestamp_micros()))
        .bind(now.timestamp_micros())
        .bind(id.to_string())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        self.job_by_id(id).await
    }

    /// Drops a job with what it has seen. Its runs stay, under its name.
    pub async fn drop_job(&self, fabric: FabricId, name: &Name) -> Result<()> {
        let doing = "drop a job";
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query("DELETE FROM jobs WHERE fabric_id = $1 AND name = $2")
            .bind(fabric.to_string())
            .bind(name.as_str())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        if done.rows_affected() == 0 {
            return Err(no_job(name));
        }
        tx.commit().await.map_err(failed(doing))
    }

    /// Finds a job by name; none is an error.
    pub async fn job(&self, fabric: FabricId, name: &Name) -> Result<JobRow> {
        self.find_job(fabric, name).await?.ok_or_else(|| no_job(name))
    }

    /// Finds a job by name.
    pub async fn find_job(&self, fabric: FabricId, name: &Name) -> Result<Option<JobRow>> {
        let row = sqlx::query("SELECT * FROM jobs WHERE fabric_id = $1 AND name = $2")
            .bind(fabric.to_string())
            .bind(name.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read jobs"))?;
        row.as_ref().map(JobRow::read).transpose()
    }

    /// Finds a job by id; none is an error.
    pub async fn job_by_id(&self, id: JobId) -> Result<JobRow> {
        let row = sqlx::query("SELECT * FROM jobs WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read jobs"))?;
        row.as_ref()
            .map(JobRow::read)
            .transpose()?
            .ok_or_else(|| Error::new(ErrorCode::JobNotFound, format!("no job `{id}`")))
    }

    /// Lists the jobs of a fabric by name.
    pub async fn jobs(&self, fabric: FabricId) -> Result<Vec<JobRow>> {
        sqlx::query("SELECT * FROM jobs WHERE fabric_id = $1 ORDER BY name")
            .bind(fabric.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read jobs"))?
            .iter()
            .map(JobRow::read)
            .collect()
    }

    /// Lists active jobs of all fabrics whose time has come, the oldest first.
    pub async fn due_jobs(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<JobRow>> {
        sqlx::query(
            "SELECT * FROM jobs WHERE state = 'active' AND next_fire_at <= $1 ORDER BY next_fire_at, id LIMIT $2",
        )
        .bind(now.timestamp_micros())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read jobs"))?
        .iter()
        .map(JobRow::read)
        .collect()
    }

    /// Moves the time of a job that was read as `seen` on to `next` and, in the same step, makes
    /// `run`; of several processes that try, one does. `skip` makes it a skipped run, and why.
    pub async fn fire_job(
        &self,
        seen: &JobRow,
        next: Option<DateTime<Utc>>,
        run: Option<NewRun>,
        skip: Option<&Error>,
        now: DateTime<Utc>,
    ) -> Result<Fired> {
        let doing = "fire a job";
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query(
            "UPDATE jobs SET next_fire_at = $1 WHERE id = $2 AND next_fire_at = $3 AND updated_at = $4 AND state = 'active'",
        )
        .bind(next.map(|time| time.timestamp_micros()))
        .bind(seen.id.to_string())
        .bind(seen.next_fire.map(|time| time.timestamp_micros()))
        .bind(seen.updated.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if done.rows_affected() == 0 {
            return Ok(Fired::Lost);
        }
        let fired = match run {
            Some(run) => {
                let (id, state) = insert_run(&mut tx, run, seen.policy.overlap, skip, now).await?;
                Fired::Run(id, state)
            }
            None => Fired::Moved,
        };
        tx.commit().await.map_err(failed(doing))?;
        Ok(fired)
    }

    /// Reads what the trigger of a job has seen, by shard.
    pub async fn seen(&self, job: JobId) -> Result<Vec<SeenShard>> {
        sqlx::query("SELECT shard, prints FROM job_seen WHERE job_id = $1 ORDER BY shard")
            .bind(job.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read what was seen"))?
            .iter()
            .map(|row| {
                Ok(SeenShard {
                    shard: row_number(row, "shard")?,
                    prints: row_string(row, "prints")?,
                })
            })
            .collect()
    }

    /// Notes what a look at a folder has seen and, in the same step, makes `run`; of several
    /// processes that looked, one does. `shards` replace those stored; an empty one removes.
    ///
    /// While a run of the job is open, the overlap rule `skip` notes nothing, so that the files
    /// are new again at the next look; `queue` lets a run that waits already take them along.
    pub async fn arrive(
        &self,
        seen: &JobRow,
        shards: &[SeenShard],
        run: Option<NewRun>,
        now: DateTime<Utc>,
    ) -> Result<Fired> {
        let doing = "note arrived files";
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query(
            "UPDATE jobs SET seen_version = seen_version + 1 WHERE id = $1 AND seen_version = $2 AND updated_at = $3 AND state = 'active'",
        )
        .bind(seen.id.to_string())
        .bind(seen.seen_version)
        .bind(seen.updated.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if done.rows_affected() == 0 {
            return Ok(Fired::Lost);
        }
        let mut run = run;
        if run.is_some() && seen.policy.overlap != Overlap::Allow {
            let (queued, running) = open_counts(&mut tx, seen.id).await?;
            if seen.policy.overlap == Overlap::Skip && queued + running > 0 {
                return Ok(Fired::Busy);
            }
            if queued > 0 {
                run = None;
            }
        }
        for shard in shards {
            let done = if shard.prints.is_empty() {
                sqlx::query("DELETE FROM job_seen WHERE job_id = $1 AND shard = $2")
                    .bind(seen.id.to_string())
                    .bind(shard.shard)
                    .execute(&mut *tx)
                    .await
            } else {
                sqlx::query(
                    "INSERT INTO job_seen (job_id, shard, prints) VALUES ($1, $2, $3) ON CONFLICT (job_id, shard) DO UPDATE SET prints = excluded.prints",
                )
                .bind(seen.id.to_string())
                .bind(shard.shard)
                .bind(&shard.prints)
                .execute(&mut *tx)
                .await
            };
            done.map_err(failed(doing))?;
        }
        let fired = match run {
            Some(run) => {
                let (id, state) = insert_run(&mut tx, run, seen.policy.overlap, None, now).await?;
                Fired::Run(id, state)
            }
            None => Fired::Moved,
        };
        tx.commit().await.map_err(failed(doing))?;
        Ok(fired)
    }
}

/// How many runs of a job wait, and how many go on.
pub(crate) async fn open_counts(tx: &mut Tx, job: JobId) -> Result<(i64, i64)> {
    let doing = "read open runs";
    let rows = sqlx::query(
        "SELECT state, COUNT(*) AS n FROM runs WHERE job_id = $1 AND state IN ('queued', 'running') GROUP BY state",
    )
    .bind(job.to_string())
    .fetch_all(&mut **tx)
    .await
    .map_err(failed(doing))?;
    let mut counts = (0, 0);
    for row in &rows {
        let n: i64 = row.try_get("n").map_err(failed(doing))?;
        match row_parse(row, "state")? {
            RunState::Queued => counts.0 = n,
            _ => counts.1 = n,
        }
    }
    Ok(counts)
}

/// Makes the connections and secrets of a job those given.
async fn write_uses(
    tx: &mut Tx,
    row: &JobRow,
    connections: &[ConnectionId],
    secrets: &[Name],
) -> Result<()> {
    let job = row.id;
    let doing = "note what a job uses";
    sqlx::query("DELETE FROM job_connections WHERE job_id = $1")
        .bind(job.to_string())
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
    for connection in connections {
        sqlx::query(
            "INSERT INTO job_connections (job_id, connection_id) VALUES ($1, $2) ON CONFLICT (job_id, connection_id) DO NOTHING",
        )
        .bind(job.to_string())
        .bind(connection.to_string())
        .execute(&mut **tx)
        .await
        .map_err(|error| {
            if is_reference(&error) {
                Error::new(
                    ErrorCode::ConnectionNotFound,
                    format!("no connection `{connection}`"),
                )
            } else {
                failed(doing)(error)
            }
        })?;
    }
    sqlx::query("DELETE FROM job_secrets WHERE job_id = $1")
        .bind(job.to_string())
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
    for secret in secrets {
        let id: Option<String> =
            sqlx::query_scalar("SELECT id FROM secrets WHERE fabric_id = $1 AND name = $2")
                .bind(row.fabric.to_string())
                .bind(secret.as_str())
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed(doing))?;
        let id = id.ok_or_else(|| crate::secrets::no_secret(secret))?;
        sqlx::query(
            "INSERT INTO job_secrets (job_id, secret_id) VALUES ($1, $2) ON CONFLICT (job_id, secret_id) DO NOTHING",
        )
        .bind(job.to_string())
        .bind(id)
        .execute(&mut **tx)
        .await
        .map_err(failed(doing))?;
    }
    Ok(())
}

fn no_job(name: &Name) -> Error {
    Error::new(ErrorCode::JobNotFound, format!("no job {name}")).hint("`SHOW JOBS` lists them")
}
