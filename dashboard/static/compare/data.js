// What the page Compare was given with its HTML: one tile, its products, and the words and colours of the server.

/**
 * A product in the list of its tile. `v` is the digest in the addresses of its tiles; `cloud` is in percent.
 * @typedef {{
 *   id: string, day: string, time: string, platform: string, version: string, cloud: number | null,
 *   simulated: boolean, valid: boolean, v: string,
 * }} Product
 */

/**
 * What can be shown of a product.
 * @typedef {{layers: string[], bands: string[], kept: {id: number, title: string}[], faults: string[]}} Offer
 */

/** @typedef {{bit: number, words: string, colour: string, shown: boolean}} Bit */

/**
 * `west` and `north` are those of the tile's corner [m], `cols` and `rows` its size in pixels of 10 m; `bands` are
 * wavelengths [nm].
 * @typedef {{
 *   tile: string, west: number, north: number, cols: number, rows: number, crs: string,
 *   chosen: string[], products: Product[], offered: Record<string, Offer>,
 *   layers: Record<string, string>, masks: Record<string, Bit[]>, agreement: Record<string, string>,
 *   bands: Record<string, number>,
 *   ramps: Record<string, {colours: string[], ends: [low: number, high: number], unit: string}>,
 * }} Data
 */

/** @type {Data} */
export const data = JSON.parse(document.getElementById("data")?.textContent ?? "")

/** Views as an address names them, and the colour of each. */
export const NAMES = ["left", "right", "third", "fourth"]
export const COLOURS = ["#0096FF", "#E69F00", "#00A087", "#CC79A7"]

const products = new Map(data.products.map((product) => [product.id, product]))

/** Days with a product, in order. */
export const days = [...new Set(data.products.map((product) => product.day))].sort()

/**
 * A product of the tile, by its identifier.
 * @param {string} id
 */
export function product(id) {
  const found = products.get(id)
  if (!found) throw new Error(`no product ${id} of tile ${data.tile}`)
  return found
}
