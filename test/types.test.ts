/**
 * Shapes as types. The files in test/types/right are correct code and must compile without an error; in test/types/wrong each line marked
 * `// error: …` must be an error that says this, and no other line may be one; and what shapes cost `tsc` stays within a budget.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const work = join(root, 'build/types-test')

interface TypeError {
  readonly line: number
  readonly text: string
}

/** Checks files as a strict user of the library would; with `emit`, also writes their declarations. */
function tsc(files: readonly string[], options: Record<string, unknown> = {}, flags: readonly string[] = []): string {
  mkdirSync(work, { recursive: true })
  const config = join(work, `tsconfig.${process.pid}.json`)
  const compilerOptions = { noEmit: true, exactOptionalPropertyTypes: true, ...options }
  // strict options that src itself does not hold to are checked against its declarations
  writeFileSync(config, JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, include: [], files }))
  const { stdout, stderr, error } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config, ...flags], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  if (error !== undefined) throw error
  return stdout + stderr
}

/** What `tsc` says, by file and line; lines that are indented belong to the error before. */
function errorsIn(output: string): Map<string, TypeError[]> {
  const found = new Map<string, TypeError[]>()
  for (const [, file, line, text] of output.matchAll(/^(\S[^\n(]*)\((\d+),\d+\): error ((?:[^\n]*)(?:\n [^\n]*)*)/gm)) {
    const name = resolve(root, file)
    found.set(name, [...(found.get(name) ?? []), { line: Number(line), text }])
  }
  return found
}

const sources = (folder: string): string[] =>
  readdirSync(join(root, 'test/types', folder)).map((name) => join(root, 'test/types', folder, name))

/** Types as the package has them: declarations written by `tsc`. */
function declarations(): string {
  const out = join(work, 'declarations')
  const output = tsc([join(root, 'src/index.ts'), join(root, 'src/models/index.ts')], {
    noEmit: false,
    exactOptionalPropertyTypes: false,
    emitDeclarationOnly: true,
    rootDir: join(root, 'src'),
    outDir: out,
  })
  expect(output).toBe('')
  return out
}

/** The fixtures, importing the declarations instead of the source. */
function copies(folder: string, out: string): string[] {
  mkdirSync(join(work, folder), { recursive: true })
  return sources(folder).map((file) => {
    const copy = join(work, folder, file.split(/[\\/]/).at(-1) as string)
    writeFileSync(copy, readFileSync(file, 'utf8').replaceAll('../../../src/', `${out.replaceAll('\\', '/')}/`))
    return copy
  })
}

afterAll(() => rmSync(work, { recursive: true, force: true }))

describe('types', { timeout: 300_000 }, () => {
  const out = declarations()
  const right = copies('right', out)
  const wrong = copies('wrong', out)
  const errors = errorsIn(tsc([...right, ...wrong], { declaration: false, rootDir: root }))

  it.each(right)('correct code has no error: %s', (file) => {
    expect(errors.get(file) ?? []).toEqual([])
  })

  it('declarations have no error', () => {
    expect([...errors.keys()].filter((file) => !right.includes(file) && !wrong.includes(file))).toEqual([])
  })

  it.each(wrong)('mistakes are errors that say what is wrong: %s', (file) => {
    const marks = readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line, i) => {
        const mark = /\/\/ error: ([^…].*)$/.exec(line)?.[1]
        return mark === undefined ? [] : [{ line: i + 1, text: mark }]
      })
    expect(marks.length).toBeGreaterThan(10)
    const received = errors.get(file) ?? []
    for (const { line, text } of marks) {
      expect(
        received.filter((e) => e.line === line).map((e) => e.text),
        `line ${line}`,
      ).toEqual([expect.stringContaining(text)])
    }
    expect(received.filter((e) => !marks.some((m) => m.line === e.line))).toEqual([])
  })

  // A budget that is exceeded means that editors and builds got slower. 43,000 and 18,000 when this was written.
  it.each([
    { what: '100 layers in a row', budget: 60_000, code: sequence(100) },
    { what: '100 calls of layers and ops', budget: 40_000, code: calls(100) },
  ])('$what stay within $budget instantiations', ({ what, budget, code }) => {
    const count = (source: string): number => {
      const file = join(work, `${what.replaceAll(' ', '-')}.ts`)
      writeFileSync(file, `import { nn, type Tensor, zeros } from '${out.replaceAll('\\', '/')}/index.js'\n${source}`)
      const output = tsc([file], { declaration: false, noUnusedLocals: false, rootDir: root }, [
        '--extendedDiagnostics',
        '--singleThreaded',
      ])
      expect(errorsIn(output)).toEqual(new Map())
      return Number(/Instantiations:\s+(\d+)/.exec(output)?.[1])
    }
    const cost = count(code) - count('export const x: [typeof nn, Tensor, typeof zeros] | undefined = undefined')
    console.log(`types: ${what} cost ${cost} instantiations`)
    expect(cost).toBeLessThan(budget)
  })
})

/** A model of `n` layers, all of different sizes. */
function sequence(n: number): string {
  const layers = Array.from({ length: n / 2 }, (_, i) => `  new nn.Linear(${100 + i}, ${101 + i}),\n  new nn.ReLU(),\n`)
  return `export const model = new nn.Sequential(\n${layers.join('')})\nexport const y: Tensor<['batch', ${100 + n / 2}]> = model.forward(zeros([32, 100]))\n`
}

/** A function of `n` calls, on tensors of different sizes. */
function calls(n: number): string {
  const lines = Array.from({ length: n / 5 }, (_, i) => {
    const [a, b] = [100 + i, 101 + i]
    return `const a${i} = new nn.Linear(${a}, ${b}).forward(x${i})
const b${i} = a${i}.relu().add(zeros([${b}]))
const c${i} = b${i}.sub(b${i}.mean({ dim: -1, keepdim: true }))
const x${i + 1} = c${i}.matmul(zeros([${b}, ${b}]))\n`
  })
  return `declare const x0: Tensor<['batch', 100]>\n${lines.join('')}export const y: Tensor<['batch', ${100 + n / 5}]> = x${n / 5}\n`
}
