"""The pages a run ends at: self-contained files that open from disk, with no network."""
