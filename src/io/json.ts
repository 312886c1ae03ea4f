/**
 * The one thing JSON.parse does not tell: whether an object names a key twice.
 *
 * In: a text JSON.parse has accepted. Out: a repeated key, or undefined. In file headers a second entry would silently
 * replace the first.
 */

/**
 * The first key that occurs twice in one object, at any depth.
 *
 *     duplicateKey('{"a": 1, "\\u0061": 2}')   // 'a'
 *     duplicateKey('{"a": {"b": 1}, "b": 2}')  // undefined
 */
export function duplicateKey(json: string): string | undefined {
  // One set of keys per open object; undefined for an open array.
  const open: (Set<string> | undefined)[] = []
  for (let at = 0; at < json.length; at++) {
    const char = json[at]
    if (char === '{') open.push(new Set())
    else if (char === '[') open.push(undefined)
    else if (char === '}' || char === ']') open.pop()
    else if (char === '"') {
      // By hand: a regular expression overflows its stack on strings of megabytes.
      const start = at
      for (at++; json[at] !== '"'; at++) if (json[at] === '\\') at++
      let next = at + 1
      while (next < json.length && json.charCodeAt(next) <= 0x20) next++
      if (json[next] !== ':') continue
      // Two spellings of one key are equal only after their escapes are resolved.
      const key: string = JSON.parse(json.slice(start, at + 1))
      const keys = open[open.length - 1]
      if (keys?.has(key)) return key
      keys?.add(key)
    }
  }
  return undefined
}
