// Lets Bokeh wait between one failed attempt to fetch a tile and the next.
//
// Its own loader, once an image has failed twice, asks for it again every millisecond without end: each open page would
// storm a web that is down or on its way up. Here the waits grow from a second to a minute, and end after some.

{
  const ATTEMPTS = 12
  class Loader {
    /**
     * @param {string} src
     * @param {Bokeh.LoaderOptions} options
     */
    constructor(src, { loaded, failed } = {}) {
      this.image = new Image()
      this.image.crossOrigin = "anonymous"
      this.finished = false
      let tried = 0
      const ask = () => {
        this.image.src = src
      }
      this.promise = new Promise((resolve) => {
        this.image.onload = () => {
          this.finished = true
          loaded?.(this.image)
          resolve(this.image)
        }
        this.image.onerror = () => {
          if (!src || ++tried === ATTEMPTS) failed?.()
          else setTimeout(ask, Math.min(60, 2 ** (tried - 1)) * 1000)
        }
        ask()
      })
    }
  }
  const images = Bokeh.require("core/util/image")
  // What is no address, as the data of an icon, and what has its own number of attempts, is left to Bokeh.
  images.ImageLoader = new Proxy(images.ImageLoader, {
    construct: (own, [src, config]) =>
      typeof src === "string" && config?.attempts === undefined ? new Loader(src, config) : new own(src, config),
  })
}
