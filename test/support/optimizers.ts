/** Optimizers by PyTorch's name, for tests against its values. */
import { optim, type Tensor } from '../../src/index.js'
import type { Options } from './golden.js'

export const optimizers: Record<string, (p: readonly Tensor[] | optim.GroupOptions<Options>[], o: Options) => optim.Optimizer> = {
  SGD: (p, o) => new optim.SGD(p, o),
  Adam: (p, o) => new optim.Adam(p, o),
  AdamW: (p, o) => new optim.AdamW(p, o),
  Adamax: (p, o) => new optim.Adamax(p, o),
  NAdam: (p, o) => new optim.NAdam(p, o),
  RAdam: (p, o) => new optim.RAdam(p, o),
  Adagrad: (p, o) => new optim.Adagrad(p, o),
  RMSprop: (p, o) => new optim.RMSprop(p, o),
  Adadelta: (p, o) => new optim.Adadelta(p, o),
  Rprop: (p, o) => new optim.Rprop(p, o),
  Muon: (p, o) => new optim.Muon(p, o),
}
