/**
 * Text for the examples that model characters: tiny Shakespeare from CHAINRULE_DATA, or else chainrule's own documentation, with a word about it. In: nothing.
 * Out: the text as numbers, cut 9 to 1 into training and validation, and batches of it.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { rand } from 'chainrule'

function readText() {
  const folder = process.env.CHAINRULE_DATA
  const file = folder && join(folder, 'text/tinyshakespeare.txt')
  if (file && existsSync(file)) return readFileSync(file, 'utf8')
  console.log('No text/tinyshakespeare.txt in CHAINRULE_DATA: learning from the documentation instead, so the figures mean nothing.')
  const own = ['README.md', 'CONTRIBUTING.md', 'docs/architecture.md', 'docs/program-format.md', 'docs/ops.md']
  return own.map((name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8')).join('\n')
}

const text = readText()
/** Every character there is, sorted; a token is a position in it. */
export const characters = [...new Set(text)].sort()
const numbers = new Map(characters.map((c, i) => [c, i]))
export const encode = (s) => Array.from(s, (c) => numbers.get(c) ?? 0)
export const decode = (tokens) => tokens.map((t) => characters[t]).join('')

const all = Int32Array.from(encode(text))
const cut = Math.floor(0.9 * all.length)
export const parts = { train: all.subarray(0, cut), validation: all.subarray(cut) }

/** `rows` stretches of `length` tokens from anywhere, and what follows each token, `[rows, length]` each. */
export function batch(part, rows, length) {
  const starts = rand([rows]).data
  const x = new Int32Array(rows * length)
  const y = new Int32Array(rows * length)
  for (let r = 0; r < rows; r++) {
    const start = Math.floor(starts[r] * (part.length - length - 1))
    x.set(part.subarray(start, start + length), r * length)
    y.set(part.subarray(start + 1, start + length + 1), r * length)
  }
  return [x, y]
}
