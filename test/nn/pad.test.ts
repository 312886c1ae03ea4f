/** Padding layers: what they put around, what they print and refuse. */
import { expect, test } from 'vitest'
import { nn, type Tensor, tensor, zeros } from '../../src/index.js'

const x = tensor([[[1, 2, 3]]]) as Tensor
const row = (layer: nn.Layer): unknown => (layer.forward(x).toArray() as number[][][])[0][0]

test('one dimension', () => {
  expect(row(new nn.ZeroPad1d(1))).toEqual([0, 1, 2, 3, 0])
  expect(row(new nn.ConstantPad1d([2, 0], 9))).toEqual([9, 9, 1, 2, 3])
  expect(row(new nn.ReflectionPad1d(2))).toEqual([3, 2, 1, 2, 3, 2, 1])
  expect(row(new nn.ReplicationPad1d([1, 2]))).toEqual([1, 1, 2, 3, 3, 3])
  expect(row(new nn.CircularPad1d(1))).toEqual([3, 1, 2, 3, 1])
  expect(row(new nn.ZeroPad1d([-1, 1]))).toEqual([2, 3, 0])
})

test('three dimensions', () => {
  const volume = tensor([1, 2, 3, 4, 5, 6, 7, 8], { shape: [1, 1, 2, 2, 2] })
  expect(new nn.ReplicationPad3d([0, 1, 0, 0, 1, 0]).forward(volume).reshape([-1]).toArray()).toEqual([
    1, 2, 2, 3, 4, 4, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8,
  ])
  expect(String(new nn.ConstantPad3d([1, 0, 0, 0, 0, 0], 2))).toBe('ConstantPad3d([1, 0, 0, 0, 0, 0], 2)')
  expect(() => new nn.ZeroPad3d([1, 2] as never)).toThrow(/an integer or \[left, right, top, bottom, front, back\], received \[1, 2\]/)
})

test('two dimensions', () => {
  const image = tensor([
    [
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ])
  expect(new nn.ZeroPad2d([0, 1, 1, 0]).forward(image).toArray()).toEqual([
    [
      [
        [0, 0, 0],
        [1, 2, 0],
        [3, 4, 0],
      ],
    ],
  ])
  expect(new nn.ReflectionPad2d(1).forward(image).at(0, 0, 0).toArray()).toEqual([4, 3, 4, 3])
  expect(new nn.ReplicationPad2d(1).forward(image).at(0, 0, 0).toArray()).toEqual([1, 1, 2, 2])
  expect(new nn.CircularPad2d(1).forward(image).at(0, 0, 0).toArray()).toEqual([4, 3, 4, 3])
  expect(new nn.ConstantPad2d(1, 7).forward(image).at(0, 0, 0).toArray()).toEqual([7, 7, 7, 7])
})

test('prints its arguments and says what is wrong', () => {
  expect(String(new nn.ConstantPad2d([1, 2, 3, 4], 0.5))).toBe('ConstantPad2d([1, 2, 3, 4], 0.5)')
  expect(String(new nn.ReflectionPad1d(2))).toBe('ReflectionPad1d(2)')
  const code = (f: () => unknown): unknown => {
    try {
      f()
    } catch (error) {
      return (error as { code: string }).code
    }
    return 'nothing thrown'
  }
  expect(code(() => new nn.ZeroPad2d([1, 2] as never))).toBe('ERR_LAYER_OPTION')
  expect(code(() => new nn.ZeroPad2d(0.5))).toBe('ERR_LAYER_OPTION')
  expect(code(() => new nn.ZeroPad2d(1).forward(x))).toBe('ERR_LAYER_INPUT')
  expect(code(() => new nn.ReflectionPad1d(3).forward(x))).toMatch(/^ERR/)
  expect(code(() => new nn.ZeroPad1d(1).forward(zeros([1, 1, 2], { dtype: 'int32' })))).toBe('ERR_DTYPE')
})

test('no more is cropped than there is, whatever is added on the other side', () => {
  for (const padding of [
    [-1, 2],
    [3, -1],
    [-1, -1],
  ])
    expect(() => zeros([2, 0]).pad(padding)).toThrow(/crop more than there is/)
  expect(() => zeros([1]).pad([-2, 2])).toThrow(/crop more than there is/)
  expect(zeros([1]).pad([-1, 2]).shape).toEqual([2])
})
