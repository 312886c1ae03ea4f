/**
 * `chainrule doctor`: what the machine is, which binary is in use and whether it computes right. In: options. Out: a report, and the exit
 * code: 0 when the native backend runs and agrees with the reference, else 1.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { type Environment, environment } from '../index.js'
import type { ProbeResult } from './probe.js'

export interface DoctorOptions {
  readonly json?: boolean
  readonly isa?: string
  readonly quick?: boolean
  /** The script to start for each probe. */
  readonly script: string
}

/** How one instruction set did. */
interface Verdict {
  readonly isa: string
  readonly ok: boolean
  readonly gflops?: number
  /** GFLOP/s of multiply-adds in registers, at the same time. */
  readonly peak?: number
  /** By family, for those that did not agree. */
  readonly failures: Record<string, string>
}

interface Report {
  readonly version: string
  readonly node: string
  readonly platform: string
  readonly cpu: string
  readonly environment: Environment
  readonly binarySha256?: string
  readonly variables: Record<string, string>
  readonly selfTest?: readonly Verdict[]
}

/** Relative to the largest value of a family: float32 sums in another order differ in the last digits. */
const tolerance = 2e-5

export async function doctor(options: DoctorOptions): Promise<number> {
  const environmentNow = environment()
  const { isas, binary } = environmentNow
  const wanted = options.isa === undefined ? isas : [options.isa]
  const report: Report = {
    version: environmentNow.version,
    node: `${process.version}${process.versions['electron'] === undefined ? '' : `, Electron ${process.versions['electron']}`}`,
    platform: `${environmentNow.target}, ${release()}`,
    cpu: `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} logical processors`,
    environment: environmentNow,
    binarySha256: binary === undefined ? undefined : createHash('sha256').update(readFileSync(binary)).digest('hex'),
    variables: Object.fromEntries(
      Object.entries(process.env).filter((e): e is [string, string] => e[0].startsWith('CHAINRULE_') && e[1] !== undefined),
    ),
    selfTest: options.quick || wanted.length === 0 ? undefined : await selfTest(options.script, wanted),
  }
  console.log(options.json ? JSON.stringify(report, null, 2) : show(report))
  return environmentNow.backend === 'native' && (report.selfTest ?? []).every((v) => v.ok) ? 0 : 1
}

async function selfTest(script: string, isas: readonly string[]): Promise<Verdict[]> {
  const reference = await runProbe(script, { CHAINRULE_BACKEND: 'js' })
  if (typeof reference === 'string') return [{ isa: 'TypeScript', ok: false, failures: { all: reference } }]
  const verdicts: Verdict[] = []
  for (const isa of isas) {
    const probed = await runProbe(script, { CHAINRULE_BACKEND: 'native', CHAINRULE_ISA: isa })
    verdicts.push(typeof probed === 'string' ? { isa, ok: false, failures: { all: probed } } : judge(isa, probed, reference))
  }
  return verdicts
}

/** What a probe found, or why it gave nothing: in a process of its own, since a wrong binary may crash it. */
function runProbe(script: string, variables: Record<string, string>): Promise<ProbeResult | string> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, 'probe'], { env: { ...process.env, ...variables }, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.on('data', (text) => (out += text))
    child.stderr.on('data', (text) => (err += text))
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => {
      if (code === 0 && out.startsWith('{')) resolve(JSON.parse(out) as ProbeResult)
      else resolve(signal === null ? (err.trim().split('\n').at(-1) ?? `exit code ${code}`) : `crashed with ${signal}`)
    })
  })
}

function judge(isa: string, probed: ProbeResult, reference: ProbeResult): Verdict {
  const failures: Record<string, string> = {}
  for (const [family, wanted] of Object.entries(reference.results)) {
    const got = probed.results[family]
    if (typeof got === 'string' || typeof wanted === 'string') {
      failures[family] = String(typeof got === 'string' ? got : wanted)
      continue
    }
    const scale = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
    const worst = wanted.reduce((most, x, i) => Math.max(most, Math.abs(x - got[i])), 0)
    if (!(got.length === wanted.length && worst <= tolerance * scale)) failures[family] = `differs by ${worst} of ${scale}`
  }
  return { isa, ok: Object.keys(failures).length === 0, gflops: probed.gflops, peak: probed.peak, failures }
}

const speedOf = (gflops: number, peak: number): string =>
  `matrix products at ${gflops.toPrecision(3)} of ${peak.toPrecision(3)} GFLOP/s (${((100 * gflops) / peak).toFixed(0)} %)`

function show(report: Report): string {
  const { environment: e, variables, selfTest } = report
  const threads = { environment: 'CHAINRULE_THREADS', cores: 'physical cores', cgroup: "the container's CPU quota" }
  const rows: [string, string][] = [
    ['chainrule', report.version],
    ['node', report.node],
    ['platform', report.platform],
    ['processor', report.cpu],
    ['backend', e.backend === 'native' ? 'native' : `TypeScript (slow). ${e.reason ?? ''}`],
  ]
  if (e.binary !== undefined) rows.push(['binary', e.binary], ['', `sha256 ${report.binarySha256}`])
  if (e.isa !== undefined) rows.push(['instruction set', `${e.isa}, of ${e.isas.join(', ')}`])
  if (e.threads !== undefined)
    rows.push(['threads', `${e.threads}, from ${threads[e.threadsSource as keyof typeof threads] ?? e.threadsSource}`])
  for (const [name, value] of Object.entries(variables)) rows.push(['variable', `${name}=${value}`])
  for (const { isa, ok, gflops, peak, failures } of selfTest ?? []) {
    const speed = gflops === undefined || peak === undefined ? '' : `, ${speedOf(gflops, peak)}`
    rows.push(['self-test', `${isa}: ${ok ? 'all kernels agree with the reference' : 'WRONG'}${speed}`])
    for (const [family, what] of Object.entries(failures)) rows.push(['', `${family}: ${what}`])
  }
  return rows.map(([name, value]) => `${name.padEnd(17)}${value.replaceAll('\n', `\n${' '.repeat(17)}`)}`).join('\n')
}
