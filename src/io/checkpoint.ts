/**
 * Saving and loading models, and checkpoints from which a training goes on bit for bit. One safetensors file each, written atomically, with
 * PyTorch's names.
 *
 * What is saved is a snapshot of one moment, between two steps, also while a training is queueing steps: the copies are made by a program
 * in the same queue.
 */

import { ArgumentError, checkOptions, DataError, type OptionNames, showKind, showValue } from '../base/errors.js'
import { compile } from '../compile/compile.js'
import type { DataLoader, LoaderState } from '../data/loader.js'
import type { Module } from '../nn/module.js'
import { clone } from '../ops/basic/movement.js'
import { type LoadStateOptions, loadState, type StateSlot, tensorSlot } from '../ops/basic/state.js'
import { noGrad } from '../ops/core/grad-mode.js'
import type { Optimizer } from '../optim/optimizer.js'
import type { LRScheduler, ReduceLROnPlateau, SchedulerState } from '../optim/schedulers/index.js'
import { type GeneratorState, getRandomState, setRandomState } from '../tensor/random.js'
import type { Tensor } from '../tensor/tensor.js'
import { checkJson, parseJson } from './json.js'
import { checkPath, type FilePath } from './path.js'
import { loadSafetensors, type Safetensors, saveSafetensors, type WriteSafetensorsOptions } from './safetensors.js'
import { decodeValue, encodeValue, type Storable } from './values.js'
import type { StoredArray } from './wire.js'

/** Files of version 1 will be read by every later release; a file of a later version is refused with a message. */
const formatVersion = 1
const versionKey = 'chainrule.version'
const kindKey = 'chainrule.kind'
const progressKey = 'chainrule.progress'

export interface SaveOptions extends Pick<WriteSafetensorsOptions, 'floatType'> {
  /** Strings kept in the file's header. */
  metadata?: Readonly<Record<string, string>>
}

export interface Checkpoint {
  model: Module
  optimizer?: Optimizer
  /** Its counters are saved; the rates are part of the optimizer's state. */
  scheduler?: LRScheduler | ReduceLROnPlateau
  /** Its position is saved, and set when the checkpoint is loaded. */
  loader?: Pick<DataLoader, 'state' | 'setState'>
}

const checkpointNames: OptionNames<Checkpoint> = { model: true, optimizer: true, scheduler: true, loader: true }

export interface SaveCheckpoint extends Checkpoint {
  /** Counters of your own; default 0. */
  epoch?: number
  step?: number
  /**
   * Anything else, which comes back as it is: numbers (also infinite), strings, dates, typed arrays, and arrays, plain objects, maps and sets of them. Anything else in
   * there is refused by its place.
   */
  extra?: Storable
}

/** What a checkpoint held beside tensors. */
export interface LoadedCheckpoint {
  readonly epoch: number
  readonly step: number
  readonly extra: Storable
}

interface Progress {
  readonly epoch: number
  readonly step: number
  readonly random: GeneratorState
  readonly loader?: LoaderState
  readonly scheduler?: SchedulerState
  readonly extra?: unknown
}

/** Copies of named tensors as they are after everything queued so far. */
async function snapshot(read: () => Record<string, Tensor>, double: boolean): Promise<Record<string, StoredArray>> {
  // float64 is computed eagerly only, so nothing of it is ever queued
  const copy = compile(() => noGrad(read), { name: 'save', eager: double ? true : undefined })
  const copies = await copy()
  return Object.fromEntries(Object.entries(copies).map(([name, { data, shape, dtype }]) => [name, { data, shape, dtype }]))
}

function modelState(model: Module, prefix: string): Record<string, Tensor> {
  return Object.fromEntries([...model.stateTensors()].map(([name, t]) => [prefix + name, clone(t)]))
}

function optimizerState(optimizer: Optimizer): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(optimizer.stateDict()).map(([name, t]) => [`optimizer.${name}`, t]))
}

function hasDouble(model: Module): boolean {
  return [...model.stateTensors().values()].some((t) => t.dtype === 'float64')
}

function checkModel(op: string, model: unknown): asserts model is Module {
  if (typeof (model as Partial<Module> | null)?.stateTensors !== 'function') {
    throw new ArgumentError('ERR_NOT_A_MODULE', `${op}: expected a model (nn.Module), received ${showKind(model)}.`)
  }
}

/** What is called on each part of a checkpoint. */
const partMethods = {
  optimizer: ['stateDict', 'loadStateDict'],
  scheduler: ['stateDict', 'loadStateDict', 'refuse'],
  loader: ['state', 'setState'],
} as const

function checkParts(op: string, checkpoint: Checkpoint): void {
  checkModel(op, checkpoint.model)
  for (const [name, methods] of Object.entries(partMethods)) {
    const part = checkpoint[name as keyof typeof partMethods] as unknown as Record<string, unknown> | null | undefined
    if (part === undefined || methods.every((method) => typeof part?.[method] === 'function')) continue
    const what = part === null || typeof part !== 'object' ? showKind(part) : 'something else'
    throw new ArgumentError('ERR_CHECKPOINT', `${op}: ${name} must be one of the library's, received ${what}.`)
  }
}

/**
 * Saves a model's parameters and buffers as safetensors, under PyTorch's `state_dict` names. Atomic: a crash leaves the old file. Does not
 * block, and may be called during `fit`: what is saved is the state behind the steps queued before this call.
 *
 *     await save(model, 'digits.safetensors')
 *
 * @throws ArgumentError; DataError `ERR_DATA_RANGE` for numbers too large for `floatType`, `ERR_FILE_WRITE` when the file cannot be written.
 */
export async function save(model: Module, path: FilePath, options: SaveOptions = {}): Promise<void> {
  checkModel('save', model)
  const name = checkPath('save', path)
  checkOptions('save', options, { floatType: true, metadata: true })
  const { floatType } = options
  const metadata = { format: 'pt', ...options.metadata, [versionKey]: String(formatVersion), [kindKey]: 'model' }
  await saveSafetensors(name, await snapshot(() => modelState(model, ''), hasDouble(model)), { floatType, metadata })
}

/**
 * Loads parameters and buffers saved by `save`, by PyTorch, or in a checkpoint into a model. With `strict` (the default) every name has to occur on both
 * sides; names for which `filter` says false are left as they are and count for neither. Returns the model.
 *
 *     const model = await load(new Net(), 'digits.safetensors')
 *     await load(model, 'backbone.safetensors', { filter: (name) => !name.startsWith('head.') })   // all but the head
 *     await load(model, 'backbone.safetensors', { strict: false })   // what is there; loadStateDict tells what was not
 *
 * @throws ArgumentError, ShapeError or DTypeError `ERR_STATE_DICT` listing everything missing, unexpected and not fitting, with nothing
 * written; DataError for a file that cannot be read.
 */
export async function load<M extends Module>(model: M, path: FilePath, options: LoadStateOptions = {}): Promise<M> {
  checkModel('load', model)
  const name = checkPath('load', path)
  checkOptions('load', options, { strict: true, filter: true })
  const file = await loadSafetensors(name)
  checkVersion('load', name, file)
  const isCheckpoint = file.metadata.get(kindKey) === 'checkpoint'
  model.loadStateDict(stateOf(file, isCheckpoint ? 'model.' : ''), options)
  return model
}

function checkVersion(op: string, path: string, { metadata }: Safetensors): void {
  const version = metadata.get(versionKey)
  if (version !== undefined && !(Number(version) <= formatVersion)) {
    throw new DataError(
      'ERR_CHECKPOINT_VERSION',
      `${op}: ${path} has format version ${version}, this release reads up to ${formatVersion}. Update chainrule.`,
    )
  }
}

/** The tensors whose names begin with `prefix`, without it. */
function stateOf({ tensors }: Safetensors, prefix: string): Map<string, StoredArray> {
  const state = new Map<string, StoredArray>()
  for (const [name, array] of tensors) if (name.startsWith(prefix)) state.set(name.slice(prefix.length), array)
  return state
}

/**
 * Saves all a training needs to go on: weights, optimizer state, the random generator, the loader's position and counters, in one file.
 * 10 steps, saved and loaded, and 10 more give the bits of 20 steps. Atomic; does not block. What is saved is the state behind the steps queued
 * before this call, and `extra` as it is then.
 *
 *     for await (const { epoch } of fit(model, loader, options)) await saveCheckpoint('last.ckpt', { model, optimizer, loader, epoch })
 *
 * @throws ArgumentError, `ERR_CHECKPOINT` with the place of what cannot be kept in `extra`; DataError `ERR_FILE_WRITE`.
 */
export async function saveCheckpoint(path: FilePath, checkpoint: SaveCheckpoint): Promise<void> {
  const name = checkPath('saveCheckpoint', path)
  checkOptions('saveCheckpoint', checkpoint, { ...checkpointNames, epoch: true, step: true, extra: true })
  const { model, optimizer, scheduler, loader, epoch = 0, step = 0, extra } = checkpoint
  checkParts('saveCheckpoint', checkpoint)
  for (const [name, value] of Object.entries({ epoch, step })) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new ArgumentError('ERR_CHECKPOINT', `saveCheckpoint: ${name} must be a whole number from 0, received ${showValue(value)}.`)
  }
  const kept = extra === undefined ? undefined : encodeValue('saveCheckpoint', 'extra', extra)
  const tensors = snapshot(() => ({ ...modelState(model, 'model.'), ...(optimizer && optimizerState(optimizer)) }), hasDouble(model))
  // read now: the copies are queued, and what is queued before them has drawn its numbers
  const progress: Progress = {
    epoch,
    step,
    random: getRandomState(),
    loader: loader?.state(),
    scheduler: scheduler?.stateDict(),
    extra: kept,
  }
  const metadata = { [versionKey]: String(formatVersion), [kindKey]: 'checkpoint', [progressKey]: jsonOf(progress) }
  await saveSafetensors(name, await tensors, { metadata })
}

/** What is saved can be loaded again. */
function jsonOf(progress: Progress): string {
  const text = JSON.stringify(progress)
  try {
    checkJson(text)
  } catch (cause) {
    throw new ArgumentError('ERR_CHECKPOINT', 'saveCheckpoint: extra cannot be saved: it is nested more than 1000 deep. Make it flatter.', {
      cause,
    })
  }
  return text
}

/**
 * Loads a checkpoint into a model, and into an optimizer, a schedule and a loader where given, and sets the random generator. Returns the counters.
 *
 *     const { epoch, extra } = await loadCheckpoint('last.ckpt', { model, optimizer, loader })
 *
 * @throws DataError `ERR_CHECKPOINT` for a file that is no checkpoint or lacks what is asked for; ArgumentError, ShapeError or DTypeError
 * `ERR_STATE_DICT` listing what does not fit. Nothing is changed then.
 */
export async function loadCheckpoint(path: FilePath, checkpoint: Checkpoint): Promise<LoadedCheckpoint> {
  const name = checkPath('loadCheckpoint', path)
  checkOptions('loadCheckpoint', checkpoint, checkpointNames)
  const { model, optimizer, scheduler, loader } = checkpoint
  checkParts('loadCheckpoint', checkpoint)
  // hyper-parameters are saved in double precision
  const file = await loadSafetensors(name, { float64: true })
  checkVersion('loadCheckpoint', name, file)
  const progress = progressOf(name, file)
  const state = stateOf(file, 'model.')
  const optimizerState = stateOf(file, 'optimizer.')
  if (optimizer !== undefined && optimizerState.size === 0) {
    throw new DataError('ERR_CHECKPOINT', `loadCheckpoint: ${name} was saved without an optimizer. Load it without one.`)
  }
  if (loader !== undefined && progress.loader === undefined) {
    throw new DataError('ERR_CHECKPOINT', `loadCheckpoint: ${name} was saved without a loader. Load it without one.`)
  }
  if (scheduler !== undefined) checkSchedule(name, scheduler, progress)
  // all that can fail comes before the first that changes something, or is undone
  checkFits(model, state)
  const position = loader?.state()
  if (progress.loader !== undefined) loader?.setState(progress.loader)
  try {
    optimizer?.loadStateDict(optimizerState)
  } catch (error) {
    if (position !== undefined) loader?.setState(position)
    throw error
  }
  if (progress.scheduler !== undefined) scheduler?.loadStateDict(progress.scheduler)
  model.loadStateDict(state)
  setRandomState(progress.random)
  return { epoch: progress.epoch, step: progress.step, extra: progress.extra as Storable }
}

function checkSchedule(path: string, scheduler: LRScheduler | ReduceLROnPlateau, { scheduler: state }: Progress): void {
  if (state === undefined)
    throw new DataError('ERR_CHECKPOINT', `loadCheckpoint: ${path} was saved without a schedule. Load it without one.`)
  const refused = scheduler.refuse(state)
  if (refused !== undefined)
    throw new ArgumentError('ERR_STATE_DICT', `loadCheckpoint: the schedule saved in ${path} is of another kind: ${refused}.`)
}

/** Loads the state into slots that write nothing: throws what `loadStateDict` would. */
function checkFits(model: Module, state: ReadonlyMap<string, StoredArray>): void {
  const slots = new Map<string, StateSlot>([...model.stateTensors()].map(([name, t]) => [name, { ...tensorSlot(t), write: () => {} }]))
  loadState('loadCheckpoint', slots, state)
}

function isCount(x: unknown): x is number {
  return Number.isSafeInteger(x) && (x as number) >= 0
}

function progressOf(path: string, { metadata }: Safetensors): Progress {
  const wrong = (what: string, cause?: unknown): DataError => new DataError('ERR_CHECKPOINT', `loadCheckpoint: ${path} ${what}.`, { cause })
  const text = metadata.get(progressKey)
  if (metadata.get(kindKey) !== 'checkpoint' || text === undefined)
    throw wrong('is no checkpoint of this library. Read weights alone with load()')
  let progress: Partial<Progress>
  try {
    progress = parseJson(text) as Partial<Progress>
    if (progress?.extra !== undefined) progress = { ...progress, extra: decodeValue(progress.extra) }
  } catch (cause) {
    throw wrong('has damaged counters', cause)
  }
  const { epoch, step, random, loader } = progress ?? {}
  const sound = isCount(epoch) && isCount(step) && isCount(random?.seed) && isCount(random?.position)
  const placed = loader === undefined || (isCount(loader?.epoch) && isCount(loader?.batch))
  if (!sound || !placed) throw wrong('has damaged counters')
  return progress as Progress
}
