/**
 * What a macOS binary shows to others: zig's linker exports its own marks `___dso_handle` and `__mh_dylib_header` besides what the sources export, and
 * heeds no list of exported symbols. In: the bytes of a 64-bit Mach-O library as linked, and the names to hide. Out: the same bytes
 * without those names in the export trie, and as local symbols, which llvm-strip drops when it lays the file out anew and signs it.
 */
const [symbolTable, dyldInfo] = [0x2, 0x80000022]
/** Bits of a symbol's type: visible outside; visible to the linker alone. */
const [external, privateExternal] = [0x01, 0x10]

/** The load commands: where each begins, by its kind. */
function commandsOf(bytes) {
  if (bytes.readUInt32LE(0) !== 0xfeedfacf) throw new Error('not a 64-bit Mach-O file')
  const commands = new Map()
  for (let i = 0, at = 32; i < bytes.readUInt32LE(16); i++, at += bytes.readUInt32LE(at + 4)) commands.set(bytes.readUInt32LE(at), at)
  return commands
}

function readNumber(bytes, at) {
  for (let value = 0, scale = 1; ; scale *= 128) {
    value += (bytes[at] & 127) * scale
    if (bytes[at++] < 128) return [value, at]
  }
}
function number(value) {
  const out = []
  for (; value >= 128; value = Math.floor(value / 128)) out.push((value % 128) | 128)
  return [...out, value]
}

/** The symbols in an export trie: what the format says of each (flags, address), by name. */
function readTrie(trie, node = 0, prefix = '', found = new Map()) {
  const [size, start] = readNumber(trie, node)
  if (size > 0) found.set(prefix, trie.subarray(start, start + size))
  let at = start + size + 1
  for (let children = trie[start + size]; children > 0; children--) {
    const end = trie.indexOf(0, at)
    const [child, next] = readNumber(trie, end + 1)
    readTrie(trie, child, prefix + trie.toString('latin1', at, end), found)
    at = next
  }
  return found
}

/** What sorted names, alike in their first `skip` letters, become: a node with an edge for each letter that goes on, as long as all behind it agree. */
function nodeOf(names, symbols, skip) {
  const node = { info: [], edges: [] }
  if (names[0].length === skip) node.info = symbols.get(names.shift())
  while (names.length > 0) {
    const same = names.filter((name) => name[skip] === names[0][skip])
    names = names.slice(same.length)
    let end = skip + 1
    while (end < same[0].length && same.every((name) => name[end] === same[0][end])) end++
    node.edges.push({ label: same[0].slice(skip, end), node: nodeOf(same, symbols, end) })
  }
  return node
}
const nodesBelow = (node) => [node, ...node.edges.flatMap((edge) => nodesBelow(edge.node))]

function bytesOf({ info, edges }) {
  const children = edges.map(({ label, node }) => [...Buffer.from(label, 'latin1'), 0, ...number(node.offset)])
  return [...number(info.length), ...info, edges.length, ...children.flat()]
}

/** The trie of these symbols. An offset takes as many bytes as it needs, so nodes are laid out until none moves. */
function writeTrie(symbols) {
  const nodes = nodesBelow(nodeOf([...symbols.keys()].sort(), symbols, 0))
  for (const node of nodes) node.offset = 0
  for (let moved = true; moved; ) {
    moved = false
    let at = 0
    for (const node of nodes) {
      moved ||= node.offset !== at
      node.offset = at
      at += bytesOf(node).length
    }
  }
  const trie = Buffer.from(nodes.flatMap(bytesOf))
  return Buffer.concat([trie, Buffer.alloc(-trie.length & 7)])
}

export function hideSymbols(bytes, names) {
  const commands = commandsOf(bytes)
  const info = commands.get(dyldInfo) + 40
  const [offset, size] = [bytes.readUInt32LE(info), bytes.readUInt32LE(info + 4)]
  const symbols = readTrie(bytes.subarray(offset, offset + size))
  for (const name of names) symbols.delete(name)
  const trie = writeTrie(symbols)
  if (trie.length > size) throw new Error('the new export trie is longer than the old one')
  bytes.fill(0, offset, offset + size)
  trie.copy(bytes, offset)
  bytes.writeUInt32LE(trie.length, info + 4)

  const table = commands.get(symbolTable) + 8
  const [first, count, strings] = [0, 4, 8].map((at) => bytes.readUInt32LE(table + at))
  for (let at = first; at < first + count * 16; at += 16) {
    const name = strings + bytes.readUInt32LE(at)
    if (names.includes(bytes.toString('latin1', name, bytes.indexOf(0, name)))) bytes[at + 4] &= ~(external | privateExternal)
  }
  return bytes
}
