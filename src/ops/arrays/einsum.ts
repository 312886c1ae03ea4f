/**
 * Einstein sums: products of tensors whose dimensions have names, summed over the names that the result lacks. Each pair of operands becomes one
 * batched matrix product.
 */
import { isFloat } from '../../base/dtype.js'
import { ArgumentError, DTypeError, ShapeError, showShape, showValue } from '../../base/errors.js'
import type { Tensor } from '../../tensor/tensor.js'
import { mul } from '../basic/elementwise.js'
import { matmul } from '../basic/matmul.js'
import { expand, permute, reshape } from '../basic/movement.js'
import { sum } from '../basic/reduce.js'
import { checkTensors } from '../core/dispatch.js'
import { diagonal } from './diagonal.js'

/** An operand with a name for each dimension, each once. */
interface Named {
  readonly x: Tensor
  readonly labels: readonly string[]
}

function bad(equation: string, what: string): ArgumentError {
  return new ArgumentError('ERR_EINSUM', `einsum: '${equation}': ${what}.`)
}

/** The labels of one side; the dimensions of an ellipsis are named by their place from the right. */
function labelsOf(equation: string, term: string, ellipsis: number): string[] {
  const parts = term.split('...')
  if (parts.length > 2 || !/^[a-zA-Z]*$/.test(parts.join('')))
    throw bad(equation, `'${term}' is not a list of letters with at most one '...'`)
  if (parts.length === 1) return [...term]
  return [...parts[0], ...Array.from({ length: ellipsis }, (_, i) => `.${ellipsis - 1 - i}`), ...parts[1]]
}

/** A label that appears twice in one operand stands for the diagonal. */
function withoutRepeats({ x, labels }: Named): Named {
  const second = labels.findIndex((l, i) => labels.indexOf(l) < i)
  if (second < 0) return { x, labels }
  const first = labels.indexOf(labels[second])
  const rest = labels.filter((_, i) => i !== first && i !== second)
  return withoutRepeats({ x: diagonal(x, { dim1: first, dim2: second }), labels: [...rest, labels[second]] })
}

/** Sums over the labels that are not wanted. */
function keepOnly({ x, labels }: Named, wanted: (label: string) => boolean): Named {
  const dim = labels.flatMap((l, i) => (wanted(l) ? [] : [i]))
  return dim.length === 0 ? { x, labels } : { x: sum(x, { dim }), labels: labels.filter(wanted) }
}

/** Dimensions in the order of `order`, those that are missing as 1. */
function arranged({ x, labels }: Named, order: readonly string[]): Tensor {
  const here = order.filter((l) => labels.includes(l))
  const moved = permute(
    x,
    here.map((l) => labels.indexOf(l)),
  )
  let next = 0
  return reshape(
    moved,
    order.map((l) => (labels.includes(l) ? moved.shape[next++] : 1)),
  )
}

function product(a: Named, b: Named, size: ReadonlyMap<string, number>, wanted: (label: string) => boolean): Named {
  const left = keepOnly(a, (l) => wanted(l) || b.labels.includes(l))
  const right = keepOnly(b, (l) => wanted(l) || a.labels.includes(l))
  const shared = left.labels.filter((l) => right.labels.includes(l))
  const batch = shared.filter(wanted)
  const summed = shared.filter((l) => !wanted(l))
  const rows = left.labels.filter((l) => !shared.includes(l))
  const columns = right.labels.filter((l) => !shared.includes(l))
  const labels = [...batch, ...rows, ...columns]
  const sizes = (list: readonly string[]): number[] => list.map((l) => size.get(l) as number)
  const count = (list: readonly string[]): number => sizes(list).reduce((n, s) => n * s, 1)
  if (summed.length === 0 || !isFloat(a.x.dtype)) {
    const order = [...labels, ...summed]
    return keepOnly({ x: mul(arranged(left, order), arranged(right, order)), labels: order }, wanted)
  }
  const whole = (n: Named, order: readonly string[]): Tensor => expand(arranged(n, order), sizes(order))
  const m = reshape(whole(left, [...batch, ...rows, ...summed]), [...sizes(batch), count(rows), count(summed)])
  const n = reshape(whole(right, [...batch, ...summed, ...columns]), [...sizes(batch), count(summed), count(columns)])
  return { x: reshape(matmul(m, n), sizes(labels)), labels }
}

interface Parsed {
  readonly operands: readonly Named[]
  readonly output: readonly string[]
}

function parse(equation: string, tensors: readonly Tensor[]): Parsed {
  const [inputs, given, ...more] = equation.replaceAll(' ', '').split('->')
  const terms = inputs.split(',')
  if (more.length > 0) throw bad(equation, "more than one '->'")
  if (terms.length !== tensors.length) throw bad(equation, `${terms.length} operands are named, ${tensors.length} are given`)
  let widest = 0
  const operands = terms.map((term, i) => {
    const x = tensors[i]
    const named = term.replace('...', '').length
    const ellipsis = term.includes('...') ? x.ndim - named : 0
    if (ellipsis < 0 || (!term.includes('...') && named !== x.ndim))
      throw new ShapeError(
        'ERR_EINSUM',
        `einsum: '${equation}': '${term}' names ${named} dimensions, operand ${i} is ${showShape(x.shape)}.`,
      )
    widest = Math.max(widest, ellipsis)
    return { x, labels: labelsOf(equation, term, ellipsis) }
  })
  const all = operands.flatMap((o) => o.labels)
  const implicit = (): string[] => {
    const once = [...new Set(all)].filter((l) => !l.startsWith('.') && all.filter((m) => m === l).length === 1).sort()
    return [...labelsOf(equation, '...', widest), ...once]
  }
  const output = given === undefined ? implicit() : labelsOf(equation, given, widest)
  const repeated = output.find((l, i) => output.indexOf(l) < i)
  if (repeated !== undefined) throw bad(equation, `the result names '${repeated}' twice`)
  const unknown = output.find((l) => !all.includes(l))
  if (unknown !== undefined) throw bad(equation, `the result names '${unknown}', which no operand has`)
  return { operands, output }
}

function sizesOf(equation: string, operands: readonly Named[]): Map<string, number> {
  const size = new Map<string, number>()
  for (const { x, labels } of operands) {
    labels.forEach((l, i) => {
      const known = size.get(l) ?? 1
      const own = x.shape[i]
      const before = x.shape[labels.indexOf(l)]
      if (before !== own)
        throw new ShapeError('ERR_EINSUM', `einsum: '${equation}': '${l}' names sizes ${before} and ${own} of ${showShape(x.shape)}.`)
      if (known !== 1 && own !== 1 && known !== own)
        throw new ShapeError(
          'ERR_EINSUM',
          `einsum: '${equation}': '${l.replace('.', '...')}' is ${known} in one operand and ${own} in another.`,
        )
      size.set(l, known === 1 ? own : known)
    })
  }
  return size
}

/**
 * Sums of products over named dimensions, as in PyTorch: letters, `...` for dimensions that broadcast, a letter twice in one operand for its diagonal;
 * without `->` the letters that appear once, sorted.
 *
 *     einsum('bij,bjk->bik', a, b)
 *     einsum('...ii', x)                // traces
 *
 * @throws ArgumentError for an equation that cannot be read, ShapeError when sizes do not fit it.
 */
export function einsum(equation: string, ...tensors: Tensor[]): Tensor {
  if (typeof equation !== 'string')
    throw new ArgumentError('ERR_EINSUM', `einsum: the equation must be a string such as 'ij,jk->ik', received ${showValue(equation)}.`)
  checkTensors('einsum', 'operand', tensors)
  const dtype = tensors[0]?.dtype
  if (tensors.some((t) => t.dtype !== dtype))
    throw new DTypeError('ERR_DTYPE', `einsum: dtypes differ: ${tensors.map((t) => t.dtype).join(', ')}. Convert with .to(…).`)
  const { operands, output } = parse(equation, tensors)
  const size = sizesOf(equation, operands)
  const [first, ...rest] = operands.map(withoutRepeats)
  const result = rest.reduce((sofar, next, i) => {
    const later = rest.slice(i + 1)
    return product(sofar, next, size, (l) => output.includes(l) || later.some((n) => n.labels.includes(l)))
  }, first)
  const { x, labels } = keepOnly(result, (l) => output.includes(l))
  return permute(
    x,
    output.map((l) => labels.indexOf(l)),
  )
}
