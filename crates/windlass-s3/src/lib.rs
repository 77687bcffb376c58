//! A connection becomes clients: credentials, region, listing, probe, policy
