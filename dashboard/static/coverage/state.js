// What the page knows of the tiles, and what the reader chose; the address holds all of the choice.

import { ask, data, remember } from "../shared/dom.js"

const given = data()

/** @typedef {{site: string, followed: boolean, state: string, day: string, version: string, dates: number,
 *   products: number, known: number, clear: number, delay: number | null, valid: string, missing: number,
 *   simulated: boolean}} Row */

export const state = {
  .../** @type {{colour: string, site: string, version: string, tile: string, until: string, span: number,
    year: number | null}} */ (given.chosen),
  /** @type {string[]} */
  months: given.months,
  /** @type {Map<string, Row>} */
  tiles: new Map(),
  /** @type {Record<string, [string, string, string]>} */
  colours: given.colours,
  /** @type {Record<string, string>} */
  versions: given.versions,
  /** @type {number} */
  seen: given.version,
  /** When the answer was made. */
  taken: Date.now(),
}
export const page = given

/** Takes rows as the server sends them. @param {Record<string, any[]>} rows */
function take(rows) {
  for (const [tile, row] of Object.entries(rows)) {
    /** @type {any} */
    const named = {}
    for (const [place, name] of given.columns.entries()) named[name] = row[place]
    state.tiles.set(tile, named)
  }
  return Object.keys(rows)
}
take(given.tiles)

/** The period as the server is asked for it. */
export function period() {
  const until = state.until || (state.span ? (state.months.at(-1) ?? "") : "")
  return { first: state.span && until ? before(until, state.span - 1) : "", last: until, version: state.version }
}

/**
 * @param {string} month
 * @param {number} count
 */
function before(month, count) {
  const [year, number] = month.split("-").map(Number)
  const whole = 12 * year + number - 1 - count
  return `${Math.floor(whole / 12)}-${String((whole % 12) + 1).padStart(2, "0")}`
}

/** What the exports and the answers are asked with. @param {Record<string, string>} [more] */
export function query(more = {}) {
  const asked = new URLSearchParams()
  for (const [name, value] of Object.entries({ ...period(), ...more })) if (value) asked.set(name, value)
  return asked.toString()
}

/** @type {AbortController | null} */
let asking = null

/** All tiles of another period or version; the last wish wins. */
export async function reload() {
  asking?.abort()
  asking = new AbortController()
  const answer = await ask(`/api/coverage/tiles?${query()}`, asking.signal)
  state.seen = answer.version
  state.taken = Date.now()
  return { changed: take(answer.tiles), answer }
}

/** What changed since the last answer. */
export async function renew() {
  const answer = await ask(`/api/coverage/tiles?${query({ since: String(state.seen) })}`)
  state.seen = answer.version
  state.taken = Date.now()
  return { changed: take(answer.tiles), answer }
}

/** Keeps the choice in the address. */
export function keep() {
  const { colour, site, version, tile, until, span } = state
  const year = tile ? state.year : null
  return remember({ colour: colour === "state" ? "" : colour, site, version, tile, year, until, span })
}

/** Whether a tile is of the chosen site. @param {Row} row */
export const ofSite = (row) => !state.site || row.site.split(", ").includes(state.site)
