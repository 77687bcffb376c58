//! The store (SQLite or PostgreSQL) and the vault for secrets
