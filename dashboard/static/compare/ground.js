// Where the views are on the ground. All have one extent.
//
// Zoom levels are powers of two, so a pixel of a product is a whole number of screen pixels (or the mean of a whole
// number of them makes one), and every layer of every view is drawn at the same whole offsets: a mask pixel covers its
// reflectance pixel exactly, and all views show the same ground.

import { data } from "./data.js"
import { clamp } from "./dom.js"
import { askedPlace, state } from "./state.js"

/** @typedef {import("./state.js").Place} Place */

/** Level where a pixel of 10 m is a screen pixel, the last one of tiles whose lines stay thin, and the last one. */
export const NATIVE = 5
export const LAST = 9
export const DEEPEST = 11

export const ratio = window.devicePixelRatio || 1

/** Of one canvas, in screen pixels. */
export const size = { width: 0, height: 0 }

/** Screen pixels of a pixel of 10 m. */
export const scale = () => 2 ** (state.z - NATIVE)

/** Screen pixels from the tile's north-west corner to that of a canvas. */
export const corner = () => [
  Math.round(state.cx * scale()) - Math.floor(size.width / 2),
  Math.round(state.cy * scale()) - Math.floor(size.height / 2),
]

/** Goes where the address asks, or shows the whole tile. */
export function place() {
  if (askedPlace.length === 3 && askedPlace.every(Number.isFinite)) {
    const [x, y, z] = askedPlace
    state.cx = (x - data.west) / 10
    state.cy = (data.north - y) / 10
    state.z = clamp(Math.round(z), 0, DEEPEST)
  } else whole()
}

/** Shows the whole tile. */
export function whole() {
  state.cx = data.cols / 2
  state.cy = data.rows / 2
  const fit = Math.min(size.width / data.cols, size.height / data.rows)
  state.z = clamp(Math.floor(Math.log2(fit) + 0.06) + NATIVE, 0, NATIVE)
}

/**
 * West, north, east, south of a canvas. [m]
 * @param {{width: number, height: number}} canvas
 */
export function extent({ width, height }) {
  const [ox, oy] = corner()
  const step = 10 / scale()
  return [
    data.west + ox * step,
    data.north - oy * step,
    data.west + (ox + width) * step,
    data.north - (oy + height) * step,
  ]
}

/**
 * The place under a pointer, fractions kept.
 * @param {{clientX: number, clientY: number}} event
 * @param {HTMLCanvasElement} canvas
 * @returns {Place}
 */
export function under(event, canvas) {
  const box = canvas.getBoundingClientRect()
  const [ox, oy] = corner()
  return [(ox + (event.clientX - box.left) * ratio) / scale(), (oy + (event.clientY - box.top) * ratio) / scale()]
}

/**
 * The pixel that a place lies in.
 * @param {Place} place
 * @returns {Place}
 */
export const pixel = ([col, row]) => [Math.floor(col), Math.floor(row)]

/**
 * Middle of a pixel. [m]
 * @param {Place} pixel
 */
export const metres = ([col, row]) => [data.west + col * 10 + 5, data.north - row * 10 - 5]

/**
 * Whether a pixel lies on the tile.
 * @param {Place} pixel
 */
export const onTile = ([col, row]) => col >= 0 && row >= 0 && col < data.cols && row < data.rows
