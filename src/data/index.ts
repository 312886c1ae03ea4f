/** Data sets and loaders. Exports only. */
export { collate, type Field, type FieldLike } from './collate.js'
export type { ImageSets } from './datasets.js'
export * as datasets from './datasets.js'
export {
  ArrayDataset,
  type BulkDataset,
  DataLoader,
  type DataLoaderOptions,
  type Dataset,
  type ItemDataset,
  type LoaderState,
} from './loader.js'
