// What a tile's colour and pattern say: classes in words, one for each way to colour.

import { state } from "./state.js"

/** @typedef {{key: string, words: string, colour: string, pattern: string, label: string}} Class */

/** From little to much: darker is more, so that the order is seen without the colours. */
const RAMP = ["#ffffcc", "#c7e9b4", "#7fcdbb", "#41b6c4", "#2c7fb8", "#253494"]
const NOTHING = "#A9B1BA"
const PATTERNS = ["plain", "rising", "columns", "falling", "rows", "crossed", "dots", "grid"]

/** @param {number} count */
const days = (count) => (count === 1 ? "1 day" : `${count} days`)

/**
 * Bounds of classes: a value belongs to the first one that it is not above.
 * @type {Record<string, {ends: number[], words: (low: number | null, high: number) => string, none: string}>}
 */
const STEPS = {
  delay: {
    ends: [1, 2, 5, 10, 30, Number.POSITIVE_INFINITY],
    words: (low, high) => (high === Number.POSITIVE_INFINITY ? `More than ${low} days` : `Up to ${days(high)}`),
    none: "No product in the period",
  },
  clear: {
    ends: [10, 25, 50, 75, 90, 100],
    words: (low, high) => `${low ?? 0} to ${high} % clear`,
    none: "No date with known cloud",
  },
  valid: {
    ends: [5, 10, 20, 30, 60, Number.POSITIVE_INFINITY],
    words: (low, high) =>
      high === Number.POSITIVE_INFINITY ? `More than ${low} days before` : `Up to ${high} days before`,
    none: "No valid date in the period",
  },
  missing: {
    ends: [0, 1, 2, 5, 10, Number.POSITIVE_INFINITY],
    words: (low, high) =>
      high === 0 ? "None missing" : high === Number.POSITIVE_INFINITY ? `More than ${low}` : `Up to ${high} missing`,
    none: "No date in the period",
  },
}

/** Bounds of the number of dates: even steps up to the most that a tile has. */
function datesSteps() {
  let most = 1
  for (const row of state.tiles.values()) most = Math.max(most, row.dates)
  const nice = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500].find((step) => 6 * step >= most) ?? Math.ceil(most / 6)
  return {
    ends: RAMP.map((_, i) => nice * (i + 1)),
    words: (/** @type {number | null} */ low, /** @type {number} */ high) =>
      (low ?? 0) + 1 >= high ? (high === 1 ? "1 date" : `${high} dates`) : `${(low ?? 0) + 1} to ${high} dates`,
    none: "No date in the period",
  }
}

/** The end of the period, of which ages are told. */
function end() {
  const now = new Date(state.taken)
  if (!state.until) return now
  const [year, month] = state.until.split("-").map(Number)
  const last = new Date(Date.UTC(year, month, 0, 23, 59))
  return last < now ? last : now
}

/** Values of the ways to colour that have an order; null without one. @type {Record<string, (row: any) => number | null>} */
const VALUES = {
  delay: (row) => (row.delay === null ? null : row.delay / 24),
  clear: (row) => (row.known ? (100 * row.clear) / row.known : null),
  valid: (row) => (row.valid ? Math.max(0, (end().getTime() - Date.parse(row.valid)) / 86_400_000) : null),
  dates: (row) => row.dates || null,
  missing: (row) => (row.dates || row.missing ? row.missing : null),
}
/** The same in a few characters, for the map. @type {Record<string, (value: number) => string>} */
const SHORT = {
  delay: (value) => (value < 2 ? `${Math.round(24 * value)} h` : `${Math.round(value)} d`),
  clear: (value) => `${Math.round(value)} %`,
  valid: (value) => `${Math.round(value)} d`,
  dates: String,
  missing: String,
}

/** All classes of the present way to colour, in the order of the legend. @returns {Class[]} */
export function classes() {
  const fixed = [named("absent")]
  if (state.colour === "state")
    return [
      ...Object.keys(state.colours)
        .filter((k) => k !== "absent")
        .map(named),
      ...fixed,
    ]
  const none = (/** @type {string} */ words) => ({ key: "", words, colour: NOTHING, pattern: "plain", label: "" })
  if (state.colour === "version") {
    const found = Object.entries(state.versions).map(([version, colour], place) => ({
      ...{ key: version, words: version, colour, label: version },
      pattern: PATTERNS[place % PATTERNS.length],
    }))
    return [...found, none("No product in the period"), ...fixed]
  }
  const steps = state.colour === "dates" ? datesSteps() : STEPS[state.colour]
  const found = steps.ends.map((high, place) => ({
    ...{ key: String(place), words: steps.words(place ? steps.ends[place - 1] : null, high), label: "" },
    ...{ colour: RAMP[place], pattern: "plain" },
  }))
  return [...found, none(steps.none), ...fixed]
}

/** @param {string} key @returns {Class} */
function named(key) {
  const [words, colour, pattern] = state.colours[key]
  return { key, words, colour, pattern, label: key === "absent" || key === "none" ? "" : words.split(" (")[0] }
}

/**
 * Which class a tile is of, and what is written on it.
 * @param {any} row
 * @returns {{key: string, label: string}}
 */
export function classOf(row) {
  if (!row.followed) return { key: "absent", label: "" }
  if (state.colour === "state") return { key: row.state, label: named(row.state).label }
  if (state.colour === "version") return { key: row.version, label: row.version }
  const value = VALUES[state.colour](row)
  if (value === null) return { key: "", label: "" }
  const steps = state.colour === "dates" ? datesSteps() : STEPS[state.colour]
  const place = steps.ends.findIndex((high) => value <= high)
  return { key: String(place < 0 ? steps.ends.length - 1 : place), label: SHORT[state.colour](value) }
}

/** @type {Map<string, string | CanvasPattern>} */
const made = new Map()

/**
 * What a class is filled with.
 * @param {Class} one
 * @returns {string | CanvasPattern}
 */
export function fill(one) {
  const key = `${one.colour} ${one.pattern}`
  const known = made.get(key)
  if (known) return known
  const found = one.pattern === "plain" ? one.colour : pattern(one)
  made.set(key, found)
  return found
}

/** Strokes of each pattern on a square of 8 px. @type {Record<string, [number, number, number, number][]>} */
const STROKES = {
  rows: [[0, 4, 8, 4]],
  columns: [[4, 0, 4, 8]],
  grid: [
    [0, 4, 8, 4],
    [4, 0, 4, 8],
  ],
  rising: [
    [-1, 9, 9, -1],
    [-1, 1, 1, -1],
    [7, 9, 9, 7],
  ],
  falling: [
    [-1, -1, 9, 9],
    [-1, 7, 1, 9],
    [7, -1, 9, 1],
  ],
  crossed: [
    [-1, -1, 9, 9],
    [-1, 9, 9, -1],
  ],
  dots: [[3, 4, 5, 4]],
}

/** @param {Class} one */
function pattern(one) {
  const square = document.createElement("canvas")
  square.width = square.height = 8
  const pen = /** @type {CanvasRenderingContext2D} */ (square.getContext("2d"))
  pen.fillStyle = one.colour
  pen.fillRect(0, 0, 8, 8)
  pen.strokeStyle = "#00000075"
  pen.lineWidth = one.pattern === "dots" ? 2.4 : 1.3
  pen.beginPath()
  for (const [x0, y0, x1, y1] of STROKES[one.pattern]) {
    pen.moveTo(x0, y0)
    pen.lineTo(x1, y1)
  }
  pen.stroke()
  return /** @type {CanvasPattern} */ (pen.createPattern(square, "repeat"))
}

/** A small square filled as a class, for legends. @param {Class} one */
export function swatch(one) {
  const canvas = document.createElement("canvas")
  canvas.width = 18
  canvas.height = 14
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"))
  pen.fillStyle = fill(one)
  pen.fillRect(0, 0, 18, 14)
  return canvas
}
