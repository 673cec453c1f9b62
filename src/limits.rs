//! Every bound of the agent, in one place, each with its reason.
//!
//! Memory does not grow with time, with events, or with what a pod or a server sends: whatever is
//! buffered, queued, kept, read or retried stops at one of these.
