//! Empty; the benchmarks are in the files beside this one.
