/**
 * JSON from strangers, read character by character. In: a text. Out: the strings and numbers that are asked for; nothing else is built, so that a small
 * text cannot become a large structure, and a key that occurs twice is seen by who asks.
 */

/** How deep brackets may lie in each other where nobody looks at what is in them. */
const maximumDepth = 64

/** How deep they may lie in a user's own values. */
const maximumOwnDepth = 1000

const numbers = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

/** Kinds of values, by the character they begin with. */
export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'literal'

export class JsonReader {
  private at = 0

  /** @param refuse makes the error for a text that is no JSON, from what was found and where. */
  constructor(
    private readonly text: string,
    private readonly refuse: (reason: string) => Error,
  ) {}

  /** What the next value is. */
  kind(): JsonKind {
    this.space()
    const char = this.text[this.at]
    if (char === '{') return 'object'
    if (char === '[') return 'array'
    if (char === '"') return 'string'
    if (char === '-' || (char >= '0' && char <= '9')) return 'number'
    if (char === 't' || char === 'f' || char === 'n') return 'literal'
    throw this.unexpected()
  }

  /** Whether `char` comes next; then it is read. */
  take(char: string): boolean {
    this.space()
    if (this.text[this.at] !== char) return false
    this.at++
    return true
  }

  /** Reads the keys of an object one by one; after each the caller reads its value. */
  *keys(): Generator<string, void, undefined> {
    this.expect('{')
    if (this.take('}')) return
    do {
      const key = this.string()
      this.expect(':')
      yield key
    } while (this.take(','))
    this.expect('}')
  }

  /** Counts the items of an array; at each the caller reads it. */
  *items(): Generator<number, void, undefined> {
    this.expect('[')
    if (this.take(']')) return
    let count = 0
    do yield count++
    while (this.take(','))
    this.expect(']')
  }

  string(): string {
    if (this.kind() !== 'string') throw this.unexpected()
    const { text } = this
    const start = this.at
    let at = start + 1
    let escapes = false
    // by hand: a regular expression overflows its stack on strings of megabytes
    for (let code = text.charCodeAt(at); code !== 0x22; code = text.charCodeAt(at)) {
      // NaN at the end of the text
      if (!(code >= 0x20)) {
        this.at = at
        throw this.unexpected()
      }
      if (code === 0x5c) {
        escapes = true
        at++
      }
      at++
    }
    this.at = at + 1
    if (!escapes) return text.slice(start + 1, at)
    try {
      return JSON.parse(text.slice(start, at + 1)) as string
    } catch {
      this.at = start
      throw this.unexpected()
    }
  }

  number(): number {
    this.space()
    numbers.lastIndex = this.at
    const found = numbers.exec(this.text)?.[0]
    if (found === undefined) throw this.unexpected()
    this.at += found.length
    return Number(found)
  }

  /** Reads a value and forgets it. */
  skip(most = maximumDepth): void {
    if (most < 0) throw this.refuse('too many brackets in each other')
    const kind = this.kind()
    if (kind === 'object') for (const _ of this.keys()) this.skip(most - 1)
    else if (kind === 'array') for (const _ of this.items()) this.skip(most - 1)
    else if (kind === 'string') this.string()
    else if (kind === 'number') this.number()
    else if (!['true', 'false', 'null'].some((word) => this.word(word))) throw this.unexpected()
  }

  /** Checks that nothing but space is left. */
  end(): void {
    this.space()
    if (this.at < this.text.length) throw this.unexpected()
  }

  private word(word: string): boolean {
    if (!this.text.startsWith(word, this.at)) return false
    this.at += word.length
    return true
  }

  private expect(char: string): void {
    if (!this.take(char)) throw this.unexpected()
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.at++
    }
  }

  private unexpected(): Error {
    const char = this.text[this.at]
    return this.refuse(char === undefined ? 'it ends too early' : `unexpected ${JSON.stringify(char)} at character ${this.at}`)
  }
}

/**
 * Checks a text of JSON whose brackets lie at most 1000 deep in each other, which is what `parseJson` reads.
 *
 * @throws SyntaxError
 */
export function checkJson(text: string): void {
  const reader = new JsonReader(text, (reason) => new SyntaxError(reason))
  reader.skip(maximumOwnDepth)
  reader.end()
}

/**
 * What `JSON.parse` gives; each bracket of a text of nothing else would become an object of fifty times its size.
 *
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  checkJson(text)
  return JSON.parse(text)
}
