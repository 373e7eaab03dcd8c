// What products offer, and what a view shows in words.

import { data, product } from "./data.js"
import { bandsOf } from "./sources.js"
import { passing } from "./state.js"

/** @typedef {import("./data.js").Offer} Offer */
/** @typedef {import("./state.js").View} View */

const offered = new Map(Object.entries(data.offered))

/**
 * Asks the server what a product offers, once.
 * @param {string} id
 */
export async function ask(id) {
  if (offered.has(id)) return
  const answer = await fetch(`/api/compare/product/${id}`)
  const found = await answer.json()
  offered.set(id, answer.ok ? found : { layers: [], bands: [], kept: [], faults: [found.detail] })
}

/**
 * What a product offers; nothing before it was asked for.
 * @param {string} id
 * @returns {Offer}
 */
export const offer = (id) => offered.get(id) ?? { layers: [], bands: [], kept: [], faults: [] }

/**
 * The kind of mask whose bits are drawn, also where two are compared.
 * @param {string} mask
 */
export const kindOf = (mask) => (mask.startsWith("reference") ? "reference" : mask.replace("agreement-", ""))

/**
 * Bits of a mask that are drawn until the reader chooses others.
 * @param {string} mask
 */
export function standard(mask) {
  if (!mask) return 0
  const kind = kindOf(mask)
  if (mask.startsWith("agreement")) return kind === "CLM" ? 1 : 2
  return data.masks[kind].filter((bit) => bit.shown).reduce((sum, bit) => sum | bit.bit, 0)
}

/** Images that have no title among the layers. @type {Record<string, string>} */
const IMAGES = {
  none: "",
  rgb: "",
  band: "",
  difference: "difference",
  "difference-ndvi": "difference of NDVI",
  "toa-rgb": "TOA",
  "toa-band": "TOA",
}

/**
 * What a view shows.
 * @param {View} view
 */
export function called(view) {
  const { day, version } = product(view.product)
  const bands = bandsOf(view.layer)
    ?.replaceAll("_", " ")
    .replaceAll(",", ", ")
    .replace(/[SF]RE /g, (kind) => (view.layer.startsWith("toa") ? "" : kind))
  const image = [IMAGES[view.layer] ?? data.layers[view.layer], bands].filter(Boolean).join(" ")
  return [`${day} ${version}`, image, passing.masked ? calledMask(view) : ""].filter(Boolean).join(" · ")
}

/** @param {View} view */
function calledMask(view) {
  const kept = offer(view.product).kept.find(({ id }) => view.mask === `reference-${id}`)
  if (kept) return `kept mask: ${kept.title}`
  return view.mask.startsWith("agreement") ? `${kindOf(view.mask)} agreed or not` : view.mask
}

/**
 * What is wrong with the product of a view: tiles that failed, files that are missing or cut short.
 * @param {View} view
 */
export const faults = (view) => [view.fault, ...offer(view.product).faults].filter(Boolean)
