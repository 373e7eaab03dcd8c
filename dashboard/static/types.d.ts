// What our scripts use of Bokeh, which is a global of every page of Panel's.

declare namespace Bokeh {
  interface Model {
    type: string
  }

  interface Range {
    start: number
    end: number
    setv(values: { start: number; end: number }): void
  }

  interface Figure extends Model {
    x_range: Range
    y_range: Range
    inner_width: number
    inner_height: number
  }

  interface TileSource extends Model {
    tiles: Map<string, { loaded: boolean; finished: boolean; img?: HTMLImageElement }>
  }

  /** Data of bars: what a hover tells of each. */
  interface ColumnDataSource extends Model {
    selected: { indices: number[] }
    data: { when: string[]; what: string[] }
  }

  interface LoaderOptions {
    loaded?: (image: HTMLImageElement) => void
    failed?: () => void
    attempts?: number
  }

  type ImageLoader = new (src: string | ArrayBuffer, options?: LoaderOptions) => object

  const documents: { _all_models: Map<string, Model> }[]
  function require(module: "core/util/image"): { ImageLoader: ImageLoader }
}

// What Compare tells of itself: when its views were last complete, and their extents.

interface Window {
  compare: {
    state: typeof import("./compare/state.js").state
    complete: number
    extents: () => number[][]
  }
}
