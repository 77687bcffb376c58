//! Crawls.

use super::OptionSetting;
use windlass_types::Name;

/// `CRAWL connection options`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrawlStatement {
    /// What is crawled.
    pub connection: Name,
    /// Checked options, in the order written.
    pub options: Vec<OptionSetting>,
}
