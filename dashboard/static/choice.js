// A piece of HTML in which links, buttons and fields that choose something do so in the page, without opening it anew.

/**
 * What Panel gives the component: the parameters of `Choice`, and a way to its `_handle_msg`.
 * @typedef {{
 *   content: string,
 *   style: string,
 *   on: (name: string, call: () => void) => void,
 *   send_msg: (message: {choice: string}) => void,
 * }} Model
 */

/** @param {{model: Model}} args */
export function render({ model }) {
  const root = document.createElement("div")
  const style = document.createElement("style")
  const body = document.createElement("div")
  const draw = () => {
    // What had the focus keeps it: the new piece has it too, by its id or its name.
    const active = /** @type {ShadowRoot | Document} */ (root.getRootNode()).activeElement
    const focused = active && body.contains(active) ? active : null
    const name = focused?.getAttribute("name")
    style.textContent = model.style
    body.innerHTML = model.content
    const mark = focused?.id ? `#${CSS.escape(focused.id)}` : name && `[name="${CSS.escape(name)}"]`
    if (mark) /** @type {HTMLElement | null} */ (body.querySelector(mark))?.focus()
  }
  root.append(style, body)
  draw()
  model.on("content", draw)
  body.addEventListener("click", (event) => {
    const link = /** @type {HTMLElement} */ (event.target).closest("[data-choice]")
    // With a key held, the browser opens the address as it does with any link.
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    model.send_msg({ choice: link.getAttribute("data-choice") ?? "" })
  })
  const tell = (/** @type {Event} */ event) => {
    const field = /** @type {HTMLInputElement | HTMLSelectElement} */ (event.target)
    const slides = field.type === "range"
    if (field.name && slides === (event.type === "input")) model.send_msg({ choice: `${field.name}:${field.value}` })
  }
  body.addEventListener("change", tell)
  body.addEventListener("input", tell)
  return root
}
