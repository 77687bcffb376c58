//! Every verb of the product
