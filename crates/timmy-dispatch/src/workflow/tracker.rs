//! Issues of a forge as a tracker.
