//! Runtime configuration to plan of steps to process.
