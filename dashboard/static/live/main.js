// Pages that follow the store: their parts are asked for again while the page is open, and by its links and forms.

import { $, plain } from "../shared/dom.js"
import { theme } from "../shared/theme.js"

/** Time between two looks. [ms] */
const LOOKS = 5000

/** The parts as they were sent, by name. @type {Map<string, string>} */
const sent = new Map()
/** What is asked for is shown; what was asked before is not any more. @type {AbortController | null} */
let asking = null
/** Whether whoever reads has to sign in again. */
let over = false
/** What is said above the page. */
let saying = ""

theme()
for (const part of parts(document)) sent.set(part.dataset.part ?? "", part.innerHTML)
setInterval(look, LOOKS)
document.addEventListener("click", follow)
document.addEventListener("submit", submitted)
document.addEventListener("change", (event) => {
  const field = /** @type {HTMLInputElement} */ (event.target)
  if (field.form?.method === "get") field.form.requestSubmit()
})
addEventListener("popstate", () => ask(location.href))

/** @param {Document} page @returns {Iterable<HTMLElement>} */
function parts(page) {
  return page.querySelectorAll("[data-part]")
}

/** Asks what is new. */
async function look() {
  if (document.hidden || asking) return
  const seen = document.querySelector("[data-snapshot]")?.getAttribute("data-snapshot") ?? ""
  await ask(location.href, over ? {} : { headers: { "x-seen": seen } })
}

/**
 * Asks for a page and takes its parts over.
 * @param {string} address
 * @param {RequestInit} [options]
 */
async function ask(address, options = {}) {
  asking?.abort()
  const mine = new AbortController()
  asking = mine
  $("main").setAttribute("aria-busy", "true")
  try {
    const answer = await fetch(address, { redirect: "manual", ...options, signal: mine.signal })
    ended(answer.status === 401 || answer.type === "opaqueredirect")
    if (over) return
    const text = await answer.text()
    if (asking !== mine) return
    const found = [...parts(new DOMParser().parseFromString(text, "text/html"))]
    // Another set of parts is another page: of a centre where the first date has arrived.
    if (found.length > 1 && found.some((part) => !here(part))) return location.reload()
    for (const part of found) take(part)
    told(found.length ? "" : (reason(text) ?? `The centre answers ${answer.status}.`))
  } catch {
    if (!mine.signal.aborted) told("The centre does not answer: what stands here is as it was.")
  } finally {
    if (asking === mine) {
      asking = null
      $("main").removeAttribute("aria-busy")
    }
  }
}

/** The part of the page that another one is the next state of. @param {HTMLElement} part */
const here = (part) =>
  /** @type {HTMLElement | null} */ (document.querySelector(`[data-part="${CSS.escape(part.dataset.part ?? "")}"]`))

/** What a program is told instead of a page. @param {string} text @returns {string | null} */
function reason(text) {
  try {
    return String(JSON.parse(text).detail)
  } catch {
    return null
  }
}

/** Says what can't be; nothing where all is well. @param {string} words */
function told(words) {
  say(words ? `<div class="note">${plain(words)}</div>` : "")
}

/** @param {string} html */
function say(html) {
  if (html !== saying) $("session").innerHTML = html // what has not changed is not read out again
  saying = html
}

/** Says that the session is over, or that it goes on: what is typed stays. @param {boolean} now */
function ended(now) {
  over = now
  if (now)
    say(`<div class="note" data-session="ended"><b>Your session has ended.</b> What you typed stays here, and nothing
more is kept until you <a href="/sign-in?next=${encodeURIComponent(location.pathname)}" target="_blank"
rel="opener">sign in again in a new tab</a>; then go on in this one.</div>`)
}

/** Takes one part over where it differs. @param {HTMLElement} part */
function take(part) {
  const name = part.dataset.part ?? ""
  const old = here(part)
  if (!old || sent.get(name) === part.innerHTML) return
  sent.set(name, part.innerHTML)
  // What had the focus keeps it, what was open stays open, and what was scrolled stays where it was.
  const focused = old.contains(document.activeElement) ? mark(/** @type {Element} */ (document.activeElement)) : ""
  const opened = [...old.querySelectorAll("details")].map((one) => one.open)
  const scrolled = [...old.querySelectorAll(".scroll, pre")].map((one) => [one.scrollLeft, one.scrollTop])
  old.innerHTML = part.innerHTML
  old.querySelectorAll("details").forEach((one, i) => {
    one.open = opened[i] ?? one.open
  })
  old.querySelectorAll(".scroll, pre").forEach((one, i) => {
    if (scrolled[i]) one.scrollTo(scrolled[i][0], scrolled[i][1])
  })
  if (focused) /** @type {HTMLElement | null} */ (old.querySelector(focused))?.focus()
}

/** What an element is known by in the next version of its part. @param {Element} element */
function mark(element) {
  if (element.id) return `#${CSS.escape(element.id)}`
  for (const name of ["name", "href"]) {
    const value = element.getAttribute(name)
    if (value) return `[${name}="${CSS.escape(value)}"]`
  }
  return ""
}

/** A link to the page itself is followed within it. @param {MouseEvent} event */
function follow(event) {
  const link = /** @type {HTMLElement} */ (event.target).closest("main a[href]")
  if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return
  if (link.origin !== location.origin || link.pathname !== location.pathname || link.hash || link.target) return
  event.preventDefault()
  go(link.href)
}

/** A form of the page is sent within it. @param {SubmitEvent} event */
function submitted(event) {
  const form = /** @type {HTMLFormElement} */ (event.target)
  if (!form.closest("main")) return
  event.preventDefault()
  const fields = new URLSearchParams()
  for (const [name, value] of new FormData(form)) {
    const field = /** @type {HTMLElement | null} */ (form.elements.namedItem(name))
    // What asks for nothing is left out of the address.
    if (form.method === "post" || (value && value !== field?.dataset.neutral)) fields.append(name, String(value))
  }
  if (form.method === "post") ask(form.action, { method: "POST", body: fields })
  else go(`${location.pathname}${fields.size ? `?${fields}` : ""}`)
}

/** @param {string} address */
function go(address) {
  history.pushState(null, "", address)
  ask(address)
}
