//! Plan and execute copies
