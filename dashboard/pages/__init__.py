"""The pages: one view each, fed with snapshots of the store."""
