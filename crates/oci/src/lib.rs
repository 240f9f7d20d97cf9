//! OCI documents: image and runtime configuration, references, digests; pure.
