/**
 * Progress on screen: one line that redraws itself on a terminal, plain lines elsewhere. In: what happens in a training. Out: text on stderr,
 * so that a program's own output stays clean.
 */
import type { Epoch } from './history.js'
import { validationName } from './options.js'

/** What is told while an epoch is under way. */
export interface StepNews {
  readonly epoch: number
  /** Steps done in this epoch. */
  readonly done: number
  /** Samples seen in this epoch. */
  readonly samples: number
  /** Running means. */
  readonly loss: number
  readonly metrics: Readonly<Record<string, number>>
}

export interface Plan {
  readonly epochs: number
  /** Steps of an epoch, where known. */
  readonly batches: number | undefined
}

export interface Progress {
  step(news: StepNews): void
  /** Validation has begun. */
  validating(epoch: number): void
  epoch(result: Epoch): void
  /** Nothing more comes; leaves the cursor on a line of its own. */
  end(note: string | undefined): void
}

/** Where progress is written: `process.stderr`, as far as it is needed. */
export interface Screen {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Milliseconds between two pictures of the bar, and between two lines. */
const redraw = 100
const lineEvery = 10_000

const silent: Progress = { step: () => {}, validating: () => {}, epoch: () => {}, end: () => {} }

/** The progress display for a training, which begins now. */
export function makeProgress(kind: 'auto' | 'bar' | 'lines' | boolean, plan: Plan, screen: Screen = process.stderr): Progress {
  if (kind === false) return silent
  const terminal = screen.isTTY === true && process.env.TERM !== 'dumb' && process.env.CI === undefined
  return kind === 'bar' || ((kind === 'auto' || kind === true) && terminal) ? new Bar(plan, screen) : new Lines(plan, screen)
}

function grouped(n: number): string {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** Four significant digits. */
export function showNumber(x: number): string {
  if (!Number.isFinite(x)) return String(x)
  const size = Math.abs(x)
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return x.toExponential(2)
  return x.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 4)
}

/** `0:07`, `12:40`, `3:05:10`. */
export function showTime(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  const two = (n: number): string => String(n).padStart(2, '0')
  const minutes = Math.floor(s / 60)
  return minutes < 60 ? `${minutes}:${two(s % 60)}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(s % 60)}`
}

function showFigures(loss: number, metrics: Readonly<Record<string, number>>, name = (key: string): string => key): string {
  return [[name('loss'), loss] as const, ...Object.entries(metrics).map(([key, value]) => [name(key), value] as const)]
    .map(([key, value]) => `${key} ${showNumber(value)}`)
    .join('  ')
}

/** The line that remains of an epoch. */
function epochLine(result: Epoch, epochs: number): string {
  const { epoch, loss, metrics, valLoss, valMetrics, samplesPerSecond, seconds } = result
  const validation = valLoss === undefined ? '' : `  ${showFigures(valLoss, valMetrics ?? {}, validationName)}`
  return `epoch ${String(epoch).padStart(String(epochs).length)}/${epochs}  ${showFigures(loss, metrics)}${validation}  ${seconds.toFixed(1)} s  ${grouped(samplesPerSecond)} samples/s`
}

/** How fast it goes: samples and steps a second, over the last seconds rather than from the start. */
class Speed {
  private at = performance.now()
  private samples = 0
  private steps = 0
  private epoch = 0
  samplesPerSecond = 0
  stepsPerSecond = 0

  update(news: StepNews): void {
    const now = performance.now()
    if (news.epoch !== this.epoch) {
      this.epoch = news.epoch
      this.samples = 0
      this.steps = 0
    }
    const seconds = (now - this.at) / 1000
    const weight = this.samplesPerSecond === 0 ? 1 : Math.min(1, seconds / 2)
    if (seconds > 0) {
      this.samplesPerSecond += weight * ((news.samples - this.samples) / seconds - this.samplesPerSecond)
      this.stepsPerSecond += weight * ((news.done - this.steps) / seconds - this.stepsPerSecond)
    }
    this.at = now
    this.samples = news.samples
    this.steps = news.done
  }

  /** Validation took time in which no samples were learnt. */
  rest(): void {
    this.at = performance.now()
  }
}

class Bar implements Progress {
  private readonly plan: Plan
  private readonly screen: Screen
  private readonly speed = new Speed()
  private readonly color: boolean
  private shown = 0
  private drawn = false

  constructor(plan: Plan, screen: Screen) {
    this.plan = plan
    this.screen = screen
    this.color = process.env.NO_COLOR === undefined
  }

  step(news: StepNews): void {
    const now = performance.now()
    if (now - this.shown < redraw) return
    this.shown = now
    this.speed.update(news)
    const { epochs, batches } = this.plan
    const head = `epoch ${String(news.epoch).padStart(String(epochs).length)}/${epochs}  `
    const { samplesPerSecond, stepsPerSecond } = this.speed
    const left = batches === undefined ? undefined : (batches * (epochs - news.epoch + 1) - news.done) / Math.max(stepsPerSecond, 1e-9)
    const time = left === undefined || !Number.isFinite(left) || left > 359_999 ? '' : `  ${showTime(left)} left`
    const tail = `  ${showFigures(news.loss, news.metrics)}  ${grouped(samplesPerSecond)} samples/s${time}`
    const columns = this.screen.columns ?? 80
    const count = batches === undefined ? `${news.done} steps` : `${String(Math.floor((100 * news.done) / batches)).padStart(3)}%`
    const room = Math.min(30, columns - head.length - tail.length - count.length - 2)
    const bar = batches === undefined || room < 6 ? '' : `${this.bar(news.done / batches, room)} `
    this.draw(head, bar, `${count}${tail}`, columns)
  }

  private bar(share: number, width: number): string {
    const full = Math.min(width, Math.floor(share * width))
    const done = '━'.repeat(full)
    const rest = '─'.repeat(width - full)
    return this.color ? `\x1b[36m${done}\x1b[90m${rest}\x1b[0m` : done + rest
  }

  /** A line that wraps could not be drawn over. With a bar the text is known to fit. */
  private draw(head: string, bar: string, tail: string, columns: number): void {
    const text = bar === '' ? `${head}${tail}`.slice(0, Math.max(0, columns - 1)) : `${head}${bar}${tail}`
    this.screen.write(`\r\x1b[2K${text}`)
    this.drawn = true
  }

  validating(epoch: number): void {
    const { epochs } = this.plan
    if (this.drawn)
      this.draw(`epoch ${String(epoch).padStart(String(epochs).length)}/${epochs}  `, '', 'validation …', this.screen.columns ?? 80)
  }

  epoch(result: Epoch): void {
    this.speed.rest()
    this.screen.write(`${this.drawn ? '\r\x1b[2K' : ''}${epochLine(result, this.plan.epochs)}\n`)
    this.drawn = false
  }

  end(note: string | undefined): void {
    if (this.drawn) this.screen.write('\n')
    this.drawn = false
    if (note !== undefined) this.screen.write(`${note}\n`)
  }
}

class Lines implements Progress {
  private readonly plan: Plan
  private readonly screen: Screen
  private readonly speed = new Speed()
  private last = performance.now()

  constructor(plan: Plan, screen: Screen) {
    this.plan = plan
    this.screen = screen
  }

  /** A sign of life in long epochs. */
  step(news: StepNews): void {
    const now = performance.now()
    if (now - this.last < lineEvery) return
    this.last = now
    this.speed.update(news)
    const { epochs, batches } = this.plan
    const count = batches === undefined ? `step ${news.done}` : `step ${news.done}/${batches}`
    this.screen.write(
      `epoch ${news.epoch}/${epochs}  ${count}  ${showFigures(news.loss, news.metrics)}  ${grouped(this.speed.samplesPerSecond)} samples/s\n`,
    )
  }

  validating(): void {}

  epoch(result: Epoch): void {
    this.speed.rest()
    this.last = performance.now()
    this.screen.write(`${epochLine(result, this.plan.epochs)}\n`)
  }

  end(note: string | undefined): void {
    if (note !== undefined) this.screen.write(`${note}\n`)
  }
}
