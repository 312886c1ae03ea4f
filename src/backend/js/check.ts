/**
 * Which rule of docs/program-format.md an instruction has to obey. In: an instruction whose views have been read and a reader at its
 * attributes. Out: its scalars and micro-programs, or a refusal. What passes is safe to run: only the values of index tensors are left to
 * check. Where the native runtime wants float32, float64 is allowed too, as long as the two do not mix.
 */
import { Opcode } from '../../ir/format.js'
import { type Attributes, Checker, type Operands } from './checker.js'
import { floatWidth } from './micro.js'
import type { Reader } from './reader.js'
import { ctc, fft, linalg, scan, sort } from './rules/arrays.js'
import { crossEntropy, gather, gemm, map, random, reduce, softmax } from './rules/basic.js'
import { avgPool, conv, convWeightGrad, maxPool } from './rules/images.js'
import { attention, groups, normRows, recurrent } from './rules/layers.js'

/** Whether the opcode may meet an index out of range or a singular matrix. */
export function canFail(opcode: Opcode): boolean {
  return (
    opcode === Opcode.gather ||
    opcode === Opcode.scatterAdd ||
    opcode === Opcode.crossEntropy ||
    opcode === Opcode.crossEntropyGrad ||
    opcode === Opcode.ctc ||
    opcode === Opcode.linalg
  )
}

/** Whether the opcode looks at the values of indices, also where it makes nothing. */
export function checksIndices(opcode: Opcode): boolean {
  return canFail(opcode) && opcode !== Opcode.linalg
}

/** Checks one instruction and reads its attributes. */
export function checkInstruction(operands: Operands, reader: Reader): Attributes {
  const check = new Checker(operands, reader)
  if (floatWidth([...operands.inputs, ...operands.outputs].map((v) => v.dtype)) === undefined) reader.refuse('float32 and float64 mix')
  const attributes = rule(check)
  if (reader.at !== reader.end) reader.refuse('its attributes are too long')
  return attributes
}

function rule(check: Checker): Attributes {
  switch (check.opcode) {
    case Opcode.map:
      return map(check)
    case Opcode.reduce:
      return reduce(check)
    case Opcode.gemm:
      return gemm(check)
    case Opcode.conv2d:
    case Opcode.conv2dInputGrad:
      return conv(check, check.opcode === Opcode.conv2dInputGrad)
    case Opcode.conv2dWeightGrad:
      return convWeightGrad(check)
    case Opcode.maxPool2d:
      return maxPool(check)
    case Opcode.avgPool2d:
      return avgPool(check, check.inputs[0], check.outputs[0])
    case Opcode.avgPool2dGrad:
      return avgPool(check, check.outputs[0], check.inputs[0])
    case Opcode.softmax:
      return softmax(check)
    case Opcode.crossEntropy:
    case Opcode.crossEntropyGrad:
      return crossEntropy(check, check.opcode === Opcode.crossEntropyGrad)
    case Opcode.gather:
      return gather(check, check.inputs[0], check.outputs[0])
    case Opcode.scatterAdd:
      return gather(check, check.outputs[0], check.inputs[0])
    case Opcode.random:
      return random(check)
    case Opcode.moments:
    case Opcode.normSums:
      return groups(check, check.opcode === Opcode.normSums)
    case Opcode.normRows:
    case Opcode.normRowsGrad:
      return normRows(check, check.opcode === Opcode.normRowsGrad)
    case Opcode.recurrent:
    case Opcode.recurrentGrad:
      return recurrent(check, check.opcode === Opcode.recurrentGrad)
    case Opcode.attention:
    case Opcode.attentionGrad:
      return attention(check, check.opcode === Opcode.attentionGrad)
    case Opcode.scan:
      return scan(check)
    case Opcode.sort:
      return sort(check)
    case Opcode.linalg:
      return linalg(check)
    case Opcode.fft:
      return fft(check)
    case Opcode.ctc:
      return ctc(check)
    default:
      return check.reader.refuse(`opcode ${check.opcode} is reserved`)
  }
}
