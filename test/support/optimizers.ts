/** Optimizers by PyTorch's name, for tests against its values. */
import { optim, type Tensor } from '../../src/index.js'
import type { Options } from './golden.js'

export const optimizers: Record<string, (p: readonly Tensor[] | optim.GroupOptions<Options>[], o: Options) => optim.Optimizer> = {
  SGD: (p, o) => new optim.SGD(p, o),
  Adam: (p, o) => new optim.Adam(p, o),
  AdamW: (p, o) => new optim.AdamW(p, o),
}
