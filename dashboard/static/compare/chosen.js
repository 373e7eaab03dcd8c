// What is said of the chosen pixel beside its values: its time series, and the chain's tests.

import { overTime } from "./chart.js"
import { data, product } from "./data.js"
import { $, plain } from "./dom.js"
import { metres, onTile } from "./ground.js"
import { inspect } from "./inspector.js"
import { passing, state } from "./state.js"

/** @typedef {import("./data.js").Product} Product */
/** @typedef {import("./state.js").Place} Place */

/**
 * One test of the chain.
 * @typedef {{
 *   step: string, test: string, note: string, unit: string, applied: boolean, comparison: string, passed: boolean,
 *   value: number | boolean | null, threshold: number | boolean | null,
 * }} Test
 */

/**
 * Why a product's masks are what they are at a pixel.
 * @typedef {{
 *   tests: Test[], differences: string[], missing: string[], summary: string, col: number, row: number,
 * }} Why
 */

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
    `<h2>Why <small>${what}</small></h2><p>${plain(found.summary)}</p>${remarks.join("")}` +
    `<details open><summary>Tests, value and threshold</summary>` +
    `<table class="tests"><tbody>${rows.join("")}</tbody></table></details>`
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
