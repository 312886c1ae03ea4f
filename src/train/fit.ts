/**
 * `fit`: trains a model. In: a model, data, a loss and an optimizer. Out: something to await for
 * the history, or to loop over.
 */
import type { Module } from '../nn/module.js'
import type { FitData } from './batches.js'
import { Channel } from './channel.js'
import type { Epoch, History, Metrics } from './history.js'
import { type FitStep, train } from './loop.js'
import type { FitOptions } from './options.js'
import { checkOptions } from './options.js'

/**
 * A training under way: await it for its `History`, loop over it for epochs, over `.steps()` for
 * steps.
 */
export class Fit<M extends Metrics = Metrics> implements PromiseLike<History<M>>, AsyncIterable<Epoch<M>> {
  private readonly done: Promise<History<M>>
  private readonly finished: Epoch<M>[] = []
  private readonly epochReaders = new Set<Channel<Epoch<M>>>()
  private readonly stepReaders = new Set<Channel<FitStep>>()
  private readonly stopping = new AbortController()
  private over: { error?: unknown } | undefined

  /** @internal */
  constructor(model: Module, data: FitData, options: FitOptions<M>) {
    this.done = this.run(model, data, options)
  }

  private async run(model: Module, data: FitData, options: FitOptions<M>): Promise<History<M>> {
    // the caller gets this object first: what goes wrong is found where it is awaited or looped
    // over
    await null
    const release = (): void => {
      for (const channel of [...this.epochReaders, ...this.stepReaders]) channel.release()
    }
    let signal: AbortSignal | undefined
    try {
      checkOptions(model, options)
      signal = options.signal
      signal?.addEventListener('abort', release)
      const history = await train(model, data, options, {
        left: this.stopping.signal,
        onStep: (make) => (this.stepReaders.size === 0 ? undefined : offer(this.stepReaders, make())),
        onEpoch: (epoch) => {
          this.finished.push(epoch)
          return offer(this.epochReaders, epoch)
        },
      })
      this.over = {}
      for (const channel of [...this.epochReaders, ...this.stepReaders]) channel.close()
      return history
    } catch (error) {
      this.over = { error }
      for (const channel of [...this.epochReaders, ...this.stepReaders]) channel.fail(error)
      throw error
    } finally {
      signal?.removeEventListener('abort', release)
    }
  }

  private reader<T>(readers: Set<Channel<T>>): Channel<T> {
    // whoever loops hears of a failure there
    this.done.catch(() => {})
    const channel: Channel<T> = new Channel(() => {
      readers.delete(channel)
      this.stopping.abort()
      return this.done
    })
    readers.add(channel)
    return channel
  }

  private seal<T>(channel: Channel<T>): Channel<T> {
    if (this.over === undefined) return channel
    if ('error' in this.over) channel.fail(this.over.error)
    else channel.close()
    return channel
  }

  /**
   * Epochs, also those that have passed. Training waits while the loop's body runs; `break` ends
   * it, and the promise gives the history so far.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Epoch<M>> {
    const channel = this.reader(this.epochReaders)
    channel.fill(this.finished)
    return this.seal(channel)
  }

  /**
   * Steps from now on, each when it has been queued. Training waits while the loop's body runs, so
   * after `break` no step has been taken that the loop has not seen.
   *
   *     for await (const { step, loss } of fit(…).steps()) if (step % 100 === 0) console.log(step, await loss)
   */
  steps(): AsyncIterableIterator<FitStep> {
    return this.seal(this.reader(this.stepReaders))
  }

  // biome-ignore lint/suspicious/noThenProperty: being awaitable is the point
  then<A = History<M>, B = never>(
    onDone?: ((history: History<M>) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.done.then(onDone, onError)
  }

  catch<B = never>(onError?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<History<M> | B> {
    return this.done.catch(onError)
  }

  finally(onEnd?: (() => void) | null): Promise<History<M>> {
    return this.done.finally(onEnd)
  }
}

/** Shows a value to all readers; `undefined` when there are none to wait for. */
function offer<T>(readers: ReadonlySet<Channel<T>>, value: T): Promise<unknown> | undefined {
  if (readers.size === 0) return undefined
  return Promise.all([...readers].map((channel) => channel.push(value)))
}

/**
 * Trains a model. Starts at once, in the background: the event loop keeps answering. `data` is
 * `[inputs, targets]` (tensors, typed arrays, numbers in arrays; whole numbers as targets are
 * int32), a data set, a `DataLoader`, or any iterable of `[inputs, targets]` batches, or a function
 * that returns one for each epoch. Typed arrays and tensors are not copied but read in each epoch:
 * leave them unwritten until the promise is settled.
 *
 *     const history = await fit(model, [x, y], { loss: losses.crossEntropy, optimizer, epochs: 3, metrics: { accuracy: metrics.accuracy } })
 *     for await (const { epoch, loss } of fit(model, data, options)) if (loss < 0.01) break
 *
 * Modules train, but those that were put into evaluation with `eval()` stay there:
 * `model.body.requiresGrad_(false).eval()` freezes weights and running statistics. Validation is in
 * evaluation mode throughout. `fit` does not touch the flags, and follows when they are changed
 * between steps. Gradients left from before are forgotten. With a `scheduler` the learning rate
 * changes after each epoch (or step), with `accumulate` several batches make one optimizer step. A
 * step whose loss is NaN or infinite is not taken, and ends the training. Defaults: `epochs` 1,
 * `accumulate` 1, `batchSize` 32, `shuffle` true, `compile` true, `progress` 'auto'.
 *
 * @throws ArgumentError `ERR_FIT_OPTION`, `ERR_FIT_DATA`, `ERR_FIT_FIGURE`,
 *   `ERR_METRIC_NOT_A_MEAN`; StateError `ERR_FIT_EVALUATION` when all of the model is in
 *   evaluation; GradientError `ERR_FIT_OPTIMIZER` before the first step when a parameter in use is
 *   not the optimizer's, `ERR_FIT_NO_GRADIENT` when one of the optimizer's is not in use;
 *   StateError `ERR_FIT_RUNNING` for a model that is being trained, `ERR_LOSS_NOT_FINITE`; the
 *   signal's reason when aborted. All of them reject the promise, or are thrown in the loop.
 */
export function fit<const M extends Metrics = Record<never, never>>(model: Module, data: FitData, options: FitOptions<M>): Fit<M> {
  return new Fit(model, data, options)
}
