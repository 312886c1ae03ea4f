/**
 * One instruction under check, and the steps that the rules of opcodes share (check.ts, rules/). Each step refuses the program where something
 * does not fit.
 */
import { isFloat } from '../../base/dtype.js'
import { isContiguous, sameShape } from '../../base/shape.js'
import { type MicroType, microType, type Opcode, type View } from '../../ir/format.js'
import { type CheckedMicro, fits, readMicro } from './micro.js'
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

export class Checker {
  readonly inputs: readonly View<number>[]
  readonly outputs: readonly View<number>[]
  readonly opcode: Opcode
  readonly reader: Reader
  /** The plain attributes read last. */
  scalars: number[] = []

  constructor({ opcode, inputs, outputs }: Operands, reader: Reader) {
    this.opcode = opcode
    this.inputs = inputs
    this.outputs = outputs
    this.reader = reader
  }

  require(condition: boolean, what: string): void {
    if (!condition) this.reader.refuse(what)
  }

  counts(inputs: number, outputs: number): void {
    this.require(this.inputs.length === inputs && this.outputs.length === outputs, 'wrong number of operands')
  }

  atLeast(inputs: number, outputs: number): void {
    this.require(this.inputs.length >= inputs && this.outputs.length >= outputs, 'too few operands')
  }

  /** Reads plain attributes, each with its lowest and highest value. */
  attributes(...ranges: readonly (readonly [low: number, high: number])[]): number[] {
    this.reader.need(ranges.length)
    this.scalars = ranges.map(([low, high], i) => {
      const value = this.reader.next()
      this.require(value >= low && value <= high, `attribute ${i} is ${value}`)
      return value
    })
    return this.scalars
  }

  float(...views: readonly View<number>[]): void {
    for (const v of views) this.require(isFloat(v.dtype), `an operand is ${v.dtype}, not float`)
  }

  index(view: View<number>): void {
    this.require(view.dtype === 'int32' || view.dtype === 'uint8', `indices are ${view.dtype}`)
  }

  rank(rank: number, ...views: readonly View<number>[]): void {
    for (const v of views) this.require(v.shape.length === rank, `an operand has rank ${v.shape.length}, not ${rank}`)
  }

  shape(view: View<number>, like: readonly number[]): void {
    this.require(sameShape(view.shape, like), `an operand is [${view.shape.join(', ')}], not [${like.join(', ')}]`)
  }

  shapesFrom(first: number, like: readonly number[]): void {
    for (const v of this.inputs.slice(first)) this.shape(v, like)
    for (const v of this.outputs) this.shape(v, like)
  }

  contiguous(view: View<number>): void {
    this.require(isContiguous(view.shape, view.strides), 'a strided result')
  }

  /** The micro-program over `head` and the inputs from `first` on that yields the outputs. */
  epilogue(head: readonly MicroType[], first: number): CheckedMicro {
    const micro = readMicro(this.reader, [...head, ...this.inputs.slice(first).map((v) => microType(v.dtype))], this.outputs.length)
    micro.results.forEach((value, i) => this.require(fits(micro.types[value], this.outputs[i].dtype), `result ${i} does not fit its view`))
    return micro
  }
}
