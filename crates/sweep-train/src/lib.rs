//! Losses, heads, networks and the epoch loop, on burn.
