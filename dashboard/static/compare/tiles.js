// Tiles that were fetched.

/** Tiles that are kept, at least. */
const CACHE = 240

/** @typedef {{image: HTMLImageElement | null, ready: boolean, fault: string}} Tile */

/** By address; the one used longest ago is first. @type {Map<string, Tile>} */
const tiles = new Map()

/**
 * A tile that was asked for before.
 * @param {string} url
 */
export function known(url) {
  const found = tiles.get(url)
  if (found) {
    tiles.delete(url)
    tiles.set(url, found)
  }
  return found
}

/**
 * A tile; `arrived` is called when there is more to see of a new one.
 * @param {string} url
 * @param {() => void} arrived
 * @returns {Tile}
 */
export function fetched(url, arrived) {
  const before = known(url)
  if (before) return before
  const image = new Image()
  /** @type {Tile} */
  const found = { image, ready: false, fault: "" }
  image.onload = async () => {
    await image.decode().catch(() => {})
    found.ready = true
    arrived()
  }
  image.onerror = async () => {
    found.ready = true
    found.image = null
    const answer = await fetch(url).catch(() => null)
    if (!answer) found.fault = "the server doesn't answer"
    else if (answer.status >= 400) found.fault = (await answer.json()).detail
    arrived()
  }
  image.src = url
  tiles.set(url, found)
  return found
}

/**
 * Gives up tiles on their way that nobody needs any more, and those used longest ago where there are many.
 * @param {Set<string>} needed
 */
export function forget(needed) {
  for (const [url, found] of tiles) {
    if (needed.has(url)) continue
    if (!found.ready && found.image) {
      found.image.onload = null
      found.image.onerror = null
      found.image.src = ""
      tiles.delete(url)
    } else if (tiles.size > CACHE && found.ready) tiles.delete(url)
  }
}
