//! The grammar of crawls.

use crate::ast::{CrawlStatement, Statement};
use crate::parser::{Parser, Thing, Want};
use sqlparser::tokenizer::Token;
use windlass_types::Result;
use windlass_types::options::CRAWL_OPTIONS;

impl Parser<'_> {
    /// `CRAWL connection options`, if it follows.
    pub(super) fn crawl(&mut self) -> Result<Option<CrawlStatement>> {
        if !self.word("CRAWL") {
            return Ok(None);
        }
        let connection = self.name(Want::Name(Thing::Connection))?;
        self.symbol(&Token::Comma, ",");
        let options = self.settings(CRAWL_OPTIONS)?;
        Ok(Some(CrawlStatement { connection, options }))
    }

    /// `CRAWL` or `EXPLAIN CRAWL`, if it follows. Any other EXPLAIN is the engine's.
    pub(super) fn crawl_statement(&mut self) -> Result<Option<Statement>> {
        let explained = self.peek().is_some_and(|tok| tok.is("EXPLAIN"))
            && self.peek_at(1).is_some_and(|tok| tok.is("CRAWL"));
        if explained {
            self.pos += 1;
            return Ok(self.crawl()?.map(Statement::ExplainCrawl));
        }
        Ok(self.crawl()?.map(Statement::Crawl))
    }

    /// What follows `SHOW MANIFEST`.
    pub(super) fn show_manifest(&mut self) -> Result<Statement> {
        self.advise("write SHOW MANIFEST FOR CONNECTION name");
        self.need_word("FOR")?;
        self.need_word("CONNECTION")?;
        let connection = self.name(Want::Name(Thing::Connection))?;
        Ok(Statement::ShowManifest { connection })
    }
}
