//! The page at `/`: the last incidents for a person with a browser behind `kubectl port-forward`.

pub mod reader;
