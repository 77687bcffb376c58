-- Of an item that failed: the code of its error, and what to do.
ALTER TABLE run_items ADD COLUMN code TEXT;
ALTER TABLE run_items ADD COLUMN hint TEXT;
