//! The grammar of moving files, and of jobs.

use super::super::ast::{
    Change, CreateJob, FilesPlace, FilesStatement, FilesVerb, JobChange, OptionSetting, Statement,
    Trigger,
};
use crate::lex::{Place, Tok};
use crate::parser::{Parser, Thing, Want, error_at};
use crate::settings::Said;
use sqlparser::tokenizer::Token;
use windlass_types::options::JOB_OPTIONS;
use windlass_types::{ErrorCode, Name, Result};

impl Parser<'_> {
    /// COPY, MOVE or SYNC FILES, if it begins so. `COPY files TO ...` is the engine's.
    pub(super) fn files_statement(&mut self) -> Result<Option<Statement>> {
        for verb in [FilesVerb::Copy, FilesVerb::Move, FilesVerb::Sync] {
            let begin = self.pos;
            if !self.word(verb.as_str()) {
                continue;
            }
            if verb == FilesVerb::Copy {
                let ours = self.words(&["FILES"])
                    && self.peek().is_none_or(|tok| !tok.is("TO") && tok.bare().is_some());
                if !ours {
                    self.pos = begin;
                    return Ok(None);
                }
            } else {
                self.advise("write MOVE FILES FROM or SYNC FILES FROM");
                self.need_word("FILES")?;
            }
            return self.files(verb).map(Some);
        }
        Ok(None)
    }

    fn files(&mut self, verb: FilesVerb) -> Result<Statement> {
        self.need_word("FROM")?;
        let source = self.files_place()?;
        self.need_word("TO")?;
        let destination = self.files_place()?;
        self.symbol(&Token::Comma, ",");
        let options = self.settings(verb.options())?;
        Ok(Statement::Files(FilesStatement { verb, source, destination, options }))
    }

    pub(super) fn files_place(&mut self) -> Result<FilesPlace> {
        let connection = self.name(Want::Name(Thing::Connection))?;
        self.advise("write connection LOCATION = 'path'; the empty text is everything");
        self.need_word("LOCATION")?;
        self.need_eq()?;
        let location = self.text("a path such as 's3://bucket/prefix/'")?;
        Ok(FilesPlace { connection, location })
    }

    pub(super) fn create_job(&mut self, or_replace: bool, replace_at: Place) -> Result<Statement> {
        self.sensitive = true;
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        if or_replace && if_not_exists {
            return Err(error_at(
                replace_at,
                ErrorCode::SqlSyntax,
                "OR REPLACE and IF NOT EXISTS contradict each other",
            )
            .hint("keep one of the two"));
        }
        let name = self.name(Want::New(Thing::Job))?;
        self.name_is_sound();
        let (trigger, options) = self.job_clauses()?;
        self.need_word("AS")?;
        self.sound = self.pos;
        let work = Box::new(self.work()?);
        Ok(Statement::CreateJob(CreateJob {
            or_replace,
            if_not_exists,
            name,
            trigger,
            options,
            work,
        }))
    }

    /// The trigger and the options up to AS, in any order.
    fn job_clauses(&mut self) -> Result<(Option<Trigger>, Vec<OptionSetting>)> {
        let mut said = Said::default();
        let mut trigger = self.trigger()?;
        let mut options = Vec::new();
        loop {
            self.symbol(&Token::Comma, ",");
            options.extend(self.settings_until(
                JOB_OPTIONS,
                &mut said,
                &["AS", "SCHEDULE", "EVERY", "ON"],
            )?);
            if self.peek().is_some_and(|tok| tok.is("AS")) {
                return Ok((trigger, options));
            }
            let place = self.place();
            if let Some(second) = self.trigger()?
                && trigger.replace(second).is_some()
            {
                let what = "a job has one trigger; the second is";
                self.note(error_at(place, ErrorCode::SqlSyntax, what).hint("keep one of the two"));
            }
        }
    }

    /// What a job does. A new kind of work is another `if` here.
    fn work(&mut self) -> Result<Statement> {
        if let Some(files) = self.files_statement()? {
            return Ok(files);
        }
        if let Some(write) = self.write_statement()? {
            return Ok(write);
        }
        if let Some(crawl) = self.crawl()? {
            return Ok(Statement::Crawl(crawl));
        }
        self.advise(
            "a job can COPY, MOVE or SYNC FILES, COPY a query TO files, INSERT INTO them, or CRAWL a connection",
        );
        Err(self.fail())
    }

    pub(super) fn alter_job(&mut self) -> Result<Statement> {
        self.sensitive = true;
        let name = self.job()?;
        self.name_is_sound();
        self.advise("write SET option = value, SET EVERY 5 MINUTES, or RESET option");
        let changes = self.job_changes()?;
        Ok(Statement::AlterJob { name, changes })
    }

    /// SET and RESET up to the end; a trigger may be set among the options.
    fn job_changes(&mut self) -> Result<Vec<JobChange>> {
        let mut said = Said::default();
        let mut changes: Vec<JobChange> = Vec::new();
        let mut triggers = 0;
        loop {
            let place = self.place();
            if self.word("SET") {
                loop {
                    if let Some(trigger) = self.trigger()? {
                        changes.push(JobChange::Trigger(trigger));
                        triggers += 1;
                    } else {
                        changes.extend(
                            self.setting(JOB_OPTIONS, &mut said, 0)?
                                .map(|setting| JobChange::Option(Change::Set(setting))),
                        );
                    }
                    self.sound = self.pos;
                    if !self.symbol(&Token::Comma, ",") && !self.option_follows() {
                        break;
                    }
                    if self.peek().is_some_and(|tok| tok.is("SET") || tok.is("RESET")) {
                        break;
                    }
                }
            } else if self.word("RESET") {
                loop {
                    if self.word("SCHEDULE") {
                        changes.push(JobChange::NoTrigger);
                        triggers += 1;
                    } else {
                        changes.extend(
                            self.option_name(JOB_OPTIONS, &mut said)?
                                .map(|def| JobChange::Option(Change::Reset(def.name.to_owned()))),
                        );
                    }
                    self.sound = self.pos;
                    if !self.symbol(&Token::Comma, ",")
                        || self.peek().is_none_or(|tok| tok.is("SET") || tok.is("RESET"))
                    {
                        break;
                    }
                }
            } else if self.at_end() && (!changes.is_empty() || self.problem.is_some()) {
                return Ok(changes);
            } else {
                return Err(self.fail());
            }
            if triggers > 1 {
                let twice = "the schedule is changed twice; the second is";
                self.note(
                    error_at(place, ErrorCode::OptionInvalid, twice).hint("keep one of the two"),
                );
                triggers = 1;
            }
        }
    }

    /// The name of a job, which must follow.
    pub(super) fn job(&mut self) -> Result<Name> {
        self.name(Want::Name(Thing::Job))
    }

    /// RUN, PAUSE, RESUME, CANCEL, if it begins so.
    pub(super) fn job_verb(&mut self) -> Result<Option<Statement>> {
        if self.word("RUN") {
            self.advise("write RUN JOB name");
            self.need_word("JOB")?;
            return Ok(Some(Statement::RunJob { name: self.job()? }));
        }
        for (word, hint, pause) in
            [("PAUSE", "write PAUSE JOB name", true), ("RESUME", "write RESUME JOB name", false)]
        {
            if self.word(word) {
                self.advise(hint);
                self.need_word("JOB")?;
                return Ok(Some(Statement::PauseJob { name: self.job()?, pause }));
            }
        }
        if !self.word("CANCEL") {
            return Ok(None);
        }
        self.advise("write CANCEL JOB name, or CANCEL RUN 'id'");
        if self.word("RUN") {
            return Ok(Some(Statement::CancelRun { run: self.run_id()? }));
        }
        self.need_word("JOB")?;
        Ok(Some(Statement::CancelJob { name: self.job()? }))
    }

    fn run_id(&mut self) -> Result<windlass_types::RunId> {
        let place = self.place();
        let text = self.text("the id of a run in single quotes")?;
        text.parse().map_err(|_| {
            error_at(place, ErrorCode::RunNotFound, "this is not the id of a run; it is")
                .hint("an id begins with `rn_`; `SHOW RUNS` lists them")
        })
    }

    /// Whether a word that is not the name of an option follows.
    pub(super) fn plain_word(&self, word: &str) -> bool {
        self.peek().is_some_and(|tok: &Tok| tok.is(word)) && !self.option_follows()
    }
}
