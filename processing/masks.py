"""Bits of the mask rasters of a MUSCATE product, in MUSCATE's order.

Values are those of the rasters; the metadata numbers the same bits from 1 (`bit_number`).
"""

from __future__ import annotations

from enum import IntFlag


class Cloud(IntFlag):
    """Bits of CLM, the detailed cloud mask. Each bit is dilated on its own."""

    ANY = 1  #: all clouds but the thinnest, and all shadows (summary)
    CLOUD = 2  #: all clouds but the thinnest
    MONO_TEMPORAL = 4  #: cloud found by the reflectance thresholds of one date
    MULTI_TEMPORAL = 8  #: cloud found by the rise of the blue since the composite
    THINNEST = 16  #: thinnest clouds, found by extension around the others
    SHADOW = 32  #: shadow of a cloud inside the image
    SHADOW_OUTSIDE = 64  #: shadow of a cloud outside the image
    HIGH = 128  #: high cloud seen at 1.38 um


class Geophysical(IntFlag):
    """Bits of MG2, the geophysical mask."""

    WATER = 1
    CLOUD = 2
    SNOW = 4
    CLOUD_SHADOW = 8
    TOPOGRAPHIC_SHADOW = 16
    HIDDEN = 32
    SUN_TOO_LOW = 64
    TANGENT_SUN = 128


#: Bits and rasters that only a terrain model gives, by their names in what a product declares absent.
OF_TERRAIN = frozenset(
    f"MG2.{bit.name}"
    for bit in (Geophysical.TOPOGRAPHIC_SHADOW, Geophysical.HIDDEN, Geophysical.SUN_TOO_LOW, Geophysical.TANGENT_SUN)
)


class Interpolated(IntFlag):
    """Bits of IAB: where an atmospheric quantity was filled in from around, or a thin high cloud taken away."""

    WATER_VAPOUR = 1
    AOT = 2
    VEIL = 4  #: the light of a thin high cloud was taken away


class Edge(IntFlag):
    """The one bit of EDG."""

    NO_DATA = 1
