// What is shown, and its permalink.

import { data, days, NAMES } from "./data.js"

/** @typedef {[col: number, row: number]} Place in pixels of 10 m from the tile's north-west corner. */

/** @typedef {{product: string, layer: string, mask: string, bits: number, fault: string}} View */

const asked = new URLSearchParams(location.search)

/** What an address needn't say. */
const OWN = {
  mode: "side",
  opacity: 0.6,
  pattern: "fill",
  range: "",
  bands: "SRE_B11,SRE_B8,SRE_B4",
  band: "SRE_B4",
  width: 0.05,
  film: "",
}

/**
 * A view as the address asks for it.
 * @param {string} product
 * @param {number} i
 * @returns {View}
 */
function view(product, i) {
  return {
    product,
    layer: asked.get(`${NAMES[i]}.layer`) || asked.get("layer") || "natural",
    mask: asked.get(`${NAMES[i]}.mask`) ?? asked.get("mask") ?? (i === 1 && !asked.get("right") ? "CLM" : ""),
    bits: Number(asked.get(`${NAMES[i]}.bits`)) || 0,
    fault: "",
  }
}

/** What the address holds. */
export const state = {
  views: data.chosen.map(view),
  mode: ["swipe", "blink"].find((name) => name === asked.get("mode")) ?? OWN.mode,
  opacity: Number(asked.get("opacity") ?? OWN.opacity),
  pattern: asked.get("pattern") || OWN.pattern,
  range: asked.get("range") || OWN.range,
  bands: asked.get("bands") || OWN.bands,
  band: asked.get("band") || OWN.band,
  width: Number(asked.get("width")) || OWN.width,
  film: asked.get("film") || OWN.film, // its first and last date; empty: all dates
  // Centre in pixels of 10 m from the north-west corner.
  z: 0,
  cx: data.cols / 2,
  cy: data.rows / 2,
}

/** Centre [m] and zoom level that the address asks for; empty if it asks for none. */
export const askedPlace = (asked.get("at") || "").split(",").map(Number)

/** What it does not hold: which view blinks now, where the divider is, which pixel or area was chosen. */
export const passing = {
  shown: 0,
  swipe: 0.5,
  masked: true,
  /** @type {Place | null} */
  pin: null,
  /** @type {Place | null} */
  hover: null,
  /** @type {{points: Place[], closed: boolean} | null} */
  drawing: null,
}

let remembering = 0

/** Puts the state into the address, once it rests. */
export function remember() {
  clearTimeout(remembering)
  remembering = setTimeout(() => history.replaceState(null, "", permalink()), 150)
}

function permalink() {
  const parts = new URLSearchParams()
  state.views.forEach((view, i) => {
    parts.set(NAMES[i], view.product)
    parts.set(`${NAMES[i]}.layer`, view.layer)
    parts.set(`${NAMES[i]}.mask`, view.mask)
    if (view.mask) parts.set(`${NAMES[i]}.bits`, String(view.bits))
  })
  for (const name of /** @type {(keyof typeof OWN)[]} */ (Object.keys(OWN)))
    if (state[name] !== OWN[name]) parts.set(name, String(state[name]))
  const at = [data.west + state.cx * 10, data.north - state.cy * 10].map(Math.round)
  parts.set("at", `${at},${state.z}`)
  return `/compare?${parts.toString().replaceAll("%2C", ",")}`
}

/** Dates of the film. */
export function period() {
  const [since, until] = state.film.split(",")
  const found = days.filter((day) => (!since || day >= since) && (!until || day <= until))
  return found.length ? found : days
}
