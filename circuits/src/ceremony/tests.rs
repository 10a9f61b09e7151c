//! Minutes that are refused.
