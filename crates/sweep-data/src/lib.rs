//! Manifests, decoding, resizing, splits, audits and the packed cache.
