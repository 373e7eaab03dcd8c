"""Damaged and hostile Level-1C packages, made by the hundred: none is wrong in silence, none ends anything."""
