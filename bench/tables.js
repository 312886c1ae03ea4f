/**
 * Measurements as tables in Markdown, which the README and pull requests can take as they are. In: lines of session.js, also several of the
 * same thing (rounds), of which the medians are shown. Out: text.
 */
import { median, rounded } from './timing.js'

const shown = (x) => (x === null || x === undefined ? '' : String(rounded(x)))
const percent = (x) => (x === null || x === undefined ? '' : `${(100 * x).toFixed(0)} %`)
function rate({ gflops, gbps, installed_mb }) {
  if (installed_mb !== undefined) return `${installed_mb} MB`
  if (gbps !== undefined) return `${shown(gbps)} GB/s`
  return typeof gflops === 'number' ? `${shown(gflops)} GFLOP/s` : ''
}

/** Columns as wide as their contents; all but the first are numbers and stand to the right. */
function table(head, rows) {
  const widths = head.map((h, i) => Math.max(h.length, 3, ...rows.map((r) => r[i].length)))
  const line = (cells) => `| ${cells.map((c, i) => (i === 0 ? c.padEnd(widths[i]) : c.padStart(widths[i]))).join(' | ')} |`
  const rule = `| ${widths.map((w, i) => (i === 0 ? '-'.repeat(w) : `${'-'.repeat(w - 1)}:`)).join(' | ')} |`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

/** Rounds of the same measurement as one line: the median of the medians, the least minimum. */
function merged(lines) {
  const groups = new Map()
  for (const line of lines) {
    const key = [line.workload, line.peer, line.mode, line.backend].join('|')
    groups.set(key, [...(groups.get(key) ?? []), line])
  }
  const middle = (group, field) => {
    const numbers = group.map((l) => l[field]).filter((x) => typeof x === 'number')
    return numbers.length === 0 ? group[0][field] : median(numbers)
  }
  return [...groups.values()].map((group) => ({
    ...group[0],
    median_ms: middle(group, 'median_ms'),
    min_ms: group[0].min_ms === null ? null : Math.min(...group.map((l) => l.min_ms)),
    gflops: middle(group, 'gflops'),
    gbps: middle(group, 'gbps'),
    peak_fraction: middle(group, 'peak_fraction'),
    noisy: group.every((l) => l.noisy),
  }))
}

const noise = (lines) => (lines.some((l) => l.noisy) ? '\n\n~ other programs took processor time during this measurement' : '')
const time = (line) =>
  line === undefined ? '' : line.median_ms === null ? (line.note ?? '–') : `${shown(line.median_ms)}${line.noisy ? ' ~' : ''}`

/** One row a measurement. */
export function measurements(lines) {
  const all = merged(lines)
  const used = all.find((l) => l.backend !== null)
  const setting =
    used === undefined ? '' : used.backend === 'js' ? 'TypeScript backend\n\n' : `native backend, ${used.isa}, threads: ${used.threads}\n\n`
  const rows = all.map((l) => [
    l.workload,
    l.mode ?? l.peer,
    time(l),
    shown(l.min_ms),
    String(l.steps ?? ''),
    rate(l),
    percent(l.peak_fraction),
  ])
  return `${setting}${table(['workload', 'mode', 'median ms', 'min ms', 'steps', 'rate', 'of peak'], rows)}${noise(all)}`
}

/** One row an op case; rates count what is read and written once. */
export function opTimes(lines) {
  const ids = [...new Set(lines.map((l) => l.workload))]
  const rows = ids.map((id) => {
    const of = (mode) => lines.find((l) => l.workload === id && l.mode === mode)
    const { shapes } = of('eager') ?? of('sync')
    const sizes = shapes.map((shape) => `[${shape.join(', ')}]`).join(' ')
    return [id.replace(/^op /, ''), sizes, time(of('eager')), time(of('sync')), shown((of('sync') ?? of('eager')).gbps)]
  })
  return `${table(['op', 'shapes', 'eager ms', 'compiled ms', 'GB/s'], rows)}${noise(lines)}`
}

/** Native against TypeScript, one row a workload. */
export function comparison(lines) {
  const all = merged(lines)
  const rows = [...new Set(all.map((l) => l.workload))].map((id) => {
    const of = (backend) => all.find((l) => l.workload === id && (l.backend ?? 'native') === backend)
    const [native, js] = [of('native'), of('js')]
    const ratio = native && js ? `${shown(js.median_ms / native.median_ms)} ×` : ''
    return [id, time(native), time(js), ratio, native ? rate(native) : '', percent(native?.peak_fraction)]
  })
  return `${table(['workload', 'native ms', 'TypeScript ms', 'faster', 'rate', 'of peak'], rows)}${noise(all)}`
}

/** The column a measurement stands in: one for each way we are called, one for each peer. */
function column({ peer, mode }) {
  if (!peer.startsWith('chainrule-')) return peer
  return { await: 'chainrule, awaited', queued: 'chainrule, queued', eager: 'chainrule, op by op' }[mode] ?? 'chainrule'
}

/** One row a workload; of a peer's modes the fastest is shown. The fastest of all is in bold. */
export function peers(lines) {
  const all = merged(lines).filter(({ mode }) => mode !== 'require')
  const columns = [...new Set(all.map(column))]
  const rows = [...new Set(all.map((l) => l.workload))].map((id) => {
    const own = all.filter((l) => l.workload === id && l.median_ms !== null)
    const best = Math.min(...own.map((l) => l.median_ms))
    const cells = columns.map((name) => {
      const [fastest] = own.filter((l) => column(l) === name).sort((a, b) => a.median_ms - b.median_ms)
      if (fastest === undefined) return '–'
      const size = fastest.installed_mb === undefined ? '' : ` (${fastest.installed_mb} MB)`
      return fastest.median_ms === best ? `**${time(fastest)}**${size}` : `${time(fastest)}${size}`
    })
    return [id, ...cells]
  })
  const notes = all.filter((l) => l.median_ms === null).map((l) => `- ${l.peer}, ${l.workload}: ${l.note}`)
  return [table(['ms (median)', ...columns], rows), ...(notes.length > 0 ? ['', ...notes] : [])].join('\n') + noise(all)
}
