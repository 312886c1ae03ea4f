/**
 * Two-dimensional convolution (cross-correlation, as in PyTorch) and its two gradients: three ops closed under differentiation, since
 * the result is linear in the input and in the weight. Shapes are checked by conv.ts and conv-transpose.ts, which all calls go through.
 */
import { registerLoop } from '../../backend/registry.js'
import { checkSize, sizeOf } from '../../base/shape.js'
import { identityMicro, Opcode } from '../../ir/format.js'
import { apply } from '../core/dispatch.js'
import { defineOp, type OpRow } from '../core/table.js'

export interface ConvAttrs {
  readonly stride: readonly number[]
  readonly padding: readonly number[]
  readonly dilation: readonly number[]
  readonly groups: number
}
type GradAttrs = ConvAttrs & { readonly shape: readonly number[] }

const words = (a: ConvAttrs): number[] => [...a.stride, ...a.padding, ...a.dilation, a.groups]

const attrsOf = ([sh, sw, ph, pw, dh, dw, groups]: readonly number[]): ConvAttrs => ({
  stride: [sh, sw],
  padding: [ph, pw],
  dilation: [dh, dw],
  groups,
})

/** Calls `visit(x position, w position, y position)` for every multiply-add of a convolution. */
function eachProduct(
  x: readonly number[],
  w: readonly number[],
  y: readonly number[],
  a: ConvAttrs,
  visit: (xi: number, wi: number, yi: number) => void,
): void {
  const [n, c, h, wd] = x
  const [o, cg, kh, kw] = w
  const [, , ho, wo] = y
  const og = o / a.groups
  for (let b = 0; b < n; b++)
    for (let f = 0; f < o; f++)
      for (let i = 0; i < ho; i++)
        for (let j = 0; j < wo; j++) {
          const yi = ((b * o + f) * ho + i) * wo + j
          const c0 = Math.floor(f / og) * cg
          for (let d = 0; d < cg; d++)
            for (let p = 0; p < kh; p++) {
              const r = i * a.stride[0] - a.padding[0] + p * a.dilation[0]
              if (r < 0 || r >= h) continue
              for (let q = 0; q < kw; q++) {
                const s = j * a.stride[1] - a.padding[1] + q * a.dilation[1]
                if (s >= 0 && s < wd) visit(((b * c + c0 + d) * h + r) * wd + s, ((f * cg + d) * kh + p) * kw + q, yi)
              }
            }
        }
}

const flops = (y: readonly number[], w: readonly number[]): number => 2 * sizeOf(y) * sizeOf(w.slice(1))

/** Cells that one dimension of the output has; below 1 where the kernel is larger than the padded input. */
export function convSize(size: number, kernel: number, stride: number, padding: number, dilation: number): number {
  return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
}

export const convRow: OpRow<ConvAttrs> = defineOp<ConvAttrs>({
  name: 'conv2d',
  infer: ([x, w], a) => {
    const size = (d: 0 | 1): number => convSize(x.shape[2 + d], w.shape[2 + d], a.stride[d], a.padding[d], a.dilation[d])
    const shape = [x.shape[0], w.shape[0], size(0), size(1)]
    checkSize('conv2d', shape)
    return [{ shape, dtype: x.dtype }]
  },
  gradient: ({ inputs: [x, w], attrs, needs }, g) => [
    needs[0] ? apply(inputGradRow, [g, w], { ...attrs, shape: x.shape }) : undefined,
    needs[1] ? apply(weightGradRow, [x, g], { ...attrs, shape: w.shape }) : undefined,
  ],
  lower: (inputs, outputs, a) => [{ opcode: Opcode.conv2d, inputs, outputs, scalars: words(a), epilogue: identityMicro }],
  reference: ([x, w], [y], a) => {
    y.data.fill(0)
    const acc = new Float64Array(y.data.length)
    eachProduct(x.shape, w.shape, y.shape, a, (xi, wi, yi) => {
      acc[yi] += x.data[xi] * w.data[wi]
    })
    y.data.set(acc)
  },
  flops: ([, w], [y]) => flops(y.shape, w.shape),
})

export const inputGradRow: OpRow<GradAttrs> = defineOp<GradAttrs>({
  name: 'conv2dInputGrad',
  infer: ([g], { shape }) => [{ shape, dtype: g.dtype }],
  gradient: ({ inputs: [g, w], attrs, needs }, gg) => [
    needs[0] ? apply(convRow, [gg, w], attrs) : undefined,
    needs[1] ? apply(weightGradRow, [gg, g], { ...attrs, shape: w.shape }) : undefined,
  ],
  lower: (inputs, outputs, a) => [{ opcode: Opcode.conv2dInputGrad, inputs, outputs, scalars: words(a), epilogue: identityMicro }],
  reference: ([g, w], [x], a) => {
    const acc = new Float64Array(x.data.length)
    eachProduct(x.shape, w.shape, g.shape, a, (xi, wi, yi) => {
      acc[xi] += g.data[yi] * w.data[wi]
    })
    x.data.set(acc)
  },
  flops: ([g, w]) => flops(g.shape, w.shape),
})

const weightGradRow: OpRow<GradAttrs> = defineOp<GradAttrs>({
  name: 'conv2dWeightGrad',
  infer: ([x], { shape }) => [{ shape, dtype: x.dtype }],
  gradient: ({ inputs: [x, g], attrs, needs }, gg) => [
    needs[0] ? apply(inputGradRow, [g, gg], { ...attrs, shape: x.shape }) : undefined,
    needs[1] ? apply(convRow, [x, gg], attrs) : undefined,
  ],
  lower: (inputs, outputs, a) => [{ opcode: Opcode.conv2dWeightGrad, inputs, outputs, scalars: words(a) }],
  reference: ([x, g], [w], a) => {
    const acc = new Float64Array(w.data.length)
    eachProduct(x.shape, w.shape, g.shape, a, (xi, wi, yi) => {
      acc[wi] += x.data[xi] * g.data[yi]
    })
    w.data.set(acc)
  },
  flops: ([, g], [w]) => flops(g.shape, w.shape),
})

registerLoop(Opcode.conv2d, (inputs, outputs, scalars) => convRow.reference(inputs, outputs, attrsOf(scalars)))
registerLoop(Opcode.conv2dInputGrad, (inputs, outputs, scalars) =>
  inputGradRow.reference(inputs, outputs, { ...attrsOf(scalars), shape: outputs[0].shape }),
)
registerLoop(Opcode.conv2dWeightGrad, (inputs, outputs, scalars) =>
  weightGradRow.reference(inputs, outputs, { ...attrsOf(scalars), shape: outputs[0].shape }),
)
