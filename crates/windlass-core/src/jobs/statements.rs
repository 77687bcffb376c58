//! Statements of jobs: what each does.

use super::files::FilesWork;
use super::tables::{RUNS, grade, job_rows, run_row};
use super::write::WRITE;
use super::{FILES, spec};
use crate::engine::{Answer, Ctx, Grade};
use crate::rows::{self, Cell, Columns, Kind, done};
use crate::windlass::Windlass;
use chrono::Utc;
use secrecy::SecretString;
use std::time::Duration;
use windlass_jobs::{Created, JobSpec};
use windlass_sql::{
    Change, CreateJob, JobChange, OptionSetting, ParseMode, Statement, WriteStatement, WriteTo,
    parse_with, print_job,
};
use windlass_state::{FabricRow as Fabric, JobRow, SecretOrigin};
use windlass_types::options::JOB_OPTIONS;
use windlass_types::{
    ConnectionId, Error, ErrorCode, JobState, Name, OptionValue, Result, RunId, entry::rfc3339,
};

const DESCRIBE: Columns = &[("property", Kind::Text), ("value", Kind::Text)];
const CREATE: Columns = &[("statement", Kind::Text)];

/// How long after a run of this process deliveries of alerts are begun: nobody else may be there to.
const TELLING: Duration = Duration::from_secs(20);

/// The name of the secret that keeps what was typed for an option of a job.
fn own_secret(job: &Name, option: &str) -> Result<Name> {
    Name::new(format!("{}.{}", job.as_str(), option.to_ascii_lowercase()))
}

fn secret_options() -> impl Iterator<Item = &'static str> {
    JOB_OPTIONS.iter().filter(|def| def.secret).map(|def| def.name)
}

/// The definition of a stored job.
pub(super) fn definition(row: &JobRow) -> Result<CreateJob> {
    let parsed = parse_with(&row.definition, ParseMode::AllowMask);
    match parsed.map(|mut all| all.pop().map(|one| one.statement)) {
        Ok(Some(Statement::CreateJob(job))) => Ok(CreateJob { name: row.name.clone(), ..job }),
        other => {
            let error = Error::new(
                ErrorCode::StateNewer,
                format!("the definition of job `{}` cannot be read", row.name.as_str()),
            )
            .hint("it was written by a newer Windlass; use that one, or make the job anew");
            Err(match other {
                Err(why) => error.source(std::io::Error::other(why.message().to_owned())),
                Ok(_) => error,
            })
        }
    }
}

impl Windlass {
    /// Runs a statement of files or of jobs.
    pub(crate) async fn job_statement(
        &self,
        fabric: &Fabric,
        ctx: &Ctx,
        statement: Statement,
    ) -> Result<Answer> {
        match statement {
            Statement::Files(files) => self.run_files(fabric, files).await,
            Statement::CreateJob(job) => self.create_job(fabric, job).await,
            Statement::AlterJob { name, changes } => self.alter_job(fabric, &name, changes).await,
            Statement::DropJob { if_exists, name } => self.drop_job(fabric, &name, if_exists).await,
            Statement::PauseJob { name, pause } => self.pause_job(fabric, &name, pause).await,
            Statement::RunJob { name } => self.run_job(fabric, ctx, &name).await,
            Statement::CancelJob { name } => self.cancel_job(fabric, &name).await,
            Statement::CancelRun { run } => self.cancel_run(fabric, run).await,
            Statement::ShowCreateJob { name } => {
                let row = self.job(fabric, &name).await?;
                let text = print_job(&definition(&row)?);
                rows::answer(CREATE, &[vec![text.into()]], Grade::Good)
            }
            other => {
                Err(Error::new(ErrorCode::Internal, format!("not a statement of jobs: `{other}`")))
            }
        }
    }

    /// The job of this name, or an error that suggests the nearest.
    pub(crate) async fn job(&self, fabric: &Fabric, name: &Name) -> Result<JobRow> {
        if let Some(row) = self.inner.store.find_job(fabric.id, name).await? {
            return Ok(row);
        }
        let rows = self.inner.store.jobs(fabric.id).await?;
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let near = windlass_types::options::nearest(name.as_str(), &names)
            .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        Err(Error::new(ErrorCode::JobNotFound, format!("no job `{}`", name.as_str()))
            .hint(format!("{near}`SHOW JOBS` lists all")))
    }

    async fn create_job(&self, fabric: &Fabric, mut job: CreateJob) -> Result<Answer> {
        let existing = self.inner.store.find_job(fabric.id, &job.name).await?;
        let shown = job.name.as_str().to_owned();
        if existing.is_some() && job.if_not_exists {
            return Ok(done(format!("job `{shown}` exists; nothing changed"), vec![]));
        }
        if existing.is_some() && !job.or_replace {
            return Err(Error::new(ErrorCode::JobExists, format!("job `{shown}` exists"))
                .hint("use `CREATE OR REPLACE`, `ALTER JOB`, or `IF NOT EXISTS`"));
        }
        let mut warnings = self.keep_secrets(fabric, &mut job).await?;
        let spec = self.job_spec(fabric, job).await?;
        let (created, verb) = match existing {
            Some(row) => (self.scheduler().alter_job(&row, spec).await?, "replaced"),
            None => (self.scheduler().create_job(fabric.id, spec).await?, "created"),
        };
        warnings.extend(created.warning);
        Ok(done(format!("job `{shown}` {verb}"), warnings))
    }

    async fn alter_job(
        &self,
        fabric: &Fabric,
        name: &Name,
        changes: Vec<JobChange>,
    ) -> Result<Answer> {
        let row = self.job(fabric, name).await?;
        let mut job = definition(&row)?;
        for change in changes {
            match change {
                JobChange::Trigger(trigger) => job.trigger = Some(trigger),
                JobChange::NoTrigger => job.trigger = None,
                JobChange::Option(Change::Set(setting)) => {
                    job.options.retain(|one| one.name != setting.name);
                    job.options.push(setting);
                }
                JobChange::Option(Change::Reset(option)) => {
                    job.options.retain(|one| one.name != option);
                }
            }
        }
        let mut warnings = self.keep_secrets(fabric, &mut job).await?;
        let spec = self.job_spec(fabric, job).await?;
        let Created { warning, .. } = self.scheduler().alter_job(&row, spec).await?;
        warnings.extend(warning);
        self.drop_own_secrets(fabric, name).await?;
        Ok(done(format!("job `{}` altered", name.as_str()), warnings))
    }

    /// A job as the scheduler wants it; everything it names exists.
    async fn job_spec(&self, fabric: &Fabric, job: CreateJob) -> Result<JobSpec> {
        if let Statement::Write(write) = &*job.work {
            return self.write_job_spec(fabric, write.clone(), job).await;
        }
        if let Statement::Crawl(crawl) = &*job.work {
            let work = crate::catalog::CrawlWork::from(crawl);
            work.plan()?;
            let trigger = spec::trigger(job.trigger.as_ref(), None)?;
            let mut names = vec![work.connection.clone()];
            if let Some(name) = work.publish_to()? {
                self.publish_target(fabric.id, &name).await?;
                names.push(name);
            }
            let payload = work.to_payload()?;
            return self.spec_of(fabric, job, crate::catalog::CRAWL, payload, trigger, names).await;
        }
        let Statement::Files(files) = &*job.work else {
            return Err(Error::new(
                ErrorCode::StatementUnsupported,
                "this statement cannot be a job",
            )
            .hint(
                "a job can COPY, MOVE or SYNC FILES, COPY a query TO files, INSERT INTO them, or CRAWL a connection",
            ));
        };
        let trigger = spec::trigger(job.trigger.as_ref(), Some(&files.source))?;
        let work = FilesWork::from(files);
        self.work_sides(fabric.id, &work, Utc::now()).await?;
        let names = vec![work.source.connection.clone(), work.destination.connection.clone()];
        self.spec_of(fabric, job, FILES, work.to_payload()?, trigger, names).await
    }

    /// A job that writes files.
    async fn write_job_spec(
        &self,
        fabric: &Fabric,
        write: WriteStatement,
        job: CreateJob,
    ) -> Result<JobSpec> {
        if let WriteTo::Table { .. } = write.to {
            return Err(Error::new(
                ErrorCode::StatementUnsupported,
                "a table is made once, not by a job",
            )
            .hint("make it first; the job then says INSERT INTO it"));
        }
        let trigger = spec::trigger(job.trigger.as_ref(), None)?;
        let work = self.write_work(fabric, &write).await?;
        work.check(Utc::now())?;
        self.write_plan(fabric.id, &work, Utc::now()).await?;
        let names = vec![work.connection.clone()];
        self.spec_of(fabric, job, WRITE, work.to_payload()?, trigger, names).await
    }

    /// What is the same for every kind; `names` are the connections of the work.
    async fn spec_of(
        &self,
        fabric: &Fabric,
        job: CreateJob,
        kind: &str,
        payload: serde_json::Value,
        trigger: windlass_jobs::Trigger,
        mut names: Vec<Name>,
    ) -> Result<JobSpec> {
        let mut connections: Vec<ConnectionId> = Vec::new();
        if let windlass_jobs::Trigger::Arrival(arrival) = &trigger {
            let place = super::files::WorkPlace {
                connection: arrival.connection.clone(),
                location: arrival.location.clone(),
            };
            self.work_side(fabric.id, &place).await?;
            names.push(place.connection);
        }
        for name in &names {
            let id = self.connection(fabric, name).await?.id;
            if !connections.contains(&id) {
                connections.push(id);
            }
        }
        for setting in &job.options {
            if let OptionValue::Secret(name) = &setting.value {
                self.secret(fabric, name).await?;
            }
        }
        Ok(JobSpec {
            name: job.name.clone(),
            kind: kind.to_owned(),
            payload,
            trigger,
            policy: spec::policy(&job)?,
            alerts: spec::alerts(&job)?,
            connections,
            definition: Statement::CreateJob(CreateJob {
                or_replace: false,
                if_not_exists: false,
                ..job
            })
            .to_string(),
        })
    }

    /// What was typed for a secret option becomes a secret of the fabric, and the job names it: so
    /// nothing of it is in the definition. Answers what the person should know.
    async fn keep_secrets(&self, fabric: &Fabric, job: &mut CreateJob) -> Result<Vec<String>> {
        // What is wrong otherwise is found before a secret is written.
        spec::policy(job)?;
        for setting in &job.options {
            if let ("ALERT_WEBHOOK", OptionValue::Text(url)) =
                (setting.name.as_str(), &setting.value)
            {
                windlass_jobs::check_webhook(url)?;
            }
        }
        let mut notes = Vec::new();
        for setting in &mut job.options {
            let OptionSetting { name: option, value } = setting;
            let OptionValue::Text(text) = value else { continue };
            if !secret_options().any(|secret| secret == option) {
                continue;
            }
            let name = own_secret(&job.name, option)?;
            let clear = SecretString::from(std::mem::take(text));
            let store = &self.inner.store;
            let known = store.secrets(fabric.id).await?.iter().any(|row| row.name == name);
            let (origin, now) = (SecretOrigin::Value, Utc::now());
            if known {
                store.alter_secret(fabric.id, &name, &clear, origin, now).await?;
            } else {
                store.create_secret(fabric.id, &name, &clear, origin, now).await?;
            }
            notes.push(format!("the value of {option} is kept as the secret {name}"));
            *value = OptionValue::Secret(name);
        }
        Ok(notes)
    }

    async fn drop_job(&self, fabric: &Fabric, name: &Name, if_exists: bool) -> Result<Answer> {
        match self.job(fabric, name).await {
            Ok(_) => {}
            Err(error) if if_exists && error.code() == ErrorCode::JobNotFound => {
                return Ok(done(format!("no job `{}`; nothing changed", name.as_str()), vec![]));
            }
            Err(error) => return Err(error),
        }
        self.scheduler().drop_job(fabric.id, name).await?;
        self.drop_own_secrets(fabric, name).await?;
        Ok(done(format!("job `{}` dropped; its runs stay in `SHOW RUNS`", name.as_str()), vec![]))
    }

    /// Drops the secrets made for a job that nothing uses any more.
    async fn drop_own_secrets(&self, fabric: &Fabric, job: &Name) -> Result<()> {
        let known = self.inner.store.secrets(fabric.id).await?;
        for option in secret_options() {
            let own = own_secret(job, option)?;
            if known.iter().any(|row| row.name == own && row.used_by.is_empty()) {
                self.inner.store.drop_secret(fabric.id, &own).await?;
            }
        }
        Ok(())
    }

    async fn pause_job(&self, fabric: &Fabric, name: &Name, pause: bool) -> Result<Answer> {
        let row = self.job(fabric, name).await?;
        let shown = name.as_str();
        if pause {
            self.scheduler().pause_job(fabric.id, name).await?;
            let text = match row.state {
                JobState::Paused => format!("job `{shown}` is paused already"),
                JobState::Active => format!("job `{shown}` paused"),
            };
            return Ok(done(text, vec![]));
        }
        let Created { job, warning } = self.scheduler().resume_job(fabric.id, name).await?;
        let next = job
            .next_fire
            .map_or_else(String::new, |next| format!("; it runs next at {}", rfc3339(&next)));
        Ok(done(format!("job `{shown}` resumed{next}"), warning.into_iter().collect()))
    }

    /// RUN JOB: waits, tells who must be told, answers the run's row. A person who stops waiting stops the run; a client
    /// that goes away does not.
    async fn run_job(&self, fabric: &Fabric, ctx: &Ctx, name: &Name) -> Result<Answer> {
        self.job(fabric, name).await?;
        let run = self.scheduler().run_now(fabric.id, name, None).await?;
        let row = if ctx.remote {
            self.scheduler().wait(run).await?
        } else {
            self.wait_or_stop(run).await?
        };
        if !ctx.remote
            && let Err(error) = self.scheduler().deliver(TELLING).await
        {
            // What was due stays so.
            tracing::warn!(error = error.chain(), "alerts of a run cannot be delivered");
        }
        let grade = grade(row.state);
        rows::answer(RUNS, &[run_row(row)], grade)
    }

    async fn cancel_job(&self, fabric: &Fabric, name: &Name) -> Result<Answer> {
        let row = self.job(fabric, name).await?;
        let mut stopped = 0;
        for run in self.inner.store.open_runs(row.id).await? {
            self.release_if_dead(&run).await?;
            match self.scheduler().cancel(run.id).await {
                Ok(()) => stopped += 1,
                Err(error) if error.code() == ErrorCode::RunEnded => {}
                Err(error) => return Err(error),
            }
        }
        let text = match stopped {
            0 => format!("job `{}` is not running; nothing changed", name.as_str()),
            1 => format!("the run of job `{}` was asked to stop", name.as_str()),
            n => format!("{n} runs of job `{}` were asked to stop", name.as_str()),
        };
        Ok(done(text, vec![]))
    }

    async fn cancel_run(&self, fabric: &Fabric, run: RunId) -> Result<Answer> {
        let row = self.inner.store.run(run).await?;
        if row.fabric != fabric.id {
            return Err(Error::new(
                ErrorCode::RunNotFound,
                format!("no run `{run}` in this fabric"),
            )
            .hint("`SHOW RUNS` lists them"));
        }
        self.release_if_dead(&row).await?;
        self.scheduler().cancel(run).await?;
        Ok(done(format!("run `{run}` was asked to stop"), vec![]))
    }

    /// DESCRIBE JOB: one row a property.
    pub(crate) async fn describe_job(&self, fabric: &Fabric, name: &Name) -> Result<Answer> {
        let row = self.job(fabric, name).await?;
        let job = definition(&row)?;
        let mut cells: Vec<Vec<Cell>> = Vec::new();
        let known = job_rows(self, &[row]).await?.pop().unwrap_or_default();
        for ((column, _), cell) in super::JOBS.iter().zip(known) {
            let value = match cell {
                Cell::Text(text) => text,
                Cell::Integer(number) => number.map(|number| number.to_string()),
                Cell::Real(number) => number.map(|number| number.to_string()),
                Cell::Bool(flag) => flag.map(|flag| flag.to_string()),
                Cell::Time(time) => time.map(|time| rfc3339(&time)),
            };
            cells.push(vec![(*column).into(), value.into()]);
        }
        for setting in &job.options {
            // A secret is a name here, never a value.
            let text = crate::describe::shown(&setting.value);
            cells.push(vec![setting.name.as_str().into(), text.into()]);
        }
        rows::answer(DESCRIBE, &cells, Grade::Good)
    }
}
