/**
 * What README.md and docs/*.md show is run: every block of code marked `js` or `ts`, as it stands, in a process of its own. `ts` blocks are checked by
 * `tsc` first, and where a block ends in comments `// error TS…`, these must be what tsc says, and all it says; such a block is not run.
 *
 * Two things are given to a block, and no more: names it uses without an import come from chainrule (only in `ts` blocks without any import), and
 * `datasets.mnist()` gives a few hundred digits that the library draws, so that nothing is downloaded and nothing takes long.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) => name.endsWith('.md'))

interface Block {
  readonly page: string
  readonly line: number
  readonly language: 'js' | 'ts'
  readonly code: string
  /** The file it is written to, without its ending. */
  readonly file: string
}

const blocks: Block[] = pages.flatMap((page) => {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(/^```(js|ts)\n(.*?)^```$/gms)].map(([, language, code], i) => ({
    page,
    line: text.slice(0, text.indexOf(code)).split('\n').length,
    language: language as 'js' | 'ts',
    code,
    file: `${page.replace(/\W/g, '-')}-${i + 1}`,
  }))
})

mkdirSync(join(root, 'build'), { recursive: true })
const work = mkdtempSync(join(root, 'build/docs-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const dist = join(root, 'dist/index.mjs')
const library = createRequire(import.meta.url)(join(root, 'dist/index.cjs')) as Record<string, unknown>
const types = ['Dim', 'Shape']

/** The package as a block sees it. */
function installLibrary(): void {
  const folder = join(work, 'node_modules/chainrule')
  mkdirSync(folder, { recursive: true })
  const url = JSON.stringify(pathToFileURL(dist).href)
  writeFileSync(
    join(folder, 'index.mjs'),
    `import { datasets as all } from ${url}
export * from ${url}
export const datasets = { ...all, mnist: async () => all.syntheticDigits({ train: 640, test: 100 }) }\n`,
  )
  writeFileSync(join(folder, 'index.d.ts'), `export * from '../../../../dist/index.js'\n`)
  const manifest = { name: 'chainrule', type: 'module', exports: { types: './index.d.ts', default: './index.mjs' } }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  // a package of its own, so that the name is looked up like a user's import
  writeFileSync(join(work, 'package.json'), '{ "private": true }')
}

/** A `ts` block with an import of what it uses and does not define. */
function withImport(code: string): string {
  if (/^import /m.test(code)) return code
  const identifiers = new Set(code.replace(/\/\/.*$|'[^']*'/gm, '').match(/(?<![\w.])[A-Za-z_]\w*/g))
  const defined = (name: string): boolean => new RegExp(`\\b(?:function|class|const|let|type|interface) ${name}\\b`).test(code)
  const values = Object.keys(library).filter((name) => identifiers.has(name) && !defined(name))
  const names = [...values, ...types.filter((name) => identifiers.has(name) && !defined(name)).map((name) => `type ${name}`)]
  return `import { ${names.join(', ')} } from 'chainrule'\n${code}`
}

const squeezed = (text: string): string => text.replace(/\s+/g, ' ').trim()

/** The errors a block says it has: each from `// error TS` to the last of the comment lines that follow. */
function announced(code: string): string[] {
  const comments = [...code.matchAll(/^\/\/ (error TS.*(?:\n\/\/ (?!error TS).*)*)/gm)]
  return comments.map(([, text]) => squeezed(text.replace(/^\/\/ /gm, '')))
}

/** All `ts` blocks through tsc at once, which also writes what will be run. Returns the errors by file. */
function compile(): Map<string, string[]> {
  const files = blocks.filter((b) => b.language === 'ts').map((b) => `${b.file}.mts`)
  const flags = '--ignoreConfig --strict --module nodenext --target es2022 --lib es2023,esnext.disposable --types node'.split(' ')
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const args = [tsc, ...flags, '--typeRoots', join(root, 'node_modules/@types'), ...files]
  const { stdout } = spawnSync(process.execPath, args, { cwd: work, encoding: 'utf8' })
  const errors = new Map<string, string[]>()
  for (const [, file, text] of stdout.matchAll(/^(\S+)\.mts\(\d+,\d+\): (error .*(?:\n .*)*)/gm))
    errors.set(file, [...(errors.get(file) ?? []), squeezed(text)])
  if (errors.size === 0) expect(stdout).toBe('')
  return errors
}

installLibrary()
for (const { language, file, code } of blocks)
  writeFileSync(join(work, language === 'ts' ? `${file}.mts` : `${file}.mjs`), language === 'ts' ? withImport(code) : code)
const errors = compile()

describe('the code in', () => {
  it('README.md and docs is found', () => {
    expect(blocks.filter((b) => b.page === 'README.md').length).toBeGreaterThanOrEqual(3)
    expect(blocks.some((b) => announced(b.code).length > 0)).toBe(true)
  })

  it.each(blocks.map((b) => [`${b.page}:${b.line}`, b] as const))(
    '%s',
    (_where, { file, language, code }) => {
      const wanted = announced(code)
      if (language === 'ts') {
        const said = errors.get(file) ?? []
        expect(said.length, said.join('\n')).toBe(wanted.length)
        wanted.forEach((text, i) => expect(said[i]).toContain(text))
        if (wanted.length > 0) return
      }
      const { CHAINRULE_DATA: _, ...env } = process.env
      const { status, signal, stdout, stderr } = spawnSync(process.execPath, [`${file}.mjs`], {
        cwd: work,
        env,
        encoding: 'utf8',
        timeout: 60_000,
      })
      expect({ status, signal }, `${stdout}\n${stderr}`).toEqual({ status: 0, signal: null })
      expect(stdout).not.toMatch(/\bNaN\b/)
    },
    70_000,
  )
})
