// The head of each view: its product, image and mask, and their legend.

import { COLOURS, data, NAMES, product } from "./data.js"
import { $, make, options } from "./dom.js"
import { paint } from "./drawing.js"
import { ask, kindOf, offer, standard } from "./offers.js"
import { passing, remember, state } from "./state.js"

/** @typedef {import("./data.js").Product} Product */
/** @typedef {import("./state.js").View} View */

/** @typedef {[value: string, words: string][]} Entries of a choice. */

/**
 * Draws the heads anew; `change` is called when the reader chose something.
 * @param {() => void} change
 */
export async function heads(change) {
  await Promise.all(state.views.map((view) => ask(view.product)))
  $("heads").replaceChildren(...state.views.map((view, i) => head(view, i, change)))
}

/**
 * @param {View} view
 * @param {number} i
 * @param {() => void} change
 */
function head(view, i, change) {
  const images = imagesOf(view, i)
  const masks = masksOf(view, i)
  if (!images.some(([name]) => name === view.layer)) view.layer = images[0][0]
  if (!masks.some(([name]) => name === view.mask)) view.mask = ""
  if (view.mask && !view.bits) view.bits = standard(view.mask)
  const products = /** @type {Entries} */ (data.products.map((one) => [one.id, word(one)]))
  const which = choice(`Product of view ${NAMES[i]}`, products, view.product, (value) => {
    view.product = value
    change()
  })
  which.title = view.product
  const layer = choice(`Image of view ${NAMES[i]}`, images, view.layer, (value) => {
    view.layer = value
    change()
  })
  const mask = choice(`Mask of view ${NAMES[i]}`, masks, view.mask, (value) => {
    view.mask = value
    view.bits = standard(value)
    change()
  })
  const onclick = () => {
    state.views.splice(i, 1)
    passing.shown = 0
    change()
  }
  const close = state.views.length > 2 ? [make("button", { textContent: "×", title: "Close this view", onclick })] : []
  const simulated = product(view.product).simulated
  const mark = simulated ? [make("span", { className: "simulated", textContent: "SIMULATED" })] : []
  const colour = make("i", { style: `background:${COLOURS[i]}` })
  const what = make("div", { className: "what" }, layer, mask)
  return make("div", { className: "head" }, colour, which, ...mark, ...close, what, legend(view))
}

/** @param {Product} one */
function word(one) {
  const cloud = one.cloud === null ? "" : ` · ${Math.round(one.cloud)} % cloud`
  return `${one.day} ${one.platform} ${one.version}${cloud}${one.valid ? "" : " · withdrawn"}`
}

/**
 * @param {string} label
 * @param {Entries} entries
 * @param {string} chosen
 * @param {(value: string) => void} take
 */
function choice(label, entries, chosen, take) {
  const element = make("select")
  element.setAttribute("aria-label", label)
  element.onchange = () => take(element.value)
  options(element, entries, chosen)
  return element
}

/**
 * Images that a view can show.
 * @param {View} view
 * @param {number} i
 * @returns {Entries}
 */
function imagesOf(view, i) {
  const { layers } = offer(view.product)
  /** @type {Entries} */
  const entries = layers.filter((name) => !data.masks[name]).map((name) => [name, data.layers[name]])
  if (layers.includes("toa")) entries.push(["toa-rgb", "TOA (L1C): three bands"], ["toa-band", "TOA (L1C): one band"])
  if (i > 0) {
    entries.push(["difference", "Difference to the left view: one band"])
    entries.push(["difference-ndvi", "Difference to the left view: NDVI"])
  }
  entries.push(["none", "No image"])
  return entries
}

/**
 * Masks that a view can show.
 * @param {View} view
 * @param {number} i
 * @returns {Entries}
 */
function masksOf(view, i) {
  const { layers, kept } = offer(view.product)
  /** @type {Entries} */
  const entries = [["", "No mask"]]
  for (const name of layers) if (data.masks[name]) entries.push([name, data.layers[name]])
  for (const { id, title } of kept) entries.push([`reference-${id}`, `Kept mask: ${title}`])
  if (i > 0)
    for (const kind of ["CLM", "MG2"]) entries.push([`agreement-${kind}`, `${kind}: agreed with the left view or not`])
  return entries
}

/**
 * Colours of a mask, each with its switch, and the scale of the image.
 * @param {View} view
 */
function legend(view) {
  const agreement = view.mask.startsWith("agreement")
  const box = make("div", { className: "legend" }, ...rampOf(view))
  if (agreement)
    for (const [name, words] of [
      ["both", "in both"],
      ["first", "only left"],
      ["second", "only here"],
    ])
      box.append(make("span", {}, make("i", { style: `background:${data.agreement[name]}` }), words))
  if (view.mask)
    for (const bit of data.masks[kindOf(view.mask)]) {
      const onchange = () => {
        view.bits ^= bit.bit
        remember()
        paint()
      }
      const tick = make("input", { type: "checkbox", checked: (view.bits & bit.bit) > 0, onchange })
      const colour = agreement ? "" : `background:${bit.colour}`
      box.append(make("label", {}, tick, make("i", { style: colour }), bit.words))
    }
  return box
}

/**
 * The scale of an image that has one.
 * @param {View} view
 */
function rampOf(view) {
  const difference = view.layer.startsWith("difference")
  const band = view.layer === "band" || view.layer === "toa-band"
  const ramp = data.ramps[difference ? "difference" : band ? "band" : view.layer]
  if (!ramp) return []
  const own = band && state.range ? state.range.split(",") : ramp.ends
  const [low, high] = difference ? [-state.width, state.width] : own
  const colours = make("b", { style: `background:linear-gradient(90deg,${ramp.colours.join(",")})` })
  return [make("span", {}, `${low}`, colours, `${high} ${ramp.unit}`)]
}
