// What the products say of the pixel under the cursor, or of the chosen one.

import { chart } from "./chart.js"
import { COLOURS, data, product } from "./data.js"
import { $, inside, plain } from "./dom.js"
import { metres, onTile } from "./ground.js"
import { passing, state } from "./state.js"

/** @typedef {import("./data.js").Product} Product */
/** @typedef {import("./state.js").Place} Place */

/**
 * What a product says of a pixel: reflectances by band [-], `aot` at 550 nm, `water_vapour` [g cm-2], `age` of the
 * composite [days]; null without data.
 * @typedef {{
 *   SRE: Record<string, number | null>, FRE: Record<string, number | null>,
 *   aot: number | null, water_vapour: number | null, age: number | null,
 *   masks: Record<string, {value: number, words: string[]}>, kept: Record<string, string | null>,
 * }} Values
 */

/** @typedef {{longitude: number, latitude: number, products: Record<string, Values>}} Answer [deg] */

/** @typedef {{i: number, product: Product, values: Values}} Column of a table: a product and its first view. */

/** Says where the cursor is. */
export function coordinates() {
  if (!passing.hover) return
  const [x, y] = metres(passing.hover)
  const [col, row] = passing.hover
  $("where").textContent = `E ${x} N ${y} m (${data.crs}) · column ${col}, row ${row}`
}

let asking = false
let again = false

/** Asks for the values of the pixel under the cursor, or of the chosen one; once more if that changed meanwhile. */
export async function inspect() {
  const at = passing.hover || passing.pin
  if (!at || !onTile(at)) return
  if (asking) {
    again = true
    return
  }
  asking = true
  try {
    const [x, y] = metres(at)
    const names = [...new Set(state.views.map((view) => view.product))]
    const answer = await fetch(`/api/compare/pixel?products=${names.join(",")}&x=${x}&y=${y}`)
    const found = await answer.json()
    if (answer.ok) show(at, found)
    else $("pixel").textContent = found.detail
  } finally {
    asking = false
    if (again) {
      again = false
      inspect()
    }
  }
}

/** Whether the reflectances are shown as numbers too. */
let listed = false

/**
 * @param {number | null} value
 * @param {number} digits
 */
const round = (value, digits) => (typeof value === "number" ? value.toFixed(digits) : "–")

/**
 * Shows the values of a pixel.
 * @param {Place} at
 * @param {Answer} found
 */
function show(at, found) {
  const columns = state.views
    .map((view, i) => ({ i, product: product(view.product), values: found.products[view.product] }))
    .filter((one, k, all) => one.values && all.findIndex((other) => other.product === one.product) === k)
  const what = at === passing.pin ? "Chosen pixel" : "Under the cursor"
  const where = `${found.longitude.toFixed(5)}°, ${found.latitude.toFixed(5)}°`
  const rows = atmosphere(columns) + masks(columns)
  $("pixel").innerHTML =
    `<p class="soft">${what}: column ${at[0]}, row ${at[1]}; ${where}</p>${spectrum(columns)}${table(columns, rows)}` +
    `<details${listed ? " open" : ""}><summary>Reflectances</summary>${table(columns, reflectances(columns))}</details>`
  const list = /** @type {HTMLDetailsElement} */ (inside($("pixel"), "details"))
  list.ontoggle = () => {
    listed = list.open
  }
}

/**
 * @param {Column[]} columns
 * @param {string} rows
 */
function table(columns, rows) {
  const head = columns.map(
    (one) => `<th><i style="background:${COLOURS[one.i]}"></i>${one.product.day.slice(5)} ${one.product.version}</th>`,
  )
  return `<table><thead><tr><th></th>${head.join("")}</tr></thead><tbody>${rows}</tbody></table>`
}

/**
 * @param {Column[]} columns
 * @param {string} label
 * @param {(values: Values) => string} cell
 */
const row = (columns, label, cell) =>
  `<tr><td>${label}</td>${columns.map(({ values }) => `<td>${cell(values)}</td>`).join("")}</tr>`

/** @param {Column[]} columns */
function spectrum(columns) {
  const series = columns.map(({ i, values }) => ({
    colour: COLOURS[i],
    points: Object.entries(values.SRE).flatMap(([band, value]) =>
      value === null
        ? []
        : [/** @type {import("./chart.js").Point} */ ([data.bands[band], value, false, `${band} ${value.toFixed(4)}`])],
    ),
  }))
  const values = series.flatMap((one) => one.points.map(([, value]) => value))
  return chart(series, {
    x: [440, 2250],
    y: [Math.min(0, ...values), Math.max(0.1, ...values)],
    ticks: [
      [490, "490"],
      [865, "865"],
      [1610, "1610"],
      [2190, "2190 nm"],
    ],
    label: "Spectrum",
  })
}

/** @param {Column[]} columns */
function atmosphere(columns) {
  const aged = columns.some(({ values }) => values.age !== null)
  const age = (/** @type {Values} */ values) => (values.age === null ? "–" : `${values.age} days`)
  return (
    row(columns, "AOT 550 nm", (values) => round(values.aot, 3)) +
    row(columns, "water vapour g cm⁻²", (values) => round(values.water_vapour, 2)) +
    (aged ? row(columns, "age of the composite", age) : "")
  )
}

/**
 * Masks with a bit set in words, the others by their names, then what masks made by hand have there.
 * @param {Column[]} columns
 */
function masks(columns) {
  const words = (/** @type {string} */ kind) => (/** @type {Values} */ values) =>
    values.masks[kind] ? values.masks[kind].words.map(plain).join(", ") || "–" : "not made"
  const made = Object.keys(data.masks).filter((kind) => columns.some(({ values }) => kind in values.masks))
  const isSet = (/** @type {string} */ kind) => columns.some(({ values }) => values.masks[kind]?.words.length)
  const unset = made.filter((kind) => !isSet(kind))
  const titles = new Set(columns.flatMap(({ values }) => Object.keys(values.kept)))
  return [
    ...made.filter(isSet).map((kind) => row(columns, kind, words(kind))),
    unset.length ? `<tr><td colspan="${columns.length + 1}">not set: ${unset.join(", ")}</td></tr>` : "",
    ...[...titles].map((title) => row(columns, `kept mask: ${plain(title)}`, (values) => values.kept[title] ?? "–")),
  ].join("")
}

/** @param {Column[]} columns */
function reflectances(columns) {
  const kinds = /** @type {const} */ (["SRE", "FRE"])
  return kinds
    .flatMap((kind) =>
      Object.keys(data.bands)
        .filter((band) => columns.some(({ values }) => band in values[kind]))
        .map((band) => row(columns, `${kind} ${band}`, (values) => round(values[kind][band] ?? null, 4))),
    )
    .join("")
}
