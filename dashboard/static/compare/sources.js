// What a view is drawn from: addresses of the tile service.

import { product } from "./data.js"
import { LAST, NATIVE } from "./ground.js"
import { passing, state } from "./state.js"

/** @typedef {import("./state.js").View} View */

/** @typedef {{last: number, url: (z: number, x: number, y: number) => string}} Source up to its `last` level. */

/** @typedef {Record<string, string | number>} Parameters of an address; an empty one is left out. */

/** Layers that a range of reflectance stretches. */
const REFLECTANCE = ["natural", "false", "natural-flat", "rgb", "band", "toa", "toa-rgb", "toa-band"]

/**
 * Bands that a layer shows, as the reader chose them; undefined where it has its own.
 * @param {string} layer
 */
export function bandsOf(layer) {
  if (layer === "rgb" || layer === "toa-rgb") return state.bands
  if (layer === "band" || layer === "toa-band" || layer === "difference") return state.band
  return undefined
}

/**
 * The image of a view.
 * @param {View} view
 */
export function image(view) {
  if (view.layer === "none") return null
  const bands = bandsOf(view.layer)
  /** @type {Parameters} */
  const parameters = {}
  if (REFLECTANCE.includes(view.layer)) {
    parameters.range = state.range
    parameters.lossy = state.z > NATIVE ? "" : 1 // enlarged pixels come exactly
  }
  if (view.layer.startsWith("toa")) {
    if (bands) parameters.bands = bands.replace(/[SF]RE_/g, "")
    return source(view.product, "toa", parameters, NATIVE)
  }
  if (view.layer.startsWith("difference")) {
    parameters.bands = bands ?? "ndvi"
    parameters.range = `${-state.width},${state.width}`
    return source(state.views[0].product, "difference", parameters, NATIVE, view.product)
  }
  if (bands) parameters.bands = bands
  return source(view.product, view.layer, parameters, NATIVE)
}

/**
 * The mask over it.
 * @param {View} view
 */
export function mask(view) {
  if (!view.mask || !passing.masked || !view.bits) return null
  const filled = state.pattern === "fill"
  /** @type {Parameters} */
  const parameters = { bits: view.bits, pattern: filled ? "" : state.pattern }
  const last = filled ? NATIVE : LAST // lines stay thin when enlarged
  const [kind, which] = view.mask.split("-")
  if (kind === "reference") return source(view.product, "reference", { ...parameters, mask: which }, last)
  if (kind !== "agreement") return source(view.product, view.mask, parameters, last)
  parameters.bands = which
  return source(state.views[0].product, "agreement", parameters, last, view.product)
}

/**
 * @param {string} first
 * @param {string} layer
 * @param {Parameters} parameters
 * @param {number} last
 * @param {string} [second] product of a layer that compares two
 * @returns {Source}
 */
function source(first, layer, parameters, last, second) {
  const digests = [first, second].flatMap((id) => (id ? [product(id).v] : [])).join(",")
  const style = Object.entries(parameters)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `&${name}=${value}`)
    .join("")
  const rest = `?v=${digests}${style}${second ? `&with=${second}` : ""}`
  return { last, url: (z, x, y) => `/tiles/${first}/${layer}/${z}/${x}/${y}${rest}` }
}
