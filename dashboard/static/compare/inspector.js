// What the products say of the pixel under the cursor, or of the chosen one: values, time series, tests.

import { chart, overTime } from "./chart.js"
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

/**
 * One test of the chain.
 * @typedef {{
 *   step: string, test: string, note: string, unit: string, applied: boolean, comparison: string, passed: boolean,
 *   value: number | boolean | null, threshold: number | boolean | null,
 * }} Test
 */

/** @typedef {{tests: Test[], differences: string[], missing: string[], summary: string, col: number, row: number}} Why */

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

/**
 * Chooses a pixel: its values, its time series and the chain's tests.
 * @param {Place} at
 */
export function choose(at) {
  passing.pin = at
  $("outside").hidden = onTile(at)
  if (!onTile(at)) return
  inspect()
  overDates(at)
  explain(at)
}

/**
 * The chosen pixel on all dates of the left view's version.
 * @param {Place} at
 */
async function overDates(at) {
  const [x, y] = metres(at)
  const { version } = product(state.views[0].product)
  const address = `/api/compare/series/${data.tile}?x=${x}&y=${y}&version=${version}`
  $("series").innerHTML = '<p class="soft">Reading all dates …</p>'
  const answer = await fetch(address)
  const rows = await answer.json()
  if (passing.pin !== at) return
  if (!answer.ok) {
    $("series").textContent = rows.detail
    return
  }
  $("series").innerHTML =
    `<h2>All dates of ${plain(version)}</h2>${overTime(rows)}<p class="soft">● clear <b class="x">×</b> ` +
    `cloud, shadow or nothing observed · <a href="${address}&format=csv">CSV</a></p>`
}

/**
 * Every test of the chain at the chosen pixel, with value and threshold.
 * @param {Place} at
 */
async function explain(at) {
  const [x, y] = metres(at)
  const asked = product(state.views[0].product)
  $("explain").innerHTML = '<p class="soft">Making the tests again …</p>'
  const answer = await fetch(`/api/compare/explain/${asked.id}?x=${x}&y=${y}`)
  const found = await answer.json()
  if (passing.pin !== at) return
  $("explain").innerHTML = answer.ok ? why(asked, found) : `<p class="soft">Not explained: ${plain(found.detail)}</p>`
}

/**
 * @param {Product} asked
 * @param {Why} found
 */
function why(asked, found) {
  const rows = found.tests.map((test, i) => {
    const step = test.step === found.tests[i - 1]?.step ? "" : plain(test.step.replaceAll("_", " "))
    return (step && `<tr class="step"><td colspan="3">${step}</td></tr>`) + tested(test)
  })
  const remarks = [...found.differences, ...found.missing].map((text) => `<p class="refused">${plain(text)}</p>`)
  const what = `${plain(asked.day)} ${plain(asked.version)}, column ${found.col}, row ${found.row}`
  return (
    `<h2>Why <small>${what}</small></h2><p>${plain(found.summary)}</p>${remarks.join("")}<details open>` +
    `<summary>Tests, value and threshold</summary><table class="tests"><tbody>${rows.join("")}</tbody></table></details>`
  )
}

/** @param {Test} test */
function tested(test) {
  const verdict = !test.applied ? "–" : !test.comparison ? "" : test.passed ? "yes" : "no"
  const limit = test.comparison ? `${plain(test.comparison)} ${figure(test.threshold)}` : ""
  const note = test.note ? ` <span class="soft">${plain(test.note)}</span>` : ""
  return (
    `<tr class="${test.applied ? verdict : "idle"}"><td>${plain(test.test)}${note}</td>` +
    `<td>${figure(test.value)} ${limit} ${plain(test.unit)}</td><td>${verdict}</td></tr>`
  )
}

/** @param {number | boolean | null} value */
function figure(value) {
  if (value === null) return "?"
  return typeof value === "boolean" ? (value ? "yes" : "no") : +value.toFixed(4)
}
