/**
 * The rules of docs/program-format.md for each opcode, as native/runtime/check.cc. In: an instruction whose views have been read and a reader
 * at its attributes. Out: its scalars and micro-programs, or a refusal. What passes is safe to run: only the values of index tensors are
 * left to check. Where the native runtime wants float32, float64 is allowed too, as long as the two do not mix.
 */
import { isFloat } from '../../dtype.js'
import { FftKind, LinalgKind, MicroType, microType, Opcode, type View } from '../../ir/format.js'
import { isContiguous, maxElements, maxRank, sameShape, sizeOf } from '../../shape.js'
import { type CheckedMicro, fits, floatWidth, readMicro } from './micro.js'
import type { Reader } from './reader.js'

/** The operands of an instruction. */
export interface Operands {
  readonly opcode: Opcode
  readonly inputs: readonly View<number>[]
  readonly outputs: readonly View<number>[]
}

/** What its attributes say. */
export interface Attributes {
  readonly scalars: readonly number[]
  readonly domain?: readonly number[]
  readonly prologueInputs?: number
  readonly prologue?: CheckedMicro
  readonly epilogue?: CheckedMicro
}

/** Whether the opcode may meet an index out of range or a singular matrix. */
export function canFail(opcode: Opcode): boolean {
  return (
    opcode === Opcode.gather ||
    opcode === Opcode.scatterAdd ||
    opcode === Opcode.crossEntropy ||
    opcode === Opcode.crossEntropyGrad ||
    opcode === Opcode.linalg
  )
}

/** Checks one instruction and reads its attributes. */
export function checkInstruction(operands: Operands, reader: Reader): Attributes {
  const check = new Checker(operands, reader)
  if (floatWidth([...operands.inputs, ...operands.outputs].map((v) => v.dtype)) === undefined) reader.refuse('float32 and float64 mix')
  const attributes = check.run()
  if (reader.at !== reader.end) reader.refuse('its attributes are too long')
  return attributes
}

const linalgKinds = Object.keys(LinalgKind) as LinalgKind[]

class Checker {
  private readonly inputs: readonly View<number>[]
  private readonly outputs: readonly View<number>[]
  private readonly opcode: Opcode
  private readonly reader: Reader
  private scalars: number[] = []

  constructor({ opcode, inputs, outputs }: Operands, reader: Reader) {
    this.opcode = opcode
    this.inputs = inputs
    this.outputs = outputs
    this.reader = reader
  }

  run(): Attributes {
    switch (this.opcode) {
      case Opcode.map:
        return this.map()
      case Opcode.reduce:
        return this.reduce()
      case Opcode.gemm:
        return this.gemm()
      case Opcode.conv2d:
      case Opcode.conv2dInputGrad:
        return this.conv(this.opcode === Opcode.conv2dInputGrad)
      case Opcode.conv2dWeightGrad:
        return this.convWeightGrad()
      case Opcode.maxPool2d:
        return this.maxPool()
      case Opcode.avgPool2d:
        return this.avgPool(this.inputs[0], this.outputs[0])
      case Opcode.avgPool2dGrad:
        return this.avgPool(this.outputs[0], this.inputs[0])
      case Opcode.softmax:
        return this.softmax()
      case Opcode.crossEntropy:
      case Opcode.crossEntropyGrad:
        return this.crossEntropy(this.opcode === Opcode.crossEntropyGrad)
      case Opcode.gather:
        return this.gather(this.inputs[0], this.outputs[0])
      case Opcode.scatterAdd:
        return this.gather(this.outputs[0], this.inputs[0])
      case Opcode.random:
        return this.random()
      case Opcode.moments:
      case Opcode.normSums:
        return this.groups(this.opcode === Opcode.normSums)
      case Opcode.normRows:
      case Opcode.normRowsGrad:
        return this.normRows(this.opcode === Opcode.normRowsGrad)
      case Opcode.recurrent:
      case Opcode.recurrentGrad:
        return this.recurrent(this.opcode === Opcode.recurrentGrad)
      case Opcode.attention:
      case Opcode.attentionGrad:
        return this.attention(this.opcode === Opcode.attentionGrad)
      case Opcode.scan:
        return this.scan()
      case Opcode.sort:
        return this.sort()
      case Opcode.linalg:
        return this.linalg()
      case Opcode.fft:
        return this.fft()
      default:
        return this.reader.refuse(`opcode ${this.opcode} is reserved`)
    }
  }

  private require(condition: boolean, what: string): void {
    if (!condition) this.reader.refuse(what)
  }

  private counts(inputs: number, outputs: number): void {
    this.require(this.inputs.length === inputs && this.outputs.length === outputs, 'wrong number of operands')
  }

  private atLeast(inputs: number, outputs: number): void {
    this.require(this.inputs.length >= inputs && this.outputs.length >= outputs, 'too few operands')
  }

  /** Reads plain attributes, each with its lowest and highest value. */
  private attributes(...ranges: readonly (readonly [low: number, high: number])[]): number[] {
    this.reader.need(ranges.length)
    this.scalars = ranges.map(([low, high], i) => {
      const value = this.reader.next()
      this.require(value >= low && value <= high, `attribute ${i} is ${value}`)
      return value
    })
    return this.scalars
  }

  private float(...views: readonly View<number>[]): void {
    for (const v of views) this.require(isFloat(v.dtype), `an operand is ${v.dtype}, not float`)
  }

  private index(view: View<number>): void {
    this.require(view.dtype === 'int32' || view.dtype === 'uint8', `indices are ${view.dtype}`)
  }

  private rank(rank: number, ...views: readonly View<number>[]): void {
    for (const v of views) this.require(v.shape.length === rank, `an operand has rank ${v.shape.length}, not ${rank}`)
  }

  private shape(view: View<number>, like: readonly number[]): void {
    this.require(sameShape(view.shape, like), `an operand is [${view.shape.join(', ')}], not [${like.join(', ')}]`)
  }

  private shapesFrom(first: number, like: readonly number[]): void {
    for (const v of this.inputs.slice(first)) this.shape(v, like)
    for (const v of this.outputs) this.shape(v, like)
  }

  /** The micro-program over `head` and the inputs from `first` on that yields the outputs. */
  private epilogue(head: readonly MicroType[], first: number): CheckedMicro {
    const micro = readMicro(this.reader, [...head, ...this.inputs.slice(first).map((v) => microType(v.dtype))], this.outputs.length)
    micro.results.forEach((value, i) => this.require(fits(micro.types[value], this.outputs[i].dtype), `result ${i} does not fit its view`))
    return micro
  }

  private map(): Attributes {
    this.atLeast(0, 1)
    this.shapesFrom(0, this.outputs[0].shape)
    return { scalars: [], epilogue: this.epilogue([], 0) }
  }

  private reduce(): Attributes {
    const [kind, prologueInputs, rank] = this.attributes([0, 5], [0, this.inputs.length], [0, maxRank])
    this.atLeast(0, 1)
    const domain = Array.from({ length: rank }, () => this.reader.next())
    this.require(domain.every((d) => d >= 0) && sizeOf(domain.map((d) => Math.max(1, d))) <= maxElements, 'an impossible domain')
    for (const v of this.inputs.slice(0, prologueInputs)) this.shape(v, domain)
    const out = this.outputs[0].shape
    this.rank(rank, this.outputs[0])
    this.require(
      out.every((s, d) => s === domain[d] || s === 1),
      'the output does not fit the domain',
    )
    this.shapesFrom(prologueInputs, out)
    // sums and products have a value over nothing; where nothing comes out, nothing is asked for
    this.require(kind < 2 || sizeOf(domain) > 0 || sizeOf(out) === 0, 'a maximum or minimum of nothing')
    const prologue = readMicro(
      this.reader,
      this.inputs.slice(0, prologueInputs).map((v) => microType(v.dtype)),
      1,
    )
    const type = prologue.types[prologue.results[0]]
    this.require(type !== MicroType.mask, 'a reduction of masks')
    return {
      scalars: [kind],
      domain,
      prologueInputs,
      prologue,
      epilogue: this.epilogue([kind >= 4 ? MicroType.i32 : type], prologueInputs),
    }
  }

  private gemm(): Attributes {
    this.atLeast(2, 1)
    const [a, b] = this.inputs
    const c = this.outputs[0].shape
    const rank = c.length
    this.float(a, b)
    this.require(rank >= 2, 'a product of less than two dimensions')
    this.rank(rank, a, b)
    const batch = c.slice(0, -2)
    this.shape(a, [...batch, c[rank - 2], b.shape[rank - 2]])
    this.shape(b, [...batch, a.shape[rank - 1], c[rank - 1]])
    this.shapesFrom(2, c)
    return { scalars: [], epilogue: this.epilogue([MicroType.f32], 2) }
  }

  private convShapes(x: View<number>, w: View<number>, y: View<number>): void {
    const one = [1, maxElements] as const
    const zero = [0, maxElements] as const
    this.rank(4, x, w, y)
    const a = this.attributes(one, one, zero, zero, one, one, one)
    const groups = a[6]
    const fits = x.shape[0] === y.shape[0] && w.shape[0] === y.shape[1] && w.shape[1] * groups === x.shape[1] && w.shape[0] % groups === 0
    this.require(fits, 'batches or channels of a convolution differ')
    for (const d of [0, 1]) {
      const room = x.shape[2 + d] + 2 * a[2 + d] - a[4 + d] * (w.shape[2 + d] - 1) - 1
      this.require(w.shape[2 + d] >= 1 && room >= 0 && y.shape[2 + d] === Math.floor(room / a[d]) + 1, 'sizes of a convolution do not fit')
    }
  }

  private conv(inputGrad: boolean): Attributes {
    this.atLeast(2, 1)
    const [first, w] = this.inputs
    const [out] = this.outputs
    this.float(first, w)
    if (inputGrad) this.convShapes(out, w, first)
    else this.convShapes(first, w, out)
    this.shapesFrom(2, out.shape)
    return { scalars: this.scalars, epilogue: this.epilogue([MicroType.f32], 2) }
  }

  private convWeightGrad(): Attributes {
    this.counts(2, 1)
    this.float(...this.inputs, ...this.outputs)
    this.convShapes(this.inputs[0], this.outputs[0], this.inputs[1])
    return { scalars: this.scalars }
  }

  /** Rounding up is allowed as long as every window starts inside the input or the padding before it. */
  private window(size: number, out: number, kernel: number, stride: number, padding: number, dilation: number): void {
    const reach = dilation * (kernel - 1) + 1
    const room = size + 2 * padding - reach
    this.require(padding < reach && room >= 0, 'a window larger than the padded input')
    const up = Math.ceil(room / stride) + 1
    const fits = out === Math.floor(room / stride) + 1 || (out === up && (out - 1) * stride < size + padding)
    this.require(fits, 'sizes of a pooling do not fit')
  }

  private maxPool(): Attributes {
    this.counts(1, 2)
    const one = [1, maxElements] as const
    const zero = [0, maxElements] as const
    const a = this.attributes(one, one, one, one, zero, zero, one, one)
    const [x] = this.inputs
    const [y, index] = this.outputs
    this.float(x, y)
    this.require(index.dtype === 'int32', 'the positions of a pooling are not int32')
    this.rank(4, x, y)
    this.shape(index, y.shape)
    this.require(x.shape[0] === y.shape[0] && x.shape[1] === y.shape[1], 'batches or channels of a pooling differ')
    for (const d of [0, 1]) this.window(x.shape[2 + d], y.shape[2 + d], a[d], a[2 + d], a[4 + d], a[6 + d])
    return { scalars: a }
  }

  private avgPool(x: View<number>, y: View<number>): Attributes {
    this.counts(1, 1)
    const one = [1, maxElements] as const
    const zero = [0, maxElements] as const
    const a = this.attributes(one, one, one, one, zero, zero, [0, 1])
    this.float(x, y)
    this.rank(4, x, y)
    this.require(x.shape[0] === y.shape[0] && x.shape[1] === y.shape[1], 'batches or channels of a pooling differ')
    for (const d of [0, 1]) this.window(x.shape[2 + d], y.shape[2 + d], a[d], a[2 + d], a[4 + d], 1)
    return { scalars: a }
  }

  private softmax(): Attributes {
    this.counts(1, 1)
    const scalars = this.attributes([0, 1])
    this.float(this.inputs[0], this.outputs[0])
    this.require(this.inputs[0].shape.length >= 1, 'a softmax of a scalar')
    this.shape(this.outputs[0], this.inputs[0].shape)
    return { scalars }
  }

  private crossEntropy(gradient: boolean): Attributes {
    this.counts(gradient ? 3 : 2, 1)
    const scalars = this.attributes([-(2 ** 31), maxElements])
    const [logits, targets] = this.inputs
    const rows = gradient ? this.inputs[2] : this.outputs[0]
    this.float(logits, rows, this.outputs[0])
    this.index(targets)
    this.rank(2, logits)
    this.shape(targets, [logits.shape[0]])
    this.shape(rows, [logits.shape[0]])
    if (gradient) this.shape(this.outputs[0], logits.shape)
    return { scalars }
  }

  /** gather: large is x, moved is y. scatterAdd: large is y, moved is src. */
  private gather(large: View<number>, moved: View<number>): Attributes {
    this.counts(2, 1)
    const scatter = this.opcode === Opcode.scatterAdd
    const axes = [0, large.shape.length - 1] as const
    const scalars = scatter ? this.attributes(axes, [0, 1]) : this.attributes(axes)
    const [axis, replaces] = scalars
    this.index(this.inputs[1])
    this.require(large.dtype === moved.dtype, 'dtypes differ')
    this.require(!scatter || replaces === 1 || isFloat(large.dtype) || large.dtype === 'int32', `scatterAdd does not add ${large.dtype}`)
    this.rank(large.shape.length, moved)
    this.shape(this.inputs[1], moved.shape)
    this.require(
      large.shape.every((s, d) => d === axis || s === moved.shape[d]),
      'sizes differ outside the axis',
    )
    return { scalars }
  }

  private random(): Attributes {
    this.counts(1, 1)
    const any = [-(2 ** 31), maxElements] as const
    const scalars = this.attributes([0, 3], any, any, any)
    const [state] = this.inputs
    const [y] = this.outputs
    this.require(state.dtype === 'int32', 'the state of a generator is not int32')
    this.shape(state, [4])
    const fits = scalars[0] === 3 ? y.dtype === 'int32' : isFloat(y.dtype) || (scalars[0] === 2 && y.dtype === 'bool')
    this.require(fits, `random numbers into ${y.dtype}`)
    this.contiguous(y)
    return { scalars }
  }

  private contiguous(view: View<number>): void {
    this.require(isContiguous(view.shape, view.strides), 'a strided result')
  }

  /** Operands in the order of docs/program-format.md; which of them are there, kind and flags say. */
  private recurrent(gradient: boolean): Attributes {
    const [kind, flags] = this.attributes([0, 3], [0, 31])
    const [state, lengths, bias, cells] = [2, 4, 8, 16].map((flag) => (flags & flag) !== 0)
    const lstm = kind === 2
    const gru = kind === 3
    const gated = lstm || gru
    this.require(!(bias && (gradient || !gru)) && !(cells && !(gradient && lstm)), `flags ${flags} do not fit the kind`)
    const sequence = gradient ? this.inputs[0] : this.outputs[0]
    this.require(sequence?.shape.length === 3, 'a sequence has three dimensions')
    const [steps, batch, size] = sequence.shape
    const rows = size * (lstm ? 4 : gru ? 3 : 1)
    const there = (shapes: readonly (false | number[])[]): number[][] => shapes.filter((x): x is number[] => x !== false)
    const all = [steps, batch, size]
    const sums = [steps, batch, rows]
    const gates = [steps, batch, 4 * size]
    const one = [batch, size]
    const inputs = there([
      ...(gradient ? [all, cells && all, all, lstm && all, gated && gates] : [sums]),
      [rows, size],
      bias && [rows],
      state && one,
      state && lstm && one,
      lengths && [batch],
    ])
    const outputs = there(gradient ? [sums, gru && sums, state && one, state && lstm && one] : [all, lstm && all, gated && gates])
    this.counts(inputs.length, outputs.length)
    inputs.forEach((shape, i) => {
      const view = this.inputs[i]
      this.shape(view, shape)
      if (lengths && i === inputs.length - 1) this.require(view.dtype === 'int32', `lengths are ${view.dtype}`)
      else this.float(view)
    })
    outputs.forEach((shape, i) => {
      this.float(this.outputs[i])
      this.shape(this.outputs[i], shape)
      this.contiguous(this.outputs[i])
    })
    return { scalars: this.scalars }
  }

  /** Q, K, V, (Y, log-sums, gradient of Y), (mask) to Y and log-sums, or to the gradients of Q, K, V. */
  private attention(gradient: boolean): Attributes {
    const [, flags] = this.attributes([-(2 ** 31), maxElements], [0, 3])
    const mask = (flags & 2) !== 0
    const given = gradient ? 6 : 3
    this.counts(given + (mask ? 1 : 0), gradient ? 3 : 2)
    const [q, k, v] = this.inputs
    this.rank(4, q, k, v)
    const [batch, heads, rows, size] = q.shape
    const keys = k.shape[2]
    const width = v.shape[3]
    this.require(size >= 1 && size <= 512 && width >= 1 && width <= 512, `heads of ${size} and ${width} numbers`)
    const forQ = [batch, heads, rows, size]
    const forK = [batch, heads, keys, size]
    const forV = [batch, heads, keys, width]
    const forY = [batch, heads, rows, width]
    const sums = [batch, heads, rows]
    const inputs = gradient ? [forQ, forK, forV, forY, sums, forY] : [forQ, forK, forV]
    const outputs = gradient ? [forQ, forK, forV] : [forY, sums]
    inputs.forEach((shape, i) => this.shape(this.inputs[i], shape))
    this.float(...this.inputs.slice(0, given), ...this.outputs)
    if (mask) {
      const { dtype } = this.inputs[given]
      this.shape(this.inputs[given], [batch, heads, rows, keys])
      this.require(isFloat(dtype) || dtype === 'bool', `the mask is ${dtype}`)
    }
    outputs.forEach((shape, i) => {
      const view = this.outputs[i]
      this.shape(view, shape)
      const last = shape.length - 1
      this.require(shape[last] <= 1 || view.strides[last] === 1, 'a result whose rows are strided')
    })
    return { scalars: this.scalars }
  }

  private scan(): Attributes {
    const [y] = this.outputs
    const scalars = this.attributes([0, 2], [0, (y?.shape.length ?? 0) - 1])
    const [kind] = scalars
    this.counts(kind === 2 ? 2 : 1, 1)
    this.require(isFloat(y.dtype) || (kind < 2 && y.dtype === 'int32'), `a scan of ${y.dtype}`)
    for (const v of this.inputs) {
      this.require(v.dtype === y.dtype, 'dtypes differ')
      this.shape(v, y.shape)
    }
    return { scalars }
  }

  private sort(): Attributes {
    this.counts(1, 2)
    const [x] = this.inputs
    const [values, indices] = this.outputs
    const scalars = this.attributes([0, x.shape.length - 1], [0, 1])
    this.require(values.dtype === x.dtype && indices.dtype === 'int32', 'dtypes of a sort do not fit')
    this.rank(x.shape.length, values)
    this.shape(indices, values.shape)
    this.require(
      values.shape.every((s, d) => (d === scalars[0] ? s <= x.shape[d] : s === x.shape[d])),
      'sizes of a sort do not fit',
    )
    return { scalars }
  }

  private linalg(): Attributes {
    const scalars = this.attributes([0, 6], [0, 3])
    const [kind, flags] = scalars
    const solves = kind === LinalgKind.solve || kind === LinalgKind.solveTriangular
    this.require(flags === 0 || kind === LinalgKind.solveTriangular, 'flags of a linalg')
    this.counts(solves ? 2 : 1, 1)
    const [a] = this.inputs
    const b = this.inputs[solves ? 1 : 0]
    const [y] = this.outputs
    this.float(a, b, y)
    const rank = a.shape.length
    this.require(rank >= 2, 'a matrix of less than two dimensions')
    this.rank(rank, b, y)
    const [m, n] = a.shape.slice(-2)
    const k = Math.min(m, n)
    this.require(kind === LinalgKind.qr || kind === LinalgKind.svd || m === n, 'a matrix that is not square')
    const batch = a.shape.slice(0, -2)
    if (solves) this.shape(b, [...batch, n, b.shape[rank - 1]])
    const sizes: Record<LinalgKind, number[]> = {
      cholesky: [n, n],
      solve: [n, b.shape[rank - 1]],
      solveTriangular: [n, b.shape[rank - 1]],
      determinant: [1, 3],
      qr: [m + n, k],
      svd: [m + n + 1, k],
      eigh: [n + 1, n],
    }
    this.shape(y, [...batch, ...sizes[linalgKinds[kind]]])
    return { scalars }
  }

  private fft(): Attributes {
    this.counts(1, 1)
    const scalars = this.attributes([0, 3])
    const [kind] = scalars
    const [x] = this.inputs
    const [y] = this.outputs
    this.float(x, y)
    const rows = x.shape.length - (kind === FftKind.fromReal ? 1 : 2)
    this.require(rows >= 0, 'a transform of too few dimensions')
    this.rank(rows + (kind === FftKind.toReal ? 1 : 2), y)
    const [given, out] = [x.shape[rows], y.shape[rows]]
    const fit =
      kind === FftKind.fromReal
        ? given >= 1 && out === Math.floor(given / 2) + 1
        : kind === FftKind.toReal
          ? out >= 1 && given === Math.floor(out / 2) + 1
          : given === out
    this.require(fit && sameShape(x.shape.slice(0, rows), y.shape.slice(0, rows)), 'sizes of a transform do not fit')
    this.require(
      (kind === FftKind.fromReal || x.shape[rows + 1] === 2) && (kind === FftKind.toReal || y.shape[rows + 1] === 2),
      'complex numbers are not pairs',
    )
    return { scalars }
  }

  /** moments: x → mean, variance; normSums: g, x, mean, rstd → sums. */
  private groups(sums: boolean): Attributes {
    this.attributes()
    this.counts(sums ? 4 : 1, 2)
    const x = this.inputs[sums ? 1 : 0]
    this.require(x?.shape.length === 3, 'groups are of three dimensions')
    const vectors = [...this.inputs.slice(2), ...this.outputs]
    for (const view of this.inputs.slice(0, 2)) this.float(view)
    if (sums) this.shape(this.inputs[0], x.shape)
    for (const view of vectors) {
      this.float(view)
      this.shape(view, [x.shape[1]])
    }
    return { scalars: this.scalars }
  }

  /** x, (weight, (bias)) → y, mean, rstd; or g, x, mean, rstd, (weight) → gradients. */
  private normRows(gradient: boolean): Attributes {
    this.attributes(
      ...((gradient
        ? [[0, 1]]
        : [
            [0, 1],
            [-(2 ** 31), 2 ** 31 - 1],
          ]) as [number, number][]),
    )
    const { inputs, outputs } = this
    const x = inputs[gradient ? 1 : 0]
    this.require(x?.shape.length === 2, 'rows are of two dimensions')
    const [rows, columns] = x.shape
    const weights = gradient ? inputs.length - 4 : inputs.length - 1
    this.require(weights >= 0 && weights <= (gradient ? 1 : 2), 'the number of operands')
    this.counts(inputs.length, gradient ? 1 + 2 * weights : 3)
    const wide = [rows, columns]
    const shapes = gradient ? [wide, wide, [rows], [rows], [columns]] : [wide, [columns], [columns]]
    const results = gradient ? [wide, [columns], [columns]] : [wide, [rows], [rows]]
    const check = (views: readonly View<number>[], wanted: readonly number[][]): void =>
      views.forEach((view, i) => {
        this.float(view)
        this.shape(view, wanted[i])
      })
    check(inputs, shapes)
    check(outputs, results)
    for (const view of outputs) this.contiguous(view)
    return { scalars: this.scalars }
  }
}
