//! The temporary tables and views of the session that asks for a write, lent to its run.

use super::WriteWork;
use crate::resolve::Scope;
use crate::windlass::Windlass;
use std::sync::{Arc, PoisonError};
use windlass_query::Temporaries;
use windlass_state::FabricRow as Fabric;
use windlass_types::{Error, ErrorCode, Result, RunId};

/// Temporaries that a run finds under a token, for as long as somebody waits for it.
pub(super) struct Lent(Option<(Windlass, String)>);

impl Lent {
    /// Nothing is lent where there is nothing.
    pub(super) fn of(windlass: &Windlass, temporaries: &Temporaries) -> Self {
        if temporaries.names().is_empty() {
            return Self(None);
        }
        let token = RunId::new().to_string();
        let lent = &windlass.inner.lent;
        let temporaries = temporaries.clone();
        lent.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), temporaries);
        Self(Some((windlass.clone(), token)))
    }

    pub(super) fn token(&self) -> Option<String> {
        self.0.as_ref().map(|(_, token)| token.clone())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some((windlass, token)) = &self.0 {
            let lent = &windlass.inner.lent;
            lent.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
        }
    }
}

impl Windlass {
    /// What the query of a write sees.
    pub(super) fn write_scope(&self, fabric: Fabric, work: &WriteWork) -> Result<Arc<Scope>> {
        let Some(token) = &work.session else { return Ok(self.scope(fabric)) };
        let lent = &self.inner.lent;
        let found = lent.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned();
        let temporaries = found.ok_or_else(|| {
            Error::new(ErrorCode::Interrupted, "the session that asked for this write has ended")
                .hint("run the statement again")
        })?;
        Ok(self.scope_with(fabric, temporaries))
    }
}
