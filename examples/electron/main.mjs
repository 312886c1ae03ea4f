/** Electron's main process: the window, and the four messages between it and the trainer. */
import { join } from 'node:path'
import { app, BrowserWindow, ipcMain } from 'electron'
import { createTrainer } from './trainer.mjs'

let window
const trainer = createTrainer((event) => {
  if (window !== undefined && !window.isDestroyed()) window.webContents.send('progress', event)
})

ipcMain.handle('start', () => void trainer.start())
ipcMain.handle('stop', () => trainer.stop())
ipcMain.handle('classify', (_, pixels) => trainer.classify(pixels))

await app.whenReady()
window = new BrowserWindow({
  width: 860,
  height: 560,
  webPreferences: { preload: join(import.meta.dirname, 'preload.cjs'), contextIsolation: true, nodeIntegration: false, sandbox: true },
})
await window.loadFile(join(import.meta.dirname, 'page/index.html'))

// `electron . --smoke`: trains and classifies once, prints what happened, ends. The test of a packaged application.
if (process.argv.includes('--smoke')) {
  setTimeout(() => trainer.stop(), 3000)
  await trainer.start()
  const answer = await trainer.classify(new Float32Array(28 * 28))
  const { backend } = await import('chainrule')
  console.log(JSON.stringify({ backend: backend(), electron: process.versions.electron, answer: answer.length }))
  app.quit()
}
app.on('window-all-closed', () => {
  trainer.stop()
  app.quit()
})
