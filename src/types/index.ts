/**
 * Shapes as types: what `tsc` knows of a tensor's dimensions, and the relations it checks. In: shapes as tuples, `['batch', 784]`. Out: the
 * shape of a result, or the sentence that `tsc` shows where shapes do not fit. `nn/chain.ts` carries them through layers. Exports only.
 *
 * A dimension is a literal number, a name for a size known only at run time ('batch'), or `number` for an unknown one. An open shape,
 * `[...number[], 256]`, has an unknown number of dimensions before those that are known; `any` is a shape nothing is known of. Only literals
 * are compared, and nothing is computed: `flatten` and convolutions give `number`. So correct code is never an error, and where types
 * do not see a mistake, the error at run time does.
 */
export type * from './axes.js'
export type * from './dims.js'
export type * from './layers.js'
export type * from './relations.js'
