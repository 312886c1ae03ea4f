/**
 * The Electron example: its logic in Node, its page in Chromium against the functions its preload script exposes, and, where there is an
 * Electron, the application itself. What Electron asks of a binary is in binaries.test.ts.
 */
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { installedFolder, root, run, tool } from './support.js'

interface Progress {
  readonly step: number
  readonly loss: number
  readonly done?: boolean
  readonly reason?: string
}
interface Trainer {
  start(): Promise<void>
  stop(): void
  classify(pixels: readonly number[]): Promise<number[]>
}
type CreateTrainer = (send: (event: Progress) => void, options?: { pictures?: number; epochs?: number }) => Trainer

/** The example as a user has it, beside an installed chainrule. */
let app: string
let createTrainer: CreateTrainer
beforeAll(async () => {
  // a binary that does not load is an error here, not a reason to be slow
  process.env.CHAINRULE_BACKEND = 'native'
  app = join(installedFolder(), 'electron example')
  cpSync(join(root, 'examples/electron'), app, { recursive: true })
  createTrainer = ((await import(pathToFileURL(join(app, 'trainer.mjs')).href)) as { createTrainer: CreateTrainer }).createTrainer
})

describe('the application', () => {
  it('trains in the background, answers meanwhile, and stops when told', async () => {
    const events: Progress[] = []
    const trainer = createTrainer((event) => events.push(event), { pictures: 2000, epochs: 50 })
    const running = trainer.start()
    const answer = await trainer.classify(new Array(28 * 28).fill(0))
    expect(answer).toHaveLength(10)
    expect(answer.reduce((a, b) => a + b)).toBeCloseTo(1, 4)
    while (events.length < 12) await new Promise((resolve) => setTimeout(resolve, 20))
    trainer.stop()
    await running
    expect(events.at(-1)).toEqual({ done: true, reason: 'stopped' })
    const losses = events.filter((event) => !event.done).map((event) => event.loss)
    expect(losses.at(-1)).toBeLessThan(losses[0])
    await expect(trainer.classify([1, 2])).rejects.toThrow('784 numbers')
  })

  it('asks Electron for isolation, and for nothing else', () => {
    const main = readFileSync(join(app, 'main.mjs'), 'utf8')
    expect(main).toMatch(/contextIsolation: true, nodeIntegration: false, sandbox: true/)
    const exposed = [...readFileSync(join(app, 'preload.cjs'), 'utf8').matchAll(/ipcRenderer\.(?:invoke|on)\('(\w+)'/g)].map(
      ([, name]) => name,
    )
    expect(exposed).toEqual(['start', 'stop', 'classify', 'progress'])
    for (const name of exposed) expect(main).toContain(`'${name}'`)
  })

  it('shows the loss as it falls and reads a drawn digit, in Chromium', async (context) => {
    const playwright = tool('playwright-core@1')
    const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)
    if (playwright === undefined || chromium === undefined) return context.skip('apt-get install chromium')
    const { chromium: browserType } = createRequire(join(playwright, 'package.json'))('./index.js')
    const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-sync']
    const browser = await browserType.launch({ executablePath: chromium, headless: true, args })
    try {
      const page = await browser.newPage({ viewport: { width: 860, height: 560 } })
      const mistakes: string[] = []
      page.on('pageerror', (error: Error) => mistakes.push(error.message))
      const trainer = createTrainer((event) => void page.evaluate(`window.progress?.(${JSON.stringify(event)})`).catch(() => {}), {
        pictures: 4000,
        epochs: 6,
      })
      await page.exposeFunction('start', () => void trainer.start())
      await page.exposeFunction('stop', () => trainer.stop())
      await page.exposeFunction('classify', (pixels: number[]) => trainer.classify(pixels))
      await page.addInitScript('window.digits = { start, stop, classify, onProgress: (listener) => void (window.progress = listener) }')
      await page.goto(pathToFileURL(join(app, 'page/index.html')).href)
      await page.click('#train')
      await page.locator('#state', { hasText: 'finished' }).waitFor({ timeout: 120_000 })

      // a seven
      const box = await page.locator('#paper').boundingBox()
      const at = (x: number, y: number): [number, number] => [box.x + x * box.width, box.y + y * box.height]
      await page.mouse.move(...at(0.3, 0.22))
      await page.mouse.down()
      for (const [x, y] of [
        [0.7, 0.22],
        [0.6, 0.5],
        [0.48, 0.82],
      ] as const)
        await page.mouse.move(...at(x, y), { steps: 12 })
      await page.mouse.up()
      await page.locator('#answer', { hasText: /\d/ }).waitFor()
      mkdirSync(join(root, 'build/platforms'), { recursive: true })
      await page.screenshot({ path: join(root, 'build/platforms/electron-page.png') })
      expect(await page.textContent('#answer')).toBe('7')
      expect(mistakes).toEqual([])
    } finally {
      await browser.close()
    }
  })

  it('starts in Electron itself', (context) => {
    const electron = process.env.CHAINRULE_ELECTRON ?? join(root, 'node_modules/electron/dist/electron')
    if (!existsSync(electron)) return context.skip('no Electron: set CHAINRULE_ELECTRON to its binary')
    const { status, out } = run(electron, ['.', '--smoke', '--no-sandbox'], app)
    expect(status, out).toBe(0)
    expect(out).toContain('"backend":"native"')
  })
})
