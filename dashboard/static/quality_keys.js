// Single keys of the page Quality, each sent with the product that was shown when it was pressed.
//
// Keys typed into a field are left alone; the reader's name is remembered by the browser. What is seen of the shown
// product is fetched of the next ones meanwhile.

/**
 * What Panel gives the component: the parameters of `Keys`, and a way to its `_handle_msg`.
 * @typedef {{
 *   reader: string,
 *   keys: string[],
 *   field: string,
 *   ahead: [product: string, digest: string][],
 *   on: (name: string, call: () => void) => void,
 *   send_msg: (message: {key: string, product: string}) => void,
 * }} Model
 */

const STORED = "muscate-reader"
/** How long it waits before it looks again whether all tiles are there. [ms] */
const PAUSE = 100

/**
 * Whether an element takes the keys. A choice keeps the focus after it was made: only while it is open it takes them.
 * @param {HTMLElement} element
 */
function isField(element) {
  const role = element.getAttribute?.("role") ?? ""
  if (element.isContentEditable || element.tagName === "TEXTAREA" || ["option", "menuitem"].includes(role)) return true
  if (role === "combobox" && element.getAttribute("aria-expanded") === "true") return true
  return element instanceof HTMLInputElement && !["checkbox", "radio", "range", "button"].includes(element.type)
}

/**
 * The first element that passes a test, shadow roots searched too.
 * @param {ParentNode} root
 * @param {(element: HTMLElement) => boolean} test
 * @returns {HTMLElement | null}
 */
function find(root, test) {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("*"))) {
    if (test(element)) return element
    const inside = element.shadowRoot && find(element.shadowRoot, test)
    if (inside) return inside
  }
  return null
}

const models = () => Bokeh.documents.flatMap((document) => [...document._all_models.values()])

/** Tiles of the shown product that Bokeh has or waits for. */
const seen = () =>
  models()
    .filter((model) => model.type === "WMTSTileSource")
    .flatMap((model) => [.../** @type {Bokeh.TileSource} */ (model).tiles.values()])

/**
 * Fetches of the products that come next what is seen of the shown one, once that is complete.
 * @param {Model} model
 */
function fetchAhead(model) {
  let waiting = 0
  /** @type {HTMLImageElement[]} */
  const images = []
  const fetchAll = () => {
    clearTimeout(waiting)
    const tiles = seen()
    if (tiles.some((tile) => !tile.finished && !tile.loaded)) {
      waiting = setTimeout(fetchAll, PAUSE)
      return
    }
    images.length = 0
    for (const [product, digest] of model.ahead)
      for (const { img } of tiles) {
        if (!img) continue
        const image = new Image()
        image.crossOrigin = "anonymous"
        image.src = img.src.replace(/tiles\/[^/]+/, `tiles/${product}`).replace(/v=\w+/, `v=${digest}`)
        images.push(image)
      }
  }
  const later = () => {
    clearTimeout(waiting)
    waiting = setTimeout(fetchAll, PAUSE)
  }
  model.on("ahead", later)
  later()
}

/**
 * Opens a product at the place and scale it is looked at, in a page of its own.
 * @param {string} product
 */
function compare(product) {
  const plot = /** @type {Bokeh.Figure} */ (models().find((model) => model.type === "Figure"))
  const { x_range: x, y_range: y } = plot
  const zoom = 5 + Math.round(Math.log2((10 * plot.inner_width) / (x.end - x.start)))
  const at = [(x.start + x.end) / 2, (y.start + y.end) / 2].map(Math.round)
  window.open(`/compare?left=${product}&at=${at},${zoom}`)
}

/**
 * @param {Model} model
 * @param {KeyboardEvent} event
 */
function press(model, event) {
  const target = /** @type {HTMLElement} */ (event.composedPath()[0])
  if (isField(target)) {
    if (event.key === "Escape" || event.key === "Enter") target.blur()
    return
  }
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return
  const key = event.code.startsWith("Digit") ? event.code.slice(5) : event.key.toLowerCase()
  const product = find(document, (element) => element.dataset?.product !== undefined)?.dataset.product ?? ""
  if (key === "k") {
    event.preventDefault()
    find(document, (element) => element instanceof HTMLInputElement && element.placeholder === model.field)?.focus()
  } else if (key === "c" && product) {
    event.preventDefault()
    compare(product)
  } else if (model.keys.includes(key)) {
    event.preventDefault()
    model.send_msg({ key, product })
  }
}

/** @param {{model: Model}} given */
export function render({ model }) {
  const pressed = (/** @type {KeyboardEvent} */ event) => press(model, event)
  fetchAhead(model)
  addEventListener("keydown", pressed)
  model.on("remove", () => removeEventListener("keydown", pressed))
  model.on("reader", () => localStorage.setItem(STORED, model.reader))
  const known = localStorage.getItem(STORED)
  if (!model.reader && known) model.reader = known
  const ready = document.createElement("span")
  ready.dataset.keys = "ready"
  return ready
}
