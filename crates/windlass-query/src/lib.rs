//! DataFusion: file tables, system tables, the SQL engine
