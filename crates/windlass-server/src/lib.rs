//! HTTP API with its OpenAPI document
